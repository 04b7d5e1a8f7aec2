package phoenixcontrolextension

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// closeGrace is how long connections may take to close once no request runs. A
// connection that never sent a request would hold up Shutdown otherwise.
const closeGrace = time.Second

var (
	_ extension.Extension                   = (*controlExtension)(nil)
	_ extensioncapabilities.Dependent       = (*controlExtension)(nil)
	_ extensioncapabilities.PipelineWatcher = (*controlExtension)(nil)
	_ extensioncapabilities.ConfigWatcher   = (*controlExtension)(nil)
	_ policy.Source                         = (*controlExtension)(nil)
	_ report.CardinalityRegistry            = (*controlExtension)(nil)
	_ report.ConsolidationRegistry          = (*controlExtension)(nil)
	_ report.TapSource                      = (*controlExtension)(nil)
)

// errNotStarted is for components that come before the extension.
var errNotStarted = errors.New("phoenix_control is not started; add it to service.extensions")

// controlExtension hosts one control.Plane on one port.
type controlExtension struct {
	config    *Config
	telemetry component.TelemetrySettings
	build     component.BuildInfo

	plane atomic.Pointer[control.Plane] // nil before Start

	server  *http.Server // nil while nothing is served
	serving sync.WaitGroup
}

func newExtension(cfg *Config, set extension.Settings) *controlExtension {
	return &controlExtension{config: cfg, telemetry: set.TelemetrySettings, build: set.BuildInfo}
}

// Start opens the port, so that one that is taken fails the start, then the
// store, and serves.
func (e *controlExtension) Start(ctx context.Context, host component.Host) (err error) {
	listener, err := e.listen(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, listener.Close())
		}
	}()
	settings, err := e.settings(ctx, host)
	if err != nil {
		return err
	}
	plane, err := control.Open(ctx, settings)
	if err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	server, err := e.newServer(ctx, host, plane)
	if err != nil {
		return errors.Join(err, plane.Shutdown(ctx))
	}
	e.plane.Store(plane)
	e.server = server
	e.serving.Go(func() { e.serve(host, listener, server) })
	e.telemetry.Logger.Info("Control API listens", zap.Stringer("address", listener.Addr()),
		zap.String("exposure", string(settings.Exposure)))
	e.warn()
	return nil
}

func (e *controlExtension) listen(ctx context.Context) (net.Listener, error) {
	if _, err := e.config.exposure(); err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	endpoint := e.config.NetAddr.Endpoint
	listener, err := e.config.ToListener(ctx)
	if err != nil {
		return nil, fmt.Errorf("endpoint: listen on %s: %w; stop what uses it, for example a second collector, "+
			"or give phoenix_control another endpoint", endpoint, err)
	}
	return listener, nil
}

// warn says what the configuration lets happen.
func (e *controlExtension) warn() {
	if e.config.InsecureBind {
		e.telemetry.Logger.Warn("Anybody who reaches the control API may use it or read its traffic; "+
			"set tls and auth and remove insecure_bind", zap.String("endpoint", e.config.NetAddr.Endpoint))
	}
	if e.config.identified() && !e.config.Access.Administered() {
		e.telemetry.Logger.Warn("Nobody is admin of all namespaces, so that the first API key cannot be made; " +
			"give somebody the role in access.bindings")
	}
}

// serve answers until the server is closed; anything else that ends it is told
// to the Collector.
func (e *controlExtension) serve(host component.Host, listener net.Listener, server *http.Server) {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(
			fmt.Errorf("serve the control API on %s: %w", e.config.NetAddr.Endpoint, err)))
	}
}

// Shutdown lets running requests end, closes every connection, and waits. It
// may be called without Start and more than once.
func (e *controlExtension) Shutdown(ctx context.Context) error {
	plane, server := e.plane.Load(), e.server
	if plane == nil || server == nil {
		return nil
	}
	e.server = nil
	errs := plane.Shutdown(ctx)
	closing, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	if err := server.Shutdown(closing); err != nil {
		errs = errors.Join(errs, server.Close())
	}
	e.serving.Wait()
	return errs
}

// Dependencies names the extensions that the server needs, so that they start
// first.
func (e *controlExtension) Dependencies() []component.ID {
	var ids []component.ID
	if e.config.Auth.HasValue() {
		ids = append(ids, e.config.Auth.Get().Config.AuthenticatorID)
	}
	for _, m := range e.config.Middlewares {
		ids = append(ids, m.ID)
	}
	return ids
}

// Ready says that the pipelines run.
func (e *controlExtension) Ready() error {
	e.setReady(true)
	return nil
}

// NotReady says that the receivers are about to stop.
func (e *controlExtension) NotReady() error {
	e.setReady(false)
	return nil
}

func (e *controlExtension) setReady(ready bool) {
	if plane := e.plane.Load(); plane != nil {
		plane.SetReady(ready)
	}
}

// NotifyConfig hears of the effective configuration, in which the Collector has
// replaced secrets by a word, so that its hash says nothing about them.
func (e *controlExtension) NotifyConfig(_ context.Context, conf *confmap.Conf) error {
	text, err := json.Marshal(conf.ToStringMap()) // maps are sorted by key
	if err != nil {
		return fmt.Errorf("hash the configuration: %w", err)
	}
	if plane := e.plane.Load(); plane != nil {
		sum := sha256.Sum256(text)
		plane.SetConfigSHA256(hex.EncodeToString(sum[:]))
	}
	return nil
}

// Policy implements policy.Source.
func (e *controlExtension) Policy() *policy.Snapshot {
	if plane := e.plane.Load(); plane != nil {
		return plane.Policy()
	}
	return unknown
}

// unknown is the policy while nobody was asked.
var unknown = &policy.Snapshot{}

// RegisterCardinality implements report.CardinalityRegistry.
func (e *controlExtension) RegisterCardinality(r report.CardinalityRegistration) (func(), error) {
	if plane := e.plane.Load(); plane != nil {
		return plane.RegisterCardinality(r)
	}
	return nil, errNotStarted
}

// RegisterConsolidation implements report.ConsolidationRegistry.
func (e *controlExtension) RegisterConsolidation(r report.ConsolidationRegistration) (func(), error) {
	if plane := e.plane.Load(); plane != nil {
		return plane.RegisterConsolidation(r)
	}
	return nil, errNotStarted
}

// Tap implements report.TapSource.
func (e *controlExtension) Tap(point string) report.Tap {
	if plane := e.plane.Load(); plane != nil {
		return plane.Tap(point)
	}
	return closedTap{}
}

// closedTap is a tap at which nobody looks.
type closedTap struct{}

func (closedTap) Wants(string) bool          { return false }
func (closedTap) Offer(report.TapBatch) bool { return true }

package phoenixcontrolextension

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/report"
)

// closeGrace is how long connections may take to close once no request runs. A
// connection that never sent a request would hold up Shutdown otherwise.
const closeGrace = time.Second

var (
	_ extension.Extension                   = (*controlExtension)(nil)
	_ extensioncapabilities.Dependent       = (*controlExtension)(nil)
	_ extensioncapabilities.PipelineWatcher = (*controlExtension)(nil)
	_ report.CardinalityRegistry            = (*controlExtension)(nil)
)

// controlExtension hosts one control.Plane on one port.
type controlExtension struct {
	config    *Config
	telemetry component.TelemetrySettings
	plane     *control.Plane

	server  *http.Server // nil while nothing is served
	serving sync.WaitGroup
}

func newExtension(cfg *Config, telemetry component.TelemetrySettings) *controlExtension {
	return &controlExtension{
		config:    cfg,
		telemetry: telemetry,
		plane: control.New(control.Settings{
			Logger:         telemetry.Logger,
			RequestTimeout: cfg.RequestTimeout,
		}),
	}
}

// Start opens the port, so that one that is taken fails the start.
func (e *controlExtension) Start(ctx context.Context, host component.Host) error {
	server, err := e.config.ToServer(ctx, host.GetExtensions(), e.telemetry, e.plane.Handler(),
		confighttp.WithErrorHandler(api.WriteProblem))
	if err != nil {
		return fmt.Errorf("set up the control API: %w", err)
	}
	endpoint := e.config.NetAddr.Endpoint
	listener, err := e.config.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("endpoint: listen on %s: %w; stop what uses it, for example a second collector, "+
			"or give phoenix_control another endpoint", endpoint, err)
	}
	e.server = server
	e.serving.Go(func() { e.serve(host, listener, server) })
	e.telemetry.Logger.Info("Control API listens", zap.Stringer("address", listener.Addr()))
	if e.config.InsecureBind {
		e.telemetry.Logger.Warn("Anybody who reaches the control API may read it; set tls and auth and remove insecure_bind",
			zap.String("endpoint", endpoint))
	}
	return nil
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
	errs := e.plane.Shutdown(ctx)
	if e.server == nil {
		return errs
	}
	server := e.server
	e.server = nil
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
	e.plane.SetReady(true)
	return nil
}

// NotReady says that the receivers are about to stop.
func (e *controlExtension) NotReady() error {
	e.plane.SetReady(false)
	return nil
}

// RegisterCardinality implements report.CardinalityRegistry.
func (e *controlExtension) RegisterCardinality(r report.CardinalityRegistration) (func(), error) {
	return e.plane.RegisterCardinality(r)
}

package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/autopilot"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/internal/metadata"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/recorder"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/admin"
	"github.com/phoenix-platform/phoenix/control/service/experiments"
	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/control/service/policies"
	"github.com/phoenix-platform/phoenix/control/tap"
	"github.com/phoenix-platform/phoenix/control/webhook"
)

var (
	_ policy.Source                = (*Plane)(nil)
	_ report.CardinalityRegistry   = (*Plane)(nil)
	_ report.ConsolidationRegistry = (*Plane)(nil)
	_ report.RouterRegistry        = (*Plane)(nil)
	_ report.ArmRegistry           = (*Plane)(nil)
	_ report.TapSource             = (*Plane)(nil)
	_ report.SamplerRegistry       = (*Plane)(nil)
)

// Plane is the control plane of one collector.
type Plane struct {
	settings  Settings
	logger    *zap.Logger
	startedAt time.Time

	cardinality   cardinalityRegistry
	consolidation consolidationRegistry
	routers       routerRegistry
	arms          armRegistry
	samplers      samplerRegistry
	tap           *tap.Hub
	events        bus.Memory
	store         *instrumentedStore
	core          *service.Core
	keys          *admin.Keys
	publisher     *publish.Publisher
	killSwitch    *admin.KillSwitch
	telemetry     *telemetry
	policies      *policies.Service
	insight       *insight.Services
	recorder      *recorder.Recorder
	conductor     *conductor.Conductor
	experiments   *experiments.Service
	autopilot     *autopilot.Pilot
	queries       string // where fidelity keeps its heads
	webhooks      *webhook.Sender
	alarms        alarms
	floors        floors
	pricesChanged chan struct{}
	api           *api.Server

	ready        atomic.Bool
	configSHA256 atomic.Pointer[string]
	storeBytes   atomic.Int64
	observation  atomic.Pointer[insight.Observation]

	// done ends streams, cancel the loops.
	done   chan struct{}
	cancel context.CancelFunc
	loops  sync.WaitGroup

	closing sync.Once
	closed  error
}

// Open opens the store, publishes what is in force and returns a plane that
// answers at once and is not ready. Whoever opened it shuts it down.
func Open(ctx context.Context, s Settings) (_ *Plane, err error) {
	s = s.withDefaults()
	p := &Plane{
		settings: s, logger: s.Telemetry.Logger, startedAt: s.Now(), done: make(chan struct{}), cancel: func() {},
		pricesChanged: make(chan struct{}, 1),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.release())
		}
	}()
	if err := p.open(ctx); err != nil {
		return nil, err
	}
	if err := p.compose(); err != nil { //nolint:contextcheck // streams have the contexts of their requests
		return nil, err
	}
	if err := p.reprice(ctx); err != nil {
		p.logger.Warn("Prices cannot be looked at, budgets that are money wait for them", zap.Error(err))
	}
	if err := p.publisher.Open(ctx); err != nil {
		return nil, fmt.Errorf("publish the policies: %w", err)
	}
	if err := p.conductor.Open(ctx); err != nil {
		p.logger.Warn("The experiments cannot be taken over; it is tried again", zap.Error(err))
	}
	p.start() //nolint:contextcheck // what runs from here on outlives the call
	return p, nil
}

// open makes what the services stand on.
func (p *Plane) open(ctx context.Context) error {
	s := p.settings
	builder, err := metadata.NewTelemetryBuilder(s.Telemetry)
	if err != nil {
		return fmt.Errorf("make the metrics: %w", err)
	}
	p.telemetry = newTelemetry(builder)
	guard, err := access.New(*s.Access)
	if err != nil {
		return err
	}
	limiter, err := access.NewLimiter(s.Access.RateLimits)
	if err != nil {
		return err
	}
	opened, err := openStore(ctx, s)
	if err != nil {
		return err
	}
	p.store = &instrumentedStore{
		Store: opened, tracer: metadata.Tracer(s.Telemetry), duration: builder.PhoenixControlStoreDuration,
	}
	p.core = &service.Core{
		Store: p.store, Guard: guard, Limiter: limiter, Events: &p.events, Logger: p.logger, Now: s.Now,
		NotAudited: p.telemetry.notAudited, IdempotencyKept: idempotencyKept,
	}
	p.tap = tap.New(tap.Settings{Observer: p.telemetry})
	p.keys, err = admin.NewKeys(p.store, s.Now, p.logger)
	return err
}

// idempotencyKept is how long a request may be repeated by its Idempotency-Key.
const idempotencyKept = 24 * time.Hour

// Handler serves the API. After Shutdown it answers 503.
func (p *Plane) Handler() http.Handler { return p.api.Handler() }

// SetReady says whether the collector's pipelines run.
func (p *Plane) SetReady(ready bool) { p.ready.Store(ready) }

// SetConfigSHA256 says the hash of the collector's configuration, in
// hexadecimal.
func (p *Plane) SetConfigSHA256(sum string) { p.configSHA256.Store(&sum) }

func (p *Plane) configHash() string {
	if sum := p.configSHA256.Load(); sum != nil {
		return *sum
	}
	return ""
}

// Policy implements policy.Source.
func (p *Plane) Policy() *policy.Snapshot { return p.publisher.Policy() }

// Tap implements report.TapSource.
func (p *Plane) Tap(point string) report.Tap { return p.tap.Tap(point) }

// RegisterCardinality implements report.CardinalityRegistry. Instances of one
// component may share a point; a second component is refused. The returned
// function may be called more than once and after Shutdown.
func (p *Plane) RegisterCardinality(r report.CardinalityRegistration) (unregister func(), err error) {
	unregister, err = p.cardinality.register(r)
	if err != nil {
		return nil, err
	}
	p.logger.Debug("Cardinality source registered", zap.String("point", r.Point), zap.String("component", r.Component))
	return unregister, nil
}

// RegisterConsolidation implements report.ConsolidationRegistry. The returned
// function may be called more than once and after Shutdown.
func (p *Plane) RegisterConsolidation(r report.ConsolidationRegistration) (unregister func(), err error) {
	unregister, err = p.consolidation.register(r)
	if err != nil {
		return nil, err
	}
	p.logger.Debug("Consolidation source registered", zap.String("role", r.Role), zap.String("component", r.Component))
	return unregister, nil
}

// Cardinality asks one measuring point, or all of them if point is empty, one
// after the other and sorted by name. Sources that were registered more than
// once are asked once; different sources of a point are summed as
// sumCardinality says.
func (p *Plane) Cardinality(ctx context.Context, point string, q report.CardinalityQuery) ([]report.Cardinality, error) {
	return p.cardinality.ask(ctx, point, q)
}

// Consolidation asks all processors that apply rules, sorted by component. What
// could be asked is returned beside an error.
func (p *Plane) Consolidation(ctx context.Context) ([]report.Consolidation, error) {
	return p.consolidation.ask(ctx)
}

// Shutdown refuses new requests, ends streams, lets running requests end within
// the grace time, cancels the rest, and waits for them until ctx ends. Then it
// ends what runs beside them and closes the store. It may be called twice.
func (p *Plane) Shutdown(ctx context.Context) error {
	p.SetReady(false)
	p.closing.Do(func() {
		close(p.done)
		p.closed = errors.Join(p.api.Shutdown(ctx), p.release())
	})
	return p.closed
}

// release ends what runs and closes what is open.
func (p *Plane) release() error {
	p.cancel()
	p.loops.Wait()
	if p.insight != nil {
		p.insight.Close()
	}
	if p.tap != nil {
		p.tap.Close()
	}
	if p.telemetry != nil {
		p.telemetry.builder.Shutdown()
	}
	if p.store == nil {
		return nil
	}
	return p.store.Close()
}

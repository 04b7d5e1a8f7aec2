package abrouterconnector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/connector/abrouterconnector/internal/metadata"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// lookEvery is how often a router without data looks for a new policy. With data
// it looks with every batch.
const lookEvery = 100 * time.Millisecond

// router is what the connectors of all signals are made of: it knows the routes
// and what became of them.
type router struct {
	config    *Config
	id        component.ID
	signal    string
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	now       func() time.Time

	compiler *compiler
	source   policy.Source
	current  atomic.Pointer[view]
	refused  atomic.Int64
	wake     chan struct{}

	calls      calls // of the candidate
	started    atomic.Bool
	unregister func()
	cancel     context.CancelFunc
	loops      sync.WaitGroup
}

func newRouter(set connector.Settings, cfg *Config, signal string) (*router, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	r := &router{
		config: cfg, id: set.ID, signal: signal, logger: set.Logger, telemetry: telemetry, now: time.Now, wake: make(chan struct{}, 1),
		unregister: func() {}, cancel: func() {},
	}
	r.compiler = &compiler{config: cfg, signal: signal, static: cfg.routes(signal)}
	r.current.Store(&view{})
	if err := r.observe(); err != nil {
		return nil, err
	}
	return r, nil
}

// start finds the control plane and makes the first view.
func (r *router) start(ctx context.Context, host component.Host) error {
	r.compiler.startedAt = r.now()
	if r.config.Control != nil {
		extension, there := host.GetExtensions()[*r.config.Control]
		if !there {
			return fmt.Errorf("control: there is no extension %s in service::extensions", r.config.Control)
		}
		source, is := extension.(policy.Source)
		if !is {
			return fmt.Errorf("control: %s is no control plane: it knows no policies", r.config.Control)
		}
		r.source = source
		if registry, is := extension.(report.RouterRegistry); is {
			unregister, err := registry.RegisterRouter(report.RouterRegistration{Component: r.id.String(), Signal: r.signal, Source: r})
			if err != nil {
				return err
			}
			r.unregister = unregister
		}
	}
	r.look()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	r.loops.Go(func() { r.run(ctx) })
	r.started.Store(true)
	return nil
}

// run makes a new view whenever there is another policy. What compiles takes no
// time of a batch.
func (r *router) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-tick.C:
		}
		if r.stale(r.current.Load()) || r.compiler.due(r.now()) {
			r.look()
		}
		r.closeOverdue(ctx)
	}
}

func (r *router) stop() {
	r.unregister()
	r.cancel()
	r.loops.Wait()
}

// stale says whether control has another policy than that of the view. Version 0
// says that control does not know: what is in force stays, as long as leases do.
func (r *router) stale(v *view) bool {
	if r.source == nil {
		return false
	}
	s := r.source.Policy()
	return s != nil && s != v.snapshot && (s.Version > 0 || v.snapshot == nil)
}

// look makes a view of the newest policy. One that cannot be made leaves the
// data to the baseline.
func (r *router) look() {
	v := r.current.Load()
	snapshot := v.snapshot
	if r.stale(v) {
		snapshot = r.source.Policy()
	}
	next, refused, err := r.compiler.compile(snapshot, r.now())
	if err != nil {
		r.logger.Error("Experiments cannot be routed; their data goes to the baseline", zap.Error(err))
	}
	if next == nil {
		next = &view{snapshot: snapshot}
	}
	r.refused.Store(int64(refused))
	r.current.Store(next)
}

// view is what a batch is divided by: one atomic load, and another of the policy
// to see whether it is the newest. Until a newer one is made the old one goes
// on; leases and breaches act in it at once.
func (r *router) view() *view {
	v := r.current.Load()
	if r.stale(v) {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	return v
}

// breached tells that the router took a candidate's weight away.
func (r *router) breached(ctx context.Context, rt *route, why string) {
	r.telemetry.ConnectorAbRouterBreaches.Add(ctx, 1)
	r.logger.Warn("The candidate of an experiment fails: its data goes to the baseline until control decides",
		zap.String("experiment", rt.Experiment), zap.Uint64("epoch", rt.Epoch), zap.String("reason", why))
}

// observe registers what telemetry asks for.
func (r *router) observe() error {
	return errors.Join(
		r.telemetry.RegisterConnectorAbRouterExperimentsCallback(r.observeExperiments),
		r.telemetry.RegisterConnectorAbRouterPolicyVersionCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(r.PolicyVersion())) //nolint:gosec // counts from 1
			return nil
		}),
		r.telemetry.RegisterConnectorAbRouterRefusedRoutesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(r.refused.Load())
			return nil
		}),
	)
}

package control

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/report"
)

// defaultGrace is how long running requests may go on once Shutdown was called.
const defaultGrace = 2 * time.Second

var (
	_ report.CardinalityRegistry = (*Plane)(nil)
	_ api.Reporter               = (*Plane)(nil)
)

// Settings is what New needs. The zero value is usable.
type Settings struct {
	// Logger takes changes of state. Default: nothing is logged.
	Logger *zap.Logger
	// RequestTimeout bounds how long one answer may take. Default: 10s.
	RequestTimeout time.Duration
	// Grace is how long running requests may go on once Shutdown was called.
	// Default: 2s.
	Grace time.Duration
}

// Plane is the control plane of one collector. It starts no goroutine of its
// own: it works when it is asked.
type Plane struct {
	logger      *zap.Logger
	cardinality cardinalityRegistry
	ready       atomic.Bool
	requests    *requestGate
	handler     http.Handler
}

// New returns a plane that answers at once and is not ready.
func New(s Settings) *Plane {
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Grace <= 0 {
		s.Grace = defaultGrace
	}
	p := &Plane{logger: s.Logger, requests: newRequestGate(s.Grace)}
	p.handler = p.requests.guard(api.New(api.Settings{
		Reporter: p,
		Ready:    p.ready.Load,
		Logger:   s.Logger,
		Timeout:  s.RequestTimeout,
	}))
	return p
}

// Handler serves the API. After Shutdown it answers 503.
func (p *Plane) Handler() http.Handler { return p.handler }

// SetReady says whether the collector's pipelines run.
func (p *Plane) SetReady(ready bool) { p.ready.Store(ready) }

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

// Cardinality implements api.Reporter: it asks one measuring point, or all of
// them if point is empty, one after the other and sorted by name. Sources that
// were registered more than once are asked once; different sources of a point
// are summed as sumCardinality says.
func (p *Plane) Cardinality(ctx context.Context, point string, q report.CardinalityQuery) ([]report.Cardinality, error) {
	return p.cardinality.ask(ctx, point, q)
}

// Shutdown refuses new requests, lets running ones end within the grace time,
// cancels the rest, and waits for them until ctx ends. It may be called twice.
func (p *Plane) Shutdown(ctx context.Context) error {
	p.SetReady(false)
	return p.requests.close(ctx)
}

package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// running finds the hub of each component id that is at work.
type running struct {
	newSecret func() series.Secret

	mu   sync.Mutex
	hubs map[component.ID]*hub
}

func newRunning() *running {
	return &running{newSecret: series.NewSecret, hubs: map[component.ID]*hub{}}
}

// application is what a pipeline asks for at Start.
type application struct {
	id     component.ID
	cfg    *Config
	set    component.TelemetrySettings
	signal string
	create func(*core) (part, error)
}

// join starts a part, and with the first of an id the hub.
func (r *running) join(ctx context.Context, host component.Host, a application) (*worker, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tel, err := newTelemetry(a.set, a.signal)
	if err != nil {
		return nil, fmt.Errorf("make the telemetry: %w", err)
	}
	h := r.hubs[a.id]
	if h == nil {
		if h, err = r.newHub(ctx, host, a, tel); err != nil {
			tel.builder.Shutdown()
			return nil, err
		}
	}
	w, err := h.admit(ctx, a, tel)
	if err != nil {
		tel.builder.Shutdown()
		if len(h.workers) == 0 {
			err = errors.Join(err, h.close(ctx))
		}
		return nil, err
	}
	r.hubs[a.id] = h
	return w, nil
}

// leave ends a part, and with the last of an id the hub.
func (r *running) leave(ctx context.Context, w *worker) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := w.core.hub
	err := h.dismiss(ctx, w)
	if len(h.workers) == 0 {
		delete(r.hubs, h.id)
		err = errors.Join(err, h.close(ctx))
	}
	return err
}

// hub is what the parts of one component id share: rules, state, reports.
type hub struct {
	id    component.ID
	given *Config // as it is written
	cfg   *Config // as parts see it
	log   *zap.Logger
	tel   *telemetry // of the part that came first
	now   func() time.Time
	began time.Time

	secret series.Secret
	state  *stateStore // nil: no storage
	rates  atomic.Pointer[traceRates]

	mu      sync.RWMutex // held to read while a part reports
	workers map[string]*worker

	rules      rulebook
	unregister func() // nil: nobody asks

	stop    chan struct{}
	running sync.WaitGroup
}

func (r *running) newHub(ctx context.Context, host component.Host, a application, tel *telemetry) (*hub, error) {
	h := &hub{
		id: a.id, given: a.cfg, cfg: a.cfg.shared(), log: a.set.Logger, tel: tel, now: time.Now,
		workers: map[string]*worker{}, stop: make(chan struct{}),
	}
	h.began = h.now()
	var err error
	if h.rules.source, err = findSource(host, a.cfg.Control); err != nil {
		return nil, err
	}
	if h.state, err = openState(ctx, host, a.cfg.Storage, a.id); err != nil {
		return nil, err
	}
	h.recallSecret(ctx, r.newSecret())
	h.beginRules(ctx)
	if err := h.register(host); err != nil {
		return nil, errors.Join(err, h.state.close(ctx))
	}
	h.running.Go(h.listen)
	return h, nil
}

// close ends the hub when no part is left.
func (h *hub) close(ctx context.Context) error {
	if h.unregister != nil {
		h.unregister()
	}
	close(h.stop)
	h.running.Wait()
	return h.state.close(ctx)
}

// worker is a part at work.
type worker struct {
	signal string
	core   *core
	part   part
	latest atomic.Pointer[lastReport]

	stop    context.CancelFunc
	context context.Context //nolint:containedctx // it ends with the loop
	running sync.WaitGroup
}

// admit makes a part and lets it work.
func (h *hub) admit(ctx context.Context, a application, tel *telemetry) (*worker, error) {
	if h.workers[a.signal] != nil {
		return nil, fmt.Errorf("%s is used in two pipelines of %s, which would divide one target and write one state: give each pipeline its own, such as %s/a and %s/b",
			a.id, a.signal, a.id.Type(), a.id.Type())
	}
	if h.given != a.cfg && !reflect.DeepEqual(h.given, a.cfg) {
		return nil, fmt.Errorf("%s is at work already with other options", a.id)
	}
	c := &core{
		cfg: h.cfg, set: a.set, log: a.set.Logger, tel: tel, secret: h.secret, now: h.now, id: a.id, hub: h,
	}
	p, err := a.create(c)
	if err != nil {
		return nil, err
	}
	w := &worker{signal: a.signal, core: c, part: p}
	w.context, w.stop = context.WithCancel(context.Background())
	w.latest.Store(&lastReport{})
	if err := w.observe(); err != nil {
		w.stop()
		return nil, errors.Join(fmt.Errorf("register the gauges: %w", err), p.stop(ctx))
	}
	h.rules.lock.Lock()
	p.apply(h.rules.inForce)
	h.restore(ctx, w)
	h.mu.Lock()
	h.workers[a.signal] = w
	h.mu.Unlock()
	h.rules.lock.Unlock()
	if r, ok := p.(traceRates); ok && a.signal == policy.SignalTraces {
		h.rates.Store(&r)
	}
	w.running.Go(w.loop)
	return w, nil
}

// dismiss ends a part: nothing comes any more.
func (h *hub) dismiss(ctx context.Context, w *worker) error {
	if w.signal == policy.SignalTraces {
		h.rates.Store(nil)
	}
	h.rules.lock.Lock()
	h.mu.Lock()
	delete(h.workers, w.signal)
	h.mu.Unlock()
	h.rules.lock.Unlock()
	w.stop()
	w.running.Wait()
	w.core.tel.builder.Shutdown()
	saved := h.save(ctx, w, true)
	return errors.Join(saved, w.part.stop(ctx))
}

// loop ends intervals until the part is to stop.
func (w *worker) loop() {
	c := w.core
	before, checkpoint := c.now(), c.now()
	ticker := time.NewTicker(c.cfg.Interval)
	defer ticker.Stop()
	first := true
	for {
		select {
		case <-w.context.Done():
			return
		case <-ticker.C:
		}
		now := c.now()
		w.part.adjust(now, max(0, now.Sub(before)))
		before = now
		w.look()
		if first {
			first = false
			c.hub.warnIdle(w)
		}
		if f, ok := w.part.(flusher); ok {
			f.flush(w.context)
		}
		if since := now.Sub(checkpoint); since >= c.cfg.Checkpoint || since < 0 {
			checkpoint = now
			_ = c.hub.save(w.context, w, false) // counted and logged; the last state stays
		}
	}
}

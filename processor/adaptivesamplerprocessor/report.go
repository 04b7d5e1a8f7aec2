package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

var _ report.SamplerSource = (*hub)(nil)

// register makes the processor known to control, if that takes reports.
func (h *hub) register(host component.Host) error {
	if h.cfg.Control == nil {
		return nil
	}
	registry, ok := host.GetExtensions()[*h.cfg.Control].(report.SamplerRegistry)
	if !ok {
		return nil
	}
	unregister, err := registry.RegisterSampler(report.SamplerRegistration{Component: h.id.String(), Source: h})
	if err != nil {
		return fmt.Errorf("register with %s: %w", h.cfg.Control, err)
	}
	h.unregister = unregister
	return nil
}

// PolicyVersion implements report.SamplerSource.
func (h *hub) PolicyVersion() uint64 { return h.rules.version.Load() }

// Sampling implements report.SamplerSource.
func (h *hub) Sampling(ctx context.Context) (report.Sampling, error) {
	out := report.Sampling{
		Component: h.id.String(), PolicyVersion: h.PolicyVersion(), Since: h.began, At: h.now(),
	}
	if problems := h.rules.problems.Load(); problems != nil {
		out.Problems = slices.Clone(*problems)
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, signal := range slices.Sorted(maps.Keys(h.workers)) {
		h.workers[signal].part.report(&out)
	}
	slices.SortFunc(out.Signals, func(a, b report.SampledSignal) int { return strings.Compare(a.Signal, b.Signal) })
	if len(out.Problems) > maxProblems {
		out.Problems = out.Problems[:maxProblems]
	}
	return out, ctx.Err()
}

// lastReport is what a part said after its last interval.
type lastReport struct{ report.Sampling }

// look takes what the part says now, for the gauges, and logs which budgets
// reached their floor or left it.
func (w *worker) look() {
	now, before := &lastReport{}, w.latest.Load()
	w.part.report(&now.Sampling)
	w.latest.Store(now)
	floored := map[string]bool{}
	for _, b := range before.Budgets {
		floored[b.Name] = b.FloorReached
	}
	for _, b := range now.Budgets {
		fields := []zap.Field{
			zap.String("budget", b.Name), zap.String("signal", b.Signal), zap.String("unit", b.Unit),
			zap.Float64("target", b.Target), zap.Float64("out", b.Out), zap.Float64("floor", b.Floor),
		}
		switch {
		case b.FloorReached && !floored[b.Name]:
			w.core.log.Warn("A budget is exceeded and its floor reached: no more is left out. Raise the budget, lower its floor, or send less", fields...)
		case !b.FloorReached && floored[b.Name]:
			w.core.log.Info("A budget is kept again", fields...)
		}
	}
}

// warnIdle says what is configured for signals that the processor is in no
// pipeline of. It is asked after an interval, when all pipelines have started.
func (h *hub) warnIdle(w *worker) {
	configured := h.configuredSignals()
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.workers[w.signal] != w || slices.Min(slices.Collect(maps.Keys(h.workers))) != w.signal {
		return // it stops, or another part says so
	}
	for _, signal := range configured {
		if h.workers[signal] == nil {
			h.log.Warn("There are rules or targets for a signal that the processor is in no pipeline of; they do nothing", zap.String("signal", signal))
		}
	}
	if h.cfg.Logs.WithTraces == WithTracesSampled && h.workers[policy.SignalLogs] != nil && h.workers[policy.SignalTraces] == nil {
		h.log.Warn("logs.with_traces is sampled, and the processor is in no pipeline of traces: records are kept without regard to traces. Put it in one, or write `with_traces: flag`")
	}
}

// configuredSignals are those that the configuration says something about.
func (h *hub) configuredSignals() []string {
	var list []string
	if t := h.cfg.Traces.Target; t.SpansPerSecond > 0 || t.PerService > 0 || len(t.Services) > 0 {
		list = append(list, policy.SignalTraces)
	}
	if t := h.cfg.Logs.Target; t.RecordsPerSecond > 0 || t.PerService > 0 || len(t.Services) > 0 {
		list = append(list, policy.SignalLogs)
	}
	for _, r := range h.cfg.Rules {
		list = append(list, signalOf(&r))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// signalOf is the signal that a rule is about.
func signalOf(r *policy.SamplingRule) string {
	if r.Budget != nil {
		return r.Budget.Signal
	}
	return policy.SignalMetrics
}

// observe registers the asynchronous instruments. They show what the part said
// after its last interval.
func (w *worker) observe() error {
	t := w.core.tel.builder
	return errors.Join(
		t.RegisterProcessorAdaptiveSamplerKeysCallback(w.ofSignal(func(s *report.SampledSignal) uint64 { return s.Keys })),
		t.RegisterProcessorAdaptiveSamplerEvictedKeysCallback(w.ofSignal(func(s *report.SampledSignal) uint64 { return s.KeysEvicted })),
		t.RegisterProcessorAdaptiveSamplerKeyProbabilityCallback(w.observeKeys),
		t.RegisterProcessorAdaptiveSamplerBudgetLevelCallback(w.ofBudgets(false, func(b *report.SampledBudget) float64 { return b.Level })),
		t.RegisterProcessorAdaptiveSamplerBudgetErrorCallback(w.ofBudgets(false, func(b *report.SampledBudget) float64 { return b.Error })),
		t.RegisterProcessorAdaptiveSamplerBudgetTargetCallback(w.ofBudgets(true, func(b *report.SampledBudget) float64 { return b.Target })),
		t.RegisterProcessorAdaptiveSamplerBudgetOutCallback(w.ofBudgets(true, func(b *report.SampledBudget) float64 { return b.Out })),
		t.RegisterProcessorAdaptiveSamplerBudgetFloorReachedCallback(w.observeFloors),
		t.RegisterProcessorAdaptiveSamplerDeadBandSeriesCallback(w.ofDeadBands(func(remembered, _ uint64) uint64 { return remembered })),
		t.RegisterProcessorAdaptiveSamplerDeadBandAbandonedSeriesCallback(w.ofDeadBands(func(_, abandoned uint64) uint64 { return abandoned })),
		t.RegisterProcessorAdaptiveSamplerRulesCallback(w.observeRules),
		t.RegisterProcessorAdaptiveSamplerPolicyVersionCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(w.core.hub.PolicyVersion()), w.with()) //nolint:gosec // a count of changes
			return nil
		}),
		t.RegisterProcessorAdaptiveSamplerStateBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
			if s := w.core.hub.state; s != nil {
				o.Observe(s.bytes(w.signal), w.with())
			}
			return nil
		}),
	)
}

// with makes attributes beside that of the signal.
func (w *worker) with(attributes ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributes(append(attributes, w.core.tel.signal)...)
}

func (w *worker) ofSignal(value func(*report.SampledSignal) uint64) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		signals := w.latest.Load().Signals
		for i := range signals {
			o.Observe(int64(value(&signals[i])), w.with()) //nolint:gosec // a count
		}
		return nil
	}
}

func (w *worker) ofBudgets(unit bool, value func(*report.SampledBudget) float64) metric.Float64Callback {
	return func(_ context.Context, o metric.Float64Observer) error {
		budgets := w.latest.Load().Budgets
		for i := range budgets {
			b := &budgets[i]
			if unit {
				o.Observe(value(b), w.with(attribute.String("budget", b.Name), attribute.String("unit", b.Unit)))
			} else {
				o.Observe(value(b), w.with(attribute.String("budget", b.Name)))
			}
		}
		return nil
	}
}

func (w *worker) observeFloors(_ context.Context, o metric.Int64Observer) error {
	for _, b := range w.latest.Load().Budgets {
		var reached int64
		if b.FloorReached {
			reached = 1
		}
		o.Observe(reached, w.with(attribute.String("budget", b.Name)))
	}
	return nil
}

// maxKeysShown bounds the keys of which the probability is a gauge.
const maxKeysShown = 100

func (w *worker) observeKeys(_ context.Context, o metric.Float64Observer) error {
	keys := w.latest.Load().Keys
	for _, k := range keys[:min(len(keys), maxKeysShown)] {
		o.Observe(k.Probability, w.with(attribute.String("key", k.Key)))
	}
	return nil
}

func (w *worker) ofDeadBands(value func(remembered, abandoned uint64) uint64) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		if b, ok := w.part.(deadBands); ok {
			o.Observe(int64(value(b.deadBandSeries()))) //nolint:gosec // a count
		}
		return nil
	}
}

func (w *worker) observeRules(_ context.Context, o metric.Int64Observer) error {
	var n int64
	for _, r := range *w.core.hub.rules.current.Load() {
		if signalOf(&r.SamplingRule) == w.signal {
			n++
		}
	}
	o.Observe(n, w.with())
	return nil
}

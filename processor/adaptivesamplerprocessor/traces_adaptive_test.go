package adaptivesamplerprocessor

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

const interval = 5 * time.Second

// flowRig measures what goes on in each interval of a processor.
type flowRig struct {
	*spanRig
	random       traffic
	kept, errors int
	sizer        ptrace.ProtoMarshaler
	bytes        int
}

func newFlowRig(tb testing.TB, yaml string, seed uint64) *flowRig {
	tb.Helper()
	r := &flowRig{random: newTraffic(seed)}
	next, err := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) error {
		r.kept += td.SpanCount()
		r.bytes += r.sizer.TracesSize(td)
		for _, s := range spansOf(td) {
			if s.Status().Code() == ptrace.StatusCodeError {
				r.errors++
			}
		}
		return nil
	})
	require.NoError(tb, err)
	r.spanRig = newSpanRig(tb, yaml, next)
	return r
}

// load is what comes a second of a service, 1 in 200 with an error.
type load struct {
	service   string
	perSecond int
}

// run lets an interval pass, and returns how many spans and bytes went on a second.
func (r *flowRig) run(loads ...load) (spans, bytes float64) {
	r.tb.Helper()
	r.kept, r.bytes = 0, 0
	const ticks = 50
	for range ticks {
		for _, l := range loads {
			list := make([]spanSpec, l.perSecond*int(interval/time.Second)/ticks)
			for i := range list {
				list[i] = spanSpec{id: r.random.trace(), name: "work", took: time.Millisecond, error: r.random.IntN(200) == 0}
			}
			r.send(batchOf(l.service, list...))
		}
		time.Sleep(interval / ticks)
	}
	synctest.Wait()
	return float64(r.kept) / interval.Seconds(), float64(r.bytes) / interval.Seconds()
}

// converge runs a load and asserts that from the fifth interval on the target is
// kept: on average within 7 %, in no interval beyond 20 %.
func (r *flowRig) converge(target float64, unit string, loads ...load) {
	r.tb.Helper()
	for range 5 {
		r.run(loads...)
	}
	sum := 0.0
	const intervals = 8
	for range intervals {
		out, bytes := r.run(loads...)
		if unit == unitBytes {
			out = bytes
		}
		assert.InDelta(r.tb, target, out, 0.2*target)
		sum += out
	}
	assert.InDelta(r.tb, target, sum/intervals, 0.07*target)
}

// TestTargetsAreReachedAfterAStep: within five intervals of a step of ten, up and
// down, whatever the target is one of.
func TestTargetsAreReachedAfterAStep(t *testing.T) {
	f := func(name, yaml, unit string, target float64, loads ...load) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newFlowRig(t, yaml, 1)
				defer r.end()
				high := make([]load, len(loads))
				for i, l := range loads {
					high[i] = load{l.service, 10 * l.perSecond}
				}
				for _, l := range [][]load{loads, high, loads} {
					r.converge(target, unit, l...)
				}
			})
		})
	}
	one, two := load{"checkout", 500}, load{"cart", 300}
	f("total", "traces: {target: {spans_per_second: 100}}", unitPoints, 100, one, two)
	f("each service", "traces: {target: {per_service: 60}}", unitPoints, 120, one, two)
	f("some services", "traces: {target: {per_service: 60, services: {cart: 20}}}", unitPoints, 80, one, two)
	f("errors kept", "traces: {target: {spans_per_second: 100}, keep: [{status: error}]}", unitPoints, 100, one, two)
	f("keys of spans", "traces: {target: {spans_per_second: 100}, key: [resource.service.name, span.status], incomplete_traces: allow}",
		unitPoints, 100, one, two)
	f("budget", "rules: [{name: a, budget: {signal: traces, points_per_second: 100, floor: 0.0001}}]", unitPoints, 97.5, one, two)
	f("budget in bytes", "rules: [{name: a, budget: {signal: traces, bytes_per_second: 10_000, floor: 0.0001}}]", unitBytes, 9750, one, two)
	f("budget below a target", "traces: {target: {spans_per_second: 200}}\nrules: [{name: a, budget: {signal: traces, points_per_second: 100, floor: 0.0001}}]",
		unitPoints, 97.5, one, two)
	f("budget above a target", "traces: {target: {spans_per_second: 100}}\nrules: [{name: a, budget: {signal: traces, points_per_second: 400}}]",
		unitPoints, 100, one, two)
}

// TestRareKeysAreWhole beside one that sends a hundred times the target.
func TestRareKeysAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFlowRig(t, "traces: {target: {spans_per_second: 100}}", 2)
		defer r.end()
		keys := func() (checkout, cart report.SampledKey) {
			for range 5 {
				r.run(load{"checkout", 10_000}, load{"cart", 10})
			}
			list := r.report().Keys
			require.Len(t, list, 2)
			return list[0], list[1]
		}
		_, before := keys() // in the first intervals nothing is known of keys
		frequent, rare := keys()
		assert.Equal(t, "checkout", frequent.Key)
		assert.InDelta(t, 0.009, frequent.Probability, 0.002)
		assert.Equal(t, "cart", rare.Key)
		assert.Equal(t, rare.In-before.In, rare.Kept-before.Kept)
		assert.InDelta(t, 1, rare.Probability, 0)
	})
}

// report is what the part says.
func (r *spanRig) report() (out report.Sampling) {
	r.part().report(&out)
	return out
}

// TestErrorsAndSlowSpansAreKept: all of the errors, and about one span in a
// hundred for being slow among those of its key.
func TestErrorsAndSlowSpansAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFlowRig(t, `
traces:
  target: {spans_per_second: 100}
  keep: [{status: error}, {latency: {quantile: 0.99}}]
`, 3)
		defer r.end()
		errors, slow, came := 0, 0, 0
		for second := range 120 {
			counted := second >= 30
			for service, median := range map[string]float64{"checkout": 10, "cart": 100} {
				list := make([]spanSpec, 500)
				for i := range list {
					took := time.Duration(median * math.Exp(r.random.NormFloat64()) * float64(time.Millisecond))
					list[i] = spanSpec{id: r.random.trace(), took: took, error: r.random.IntN(100) == 0}
					if counted && list[i].error {
						errors++
					}
				}
				td := batchOf(service, list...)
				if counted {
					came += len(list)
				}
				slow += r.slowIn(td, counted)
			}
			if second == 29 {
				r.errors = 0
			}
			time.Sleep(time.Second)
		}
		assert.Equal(t, errors, r.errors, "all errors are kept")
		share := float64(slow) / float64(came)
		assert.InDelta(t, 0.0125, share, 0.0075, "kept for being slow")
	})
}

// slowIn samples a batch and counts what is kept for being slow: what has th:0 but
// no error, while the rate of its key is far below 1.
func (r *flowRig) slowIn(td ptrace.Traces, counted bool) int {
	require.NoError(r.tb, r.p.ConsumeTraces(r.tb.Context(), td))
	if !counted {
		return 0
	}
	n := 0
	for _, s := range spansOf(td) {
		if s.TraceState().AsRaw() == "ot=th:0" && s.Status().Code() != ptrace.StatusCodeError {
			n++
		}
	}
	return n
}

// TestBudgetInPreview leaves nothing out, and says how much it would.
func TestBudgetInPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFlowRig(t, "rules: [{name: a, mode: preview, budget: {signal: traces, points_per_second: 100, floor: 0.001}}]", 4)
		defer r.end()
		for range 6 {
			out, _ := r.run(load{"checkout", 1000})
			assert.InDelta(t, 1000, out, 0)
		}
		budgets := r.report().Budgets
		require.Len(t, budgets, 1)
		assert.InDelta(t, 1000, budgets[0].In, 1)
		assert.InDelta(t, 97.5, budgets[0].Out, 20)
		assert.InDelta(t, 0.0975, budgets[0].Level, 0.02)
	})
}

// TestPreviewDoesNotHideABudget: one in preview before another measures beside it.
func TestPreviewDoesNotHideABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFlowRig(t, `
rules:
  - {name: new, mode: preview, budget: {signal: traces, points_per_second: 50, floor: 0.001}}
  - {name: old, budget: {signal: traces, points_per_second: 200, floor: 0.001}}
`, 5)
		defer r.end()
		var out float64
		for range 12 {
			out, _ = r.run(load{"checkout", 1000})
		}
		assert.InDelta(t, 195, out, 40)
		budgets := r.report().Budgets
		require.Len(t, budgets, 2)
		assert.InDelta(t, 48.75, budgets[0].Out, 15)
		assert.InDelta(t, 195, budgets[1].Out, 40)
	})
}

// TestBudgetAtItsFloor is exceeded, and says so until it is not.
func TestBudgetAtItsFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFlowRig(t, "rules: [{name: a, budget: {signal: traces, points_per_second: 100}}]", 6)
		defer r.end()
		for range 8 {
			r.run(load{"checkout", 5000})
		}
		b := r.report().Budgets[0]
		assert.Equal(t, report.SampledBudget{
			Name: "a", Signal: policy.SignalTraces, Static: true, Unit: unitPoints, Target: 100, In: b.In, Out: b.Out, Level: 0.1,
			Floor: 0.1, Ceiling: 1, Error: b.Error, FloorReached: true,
		}, b)
		assert.InDelta(t, 500, b.Out, 60)
		assert.InDelta(t, 4, b.Error, 0.6)
		for range 8 {
			r.run(load{"checkout", 200})
		}
		assert.False(t, r.report().Budgets[0].FloorReached)
	})
}

// TestMinProbability holds under targets and budgets.
func TestMinProbability(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFlowRig(t, `
traces: {target: {spans_per_second: 10}, min_probability: 0.2}
rules: [{name: a, budget: {signal: traces, points_per_second: 1}}]
`, 7)
		defer r.end()
		for range 8 {
			r.run(load{"checkout", 1000})
		}
		out, _ := r.run(load{"checkout", 1000})
		assert.InDelta(t, 200, out, 25)
		for _, b := range r.report().Budgets {
			assert.True(t, b.FloorReached, b.Name)
		}
	})
}

// TestThresholdForLogs is that of the resource's spans.
func TestThresholdForLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(yaml string, want float64, known bool) {
			t.Helper()
			r := newFlowRig(t, yaml, 8)
			defer r.end()
			for range 8 {
				r.run(load{"checkout", 1000})
			}
			resource := pcommon.NewMap()
			resource.PutStr("service.name", "checkout")
			rates := r.running.hubs[samplerID].rates.Load()
			require.NotNil(t, rates)
			th, got := (*rates).threshold(resource)
			require.Equal(t, known, got, yaml)
			assert.InDelta(t, want, th.Probability(), 0.2*want, yaml)
			resource.PutStr("service.name", "never seen")
			_, got = (*rates).threshold(resource)
			assert.False(t, got, yaml)
		}
		f("traces: {target: {spans_per_second: 100}}", 0.1, true)
		f("traces: {target: {spans_per_second: 100}}\n"+fixed("0.1"), 0.01, true)
		f("traces: {target: {services: {checkout: 50}}}", 0.05, true)
		f(fixed("0.25"), 0.25, true)
		f("traces: {target: {services: {cart: 50}}}", 1, false)
		f("{}", 1, false)
		f("traces: {key: [resource.service.name, span.name], incomplete_traces: allow, target: {spans_per_second: 100}}", 1, false)
	})
}

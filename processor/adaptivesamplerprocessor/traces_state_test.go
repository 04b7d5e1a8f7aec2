package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
)

const targetAndBudget = `
traces: {target: {spans_per_second: 200}}
rules: [{name: a, budget: {signal: traces, points_per_second: 100, floor: 0.001}}]
`

// saved are the values that a part saved.
type saved map[string][]byte

func (s saved) of(tb testing.TB, p part) saved {
	tb.Helper()
	require.NoError(tb, p.save(false, func(key string, value []byte) error {
		s[key] = append([]byte(nil), value...)
		return nil
	}))
	return s
}

func (s saved) read(key string) ([]byte, error) { return s[key], nil }

// TestRatesAndLevelsAfterARestart: a processor that takes up a state decides as the
// one that wrote it.
func TestRatesAndLevelsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newFlowRig(t, targetAndBudget, 1)
		defer before.end()
		for range 8 {
			before.run(load{"checkout", 1000}, load{"cart", 100})
		}
		state := saved{}.of(t, before.part())
		td := newTraffic(9).withStates("checkout", 2000, "")
		appendSpans(td, "cart", []spanSpec{{id: traceWith(t, "4")}})
		sent := func(r *flowRig) map[string]string {
			out := spansCopy(td)
			r.part().sample(t.Context(), out)
			states := map[string]string{}
			for id, state := range statesByTrace(out) {
				states[id.String()] = state
			}
			return states
		}
		after := newFlowRig(t, targetAndBudget, 1)
		defer after.end()
		assert.Greater(t, len(sent(after)), 1900, "without a state it begins anew")

		restored := newFlowRig(t, targetAndBudget, 1)
		defer restored.end()
		require.NoError(t, restored.part().restore(state.read))
		want := sent(before)
		assert.InDelta(t, 2000*97.5/1100, len(want), 60)
		assert.Equal(t, want, sent(restored))
		assert.InDelta(t, before.report().Budgets[1].Level, restored.report().Budgets[1].Level, 0)
		out, _ := restored.run(load{"checkout", 1000}, load{"cart", 100})
		assert.InDelta(t, 97.5, out, 35, "from the first interval on")
	})
}

func TestStatesThatCannotBeUsed(t *testing.T) {
	r := newSpanRig(t, targetAndBudget, nil)
	defer r.end()
	p := r.part()
	require.NoError(t, p.restore(saved{}.read), "nothing was saved")
	good := saved{}.of(t, p)
	f := func(key, value, want string) {
		t.Helper()
		err := p.restore(saved{stateOfKeys: good[stateOfKeys], stateOfBudgets: good[stateOfBudgets], key: []byte(value)}.read)
		require.ErrorContains(t, err, want)
	}
	f(stateOfBudgets, "{", "levels of budgets: unexpected end of JSON input")
	f(stateOfBudgets, `{"version":2}`, "levels of budgets: version 2, want 1")
	f(stateOfBudgets, "", "levels of budgets: unexpected end of JSON input")
	require.ErrorIs(t, p.restore(saved{stateOfKeys: []byte("{")}.read), keyrate.ErrDamaged)
	require.NoError(t, p.restore(saved{stateOfBudgets: []byte(`{"version":1,"groups":{"a/points":{"Level":-7,"Gain":1e300},"unknown":{}}}`)}.read))
	assert.InDelta(t, 1, r.report().Budgets[0].Level, 0, "what makes no sense begins anew")

	unread := errors.New("disk is gone")
	require.ErrorIs(t, p.restore(func(string) ([]byte, error) { return nil, unread }), unread)
	require.ErrorIs(t, p.save(true, func(string, []byte) error { return unread }), unread)
	r.send(newTraffic(1).withStates("checkout", 10, ""))
	require.Equal(t, 10, r.sink.SpanCount(), "it goes on")
}

// FuzzRestoreOfBudgets: any state is an error or one that works.
func FuzzRestoreOfBudgets(f *testing.F) {
	for _, seed := range []string{
		"", "{", `{"version":1}`, `{"version":1,"groups":{"a/points":{"Level":0.5,"Elasticity":1,"Gain":1}}}`,
		`{"version":1,"groups":{"a/points":{"Level":1e308,"LastIn":1e308,"LastOut":1e308}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		b, err := newItemBudgets(policy.SignalTraces, func(string, error) {})
		require.NoError(t, err)
		b.apply([]ruleInForce{budgetRule("a", policy.Budget{PointsPerSecond: 100, Floor: 0.1, Ceiling: 1})})
		_ = b.restore(state)
		for range 3 {
			for _, flow := range b.flows {
				flow.in.Add(1000)
				flow.out.Add(uint64(1000 * flow.current()))
			}
			b.step(time.Second)
			level := b.report()[0].Level
			require.True(t, level >= 0.1 && level <= 1, "%v", level)
		}
		out, err := b.save()
		require.NoError(t, err)
		require.NoError(t, b.restore(out))
	})
}

func budgetRule(name string, b policy.Budget) ruleInForce {
	b.Signal = policy.SignalTraces
	return ruleInForce{SamplingRule: policy.SamplingRule{Name: name, Mode: policy.ModeEnforce, Budget: &b}.WithDefaults()}
}

// TestRulesAreReplacedWithoutLosingLevels.
func TestRulesAreReplacedWithoutLosingLevels(t *testing.T) {
	var refused []string
	b, err := newItemBudgets(policy.SignalTraces, func(rule string, err error) { refused = append(refused, rule+": "+err.Error()) })
	require.NoError(t, err)
	levels := func() map[string]float64 {
		m := map[string]float64{}
		for _, r := range b.report() {
			m[r.Name] = r.Level
		}
		return m
	}
	one := budgetRule("one", policy.Budget{PointsPerSecond: 100, Floor: 0.001})
	two := budgetRule("two", policy.Budget{PointsPerSecond: 100, Floor: 0.001})
	b.apply([]ruleInForce{one, two})
	for _, flow := range b.flows {
		flow.in.Add(1000)
		flow.out.Add(1000)
	}
	b.step(time.Second)
	low := levels()["one"]
	require.Less(t, low, 0.2)
	require.Equal(t, map[string]float64{"one": low, "two": low}, levels())

	changed := budgetRule("one", policy.Budget{PointsPerSecond: 120, Floor: 0.001})
	other := budgetRule("two", policy.Budget{BytesPerSecond: 100, Floor: 0.001})
	logs := budgetRule("three", policy.Budget{PointsPerSecond: 1})
	logs.Budget.Signal = policy.SignalLogs
	b.apply([]ruleInForce{
		changed, other, logs,
		budgetRule("none", policy.Budget{}),
		budgetRule("metric", policy.Budget{PointsPerSecond: 1, Match: policy.BudgetMatch{Metric: "x"}}),
		budgetRule("pattern", policy.Budget{PointsPerSecond: 1, Match: policy.BudgetMatch{Resource: []policy.Condition{{Attribute: "a", Value: "/(/"}}}}),
	})
	assert.Equal(t, map[string]float64{"one": low, "two": 1}, levels(), "in another unit it is another one")
	require.Len(t, refused, 3)
	assert.Contains(t, refused[0], "none: budget: ")
	assert.Equal(t, "metric: budget.match.metric: spans have no metric", refused[1])
	assert.Contains(t, refused[2], "pattern: budget.match.resource[0].value: ")
	b.apply(nil)
	assert.Empty(t, levels())
	b.apply([]ruleInForce{one})
	assert.Equal(t, map[string]float64{"one": 1}, levels(), "one that was gone begins anew")
}

// TestABudgetAnswersOnceToAStep: what targets have answered already is not
// answered by a budget as well.
func TestABudgetAnswersOnceToAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFlowRig(t, targetAndBudget, 2)
		defer r.end()
		for range 10 {
			r.run(load{"checkout", 800})
		}
		r.run(load{"checkout", 8000})
		for range 3 {
			out, _ := r.run(load{"checkout", 8000})
			assert.InDelta(t, 97.5, out, 30, "both answering, it would be a tenth of that")
		}
	})
}

// TestConcurrentBatches runs everything at once; the race detector watches.
func TestConcurrentBatches(t *testing.T) {
	tel := componenttest.NewTelemetry()
	r := newSpanRigOf(t, `
traces:
  key: [resource.service.name, span.name, trace.state.tenant]
  incomplete_traces: allow
  target: {spans_per_second: 100, per_service: 50}
  keep: [{status: error}, {latency: {quantile: 0.9}}]
  max_keys: 50
rules: [{name: a, budget: {signal: traces, bytes_per_second: 1000}}]
`, consumertest.NewNop(), tel.NewTelemetrySettings())
	p := r.part()
	const workers, batches, spans = 8, 40, 100
	var running, adjusting sync.WaitGroup
	stop := make(chan struct{})
	adjusting.Go(func() {
		rules := []ruleInForce{budgetRule("a", policy.Budget{BytesPerSecond: 1000}), budgetRule("b", policy.Budget{PointsPerSecond: 10})}
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			p.adjust(time.Unix(int64(i), 0), time.Second)
			p.apply(rules[:i%3])
			r.report()
			_ = saved{}.of(t, p)
			p.threshold(ptrace.NewResourceSpans().Resource().Attributes())
		}
	})
	for worker := range workers {
		running.Go(func() {
			random := newTraffic(uint64(worker))
			for range batches {
				td := random.withStates([]string{"checkout", "cart"}[random.IntN(2)], spans, "", "ot=th:0", "tenant=a", "tenant=b,ot=th:8")
				for _, s := range spansOf(td) {
					s.SetName(string(rune('a' + random.IntN(100))))
				}
				assert.NoError(t, r.p.ConsumeTraces(t.Context(), td))
			}
		})
	}
	running.Wait()
	close(stop)
	adjusting.Wait()
	r.end()
	counts := itemCounters(t, tel)
	assert.EqualValues(t, workers*batches*spans, counts["received"])
	out := int64(0)
	for name, n := range counts {
		if name[:4] == "kept" || name[:4] == "left" {
			out += n
		}
	}
	assert.Equal(t, counts["received"], out, "each span is counted once: %v", counts)
	require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context())))
}

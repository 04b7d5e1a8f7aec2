package adaptivesamplerprocessor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/report"
)

// walkers are gauges that walk at random, of many sources that send every 15s, each at its own time.
type walkers struct {
	t      *testing.T
	rig    *metricsRig
	rng    *rand.Rand
	values []float64
	delta  bool // counts instead
	out    int
	// walk is how far they go in 15s. The fewest points that a dead band can let
	// through are heartbeats, so it is what moves that a budget can answer to, not
	// how many series there are.
	walk float64
}

// The paces of walkers: hardly a point is worth sending, and hardly one is not.
const calm, restless = 0.002, 0.02

func newWalkers(t *testing.T, yaml string, delta bool) *walkers {
	t.Helper()
	w := &walkers{t: t, rng: rand.New(rand.NewPCG(1, 2)), delta: delta, walk: restless}
	w.rig = newPlainRig(t, yaml, func(md pmetric.Metrics) error {
		w.out += md.DataPointCount()
		return nil
	})
	return w
}

// second sends what is due within one second; n series exist.
func (w *walkers) second(n int) {
	const interval = 15
	now := time.Now()
	for len(w.values) < n {
		w.values = append(w.values, 1000*math.Exp(w.rng.NormFloat64()))
	}
	md := pmetric.NewMetrics()
	m := metricOf(md, "walkers", "w")
	points := m.SetEmptyGauge().DataPoints()
	if w.delta {
		m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		m.Sum().SetIsMonotonic(true)
		points = m.Sum().DataPoints()
	}
	for i := int(now.Unix()) % interval; i < n; i += interval {
		w.values[i] *= math.Exp(w.walk * w.rng.NormFloat64())
		p := points.AppendEmpty()
		p.Attributes().PutInt("i", int64(i))
		p.SetTimestamp(stamp(now))
		p.SetDoubleValue(w.values[i])
	}
	if points.Len() > 0 {
		require.NoError(w.t, w.rig.send(md))
	}
	time.Sleep(time.Second)
	synctest.Wait()
}

// run lets time pass and returns what went out a second in each minute, and the budget after it.
func (w *walkers) run(minutes int, load func(minute int) int) (rates []float64, budgets []report.SampledBudget) {
	for minute := range minutes {
		before := w.out
		for range 60 {
			w.second(load(minute))
		}
		rates = append(rates, float64(w.out-before)/60)
		budgets = append(budgets, w.rig.sampling().Budgets[0])
	}
	return rates, budgets
}

const walkersTarget = 40.0

var walkersRules = map[string]string{
	"dead band in points": `
rules:
  - {name: w, dead_band: {match: {metric: w}, tolerance: {relative: 0.005}}}
  - {name: b, budget: {signal: metrics, match: {metric: w}, points_per_second: 40, floor: 0.01}}
`,
	"series multiplied": `
rules:
  - {name: w, series: {match: {metric: w}, ratio: 0.9, weigh: multiply}}
  - {name: b, budget: {signal: metrics, match: {metric: w}, points_per_second: 40, floor: 0.001}}
`,
}

// requireSettles demands the target from so many minutes on.
func requireSettles(t *testing.T, rates []float64, from, within int) {
	t.Helper()
	for i, r := range rates[from+within:] {
		require.InDelta(t, walkersTarget, r, 0.12*walkersTarget, "%d minutes after: %.1f", within+i, rates)
	}
}

// Steps of ten up and down are followed within five intervals of the budget, which are of one heartbeat each, and nothing swings.
func TestBudgetsOfMetricsFollowSteps(t *testing.T) {
	const steps = 15 // minutes each
	up := func(minute int) bool { return minute >= steps && minute < 2*steps }
	t.Run("dead band in points", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWalkers(t, walkersRules["dead band in points"], false)
			defer w.rig.end()
			rates, budgets := w.run(3*steps, func(minute int) int {
				w.walk = map[bool]float64{true: restless, false: calm}[up(minute)]
				return 1200
			})
			t.Logf("points a second: %.0f", rates)
			requireSettles(t, rates[:2*steps], steps, 6) // a step begins within an interval
			for _, end := range []int{steps, 3 * steps} {
				require.Less(t, rates[end-1], walkersTarget, "all that is configured to go on")
				require.InDelta(t, 1.0, budgets[end-1].Level, 0)
			}
			require.Less(t, turnsOf(budgets[steps+7:2*steps]), 3, "it swings")
		})
	})
	t.Run("series multiplied", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWalkers(t, walkersRules["series multiplied"], true)
			defer w.rig.end()
			rates, budgets := w.run(3*steps, func(minute int) int { return map[bool]int{true: 12_000, false: 1200}[up(minute)] })
			t.Logf("points a second: %.0f", rates)
			for _, from := range []int{0, steps, 2 * steps} {
				requireSettles(t, rates[:from+steps], from, 6)
			}
			require.Less(t, turnsOf(budgets[7:steps])+turnsOf(budgets[steps+7:2*steps])+turnsOf(budgets[2*steps+7:]), 4, "it swings")
		})
	})
}

// turnsOf counts how often a level changed its direction by more than 5 %.
func turnsOf(budgets []report.SampledBudget) (n int) {
	direction := 0.0
	for i := 1; i < len(budgets); i++ {
		if move := math.Log(budgets[i].Level / budgets[i-1].Level); math.Abs(move) > 0.05 {
			if move*direction < 0 {
				n++
			}
			direction = move
		}
	}
	return n
}

func TestBudgetsOfMetricsFollowRampsBurstsAndSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWalkers(t, walkersRules["dead band in points"], false)
		defer w.rig.end()
		rates, _ := w.run(30, func(minute int) int {
			w.walk = calm * math.Pow(restless/calm, float64(minute)/29)
			return 1500
		})
		for i, r := range rates[6:] {
			require.LessOrEqual(t, r, 1.25*walkersTarget, "ramp, minute %d: %.0f", 6+i, rates)
		}
		burst, _ := w.run(12, func(minute int) int {
			w.walk = map[bool]float64{true: 10 * restless, false: restless}[minute == 2]
			return 1500
		})
		t.Logf("burst: %.0f", burst)
		requireSettles(t, burst, 2, 7)
		quiet, _ := w.run(4, func(int) int { return 0 })
		require.Zero(t, quiet[3])
		again, _ := w.run(10, func(int) int { return 1500 })
		t.Logf("after silence: %.0f", again)
		requireSettles(t, again, 0, 6)
	})
}

func TestABudgetAtItsFloorSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWalkers(t, `
rules:
  - {name: w, dead_band: {match: {metric: w}, tolerance: {relative: 0.005}}}
  - {name: b, budget: {signal: metrics, points_per_second: 1, floor: 0.5}}
`, false)
		defer w.rig.end()
		_, budgets := w.run(8, func(int) int { return 3000 })
		last := budgets[7]
		require.True(t, last.FloorReached)
		require.InDelta(t, 0.5, last.Level, 0)
		require.Positive(t, last.Error)
		require.InDelta(t, 200, last.In, 5)
		_, budgets = w.run(8, func(int) int { return 15 })
		require.False(t, budgets[7].FloorReached)
	})
}

// A budget in bytes counts the points as OTLP has them.
func TestBudgetsInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bytes := 0
		rig := newPlainRig(t, `
rules:
  - {name: all, dead_band: {match: {metric: "*"}, tolerance: {relative: 0.01}}}
  - {name: b, mode: preview, budget: {signal: metrics, bytes_per_second: 1000}}
`, func(md pmetric.Metrics) error {
			for _, p := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().All() {
				bytes += sizer.NumberDataPointSize(p)
			}
			return nil
		})
		defer rig.end()
		in := 0
		for i := range 30 {
			md := pmetric.NewMetrics()
			m := metricOf(md, "s", "c")
			counterPoint(m, time.Now(), time.Unix(1, 0), map[bool]float64{true: 1, false: 1000 * float64(i)}[i%10 < 8], 1)
			in += sizer.NumberDataPointSize(m.Sum().DataPoints().At(0))
			require.NoError(t, rig.send(md))
			time.Sleep(2 * time.Second)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b := rig.sampling().Budgets[0]
		require.Equal(t, "bytes", b.Unit)
		require.InDelta(t, 1.0, b.Level, 0, "one in preview does nothing")
		require.InDelta(t, float64(in)/60, b.In, 0.1*b.In)
		require.InDelta(t, float64(bytes)/60, b.Out, 0.1*b.Out)
		require.InDelta(t, b.Out/1000-1, b.Error, 1e-9)
	})
}

// Rules may be swapped at any time: a budget goes on at the level that it has found.
func TestAnotherPolicyKeepsTheLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWalkers(t, walkersRules["dead band in points"], false)
		defer w.rig.end()
		_, budgets := w.run(10, func(int) int { return 1500 })
		level := budgets[9].Level
		require.Less(t, level, 0.5)
		h := w.rig.running.hubs[samplerID]
		h.rules.lock.Lock()
		rules := append([]ruleInForce{}, h.rules.inForce...)
		rules[1].SamplingRule = rules[1].WithDefaults()
		rules[1].Budget.PointsPerSecond = 38
		rules[1].since = time.Now()
		w.rig.part().apply(rules)
		h.rules.lock.Unlock()
		b := w.rig.sampling().Budgets[0]
		require.InDelta(t, level, b.Level, 1e-12)
		require.InDelta(t, 38, b.Target, 0)
		rates, _ := w.run(3, func(int) int { return 1500 })
		require.InDelta(t, 38, rates[2], 6)
	})
}

// Half the level is twice the tolerance: what a point may differ by is seen in what comes out.
func TestALevelDividesTolerances(t *testing.T) {
	r := &metricRule{}
	r.band.Absolute, r.band.Relative = 2, 0.3
	half := r.at(0.5)
	require.InDelta(t, 4, half.Absolute, 0)
	require.InDelta(t, 0.6, half.Relative, 0)
	tenth := r.at(0.1)
	require.InDelta(t, largestShare, tenth.Relative, 0, "a share of all or more is none")
	require.NoError(t, func() error { tenth.Heartbeat = 1; return tenth.Validate() }())
	require.Equal(t, r.band, r.at(1))
}

func TestTheStepOfABudgetIsAHeartbeat(t *testing.T) {
	b := &metricBudget{}
	for _, c := range []struct{ interval, heartbeat, want time.Duration }{
		{5 * time.Second, 0, time.Minute},
		{2 * time.Minute, 0, 2 * time.Minute},
		{5 * time.Second, 20 * time.Second, 20 * time.Second},
		{5 * time.Second, time.Hour, 5 * time.Minute},
	} {
		b.heartbeat.Store(0)
		b.meet(uint64(c.heartbeat))
		b.meet(uint64(c.heartbeat / 2))
		require.Equal(t, c.want, b.step(c.interval), fmt.Sprint(c), strconv.Itoa(int(c.interval)))
	}
}

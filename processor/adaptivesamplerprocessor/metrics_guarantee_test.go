package adaptivesamplerprocessor

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"
)

// The rules of the world below: gauges by several rules, counters by what they grow, histograms in measurements, and one that
// lines are drawn of.
const worldRules = `
rules:
  - name: first
    dead_band: {match: {metric: gauge.*, point: [{attribute: "n", value: "0"}]}, tolerance: {absolute: 3}}
  - name: gauges
    dead_band: {match: {metric: gauge.*}, tolerance: {relative: 0.05, absolute: 0.5}, corners: false}
  - name: counters
    dead_band: {match: {metric: counter.*, types: [sum]}, tolerance: {absolute: 2}, range: 10m}
  - name: lines
    dead_band: {match: {metric: line.*}, tolerance: {absolute: 1}, predictor: linear}
  - name: rest
    dead_band: {match: {metric: "*", resource: [{attribute: service.name, value: "svc-*"}]}, tolerance: {absolute: 4}}
`

// worldSeries is one series of the world.
type worldSeries struct {
	metric    string
	n         int
	tolerance func(v float64) float64
	linear    bool
	counts    bool // it may not fall, but for resets
	fill      func(m pmetric.Metric, at, start time.Time, v float64, n int)

	value float64
	start time.Time
	truth map[time.Time]float64
	order []time.Time
	reset map[time.Time]bool // points before a reset
}

// world is what series send through a processor that is refused, restarted and killed, and what comes of it.
type world struct {
	t       *rapid.T
	now     time.Time
	series  []*worldSeries
	rig     *metricsRig
	refuse  bool
	reader  map[string]map[time.Time]float64
	stale   map[string]time.Time
	order   map[string]time.Time // of the newest point that came out, by series
	forward bool                 // what comes out is in order
	back    []pmetric.Metrics
	sent    int
}

func fillNumber(p pmetric.NumberDataPoint, at, start time.Time, v float64, n int) {
	p.SetTimestamp(stamp(at))
	p.SetStartTimestamp(stamp(start))
	p.Attributes().PutStr("n", strconv.Itoa(n))
	if n%2 == 0 {
		p.SetIntValue(int64(v))
	} else {
		p.SetDoubleValue(v)
	}
}

// kinds are the types of series. What is compared is the value of a number, and the count of a histogram with all its buckets.
var kinds = []worldSeries{
	{metric: "gauge.a", tolerance: func(float64) float64 { return 3 }, fill: gaugePoint},
	{metric: "gauge.b", n: 1, tolerance: func(v float64) float64 { return max(0.5, 0.05*math.Abs(v)) }, fill: gaugePoint},
	{metric: "counter.c", n: 1, counts: true, tolerance: func(float64) float64 { return 2 }, fill: counterPoint},
	{metric: "counter.d", n: 2, counts: true, tolerance: func(float64) float64 { return 2 }, fill: counterPoint},
	{metric: "line.e", n: 1, linear: true, tolerance: func(float64) float64 { return 1 }, fill: gaugePoint},
	{metric: "histogram.f", counts: true, tolerance: func(float64) float64 { return 4 }, fill: histogramPoint},
	{metric: "exponential.g", counts: true, tolerance: func(float64) float64 { return 4 }, fill: exponentialPoint},
	{metric: "level.h", n: 2, tolerance: func(float64) float64 { return 4 }, fill: levelPoint},
}

func gaugePoint(m pmetric.Metric, at, start time.Time, v float64, n int) {
	if m.Type() != pmetric.MetricTypeGauge {
		m.SetEmptyGauge()
	}
	fillNumber(m.Gauge().DataPoints().AppendEmpty(), at, start, v, n)
}

func levelPoint(m pmetric.Metric, at, start time.Time, v float64, n int) {
	if m.Type() != pmetric.MetricTypeSum {
		m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	}
	fillNumber(m.Sum().DataPoints().AppendEmpty(), at, start, v, n)
}

func counterPoint(m pmetric.Metric, at, start time.Time, v float64, n int) {
	levelPoint(m, at, start, v, n)
	m.Sum().SetIsMonotonic(true)
}

func histogramPoint(m pmetric.Metric, at, start time.Time, v float64, _ int) {
	if m.Type() != pmetric.MetricTypeHistogram {
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	}
	p := m.Histogram().DataPoints().AppendEmpty()
	p.SetTimestamp(stamp(at))
	p.SetStartTimestamp(stamp(start))
	c := uint64(v)
	p.ExplicitBounds().FromRaw([]float64{1, 10})
	p.BucketCounts().FromRaw([]uint64{c / 2, 0, c - c/2})
	p.SetCount(c)
	p.SetSum(v)
}

func exponentialPoint(m pmetric.Metric, at, start time.Time, v float64, _ int) {
	if m.Type() != pmetric.MetricTypeExponentialHistogram {
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	}
	p := m.ExponentialHistogram().DataPoints().AppendEmpty()
	p.SetTimestamp(stamp(at))
	p.SetStartTimestamp(stamp(start))
	c := uint64(v)
	p.SetScale(2)
	p.SetCount(c)
	p.Positive().SetOffset(-1)
	p.Positive().BucketCounts().FromRaw([]uint64{c / 2, 0, c - c/2})
	p.SetSum(v)
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, now: time.Unix(1_700_000_000, 0).UTC(), reader: map[string]map[time.Time]float64{}, stale: map[string]time.Time{}, order: map[string]time.Time{}}
	for i := range kinds {
		s := kinds[i]
		s.value, s.start, s.truth, s.reset = 100, w.now, map[time.Time]float64{}, map[time.Time]bool{}
		w.series = append(w.series, &s)
		w.reader[s.metric] = map[time.Time]float64{}
	}
	return w
}

// measure makes what all series send at one time.
func (w *world) measure() pmetric.Metrics {
	w.now = w.now.Add(time.Duration(rapid.IntRange(5, 25).Draw(w.t, "seconds")) * time.Second)
	md := pmetric.NewMetrics()
	apart := rapid.Bool().Draw(w.t, "resources apart")
	for i, s := range w.series {
		w.move(s)
		s.truth[w.now] = s.value
		s.order = append(s.order, w.now)
		if apart || i == 0 {
			s.fill(metricOf(md, "svc-1", s.metric), w.now, s.start, s.value, s.n)
			continue
		}
		m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty()
		m.SetName(s.metric)
		s.fill(m, w.now, s.start, s.value, s.n)
	}
	return md
}

func (w *world) move(s *worldSeries) {
	switch rapid.IntRange(0, 9).Draw(w.t, "move") {
	case 0:
		s.value += 50
	case 1:
		if len(s.order) > 0 {
			s.reset[s.order[len(s.order)-1]] = s.counts && s.value >= 1
		}
		s.value = math.Floor(s.value / 3)
		if rapid.Bool().Draw(w.t, "it says so") {
			s.start = w.now
		}
	case 2, 3, 4, 5:
		s.value += float64(rapid.IntRange(0, 2).Draw(w.t, "grown"))
	case 6:
		if !s.counts {
			s.value -= float64(rapid.IntRange(0, 2).Draw(w.t, "fallen"))
		}
	}
}

// take is the next component.
func (w *world) take(md pmetric.Metrics) error {
	if w.refuse {
		return errRefused
	}
	w.sent += md.DataPointCount()
	for _, rm := range md.ResourceMetrics().All() {
		require.NotZero(w.t, rm.ScopeMetrics().Len(), "an empty resource")
		for _, sm := range rm.ScopeMetrics().All() {
			require.NotZero(w.t, sm.Metrics().Len(), "an empty scope")
			for _, m := range sm.Metrics().All() {
				w.read(m)
			}
		}
	}
	return nil
}

func (w *world) read(m pmetric.Metric) {
	note := func(at time.Time, v float64, stale bool) {
		if w.forward {
			require.True(w.t, at.After(w.order[m.Name()]), "%s: a point of %s comes after one of %s", m.Name(), at, w.order[m.Name()])
		}
		w.order[m.Name()] = at
		if stale {
			w.stale[m.Name()] = at
			return
		}
		w.reader[m.Name()][at] = v
	}
	number := func(p pmetric.NumberDataPoint) {
		v := p.DoubleValue()
		if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
			v = float64(p.IntValue())
		}
		require.Equal(w.t, 1, p.Attributes().Len())
		note(p.Timestamp().AsTime(), v, p.Flags().NoRecordedValue())
	}
	points := 0
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		points = m.Gauge().DataPoints().Len()
		for _, p := range m.Gauge().DataPoints().All() {
			number(p)
		}
	case pmetric.MetricTypeSum:
		points = m.Sum().DataPoints().Len()
		for _, p := range m.Sum().DataPoints().All() {
			number(p)
		}
	case pmetric.MetricTypeHistogram:
		points = m.Histogram().DataPoints().Len()
		for _, p := range m.Histogram().DataPoints().All() {
			if !p.Flags().NoRecordedValue() {
				require.Equal(w.t, []uint64{p.Count() / 2, 0, p.Count() - p.Count()/2}, p.BucketCounts().AsRaw())
				require.Equal(w.t, []float64{1, 10}, p.ExplicitBounds().AsRaw())
				require.Equal(w.t, p.Count(), uint64(p.Sum()))
			}
			note(p.Timestamp().AsTime(), float64(p.Count()), p.Flags().NoRecordedValue())
		}
	case pmetric.MetricTypeExponentialHistogram:
		points = m.ExponentialHistogram().DataPoints().Len()
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			if !p.Flags().NoRecordedValue() {
				require.Equal(w.t, []uint64{p.Count() / 2, 0, p.Count() - p.Count()/2}, p.Positive().BucketCounts().AsRaw())
				require.Equal(w.t, int32(-1), p.Positive().Offset())
				require.Equal(w.t, int32(2), p.Scale())
			}
			note(p.Timestamp().AsTime(), float64(p.Count()), p.Flags().NoRecordedValue())
		}
	default:
		require.Fail(w.t, "unknown type")
	}
	require.NotZero(w.t, points, "an empty metric")
}

// merge puts what came at several times into one batch.
func mergeBatches(list []pmetric.Metrics) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, one := range list {
		one.ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
	}
	return md
}

// send sends a batch, which may be refused and then comes again later.
func (w *world) send(md pmetric.Metrics) {
	w.refuse = !w.forward && rapid.IntRange(0, 4).Draw(w.t, "refused") == 0
	kept := copyOf(md)
	err := w.rig.send(md)
	if w.refuse && err != nil {
		require.ErrorIs(w.t, err, errRefused)
		w.back = append(w.back, kept)
	} else {
		require.NoError(w.t, err)
	}
	w.refuse = false
}

// end lets all come that was refused, and ends all series.
func (w *world) end() {
	for _, md := range w.back {
		require.NoError(w.t, w.rig.send(md))
	}
	w.now = w.now.Add(15 * time.Second)
	md := pmetric.NewMetrics()
	for _, s := range w.series {
		m := metricOf(md, "svc-1", s.metric)
		s.fill(m, w.now, s.start, 0, s.n)
		switch m.Type() {
		case pmetric.MetricTypeGauge:
			m.Gauge().DataPoints().At(0).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		case pmetric.MetricTypeSum:
			m.Sum().DataPoints().At(0).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		case pmetric.MetricTypeHistogram:
			m.Histogram().DataPoints().At(0).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		default:
			m.ExponentialHistogram().DataPoints().At(0).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		}
	}
	require.NoError(w.t, w.rig.send(md))
	w.rig.end()
}

// judge compares what a reader has at each time at which a point came. Exact says that what was counted before a reset, and
// the end of a line, must be there.
func (w *world) judge(exact bool) {
	for _, s := range w.series {
		got := slices.SortedFunc(maps.Keys(w.reader[s.metric]), time.Time.Compare)
		if exact {
			require.Equal(w.t, w.now, w.stale[s.metric], "%s: the stale marker", s.metric)
		}
		for _, at := range s.order {
			value := s.truth[at]
			if s.n%2 == 0 {
				value = math.Floor(value)
			}
			n, there := slices.BinarySearchFunc(got, at, time.Time.Compare)
			require.True(w.t, there || n > 0, "%s: there is nothing at %s", s.metric, at)
			var has float64
			switch {
			case there:
				has = w.reader[s.metric][at]
			case !s.linear:
				has = w.reader[s.metric][got[n-1]]
			case n == len(got):
				require.False(w.t, exact, "%s: the line ends before %s", s.metric, at)
				continue
			default:
				a, b := got[n-1], got[n]
				has = w.reader[s.metric][a] + (w.reader[s.metric][b]-w.reader[s.metric][a])*(at.Sub(a).Seconds()/b.Sub(a).Seconds())
			}
			require.LessOrEqual(w.t, math.Abs(has-value), s.tolerance(value)*(1+1e-9)+1e-9, "%s at %s: a reader has %g, true is %g\n%s", s.metric, at, has, value, w.show(s, got))
			if exact && s.reset[at] {
				require.True(w.t, there, "%s: what was counted until %s, before a reset, was not sent\n%s", s.metric, at, w.show(s, got))
			}
		}
	}
}

func (w *world) show(s *worldSeries, got []time.Time) string {
	var text strings.Builder
	text.WriteString("true:")
	for _, at := range s.order {
		fmt.Fprintf(&text, " %g@%s", s.truth[at], at.Format("04:05"))
	}
	text.WriteString("\nread:")
	for _, at := range got {
		fmt.Fprintf(&text, " %g@%s", w.reader[s.metric][at], at.Format("04:05"))
	}
	return text.String()
}

func (w *world) total() (n int) {
	for _, s := range w.series {
		n += len(s.order)
	}
	return n
}

// play sends what series measure, in batches of one or more times.
func (w *world) play(steps int) {
	var held []pmetric.Metrics
	for range steps {
		held = append(held, w.measure())
		if rapid.IntRange(0, 2).Draw(w.t, "held back") == 0 {
			continue
		}
		w.send(mergeBatches(held))
		held = nil
		if len(w.back) > 0 && rapid.Bool().Draw(w.t, "again") {
			i := rapid.IntRange(0, len(w.back)-1).Draw(w.t, "which")
			md := w.back[i]
			w.back = slices.Delete(w.back, i, i+1)
			w.send(md)
		}
	}
	if len(held) > 0 {
		w.send(mergeBatches(held))
	}
}

// Whatever way points come in batches, and whatever is refused and sent again, in whatever order: at each time at which a point
// came a reader is off by at most the tolerance, and nothing that was counted before a reset is lost.
func TestReadersOfMetricsStayWithinTheTolerance(t *testing.T) {
	came, sent := 0, 0
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.forward = rapid.Bool().Draw(t, "all is taken")
		w.rig = newPlainRig(tb, worldRules, w.take)
		w.play(rapid.IntRange(1, 40).Draw(t, "steps"))
		w.end()
		w.judge(true)
		came, sent = came+w.total(), sent+w.sent
	})
	require.Less(t, sent, came, "nothing was left out")
}

// A restart changes nothing; after a kill the first point of each series passes.
func TestReadersStayWithinTheToleranceOverRestarts(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed=%t", killed), func(t *testing.T) {
			tb := t
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld(t)
				host := newStorageHost(tb, tb.TempDir())
				w.rig = newMetricsRig(tb, "storage: file_storage\n"+worldRules, host, w.take)
				for range rapid.IntRange(1, 3).Draw(t, "processes") {
					w.play(rapid.IntRange(1, 12).Draw(t, "steps"))
					for _, md := range w.back { // whoever sends again does so before the restart: it asks the same process
						require.NoError(t, w.rig.send(md))
					}
					w.back = nil
					if !killed {
						w.rig.end()
					} else {
						w.crash()
					}
					w.rig = newMetricsRig(tb, "storage: file_storage\n"+worldRules, host, w.take)
				}
				w.play(rapid.IntRange(1, 12).Draw(t, "steps"))
				w.end()
				// What had been left out last when a process was killed, nobody sends: of a line the end.
				w.judgeAfter(killed)
			})
		})
	}
}

func (w *world) judgeAfter(killed bool) {
	if !killed {
		w.judge(true)
		return
	}
	series := w.series
	w.series = nil
	for _, s := range series {
		if !s.linear {
			w.series = append(w.series, s)
		}
	}
	w.judge(false)
}

// crash writes a checkpoint now and then, and ends without a word.
func (w *world) crash() {
	if rapid.Bool().Draw(w.t, "a checkpoint") {
		h := w.rig.running.hubs[samplerID]
		require.NoError(w.t, h.save(w.t.Context(), h.workers["metrics"], false))
		w.play(rapid.IntRange(1, 6).Draw(w.t, "steps after it"))
		for _, md := range w.back {
			require.NoError(w.t, w.rig.send(md))
		}
		w.back = nil
	}
	w.rig.kill()
}

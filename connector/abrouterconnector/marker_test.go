package abrouterconnector

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// kinds are all that may stand in a stream: how the metric becomes it, and what
// happens to it when it moves.
func kinds() map[string]struct {
	become func(pmetric.Metric)
	kind   continuity
} {
	type entry = struct {
		become func(pmetric.Metric)
		kind   continuity
	}
	list := map[string]entry{
		"gauge":   {func(m pmetric.Metric) { m.SetEmptyGauge() }, continuityLevel},
		"summary": {func(m pmetric.Metric) { m.SetEmptySummary() }, continuityCounter},
	}
	for _, temporality := range temporalities {
		cumulative := temporality == pmetric.AggregationTemporalityCumulative
		at := func(kind continuity) continuity {
			if cumulative {
				return kind
			}
			return continuityNone
		}
		for _, monotonic := range []bool{false, true} {
			kind := continuityLevel
			if monotonic {
				kind = continuityCounter
			}
			list[fmt.Sprintf("sum %s %v", temporality, monotonic)] = entry{func(m pmetric.Metric) {
				m.SetEmptySum().SetAggregationTemporality(temporality)
				m.Sum().SetIsMonotonic(monotonic)
			}, at(kind)}
		}
		list[fmt.Sprintf("histogram %s", temporality)] = entry{
			func(m pmetric.Metric) { m.SetEmptyHistogram().SetAggregationTemporality(temporality) }, at(continuityCounter),
		}
		list[fmt.Sprintf("exponential histogram %s", temporality)] = entry{
			func(m pmetric.Metric) { m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality) }, at(continuityCounter),
		}
	}
	return list
}

// stream is a batch with one point of the tenant at a time.
func stream(become func(pmetric.Metric), tenant string, start, at pcommon.Timestamp, value int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.SetSchemaUrl("https://schema/1")
	rm.Resource().Attributes().PutStr("service.name", "shop")
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.SetSchemaUrl("https://schema/2")
	sm.Scope().SetName("library")
	m := sm.Metrics().AppendEmpty()
	m.SetName("m1")
	m.SetUnit("By")
	m.SetDescription("what it is")
	m.Metadata().PutStr("prometheus.type", "counter")
	become(m)
	addPoint(m, tenant, start, at, value)
	return md
}

func addPoint(m pmetric.Metric, tenant string, start, at pcommon.Timestamp, value int) {
	number := func(p pmetric.NumberDataPoint) {
		p.Attributes().PutStr("tenant", tenant)
		p.SetStartTimestamp(start)
		p.SetTimestamp(at)
		p.SetIntValue(int64(value))
		p.Exemplars().AppendEmpty().SetIntValue(1)
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		number(m.Gauge().DataPoints().AppendEmpty())
	case pmetric.MetricTypeSum:
		number(m.Sum().DataPoints().AppendEmpty())
	case pmetric.MetricTypeHistogram:
		p := m.Histogram().DataPoints().AppendEmpty()
		p.Attributes().PutStr("tenant", tenant)
		p.SetStartTimestamp(start)
		p.SetTimestamp(at)
		p.SetCount(uint64(value))
		p.BucketCounts().FromRaw([]uint64{uint64(value), 0})
		p.ExplicitBounds().FromRaw([]float64{1})
	case pmetric.MetricTypeExponentialHistogram:
		p := m.ExponentialHistogram().DataPoints().AppendEmpty()
		p.Attributes().PutStr("tenant", tenant)
		p.SetStartTimestamp(start)
		p.SetTimestamp(at)
		p.SetCount(uint64(value))
		p.SetZeroCount(uint64(value))
	case pmetric.MetricTypeSummary:
		p := m.Summary().DataPoints().AppendEmpty()
		p.Attributes().PutStr("tenant", tenant)
		p.SetStartTimestamp(start)
		p.SetTimestamp(at)
		p.SetCount(uint64(value))
	case pmetric.MetricTypeEmpty:
	}
}

// line says what a point is: start..time value, or stale.
func line(m pmetric.Metric, i int) string {
	var start, at pcommon.Timestamp
	var value any
	points, _ := walk.Of(m)
	switch m.Type() {
	case pmetric.MetricTypeGauge, pmetric.MetricTypeSum:
		p := numbers(m).At(i)
		start, at, value = p.StartTimestamp(), p.Timestamp(), p.IntValue()
		if p.ValueType() == pmetric.NumberDataPointValueTypeEmpty {
			value = "none"
		}
	case pmetric.MetricTypeHistogram:
		p := m.Histogram().DataPoints().At(i)
		start, at, value = p.StartTimestamp(), p.Timestamp(), p.Count()
	case pmetric.MetricTypeExponentialHistogram:
		p := m.ExponentialHistogram().DataPoints().At(i)
		start, at, value = p.StartTimestamp(), p.Timestamp(), p.Count()
	case pmetric.MetricTypeSummary:
		p := m.Summary().DataPoints().At(i)
		start, at, value = p.StartTimestamp(), p.Timestamp(), p.Count()
	case pmetric.MetricTypeEmpty:
	}
	text := fmt.Sprintf("%v..%v ", time.Duration(start), time.Duration(at))
	if points.Flags(i).NoRecordedValue() {
		if value != "none" && fmt.Sprint(value) != "0" {
			return text + "stale with a value"
		}
		return text + "stale"
	}
	return text + fmt.Sprint(value)
}

func numbers(m pmetric.Metric) pmetric.NumberDataPointSlice {
	if m.Type() == pmetric.MetricTypeGauge {
		return m.Gauge().DataPoints()
	}
	return m.Sum().DataPoints()
}

// told is what both arms get, in the order in which they get it.
func (w *world) told(md pmetric.Metrics) string {
	d := w.divide(md)
	return toldOf(d)
}

func toldOf(d division) string {
	var out []string
	add := func(of side, md pmetric.Metrics) {
		name := map[side]string{toBaseline: "b", toCandidate: "c"}[of]
		each(md, func(p pointAt) { out = append(out, name+" "+line(p.metric, p.i)) }, func(string) {})
	}
	for of := range sides {
		if d.lastPoints[of] > 0 {
			add(of, d.last[of])
		}
	}
	for of := range sides {
		if d.has[of] {
			add(of, d.parts[of])
		}
	}
	return strings.Join(out, "; ")
}

const second = pcommon.Timestamp(time.Second)

// A stream that moves to the candidate and back again, of every kind.
func TestAMovedStreamIsSeenOff(t *testing.T) {
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			for _, unit := range []routing.Experiment{byTenant(routing.LevelPoint), shop(routing.UnitResource), shop(routing.UnitSeries)} {
				w := newWorld(t, 0, unit)
				at := func(s pcommon.Timestamp) string { return w.told(stream(k.become, "a", second, s*second, int(s))) }
				require.Equal(t, "b 1s..10s 10", at(10))
				w.set(100)
				first := map[continuity]string{
					continuityNone:    "c 1s..1m10s 70",
					continuityLevel:   "b 1s..1m9.999s stale; c 1s..1m10s 70",
					continuityCounter: "b 1s..1m10s 70; c 0s..1m10s 70",
				}
				second := map[continuity]string{
					continuityNone:    "c 1s..2m10s 130",
					continuityLevel:   "b 1s..2m9.999s stale; c 1s..2m10s 130",
					continuityCounter: "b 1s..2m9.999s stale; c 1s..2m10s 130",
				}
				back := map[continuity]string{
					continuityNone:    "b 1s..4m10s 250",
					continuityLevel:   "c 1s..4m9.999s stale; b 1s..4m10s 250",
					continuityCounter: "c 1s..4m10s 250; b 0s..4m10s 250",
				}
				require.Equal(t, first[k.kind], at(70))
				w.now = w.now.Add(testInterval)
				require.Equal(t, second[k.kind], at(130))
				require.Equal(t, second[k.kind], at(130), "again")
				w.now = w.now.Add(testInterval)
				require.Equal(t, "c 1s..3m10s 190", at(190), "the phase is over")
				require.Zero(t, w.s.overlaps.used, "and forgotten")

				w.set(0)
				require.Equal(t, back[k.kind], at(250))
			}
		})
	}
}

// What the arms get of a moved stream stands under what it stood under.
func TestMarkersKeepWhatTheyStandUnder(t *testing.T) {
	for name, k := range kinds() {
		if k.kind == continuityNone {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0, byTenant(routing.LevelPoint))
			w.divide(stream(k.become, "a", second, 10*second, 1))
			w.set(100)
			if k.kind == continuityCounter {
				d := w.divide(stream(k.become, "a", second, 20*second, 2))
				require.Equal(t, encoded(t, stream(k.become, "a", second, 20*second, 2)), encoded(t, d.last[toBaseline]), "as it is")
				require.Equal(t, encoded(t, stream(k.become, "a", 0, 20*second, 2)), encoded(t, d.parts[toCandidate]), "but for the start")
			}
			d := w.divide(stream(k.become, "a", second, 30*second, 3))
			require.Equal(t, 1, d.lastPoints[toBaseline])
			require.Equal(t, 1, d.markers)
			var got, want pointAt
			each(d.last[toBaseline], func(p pointAt) { got = p }, nil)
			each(stream(k.become, "a", second, 30*second, 3), func(p pointAt) { want = p }, nil)
			points, _ := walk.Of(got.metric)
			require.Equal(t, map[string]any{"tenant": "a"}, points.Attributes(0).AsRaw())
			removeIf(got.metric, func() bool { return true })
			removeIf(want.metric, func() bool { return true })
			require.Equal(t, want.content(t), got.content(t))
		})
	}
}

func TestTheTimeOfAMarker(t *testing.T) {
	f := func(start, at, wantStart, want pcommon.Timestamp) {
		t.Helper()
		p, marker := pmetric.NewNumberDataPoint(), pmetric.NewNumberDataPoint()
		p.SetStartTimestamp(start)
		p.SetTimestamp(at)
		p.SetDoubleValue(1)
		setMarker(marker, p)
		require.Equal(t, want, marker.Timestamp())
		require.Equal(t, wantStart, marker.StartTimestamp())
		require.Equal(t, pmetric.NumberDataPointValueTypeEmpty, marker.ValueType())
		require.True(t, marker.Flags().NoRecordedValue())
	}
	f(1e9, 5e9, 1e9, 4_999_000_000)
	f(0, 5e9, 0, 4_999_000_000)
	f(5e9, 5e9, 0, 4_999_000_000) // a start that is the time is unknown
	f(6e9, 5e9, 0, 4_999_000_000)
	f(4_999_500_000, 5e9, 4_999_500_000, 4_999_500_000) // not before its start
	f(0, 0, 0, 0)
	f(0, 500_000, 0, 0)
}

func counterOf(m pmetric.Metric) {
	m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	m.Sum().SetIsMonotonic(true)
}

func gaugeOf(m pmetric.Metric) { m.SetEmptyGauge() }

// Only those that the change moves are seen off: exactly the units between.
func TestOthersAreLeftAlone(t *testing.T) {
	for _, change := range [][2]int{{0, 1}, {1, 5}, {5, 25}, {25, 50}, {50, 100}, {100, 0}, {25, 5}} {
		w := newWorld(t, change[0], byTenant(routing.LevelPoint))
		tenants := make([]string, 500)
		for i := range tenants {
			tenants[i] = fmt.Sprint("tenant-", i)
		}
		w.divide(batch("shop", tenants...))
		w.set(change[1])
		e := w.list[0]
		table, err := routing.Compile([]routing.Experiment{e})
		require.NoError(t, err)
		match := table.Resource(batch("shop").ResourceMetrics().At(0).Resource().Attributes())
		compiled, _ := match.Whole()
		want := map[string]bool{}
		for _, tenant := range tenants {
			u := compiled.AttributeUnit(pcommon.NewValueStr(tenant))
			if routing.Candidate(u, change[0]) != routing.Candidate(u, change[1]) {
				want[tenant] = true
			}
		}
		require.NotEmpty(t, want)
		d := w.divide(batch("shop", tenants...))
		got := map[string]bool{}
		left := toBaseline
		if change[1] < change[0] {
			left = toCandidate
		}
		require.Zero(t, d.lastPoints[left.other()])
		each(d.last[left], func(p pointAt) {
			v, _ := p.metric.Gauge().DataPoints().At(p.i).Attributes().Get("tenant")
			got[v.Str()] = true
		}, nil)
		require.Equal(t, want, got)
	}
}

func TestAStreamThatEndsWhileItMovesEndsInBothArms(t *testing.T) {
	for _, become := range []func(pmetric.Metric){gaugeOf, counterOf} {
		w := newWorld(t, 0, byTenant(routing.LevelPoint))
		w.divide(stream(become, "a", 0, 10*second, 1))
		w.set(100)
		md := stream(become, "a", 0, 20*second, 0)
		p := numbers(md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)).At(0)
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		require.Equal(t, "b 0s..20s stale; c 0s..20s stale", w.told(md))
		require.Zero(t, w.s.overlaps.used)
	}
}

// After a restart nobody knows what a stream sent before: no point is shared, and
// its new arm takes it for a base line.
func TestARestartHandsNothingOver(t *testing.T) {
	w := newWorld(t, 100, byTenant(routing.LevelPoint))
	w.v.routes[0].state.assigned.Store(&assignment{weight: 100, before: 0, changedAt: w.now.Add(-time.Minute)})
	require.Equal(t, "b 1s..9.999s stale; c 0s..10s 1", w.told(stream(counterOf, "a", second, 10*second, 1)))
	require.Equal(t, "b 1s..9.999s stale; c 1s..10s 1", w.told(stream(gaugeOf, "a", second, 10*second, 1)))
	require.Equal(t, 1, w.divide(stream(counterOf, "a", second, 10*second, 1)).withoutOverlap)
	w.now = w.now.Add(time.Minute)
	require.Equal(t, "c 1s..20s 2", w.told(stream(counterOf, "a", second, 20*second, 2)))
}

// A candidate that fails gets no more data points.
func TestABreachHandsNothingOver(t *testing.T) {
	w := newWorld(t, 100, byTenant(routing.LevelPoint))
	w.divide(stream(counterOf, "a", second, 10*second, 1))
	set(&w.v.routes[0].state.breach)
	require.Equal(t, "c 1s..19.999s stale; b 0s..20s 2", w.told(stream(counterOf, "a", second, 20*second, 2)))
}

func set[T any](p *atomic.Pointer[T]) { p.Store(new(T)) }

func TestBeyondTheBoundThereIsNoOverlap(t *testing.T) {
	w := newWorld(t, 0, byTenant(routing.LevelPoint))
	w.s = newSplitter(testInterval, 2)
	w.divide(stream(counterOf, "a", 0, second, 1))
	w.set(100)
	for _, tenant := range []string{"a", "b"} {
		require.Equal(t, "b 1s..2s 2; c 0s..2s 2", w.told(stream(counterOf, tenant, second, 2*second, 2)))
	}
	d := w.divide(stream(counterOf, "c", second, 2*second, 2))
	require.Equal(t, "b 1s..1.999s stale; c 0s..2s 2", toldOf(d))
	require.Equal(t, 1, d.withoutOverlap)
	require.Equal(t, "b 1s..2.999s stale; c 1s..3s 3", w.told(stream(counterOf, "a", second, 3*second, 3)), "those with a place keep it")

	w.now = w.now.Add(2 * testInterval)
	w.s.sweep(w.now)
	require.Zero(t, w.s.overlaps.used)
	require.Empty(t, w.s.overlaps.open)
	w.set(0)
	require.Equal(t, "c 1s..9s 9; b 0s..9s 9", w.told(stream(counterOf, "c", second, 9*second, 9)), "there is room again")
}

// A batch that was refused comes again, and is handed over again.
func TestARefusedBatchIsHandedOverAgain(t *testing.T) {
	w := newWorld(t, 0, byTenant(routing.LevelPoint))
	w.divide(stream(counterOf, "a", second, 10*second, 1))
	w.set(100)
	for range 3 {
		d := w.divide(stream(counterOf, "a", second, 20*second, 2))
		require.Equal(t, "b 1s..20s 2; c 0s..20s 2", toldOf(d))
		d.forget()
		d.forget()
		require.Zero(t, w.s.overlaps.used)
	}
}

// Weights may change faster than streams send: who moved at the last change but
// one is seen off too, and who came back before it sent anything is not.
func TestChangesInQuickSuccession(t *testing.T) {
	w := newWorld(t, 0, byTenant(routing.LevelPoint))
	low, high := w.tenantBetween(1, 5), w.tenantBetween(5, 25)
	w.divide(stream(counterOf, low, second, 10*second, 1))
	w.set(5)
	w.divide(stream(counterOf, "somebody", second, 10*second, 1))
	w.now = w.now.Add(time.Second)
	w.set(25)
	require.Equal(t, "b 1s..20s 2; c 0s..20s 2", w.told(stream(counterOf, high, second, 20*second, 2)))
	require.Equal(t, "b 1s..20s 2; c 0s..20s 2", w.told(stream(counterOf, low, second, 20*second, 2)), "it moved at the change before")
	require.Equal(t, "b 1s..29.999s stale; c 1s..30s 3", w.told(stream(counterOf, low, second, 30*second, 3)))
	w.now = w.now.Add(time.Second)
	w.set(0)
	require.Equal(t, "c 1s..40s 4; b 0s..40s 4", w.told(stream(counterOf, low, second, 40*second, 4)))
	require.Equal(t, "c 1s..49.999s stale; b 1s..50s 5", w.told(stream(counterOf, low, second, 50*second, 5)))
	w.now = w.now.Add(2 * testInterval)
	require.Equal(t, "b 1s..60s 6", strings.ReplaceAll(w.told(stream(counterOf, low, second, 60*second, 6)), "1m0s", "60s"))
	require.Nil(t, w.v.routes[0].state.assigned.Load().moved.earlier.Load(), "what is over is let go")
}

// tenantBetween finds a tenant that is the candidate's from one weight on, but
// not at another.
func (w *world) tenantBetween(low, high int) string {
	match := w.v.table.Resource(batch("shop").ResourceMetrics().At(0).Resource().Attributes())
	e, _ := match.Whole()
	for i := 0; ; i++ {
		tenant := fmt.Sprint("tenant-", i)
		if p := routing.Percentile(e.AttributeUnit(pcommon.NewValueStr(tenant))); p >= low && p < high {
			return tenant
		}
	}
}

package abrouterconnector

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// world is a splitter with experiments whose weights a test sets.
type world struct {
	s    *splitter
	v    *view
	t    tally
	now  time.Time
	list []routing.Experiment
}

const testInterval = time.Minute

// newWorld makes one of experiments that split, each with a weight.
func newWorld(t require.TestingT, weight int, experiments ...routing.Experiment) *world {
	w := &world{s: newSplitter(testInterval, 1000), v: &view{splits: true}, now: time.Unix(1_700_000_000, 0)}
	for i := range experiments {
		experiments[i].Tag = i
		rt := &route{Route: policy.Route{Experiment: experiments[i].ID, Mode: modeSplit, Weight: weight}, state: &routeState{}}
		rt.state.assigned.Store(&assignment{weight: weight, before: weight})
		w.v.routes = append(w.v.routes, rt)
	}
	w.list = experiments
	var err error
	w.v.table, err = routing.Compile(experiments)
	require.NoError(t, err)
	return w
}

// set changes the weights.
func (w *world) set(weight int) {
	for _, rt := range w.v.routes {
		rt.Weight = weight
	}
}

func (w *world) divide(md pmetric.Metrics) division {
	w.t.reset()
	return w.s.divide(w.v, md, w.now, &w.t)
}

// side is where a point belongs, said without the splitter's ways.
func (w *world) side(p pointAt) side {
	points, _ := walk.Of(p.metric)
	match := w.v.table.Resource(p.resource.Resource().Attributes())
	found := match.Metric(p.metric.Name())
	e := found.Point(points.Attributes(p.i))
	if e == nil {
		return toBaseline
	}
	var unit uint64
	switch e.Unit {
	case routing.UnitResource:
		unit = e.ResourceUnit(routing.ResourceHash(p.resource.Resource().Attributes()))
	case routing.UnitSeries:
		unit = e.SeriesUnit(routing.ResourceHash(p.resource.Resource().Attributes()) + routing.ScopeHash(p.scope.Scope()) +
			routing.MetricHash(p.metric.Name(), p.metric.Unit(), &points) + routing.PointHash(points.Attributes(p.i)))
	case routing.UnitAttribute:
		v, ok := e.UnitValue(p.resource.Resource().Attributes(), p.scope.Scope().Attributes(), points.Attributes(p.i))
		if !ok {
			return toBaseline
		}
		unit = e.AttributeUnit(v)
	case routing.UnitNone, routing.UnitTrace:
		return toBaseline
	}
	if routing.Candidate(unit, w.v.routes[e.Tag].Weight) {
		return toCandidate
	}
	return toBaseline
}

// drawExperiments draws experiments over the batches of drawMetrics.
func drawExperiments(t *rapid.T) []routing.Experiment {
	var list []routing.Experiment
	for i := range rapid.IntRange(0, 4).Draw(t, "experiments") {
		e := routing.Experiment{ID: string(rune('a' + i))}
		if rapid.Bool().Draw(t, "of a service") {
			e.Resource = []routing.Attribute{{Key: "service.name", Value: rapid.SampledFrom(tenantsOfTest).Draw(t, "service")}}
		}
		if rapid.Bool().Draw(t, "of a tenant") {
			e.Point = []routing.Attribute{{Key: "tenant", Value: rapid.SampledFrom(tenantsOfTest).Draw(t, "tenant")}}
		}
		if rapid.Bool().Draw(t, "of a metric") {
			e.Metrics = []string{"m1"}
		}
		e.Unit = rapid.SampledFrom([]routing.Unit{routing.UnitResource, routing.UnitSeries, routing.UnitAttribute}).Draw(t, "unit")
		if e.Unit == routing.UnitAttribute {
			level := rapid.SampledFrom([]routing.Level{routing.LevelAny, routing.LevelResource, routing.LevelScope, routing.LevelPoint}).Draw(t, "level")
			e.UnitAttribute = routing.AttributeRef{Level: level, Key: "tenant"}
		}
		list = append(list, e)
	}
	return list
}

// Every point is in the arm of its unit and in no other, with all that it stands
// under; so is what is empty; and arms keep the order.
func TestArmsTogetherAreTheInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.SampledFrom([]int{0, 1, 25, 50, 75, 100}).Draw(t, "weight"), drawExperiments(t)...)
		md := drawMetrics(t)
		before, all := contents(t, md), encoded(t, md)
		var want [sides][]string
		each(md, func(p pointAt) { want[w.side(p)] = append(want[w.side(p)], p.content(t)) }, func(string) {})

		d := w.divide(md)
		require.Zero(t, d.lastPoints, "nothing moved")
		var together []string
		for of := range sides {
			if !d.has[of] {
				require.Empty(t, want[of])
				continue
			}
			together = append(together, contents(t, d.parts[of])...)
			var got []string
			each(d.parts[of], func(p pointAt) { got = append(got, p.content(t)) }, func(string) {})
			require.Equal(t, want[of], got)
		}
		slices.Sort(before)
		slices.Sort(together)
		require.Equal(t, before, together)
		if d.has[toBaseline] != d.has[toCandidate] {
			whole := d.parts[toBaseline]
			if d.has[toCandidate] {
				whole = d.parts[toCandidate]
			}
			require.Equal(t, all, encoded(t, whole), "a batch that stays whole is passed as it is")
		}
		require.LessOrEqual(t, w.t.total(toCandidate), len(want[toCandidate]))
		require.Equal(t, len(want[toCandidate]), w.t.total(toCandidate))
	})
}

// batch is one resource of a service with a gauge m1 of points of tenants.
func batch(service string, tenants ...string) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", service)
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("m1")
	points := m.SetEmptyGauge().DataPoints()
	for _, tenant := range tenants {
		p := points.AppendEmpty()
		p.Attributes().PutStr("tenant", tenant)
		p.SetTimestamp(10e9)
		p.SetIntValue(1)
	}
	return md
}

func shop(unit routing.Unit) routing.Experiment {
	return routing.Experiment{ID: "team/shop", Resource: []routing.Attribute{{Key: "service.name", Value: "shop"}}, Unit: unit}
}

func byTenant(level routing.Level) routing.Experiment {
	e := shop(routing.UnitAttribute)
	e.UnitAttribute = routing.AttributeRef{Level: level, Key: "tenant"}
	return e
}

func TestWhatNoExperimentHoldsForIsNotTouched(t *testing.T) {
	for _, unit := range []routing.Unit{routing.UnitResource, routing.UnitSeries} {
		w := newWorld(t, 100, shop(unit))
		md := batch("other", "a", "b")
		md.MarkReadOnly() // a write would panic
		d := w.divide(md)
		require.Equal(t, [sides]bool{toBaseline: true}, d.has)
		require.Equal(t, md, d.parts[toBaseline])
		require.Zero(t, w.t.total(toBaseline))
		require.Zero(t, testing.AllocsPerRun(100, func() { w.divide(md) }))
	}
}

func TestABatchOfOneArmIsPassedWhole(t *testing.T) {
	for _, unit := range []routing.Unit{routing.UnitResource, routing.UnitSeries} {
		for weight, to := range map[int]side{0: toBaseline, 100: toCandidate} {
			w := newWorld(t, weight, shop(unit))
			md := batch("shop", "a", "b")
			md.MarkReadOnly()
			d := w.divide(md)
			require.True(t, d.has[to])
			require.False(t, d.has[to.other()])
			require.Equal(t, md, d.parts[to])
			require.Equal(t, 2, w.t.total(to))
		}
	}
}

// Points without the attribute have no unit: nobody can say in which arm they
// were before, so they stay.
func TestWhatHasNoUnitStays(t *testing.T) {
	f := func(level routing.Level, md pmetric.Metrics, baseline, candidate int) {
		t.Helper()
		w := newWorld(t, 100, byTenant(level))
		d := w.divide(md)
		var got [sides]int
		for of := range sides {
			if d.has[of] {
				got[of] = d.parts[of].DataPointCount()
			}
		}
		require.Equal(t, [sides]int{baseline, candidate}, got)
		require.Equal(t, baseline, w.t.total(toBaseline), "they take part")
	}
	md := batch("shop", "a", "b")
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(1).Attributes().Clear()
	f(routing.LevelPoint, md, 1, 1)
	f(routing.LevelResource, batch("shop", "a"), 1, 0)
	md = batch("shop", "a")
	md.ResourceMetrics().At(0).Resource().Attributes().PutStr("tenant", "x")
	f(routing.LevelResource, md, 0, 1)
	f(routing.LevelScope, batch("shop", "a"), 1, 0)
}

func TestMirrorsAreNotSplit(t *testing.T) {
	w := newWorld(t, 100, shop(routing.UnitNone))
	w.v.routes[0].Mode, w.v.routes[0].Mirror = modeMirror, true
	md := batch("shop", "a")
	md.MarkReadOnly()
	d := w.divide(md)
	require.Equal(t, [sides]bool{toBaseline: true}, d.has)
	require.Zero(t, w.t.total(toBaseline), "the mirror counts itself")
}

func TestWithoutSplitsNothingIsLookedAt(t *testing.T) {
	w := newWorld(t, 100, shop(routing.UnitResource))
	w.v.splits = false
	md := batch("shop", "a")
	d := w.divide(md)
	require.Equal(t, [sides]bool{toBaseline: true}, d.has)
	require.Equal(t, md, d.parts[toBaseline])
}

// The units of the arms are counted, for the sample ratio.
func TestUnitsAreCounted(t *testing.T) {
	w := newWorld(t, 50, byTenant(routing.LevelPoint))
	for range 3 {
		w.divide(batch("shop", "a", "b", "c", "d", "e", "f", "g", "h"))
	}
	a := w.v.routes[0].assignment(w.now)
	require.EqualValues(t, 8, a.units[toBaseline].len()+a.units[toCandidate].len())
	require.NotZero(t, a.units[toBaseline].len())
	require.NotZero(t, a.units[toCandidate].len())
}

package cardinalityprocessor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

// experimenting is a control plane with experiments. It keeps who measures arms.
type experimenting struct {
	planeExtension
	snapshot *policy.Snapshot
	arms     []report.ArmRegistration
}

func (e *experimenting) Policy() *policy.Snapshot { return e.snapshot }

func (e *experimenting) RegisterArm(r report.ArmRegistration) (func(), error) {
	e.arms = append(e.arms, r)
	return func() { e.arms = nil }, nil
}

// shopRoutes are two experiments: one on all metrics of a service, one split by
// an attribute of the point.
func shopRoutes() *policy.Snapshot {
	return &policy.Snapshot{Version: 1, Routes: []policy.Route{
		{Experiment: "shop/all", Signal: "metrics", Mode: "mirror", Scope: map[string]string{"service.name": "cart"}},
		{
			Experiment: "shop/split", Signal: "metrics", Mode: "split", Scope: map[string]string{"resource.service.name": "web"},
			Metrics: []string{"requests"}, Unit: "attribute", Attribute: "point.tenant",
		},
		{Experiment: "shop/traces", Signal: "traces", Mode: "mirror", Scope: map[string]string{"service.name": "cart"}},
	}}
}

// armBatch has a counter of some series and a histogram of two for a service.
func armBatch(service string, seriesCount int, mark bool) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", service)
	rm.Resource().Attributes().PutStr("process.pid", strconv.FormatUint(rand.Uint64(), 10)) // no label of the backend
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	m := metrics.AppendEmpty()
	m.SetName("requests")
	sum := m.SetEmptySum()
	for i := range seriesCount {
		p := sum.DataPoints().AppendEmpty()
		p.Attributes().PutStr("tenant", fmt.Sprintf("t%d", i%5))
		p.Attributes().PutInt("i", int64(i))
		if mark {
			p.Attributes().PutStr(policy.ArmAttribute, string(policy.ArmCandidate))
		}
	}
	h := metrics.AppendEmpty()
	h.SetName("latency")
	histogram := h.SetEmptyHistogram()
	for i := range 2 {
		p := histogram.DataPoints().AppendEmpty()
		p.Attributes().PutInt("i", int64(i))
		p.ExplicitBounds().FromRaw([]float64{1, 2, 3})
		p.BucketCounts().FromRaw([]uint64{1, 0, 0, 0})
		p.SetSum(1)
	}
	return md
}

// startArm starts a processor at the end of an arm, whose control plane has these
// experiments.
func startArm(tb testing.TB, arm string, snapshot *policy.Snapshot) (*measurement, *experimenting, processor.Metrics) {
	tb.Helper()
	r, shared := newRig(tb), newInstances()
	r.factory = newFactory(shared)
	e := &experimenting{planeExtension: planeExtension{Plane: r.plane}, snapshot: snapshot}
	r.host[controlID] = e
	cfg := createDefaultConfig().(*Config)
	cfg.Control, cfg.Arm = &controlID, arm
	require.NoError(tb, cfg.Validate())
	p := r.create("cardinality/end", cfg)
	require.NoError(tb, p.Start(tb.Context(), r.host))
	tb.Cleanup(func() { require.NoError(tb, p.Shutdown(context.WithoutCancel(tb.Context()))) })
	return shared.byID[component.MustNewIDWithName("cardinality", "end")], e, p
}

func TestArmsAreMeasured(t *testing.T) {
	m, e, p := startArm(t, "candidate", shopRoutes())
	require.Len(t, e.arms, 1)
	assert.Equal(t, "candidate", e.arms[0].Arm)
	for range 3 {
		for _, md := range []pmetric.Metrics{armBatch("cart", 40, true), armBatch("cart", 40, false), armBatch("web", 100, false), armBatch("bank", 10, false)} {
			require.NoError(t, p.ConsumeMetrics(t.Context(), md))
		}
	}
	for _, c := range m.arm.view.Load().counters {
		c.began -= settled // as if they had begun earlier
	}
	reports, err := e.arms[0].Source.Arms(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, reports, 2)
	all, split := reports[0], reports[1]
	assert.Equal(t, "shop/all", all.Experiment)
	assert.Equal(t, uint64(40+2*(3+3)), all.Series, "the mark is no label, nor is an attribute of the resource that the backend drops; a histogram is its buckets and two")
	assert.Zero(t, all.RelativeError)
	assert.Equal(t, uint64(6*42), all.Points)
	assert.Empty(t, all.Units)
	var sizes pmetric.ProtoMarshaler
	want := 0
	for _, mark := range []bool{true, false} {
		md := armBatch("cart", 40, mark)
		for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			if m.Type() == pmetric.MetricTypeSum {
				for _, p := range m.Sum().DataPoints().All() {
					want += 3 * sizes.NumberDataPointSize(p)
				}
				continue
			}
			for _, p := range m.Histogram().DataPoints().All() {
				want += 3 * sizes.HistogramDataPointSize(p)
			}
		}
	}
	assert.Equal(t, uint64(want), all.Bytes)

	assert.Equal(t, "shop/split", split.Experiment)
	assert.Equal(t, uint64(100), split.Series, "the histogram takes no part")
	require.Len(t, split.Units, 5)
	for _, u := range split.Units {
		assert.Equal(t, uint64(20), u.Series)
		assert.Equal(t, uint64(60), u.Points)
	}
	table, err := routing.Compile([]routing.Experiment{{ID: "shop/split", Unit: routing.UnitAttribute, UnitAttribute: routing.AttributeRef{Level: routing.LevelPoint, Key: "tenant"}}})
	require.NoError(t, err)
	match := table.Resource(armBatch("web", 1, false).ResourceMetrics().At(0).Resource().Attributes())
	found, _ := match.Whole()
	value, _ := armBatch("web", 1, false).ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).Attributes().Get("tenant")
	unit := found.AttributeUnit(value)
	assert.Contains(t, unitsOf(split), unit, "units are those of the router")
}

func unitsOf(r report.ArmReport) (list []uint64) {
	for _, u := range r.Units {
		list = append(list, u.Unit)
	}
	return list
}

func TestExperimentsComeAndGo(t *testing.T) {
	m, e, p := startArm(t, "baseline", shopRoutes())
	send := func(service string) { require.NoError(t, p.ConsumeMetrics(t.Context(), armBatch(service, 10, false))) }
	send("cart")
	before, err := e.arms[0].Source.Arms(t.Context(), []string{"shop/all"})
	require.NoError(t, err)
	require.Len(t, before, 1)
	next := shopRoutes()
	next.Routes = append(next.Routes[:1:1], policy.Route{Experiment: "x", Signal: "metrics", Mode: "mirror", Scope: map[string]string{"service.name": "bank"}})
	e.snapshot = next
	m.arm.look(time.Now())
	send("cart")
	send("bank")
	after, err := e.arms[0].Source.Arms(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, after, 2)
	assert.Equal(t, before[0].Points*2, after[0].Points, "what stays goes on")
	assert.Equal(t, uint64(12), after[1].Points)

	again := *next
	again.Routes = []policy.Route{next.Routes[0]}
	again.Routes[0].Epoch++
	e.snapshot = &again
	m.arm.look(time.Now())
	anew, err := e.arms[0].Source.Arms(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, anew, 1)
	assert.Zero(t, anew[0].Points, "the candidate begins anew, and so does counting")
}

func TestArmsTurnWithTheWallClock(t *testing.T) {
	const generation = time.Minute
	at := time.Unix(1_000_000_020, 0).Truncate(generation)
	c := newArmCounter("x", 1, routing.UnitNone, generation, at)
	add := func(now time.Time, stream uint64) {
		c.turn(now)
		c.total.add(stream, 1, 10, false, maxArmSlots)
	}
	add(at, 1)
	add(at.Add(59*time.Second), 2)
	add(at.Add(61*time.Second), 2)
	add(at.Add(62*time.Second), 3)
	assert.Zero(t, c.report(at.Add(90*time.Second)).Series, "what was under way in the beginning may be among them")
	c.began -= settled
	assert.Equal(t, uint64(3), c.report(at.Add(90*time.Second)).Series)
	assert.Equal(t, uint64(2), c.report(at.Add(121*time.Second)).Series, "1 was not seen in this or the last generation")
	assert.Equal(t, uint64(2), c.report(at).Series, "a clock that is set back turns nothing")
	assert.Zero(t, c.report(at.Add(time.Hour)).Series)
	assert.Equal(t, uint64(4), c.report(at.Add(time.Hour)).Points)
}

func TestArmNeedsControl(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Arm = "candidate"
	require.EqualError(t, cfg.Validate(), "arm: needs control, which knows the experiments")
	cfg.Arm = "left"
	require.EqualError(t, cfg.Validate(), `arm: must be baseline or candidate, got "left"`)
}

func BenchmarkArm(b *testing.B) {
	md := armBatch("cart", 1000, false)
	for _, c := range []struct {
		name   string
		routes []policy.Route
		arm    string
	}{{"none", nil, ""}, {"no experiment", nil, "baseline"}, {"one experiment", shopRoutes().Routes[:1], "baseline"}} {
		b.Run(c.name, func(b *testing.B) {
			m, _, _ := startArm(b, c.arm, &policy.Snapshot{Routes: c.routes})
			b.ReportAllocs()
			for b.Loop() {
				m.arm.count(md)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1002, "ns/point")
		})
	}
}

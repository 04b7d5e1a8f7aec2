package cardinalityprocessor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/walk"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadata"
)

// experimenting is an extension that runs these experiments, as a control plane
// does, and knows who measures arms.
type experimenting struct {
	component.StartFunc
	component.ShutdownFunc
	snapshot atomic.Pointer[policy.Snapshot]
	refuses  bool

	mu   sync.Mutex
	arms []report.ArmRegistration
}

func newExperimenting(routes ...policy.Route) *experimenting {
	e := &experimenting{}
	e.route(routes...)
	return e
}

func (e *experimenting) Policy() *policy.Snapshot { return e.snapshot.Load() }

func (e *experimenting) route(routes ...policy.Route) {
	version := uint64(1)
	if s := e.snapshot.Load(); s != nil {
		version = s.Version + 1
	}
	e.snapshot.Store(&policy.Snapshot{Version: version, Routes: routes})
}

func (e *experimenting) RegisterCardinality(report.CardinalityRegistration) (func(), error) {
	return func() {}, nil
}

func (e *experimenting) RegisterArm(r report.ArmRegistration) (func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuses {
		return nil, errors.New("it is taken")
	}
	e.arms = append(e.arms, r)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.arms = nil
	}, nil
}

// end is a processor at the end of an arm.
type end struct {
	tb      testing.TB
	p       processor.Metrics
	control *experimenting
	arm     *armed
}

// startEnd starts a processor at the end of an arm.
func startEnd(tb testing.TB, arm, yaml string, routes ...policy.Route) *end {
	tb.Helper()
	cfg, err := loadYAML(tb, yaml)
	require.NoError(tb, err)
	cfg.Arm, cfg.Control = arm, &controlID
	require.NoError(tb, cfg.Validate())
	shared := newInstances()
	set := processortest.NewNopSettings(metadata.Type)
	e := &end{tb: tb, control: newExperimenting(routes...)}
	e.p, err = shared.create(tb.Context(), set, cfg, consumertest.NewNop())
	require.NoError(tb, err)
	e.arm = &shared.byID[set.ID].arm
	require.NoError(tb, e.p.Start(tb.Context(), host{controlID: e.control}))
	tb.Cleanup(func() { require.NoError(tb, e.p.Shutdown(context.WithoutCancel(tb.Context()))) })
	return e
}

func (e *end) send(batches ...pmetric.Metrics) {
	e.tb.Helper()
	for _, md := range batches {
		if !md.IsReadOnly() {
			md.MarkReadOnly()
		}
		require.NoError(e.tb, e.p.ConsumeMetrics(e.tb.Context(), md))
	}
}

// settled reports as if the experiments had begun earlier.
func (e *end) settled() map[string]report.ArmReport {
	e.tb.Helper()
	for _, c := range e.arm.view.Load().counters {
		c.first -= settled
	}
	return e.reports()
}

// reports asks as control does.
func (e *end) reports(experiments ...string) map[string]report.ArmReport {
	e.tb.Helper()
	e.control.mu.Lock()
	defer e.control.mu.Unlock()
	require.Len(e.tb, e.control.arms, 1)
	list, err := e.control.arms[0].Source.Arms(e.tb.Context(), experiments)
	require.NoError(e.tb, err)
	byID := map[string]report.ArmReport{}
	for _, r := range list {
		byID[r.Experiment] = r
	}
	require.Len(e.tb, byID, len(list))
	return byID
}

func mirrorRoute(id, service string) policy.Route {
	return policy.Route{Experiment: id, Signal: "metrics", Mode: "mirror", Mirror: true, Scope: map[string]string{"service.name": service}}
}

func splitRoute(id, service, unit, attribute string) policy.Route {
	return policy.Route{
		Experiment: id, Signal: "metrics", Mode: "split", Weight: 5, Unit: unit, Attribute: attribute,
		Scope: map[string]string{"resource.service.name": service},
	}
}

// sumsOf is a batch of one counter of some series of a service.
func sumsOf(service string, from, to int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", service)
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("requests")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for i := from; i < to; i++ {
		p := sum.DataPoints().AppendEmpty()
		p.Attributes().PutStr("tenant", fmt.Sprintf("t%d", i%5))
		p.Attributes().PutInt("i", int64(i))
		p.SetIntValue(int64(i))
		p.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(1_000_000_000, 0)))
	}
	return md
}

// eachPoint ranges over all points of a batch, with what is above each.
func eachPoint(md pmetric.Metrics, use func(anyPoint)) {
	var sizes pmetric.ProtoMarshaler
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				at := anyPoint{resource: rm.Resource().Attributes(), scope: sm.Scope(), metric: m}
				give := func(p point, size int) {
					at.attributes, at.size = p.Attributes(), size
					use(at)
				}
				switch m.Type() {
				case pmetric.MetricTypeGauge:
					for _, p := range m.Gauge().DataPoints().All() {
						give(p, sizes.NumberDataPointSize(p))
					}
				case pmetric.MetricTypeSum:
					for _, p := range m.Sum().DataPoints().All() {
						give(p, sizes.NumberDataPointSize(p))
					}
				case pmetric.MetricTypeHistogram:
					for _, p := range m.Histogram().DataPoints().All() {
						give(p, sizes.HistogramDataPointSize(p))
					}
				case pmetric.MetricTypeExponentialHistogram:
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						give(p, sizes.ExponentialHistogramDataPointSize(p))
					}
				case pmetric.MetricTypeSummary:
					for _, p := range m.Summary().DataPoints().All() {
						give(p, sizes.SummaryDataPointSize(p))
					}
				case pmetric.MetricTypeEmpty:
				}
			}
		}
	}
}

// anyPoint is a point of any type.
type anyPoint struct {
	resource   pcommon.Map
	scope      pcommon.InstrumentationScope
	metric     pmetric.Metric
	attributes pcommon.Map
	size       int
	// alone: there is only the resource.
	alone bool
}

// unitOf is the hash by which routers assign a point.
func unitOf(t require.TestingT, r policy.Route, p anyPoint) (uint64, bool) {
	if p.alone {
		return 0, false
	}
	e, err := routedExperiment(&r, 0)
	require.NoError(t, err)
	table, err := routing.Compile([]routing.Experiment{{ID: e.ID, Unit: e.Unit, UnitAttribute: e.UnitAttribute}})
	require.NoError(t, err)
	match := table.Resource(p.resource)
	found, sure := match.Whole()
	require.True(t, sure)
	switch e.Unit {
	case routing.UnitResource:
		return found.ResourceUnit(routing.ResourceHash(p.resource)), true
	case routing.UnitSeries:
		points, _ := walk.Of(p.metric)
		return found.SeriesUnit(routing.ResourceHash(p.resource) + routing.ScopeHash(p.scope) +
			routing.MetricHash(p.metric.Name(), p.metric.Unit(), &points) + routing.PointHash(p.attributes)), true
	case routing.UnitAttribute:
		value, is := found.UnitValue(p.resource, p.scope.Attributes(), p.attributes)
		if !is {
			return 0, false
		}
		return found.AttributeUnit(value), true
	case routing.UnitNone, routing.UnitTrace:
	}
	return 0, false
}

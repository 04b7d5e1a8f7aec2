package tagconsolidationprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/relabel"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

var _ consolidation.Describer = (*feeder)(nil)

// Describe describes the output of the current point.
func (f *feeder) Describe() consolidation.Description {
	plan, view := f.lane.rule.plan, f.lane.view()
	rewritten := func(d series.Domain, attributes pcommon.Map) (pcommon.Map, series.Pair) {
		stays := pcommon.NewMap()
		plan.Rewrite(d, attributes, view, stays)
		return stays, f.hasher.PairMap(d, stays)
	}
	attributes, id := rewritten(series.Resource, f.resource)
	resource := f.table.Resource(id, func() *stream.Resource {
		return &stream.Resource{ID: id, Attributes: attributes, SchemaURL: f.resourceURL}
	})
	scope := f.describeScope(resource, rewritten)
	id = scope.ID.Add(f.identity)
	metric := f.table.Metric(id, func() *stream.Metric { return f.describeMetric(id, scope) })
	attributes, _ = rewritten(series.Point, f.attributes)
	return f.description(&stream.Stream{Metric: metric, Attributes: attributes})
}

func (f *feeder) describeScope(
	resource *stream.Resource, rewritten func(series.Domain, pcommon.Map) (pcommon.Map, series.Pair),
) *stream.Scope {
	attributes, id := rewritten(series.Scope, f.scope.Attributes())
	id = id.Add(resource.ID)
	scope := stream.Scope{Resource: resource, Attributes: attributes}
	if !f.lane.rule.plan.DropsScope() {
		id = id.Add(f.scopeSelf)
		scope.Name, scope.Version, scope.SchemaURL = f.scope.Name(), f.scope.Version(), f.scopeURL
	}
	scope.ID = id
	return f.table.Scope(id, func() *stream.Scope { return &scope })
}

func (f *feeder) describeMetric(id series.Pair, scope *stream.Scope) *stream.Metric {
	m := &stream.Metric{
		ID: id, Scope: scope, Kind: f.kind,
		Name: f.metric.Name(), Description: f.metric.Description(), Unit: f.metric.Unit(), Metadata: pcommon.NewMap(),
	}
	f.metric.Metadata().CopyTo(m.Metadata)
	if f.kinds.conflicts(m.Name, m.Kind) {
		f.lane.typeConflicts++
	}
	return m
}

// description adds the bounds that a rule names, of those that a histogram has.
func (f *feeder) description(owner *stream.Stream) consolidation.Description {
	d := consolidation.Description{Owner: owner}
	classic := f.kind == consolidation.DeltaHistogram || f.kind == consolidation.CumulativeHistogram
	// One without bounds stays apart, whoever comes first: with it in, nothing of
	// the others' buckets could be kept.
	if keep := f.lane.rule.keepBounds; classic && keep != nil && !f.point.Stale && f.point.Histogram.Bounds != nil {
		if bounds, err := f.point.Histogram.Bounds.Keep(keep); err == nil {
			d.Bounds, d.KeepBounds = bounds, true
		} else {
			f.lane.boundsForeign++
		}
	}
	return d
}

// Overflow describes the output that stands for the inputs of the metric that
// have no room.
func (f *feeder) Overflow() (consolidation.Key, consolidation.Description) {
	id := f.hasher.Pair(f.hasher.String(series.Point, stream.OverflowAttribute, "true"))
	resource := f.table.Resource(series.Pair{}, func() *stream.Resource { return &stream.Resource{Attributes: pcommon.NewMap()} })
	scope := f.table.Scope(id, func() *stream.Scope {
		return &stream.Scope{ID: id, Resource: resource, Attributes: pcommon.NewMap()}
	})
	id = id.Add(f.identity)
	metric := f.table.Metric(id, func() *stream.Metric { return f.describeMetric(id, scope) })
	attributes := pcommon.NewMap()
	attributes.PutBool(stream.OverflowAttribute, true)
	return consolidation.Key(id), f.description(&stream.Stream{Metric: metric, Attributes: attributes})
}

// view is that of the current metric.
func (l *lane) view() *relabel.View {
	if l.slow == nil {
		return nil
	}
	return l.slow.view
}

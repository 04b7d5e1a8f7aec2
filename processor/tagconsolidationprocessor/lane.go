package tagconsolidationprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/relabel"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// lane is a rule in the hands of one feeder: what it remembers of keys, and the
// sums over what is above the points that are being read.
type lane struct {
	rule *rule

	// resource is the block for which matches was found.
	resource uint64
	matches  bool
	fast     *fastLane
	slow     *slowLane
	// in and out are the identities of input and output, less the point's attributes.
	in, out series.Pair

	candidate candidate // of the current point
	batch     uint64    // in which it was used last
	// series counts those that the histograms and summaries of a metric, which are
	// so many, are in a backend.
	series, shaped int
	measured       *metricPreview // of the current metric; nil until a point was seen
	laneTally
}

// fastLane is for rules by which an attribute stays or goes by its key.
type fastLane struct {
	resource, scope, point *relabel.Keys
	// The sums of the resource and scope with these serial numbers.
	resources, scopes       uint64
	resourceIn, resourceOut series.Pair
	scopeIn, scopeOut       series.Pair
}

func newLane(r *rule, h *series.Hasher) *lane {
	l := &lane{rule: r}
	if !r.fast {
		l.slow = newSlowLane(r, h)
		return l
	}
	l.fast = &fastLane{
		resource: r.plan.Keys(series.Resource, h), scope: r.plan.Keys(series.Scope, h), point: r.plan.Keys(series.Point, h),
	}
	return l
}

// enter turns to the metric that is being read, and says whether the rule
// matches its resource.
func (l *lane) enter(f *feeder) bool {
	if l.resource != f.resources {
		l.resource, l.matches = f.resources, l.rule.matchesResource(f.resource)
	}
	if !l.matches {
		return false
	}
	if l.slow != nil {
		l.in, l.out = l.slow.enter(f)
		return true
	}
	a := l.fast
	if a.resources != f.resources {
		a.resources = f.resources
		a.resourceIn, a.resourceOut = a.resource.Pairs(f.resource)
	}
	if a.scopes != f.scopes {
		a.scopes = f.scopes
		a.scopeIn, a.scopeOut = a.scope.Pairs(f.scope.Attributes())
		a.scopeIn = a.scopeIn.Add(f.scopeSelf)
		if !l.rule.plan.DropsScope() {
			a.scopeOut = a.scopeOut.Add(f.scopeSelf)
		}
	}
	l.in = f.identity.Add(a.resourceIn).Add(a.scopeIn)
	l.out = f.identity.Add(a.resourceOut).Add(a.scopeOut)
	return true
}

// takes says whether the rule matches a point, once it matches the resource.
func (l *lane) takes(f *feeder, attributes pcommon.Map) bool {
	return l.rule.matchesPoint(attributes) &&
		(len(l.rule.scope) == 0 || l.rule.inExperiment(f.resource, f.scope.Attributes(), attributes))
}

// identify returns the identities of the point's input and output.
func (l *lane) identify(f *feeder, attributes pcommon.Map) (in, out series.Pair) {
	if l.slow != nil {
		return l.slow.identify(f, l, attributes)
	}
	all, stays := l.fast.point.Pairs(attributes)
	return l.in.Add(all), l.out.Add(stays)
}

// candidate is a value that competes in a top_k. The text is borrowed.
type candidate struct {
	ranked bool
	value  string
}

// rank lets the current point weigh for its candidate: by how much a counter
// grew, how many measurements a histogram got, how large a level is.
func (l *lane) rank(p *consolidation.Point, out consolidation.Outcome) {
	weight := out.Increment
	if p.Kind == consolidation.Gauge || p.Kind == consolidation.CumulativeUpDown || p.Kind == consolidation.DeltaUpDown {
		if weight = p.Sum.Value.Float(); weight < 0 {
			weight = -weight
		}
	}
	if p.Stale || out.Verdict.Refused() || out.Verdict.Ignored() || !(weight > 0) {
		return
	}
	l.slow.add(l.candidate.value, weight)
}

// measures returns what the rule's preview knows of the current metric.
func (l *lane) measures(f *feeder) *metricPreview {
	if l.measured == nil {
		l.measured = l.rule.measured.of(f.metric.Name(), f.metric.Type())
	}
	return l.measured
}

// shape notes of how many series the current point is.
func (l *lane) shape(series int) {
	l.series += series
	l.shaped++
}

// settle ends a metric.
func (l *lane) settle(f *feeder) {
	l.weigh()
	if l.shaped > 0 {
		l.rule.shapes.note(f.metric.Name(), l.series, l.shaped)
		l.series, l.shaped = 0, 0
	}
}

// weigh hands on what the points of a metric weighed.
func (l *lane) weigh() {
	if l.slow != nil {
		l.slow.weigh()
	}
}

// refused counts a point that is malformed.
func (l *lane) refused(v spatial.Verdict) { l.verdicts[v]++ }

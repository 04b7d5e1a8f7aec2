package tagconsolidationprocessor

import (
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/match"
	"github.com/phoenix-platform/phoenix/internal/relabel"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// rule is a policy.Rule, compiled. It is immutable except for its governors, its
// preview and its shapes, which have locks of their own, and its counters.
type rule struct {
	name    string
	id      consolidation.RuleID
	preview bool
	static  bool // from the configuration, not from control

	metric          match.Pattern
	types           typeSet
	resource, point []condition
	scope           []scopeCondition
	scopeRefs       []relabel.Ref // all attributes of the experiment's scope

	plan *relabel.Plan
	// fast says that what stays follows from the keys of attributes alone.
	fast       bool
	gauges     bool // merge them, by gauge
	gauge      spatial.Policy
	summaries  bool // merge count and sum
	keepBounds []float64

	// governors decide by metric what a top_k keeps and a limit folds; nil for
	// rules that have neither.
	governors *governors
	measured  *preview // of a rule in preview
	// since is when the rule began to see points, in nanoseconds of Unix time, 0
	// if it waits; points is how many it matched since then.
	since  atomic.Int64
	points atomic.Uint64
	shapes shapes // of a rule that is enforced

	experiment string // it belongs to
	// mirrored says that its points went to the baseline as well, partial that only a
	// part of the units was the candidate's. Units that came from the other arm did so
	// at moved, in nanoseconds of Unix time.
	mirrored, partial atomic.Bool
	moved             atomic.Uint64
	// transfer is set once the rule is handed over.
	transfer atomic.Pointer[transfer]
	// raw is until when points of new inputs may follow those that passed: see
	// markers.go.
	raw uint64
	// took is the edge at which the rule was taken over, if it was.
	took uint64
}

// begin notes since when the rule sees points.
func (r *rule) begin(now uint64) {
	r.since.CompareAndSwap(0, int64(now)) //nolint:gosec // nanoseconds of this century
}

// typeSet is a set of the types of OTLP metrics.
type typeSet uint8

func (s typeSet) has(t pmetric.MetricType) bool { return s&(1<<t) != 0 }

const allTypes = ^typeSet(0)

// matches says whether the rule may match points of a metric; conditions on
// attributes come on top.
func (r *rule) matches(name string, t pmetric.MetricType) bool {
	return r.types.has(t) && r.metric.Match(name)
}

func (r *rule) matchesResource(attributes pcommon.Map) bool {
	return allHold(r.resource, attributes)
}

func (r *rule) matchesPoint(attributes pcommon.Map) bool {
	return allHold(r.point, attributes)
}

// condition is a condition on an attribute of one level.
type condition struct {
	key     string
	present bool // wanted, if there is no pattern
	literal bool
	text    string
	pattern *match.Pattern
}

func allHold(list []condition, attributes pcommon.Map) bool {
	for i := range list {
		if !list[i].holds(attributes) {
			return false
		}
	}
	return true
}

func (c *condition) holds(attributes pcommon.Map) bool {
	value, there := attributes.Get(c.key)
	if c.pattern == nil && !c.literal {
		return there == c.present
	}
	if !there {
		return false
	}
	text := value.Str()
	if value.Type() != pcommon.ValueTypeStr {
		text = value.AsString()
	}
	if c.literal {
		return text == c.text
	}
	return c.pattern.Match(text)
}

// scopeCondition is an equality of an experiment's scope that may hold at any of
// several levels.
type scopeCondition struct {
	levels     relabel.Levels
	key, value string
}

func (r *rule) inExperiment(resource, scope, point pcommon.Map) bool {
	for i := range r.scope {
		c := &r.scope[i]
		equal := func(level relabel.Levels, attributes pcommon.Map) bool {
			if c.levels&level == 0 {
				return false
			}
			value, there := attributes.Get(c.key)
			return there && value.AsString() == c.value
		}
		if !equal(relabel.OnResource, resource) && !equal(relabel.OnScope, scope) && !equal(relabel.OnPoint, point) {
			return false
		}
	}
	return true
}

// needsPoint says that matching looks at each point.
func (r *rule) needsPoint() bool { return len(r.point) > 0 || len(r.scope) > 0 }

// passes says why points of a type pass though the rule matches them.
func (r *rule) passes(kind consolidation.Kind) (reason passReason, pass bool) {
	switch {
	case kind == consolidation.Gauge && !r.gauges:
		return gaugeWithoutPolicy, true
	case kind == consolidation.Summary && !r.summaries:
		return summaryPasses, true
	}
	return 0, false
}

func typesOf(names []policy.MetricType) typeSet {
	if len(names) == 0 {
		return allTypes
	}
	var set typeSet
	for _, name := range names {
		switch name {
		case policy.TypeGauge:
			set |= 1 << pmetric.MetricTypeGauge
		case policy.TypeSum:
			set |= 1 << pmetric.MetricTypeSum
		case policy.TypeHistogram:
			set |= 1 << pmetric.MetricTypeHistogram
		case policy.TypeExponentialHistogram:
			set |= 1 << pmetric.MetricTypeExponentialHistogram
		case policy.TypeSummary:
			set |= 1 << pmetric.MetricTypeSummary
		}
	}
	return set
}

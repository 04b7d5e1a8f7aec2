package cost

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// ErrNoDetail is returned for a report without the attributes of its metrics.
var ErrNoDetail = errors.New("the report has no attributes; ask for it with Detail")

// RuleEffects says what rules would do to the metrics of a report, as far as the
// report can tell. The first rule that matches a point applies to it; mode, role
// and experiment of the rules are not looked at. Metrics that no rule changes
// are left out.
//
// What was counted, one label or a known group of labels, is as exact as the
// counts. For other sets of labels, hash_buckets, top_k, limit and buckets there
// are bounds. A condition on values may hold for some points only: then what it
// does is somewhere between nothing and all, and nothing of it is promised.
func RuleEffects(rules []policy.Rule, r report.Cardinality, a Assumptions) ([]Effect, error) {
	if err := policy.ValidateRules(rules); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(r.Metrics, func(m report.MetricCardinality) bool { return m.Attributes != nil }) && len(r.Metrics) > 0 {
		return nil, ErrNoDetail
	}
	compiled := make([]compiledRule, 0, len(rules))
	for i, rule := range rules {
		pattern, err := match.Compile(rule.Match.Metric)
		if err != nil {
			return nil, fmt.Errorf("rules[%d].match.metric: %w", i, err)
		}
		compiled = append(compiled, newCompiledRule(rule.WithDefaults(), pattern))
	}
	limits := newLimits(r)
	var effects []Effect
	for _, m := range r.Metrics {
		s := newSubject(m, a)
		if e := s.apply(compiled, r, limits); e.Attributes != nil || e.After.Min != m.Series {
			effects = append(effects, e)
		}
	}
	return effects, nil
}

// DropEffect says what dropping attributes, given as qualified names, does to
// one metric. It is not found if the metric has none of them as a label.
func DropEffect(m report.MetricCardinality, attributes []string, a Assumptions) (e Effect, found bool) {
	s := newSubject(m, a)
	var set []int
	for i, label := range s.labels {
		if slices.Contains(attributes, qualified(label)) {
			set = append(set, i)
		}
	}
	if len(set) == 0 {
		return Effect{}, false
	}
	return s.effect(set, s.without(set)), true
}

func (s *subject) effect(set []int, after Estimate) Effect {
	e := Effect{Key: Key{Metric: s.Name, Group: s.Group}, After: after}
	slices.Sort(set)
	for _, i := range slices.Compact(set) {
		e.Attributes = append(e.Attributes, qualified(s.labels[i]))
	}
	return e
}

// apply tries the rules in order.
func (s *subject) apply(rules []compiledRule, r report.Cardinality, limits limits) Effect {
	var known []Estimate
	var changed []int
	for _, rule := range rules {
		verdict := rule.matches(s, r.GroupBy)
		if verdict == no {
			continue
		}
		after, set := rule.after(s, limits)
		known, changed = append(known, after), append(changed, set...)
		if verdict == yes {
			return s.effect(changed, either(known))
		}
	}
	if len(known) == 0 {
		return Effect{After: Exactly(s.Series)}
	}
	return s.effect(changed, either(append(known, Exactly(s.Series))))
}

func either(known []Estimate) Estimate {
	e := known[0]
	for _, other := range known[1:] {
		e = e.or(other)
	}
	return e
}

// compiledRule is a rule with what its texts mean.
type compiledRule struct {
	policy.Rule
	pattern    match.Pattern
	drop, keep []policy.AttributeRef
	changes    []valueChange
}

// valueChange is an attribute whose values change into so many at most.
type valueChange struct {
	ref    policy.AttributeRef
	values float64
}

func newCompiledRule(rule policy.Rule, pattern match.Pattern) compiledRule {
	c := compiledRule{Rule: rule, pattern: pattern, drop: refs(rule.Attributes.Drop), keep: refs(rule.Attributes.Keep)}
	a := rule.Attributes
	for _, m := range a.Map {
		c.change(m.Attribute, math.Inf(1)) // an expression may leave any number
	}
	for _, h := range a.HashBuckets {
		c.change(h.Attribute, float64(h.Buckets))
	}
	if a.TopK != nil {
		c.change(a.TopK.Attribute, float64(a.TopK.K)+1)
	}
	return c
}

func (c *compiledRule) change(attribute string, values float64) {
	for _, ref := range refs([]string{attribute}) {
		c.changes = append(c.changes, valueChange{ref, values})
	}
}

// refs parses what was validated.
func refs(texts []string) []policy.AttributeRef {
	list := make([]policy.AttributeRef, 0, len(texts))
	for _, text := range texts {
		if ref, err := policy.ParseAttributeRef(text); err == nil {
			list = append(list, ref)
		}
	}
	return list
}

var policyLevels = map[report.Level]policy.Level{
	report.LevelResource:  policy.LevelResource,
	report.LevelScope:     policy.LevelScope,
	report.LevelDataPoint: policy.LevelPoint,
}

func named(list []policy.AttributeRef, label report.AttributeCardinality) bool {
	return slices.ContainsFunc(list, func(ref policy.AttributeRef) bool {
		return ref.Matches(policyLevels[label.Level], label.Key)
	})
}

// goes says whether the rule drops the label.
func (c *compiledRule) goes(label report.AttributeCardinality) bool {
	switch {
	case label.Level == report.LevelScope && c.Scope == policy.ScopeDrop, named(c.drop, label):
		return true
	case c.Attributes.Keep != nil && label.Level == report.LevelDataPoint:
		return !named(c.keep, label)
	}
	return false
}

// after is what stays of a metric that the rule applies to, and which labels go
// or change.
func (c *compiledRule) after(s *subject, limits limits) (Estimate, []int) {
	if s.Type == typeGauge && c.Gauge == "" || s.Type == typeSummary && c.Summary == policy.SummaryPass {
		return Exactly(s.Series), nil
	}
	var dropped, changed []int
	values := 1.0
	for i, label := range s.labels {
		if c.goes(label) {
			dropped = append(dropped, i)
		} else if n := c.valuesOf(label); n > 0 {
			changed = append(changed, i)
			values *= min(n, float64(label.Distinct)) + 1 // and none
		}
	}
	after := s.without(slices.Clone(dropped))
	if len(changed) > 0 {
		// Between the labels gone altogether, and their values untouched.
		gone := s.without(slices.Concat(dropped, changed))
		most := min(after.Max, toUint(math.Ceil(float64(gone.Max)*values)))
		after = Estimate{
			Value: min(after.Value, most), Min: min(gone.Min, most), Max: most,
			StandardError: max(after.StandardError, gone.StandardError),
		}
	}
	after = c.coarsened(s, after)
	if c.Limit != nil {
		after = after.atMost(max(limits.of(c, s), c.folded(s, dropped).Max))
	}
	if s.Type == typeMixed && c.Gauge == "" {
		after = after.or(Exactly(s.Series)) // who knows how much of it are gauges
	}
	return after, append(dropped, changed...)
}

// valuesOf is how many values the rule leaves to a label, 0 if it leaves it as
// it is.
func (c *compiledRule) valuesOf(label report.AttributeCardinality) float64 {
	least := 0.0
	for _, change := range c.changes {
		if named([]policy.AttributeRef{change.ref}, label) && (least == 0 || change.values < least) {
			least = change.values
		}
	}
	return least
}

// folded is what stays when all has folded that may; the limit goes no further.
// What folds by itself may be any label.
func (c *compiledRule) folded(s *subject, dropped []int) Estimate {
	if c.Limit.Fold.Auto() {
		return Estimate{}
	}
	fold, set := refs(c.Limit.Fold), slices.Clone(dropped)
	for i, label := range s.labels {
		if !slices.Contains(set, i) && named(fold, label) {
			set = append(set, i)
		}
	}
	return s.without(set)
}

// coarsened is what stays if histograms lose buckets or summaries quantiles. A
// classic histogram of n bounds is n + 3 series, a summary without quantiles 2.
func (c *compiledRule) coarsened(s *subject, after Estimate) Estimate {
	each := seriesAStream(s.MetricCardinality)
	if each <= 1 {
		return after
	}
	switch {
	case s.Type == typeSummary:
		return after.scaled(min(1, 2/each), min(1, 2/each))
	case s.Type == typeHistogram && c.Buckets != nil:
		return after.scaled(min(1, 3/each), min(1, float64(len(c.Buckets.KeepBounds)+3)/each))
	}
	return after
}

// limits divides the limit of a rule, which is one for a metric, among the
// metric's budget groups.
type limits map[string]uint64

func newLimits(r report.Cardinality) limits {
	l := limits{}
	for _, m := range r.Metrics {
		l[m.Name] = addUint(l[m.Name], m.Series)
	}
	return l
}

// of is the part of the limit that falls to one budget group, in backend series,
// if all groups fold alike.
func (l limits) of(c *compiledRule, s *subject) uint64 {
	share := float64(s.Series) / float64(max(l[s.Name], 1))
	return toUint(math.Ceil(float64(c.Limit.MaxSeries) * seriesAStream(s.MetricCardinality) * share))
}

package tagconsolidationprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// ruleset is what applies at one time. It is immutable.
type ruleset struct {
	rules      []*rule // all, those in preview among them
	neverTouch []match.Pattern
	// byPrefix has the indices of the rules by what the names that they match
	// begin with, and lengths the lengths of those beginnings: a name is compared
	// with the rules of its own beginnings only.
	byPrefix map[string][]int
	lengths  []int
}

func newRuleset(rules []*rule, neverTouch []match.Pattern) *ruleset {
	s := &ruleset{rules: rules, neverTouch: neverTouch, byPrefix: map[string][]int{}}
	for i, r := range rules {
		prefix := r.metric.Prefix()
		s.byPrefix[prefix] = append(s.byPrefix[prefix], i)
		s.lengths = append(s.lengths, len(prefix))
	}
	slices.Sort(s.lengths)
	s.lengths = slices.Compact(s.lengths)
	return s
}

// untouchable says whether no rule may change a metric.
func (s *ruleset) untouchable(name string) bool {
	return slices.ContainsFunc(s.neverTouch, func(p match.Pattern) bool { return p.Match(name) })
}

// enforced returns the rule with an id if it is not in preview.
func (s *ruleset) enforced(id consolidation.RuleID) *rule {
	for _, r := range s.rules {
		if r.id == id && !r.preview {
			return r
		}
	}
	return nil
}

// decision lists the rules that may match a metric, in their order, and at most
// up to the first that matches without looking at attributes.
type decision struct {
	untouchable      bool
	enforce, preview []int // indices into ruleset.rules
}

func (s *ruleset) decide(name string, t pmetric.MetricType) *decision {
	d := &decision{}
	if s.untouchable(name) {
		d.untouchable = true
		return d
	}
	var candidates []int
	for _, n := range s.lengths {
		if n <= len(name) {
			candidates = append(candidates, s.byPrefix[name[:n]]...)
		}
	}
	slices.Sort(candidates)
	var done [2]bool
	for _, i := range candidates {
		r := s.rules[i]
		list, slot := &d.enforce, 0
		if r.preview {
			list, slot = &d.preview, 1
		}
		if done[slot] || !r.matches(name, t) {
			continue
		}
		*list = append(*list, i)
		done[slot] = len(r.resource) == 0 && !r.needsPoint()
	}
	return d
}

package tagconsolidationprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// ruleset is what applies at one time. It is immutable.
type ruleset struct {
	rules      []*rule // all, those in preview among them
	neverTouch []match.Pattern
	places     map[*rule]int                  // in rules
	enforce    map[consolidation.RuleID]*rule // those that are not in preview
	byStart    map[ruleStart][]int            // indices of rules
	lengths    []int                          // of the prefixes in byStart
	tenants    map[string]map[string]struct{} // the values that rules ask for, by resource attribute
	attributes []string                       // the keys of tenants
	past       past
}

// ruleStart is by what a rule is found: what the names that it matches begin
// with, and the rarest equality that it demands of the resource, if it does. A
// metric is compared with the rules of its own beginnings and its own resource
// only: BenchmarkManyRules.
type ruleStart struct{ prefix, attribute, value string }

func newRuleset(rules []*rule, neverTouch []match.Pattern) *ruleset {
	s := &ruleset{
		rules: rules, neverTouch: neverTouch, places: make(map[*rule]int, len(rules)), enforce: make(map[consolidation.RuleID]*rule, len(rules)),
		byStart: make(map[ruleStart][]int, len(rules)), tenants: map[string]map[string]struct{}{},
	}
	shared := popularity(rules)
	for i, r := range rules {
		s.places[r] = i
		if !r.preview {
			s.enforce[r.id] = r
		}
		start := ruleStart{prefix: r.metric.Prefix()}
		if c := r.tenant(shared); c != nil {
			start.attribute, start.value = c.key, c.text
			if s.tenants[c.key] == nil {
				s.tenants[c.key] = map[string]struct{}{}
				s.attributes = append(s.attributes, c.key)
			}
			s.tenants[c.key][c.text] = struct{}{}
		}
		s.byStart[start] = append(s.byStart[start], i)
		if n, found := slices.BinarySearch(s.lengths, len(start.prefix)); !found {
			s.lengths = slices.Insert(s.lengths, n, len(start.prefix))
		}
	}
	return s
}

// equality is an attribute of the resource and the value that a rule demands.
type equality struct{ key, text string }

// popularity counts how many rules demand each equality of the resource.
func popularity(rules []*rule) map[equality]int {
	counts := make(map[equality]int, len(rules))
	for _, r := range rules {
		for i := range r.resource {
			if c := &r.resource[i]; c.literal {
				counts[equality{c.key, c.text}]++
			}
		}
	}
	return counts
}

// tenant returns the equality of a resource by which the rule is found, or nil: of
// those that it demands the one that fewest others do, because an environment may
// be that of all rules and a service that of one.
func (r *rule) tenant(shared map[equality]int) *condition {
	var best *condition
	fewest := 0
	for i := range r.resource {
		c := &r.resource[i]
		if n := shared[equality{c.key, c.text}]; c.literal && (best == nil || n < fewest) {
			best, fewest = c, n
		}
	}
	return best
}

// untouchable says whether no rule may change a metric.
func (s *ruleset) untouchable(name string) bool {
	return slices.ContainsFunc(s.neverTouch, func(p match.Pattern) bool { return p.Match(name) })
}

// enforced returns the rule with an id if it is not in preview.
func (s *ruleset) enforced(id consolidation.RuleID) *rule { return s.enforce[id] }

// tenancy is what a resource says to the attributes by which rules are found, in
// the order of ruleset.attributes; empty where no rule asks for its value.
type tenancy []string

// tenancy appends to dst, which the caller owns.
func (s *ruleset) tenancy(dst tenancy, resource pcommon.Map) tenancy {
	for _, key := range s.attributes {
		text := ""
		if value, there := resource.Get(key); there {
			if text = value.Str(); value.Type() != pcommon.ValueTypeStr {
				text = value.AsString()
			}
			if _, asked := s.tenants[key][text]; !asked {
				text = ""
			}
		}
		dst = append(dst, text)
	}
	return dst
}

// decision lists the rules that may match a metric, in their order, and at most
// up to the first that matches without looking at attributes.
type decision struct {
	untouchable      bool
	enforce, preview []int // indices into ruleset.rules
}

func (s *ruleset) decide(name string, t pmetric.MetricType, of tenancy) *decision {
	d := &decision{}
	if s.untouchable(name) {
		d.untouchable = true
		return d
	}
	var candidates []int
	for _, n := range s.lengths {
		if n > len(name) {
			break
		}
		candidates = append(candidates, s.byStart[ruleStart{prefix: name[:n]}]...)
		for i, value := range of {
			if value != "" {
				candidates = append(candidates, s.byStart[ruleStart{name[:n], s.attributes[i], value}]...)
			}
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

package adaptivesamplerprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
)

// metricRules is what applies at one time. It is immutable.
type metricRules struct {
	rules   []*metricRule
	trial   *deadband.Band // of dead bands in preview; nil if there are none
	sizes   bool           // some budget counts bytes
	byStart map[ruleStart][]int
	lengths []int // of the prefixes in byStart
	// tenants are the values that rules demand, by attribute of the resource;
	// attributes are its keys.
	tenants    map[string]map[string]struct{}
	attributes []string
}

// ruleStart is by what a rule is found: what the names that it matches begin with,
// and the rarest equality that it demands of the resource, if it does. A metric is
// compared with the rules of its own beginnings and its own resource only:
// BenchmarkManyMetricRules.
type ruleStart struct {
	prefix string
	equal  equality
}

func newMetricRules(rules []*metricRule) *metricRules {
	s := &metricRules{rules: rules, byStart: make(map[ruleStart][]int, len(rules)), tenants: map[string]map[string]struct{}{}}
	shared := make(map[equality]int, len(rules))
	for _, r := range rules {
		for _, e := range r.equal {
			shared[e]++
		}
	}
	for i, r := range rules {
		r.index = i
		s.sizes = s.sizes || r.kind == kindBudget && r.budget.bytes
		start := ruleStart{prefix: r.metric.Prefix()}
		for n, e := range r.equal {
			if n == 0 || shared[e] < shared[start.equal] {
				start.equal = e
			}
		}
		if key := start.equal.key; key != "" {
			if s.tenants[key] == nil {
				s.tenants[key] = map[string]struct{}{}
				s.attributes = append(s.attributes, key)
			}
			s.tenants[key][start.equal.text] = struct{}{}
		}
		s.byStart[start] = append(s.byStart[start], i)
		if n, found := slices.BinarySearch(s.lengths, len(start.prefix)); !found {
			s.lengths = slices.Insert(s.lengths, n, len(start.prefix))
		}
	}
	return s
}

// tenancy appends to dst what a resource says to the attributes by which rules are
// found, in the order of attributes; empty where no rule asks for its value. The
// caller owns dst.
func (s *metricRules) tenancy(dst []string, resource pcommon.Map) []string {
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

// lists are the rules that may match a metric: by kind, first those that are
// enforced, then those in preview; each list in the order of the rules and up to
// the first that matches without looking at attributes.
type lists [ruleKinds][2][]int

func (l *lists) empty() bool {
	for _, kind := range l {
		if len(kind[0])+len(kind[1]) > 0 {
			return false
		}
	}
	return true
}

func (s *metricRules) find(name string, t pmetric.MetricType, of []string) *lists {
	var candidates []int
	for _, n := range s.lengths {
		if n > len(name) {
			break
		}
		candidates = append(candidates, s.byStart[ruleStart{prefix: name[:n]}]...)
		for i, value := range of {
			if value != "" {
				candidates = append(candidates, s.byStart[ruleStart{name[:n], equality{s.attributes[i], value}}]...)
			}
		}
	}
	slices.Sort(candidates)
	l := &lists{}
	var done [ruleKinds][2]bool
	for _, i := range candidates {
		r := s.rules[i]
		mode := 0
		if r.preview {
			mode = 1
		}
		if done[r.kind][mode] || !r.types.has(t) || !r.metric.Match(name) {
			continue
		}
		l[r.kind][mode] = append(l[r.kind][mode], i)
		done[r.kind][mode] = len(r.resource)+len(r.point) == 0
	}
	return l
}

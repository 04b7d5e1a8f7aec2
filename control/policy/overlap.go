package policy

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// OverlapKind says how sure an overlap is and what it does.
type OverlapKind string

// The kinds of overlaps.
const (
	// Shadowed: the second rule never applies.
	Shadowed OverlapKind = "shadowed"
	// Overlapping: there are points that both rules match; the first one takes
	// them.
	Overlapping OverlapKind = "overlapping"
	// PerhapsOverlapping: the patterns do not tell whether there are such points.
	PerhapsOverlapping OverlapKind = "perhaps overlapping"
)

// Overlap is a pair of rules of which the order matters, or may.
type Overlap struct {
	// First and Second are the rules' indices; First is tried first.
	First, Second int
	Kind          OverlapKind
	// Reason is a sentence that names both rules and says what they share.
	Reason string
}

// maxCompared bounds the work for rules that were made to be compared for ever.
const maxCompared = 5_000_000

// Overlaps reports pairs of valid rules that can match the same points, by their
// order, and at most limit of them; complete says whether those are all. Rules of
// different roles or modes never compete. Nothing is Shadowed or Overlapping that
// is not so, and only what cannot overlap is left out.
func Overlaps(rules []Rule, limit int) (overlaps []Overlap, complete bool) {
	complete = true
	compared := 0
	for s, t := range rivals(rules) {
		o, found := compare(s, t)
		if compared++; compared > maxCompared || found && len(overlaps) >= limit {
			complete = false
			break
		}
		if found {
			overlaps = append(overlaps, o)
		}
	}
	slices.SortFunc(overlaps, func(a, b Overlap) int { return cmp.Or(a.First-b.First, a.Second-b.Second) })
	return overlaps, complete
}

// rivals yields the pairs of rules that may meet. Patterns meet only if the
// literal beginning of one begins that of the other, so that, sorted by it, those
// to compare follow each other: of thousands of rules most pairs are never looked
// at.
func rivals(rules []Rule) iter.Seq2[*selector, *selector] {
	type group struct {
		role Role
		mode Mode
	}
	groups := map[group][]*selector{}
	var order []group
	for i := range rules {
		s, ok := newSelector(i, &rules[i])
		if !ok {
			continue
		}
		key := group{rules[i].Role, or(rules[i].Mode, ModeEnforce)}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], s)
	}
	return func(yield func(*selector, *selector) bool) {
		for _, key := range order {
			list := groups[key]
			slices.SortStableFunc(list, func(a, b *selector) int { return strings.Compare(a.metric.begin, b.metric.begin) })
			for i, s := range list {
				for _, t := range list[i+1:] {
					if !strings.HasPrefix(t.metric.begin, s.metric.begin) {
						break
					}
					if !s.apart(t) && !yield(s, t) {
						return
					}
				}
			}
		}
	}
}

// selector is what decides whether a rule matches.
type selector struct {
	index  int
	name   string
	metric pattern
	types  []MetricType
	// conditions by where the attribute stands and what its key is.
	conditions map[AttributeRef][]condition
	// scope is that of the rule's experiment: equalities.
	scope map[string]string
	// equal are the conditions, and the scope, that ask for one value.
	equal []equality
}

type equality struct {
	ref   AttributeRef
	value string
}

// levelExperiment is that of the keys of scopes, which have levels of their own.
const levelExperiment Level = "experiment"

// condition is a pattern for a value, or that the attribute is absent.
type condition struct {
	absent bool
	value  pattern
}

func newSelector(index int, r *Rule) (*selector, bool) {
	metric, err := parsePattern(r.Match.Metric)
	if err != nil {
		return nil, false
	}
	s := &selector{index: index, name: r.Name, metric: metric, types: r.Match.Types, conditions: map[AttributeRef][]condition{}}
	if r.Experiment != nil {
		s.scope = r.Experiment.Scope
		for key, value := range s.scope {
			s.equal = append(s.equal, equality{AttributeRef{levelExperiment, key}, value})
		}
	}
	for level, list := range map[Level][]Condition{LevelResource: r.Match.Resource, LevelPoint: r.Match.Point} {
		for _, c := range list {
			one := condition{absent: c.Present != nil && !*c.Present}
			if c.Present == nil {
				if one.value, err = parsePattern(c.Value); err != nil {
					return nil, false
				}
			} else {
				one.value = pattern{text: "*"}
			}
			ref := AttributeRef{level, c.Attribute}
			if c.Present == nil && one.value.literal() {
				s.equal = append(s.equal, equality{ref, c.Value})
			}
			s.conditions[ref] = append(s.conditions[ref], one)
		}
	}
	return s, true
}

// compare says what two rules have in common, in whichever order they are given.
func compare(s, t *selector) (Overlap, bool) {
	if s.index > t.index {
		s, t = t, s
	}
	o := Overlap{First: s.index, Second: t.index}
	meets := s.meets(t)
	switch {
	case meets == no:
		return o, false
	case s.covers(t):
		o.Kind = Shadowed
		o.Reason = fmt.Sprintf("rule %q never applies: %q, which is tried before it, matches all that it does (metric %s and %s)",
			t.name, s.name, s.metric.text, t.metric.text)
	case meets == yes:
		o.Kind = Overlapping
		o.Reason = fmt.Sprintf("rules %q and %q match the same points (metric %s and %s); %q takes them",
			s.name, t.name, s.metric.text, t.metric.text, s.name)
	default:
		o.Kind = PerhapsOverlapping
		o.Reason = fmt.Sprintf("rules %q and %q may match the same points (metric %s and %s), which %q would take",
			s.name, t.name, s.metric.text, t.metric.text, s.name)
	}
	return o, true
}

// apart finds quickly that two rules want different values of one attribute,
// as those for single services do.
func (s *selector) apart(t *selector) bool {
	for _, a := range s.equal {
		for _, b := range t.equal {
			if a.value != b.value && a.ref == b.ref {
				return true
			}
		}
	}
	return false
}

// meets says whether there is a point that both match. They are not apart.
func (s *selector) meets(t *selector) verdict {
	answer := s.metric.meets(t.metric)
	if answer == no || !typesMeet(s.types, t.types) {
		return no
	}
	if len(s.scope) > 0 || len(t.scope) > 0 {
		answer = min(answer, perhaps) // a scope against conditions is not looked at
	}
	for ref, list := range s.conditions {
		answer = min(answer, conditionsMeet(slices.Concat(list, t.conditions[ref])))
	}
	for ref, list := range t.conditions {
		if _, done := s.conditions[ref]; !done {
			answer = min(answer, conditionsMeet(list))
		}
	}
	return answer
}

func typesMeet(a, b []MetricType) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(t MetricType) bool { return slices.Contains(b, t) })
}

// conditionsMeet says whether one attribute can fulfil all conditions. Pairs that
// agree do not prove that three do.
func conditionsMeet(list []condition) verdict {
	answer := yes
	for i, c := range list {
		if !c.absent && c.value.re != nil {
			answer = min(answer, perhaps) // it may be one that nothing matches
		}
		for _, d := range list[:i] {
			switch {
			case c.absent != d.absent:
				return no
			case !c.absent:
				answer = min(answer, c.value.meets(d.value))
			}
		}
	}
	if len(list) > 2 {
		answer = min(answer, perhaps)
	}
	return answer
}

// covers says whether s matches all that t does. No means perhaps not.
func (s *selector) covers(t *selector) bool {
	if !s.metric.covers(t.metric) {
		return false
	}
	for _, metricType := range typesOf(t.types) {
		if !slices.Contains(typesOf(s.types), metricType) {
			return false
		}
	}
	for key, value := range s.scope {
		if other, ok := t.scope[key]; !ok || other != value {
			return false
		}
	}
	for ref, list := range s.conditions {
		for _, c := range list {
			implied := func(d condition) bool { return c.absent == d.absent && (c.absent || c.value.covers(d.value)) }
			if !slices.ContainsFunc(t.conditions[ref], implied) {
				return false
			}
		}
	}
	return true
}

func typesOf(types []MetricType) []MetricType {
	if len(types) == 0 {
		return MetricTypes
	}
	return types
}

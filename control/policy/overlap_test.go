package policy

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOverlaps(t *testing.T) {
	f := func(first, second Match, want OverlapKind) {
		t.Helper()
		found, complete := Overlaps([]Rule{{Name: "a", Match: first}, {Name: "b", Match: second}}, 10)
		assert.True(t, complete)
		if want == "" {
			assert.Empty(t, found)
			return
		}
		require.Len(t, found, 1)
		assert.Equal(t, want, found[0].Kind)
		assert.Equal(t, []int{0, 1}, []int{found[0].First, found[0].Second})
	}
	on := func(value string) []Condition { return []Condition{{Attribute: "service.name", Value: value}} }
	is := func(present bool) []Condition { return []Condition{{Attribute: "service.name", Present: &present}} }
	f(Match{Metric: "*"}, Match{Metric: "up"}, Shadowed)
	f(Match{Metric: "up"}, Match{Metric: "*"}, Overlapping)
	f(Match{Metric: "up"}, Match{Metric: "down"}, "")
	f(Match{Metric: "/u.*/"}, Match{Metric: "*p"}, PerhapsOverlapping)
	// Types
	f(Match{Metric: "*", Types: []MetricType{TypeSum}}, Match{Metric: "*", Types: []MetricType{TypeGauge}}, "")
	f(Match{Metric: "*", Types: []MetricType{TypeSum}}, Match{Metric: "*"}, Overlapping)
	f(Match{Metric: "*", Types: MetricTypes}, Match{Metric: "*"}, Shadowed)
	// Conditions
	f(Match{Metric: "*", Resource: on("a")}, Match{Metric: "*", Resource: on("b")}, "")
	f(Match{Metric: "*", Resource: on("a")}, Match{Metric: "*", Point: on("b")}, Overlapping)
	f(Match{Metric: "*", Resource: on("a")}, Match{Metric: "*"}, Overlapping)
	f(Match{Metric: "*"}, Match{Metric: "*", Resource: on("a")}, Shadowed)
	f(Match{Metric: "*", Resource: on("a*")}, Match{Metric: "*", Resource: on("ab")}, Shadowed)
	f(Match{Metric: "*", Resource: on("/a|b/")}, Match{Metric: "*", Resource: on("*")}, PerhapsOverlapping)
	f(Match{Metric: "*", Resource: is(false)}, Match{Metric: "*", Resource: on("a")}, "")
	f(Match{Metric: "*", Resource: is(true)}, Match{Metric: "*", Resource: on("a")}, Shadowed)
	f(Match{Metric: "*", Resource: is(false)}, Match{Metric: "*", Resource: is(false)}, Shadowed)
	f(Match{Metric: "*", Resource: append(on("*a"), on("*b")...)}, Match{Metric: "*"}, "") // matches nothing
	f(Match{Metric: "*", Resource: append(on("a*"), on("*b")...)}, Match{Metric: "*", Resource: on("*c*")}, PerhapsOverlapping)
}

func TestOverlapsOfRolesModesAndExperiments(t *testing.T) {
	f := func(a, b Rule, want ...OverlapKind) {
		t.Helper()
		a.Match.Metric, b.Match.Metric = "up", "up"
		found, _ := Overlaps([]Rule{a, b}, 10)
		var kinds []OverlapKind
		for _, o := range found {
			kinds = append(kinds, o.Kind)
		}
		assert.Equal(t, want, kinds)
	}
	scope := func(value string) Rule {
		return Rule{Role: RoleCandidate, Experiment: &Experiment{ID: "x", Scope: map[string]string{"service.name": value}}}
	}
	f(Rule{Role: RoleCommon}, Rule{Role: RoleCandidate})
	f(Rule{Mode: ModePreview}, Rule{})
	f(Rule{Mode: ModeEnforce}, Rule{}, Shadowed)
	f(scope("a"), scope("b"))
	f(scope("a"), scope("a"), Shadowed)
	f(scope("a"), Rule{Role: RoleCandidate}, PerhapsOverlapping)
	f(Rule{Role: RoleCandidate}, scope("a"), Shadowed)
}

func TestOverlapsAreBoundedAndNamed(t *testing.T) {
	var rules []Rule
	for i := range 100 {
		rules = append(rules, Rule{Name: fmt.Sprint("r", i), Match: Match{Metric: "*"}})
	}
	found, complete := Overlaps(rules, 7)
	assert.Len(t, found, 7)
	assert.False(t, complete)
	assert.Equal(t, `rule "r1" never applies: "r0", which is tried before it, matches all that it does (metric * and *)`, found[0].Reason)

	for i := range rules {
		rules[i].Match.Metric = fmt.Sprint("metric_", i)
	}
	rules[99].Match.Metric = "/metric_5|(" // not valid: no claim
	rules[98].Match.Point = []Condition{{Attribute: "x", Value: "/(/"}}
	found, complete = Overlaps(rules, 7)
	assert.Empty(t, found)
	assert.True(t, complete)
}

func TestOverlapsOfManyRulesAreFound(t *testing.T) {
	var rules []Rule
	for i := range 10_000 {
		rules = append(rules, Rule{Name: fmt.Sprint("r", i), Match: Match{Metric: fmt.Sprintf("m%d.*", i)}})
		if i%2 == 0 {
			rules[i].Match.Metric = fmt.Sprintf("m%d.x", i)
		}
	}
	rules[9_999].Match.Metric = "m4998.*"
	found, complete := Overlaps(rules, 10)
	assert.True(t, complete)
	require.Len(t, found, 1)
	assert.Equal(t, 4998, found[0].First)

	for i := range rules { // one rule for each service
		rules[i].Match = Match{Metric: "*", Resource: []Condition{{Attribute: "service.name", Value: fmt.Sprint("s", i)}}}
	}
	found, complete = Overlaps(rules[:5_000], 10)
	assert.True(t, complete)
	assert.Empty(t, found)
}

// What is called shadowed is never matched first by the second, what is left out
// never by both.
func TestOverlapsAreSound(t *testing.T) {
	values := rapid.SampledFrom([]string{"a", "b", "a*", "?", "*", "/a|b/", "/(?s:.*)/"})
	draw := func(t *rapid.T, label string) Rule {
		r := Rule{Name: label, Match: Match{Metric: values.Draw(t, label)}}
		r.Match.Types = rapid.SliceOfNDistinct(rapid.SampledFrom(MetricTypes), 0, 2, rapid.ID).Draw(t, label+" types")
		for range rapid.IntRange(0, 2).Draw(t, label+" conditions") {
			c := Condition{Attribute: "k"}
			if rapid.Bool().Draw(t, "presence") {
				c.Present = new(rapid.Bool().Draw(t, "present"))
			} else {
				c.Value = values.Draw(t, "value")
			}
			r.Match.Resource = append(r.Match.Resource, c)
		}
		return r
	}
	matches := func(m Match, metric string, metricType MetricType, value *string) bool {
		p, _ := parsePattern(m.Metric)
		ok := p.match(metric) && typesMeet(m.Types, []MetricType{metricType})
		for _, c := range m.Resource {
			if c.Present != nil {
				ok = ok && *c.Present == (value != nil)
				continue
			}
			v, _ := parsePattern(c.Value)
			ok = ok && value != nil && v.match(*value)
		}
		return ok
	}
	rapid.Check(t, func(t *rapid.T) {
		rules := []Rule{draw(t, "first"), draw(t, "second")}
		found, _ := Overlaps(rules, 1)
		both := false
		for _, metric := range []string{"a", "b", "ab", "c"} {
			for _, metricType := range MetricTypes {
				for _, value := range []*string{nil, new("a"), new("b"), new("ab"), new("")} {
					first, second := matches(rules[0].Match, metric, metricType, value), matches(rules[1].Match, metric, metricType, value)
					both = both || first && second
					if first && second && len(found) == 0 {
						t.Fatalf("both match %s", metric)
					}
					if second && !first && len(found) > 0 && found[0].Kind == Shadowed {
						t.Fatalf("the second matches %s alone", metric)
					}
				}
			}
		}
		if !both && len(found) > 0 && found[0].Kind == Overlapping {
			t.Fatalf("nothing is matched by both")
		}
	})
}

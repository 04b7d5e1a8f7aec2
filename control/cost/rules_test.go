package cost

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// services is a histogram of 12 series a stream: 10 pods, each with a uid of its
// own, and 5 routes.
func services(metricType string, each uint64) report.Cardinality {
	m := report.MetricCardinality{
		Name: "m", Group: "cart", Type: metricType, Series: 50 * each, Streams: 50,
		Attributes: []report.AttributeCardinality{
			{Key: "service.name", Level: report.LevelResource, Label: "job", Distinct: 1, SeriesWithout: 50 * each},
			{Key: "pod", Level: report.LevelResource, Label: "pod", Distinct: 10, SeriesWithout: 50 * each},
			{Key: "uid", Level: report.LevelResource, Label: "uid", Distinct: 10, SeriesWithout: 50 * each},
			{Key: "route", Level: report.LevelDataPoint, Label: "route", Distinct: 5, SeriesWithout: 10 * each, Saving: 40 * each},
			{Key: "version", Level: report.LevelScope, Label: "otel_scope_version", Distinct: 2, SeriesWithout: 50 * each},
			{Key: "host.id", Level: report.LevelResource, Distinct: 10, SeriesWithout: 50 * each},
		},
		Groups: []report.AttributeGroup{{Attributes: []string{"resource.pod", "resource.uid"}, SeriesWithout: 5 * each, Saving: 45 * each}},
	}
	return report.Cardinality{Backend: "prometheus", GroupBy: "service.name", Metrics: []report.MetricCardinality{m}}
}

func TestRuleEffects(t *testing.T) {
	f := func(r report.Cardinality, want Estimate, attributes string, rules ...policy.Rule) {
		t.Helper()
		for i := range rules {
			rules[i].Name = fmt.Sprint("rule", i)
			if rules[i].Match.Metric == "" {
				rules[i].Match.Metric = "*"
			}
		}
		effects, err := RuleEffects(rules, r, Assumptions{})
		require.NoError(t, err)
		if attributes == "" && want == (Estimate{}) {
			assert.Empty(t, effects)
			return
		}
		require.Len(t, effects, 1)
		assert.Equal(t, Key{Metric: "m", Group: "cart"}, effects[0].Key)
		assert.Equal(t, want, effects[0].After)
		assert.Equal(t, attributes, fmt.Sprint(effects[0].Attributes))
	}
	drop := func(names ...string) policy.Rule {
		return policy.Rule{Attributes: policy.Attributes{Drop: names}}
	}
	sums, none := services("sum", 1), Estimate{}
	// What was counted
	f(sums, Exactly(10), "[route]", drop("route"))
	f(sums, Exactly(10), "[route]", policy.Rule{Attributes: policy.Attributes{Keep: []string{"code"}}})
	f(sums, Exactly(5), "[resource.pod resource.uid]", drop("pod", "uid"))
	f(sums, Exactly(5), "[resource.pod resource.uid]", drop("resource.pod", "uid", "host.id"))
	// What is no label, what is another level, another metric, nothing at all
	f(sums, none, "", drop("host.id"))
	f(sums, none, "", drop("resource.route"))
	f(sums, none, "", policy.Rule{Match: policy.Match{Metric: "n"}, Attributes: policy.Attributes{Drop: []string{"route"}}})
	f(sums, none, "", policy.Rule{})
	// service.name stays unless it is named; so this is the group and the routes
	f(sums, Estimate{Value: 2, Min: 2, Max: 5}, "[resource.pod resource.uid route]", drop("resource.*", "route"))
	// Bounds: 10 or fewer without route, two versions stay, 10 ÷ 11 combinations
	f(sums, Estimate{Value: 10, Min: 10, Max: 10}, "[resource.pod route]", drop("pod", "route"))
	f(sums, Exactly(50), "[scope.version]", policy.Rule{Scope: policy.ScopeDrop})
	// Values that change: three buckets of five routes leave up to 10 × (3 + 1)
	f(sums, Estimate{Value: 40, Min: 10, Max: 40}, "[route]",
		policy.Rule{Attributes: policy.Attributes{HashBuckets: []policy.HashBuckets{{Attribute: "route", Buckets: 3}}}})
	buckets := drop("uid")
	buckets.Attributes.HashBuckets = []policy.HashBuckets{{Attribute: "pod", Buckets: 3}}
	f(sums, Estimate{Value: 20, Min: 5, Max: 20}, "[resource.pod resource.uid]", buckets) // at least what the group leaves
	f(sums, Estimate{Value: 30, Min: 10, Max: 30}, "[route]",
		policy.Rule{Attributes: policy.Attributes{TopK: &policy.TopK{Attribute: "route", K: 1}}})
	f(sums, Estimate{Value: 50, Min: 10, Max: 50}, "[route]",
		policy.Rule{Attributes: policy.Attributes{Map: []policy.ValueMap{{Attribute: "route", Regex: "/u/.*", Template: "/u"}}}})
	// Limits, in series that come out
	f(sums, Estimate{Value: 20, Min: 1, Max: 20}, "[]", policy.Rule{Limit: &policy.Limit{MaxSeries: 20}})
	f(sums, none, "", policy.Rule{Limit: &policy.Limit{MaxSeries: 60}})
	f(sums, Estimate{Value: 10, Min: 1, Max: 10}, "[]", policy.Rule{Limit: &policy.Limit{MaxSeries: 2, Fold: policy.Fold{"route"}}})
	// Gauges, summaries and mixed metrics pass unless the rule says how
	f(services("gauge", 1), none, "", drop("route"))
	gauges := drop("route")
	gauges.Gauge = policy.GaugeSum
	f(services("gauge", 1), Exactly(10), "[route]", gauges)
	f(services("mixed", 1), Estimate{Value: 50, Min: 10, Max: 50}, "[route]", drop("route"))
	f(services("summary", 5), none, "", drop("route"))
	summaries := drop("route")
	summaries.Summary = policy.SummaryMergeCountSum
	f(services("summary", 5), Exactly(20), "[route]", summaries) // 10 × 2 of 10 × 5
	// Buckets: 9 bounds and 3 more; of two bounds to keep 0 to 2 are there
	coarse := policy.Rule{Buckets: &policy.Buckets{KeepBounds: []float64{1, 5}}}
	f(services("histogram", 12), Estimate{Value: 250, Min: 150, Max: 250}, "[]", coarse)
	f(services("histogram", 12), Exactly(120), "[route]", drop("route"))
	f(services("histogram", 12), Estimate{Value: 240, Min: 1, Max: 240}, "[]", policy.Rule{Limit: &policy.Limit{MaxSeries: 20}})
}

func TestRulesApplyInOrderAndByCondition(t *testing.T) {
	f := func(want Estimate, matches ...policy.Match) {
		t.Helper()
		var rules []policy.Rule
		for i, m := range matches {
			m.Metric = "m"
			rules = append(rules, policy.Rule{
				Name: fmt.Sprint("rule", i), Match: m,
				Attributes: policy.Attributes{Drop: []string{[]string{"route", "uid"}[i]}},
			})
		}
		effects, err := RuleEffects(rules, services("sum", 1), Assumptions{})
		require.NoError(t, err)
		got := Estimate{}
		if len(effects) > 0 {
			got = effects[0].After
		}
		assert.Equal(t, want, got)
	}
	resource := func(c policy.Condition) policy.Match { return policy.Match{Resource: []policy.Condition{c}} }
	point := func(c policy.Condition) policy.Match { return policy.Match{Point: []policy.Condition{c}} }
	f(Exactly(10), policy.Match{}, policy.Match{}) // the first that matches
	f(Exactly(10), policy.Match{Types: []policy.MetricType{policy.TypeSum}})
	f(Estimate{}, policy.Match{Types: []policy.MetricType{policy.TypeHistogram}})
	// The budget group is the value of service.name
	f(Exactly(10), resource(policy.Condition{Attribute: "service.name", Value: "ca*"}))
	f(Exactly(10), resource(policy.Condition{Attribute: "service.name", Present: new(true)}))
	f(Estimate{}, resource(policy.Condition{Attribute: "service.name", Value: "shop"}))
	f(Estimate{}, point(policy.Condition{Attribute: "service.name", Value: "cart"}))
	// Which attributes there are is known, their values are not
	f(Estimate{}, resource(policy.Condition{Attribute: "cluster", Value: "*"}))
	f(Exactly(10), resource(policy.Condition{Attribute: "cluster", Present: new(false)}))
	f(Estimate{Value: 50, Min: 10, Max: 50}, point(policy.Condition{Attribute: "route", Value: "/health"}))
	f(Estimate{Value: 50, Min: 10, Max: 50}, point(policy.Condition{Attribute: "route", Present: new(true)}))
	// If the first does not apply, the second does
	f(Estimate{Value: 50, Min: 10, Max: 50}, point(policy.Condition{Attribute: "route", Value: "/health"}), policy.Match{})
}

func TestAnAttributeMayBeAmongThoseWithoutAnEntry(t *testing.T) {
	r := services("sum", 1)
	r.Metrics[0].Attributes = append(r.Metrics[0].Attributes, report.AttributeCardinality{Key: "otel.overflow", Overflow: true, Distinct: 4})
	f := func(c policy.Condition, want Estimate) {
		t.Helper()
		effects, err := RuleEffects([]policy.Rule{{
			Name: "r", Match: policy.Match{Metric: "m", Point: []policy.Condition{c}}, Attributes: policy.Attributes{Drop: []string{"route"}},
		}}, r, Assumptions{})
		require.NoError(t, err)
		require.Len(t, effects, 1)
		assert.Equal(t, want, effects[0].After)
	}
	f(policy.Condition{Attribute: "cluster", Value: "*"}, Estimate{Value: 50, Min: 10, Max: 50})
	f(policy.Condition{Attribute: "cluster", Present: new(false)}, Estimate{Value: 50, Min: 10, Max: 50})
}

// Of three labels that go only together, two leave at least what all three leave.
func TestAGroupBoundsItsParts(t *testing.T) {
	m := services("sum", 1).Metrics[0]
	m.Series = 50_000
	for i := range m.Attributes {
		m.Attributes[i].SeriesWithout = 50_000
		m.Attributes[i].Distinct = 300
	}
	m.Groups[0] = report.AttributeGroup{Attributes: []string{"resource.pod", "resource.uid", "route"}, SeriesWithout: 700}
	e, _ := DropEffect(m, []string{"resource.pod", "route"}, Assumptions{})
	assert.Equal(t, Estimate{Value: 50_000, Min: 700, Max: 50_000}, e.After)
}

func TestRuleEffectsRefuses(t *testing.T) {
	_, err := RuleEffects([]policy.Rule{{Name: "a b"}}, report.Cardinality{}, Assumptions{})
	require.NotEmpty(t, policy.AsErrors(err))
	r := services("sum", 1)
	r.Metrics[0].Attributes = nil
	_, err = RuleEffects(nil, r, Assumptions{})
	require.ErrorIs(t, err, ErrNoDetail)
	_, err = RuleEffects(nil, report.Cardinality{}, Assumptions{})
	require.NoError(t, err)
}

func TestErrorsOfEstimates(t *testing.T) {
	f := func(estimated bool, relative, assumed, want float64) {
		t.Helper()
		m := services("sum", 1).Metrics[0]
		m.Estimated, m.RelativeError = estimated, relative
		e, found := DropEffect(m, []string{"route"}, Assumptions{SketchError: assumed})
		require.True(t, found)
		assert.InDelta(t, want, e.After.StandardError, 1e-6)
	}
	f(false, 0, 0.5, 0)
	f(true, 0.01, 0.5, 0.1)
	f(true, 0, 0.02, 0.2)
	f(true, 0, 0, 0.0574524) // precision 15: 1.04 ÷ √32768 of 10 series
	_, found := DropEffect(services("sum", 1).Metrics[0], []string{"host.id", "zone"}, Assumptions{})
	assert.False(t, found)
}

// smallWorlds have up to 120 series of two to five labels, some of which follow
// from others.
func smallWorlds() *rapid.Generator[world] {
	return rapid.Custom(func(t *rapid.T) world {
		var w world
		domains := []series.Domain{series.Resource, series.Point, series.Point, series.Scope, series.Resource}
		n := rapid.IntRange(2, 5).Draw(t, "labels")
		kinds := make([]int, n)
		for l := range n {
			w.labels = append(w.labels, worldLabel{domains[l], string(rune('a' + l))})
			kinds[l] = rapid.IntRange(-1, 6).Draw(t, "values") // -1: as the label before
		}
		seen := map[string]bool{}
		for range rapid.IntRange(1, 120).Draw(t, "series") {
			values := make([]string, n)
			for l := range values {
				switch v := rapid.IntRange(0, max(kinds[l], 0)).Draw(t, "value"); {
				case kinds[l] < 0 && l > 0 && values[l-1] != "":
					values[l] = "of " + values[l-1]
				case v > 0 || kinds[l] == 0:
					values[l] = strconv.Itoa(v)
				}
			}
			if key := fmt.Sprintf("%q", values); !seen[key] {
				seen[key] = true
				w.series = append(w.series, values)
			}
		}
		return w
	})
}

// What the data path really makes of the series is within the bounds.
func TestBoundsHoldWhatTheDataPathMakes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := smallWorlds().Draw(rt, "world")
		rule := policy.Rule{Name: "r", Match: policy.Match{Metric: "m"}}
		for _, label := range w.labels {
			name := map[series.Domain]string{series.Resource: "resource.", series.Scope: "scope.", series.Point: ""}[label.domain] + label.key
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0, 1:
				rule.Attributes.Drop = append(rule.Attributes.Drop, name)
			case 2:
				if label.domain != series.Scope {
					rule.Attributes.HashBuckets = append(rule.Attributes.HashBuckets, policy.HashBuckets{Attribute: name, Buckets: rapid.IntRange(1, 4).Draw(rt, "buckets")})
				}
			case 3:
				if rule.Attributes.TopK == nil && label.domain != series.Scope {
					rule.Attributes.TopK = &policy.TopK{Attribute: name, K: rapid.IntRange(1, 3).Draw(rt, "k")}
				}
			case 4:
				rule.Attributes.Map = append(rule.Attributes.Map, policy.ValueMap{Attribute: name, Regex: "[12]", Template: "few"})
			}
		}
		if rapid.IntRange(0, 3).Draw(rt, "scope") == 0 {
			rule.Scope = policy.ScopeDrop
		}
		if policy.ValidateRules([]policy.Rule{rule}) != nil {
			rt.Skip("not a rule")
		}
		r := w.report(t, 1, 15)
		require.Equal(rt, uint64(len(w.series)), r.Metrics[0].Series)
		effects, err := RuleEffects([]policy.Rule{rule}, r, Assumptions{})
		require.NoError(rt, err)
		truth := w.after(rt, rule)
		after := Exactly(r.Metrics[0].Series)
		if len(effects) > 0 {
			after = effects[0].After
		}
		require.LessOrEqual(rt, after.Min, truth, "%+v", r.Metrics[0])
		require.GreaterOrEqual(rt, after.Max, truth, "%+v", r.Metrics[0])
		require.LessOrEqual(rt, after.Min, after.Value)
		require.LessOrEqual(rt, after.Value, after.Max)
		require.Zero(rt, after.StandardError)
		if drops := rule.Attributes; len(drops.Drop) == 1 && len(drops.HashBuckets)+len(drops.Map) == 0 && drops.TopK == nil && rule.Scope == "" {
			require.Equal(rt, Exactly(truth), after, "one label is counted, not guessed")
		}
	})
}

func TestGroupsOfPodsAreCountedTogether(t *testing.T) {
	w := world{labels: []worldLabel{{series.Resource, "pod"}, {series.Resource, "uid"}, {series.Point, "route"}, {series.Point, "code"}}}
	for pod := range 60 {
		for route := range 20 {
			code := strconv.Itoa((pod + route) % 3)
			w.series = append(w.series, []string{fmt.Sprint("p", pod), fmt.Sprint("u", pod), fmt.Sprint("r", route), code})
		}
	}
	r := w.report(t, 1, 15)
	rule := policy.Rule{Name: "r", Match: policy.Match{Metric: "m"}, Attributes: policy.Attributes{Drop: []string{"pod", "uid"}}}
	effects, err := RuleEffects([]policy.Rule{rule}, r, Assumptions{})
	require.NoError(t, err)
	assert.Equal(t, Exactly(w.after(t, rule)), effects[0].After)

	// With the routes beside it, the group is a part of the bounds and the guess.
	rule.Attributes.Drop = append(rule.Attributes.Drop, "route")
	effects, err = RuleEffects([]policy.Rule{rule}, r, Assumptions{})
	require.NoError(t, err)
	assert.Equal(t, Estimate{Value: 9, Min: 3, Max: 60}, effects[0].After)
	assert.Equal(t, uint64(3), w.after(t, rule))
	assert.True(t, slices.IsSorted(effects[0].Attributes))
}

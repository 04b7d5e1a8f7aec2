package insight_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/control/store"
)

// TestANamespaceSeesNothingOfAnother shows the users of shop two streams that
// differ in all that is not theirs: other groups with other metrics and numbers,
// points that are not grouped by namespace, overflow, memory, history and
// policies. Whatever they ask, the answers are the same, byte by byte.
func TestANamespaceSeesNothingOfAnother(t *testing.T) {
	one, two := newWorld(t, byNamespace), newWorld(t, byNamespace)
	for _, w := range []*world{one, two} {
		activate(t, w, exampleModel("example"))
		addPolicy(t, w, "shop", "own", store.StatePreview, policy.Rule{Match: policy.Match{Metric: "a*"}, Attributes: policy.Attributes{Drop: []string{"x"}}})
	}
	addPolicy(t, two, "bank", "theirs", store.StateEnforced)
	_, err := two.store.AppendSamples(t.Context(), []store.Sample{{Time: two.clock(), Kind: insight.KindSeries, Key: insight.TotalKey, Value: 5}})
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		own := ownPart(rt, "shop")
		for i, w := range []*world{one, two} {
			w.set(func() { clear(w.points) })
			w.measure(withOthers(rt, own, i))
			if rapid.Bool().Draw(rt, "another point") {
				hidden := withOthers(rt, nil, i)
				hidden.Point, hidden.GroupBy = rapid.SampledFrom([]string{"a", "ingest", "z"}).Draw(rt, "hidden"), "service.name"
				w.measure(hidden)
			}
			rules := []report.RuleReport{{Name: "shop/own/rule-1", Mode: "preview", Streams: 8, Metrics: []report.RuleMetric{{Metric: "ab", Series: 8, SeriesAfter: 3}}}}
			if i == 1 {
				rules = append(rules, ruleReport("bank/theirs/rule-1", "enforce", 70, 7, 0))
			}
			applies(w, rules...)
		}
		ask := questions(rt)
		for range 2 { // rates need two reports
			require.Equal(rt, ask(t, one), ask(t, two))
			for i, w := range []*world{one, two} {
				w.later(time.Minute, func(m report.MetricCardinality) float64 {
					if m.Group == "shop" {
						return float64(m.Streams)
					}
					return float64(i * 100)
				})
			}
		}
		require.Equal(rt, ask(t, one), ask(t, two))
		for _, w := range []*world{one, two} {
			w.set(func() { w.now = sampleTime })
		}
	})
}

func ownPart(t *rapid.T, group string) []report.MetricCardinality {
	metrics := randomReport(t).Metrics
	seen := map[string]bool{}
	var own []report.MetricCardinality
	for _, m := range metrics {
		if !seen[m.Name] {
			seen[m.Name] = true
			m.Group, m.BackendName = group, m.Name+"_total"
			m.Attributes = []report.AttributeCardinality{{Key: "x", Level: report.LevelDataPoint, Label: "x", Distinct: 2, SeriesWithout: 1}}
			own = append(own, m)
		}
	}
	return own
}

// withOthers is a point that is grouped by namespace, with other groups.
func withOthers(t *rapid.T, own []report.MetricCardinality, seed int) report.Cardinality {
	c := report.Cardinality{
		Point: "p", Component: "c", Backend: "prometheus", GroupBy: namespaceAttribute,
		From: sampleTime.Add(-10 * time.Minute), To: sampleTime, Window: 10 * time.Minute, SubWindow: time.Minute,
		Metrics: append([]report.MetricCardinality(nil), own...),
	}
	for _, group := range []string{"bank", "", "shop2"} {
		for _, m := range ownPart(t, group) {
			m.Name += rapid.SampledFrom([]string{"", ".secret"}).Draw(t, "name")
			m.Series *= 1000 * uint64(seed+1)
			m.Growth.Growing = true
			c.Metrics = append(c.Metrics, m)
		}
	}
	for _, m := range c.Metrics {
		c.Series += m.Series
	}
	c.MetricsTracked, c.MemoryBytes, c.Refused = len(c.Metrics), c.Series, map[string]uint64{"limit": c.Series}
	c.Overflow = &report.CardinalityOverflow{Series: c.Series, Reasons: []string{"max_metrics"}}
	return c
}

// questions draws one question of each kind, and returns what asks them all as a
// user of shop, page by page, and writes down the answers.
func questions(rt *rapid.T) func(*testing.T, *world) string {
	name := rapid.SampledFrom([]string{"a", "ab", "a.b", "b", "ba*", "é", "a.secret", "ab_total", "zz"}).Draw(rt, "name")
	point := rapid.SampledFrom([]string{"", "p", "a", "ingest", "nowhere"}).Draw(rt, "point")
	filter := rapid.SampledFrom([]string{"", "series > 0", `group != "shop"`, "growing = true", `metric = "*.secret"`, "saving > 1"}).Draw(rt, "filter")
	sort := string(rapid.SampledFrom(insight.Orders).Draw(rt, "sort"))
	dimension := rapid.SampledFrom([]string{"metrics", "groups", "labels"}).Draw(rt, "dimension")
	group := rapid.SampledFrom([]string{"", "*", "shop*", "bank"}).Draw(rt, "group")
	pattern := rapid.SampledFrom([]string{"", "*", name, "*secret"}).Draw(rt, "pattern")
	rule := &phoenixv1.Rule{Match: &phoenixv1.Match{Metric: "*"}, Attributes: &phoenixv1.Attributes{Drop: []string{"x"}}}
	return func(t *testing.T, w *world) string {
		ctx := as(t, "shop")
		var said strings.Builder
		note := func(m proto.Message, err error) {
			if err == nil {
				said.WriteString(shown(t, m))
				return
			}
			var f *fault.Fault
			require.ErrorAs(t, err, &f)
			require.NotEqual(t, fault.Internal, f.Reason, "%v", f.Cause)
			said.WriteString(string(f.Reason) + f.Detail + strings.Join(f.Suggestions, ","))
			for _, v := range f.Violations {
				said.WriteString(v.Field + v.Description)
			}
		}
		all := &phoenixv1.ListCardinalityRequest{Point: point, Metric: pattern, Group: group, Sort: sort, Limit: 2, Filter: filter}
		for {
			page, err := w.Cardinality.ListCardinality(ctx, all)
			note(page, err)
			if all.PageToken = page.GetNextPageToken(); all.PageToken == "" {
				break
			}
		}
		note(w.Cardinality.GetCardinality(ctx, &phoenixv1.GetCardinalityRequest{Metric: name, Point: point, Group: group, Since: "2m"}))
		note(w.Costs.GetCosts(ctx, &phoenixv1.GetCostsRequest{Point: point}))
		parts := &phoenixv1.ListCostsRequest{Point: point, Dimension: dimension, Name: pattern, PageSize: 2}
		for {
			page, err := w.Costs.ListCosts(ctx, parts)
			note(page, err)
			if parts.PageToken = page.GetNextPageToken(); parts.PageToken == "" {
				break
			}
		}
		note(w.Costs.GetHistory(ctx, &phoenixv1.GetHistoryRequest{Kind: "series"}))
		note(w.Costs.GetHistory(ctx, &phoenixv1.GetHistoryRequest{Kind: "policy_saving_series", Key: "bank/theirs"}))
		note(w.Savings.ListSavings(ctx, &phoenixv1.ListSavingsRequest{}))
		note(w.Savings.GetSaving(ctx, &phoenixv1.GetSavingRequest{Namespace: "shop", Name: "own"}))
		note(w.Savings.GetSaving(ctx, &phoenixv1.GetSavingRequest{Namespace: "bank", Name: "theirs"}))
		note(w.Savings.EstimateSaving(ctx, &phoenixv1.EstimateSavingRequest{Rules: []*phoenixv1.Rule{rule}, Point: point}))
		require.NotContains(t, strings.ReplaceAll(said.String(), quoted(name), ""), ".secret\"", "the name of another group")
		return said.String()
	}
}

// quoted is a name as an error repeats it.
func quoted(name string) string { return `"` + name + `"` }

func TestAPartIsWhatTheCallerSees(t *testing.T) {
	w := newWorld(t, byNamespace)
	c := withTwo()
	w.measure(c, export())
	f := func(who string, series float64, points ...string) {
		t.Helper()
		answer, err := w.Cardinality.ListCardinality(as(t, who), &phoenixv1.ListCardinalityRequest{})
		require.NoError(t, err)
		sum := 0.0
		var names []string
		for _, p := range answer.GetPoints() {
			sum += p.GetSeries()
			names = append(names, p.GetPoint())
		}
		assert.InDelta(t, series, sum, 0, who)
		assert.Equal(t, points, names, who)
	}
	f("viewer", 30+1519, "export", "p")
	f("both", 30, "p")
	f("shop", 10, "p")
	f("bank", 20, "p")
	_, err := w.Cardinality.ListCardinality(as(t, "stranger"), &phoenixv1.ListCardinalityRequest{})
	requireRefused(t, err, fault.Forbidden)
	_, err = w.Cardinality.ListCardinality(as(t, "shop"), &phoenixv1.ListCardinalityRequest{Point: "export"})
	assert.Equal(t, `unknown measuring point "export"; known are p`, refused(t, err, fault.NotFound).Detail)
	bill, err := w.Costs.GetCosts(as(t, "shop"), &phoenixv1.GetCostsRequest{})
	require.NoError(t, err)
	assert.Equal(t, "p", bill.GetPoint(), "the first that they see")
	assert.Contains(t, bill.GetWarnings()[0], "your namespaces alone")

	// Without the attribute a namespace only says who may change what.
	open := newWorld(t)
	open.measure(c, export())
	answer, err := open.Cardinality.ListCardinality(as(t, "shop"), &phoenixv1.ListCardinalityRequest{})
	require.NoError(t, err)
	assert.Len(t, answer.GetPoints(), 2)
}

func withTwo() report.Cardinality {
	return report.Cardinality{
		Point: "p", Component: "c", Backend: "otlp", GroupBy: namespaceAttribute, Window: time.Minute, To: sampleTime, From: sampleTime.Add(-time.Minute),
		Series: 30, Metrics: []report.MetricCardinality{
			{Name: "a", Group: "shop", Series: 10, Streams: 10}, {Name: "a", Group: "bank", Series: 20, Streams: 20},
		},
	}
}

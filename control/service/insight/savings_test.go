package insight_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/control/store"
)

const requests = "http.server.request.duration"

// worked is the stream of the worked example in control/cost/README.md: dropping
// resource.pod of the first metric saves 481.50 a month.
func worked() report.Cardinality {
	attributes := []report.AttributeCardinality{
		{Key: "pod", Level: report.LevelResource, Label: "pod", Distinct: 10, SeriesWithout: 9_000, Saving: 81_000},
		{Key: "http.route", Level: report.LevelDataPoint, Label: "http_route", Distinct: 9_000, SeriesWithout: 10, Saving: 89_990},
	}
	return report.Cardinality{
		Point: "ingest", Component: "cardinality/ingest", Backend: "prometheus",
		From: sampleTime.Add(-10 * time.Minute), To: sampleTime, Window: 10 * time.Minute, SubWindow: time.Minute,
		Metrics: []report.MetricCardinality{
			{Name: requests, Type: "sum", Series: 90_000, Streams: 90_000, Attributes: attributes},
			{Name: "db.client.calls", Type: "sum", Series: 40_000, Streams: 40_000, Attributes: []report.AttributeCardinality{}},
			{Name: "up", Type: "gauge", Series: 10_000, Streams: 10_000, Attributes: []report.AttributeCardinality{}},
		},
	}
}

func addPolicy(tb testing.TB, w *world, namespace, name string, state store.PolicyState, rules ...policy.Rule) {
	tb.Helper()
	if rules == nil {
		rules = []policy.Rule{{Match: policy.Match{Metric: "http.*"}, Attributes: policy.Attributes{Drop: []string{"resource.pod"}}}}
	}
	spec, err := publish.EncodeSpec(publish.Spec{Rules: rules})
	require.NoError(tb, err)
	ctx := as(tb, "root")
	require.NoError(tb, w.core.Change(ctx, func(ctx context.Context, tx store.Tx) error {
		key := store.PolicyKey{Namespace: namespace, Name: name}
		entry := w.core.Entry(ctx, "policies.create")
		present, err := tx.GetPolicy(ctx, key)
		if err == nil {
			_, err = tx.UpdatePolicy(ctx, store.PolicyUpdate{PolicyKey: key, If: present.Revision, State: state}, entry)
			return err
		}
		_, err = tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: key, Spec: spec, State: state}, entry)
		return err
	}))
}

// applies lets a processor say that it applies rules for long enough.
func applies(w *world, rules ...report.RuleReport) {
	w.set(func() {
		for i := range rules {
			if rules[i].Since.IsZero() {
				rules[i].Since = w.now.Add(-10 * time.Minute)
			}
		}
		w.consolidation = []report.Consolidation{{
			Component: "tag_consolidation", Role: "common", Staleness: 5 * time.Minute, Rules: rules,
		}}
	})
}

func ruleReport(name, mode string, series, after uint64, relativeError float64) report.RuleReport {
	return report.RuleReport{
		Name: name, Mode: mode, Points: 5, Streams: series, StreamsAfter: after,
		Metrics: []report.RuleMetric{{
			Metric: requests, Type: "sum", Streams: series, StreamsAfter: after, Series: series, SeriesAfter: after, RelativeError: relativeError,
		}},
	}
}

func saving(tb testing.TB, w *world, name string) *phoenixv1.PolicySaving {
	tb.Helper()
	s, err := w.Savings.GetSaving(as(tb, "viewer"), &phoenixv1.GetSavingRequest{Namespace: "shop", Name: name})
	require.NoError(tb, err)
	return s
}

func TestASavingIsTheDifferenceOfTwoBills(t *testing.T) {
	w := newWorld(t)
	w.measure(worked())
	activate(t, w, exampleModel("example"))
	addPolicy(t, w, "shop", "drop-pod", store.StatePreview)

	// Nothing is measured yet: the sketches tell.
	s := saving(t, w, "drop-pod")
	assert.Equal(t, "estimated", s.GetBasis())
	assert.Equal(t, "481.50", s.GetMonthSaved().GetExpected())
	assert.InDelta(t, 81_000, s.GetSeriesSaved().GetExpected(), 0)
	assert.False(t, s.GetComplete())
	assert.Nil(t, s.GetSince())

	// Measured in preview, before a full staleness and after it.
	early := ruleReport("shop/drop-pod/rule-1", "preview", 90_000, 9_000, 0)
	early.Since = w.clock().Add(-4 * time.Minute)
	applies(w, early)
	s = saving(t, w, "drop-pod")
	assert.Equal(t, "measured", s.GetBasis())
	assert.False(t, s.GetComplete())
	assert.Contains(t, s.GetWarnings(), "Measured for less than 5m0s: series that send seldom are missing")
	applies(w, ruleReport("shop/drop-pod/rule-1", "preview", 90_000, 9_000, 0))
	s = saving(t, w, "drop-pod")
	assert.True(t, s.GetComplete())
	assert.Empty(t, s.GetWarnings())
	assert.Equal(t, "481.50", s.GetMonthSaved().GetExpected())
	assert.Equal(t, "481.50", s.GetMonthSaved().GetLow(), "all is counted exactly")
	assert.Equal(t, "15.830137", s.GetDaySaved().GetExpected())
	assert.Equal(t, "USD", s.GetCurrency())
	assert.InDelta(t, 90_000, s.GetStreamsIn(), 0)
	assert.InDelta(t, 9_000, s.GetStreamsOut(), 0)
	require.Len(t, s.GetRules(), 1)
	assert.Equal(t, "rule-1", s.GetRules()[0].GetRule())
	assert.InDelta(t, 81_000, s.GetRules()[0].GetSeriesSaved().GetExpected(), 0)

	// Enforced, but not there yet.
	addPolicy(t, w, "shop", "drop-pod", store.StateEnforced)
	s = saving(t, w, "drop-pod")
	assert.False(t, s.GetComplete())
	assert.Contains(t, s.GetWarnings()[0], "not in force everywhere yet")

	// In force, and counted before the rule: the stream is as it was.
	applies(w, ruleReport("shop/drop-pod/rule-1", "enforce", 90_000, 9_000, 0))
	s = saving(t, w, "drop-pod")
	assert.True(t, s.GetComplete())
	assert.Equal(t, "481.50", s.GetMonthSaved().GetExpected())
	assert.Empty(t, s.GetWarnings())

	// In force, and counted behind it: what went is added to what is left.
	behind := worked()
	behind.Metrics[0].Series, behind.Metrics[0].Streams = 9_000, 9_000
	w.measure(behind)
	s = saving(t, w, "drop-pod")
	assert.Equal(t, "481.50", s.GetMonthSaved().GetExpected())
	assert.Equal(t, []string{"The point ingest counts what the policy leaves: the amounts compare that with what it was before"}, s.GetWarnings())

	w.set(func() { w.engaged = true })
	assert.Contains(t, saving(t, w, "drop-pod").GetWarnings()[0], "The kill switch is engaged")
	addPolicy(t, w, "shop", "drop-pod", store.StateDisabled)
	w.measure(worked())
	s = saving(t, w, "drop-pod")
	assert.Equal(t, "estimated", s.GetBasis(), "it would save this")
	assert.Contains(t, s.GetWarnings()[0], "The policy is disabled and saves nothing")
	assert.Equal(t, "481.50", s.GetMonthSaved().GetExpected())
}

func TestInstancesAndProcessorsAddUp(t *testing.T) {
	w := newWorld(t)
	w.measure(worked())
	activate(t, w, flatModel("mine", "1"))
	addPolicy(t, w, "shop", "drop-pod", store.StatePreview)
	half := ruleReport("shop/drop-pod/rule-1", "preview", 45_000, 4_500, 0.01)
	half.Since = sampleTime.Add(-time.Hour)
	half.Metrics = append(half.Metrics, report.RuleMetric{Series: 10, SeriesAfter: 3}, report.RuleMetric{Metric: "gone", Series: 5, SeriesAfter: 1})
	static := half
	static.Static = true
	w.set(func() {
		one := report.Consolidation{Component: "tag_consolidation/a", Staleness: time.Minute, Rules: []report.RuleReport{half, static, {Name: "static"}}}
		two := one
		two.Component = "tag_consolidation/b"
		w.consolidation = []report.Consolidation{one, two}
	})
	s := saving(t, w, "drop-pod")
	assert.InDelta(t, 90_000, s.GetStreamsIn(), 0)
	assert.InDelta(t, 81_000+2*7+2*4, s.GetSeriesSaved().GetExpected(), 0)
	margin := 1.96 * math.Sqrt(2*(450*450+45*45))
	assert.InDelta(t, 81_022-margin, s.GetSeriesSaved().GetLow(), 1)
	assert.Equal(t, "81.00", s.GetMonthSaved().GetExpected())
	assert.Equal(t, []string{
		"The savings at tag_consolidation/a, tag_consolidation/b are added up: a preview counts a series twice if it passes two of them",
		"14 of the series belong to metrics beyond the bound of a processor's report: they are not in the amounts",
		"1 of its metrics are not counted at the point ingest: they are not in the amounts",
	}, s.GetWarnings())
}

// After a rollback from enforced to preview a processor reports the rule twice
// until the edge: what it still does, and what its preview measures already.
func TestARuleThatIsInPreviewAgainCountsOnce(t *testing.T) {
	w := newWorld(t)
	w.points["ingest"] = worked()
	addPolicy(t, w, "shop", "drop-pod", store.StatePreview)
	rule := func(mode string, series uint64) report.RuleReport {
		return report.RuleReport{
			Name: "shop/drop-pod/rule-1", Mode: mode, Since: sampleTime.Add(-time.Hour), Streams: series, StreamsAfter: series / 10,
			Metrics: []report.RuleMetric{{Metric: requests, Type: "sum", Streams: series, StreamsAfter: series / 10, Series: series, SeriesAfter: series / 10}},
		}
	}
	w.consolidation = []report.Consolidation{{
		Component: "tag_consolidation", Role: "common", Staleness: 5 * time.Minute,
		Rules: []report.RuleReport{rule("enforce", 90_000), rule("preview", 20_000)},
	}}
	saving, err := w.Savings.GetSaving(as(t, "root"), &phoenixv1.GetSavingRequest{Namespace: "shop", Name: "drop-pod"})
	require.NoError(t, err)
	assert.InDelta(t, 20_000, saving.GetStreamsIn(), 0)
	assert.InDelta(t, 18_000, saving.GetSeriesSaved().GetExpected(), 0)
}

func TestASavingIsDividedAmongGroups(t *testing.T) {
	grouped := worked()
	grouped.GroupBy = namespaceAttribute
	var metrics []report.MetricCardinality
	for i, group := range []string{"shop", "bank", ""} {
		m := grouped.Metrics[0]
		m.Group, m.Series = group, []uint64{60_000, 20_000, 10_000}[i]
		metrics = append(metrics, m)
	}
	grouped.Metrics = metrics
	w := newWorld(t, byNamespace)
	w.measure(grouped)
	activate(t, w, flatModel("mine", "1"))
	// A namespace's rules apply to its own telemetry: 54,000 of 60,000 go.
	addPolicy(t, w, "shop", "drop-pod", store.StatePreview)
	applies(w, ruleReport("shop/drop-pod/rule-1", "preview", 60_000, 6_000, 0))
	s := saving(t, w, "drop-pod")
	assert.Empty(t, s.GetWarnings())
	assert.Equal(t, "54.00", s.GetMonthSaved().GetExpected())
	// Those of the default namespace are for all.
	addPolicy(t, w, "default", "drop-pod", store.StatePreview)
	applies(w, ruleReport("default/drop-pod/rule-1", "preview", 90_000, 9_000, 0))
	s, err := w.Savings.GetSaving(as(t, "viewer"), &phoenixv1.GetSavingRequest{Namespace: "default", Name: "drop-pod"})
	require.NoError(t, err)
	assert.Equal(t, "81.00", s.GetMonthSaved().GetExpected())
	assert.Contains(t, s.GetWarnings()[0], "divided among its groups")
	// The users of shop see the amounts of their part of the bill.
	applies(w, ruleReport("shop/drop-pod/rule-1", "preview", 60_000, 6_000, 0))
	s, err = w.Savings.GetSaving(as(t, "shop"), &phoenixv1.GetSavingRequest{Namespace: "shop", Name: "drop-pod"})
	require.NoError(t, err)
	assert.Equal(t, "54.00", s.GetMonthSaved().GetExpected())
}

// TestTheIntervalHoldsTheTruth lets sketches err as they do: 95 % of the
// intervals, of series and of money, hold what is really saved.
func TestTheIntervalHoldsTheTruth(t *testing.T) {
	w := newWorld(t)
	activate(t, w, exampleModel("example"))
	addPolicy(t, w, "shop", "drop-pod", store.StatePreview)
	random := rand.New(rand.NewPCG(1, 2))
	const rounds, relativeError = 400, 0.0057
	series, money := 0, 0
	for range rounds {
		// On both sides of the bend at 110,000
		whole := 20_000 + random.Uint64N(80_000)
		stays := random.Uint64N(whole)
		truth := billOf(whole+50_000) - billOf(stays+50_000)
		c := worked()
		err := func(n uint64) uint64 { return uint64(max(0, float64(n)*(1+relativeError*random.NormFloat64()))) }
		c.Metrics[0].Series, c.Metrics[0].Estimated, c.Metrics[0].RelativeError = err(whole), true, relativeError
		w.measure(c)
		applies(w, ruleReport("shop/drop-pod/rule-1", "preview", err(whole), err(stays), relativeError))
		s := saving(t, w, "drop-pod")
		if saved := float64(whole - stays); s.GetSeriesSaved().GetLow() <= saved && saved <= s.GetSeriesSaved().GetHigh() {
			series++
		}
		low, expected, high := parsed(t, s.GetMonthSaved())
		require.LessOrEqual(t, low, expected)
		require.LessOrEqual(t, expected, high)
		if low <= truth && truth <= high {
			money++
		}
	}
	assert.GreaterOrEqual(t, float64(series)/rounds, 0.93, "95 % less three standard errors of 400 rounds")
	assert.GreaterOrEqual(t, float64(money)/rounds, 0.93)
}

// billOf is the bill of exampleModel for so many series.
func billOf(series uint64) cost.Money {
	billed := float64(series - min(series, 10_000))
	return cost.Money(math.Round((min(billed, 100_000)*6.5 + max(billed-100_000, 0)*5) / 1000 * float64(cost.Unit)))
}

func parsed(tb testing.TB, m *phoenixv1.MoneyInterval) (low, expected, high cost.Money) {
	tb.Helper()
	var err error
	for text, to := range map[string]*cost.Money{m.GetLow(): &low, m.GetExpected(): &expected, m.GetHigh(): &high} {
		*to, err = cost.ParseMoney(text)
		require.NoError(tb, err)
	}
	if m.GetLow() == m.GetHigh() {
		return expected, expected, expected
	}
	return low, expected, high
}

// TestAnErrorOfTheStreamIsNoneOfTheSaving: ten million series are known to
// 57,000, and that a rule takes a thousand of them away is known exactly.
func TestAnErrorOfTheStreamIsNoneOfTheSaving(t *testing.T) {
	w := newWorld(t)
	activate(t, w, flatModel("mine", "1"))
	addPolicy(t, w, "shop", "drop-pod", store.StatePreview)
	c := worked()
	c.Metrics[0].Series, c.Metrics[0].Estimated, c.Metrics[0].RelativeError = 10_000_000, true, 0.0057
	w.measure(c)
	applies(w, ruleReport("shop/drop-pod/rule-1", "preview", 2_000, 1_000, 0))
	s := saving(t, w, "drop-pod")
	assert.Equal(t, "1.00", s.GetMonthSaved().GetLow())
	assert.Equal(t, "1.00", s.GetMonthSaved().GetHigh())
	// At a bend it does matter where one stands: 1.5 to 2 a thousand.
	bent := flatModel("bent", "0")
	bent.Components[0].Price, bent.Components[0].Tiers = nil, []*phoenixv1.PriceTier{{UpTo: 10_050_000, Price: "2"}, {Price: "1.5"}}
	activate(t, w, bent)
	s = saving(t, w, "drop-pod")
	assert.Equal(t, "1.50", s.GetMonthSaved().GetLow())
	assert.Equal(t, "2.00", s.GetMonthSaved().GetHigh())
}

func TestSavingsAreListed(t *testing.T) {
	w := newWorld(t)
	w.measure(worked())
	var want []string
	for _, namespace := range []string{"bank", "shop"} {
		for i := range 230 { // more than one look into the store
			state := []store.PolicyState{store.StatePreview, store.StateEnforced, store.StateDraft}[i%3]
			name := fmt.Sprintf("p-%03d", i)
			addPolicy(t, w, namespace, name, state)
			if i%3 < 2 {
				want = append(want, namespace+"/"+name)
			}
		}
	}
	f := func(who string, r *phoenixv1.ListSavingsRequest) (names []string) {
		t.Helper()
		for {
			page, err := w.Savings.ListSavings(as(t, who), r)
			require.NoError(t, err)
			for _, s := range page.GetSavings() {
				names = append(names, s.GetNamespace()+"/"+s.GetName())
			}
			if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
				return names
			}
		}
	}
	assert.Equal(t, want, f("viewer", &phoenixv1.ListSavingsRequest{PageSize: 7}))
	assert.Equal(t, want[154:], f("shop", &phoenixv1.ListSavingsRequest{PageSize: 1000}))
	assert.Equal(t, want[:154], f("viewer", &phoenixv1.ListSavingsRequest{Namespace: "bank"}))
	assert.Equal(t, []string{"bank/p-001", "shop/p-001"}, f("both", &phoenixv1.ListSavingsRequest{Filter: `state = "enforced" AND name = "p-00*" AND name != "p-004" AND name != "p-007"`}))
	assert.Equal(t, []string{"shop/p-000"}, f("viewer", &phoenixv1.ListSavingsRequest{Filter: `namespace : "sho" AND name = "p-000"`}))
	assert.Empty(t, f("viewer", &phoenixv1.ListSavingsRequest{Filter: `state = "draft"`}))
	_, err := w.Savings.ListSavings(as(t, "shop"), &phoenixv1.ListSavingsRequest{Namespace: "bank"})
	requireRefused(t, err, fault.NotFound)
	_, err = w.Savings.GetSaving(as(t, "shop"), &phoenixv1.GetSavingRequest{Namespace: "bank", Name: "p-000"})
	invisible := refused(t, err, fault.NotFound)
	_, err = w.Savings.GetSaving(as(t, "shop"), &phoenixv1.GetSavingRequest{Namespace: "shop", Name: "none"})
	assert.Equal(t, refused(t, err, fault.NotFound).Detail, invisible.Detail)
	_, err = w.Savings.ListSavings(as(t, "shop"), &phoenixv1.ListSavingsRequest{Filter: "series > 5", PageSize: 5000, PageToken: "x"})
	assert.Len(t, refused(t, err, fault.Invalid).Violations, 3)
}

func TestRulesThatAreStoredNowhere(t *testing.T) {
	w := newWorld(t)
	w.measure(worked())
	activate(t, w, exampleModel("example"))
	r := &phoenixv1.EstimateSavingRequest{Rules: []*phoenixv1.Rule{{
		Match: &phoenixv1.Match{Metric: "http.*"}, Attributes: &phoenixv1.Attributes{Drop: []string{"resource.pod"}},
	}}}
	e, err := w.Savings.EstimateSaving(as(t, "viewer"), r)
	require.NoError(t, err)
	assert.Equal(t, "exact", e.GetBasis())
	assert.Equal(t, "481.50", e.GetMonthSaved().GetExpected())
	require.Len(t, e.GetMetrics(), 1)
	assert.Equal(t, requests, e.GetMetrics()[0].GetMetric())
	assert.InDelta(t, 90_000, e.GetMetrics()[0].GetSeries(), 0)
	assert.InDelta(t, 9_000, e.GetMetrics()[0].GetSeriesAfter().GetExpected(), 0)

	f := func(want string, rules ...*phoenixv1.Rule) {
		t.Helper()
		_, err := w.Savings.EstimateSaving(as(t, "viewer"), &phoenixv1.EstimateSavingRequest{Rules: rules})
		var got []string
		for _, v := range refused(t, err, fault.Invalid).Violations {
			got = append(got, v.Field+": "+v.Description)
		}
		assert.Contains(t, strings.Join(got, "\n"), want)
	}
	f("rules: must have between 1 and 64 entries, got 0")
	f("rules: must have between 1 and 64 entries, got 65", make([]*phoenixv1.Rule, 65)...)
	f("rules[0].match.metric: ", &phoenixv1.Rule{})
	f("rules[1].match.metric: ", r.GetRules()[0], &phoenixv1.Rule{Match: &phoenixv1.Match{Metric: "/(/"}})
	f("rules[0].attributes.drop[0]", &phoenixv1.Rule{Match: &phoenixv1.Match{Metric: "a"}, Attributes: &phoenixv1.Attributes{Drop: []string{""}}})
}

func TestWithoutAPointThereAreNoAmounts(t *testing.T) {
	w := newWorld(t)
	addPolicy(t, w, "shop", "drop-pod", store.StatePreview)
	applies(w, ruleReport("shop/drop-pod/rule-1", "preview", 90, 9, 0))
	s := saving(t, w, "drop-pod")
	assert.InDelta(t, 81, s.GetSeriesSaved().GetExpected(), 0)
	assert.Nil(t, s.GetMonthSaved())
	assert.Contains(t, s.GetWarnings()[0], "No amounts: nothing is measured")
}

func TestAPolicyThatThisVersionRefusesIsListed(t *testing.T) {
	w := newWorld(t)
	w.measure(worked())
	addPolicy(t, w, "shop", "bad", store.StatePreview, policy.Rule{Match: policy.Match{Metric: "/(/"}})
	s := saving(t, w, "bad")
	assert.Contains(t, strings.Join(s.GetWarnings(), "\n"), "The policy cannot be applied: ")
	assert.Nil(t, s.GetMonthSaved())
}

func TestObserveTellsTheHistory(t *testing.T) {
	w := newWorld(t)
	o, err := w.Observe(t.Context(), 10)
	require.NoError(t, err)
	assert.True(t, o.At.IsZero(), "nothing is measured")
	w.measure(worked())
	activate(t, w, exampleModel("example"))
	for _, name := range []string{"a", "b"} {
		addPolicy(t, w, "shop", name, store.StateEnforced)
	}
	addPolicy(t, w, "shop", "c", store.StatePreview)
	one, two := ruleReport("shop/a/rule-1", "enforce", 60_000, 6_000, 0), ruleReport("shop/b/rule-1", "enforce", 30_000, 3_000, 0)
	applies(w, one, two, ruleReport("shop/c/rule-1", "preview", 100, 50, 0))
	_, err = w.Observe(t.Context(), 2)
	require.NoError(t, err)
	w.later(5*time.Minute, perMinute)
	o, err = w.Observe(t.Context(), 2)
	require.NoError(t, err)
	assert.Equal(t, sampleTime.Add(5*time.Minute), o.At)
	assert.Equal(t, insight.StreamObservation{Series: 140_000, SamplesPerSecond: o.Total.SamplesPerSecond, Sampled: true, Month: 800}, o.Total)
	assert.InDelta(t, 140_000.0/60, o.Total.SamplesPerSecond, 1)
	require.Len(t, o.Metrics, 2)
	assert.Equal(t, requests, o.Metrics[0].Metric)
	require.Len(t, o.Policies, 3)
	assert.Equal(t, "policies/shop/a", o.Policies[0].Resource())
	// By themselves 54,000 and 27,000 go of 140,000, 110,000 of which are dear;
	// together they are the worked example.
	assert.InDelta(t, 30*5+24*6.5, o.Policies[0].Month, 1e-6)
	assert.InDelta(t, 27*5, o.Policies[1].Month, 1e-6)
	assert.InDelta(t, 481.50, o.SavingMonth, 1e-6)
	w.set(func() { w.engaged = true })
	o, err = w.Observe(t.Context(), 2)
	require.NoError(t, err)
	assert.Zero(t, o.SavingMonth)
}

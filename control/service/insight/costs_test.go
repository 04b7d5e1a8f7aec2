package insight_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/control/store"
)

func costs(tb testing.TB, w *world, r *phoenixv1.GetCostsRequest) *phoenixv1.CostReport {
	tb.Helper()
	answer, err := w.Costs.GetCosts(as(tb, "viewer"), r)
	require.NoError(tb, err)
	return answer
}

// perMinute lets every stream of a metric send once a minute.
func perMinute(m report.MetricCardinality) float64 { return float64(m.Streams) / 60 }

func TestTheBill(t *testing.T) {
	w := newWorld(t)
	w.measure(ingest(), export())
	unpriced := costs(t, w, &phoenixv1.GetCostsRequest{})
	assert.Equal(t, "ingest", unpriced.GetPoint(), "where all that comes in is counted")
	assert.Equal(t, "custom", unpriced.GetPriceModel())
	assert.False(t, unpriced.GetPriced())
	assert.Equal(t, "0.00", unpriced.GetCost().GetMonth())
	assert.Equal(t, []string{
		"The rate of samples is not known yet and counts as 0: it takes two reports at different times",
		"3400 series are beyond the bounds of the cardinality processor: they are billed, but belong to no metric",
		`The price model "custom" has no prices: set yours with phoenixctl costs, or PUT /api/v1/priceModels/{name} and :activate it`,
	}, unpriced.GetWarnings())

	activate(t, w, flatModel("mine", "6.50"))
	w.later(time.Minute, perMinute)
	bill := costs(t, w, &phoenixv1.GetCostsRequest{})
	assert.Equal(t, "mine", bill.GetPriceModel())
	assert.Equal(t, "EUR", bill.GetCurrency())
	assert.True(t, bill.GetPriced())
	assert.Equal(t, sampleTime.Add(time.Minute), bill.GetAt().AsTime())
	assert.InDelta(t, 1_262_519+3_400, bill.GetSeries(), 0)
	// 1,265,919 × 6.50 ÷ 1000 a month, ÷ 730 an hour, × 24 a day
	assert.Equal(t, "8228.4735", bill.GetCost().GetMonth())
	assert.Equal(t, "11.271882", bill.GetCost().GetHour())
	assert.Equal(t, "270.525156", bill.GetCost().GetDay())
	require.Len(t, bill.GetLines(), 1)
	assert.Equal(t, "8228.4735", bill.GetLines()[0].GetMonth())
	assert.InDelta(t, 1_265_919, bill.GetLines()[0].GetBilled(), 0)
	// A point of the histogram is as many samples as it has series a stream
	assert.InDelta(t, 1_262_519.0/60, bill.GetSamplesPerSecond(), 1)
	assert.Equal(t, "The rate of samples was measured over 1m0s only", bill.GetWarnings()[0])
	w.later(5*time.Minute, perMinute)
	bill = costs(t, w, &phoenixv1.GetCostsRequest{})
	assert.Len(t, bill.GetWarnings(), 1, "of the overflow")

	other := costs(t, w, &phoenixv1.GetCostsRequest{Point: "export", PriceModel: "alibaba-cloud-prometheus-by-volume"})
	assert.Contains(t, strings.Join(other.GetWarnings(), "\n"), "series are counted for another kind of backend than is priced")
	assert.Nil(t, other.GetForecast())
	fee := exampleModel("hosts")
	fee.Components[0].IncludedPerHost = 100
	put(t, w, fee)
	assert.Contains(t, strings.Join(costs(t, w, &phoenixv1.GetCostsRequest{PriceModel: "hosts"}).GetWarnings(), "\n"), "bills by hosts")
}

func TestAWindowThatIsNotFullIsSaid(t *testing.T) {
	w := newWorld(t)
	young := ingest()
	young.From = young.To.Add(-2 * time.Minute)
	w.measure(young)
	assert.Contains(t, costs(t, w, &phoenixv1.GetCostsRequest{}).GetWarnings()[0], "The window is not full yet: 2m0s of 10m0s are counted")
}

func TestCostsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	f := func(want fault.Reason, detail string, r *phoenixv1.GetCostsRequest) {
		t.Helper()
		_, err := w.Costs.GetCosts(as(t, "viewer"), r)
		assert.Contains(t, refused(t, err, want).Detail, detail)
	}
	f(fault.NotFound, "nothing is measured", &phoenixv1.GetCostsRequest{})
	w.measure(export())
	f(fault.NotFound, `unknown measuring point "ingest"; known are export`, &phoenixv1.GetCostsRequest{Point: "ingest"})
	f(fault.NotFound, `there is no price model "mine"`, &phoenixv1.GetCostsRequest{PriceModel: "mine"})
	f(fault.Invalid, `the parameter "point" is not accepted`, &phoenixv1.GetCostsRequest{Point: strings.Repeat("a", 2000)})
	assert.Equal(t, "export", costs(t, w, &phoenixv1.GetCostsRequest{}).GetPoint(), "the first by name")

	configured := newWorld(t, func(s *insight.Settings) { s.CostPoint = "egress" })
	configured.measure(ingest())
	_, err := configured.Costs.GetCosts(as(t, "viewer"), &phoenixv1.GetCostsRequest{})
	assert.Contains(t, refused(t, err, fault.NotFound).Detail, `the measuring point "egress", whose stream is billed, is not registered`)
	egress := export()
	egress.Point = "egress"
	configured.measure(egress)
	assert.Equal(t, "egress", costs(t, configured, &phoenixv1.GetCostsRequest{}).GetPoint())
}

func shares(tb testing.TB, w *world, r *phoenixv1.ListCostsRequest) (all []*phoenixv1.CostShare) {
	tb.Helper()
	for {
		page, err := w.Costs.ListCosts(as(tb, "viewer"), r)
		require.NoError(tb, err)
		all = append(all, page.GetShares()...)
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			return all
		}
		require.Len(tb, page.GetShares(), int(r.GetPageSize()))
	}
}

func TestSharesOfTheBill(t *testing.T) {
	w := newWorld(t)
	w.measure(ingest(), export())
	activate(t, w, flatModel("mine", "6.50"))
	f := func(dimension, point, name string, want ...string) {
		t.Helper()
		var got []string
		for _, s := range shares(t, w, &phoenixv1.ListCostsRequest{Dimension: dimension, Point: point, Name: name, PageSize: 2}) {
			line := fmt.Sprintf("%s|%s|%.0f|%s", s.GetName(), s.GetGroup(), s.GetSeries(), s.GetMonth())
			if s.GetOverflow() {
				line += "|overflow"
			}
			if s.GetSeriesSaved() != nil {
				line = fmt.Sprintf("%s|%d|%.0f|%s", s.GetName(), s.GetMetrics(), s.GetSeriesSaved().GetExpected(), s.GetMonthSaved().GetExpected())
			}
			got = append(got, line)
		}
		assert.Equal(t, want, got)
	}
	f("metrics", "", "",
		"http.server.request.duration||1260000|8190.00", "||3400|22.10|overflow", "db.client.calls||2500|16.25",
		"process.runtime/heap||16|0.104", "up||3|0.0195")
	f("metrics", "export", "", "db.client.calls|checkout|1500|9.75", "db.client.calls|cart|19|0.1235")
	f("metrics", "", "*.c*", "db.client.calls||2500|16.25")
	f("groups", "export", "", "checkout||1500|9.75", "cart||19|0.1235")
	f("labels", "", "",
		// of the group of pods only one is a label in the backend
		"resource.k8s.pod.name|1|1234800|8026.20", "http.route|1|660000|4290.00", "db.statement|1|2400|15.60", "db.operation|1|1050|6.825",
		"pool|1|12|0.078", "resource.service.name|1|0|0.00", "scope.name|1|0|0.00")
}

// TestSharesAddUpToTheBill: whatever is sent and whatever is priced, the shares
// and what nobody causes are the bill, to the millionth.
func TestSharesAddUpToTheBill(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		c := randomReport(rt)
		c.Point, c.Window = "ingest", time.Minute
		for i := range c.Metrics {
			c.Metrics[i].Series *= rapid.Uint64Range(1, 1e6).Draw(rt, "times")
		}
		w.measure(c)
		m := randomModel(rt)
		put(t, w, m)
		bill := costs(t, w, &phoenixv1.GetCostsRequest{PriceModel: m.GetName()})
		for _, dimension := range []string{"metrics", "groups"} {
			sum, series := cost.Money(0), 0.0
			for _, s := range shares(t, w, &phoenixv1.ListCostsRequest{Dimension: dimension, PriceModel: m.GetName(), PageSize: 3}) {
				part, err := cost.ParseMoney(s.GetMonth())
				require.NoError(rt, err)
				sum += part
				series += s.GetSeries()
			}
			month, err := cost.ParseMoney(bill.GetCost().GetMonth())
			require.NoError(rt, err)
			require.InDelta(rt, bill.GetSeries(), series, 0)
			if series > 0 && onlySeries(m) {
				require.Equal(rt, month, sum)
			}
			require.LessOrEqual(rt, sum, month)
		}
	})
}

// onlySeries says whether somebody causes every component as soon as there is a
// series.
func onlySeries(m *phoenixv1.PriceModel) bool {
	for _, c := range m.GetComponents() {
		if c.GetKind() != "active_series" && c.GetKind() != "custom_metrics" {
			return false
		}
	}
	return true
}

func TestBadQuestionsAboutShares(t *testing.T) {
	w := newWorld(t)
	w.measure(ingest())
	_, err := w.Costs.ListCosts(as(t, "viewer"), &phoenixv1.ListCostsRequest{Dimension: "pods", PageSize: 1001, PageToken: "!"})
	var fields []string
	for _, v := range refused(t, err, fault.Invalid).Violations {
		fields = append(fields, v.Field+": "+v.Description)
	}
	assert.Equal(t, []string{
		`dimension: must be one of metrics, groups, labels, got "pods"`, "page_size: must be a whole number from 1 to 1000, got 1001",
		"page_token: is not a next_page_token of this list with these parameters; begin again without it",
	}, fields)
}

// grow writes the history of a stream that grows by so many series an hour.
func grow(tb testing.TB, w *world, hours int, perHour float64) {
	tb.Helper()
	begin := w.clock()
	for h := range hours {
		w.set(func() { w.now = begin.Add(time.Duration(h) * time.Hour) })
		_, err := w.store.AppendSamples(tb.Context(), []store.Sample{
			{Time: w.clock(), Kind: insight.KindSeries, Key: insight.TotalKey, Value: 1000 + perHour*float64(h)},
			{Time: w.clock(), Kind: insight.KindNewSeries, Key: insight.TotalKey, Value: 2 * perHour / 12},
		})
		require.NoError(tb, err)
		if h%24 == 23 {
			_, err = w.store.Maintain(tb.Context())
			require.NoError(tb, err)
		}
	}
}

func TestTheForecastFollowsTheHistory(t *testing.T) {
	w := newWorld(t)
	w.measure(ingest())
	activate(t, w, flatModel("mine", "6.50"))
	assert.Nil(t, costs(t, w, &phoenixv1.GetCostsRequest{}).GetForecast(), "there is no history")
	grow(t, w, 10*24, 10)
	now := w.clock()
	f := costs(t, w, &phoenixv1.GetCostsRequest{}).GetForecast()
	require.NotNil(t, f)
	assert.Equal(t, now.Add(30*24*time.Hour), f.GetAt().AsTime())
	// 1,000 and 10 an hour for 10 + 30 days
	assert.InDelta(t, 1000+10*24*40, f.GetSeries().GetExpected(), 50)
	assert.InDelta(t, 240, f.GetNetPerDay().GetExpected(), 1)
	assert.InDelta(t, 480, f.GetNewPerDay().GetExpected(), 2)
	month, err := cost.ParseMoney(f.GetMonth().GetExpected())
	require.NoError(t, err)
	assert.InDelta(t, f.GetSeries().GetExpected()*6.5/1000, float64(month)/float64(cost.Unit), 0.01)
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	strange := strings.Repeat("x", 300)
	var samples []store.Sample
	for i := range 10 {
		at := sampleTime.Add(time.Duration(i-10) * store.FineStep)
		for _, key := range []string{insight.TotalKey, "up", insight.MetricKey(strange), insight.MetricKey("total")} {
			samples = append(samples, store.Sample{Time: at, Kind: insight.KindSeries, Key: key, Value: float64(i + len(key))})
		}
		samples = append(samples, store.Sample{Time: at, Kind: insight.KindPolicySavingSeries, Key: "shop/drop-pod", Value: 7})
	}
	_, err := w.store.AppendSamples(t.Context(), samples)
	require.NoError(t, err)
	f := func(first float64, r *phoenixv1.GetHistoryRequest) {
		t.Helper()
		h, err := w.Costs.GetHistory(as(t, "viewer"), r)
		require.NoError(t, err)
		require.Len(t, h.GetPoints(), 10)
		assert.Equal(t, "5m", h.GetStep())
		assert.Equal(t, r.GetKey(), h.GetKey())
		assert.InDelta(t, first, h.GetPoints()[0].GetMean(), 0)
		assert.Equal(t, sampleTime.Add(-50*time.Minute).Truncate(store.FineStep), h.GetPoints()[0].GetTime().AsTime())
	}
	f(5, &phoenixv1.GetHistoryRequest{Kind: "series"})
	f(2, &phoenixv1.GetHistoryRequest{Kind: "series", Key: "up"})
	f(71, &phoenixv1.GetHistoryRequest{Kind: "series", Key: strange})
	f(71, &phoenixv1.GetHistoryRequest{Kind: "series", Key: "total"}) // a metric of that name
	f(7, &phoenixv1.GetHistoryRequest{Kind: "policy_saving_series", Key: "shop/drop-pod"})
	h, err := w.Costs.GetHistory(as(t, "viewer"), &phoenixv1.GetHistoryRequest{Kind: "series", From: timestamppb.New(sampleTime.Add(-72 * time.Hour))})
	require.NoError(t, err)
	assert.Equal(t, "1h", h.GetStep())

	bad := func(want string, r *phoenixv1.GetHistoryRequest) {
		t.Helper()
		_, err := w.Costs.GetHistory(as(t, "viewer"), r)
		v := refused(t, err, fault.Invalid).Violations[0]
		assert.Equal(t, want, v.Field+": "+v.Description)
	}
	bad(`kind: must be one of series, samples, cost_month, policy_saving_series, policy_saving_month, got "pods"`, &phoenixv1.GetHistoryRequest{Kind: "pods"})
	bad(`key: must be a policy as namespace/name, got "drop-pod"`, &phoenixv1.GetHistoryRequest{Kind: "policy_saving_month", Key: "drop-pod"})
	bad("key: has a control character", &phoenixv1.GetHistoryRequest{Kind: "policy_saving_month", Key: "shop/\x00"})
	bad(`step: must be 5m or 1h, got "1m"`, &phoenixv1.GetHistoryRequest{Kind: "series", Step: "1m"})
	bad("from: must be before to, 2026-03-14T15:09:26Z, got 2026-03-14T15:09:26Z", &phoenixv1.GetHistoryRequest{Kind: "series", From: timestamppb.New(sampleTime)})
	_, err = w.Costs.GetHistory(as(t, "viewer"), &phoenixv1.GetHistoryRequest{Kind: "series", To: &timestamppb.Timestamp{Seconds: math.MaxInt64}})
	assert.Equal(t, "to", refused(t, err, fault.Invalid).Violations[0].Field)

	// A policy's history is for its namespace.
	_, err = w.Costs.GetHistory(as(t, "shop"), &phoenixv1.GetHistoryRequest{Kind: "policy_saving_series", Key: "shop/drop-pod"})
	require.NoError(t, err)
	_, err = w.Costs.GetHistory(as(t, "bank"), &phoenixv1.GetHistoryRequest{Kind: "policy_saving_series", Key: "shop/drop-pod"})
	requireRefused(t, err, fault.NotFound)
}

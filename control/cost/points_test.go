package cost

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

func perSample(price string, per uint64) Model {
	m, err := ParseMoney(price)
	if err != nil {
		panic(err)
	}
	return Model{Name: "samples", Currency: "EUR", Components: []Component{{Name: "s", Kind: KindSamples, Price: &m, Per: per}}}
}

func metricsBudget(amount float64) policy.Budget {
	return policy.Budget{Signal: policy.SignalMetrics, MonthlyCost: amount}
}

func TestPointsForMoney(t *testing.T) {
	f := func(m Model, amount, want float64) {
		t.Helper()
		got, err := NewPointPrices(m, report.Cardinality{}, Usage{}).PointsPerSecond(metricsBudget(amount))
		require.NoError(t, err)
		assert.InEpsilon(t, want, got, 2e-5)
	}
	// 0.10 for a million: 26.28 buy 262.8 millions, which is 100 a second for 730 hours.
	f(perSample("0.10", 1_000_000), 26.28, 100)
	included := perSample("0.10", 1_000_000)
	included.Components[0].Included = 2_628_000 // one a second
	f(included, 26.28, 101)
	tiers := perSample("0.10", 1_000_000)
	tiers.Components[0].Price = nil
	tiers.Components[0].Tiers = []Tier{{UpTo: 262_800_000, Price: 100_000}, {Price: 50_000}}
	f(tiers, 26.28, 100)
	f(tiers, 52.56, 300)
	bytes := Model{Currency: "EUR", Components: []Component{{Kind: KindIngestedBytes, Price: new(Money(100_000)), Per: 1_000_000, BytesPerSample: 10}}}
	f(bytes, 26.28, 10)
	fee := perSample("0.10", 1_000_000)
	fee.Components = append(fee.Components, Component{Kind: KindFee, Price: new(Money(1_000_000_000))})
	f(fee, 26.28, 100) // a fee is due whatever is sent
	jump := perSample("0.10", 1_000_000)
	jump.Components[0].Price, jump.Components[0].TierMode = nil, TiersVolume
	jump.Components[0].Tiers = []Tier{{UpTo: 262_800_000, Price: 100_000}, {Price: 50_000}}
	f(jump, 13.14, 50) // twice as many, just above the bound, would cost as much
}

func TestAGroupHasNoFreeQuantity(t *testing.T) {
	m := perSample("0.10", 1_000_000)
	m.Components[0].Included = 2_628_000
	p := NewPointPrices(m, report.Cardinality{}, Usage{})
	b := metricsBudget(26.28)
	b.Match.Metric = "http*"
	got, err := p.PointsPerSecond(b)
	require.NoError(t, err)
	assert.InEpsilon(t, 100, got, 2e-5)
	b = metricsBudget(26.28)
	b.Match.Resource = []policy.Condition{{Attribute: "service.name", Value: "shop"}}
	got, err = p.PointsPerSecond(b)
	require.NoError(t, err)
	assert.InEpsilon(t, 100, got, 2e-5)
}

func TestAPointOfAHistogramIsManySamples(t *testing.T) {
	seen := report.Cardinality{Metrics: []report.MetricCardinality{
		{Name: "http_duration", Type: typeHistogram, Streams: 100, Series: 1204, Points: 5000},
		{Name: "cpu", Type: typeGauge, Streams: 10, Series: 10, Points: 5000},
	}}
	usage := Usage{Items: []Item{{Key: Key{Metric: "http_duration"}, SamplesPerSecond: 1204}, {Key: Key{Metric: "cpu"}, SamplesPerSecond: 100}}}
	p := NewPointPrices(perSample("0.10", 1_000_000), seen, usage)
	b := metricsBudget(26.28)
	for pattern, each := range map[string]float64{"http*": 13, "cpu": 1, "": 6.6, "nothing": 1} {
		b.Match.Metric = pattern
		got, err := p.PointsPerSecond(b)
		require.NoError(t, err)
		assert.InEpsilon(t, 100/each, got, 2e-5, pattern)
	}
	saved, err := p.Saving("http*", 50)
	require.NoError(t, err)
	assert.InEpsilon(t, 13*50*0.2628, float64(saved)/float64(Unit), 2e-5)
	// More than the stream has is counted behind the sampler.
	saved, err = p.Saving("cpu", 10_000)
	require.NoError(t, err)
	assert.InEpsilon(t, 10_000*0.2628, float64(saved)/float64(Unit), 2e-5)
}

func TestMoneyThatBuysNoPoints(t *testing.T) {
	f := func(m Model, b policy.Budget, want string) {
		t.Helper()
		_, err := NewPointPrices(m, report.Cardinality{}, Usage{}).PointsPerSecond(b)
		require.EqualError(t, err, want)
	}
	f(Custom(), metricsBudget(5), `the active price model "custom" bills neither samples nor ingested bytes, so that points have no price`)
	f(perSample("0", 1), metricsBudget(5), `the active price model "samples" bills neither samples nor ingested bytes, so that points have no price`)
	f(perSample("10", 1), metricsBudget(5), `is less than one point a month costs, 10.00 EUR by the active price model "samples"`)
	f(perSample("1", 1), policy.Budget{Signal: policy.SignalTraces, MonthlyCost: 5}, "price models price metrics only: give points_per_second or bytes_per_second")
	bad := metricsBudget(5)
	bad.Match.Metric = "/(/"
	_, err := NewPointPrices(perSample("1", 1), report.Cardinality{}, Usage{}).PointsPerSecond(bad)
	require.ErrorContains(t, err, "match.metric: ")
}

// What the money buys costs no more than it, and one sample more would.
func TestMoneyBuysTheMost(t *testing.T) {
	amounts := rapid.Uint64Range(0, 1_000_000)
	rapid.Check(t, func(t *rapid.T) {
		var tariffs []tariff
		for range rapid.IntRange(1, 3).Draw(t, "components") {
			c := Component{Kind: KindSamples, Per: rapid.Uint64Range(1, 1000).Draw(t, "per"), Included: amounts.Draw(t, "included")}
			if rapid.Bool().Draw(t, "bytes") {
				c.Kind, c.BytesPerSample = KindIngestedBytes, rapid.Uint64Range(1, 100).Draw(t, "bytes a sample")
			}
			last := uint64(0)
			for range rapid.IntRange(0, 3).Draw(t, "tiers") {
				last += rapid.Uint64Range(1, 1_000_000).Draw(t, "width")
				c.Tiers = append(c.Tiers, Tier{UpTo: last, Price: Money(rapid.Int64Range(0, 10_000_000).Draw(t, "price"))})
			}
			c.Tiers = append(c.Tiers, Tier{Price: Money(rapid.Int64Range(1, 10_000_000).Draw(t, "last price"))})
			if rapid.Bool().Draw(t, "volume") {
				c.TierMode = TiersVolume
			}
			tariffs = append(tariffs, tariff{Component: c, hours: DefaultHoursAMonth})
		}
		limit := Money(rapid.Int64Range(0, 1_000_000_000_000).Draw(t, "limit"))
		n := mostSamples(tariffs, limit)
		if got := costOf(tariffs, n); got > limit {
			t.Fatalf("%d samples cost %s, more than %s", n, got, limit)
		}
		if n < math.MaxUint64 && costOf(tariffs, n+1) <= limit {
			t.Fatalf("%d samples cost %s, and one more %s of %s", n, costOf(tariffs, n), costOf(tariffs, n+1), limit)
		}
		draw := rand.New(rand.NewPCG(n, uint64(limit)))
		for range 100 {
			if m := draw.Uint64N(n + 1); n < math.MaxUint64 && costOf(tariffs, m) > limit {
				t.Fatalf("%d samples, fewer than %d, cost %s of %s", m, n, costOf(tariffs, m), limit)
			}
		}
	})
}

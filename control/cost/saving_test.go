package cost

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/report"
)

func exact(low, expected, high string) Range[Money] {
	return Range[Money]{money(low), money(expected), money(high)}
}

func stays(metric string, series uint64) []Effect {
	return []Effect{{Key: Key{Metric: metric}, After: Exactly(series)}}
}

func saving(t require.TestingT, m Model, u Usage, effects []Effect, a Assumptions) Saving {
	require.NoError(t, m.Validate())
	s, err := m.Saving(u, effects, a)
	require.NoError(t, err)
	return s
}

func TestSavingIsTheDifferenceOfTwoBills(t *testing.T) {
	f := func(c Component, a Assumptions, want string) {
		t.Helper()
		c.Name = "c"
		u := Usage{Items: []Item{item("g", typeGauge, 6000, 600), item("h", typeHistogram, 2000, 200)}}
		s := saving(t, one(c), u, stays("g", 1500), a)
		assert.Equal(t, exact(want, want, want), s.Month)
		assert.Equal(t, Range[int64]{4500, 4500, 4500}, s.Series)
		assert.Equal(t, BasisExact, s.Basis)
		assert.Equal(t, s.Month.Expected, s.Before.Month-s.After.Month)
	}
	// From 8,000 to 3,500 across a tier that ends at 5,000
	tiers := []Tier{{UpTo: 5000, Price: money("0.02")}, {Price: money("0.01")}}
	f(Component{Kind: KindActiveSeries, Tiers: tiers}, Assumptions{}, "60") // 3,000 × 0.01 + 1,500 × 0.02
	// A volume price is lost: 8,000 × 0.01 before, 3,500 × 0.02 after
	f(Component{Kind: KindActiveSeries, Tiers: tiers, TierMode: TiersVolume}, Assumptions{}, "10")
	tiers[1].Price = money("0.001")
	f(Component{Kind: KindActiveSeries, Tiers: tiers, TierMode: TiersVolume}, Assumptions{}, "-62") // 8 - 70
	// What is included saves nothing
	f(Component{Kind: KindActiveSeries, Price: amount("0.01"), Included: 7000}, Assumptions{}, "10")
	f(Component{Kind: KindActiveSeries, Price: amount("0.01"), Included: 9000}, Assumptions{}, "0")
	// 1,500 of 6,000 series send 150 of 600 samples a second; with an interval of 30 s, 50
	f(Component{Kind: KindSamples, Price: amount("1"), Per: 1e6}, Assumptions{}, "1166.40")
	f(Component{Kind: KindSamples, Price: amount("1"), Per: 1e6}, Assumptions{Interval: 30 * time.Second}, "1425.60") // 550 a second
	f(Component{Kind: KindSamples, Price: amount("1"), Per: 1e6}, Assumptions{Interval: time.Second}, "0")            // never more than before
	f(Component{Kind: KindIngestedBytes, Price: amount("1"), Per: 1e9, BytesPerSample: 100}, Assumptions{}, "116.64")
	// 800 samples a second are 48,000 a minute, as 24,000 series include; 350 are 10,500
	f(Component{Kind: KindActiveSeries, Price: amount("0.01"), IncludedDPM: 2}, Assumptions{}, "135")
	f(Component{Kind: KindHosts, Price: amount("15")}, Assumptions{}, "0")
	f(Component{Kind: KindFee, Price: amount("19")}, Assumptions{}, "0")
}

// Fewer tag combinations, but each now wants a minimum and a maximum beside the
// sum: 6,000 become 2,500 × 3.
func TestADropMayCostMore(t *testing.T) {
	c := Component{
		Name: "custom metrics", Kind: KindCustomMetrics, Price: amount("5"), Per: 100,
		AggregationsAfterDrop: map[string]uint64{typeGauge: 3},
	}
	s := saving(t, one(c), gauges(6000), stays("g", 2500), Assumptions{})
	assert.Equal(t, exact("-75", "-75", "-75"), s.Month)
	assert.Equal(t, int64(3500), s.Series.Expected)
	assert.Equal(t, uint64(7500), s.After.Lines[0].Quantity)
	s = saving(t, one(c), gauges(6000), stays("g", 1000), Assumptions{})
	assert.Equal(t, exact("150", "150", "150"), s.Month)
}

func TestAnIntervalOfSketchErrors(t *testing.T) {
	u := Usage{Items: []Item{{Key: Key{Metric: "g"}, Type: typeGauge, Series: 100_000, StandardError: 570}}}
	after := Exactly(50_000)
	after.StandardError = 285
	effects := []Effect{{Key: Key{Metric: "g"}, After: after}}
	s := saving(t, one(Component{Name: "c", Kind: KindActiveSeries, Price: amount("0.01")}), u, effects, Assumptions{})
	// √(570² + 285²) = 637.28, × 2.2414 = 1,428.4
	assert.Equal(t, exact("485.72", "500", "514.28"), s.Month)
	assert.Equal(t, Range[int64]{50_000 - 1429, 50_000, 50_000 + 1429}, s.Series)
	assert.Equal(t, BasisEstimated, s.Basis)
	assert.Equal(t, s.Month.Low.share(1, 720), s.Hour.Low)
	assert.Equal(t, s.Month.High.share(24, 720), s.Day.High)

	// Dropping labels adds no series: the interval ends at 0.
	after = Exactly(99_900)
	after.StandardError = 569
	s = saving(t, one(Component{Name: "c", Kind: KindActiveSeries, Price: amount("0.01")}), u, []Effect{{Key: Key{Metric: "g"}, After: after}}, Assumptions{})
	assert.Equal(t, Money(0), s.Month.Low)
	assert.Zero(t, s.Series.Low)
}

func TestWhereTheTierLiesIsUncertainToo(t *testing.T) {
	// 100 series go for sure, but nobody knows whether they were the dear ones.
	u := Usage{Items: []Item{
		{Key: Key{Metric: "g"}, Type: typeGauge, Series: 1000},
		{Key: Key{Metric: "big"}, Type: typeGauge, Series: 99_000, StandardError: 500},
	}}
	c := Component{Name: "c", Kind: KindActiveSeries, Tiers: []Tier{{UpTo: 100_000, Price: money("0.10")}, {Price: money("0.01")}}}
	s := saving(t, one(c), u, stays("g", 900), Assumptions{})
	assert.Equal(t, exact("1", "10", "10"), s.Month)
}

func TestSavingRefusesWhatIsNotThere(t *testing.T) {
	m := one(Component{Name: "c", Kind: KindActiveSeries, Price: amount("1")})
	_, err := m.Saving(gauges(5), append(stays("g", 1), stays("g", 2)...), Assumptions{})
	require.ErrorIs(t, err, ErrTwice)
	_, err = m.Saving(gauges(5), stays("x", 1), Assumptions{})
	require.ErrorIs(t, err, ErrUnknownItem)
	assert.EqualError(t, err, `metric "x" of group "": the usage has no such metric and group`)
}

func TestNoMoreSeriesStayThanThereWere(t *testing.T) {
	m := one(Component{Name: "c", Kind: KindActiveSeries, Price: amount("1")})
	s := saving(t, m, gauges(6000), stays("g", 10_000), Assumptions{})
	assert.Equal(t, Range[int64]{}, s.Series)
	assert.Equal(t, Range[Money]{}, s.Month)
}

// extremes finds the least and the most of all loads and savings in its ranges.
func TestExtremesAreThoseOfAllOutcomes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Component{Name: "c", Kind: KindActiveSeries, Per: 1, Included: rapid.Uint64Range(0, 20).Draw(t, "included")}
		c.TierMode = rapid.SampledFrom([]TierMode{TiersGraduated, TiersVolume}).Draw(t, "mode")
		c.IncludedDPM = rapid.Uint64Range(0, 1).Draw(t, "dpm")
		for range rapid.IntRange(1, 4).Draw(t, "tiers") {
			tier := Tier{Price: Money(rapid.Int64Range(0, 50).Draw(t, "price")), UpTo: rapid.Uint64Range(1, 15).Draw(t, "more")}
			if n := len(c.Tiers); n > 0 {
				tier.UpTo += c.Tiers[n-1].UpTo
			}
			c.Tiers = append(c.Tiers, tier)
		}
		c.Tiers[len(c.Tiers)-1].UpTo = 0
		tariff := one(c).tariffs(0)[0]

		const month = 720 * 60 // samples that a series includes
		span := func(name string, limit uint64) (low, high uint64) {
			a, b := rapid.Uint64Range(0, limit).Draw(t, name), rapid.Uint64Range(0, limit).Draw(t, name)
			return min(a, b), max(a, b)
		}
		from, to := span("series", 60)
		fewerLow, fewerHigh := span("fewer", from)
		samples := rapid.Uint64Range(0, 60).Draw(t, "samples")
		lessLow, lessHigh := span("fewer samples", samples)
		var saved spread
		saved.quantity.low, saved.quantity.high, saved.quantity.ceiling = float64(fewerLow), float64(fewerHigh), 1000
		saved.samples.low, saved.samples.high, saved.samples.ceiling = float64(month*lessLow), float64(month*lessHigh), 1e9
		least, most := tariff.extremes(load{from, month * samples}, load{to, month * samples}, saved)

		low, high := Money(math.MaxInt64), Money(math.MinInt64)
		for series := from; series <= to; series++ {
			for fewer := fewerLow; fewer <= fewerHigh; fewer++ {
				for _, less := range []uint64{lessLow, lessHigh} {
					got := tariff.cost(load{series, month * samples}) - tariff.cost(load{series - fewer, month * (samples - less)})
					low, high = min(low, got), max(high, got)
				}
			}
		}
		require.LessOrEqual(t, least, low)
		require.GreaterOrEqual(t, most, high)
		if c.IncludedDPM == 0 { // else they may be a little further, as series and samples do not err together
			require.Equal(t, low, least)
			require.Equal(t, high, most)
		}
	})
}

func TestDroppingNothingSavesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyComponent().Draw(t, "component")
		c.AggregationsAfterDrop = nil
		u := anyUsage().Draw(t, "usage")
		for i := range u.Items {
			u.Items[i].StandardError = rapid.Float64Range(0, 100).Draw(t, "error")
		}
		s := saving(t, one(c), u, nil, Assumptions{Interval: time.Minute})
		require.Equal(t, Range[Money]{}, s.Month)
		require.Equal(t, Range[int64]{}, s.Series)
		require.Equal(t, s.Before, s.After)

		var all []Effect
		for i := range u.Items {
			u.Items[i].StandardError = 0
			all = append(all, Effect{Key: u.Items[i].Key, After: Exactly(u.Items[i].Series)})
		}
		require.Equal(t, Range[Money]{}, saving(t, one(c), u, all, Assumptions{}).Month)
	})
}

// Whatever stays between the bounds, the bills differ by an amount within the
// interval; and if it is what is expected, by exactly that.
func TestTheIntervalHoldsEveryOutcomeWithinTheBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := one(anyComponent().Draw(t, "component"))
		u := anyUsage().Draw(t, "usage")
		var effects []Effect
		outcome := Usage{Hosts: u.Hosts}
		for n, i := range u.Items {
			// A whole number of samples a month and series, so that nothing is rounded.
			rate := rapid.Float64Range(0, 1e5).Draw(t, "samples")
			rate = math.Floor(rate) / (720 * 3600)
			i.SamplesPerSecond = rate * float64(i.Series)
			u.Items[n] = i
			if i.Series > 0 && rapid.Bool().Draw(t, "touched") {
				low, high := rapid.Uint64Range(0, i.Series).Draw(t, "low"), rapid.Uint64Range(0, i.Series).Draw(t, "high")
				low, high = min(low, high), max(low, high)
				effects = append(effects, Effect{Key: i.Key, After: Estimate{Value: rapid.Uint64Range(low, high).Draw(t, "value"), Min: low, Max: high}})
				i.Series = rapid.Uint64Range(low, high).Draw(t, "stays")
				i.SamplesPerSecond = rate * float64(i.Series)
				if after := m.Components[0].AggregationsAfterDrop[i.Type]; after > 0 { // a type that only dropped metrics have
					m.Components[0].Aggregations["dropped "+i.Type] = after
					i.Type = "dropped " + i.Type
				}
			}
			outcome.Items = append(outcome.Items, i)
		}
		s, err := m.Saving(u, effects, Assumptions{})
		require.NoError(t, err)
		require.LessOrEqual(t, s.Month.Low, s.Month.Expected)
		require.LessOrEqual(t, s.Month.Expected, s.Month.High)
		require.Equal(t, s.Before.Month, s.After.Month+s.Month.Expected)
		got := m.Price(u).Month - m.Price(outcome).Month
		require.GreaterOrEqual(t, got, s.Month.Low)
		require.LessOrEqual(t, got, s.Month.High)
	})
}

func TestByLabel(t *testing.T) {
	r := report.Cardinality{Backend: "prometheus", Metrics: []report.MetricCardinality{
		{Name: "a", Type: "gauge", Series: 1000, Streams: 1000, Attributes: []report.AttributeCardinality{
			{Key: "pod", Level: report.LevelResource, Label: "pod", Distinct: 10, SeriesWithout: 100, Saving: 900},
			{Key: "code", Level: report.LevelDataPoint, Label: "code", Distinct: 5, SeriesWithout: 200, Saving: 800},
			{Key: "host.id", Level: report.LevelResource, Distinct: 10, SeriesWithout: 1000}, // no label
		}},
		{Name: "b", Type: "gauge", Series: 500, Streams: 500, Attributes: []report.AttributeCardinality{
			{Key: "pod", Level: report.LevelResource, Label: "pod", Distinct: 10, SeriesWithout: 50, Saving: 450},
			{Key: "otel.overflow", Distinct: 3, SeriesWithout: 5, Label: "x", Overflow: true},
		}},
	}}
	m := one(Component{Name: "c", Kind: KindActiveSeries, Price: amount("0.01"), Included: 200})
	labels, err := m.ByLabel(NewUsage(r, nil, 0), r, Assumptions{})
	require.NoError(t, err)
	require.Len(t, labels, 2)
	assert.Equal(t, "resource.pod", labels[0].Attribute)
	assert.Equal(t, 2, labels[0].Metrics)
	assert.Equal(t, exact("13", "13", "13"), labels[0].Saving.Month, "1,350 series go, of 1,500, but 200 are free")
	assert.Equal(t, "code", labels[1].Attribute)
	assert.Equal(t, exact("8", "8", "8"), labels[1].Saving.Month)

	_, err = m.ByLabel(Usage{}, r, Assumptions{})
	require.ErrorIs(t, err, ErrUnknownItem)
}

package cost

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/report"
)

func money(text string) Money {
	m, err := ParseMoney(text)
	if err != nil {
		panic(err)
	}
	return m
}

func amount(text string) *Money { return new(money(text)) }

// one is a model of one component.
func one(c Component) Model {
	return Model{Name: "m", Currency: "USD", HoursAMonth: 720, Components: []Component{c}}
}

func item(metric, metricType string, series uint64, samplesPerSecond float64) Item {
	return Item{Key: Key{Metric: metric}, Type: metricType, Series: series, SamplesPerSecond: samplesPerSecond}
}

func gauges(series uint64) Usage { return Usage{Items: []Item{item("g", typeGauge, series, 0)}} }

// Every amount here is computed by hand.
func TestPrice(t *testing.T) {
	f := func(c Component, u Usage, quantity uint64, month string) {
		t.Helper()
		c.Name = "c"
		m := one(c)
		require.NoError(t, m.Validate())
		b := m.Price(u)
		assert.Equal(t, quantity, b.Lines[0].Quantity)
		assert.Equal(t, month, b.Month.String())
	}
	graduated := []Tier{{UpTo: 1000, Price: money("0.02")}, {UpTo: 5000, Price: money("0.01")}, {Price: money("0.005")}}
	series := Component{Kind: KindActiveSeries, Tiers: graduated}
	f(series, gauges(0), 0, "0.00")
	f(series, gauges(1000), 1000, "20.00")
	f(series, gauges(1001), 1001, "20.01")
	f(series, gauges(7000), 7000, "70.00") // 20 + 4000 × 0.01 + 2000 × 0.005
	series.Included = 500
	f(series, gauges(500), 500, "0.00")
	f(series, gauges(7000), 7000, "67.50") // the first 500 are free: 20 + 40 + 1,500 × 0.005
	volume := Component{Kind: KindActiveSeries, Tiers: graduated, TierMode: TiersVolume}
	f(volume, gauges(1000), 1000, "20.00")
	f(volume, gauges(1001), 1001, "10.01") // more is less here
	f(volume, gauges(7000), 7000, "35.00")

	dpm := Component{Kind: KindActiveSeries, Price: amount("6.50"), Per: 1000, IncludedDPM: 1}
	minutely := Usage{Items: []Item{item("g", typeGauge, 3000, 3000.0/60)}}
	f(dpm, minutely, 3000, "19.50")
	quarterMinutely := Usage{Items: []Item{item("g", typeGauge, 3000, 3000.0/15)}}
	f(dpm, quarterMinutely, 12000, "78.00") // four data points a minute
	f(dpm, Usage{Items: []Item{item("a", typeGauge, 3000, 10), item("b", typeGauge, 3000, 60)}}, 6000, "39.00")

	perSecond := Usage{Items: []Item{item("g", typeGauge, 1, 1)}}
	f(Component{Kind: KindActiveSeries, Price: amount("1"), IncludedDPM: 7}, perSecond, 9, "9.00") // 60 ÷ 7, the last begun

	// 50 a second × 2,592,000 s
	f(Component{Kind: KindSamples, Price: amount("0.06"), Per: 1e6}, minutely, 129_600_000, "7.776")
	f(Component{Kind: KindSamples, Included: 100_000_000, Price: amount("0.06"), Per: 1e6}, minutely, 129_600_000, "1.776")
	f(Component{Kind: KindIngestedBytes, BytesPerSample: 100, Price: amount("0.40"), Per: 1e9}, minutely, 12_960_000_000, "5.184")

	custom := Component{
		Kind: KindCustomMetrics, Price: amount("5"), Per: 100, Included: 50, IncludedPerHost: 100,
		Aggregations: map[string]uint64{typeHistogram: 5},
	}
	mixed := Usage{Hosts: 3, Items: []Item{item("g", typeGauge, 200, 0), item("h", typeHistogram, 100, 0)}}
	f(custom, mixed, 700, "17.50") // 200 + 5 × 100 - 50 - 300
	f(Component{Kind: KindHosts, Price: amount("15"), Included: 1}, mixed, 3, "30.00")
	f(Component{Kind: KindFee, Price: amount("19")}, mixed, 0, "19.00")
}

func TestComponentsAddUpAndPartsOfAMonth(t *testing.T) {
	m := Model{Name: "m", Currency: "USD", Components: []Component{
		{Name: "fee", Kind: KindFee, Price: amount("19")},
		{Name: "series", Kind: KindActiveSeries, Price: amount("8"), Per: 1000, Included: 1000},
	}}
	b := m.Price(gauges(2500))
	assert.Equal(t, Bill{
		Month: money("31"), Day: money("1.019178"), Hour: money("0.042466"), // ÷ 730 × 24, ÷ 730
		Lines: []Line{
			{Component: "fee", Month: money("19")},
			{Component: "series", Quantity: 2500, Billed: 1500, Month: money("12")},
		},
	}, b)
}

// tariffs of any kind that cost no less for more.
func monotone() *rapid.Generator[Component] {
	return rapid.Custom(func(t *rapid.T) Component {
		c := Component{
			Name:     "c",
			Kind:     rapid.SampledFrom([]Kind{KindActiveSeries, KindCustomMetrics}).Draw(t, "kind"),
			Per:      rapid.Uint64Range(1, 5000).Draw(t, "per"),
			Included: rapid.Uint64Range(0, 2000).Draw(t, "included"),
		}
		if rapid.Bool().Draw(t, "flat") {
			c.Price = new(Money(rapid.Int64Range(0, 1e8).Draw(t, "price")))
			return c
		}
		for range rapid.IntRange(1, 4).Draw(t, "tiers") {
			tier := Tier{Price: Money(rapid.Int64Range(0, 1e8).Draw(t, "price")), UpTo: rapid.Uint64Range(1, 3000).Draw(t, "more")}
			if n := len(c.Tiers); n > 0 {
				tier.UpTo += c.Tiers[n-1].UpTo
			}
			c.Tiers = append(c.Tiers, tier)
		}
		c.Tiers[len(c.Tiers)-1].UpTo = 0
		return c
	})
}

func TestMoreSeriesNeverCostLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := one(monotone().Draw(t, "component"))
		require.NoError(t, m.Validate())
		a, b := rapid.Uint64Range(0, 20_000).Draw(t, "a"), rapid.Uint64Range(0, 20_000).Draw(t, "b")
		require.LessOrEqual(t, m.Price(gauges(min(a, b))).Month, m.Price(gauges(max(a, b))).Month)
	})
}

// The price of a tiered quantity is what buying one unit after the other costs.
func TestGraduatedTiersPriceEachUnitWhereItFalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := monotone().Draw(t, "component")
		c.Per = 1
		n := rapid.Uint64Range(0, 5000).Draw(t, "n")
		want := Money(0)
		for unit := c.Included + 1; unit <= n; unit++ {
			price := Money(0)
			if c.Price != nil {
				price = *c.Price
			}
			for _, tier := range slices.Backward(c.Tiers) {
				if tier.UpTo == 0 || unit-c.Included <= tier.UpTo {
					price = tier.Price
				}
			}
			want += price
		}
		require.Equal(t, want, one(c).Price(gauges(n)).Month)
	})
}

var noon = time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)

func TestUsageOfAReport(t *testing.T) {
	before := report.Cardinality{
		Backend: "prometheus", To: noon, Metrics: []report.MetricCardinality{
			{Name: "up", Type: "gauge", Points: 900},
			{Name: "calls", Group: "cart", Type: "sum", Points: 5000},
			{Name: "duration", Type: "histogram", Points: 600},
		},
		Overflow: &report.CardinalityOverflow{Series: 1, Points: 10},
	}
	after := report.Cardinality{
		Backend: "prometheus", To: noon.Add(time.Minute), Metrics: []report.MetricCardinality{
			{Name: "up", Type: "gauge", Series: 3, Streams: 3, Points: 912},
			{Name: "calls", Group: "cart", Type: "sum", Series: 10, Streams: 10, Points: 60}, // began anew
			{Name: "duration", Type: "histogram", Series: 1200, Streams: 100, Points: 1200, Estimated: true, RelativeError: 0.01},
		},
		Overflow: &report.CardinalityOverflow{Series: 1000, Points: 310},
	}
	u := NewUsage(after, PointRates(before, after), 4)
	assert.Equal(t, Usage{Hosts: 4, Backend: "prometheus", Items: []Item{
		{Key: Key{Metric: "up"}, Type: "gauge", Series: 3, SamplesPerSecond: 0.2},
		{Key: Key{Metric: "calls", Group: "cart"}, Type: "sum", Series: 10, SamplesPerSecond: 1},
		{Key: Key{Metric: "duration"}, Type: "histogram", Series: 1200, StandardError: 12, SamplesPerSecond: 120}, // 10 points × 12
		{Key: Key{Overflow: true}, Type: "mixed", Series: 1000, StandardError: 8.1, SamplesPerSecond: 5},
	}}, u)
	assert.Equal(t, uint64(2213), u.Series())
	assert.Empty(t, PointRates(after, before), "time does not run backwards")
}

func TestMeanUsageBillsWhatWasActiveOnAverage(t *testing.T) {
	assert.Equal(t, Usage{}, Mean())
	m := Mean(
		Usage{Hosts: 2, Items: []Item{item("b", typeSum, 100, 10), item("a", typeGauge, 4, 1)}},
		Usage{Hosts: 4, Items: []Item{item("b", typeSum, 300, 20)}},
	)
	assert.Equal(t, Usage{Hosts: 3, Items: []Item{item("a", typeGauge, 2, 0.5), item("b", typeSum, 200, 15)}}, m)
}

func TestModelsRefuseTheSeriesOfAnotherBackend(t *testing.T) {
	m := Custom()
	require.NoError(t, m.Fits(Usage{Backend: "otlp"}))
	m.Backend = "prometheus"
	require.NoError(t, m.Fits(Usage{Backend: "prometheus"}))
	require.NoError(t, m.Fits(Usage{}))
	err := m.Fits(Usage{Backend: "otlp"})
	require.ErrorIs(t, err, ErrBackend)
	assert.ErrorContains(t, err, `price model "custom" is for prometheus, the usage is counted for otlp`)
}

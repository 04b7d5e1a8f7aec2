package cost

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAverageAndMarginal(t *testing.T) {
	m := Model{Name: "m", Currency: "USD", Components: []Component{
		{Name: "fee", Kind: KindFee, Price: amount("19")},
		{Name: "hosts", Kind: KindHosts, Price: amount("1.50")},
		{
			Name: "series", Kind: KindActiveSeries, Per: 1000, Included: 10_000,
			Tiers: []Tier{{UpTo: 100_000, Price: money("6.50")}, {Price: money("5")}},
		},
	}}
	u := Usage{Hosts: 2, Items: []Item{
		item("up", typeGauge, 10_000, 0), item("duration", typeHistogram, 90_000, 0), item("calls", typeSum, 40_000, 0),
	}}
	a := m.ByMetric(u)
	// 140,000 series: 130,000 beyond, 100,000 × 6.50 and 30,000 × 5 a thousand.
	assert.Equal(t, Attribution{Month: money("822"), Fixed: money("22"), Shares: []Share{
		{Key: Key{Metric: "duration"}, Series: 90_000, Average: money("514.285714"), Marginal: money("540")},
		{Key: Key{Metric: "calls"}, Series: 40_000, Average: money("228.571429"), Marginal: money("215")},
		{Key: Key{Metric: "up"}, Series: 10_000, Average: money("57.142857"), Marginal: money("50")},
	}}, a)
	assert.Equal(t, m.Price(u).Month, a.Month)
}

func TestSharesOfGroups(t *testing.T) {
	cart, shop := item("a", typeGauge, 300, 3), item("a", typeGauge, 100, 1)
	cart.Group, shop.Group = "cart", "shop"
	other := item("b", typeGauge, 100, 1)
	other.Group = "cart"
	overflow := item("", typeMixed, 500, 5)
	overflow.Overflow = true
	m := one(Component{Name: "s", Kind: KindActiveSeries, Price: amount("0.01"), IncludedDPM: 1})
	// 10 samples a second are 600 data points a minute, less than the series
	a := m.ByGroup(Usage{Items: []Item{shop, cart, other, overflow}})
	assert.Equal(t, []Share{
		{Key: Key{Overflow: true}, Series: 500, SamplesPerSecond: 5, Average: money("5"), Marginal: money("5")},
		{Key: Key{Group: "cart"}, Series: 400, SamplesPerSecond: 4, Average: money("4"), Marginal: money("4")},
		{Key: Key{Group: "shop"}, Series: 100, SamplesPerSecond: 1, Average: money("1"), Marginal: money("1")},
	}, a.Shares)

	// With 30 a second samples are billed, so they divide the bill: 1,800 ÷ 1
	shop.SamplesPerSecond = 21
	a = m.ByGroup(Usage{Items: []Item{shop, cart, other, overflow}})
	assert.Equal(t, money("18"), a.Month)
	assert.Equal(t, Key{Group: "shop"}, a.Shares[0].Key)
	assert.Equal(t, money("12.60"), a.Shares[0].Average)
	assert.Equal(t, money("9"), a.Shares[0].Marginal, "without it, the 900 series of the others are billed")
}

func TestAttributionAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Model{Name: "m", Currency: "USD"}
		for range rapid.IntRange(1, 4).Draw(t, "components") {
			c := anyComponent().Draw(t, "component")
			c.Name = string(rune('a' + len(m.Components)))
			m.Components = append(m.Components, c)
		}
		require.NoError(t, m.Validate())
		u := anyUsage().Draw(t, "usage")
		for _, a := range []Attribution{m.ByMetric(u), m.ByGroup(u)} {
			sum := a.Fixed
			for _, s := range a.Shares {
				sum += s.Average
				require.GreaterOrEqual(t, s.Average, Money(0))
			}
			require.Equal(t, m.Price(u).Month, sum)
			require.Equal(t, a.Month, sum)
		}
		// The marginal price is the bill less the bill without.
		for _, s := range m.ByMetric(u).Shares {
			rest := Usage{Hosts: u.Hosts}
			for _, i := range u.Items {
				if i.Key != s.Key {
					rest.Items = append(rest.Items, i)
				}
			}
			require.Equal(t, m.Price(u).Month-m.Price(rest).Month, s.Marginal)
		}
	})
}

func anyComponent() *rapid.Generator[Component] {
	return rapid.Custom(func(t *rapid.T) Component {
		c := monotone().Draw(t, "prices")
		c.Kind = rapid.SampledFrom(kinds).Draw(t, "kind")
		switch c.Kind {
		case KindFee:
			return Component{Name: "c", Kind: KindFee, Price: new(Money(rapid.Int64Range(0, 1e9).Draw(t, "fee")))}
		case KindActiveSeries:
			c.IncludedDPM = rapid.Uint64Range(0, 4).Draw(t, "dpm")
		case KindIngestedBytes:
			c.Per *= 1e6
			c.BytesPerSample = rapid.Uint64Range(1, 600).Draw(t, "bytes")
		case KindCustomMetrics:
			c.IncludedPerHost = rapid.Uint64Range(0, 100).Draw(t, "included per host")
			c.Aggregations = map[string]uint64{typeHistogram: rapid.Uint64Range(1, 10).Draw(t, "aggregations")}
			c.AggregationsAfterDrop = map[string]uint64{typeGauge: rapid.Uint64Range(1, 4).Draw(t, "after drop")}
		case KindSamples:
			c.Per *= 1e3
		case KindHosts:
		}
		if len(c.Tiers) > 0 {
			c.TierMode = rapid.SampledFrom([]TierMode{"", TiersGraduated, TiersVolume}).Draw(t, "mode")
		}
		return c
	})
}

func anyUsage() *rapid.Generator[Usage] {
	return rapid.Custom(func(t *rapid.T) Usage {
		u := Usage{Hosts: rapid.Uint64Range(0, 30).Draw(t, "hosts")}
		for i := range rapid.IntRange(0, 6).Draw(t, "items") {
			one := item(string(rune('a'+i)), rapid.SampledFrom(metricTypes).Draw(t, "type"),
				rapid.Uint64Range(0, 5000).Draw(t, "series"), rapid.Float64Range(0, 300).Draw(t, "rate"))
			one.Group = rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "group")
			u.Items = append(u.Items, one)
		}
		return u
	})
}

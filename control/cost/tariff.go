package cost

import (
	"math"
	"math/bits"
)

// tariff is a component with the numbers that its prices depend on.
type tariff struct {
	Component
	hours, hosts uint64
}

func (m Model) tariffs(hosts uint64) []tariff {
	m = m.WithDefaults()
	list := make([]tariff, 0, len(m.Components))
	for _, c := range m.Components {
		list = append(list, tariff{Component: c, hours: m.HoursAMonth, hosts: hosts})
	}
	return list
}

// free is the part of the quantity that costs nothing.
func (t tariff) free() uint64 {
	return addUint(t.Included, mulUint(t.IncludedPerHost, t.hosts))
}

// price is what a quantity costs in a month.
func (t tariff) price(quantity uint64) Money {
	if t.Kind == KindFee {
		return t.flat()
	}
	rest := quantity - min(quantity, t.free())
	var sum wide
	switch {
	case len(t.Tiers) == 0:
		sum.add(uint64(t.flat()), rest) //nolint:gosec // validated: not negative
	case t.TierMode == TiersVolume:
		sum.add(uint64(t.tierOf(rest).Price), rest) //nolint:gosec // validated: not negative
	default:
		below := uint64(0)
		for _, tier := range t.Tiers {
			end := tier.end()
			sum.add(uint64(tier.Price), min(rest, end)-min(rest, below)) //nolint:gosec // validated: not negative
			below = end
		}
	}
	return sum.over(t.Per)
}

func (t tariff) flat() Money {
	if t.Price == nil {
		return 0
	}
	return *t.Price
}

// tierOf returns the tier that a quantity falls into.
func (t tariff) tierOf(quantity uint64) Tier {
	for _, tier := range t.Tiers {
		if quantity <= tier.end() {
			return tier
		}
	}
	return t.Tiers[len(t.Tiers)-1]
}

// end is the last quantity of the tier.
func (t Tier) end() uint64 {
	if t.UpTo == 0 {
		return math.MaxUint64
	}
	return t.UpTo
}

// bends are the quantities at which the price of one more changes. Between them
// price is a straight line.
func (t tariff) bends() []uint64 {
	free := t.free()
	list := []uint64{free}
	for _, tier := range t.Tiers {
		if tier.UpTo > 0 {
			// Above a bound a volume price jumps, so both sides count.
			bound := addUint(free, tier.UpTo)
			list = append(list, bound, addUint(bound, 1))
		}
	}
	return list
}

// load is what an item, or many together, bring to one component in a month.
type load struct {
	// quantity is in the units of the component: series, samples, bytes, custom
	// metrics or hosts.
	quantity uint64
	// samples are counted for active series that include only so many.
	samples uint64
}

func (l load) plus(m load) load {
	return load{addUint(l.quantity, m.quantity), addUint(l.samples, m.samples)}
}

func (l load) minus(m load) load {
	return load{l.quantity - min(l.quantity, m.quantity), l.samples - min(l.samples, m.samples)}
}

// quantity is what is billed for a load.
func (t tariff) quantity(l load) uint64 {
	if t.billsSamples(l) {
		return t.asSeries(l.samples)
	}
	return l.quantity
}

// billsSamples says whether the samples, not the series, are billed.
func (t tariff) billsSamples(l load) bool {
	return t.IncludedDPM > 0 && t.asSeries(l.samples) > l.quantity
}

// asSeries is the number of series that include so many samples a month, the
// last one begun.
func (t tariff) asSeries(samples uint64) uint64 {
	included := t.IncludedDPM * t.hours * 60
	quotient := samples / included
	if samples%included > 0 {
		quotient++
	}
	return quotient
}

func (t tariff) cost(l load) Money { return t.price(t.quantity(l)) }

// load is what an item brings, if it has so many series and samples a month.
func (t tariff) load(metricType string, series, samples uint64, dropped bool) load {
	switch t.Kind {
	case KindActiveSeries:
		return load{quantity: series, samples: samples}
	case KindSamples:
		return load{quantity: samples}
	case KindIngestedBytes:
		return load{quantity: mulUint(samples, t.BytesPerSample)}
	case KindCustomMetrics:
		return load{quantity: mulUint(series, t.aggregations(metricType, dropped))}
	case KindHosts, KindFee:
	}
	return load{}
}

// aggregations is how many custom metrics one series is.
func (t tariff) aggregations(metricType string, dropped bool) uint64 {
	if n := t.AggregationsAfterDrop[metricType]; dropped && n > 0 {
		return n
	}
	return max(t.Aggregations[metricType], 1)
}

// Sums and products of quantities stay at the end of the word: nobody is billed
// for so much, but a model may be asked.
func addUint(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry > 0 {
		return math.MaxUint64
	}
	return sum
}

func mulUint(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	if high > 0 {
		return math.MaxUint64
	}
	return low
}

// toUint rounds a quantity that is computed from a rate.
func toUint(x float64) uint64 {
	switch {
	case !(x > 0): // also not a number
		return 0
	case x >= math.MaxUint64:
		return math.MaxUint64
	}
	return uint64(math.Round(x))
}

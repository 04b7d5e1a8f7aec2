package cost

import "slices"

// Model is a price list: what a backend bills for, and at what price. It is
// data; whoever holds one must not change what its slices and maps refer to.
// Zero values stand for defaults.
type Model struct {
	// Name identifies the model.
	Name string `json:"name" yaml:"name"`
	// Currency is the ISO 4217 code of all prices.
	Currency string `json:"currency" yaml:"currency"`
	// Effective is the day, 2026-03-11, since which the prices hold, or on which
	// they were read. Default: not known.
	Effective string `json:"effective,omitempty" yaml:"effective,omitempty"`
	// Source says where the prices are from. Default: they are yours.
	Source Source `json:"source,omitzero" yaml:"source,omitempty"`
	// Note is for readers: region, plan, what is not modelled.
	Note string `json:"note,omitempty" yaml:"note,omitempty"`
	// Backend is the kind of series that is priced, as in a report: prometheus or
	// otlp. Default: either.
	Backend string `json:"backend,omitempty" yaml:"backend,omitempty"`
	// HoursAMonth is the length of a month, 672 to 744 hours. Default: 730, a
	// twelfth of a year.
	HoursAMonth uint64 `json:"hours_a_month,omitempty" yaml:"hours_a_month,omitempty"`
	// Components add up to the bill.
	Components []Component `json:"components" yaml:"components"`
}

// Source names a vendor's page.
type Source struct {
	// Name is the title of the page, URL its address.
	Name string `json:"name,omitempty" yaml:"name,omitempty"`
	URL  string `json:"url,omitempty" yaml:"url,omitempty"`
}

// Kind says what a component counts in a month.
type Kind string

// The kinds of components.
const (
	// KindActiveSeries counts the series that are active at a time.
	KindActiveSeries Kind = "active_series"
	// KindSamples counts the samples that are sent in a month.
	KindSamples Kind = "samples"
	// KindIngestedBytes counts samples times bytes_per_sample.
	KindIngestedBytes Kind = "ingested_bytes"
	// KindCustomMetrics counts series times the aggregations of their type.
	KindCustomMetrics Kind = "custom_metrics"
	// KindHosts counts hosts.
	KindHosts Kind = "hosts"
	// KindFee counts nothing: its price is due each month.
	KindFee Kind = "fee"
)

var kinds = []Kind{KindActiveSeries, KindSamples, KindIngestedBytes, KindCustomMetrics, KindHosts, KindFee}

// TierMode says how tiers apply.
type TierMode string

// The ways to apply tiers.
const (
	// TiersGraduated prices each part of the quantity in the tier it falls into.
	TiersGraduated TierMode = "graduated"
	// TiersVolume prices the whole quantity in the tier it falls into. More may
	// then cost less, just above a bound.
	TiersVolume TierMode = "volume"
)

var tierModes = []TierMode{TiersGraduated, TiersVolume}

// Component is one line of the bill.
type Component struct {
	// Name identifies the component within its model.
	Name string `json:"name" yaml:"name"`
	// Kind says what is counted.
	Kind Kind `json:"kind" yaml:"kind"`
	// Price is the price of Per units in a month, unless Tiers are given.
	Price *Money `json:"price,omitempty" yaml:"price,omitempty"`
	// Per is how many units a price is for. Default: 1.
	Per uint64 `json:"per,omitempty" yaml:"per,omitempty"`
	// Tiers are prices that depend on the quantity. Default: none.
	Tiers []Tier `json:"tiers,omitempty" yaml:"tiers,omitempty"`
	// TierMode is graduated or volume. Default: graduated.
	TierMode TierMode `json:"tier_mode,omitempty" yaml:"tier_mode,omitempty"`
	// Included is how many units a month are free; IncludedPerHost how many more
	// for each host. Tiers count what is beyond. Default: 0.
	Included        uint64 `json:"included,omitempty" yaml:"included,omitempty"`
	IncludedPerHost uint64 `json:"included_per_host,omitempty" yaml:"included_per_host,omitempty"`
	// IncludedDPM is how many data points (samples) a minute an active series
	// includes. Whoever sends more on average is billed the samples a minute
	// divided by it in place of the series. Default: any number is included.
	IncludedDPM uint64 `json:"included_dpm,omitempty" yaml:"included_dpm,omitempty"`
	// BytesPerSample is the size of a sample as the vendor counts it. ingested_bytes
	// needs it.
	BytesPerSample uint64 `json:"bytes_per_sample,omitempty" yaml:"bytes_per_sample,omitempty"`
	// Aggregations are how many custom metrics a series of a type of metric is.
	// Default: 1.
	Aggregations map[string]uint64 `json:"aggregations,omitempty" yaml:"aggregations,omitempty"`
	// AggregationsAfterDrop are the same for metrics that lost labels, if more
	// aggregations are then kept: the minimum and the maximum over the pods beside
	// the sum, say, or percentiles. Default: that of Aggregations.
	AggregationsAfterDrop map[string]uint64 `json:"aggregations_after_drop,omitempty" yaml:"aggregations_after_drop,omitempty"`
}

// Tier is a price up to a quantity.
type Tier struct {
	// UpTo is the quantity up to which the tier reaches, inclusive. The last tier
	// has none.
	UpTo uint64 `json:"up_to,omitempty" yaml:"up_to,omitempty"`
	// Price is the price of Per units in this tier.
	Price Money `json:"price" yaml:"price"`
}

// DefaultHoursAMonth is a twelfth of a year of 365 days.
const DefaultHoursAMonth = 730

// WithDefaults returns the model with its defaults filled in. It shares nothing
// that it changed.
func (m Model) WithDefaults() Model {
	if m.HoursAMonth == 0 {
		m.HoursAMonth = DefaultHoursAMonth
	}
	m.Components = slices.Clone(m.Components)
	for i := range m.Components {
		c := &m.Components[i]
		c.Per = max(c.Per, 1)
		if c.TierMode == "" && len(c.Tiers) > 0 {
			c.TierMode = TiersGraduated
		}
	}
	return m
}

// Priced reports whether anything has a price. Costs by a model without prices,
// such as Custom, are 0 and mean nothing.
func (m Model) Priced() bool {
	return slices.ContainsFunc(m.Components, func(c Component) bool {
		return c.Price != nil && *c.Price > 0 || slices.ContainsFunc(c.Tiers, func(t Tier) bool { return t.Price > 0 })
	})
}

// Custom is the model that is in force until somebody sets another: active
// series, to be filled in with your own price.
func Custom() Model {
	return Model{
		Name: "custom", Currency: "USD",
		Note:       "Set your own prices: what your contract says, or what your own servers cost.",
		Components: []Component{{Name: "active series", Kind: KindActiveSeries, Price: new(Money), Per: 1000}},
	}
}

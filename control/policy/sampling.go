package policy

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Duration is a time span that is text such as 90s or 1h30m in JSON and YAML.
type Duration time.Duration

// unreadable stands for a text that is no duration, so that validation can say
// where it is, together with all other mistakes.
const unreadable Duration = math.MinInt64

// Std returns the standard library's form.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Readable is false for what a text became that is no duration.
func (d Duration) Readable() bool { return d != unreadable }

// String is the text in JSON.
func (d Duration) String() string {
	if d == unreadable {
		return "unreadable"
	}
	return time.Duration(d).String()
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration does. What it cannot read becomes
// a value that validation refuses.
func (d *Duration) UnmarshalText(text []byte) error {
	read, err := time.ParseDuration(string(text))
	if err != nil {
		*d = unreadable
		return nil //nolint:nilerr // validation reports it with its path, beside all other mistakes
	}
	*d = Duration(read)
	return nil
}

// The signals that data comes in.
const (
	SignalMetrics = "metrics"
	SignalTraces  = "traces"
	SignalLogs    = "logs"
)

// SamplingRule says what an adaptive_sampler leaves out, or how much may go on.
// Exactly one of DeadBand, Series and Budget is given. Of the dead bands that
// match a point the first applies, and so of the series rules and of the
// budgets; a point may have one of each.
//
// Like a Rule it is data: whoever holds one must not change what its slices and
// pointers refer to.
type SamplingRule struct {
	// Name identifies the rule in telemetry, messages and state. It is unique
	// among sampling rules.
	Name string `mapstructure:"name" json:"name"`
	// Mode is enforce, or preview: measure what the rule would leave out and leave
	// out nothing. Default: enforce.
	Mode Mode `mapstructure:"mode" json:"mode,omitempty"`
	// DeadBand leaves out points of metrics that a reader can do without.
	DeadBand *DeadBand `mapstructure:"dead_band" json:"dead_band,omitempty"`
	// Series keeps a share of the series of metrics.
	Series *SeriesSample `mapstructure:"series" json:"series,omitempty"`
	// Budget bounds how much of a group goes on.
	Budget *Budget `mapstructure:"budget" json:"budget,omitempty"`
}

// DeadBand leaves out the points of gauges, and of cumulative sums and
// histograms, that a reader can do without: what is read from those that were
// sent is never further from the truth than the tolerance.
type DeadBand struct {
	// Match selects the points.
	Match Match `mapstructure:"match" json:"match"`
	// Tolerance is how far a reader may be off. Required.
	Tolerance Tolerance `mapstructure:"tolerance" json:"tolerance"`
	// Heartbeat is how long nothing may come from a series that sends. Default:
	// 60s.
	Heartbeat Duration `mapstructure:"heartbeat" json:"heartbeat,omitzero"`
	// Predictor is the reader that is promised the tolerance: hold, which takes
	// the last point as an instant query does, or linear, which draws a line from
	// point to point. Default: hold.
	Predictor Predictor `mapstructure:"predictor" json:"predictor,omitempty"`
	// Range is the shortest range over which counters are read, as in
	// rate(x[Range]). With it the relative tolerance of a counter is a share of
	// what it grows within Range. Default: 4 heartbeats.
	Range Duration `mapstructure:"range" json:"range,omitzero"`
	// Corners also sends the point before one that moved, so that a rate sees
	// when a counter that stood began to run. Default: true.
	Corners *bool `mapstructure:"corners" json:"corners,omitempty"`
}

// Tolerance is how far from the truth a reader may be: the larger of the two.
// Without both only what repeats is left out.
type Tolerance struct {
	// Relative is a share of the true value, 0.01 for 1 %.
	Relative float64 `mapstructure:"relative" json:"relative,omitempty"`
	// Absolute is in the unit of the metric; of a histogram in measurements.
	Absolute float64 `mapstructure:"absolute" json:"absolute,omitempty"`
}

// Predictor is what a reader takes for the value between two points.
type Predictor string

// The predictors.
const (
	PredictorHold   Predictor = "hold"
	PredictorLinear Predictor = "linear"
)

// SeriesSample keeps a share of the series of metrics, the same ones in every
// collector with the same Seed.
type SeriesSample struct {
	// Match selects the series.
	Match Match `mapstructure:"match" json:"match"`
	// Ratio is the share that is kept: above 0, up to 1.
	Ratio float64 `mapstructure:"ratio" json:"ratio"`
	// Weigh says how the series that are kept stand for the others: attribute
	// puts the adjusted count on each point, multiply multiplies delta sums by it
	// (other points that match then pass, and are counted). Default: attribute.
	Weigh Weigh `mapstructure:"weigh" json:"weigh,omitempty"`
	// Attribute is the key under which the adjusted count is put. Default:
	// sampling.adjusted_count.
	Attribute string `mapstructure:"attribute" json:"attribute,omitempty"`
	// Seed tells independent samples apart; those of one seed nest. Default: 0.
	Seed uint64 `mapstructure:"seed" json:"seed,omitempty"`
}

// Weigh says how kept series stand for the others.
type Weigh string

// The ways to weigh.
const (
	WeighAttribute Weigh = "attribute"
	WeighMultiply  Weigh = "multiply"
)

// Budget bounds what goes on a second from a group of data: everything that
// matches. One of the three amounts is given.
type Budget struct {
	// Signal is metrics, traces or logs.
	Signal string `mapstructure:"signal" json:"signal"`
	// Match selects what belongs to the group. Traces and logs have conditions on
	// the resource only, and no metric. Default: everything.
	Match BudgetMatch `mapstructure:"match" json:"match,omitzero"`
	// PointsPerSecond bounds data points, spans or log records, BytesPerSecond
	// their size in OTLP.
	PointsPerSecond float64 `mapstructure:"points_per_second" json:"points_per_second,omitempty"`
	BytesPerSecond  float64 `mapstructure:"bytes_per_second" json:"bytes_per_second,omitempty"`
	// MonthlyCost is money, in the currency of the active price model. Only a
	// control plane knows prices: it replaces it by one of the others.
	MonthlyCost float64 `mapstructure:"-" json:"monthly_cost,omitempty"`
	// Floor and Ceiling bound the level at which the group is sampled. 1 is as
	// configured; at 0.5 probabilities are half and tolerances double. At the floor
	// data is worth more than the budget, which is then exceeded. Default: 0.1
	// and 1.
	Floor   float64 `mapstructure:"floor" json:"floor,omitempty"`
	Ceiling float64 `mapstructure:"ceiling" json:"ceiling,omitempty"`
}

// BudgetMatch selects the data of a group.
type BudgetMatch struct {
	// Metric is a glob or a /regular expression/ for the whole OTLP name of a
	// metric. Default: all.
	Metric string `mapstructure:"metric" json:"metric,omitempty"`
	// Resource are conditions on the attributes of the resource. Default: none.
	Resource []Condition `mapstructure:"resource" json:"resource,omitempty"`
}

// The defaults of sampling rules.
const (
	DefaultHeartbeat       = Duration(time.Minute)
	DefaultWeightAttribute = "sampling.adjusted_count"
	DefaultFloor           = 0.1
	DefaultCeiling         = 1.0
)

// WithDefaults returns the rule with its defaults filled in. It shares nothing
// that it changed.
func (r SamplingRule) WithDefaults() SamplingRule {
	r.Mode = cmp.Or(r.Mode, ModeEnforce)
	if r.DeadBand = cloned(r.DeadBand); r.DeadBand != nil {
		b := r.DeadBand
		b.Heartbeat = cmp.Or(b.Heartbeat, DefaultHeartbeat)
		b.Predictor = cmp.Or(b.Predictor, PredictorHold)
		b.Range = cmp.Or(b.Range, 4*b.Heartbeat)
		if b.Corners == nil {
			b.Corners = new(true)
		}
	}
	if r.Series = cloned(r.Series); r.Series != nil {
		r.Series.Weigh = cmp.Or(r.Series.Weigh, WeighAttribute)
		r.Series.Attribute = cmp.Or(r.Series.Attribute, DefaultWeightAttribute)
	}
	if r.Budget = cloned(r.Budget); r.Budget != nil {
		r.Budget.Floor = cmp.Or(r.Budget.Floor, DefaultFloor)
		r.Budget.Ceiling = cmp.Or(r.Budget.Ceiling, DefaultCeiling)
	}
	return r
}

// clone returns a rule that shares nothing with r.
func (r SamplingRule) clone() SamplingRule {
	if r.DeadBand = cloned(r.DeadBand); r.DeadBand != nil {
		r.DeadBand.Match = r.DeadBand.Match.clone()
		r.DeadBand.Corners = cloned(r.DeadBand.Corners)
	}
	if r.Series = cloned(r.Series); r.Series != nil {
		r.Series.Match = r.Series.Match.clone()
	}
	if r.Budget = cloned(r.Budget); r.Budget != nil {
		r.Budget.Match.Resource = cloneConditions(r.Budget.Match.Resource)
	}
	return r
}

func (m Match) clone() Match {
	m.Types = slices.Clone(m.Types)
	m.Resource = cloneConditions(m.Resource)
	m.Point = cloneConditions(m.Point)
	return m
}

package adaptivesamplerprocessor

import (
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// Config is the configuration of an adaptive_sampler processor. One id may be in
// one pipeline of each signal; its instances work together.
type Config struct {
	// Interval is how often rates and levels are adjusted. Default: 5s.
	Interval time.Duration `mapstructure:"interval"`
	// TargetScope says whose the targets and budgets are: collector, or fleet,
	// which divides them by Replicas. Default: collector.
	TargetScope TargetScope `mapstructure:"target_scope"`
	// Replicas is how many collectors share the load. Required with fleet.
	Replicas int `mapstructure:"replicas"`
	// Traces says how spans are sampled.
	Traces TracesConfig `mapstructure:"traces"`
	// Logs says how log records are sampled.
	Logs LogsConfig `mapstructure:"logs"`
	// Metrics says how metrics are sampled.
	Metrics MetricsConfig `mapstructure:"metrics"`
	// Rules are dead bands, series samples and budgets. They come before those of
	// control. Default: none.
	Rules []policy.SamplingRule `mapstructure:"rules"`
	// Control is the id of a control plane extension that sends more rules, and
	// shows what is left out. Default: none.
	Control *component.ID `mapstructure:"control"`
	// Storage is the id of a storage extension that keeps rates, levels and dead
	// bands over restarts. Default: none, they begin anew.
	Storage *component.ID `mapstructure:"storage"`
	// Checkpoint is how often the state is written. Default: 1m.
	Checkpoint time.Duration `mapstructure:"checkpoint"`
}

// TargetScope says whose a target is.
type TargetScope string

// The scopes.
const (
	ScopeCollector TargetScope = "collector"
	ScopeFleet     TargetScope = "fleet"
)

// TracesConfig says how spans are sampled.
type TracesConfig struct {
	// Key lists what spans are told apart by: resource.x, trace.state.x (a member
	// of the trace state), span.name, span.kind, span.status, or span.x for the
	// attribute x. What is of spans needs IncompleteTraces. Default:
	// [resource.service.name].
	Key []string `mapstructure:"key"`
	// IncompleteTraces is allow, or empty: spans of one trace may then be kept
	// and left out by different probabilities.
	IncompleteTraces string `mapstructure:"incomplete_traces"`
	// Target is how much goes on.
	Target TracesTarget `mapstructure:"target"`
	// MinProbability bounds the probability of a key from below. Default: 0, no
	// bound.
	MinProbability float64 `mapstructure:"min_probability"`
	// Keep lists spans that keep the threshold they came with.
	Keep []KeepSpans `mapstructure:"keep"`
	// MaxKeys bounds the keys that are remembered, the least recently used are
	// forgotten. Default: 10,000.
	MaxKeys int `mapstructure:"max_keys"`
}

// TracesTarget is how many spans go on a second.
type TracesTarget struct {
	// SpansPerSecond is for all together. 0: no bound.
	SpansPerSecond float64 `mapstructure:"spans_per_second"`
	// PerService is for each service.name, Services replaces it for some. 0: no
	// bound.
	PerService float64            `mapstructure:"per_service"`
	Services   map[string]float64 `mapstructure:"services"`
	// zero are the keys that are written as 0.
	zero []string
}

// KeepSpans is a condition on a span. Exactly one field is given.
type KeepSpans struct {
	// Status is error, ok or unset.
	Status string `mapstructure:"status"`
	// Latency is how long the span took.
	Latency *KeepLatency `mapstructure:"latency"`
	// Attribute is a condition on an attribute of the span or, with a key
	// resource.x, of its resource.
	Attribute *policy.Condition `mapstructure:"attribute"`
}

// KeepLatency is a bound. Exactly one field is given.
type KeepLatency struct {
	// Over is a time.
	Over time.Duration `mapstructure:"over"`
	// Quantile is that of the span's own key, learned from its spans: with 0.99
	// about one span in a hundred is kept.
	Quantile float64 `mapstructure:"quantile"`
}

// LogsConfig says how log records are sampled. Their key is severity, service
// and template of the message.
type LogsConfig struct {
	// Target is how much goes on.
	Target LogsTarget `mapstructure:"target"`
	// Floor bounds the probability from below, by severity: trace, debug, info,
	// warn, error, fatal. A severity takes the floor of the next lower one that has
	// one. Default: {error: 1}, which keeps errors and above whole.
	Floor map[string]float64 `mapstructure:"floor"`
	// WithTraces says which records are kept with their trace: sampled, those that
	// the trace sampler of this id keeps; flag, those with the flag of a sampled
	// trace; none. Default: sampled, if this id is in a traces pipeline.
	WithTraces WithTraces `mapstructure:"with_traces"`
	// Randomness names an attribute whose value decides in place of a random
	// number for records without a trace, such as a session. Default: none.
	Randomness string `mapstructure:"randomness"`
	// Summary writes for each template of which records were left out a record
	// that says how many.
	Summary SummaryConfig `mapstructure:"summary"`
	// MaxKeys bounds the keys that are remembered. Default: 10,000.
	MaxKeys int `mapstructure:"max_keys"`
}

// LogsTarget is how many records go on a second.
type LogsTarget struct {
	// RecordsPerSecond is for all together. 0: no bound.
	RecordsPerSecond float64 `mapstructure:"records_per_second"`
	// PerService is for each service.name, Services replaces it for some. 0: no
	// bound.
	PerService float64            `mapstructure:"per_service"`
	Services   map[string]float64 `mapstructure:"services"`
	// zero are the keys that are written as 0.
	zero []string
}

// WithTraces says which records are kept with their trace.
type WithTraces string

// The choices.
const (
	WithTracesSampled WithTraces = "sampled"
	WithTracesFlag    WithTraces = "flag"
	WithTracesNone    WithTraces = "none"
)

// SummaryConfig says whether and how often what was left out is summed up.
type SummaryConfig struct {
	// Enabled turns it on. Default: false.
	Enabled bool `mapstructure:"enabled"`
	// Interval is how often. Default: 1m.
	Interval time.Duration `mapstructure:"interval"`
}

// MetricsConfig bounds what is remembered of metrics. What is left out, Rules
// say.
type MetricsConfig struct {
	// MaxSeries bounds the series that dead bands remember. Beyond it points of new
	// series pass. Default: 1,000,000.
	MaxSeries int `mapstructure:"max_series"`
	// Idle is how long a series that sends nothing is remembered. Default: 10m.
	Idle time.Duration `mapstructure:"idle"`
	// Window is over what time totals of sampled series are estimated. Default:
	// 1m.
	Window time.Duration `mapstructure:"window"`
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{
		Interval:    5 * time.Second,
		TargetScope: ScopeCollector,
		Traces:      TracesConfig{Key: []string{"resource.service.name"}, MaxKeys: 10_000},
		Logs: LogsConfig{
			Floor:   map[string]float64{"error": 1},
			Summary: SummaryConfig{Interval: time.Minute},
			MaxKeys: 10_000,
		},
		Metrics:    MetricsConfig{MaxSeries: 1_000_000, Idle: 10 * time.Minute, Window: time.Minute},
		Checkpoint: time.Minute,
	}
}

package experiment

import (
	"time"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// Spec is an experiment as its author writes it. It is data: whoever holds one
// must not change what its slices, maps and pointers refer to, and once the
// experiment has started nothing of it changes (see Hash). Zero values stand for
// defaults; WithDefaults fills them in.
type Spec struct {
	// ID identifies the experiment, also to the router, where it salts the
	// assignment of units.
	ID string `json:"id"`
	// Description is for readers. Default: none.
	Description string `json:"description,omitempty"`
	// Signal is what the arms carry: metrics, traces or logs. Default: metrics.
	Signal Signal `json:"signal,omitempty"`
	// Mode is mirror, where both arms see every point, or split, where each unit
	// is in one arm.
	Mode Mode `json:"mode"`
	// Scope are the attributes, named resource.x or point.x, and their values by
	// which the router finds the experiment's data. A bare x is resource.x.
	Scope map[string]string `json:"scope"`
	// Metrics are the OTLP names of the metrics that take part. Default: all.
	Metrics []string `json:"metrics,omitempty"`
	// Unit is what is assigned to an arm. Only with split.
	Unit Unit `json:"unit,omitzero"`
	// Rules are what the candidate does. Their role and experiment are filled in.
	// Experiments on traces and logs compare pipelines and have none.
	Rules []policy.Rule `json:"rules,omitempty"`
	// Steps are the weights of the candidate, rising. Only with split. Default:
	// 1, 5, 25, 50 and 100 %, 10m each.
	Steps []WeightStep `json:"steps,omitempty"`
	// Schedule says when the experiment may begin. Default: when it is started.
	Schedule Schedule `json:"schedule,omitzero"`
	// Interval is the time between looks. Default: 30s.
	Interval Duration `json:"interval,omitempty"`
	// MinDuration is how long the candidate runs without interruption before it
	// can be promoted, if that is longer than the enforced MinimumRun. Default: 0.
	MinDuration Duration `json:"min_duration,omitempty"`
	// MaxDuration is the running time after which the experiment is Inconclusive.
	// Default: 24h.
	MaxDuration Duration `json:"max_duration,omitempty"`
	// MaxPause is the time after which a pause ends in Inconclusive, so that it
	// does not hold the scope for ever. Default: 24h.
	MaxPause Duration `json:"max_pause,omitempty"`
	// Guardrails are what must not get worse. Those of BuiltinMeasures are always
	// there; one that is listed replaces the built-in one.
	Guardrails []Guardrail `json:"guardrails,omitempty"`
	// Success are the criteria that must all be met before promotion.
	Success []Criterion `json:"success"`
	// Fidelity is what the user's queries must answer on both arms. Only with
	// mirror and metrics. Default: no query is judged.
	Fidelity *Fidelity `json:"fidelity,omitempty"`
	// Approval says what waits for a person. Default: nothing.
	Approval Approval `json:"approval,omitzero"`
}

// Signal is what the arms carry.
type Signal string

// The signals.
const (
	SignalMetrics Signal = "metrics"
	SignalTraces  Signal = "traces"
	SignalLogs    Signal = "logs"
)

var signals = []Signal{SignalMetrics, SignalTraces, SignalLogs}

// Mode says what the arms see.
type Mode string

// The modes.
const (
	ModeMirror Mode = "mirror"
	ModeSplit  Mode = "split"
)

var modes = []Mode{ModeMirror, ModeSplit}

// Unit is what is assigned to an arm as a whole.
type Unit struct {
	// Kind is resource, series, attribute or trace.
	Kind UnitKind `json:"kind"`
	// Attribute names the attribute whose values are the units. Only with the
	// kind attribute.
	Attribute string `json:"attribute,omitempty"`
	// WriterByArm says that the arms write under different identities, as with
	// the option writer of tag_consolidation. It is demanded where units of both
	// arms can be inputs of one output, which would then have two writers.
	WriterByArm bool `json:"writer_by_arm,omitempty"`
}

// UnitKind is a kind of units.
type UnitKind string

// The kinds of units.
const (
	UnitResource  UnitKind = "resource"
	UnitSeries    UnitKind = "series"
	UnitAttribute UnitKind = "attribute"
	UnitTrace     UnitKind = "trace"
)

var unitKinds = []UnitKind{UnitResource, UnitSeries, UnitAttribute, UnitTrace}

// WeightStep is a share of units and how long it stays at least.
type WeightStep struct {
	// Weight is the candidate's share in percent, 1 to 100.
	Weight int `json:"weight"`
	// Dwell is the least running time at this weight. Default: 10m.
	Dwell Duration `json:"dwell,omitempty"`
}

// Schedule bounds the time at which an experiment begins. Zero: no bound.
type Schedule struct {
	// NotBefore is when it begins at the earliest.
	NotBefore time.Time `json:"not_before,omitzero"`
	// NotAfter is when it fails if it could not begin.
	NotAfter time.Time `json:"not_after,omitzero"`
}

// Measure is something that is counted on both arms.
type Measure string

// The measures.
const (
	MeasureErrors   Measure = "candidate_errors"
	MeasureRefused  Measure = "refused"
	MeasureLatency  Measure = "latency"
	MeasureMemory   Measure = "memory"
	MeasureFidelity Measure = "fidelity"
	MeasureCost     Measure = "cost"
	MeasureSeries   Measure = "series"
	MeasurePoints   Measure = "points"
	MeasureBytes    Measure = "bytes"
)

// BuiltinMeasures are those of the built-in guardrails, in their order.
// fidelity is there only if the specification demands it.
var BuiltinMeasures = []Measure{MeasureErrors, MeasureRefused, MeasureLatency, MeasureMemory, MeasureFidelity, MeasureCost}

var criterionMeasures = []Measure{MeasureSeries, MeasurePoints, MeasureBytes, MeasureCost}

// Direction is that of a change for the worse.
type Direction string

// The directions.
const (
	DirectionIncrease Direction = "increase"
	DirectionDecrease Direction = "decrease"
	DirectionEither   Direction = "either"
)

var directions = []Direction{DirectionIncrease, DirectionDecrease, DirectionEither}

// Guardrail is something that must not get worse. Exactly one of Measure and
// Query is given.
type Guardrail struct {
	// Name identifies the guardrail. Default: that of the measure.
	Name string `json:"name,omitempty"`
	// Measure is a built-in measure.
	Measure Measure `json:"measure,omitempty"`
	// Query is PromQL that the metric source answers for each arm.
	Query string `json:"query,omitempty"`
	// Direction is that of a change for the worse: increase, decrease or either.
	// Default: increase.
	Direction Direction `json:"direction,omitempty"`
	// AllowedChange is how much worse the candidate may be, as a fraction of the
	// baseline. Default: 0.05 for latency and memory, otherwise 0.
	AllowedChange *float64 `json:"allowed_change,omitempty"`
	// Critical: a breach rolls the experiment back at once. Otherwise it keeps the
	// weight from rising and the candidate from being promoted while it lasts.
	// Built-in ones that are not listed are critical.
	Critical bool `json:"critical,omitempty"`
	// DryRun: the verdict is recorded and has no effect.
	DryRun bool `json:"dry_run,omitempty"`
	// MustHaveData: without data the weight does not rise and nothing is
	// promoted; a critical one that is silent for longer than the minimum run is
	// breached.
	MustHaveData bool `json:"must_have_data,omitempty"`
	// FailureLimit is how many looks in a row may fail where answers of the metric
	// source are compared with AllowedChange without statistics. Only with query.
	// Default: 0.
	FailureLimit int `json:"failure_limit,omitempty"`
}

// Criterion is something that the candidate must save.
type Criterion struct {
	// Measure is series, points, bytes or cost.
	Measure Measure `json:"measure"`
	// AtLeast is the saving as a fraction of the baseline, above 0 and below 1.
	AtLeast float64 `json:"at_least"`
}

// Fidelity names the user's queries and what is demanded of them.
type Fidelity struct {
	// RuleFiles are Prometheus rule files, Dashboards Grafana dashboards, each
	// with its text, so that the hash covers what was judged.
	RuleFiles  []Document `json:"rule_files,omitempty"`
	Dashboards []Document `json:"dashboards,omitempty"`
	// Queries are single queries.
	Queries []Query `json:"queries,omitempty"`
	// MinJudged is the part of all queries that must be judged before promotion.
	// Default: 0.9.
	MinJudged *float64 `json:"min_judged,omitempty"`
	// CriticalAlerts are the names of alerts that must each be judged.
	CriticalAlerts []string `json:"critical_alerts,omitempty"`
	// Tolerance and MeanTolerance are the largest and the mean relative error of
	// an answer that still counts as the same. Default: 0.01 and 0.001.
	Tolerance     *float64 `json:"tolerance,omitempty"`
	MeanTolerance *float64 `json:"mean_tolerance,omitempty"`
	// LongestRange and LongestFor are the longest range of all queries and the
	// longest for of all alerts. Control fills them in from the queries when the
	// experiment is created; the minimum run follows from them.
	LongestRange Duration `json:"longest_range,omitempty"`
	LongestFor   Duration `json:"longest_for,omitempty"`
	// MaxSeries and MaxMemoryMiB bound what is kept of an arm. Default: 100000
	// and 256.
	MaxSeries    int `json:"max_series,omitempty"`
	MaxMemoryMiB int `json:"max_memory_mib,omitempty"`
}

// Document is a named text.
type Document struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Query is a named PromQL expression.
type Query struct {
	Name string `json:"name"`
	Expr string `json:"expr"`
}

// Approval says what waits for a person.
type Approval struct {
	// Start and Promote are whether the experiment may begin, and may end in
	// promotion, only after an approval.
	Start   bool `json:"start,omitempty"`
	Promote bool `json:"promote,omitempty"`
}

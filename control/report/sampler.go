package report

import (
	"context"
	"time"
)

// SamplerRegistry takes the sources of sampling reports. The control plane
// implements it; an adaptive_sampler processor that has a `control` option looks
// for it among the host's extensions at Start.
type SamplerRegistry interface {
	// RegisterSampler makes a source known until the returned function is called.
	// Instances of one component may register side by side.
	RegisterSampler(SamplerRegistration) (unregister func(), err error)
}

// SamplerRegistration says which processor samples, and where to ask.
type SamplerRegistration struct {
	// Component is the id of the processor, such as "adaptive_sampler".
	Component string
	// Source answers the questions.
	Source SamplerSource
}

// SamplerSource answers what one processor leaves out.
type SamplerSource interface {
	// Sampling says what was left out and why. It may be called from any
	// goroutine, holds up the data path for no longer than reading one table
	// takes, and returns a value that the caller owns.
	Sampling(context.Context) (Sampling, error)
	// PolicyVersion is that of the newest snapshot that was taken over. It costs
	// an atomic load.
	PolicyVersion() uint64
}

// Sampling is what one processor leaves out.
type Sampling struct {
	// Component is that of the registration.
	Component string
	// PolicyVersion is that of the snapshot that was taken over, 0 if there was
	// none.
	PolicyVersion uint64
	// Since is when counting began, At when this was read.
	Since, At time.Time
	// Signals are the signals that the processor is in a pipeline of, sorted.
	Signals []SampledSignal
	// Rules are the rules for metrics in force, those of the configuration first.
	Rules []SampledRule
	// Budgets are those in force, also the targets of the configuration.
	Budgets []SampledBudget
	// Keys are the keys of traces and logs by which most came in, at most 100 a
	// signal.
	Keys []SampledKey
	// Problems says why the newest snapshot, or a rule of it, was refused.
	Problems []string
}

// SampledSignal counts what came and went on of one signal, in data points,
// spans or log records.
type SampledSignal struct {
	// Signal is metrics, traces or logs.
	Signal string
	// In came, Kept went on.
	In, Kept uint64
	// Represented is what came, each span or record with its adjusted count.
	Represented float64
	// Keys are those that are remembered; KeysEvicted were forgotten because
	// there were too many.
	Keys, KeysEvicted uint64
}

// SampledRule is what one rule for metrics does.
type SampledRule struct {
	// Name is that of the rule, Kind dead_band or series, Mode enforce or preview.
	Name, Kind, Mode string
	// Static marks rules of the configuration, not of the control plane.
	Static bool
	// In counts the points that it matched since Since, Kept those of them that
	// went on, or would have in preview.
	In, Kept uint64
	// Since is when the rule, with these settings and this mode, began here.
	Since time.Time
	// Series are those remembered by a dead band.
	Series uint64
	// Ratio is the share of series that is kept now. Kind series only.
	Ratio float64
	// Totals are estimated over all series from those that are kept. Kind series
	// only; at most 100 metrics.
	Totals []SampledTotal
}

// SampledTotal is what all series of a metric come to, estimated from those that
// were kept (Horvitz and Thompson), over the last whole window.
type SampledTotal struct {
	// Metric is the OTLP name.
	Metric string
	// From and To bound the window.
	From, To time.Time
	// Kept series were added up; Series is the estimated number of all, with
	// SeriesError as its standard error.
	Kept        uint64
	Series      float64
	SeriesError float64
	// Total is the estimated sum over all series: of increases for sums and
	// histograms' counts, of the last values for gauges. Variance is its estimated
	// variance; Low and High bound about 95 %.
	Total, Variance, Low, High float64
}

// SampledBudget is a budget and how it is kept.
type SampledBudget struct {
	// Name is that of the rule; targets of the configuration are called
	// traces.target, logs.target, and with a service traces.service/checkout.
	Name, Signal string
	// Static marks those of the configuration.
	Static bool
	// Unit is points or bytes; Target is what may go on a second, In and Out what
	// came and went in the last interval, a second.
	Unit            string
	Target, In, Out float64
	// Level is what holds now, between Floor and Ceiling; Error is how far the last
	// interval was from the target, as a share of it.
	Level, Floor, Ceiling, Error float64
	// FloorReached says that the budget is exceeded and the level is at its floor.
	FloorReached bool
}

// SampledKey is a key of traces or logs.
type SampledKey struct {
	// Signal is traces or logs; Key says what the key is, for people; Group is the
	// service.
	Signal, Key, Group string
	// In and Kept count spans or records since the key was first seen, Represented
	// is In with adjusted counts.
	In, Kept    uint64
	Represented float64
	// Probability is with what probability one is kept now.
	Probability float64
}

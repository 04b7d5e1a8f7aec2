package report

import (
	"context"
	"time"
)

// ConsolidationRegistry takes the sources of consolidation reports. The control
// plane implements it; a tag_consolidation processor that has a `control`
// option looks for it among the host's extensions at Start.
type ConsolidationRegistry interface {
	// RegisterConsolidation makes a source known until the returned function is
	// called. Instances of one component may register side by side.
	RegisterConsolidation(ConsolidationRegistration) (unregister func(), err error)
}

// ConsolidationRegistration says which processor applies rules, and where to ask.
type ConsolidationRegistration struct {
	// Component is the id of the processor, such as "tag_consolidation".
	Component string
	// Role is that of the processor: common or candidate.
	Role string
	// Source answers the questions.
	Source ConsolidationSource
}

// ConsolidationSource answers what rules do at one processor.
type ConsolidationSource interface {
	// Consolidation says what the rules did. It may be called from any goroutine,
	// holds up the data path for no longer than reading one rule takes, and
	// returns a value that the caller owns.
	Consolidation(context.Context) (Consolidation, error)
	// PolicyVersion is that of the newest snapshot that was taken over. It costs
	// an atomic load.
	PolicyVersion() uint64
}

// Consolidation is what one processor does with its rules.
type Consolidation struct {
	// Component and Role are those of the registration.
	Component, Role string
	// PolicyVersion is that of the snapshot that was taken over: its rules in
	// preview measure, those enforced act from the next edge of an interval on.
	// 0 if there was none.
	PolicyVersion uint64
	// NextEdge is when the interval ends in which rules may still be waiting.
	NextEdge time.Time
	// Interval is the time between outputs, Staleness how long a silent input is
	// remembered: the window of all counts here.
	Interval, Staleness time.Duration
	// Rules are the rules in force, those of the configuration first.
	Rules []RuleReport
	// Problems says why the newest snapshot, or a rule of it, was refused.
	Problems []string
}

// RuleReport is what one rule does at one processor.
type RuleReport struct {
	// Name is that of the rule, Mode enforce or preview.
	Name, Mode string
	// Static marks rules of the configuration, not of the control plane.
	Static bool
	// Since is when the rule, with these settings and this mode, began to see
	// points here.
	Since time.Time
	// Waiting marks a rule that acts from NextEdge on.
	Waiting bool
	// Points counts the data points that it matched since then.
	Points uint64
	// Streams and StreamsAfter are the live inputs and outputs, in OTLP streams;
	// in preview what they would be.
	Streams, StreamsAfter uint64
	// Metrics divides them, the most streams first. Those beyond a bound are one
	// entry without a name.
	Metrics []RuleMetric
}

// RuleMetric is what a rule does to one metric.
type RuleMetric struct {
	// Metric is the OTLP name, empty for the entry that stands for all beyond
	// the bound; Type as in MetricCardinality.
	Metric, Type string
	// Streams and StreamsAfter are as in RuleReport, Series and SeriesAfter the
	// same as a Prometheus backend counts them: a classic histogram is its
	// buckets and two.
	Streams, StreamsAfter, Series, SeriesAfter uint64
	// RelativeError is one standard error of each count as a fraction, 0 if they
	// are exact.
	RelativeError float64
}

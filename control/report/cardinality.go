package report

import (
	"context"
	"time"
)

// CardinalityRegistry takes the sources of cardinality reports. The control
// plane implements it; a cardinality processor that has a `control` option
// looks for it among the host's extensions at Start.
type CardinalityRegistry interface {
	// RegisterCardinality makes a source known until the returned function is
	// called. It fails if another component already claims the same measuring
	// point, with an error that names both components.
	RegisterCardinality(CardinalityRegistration) (unregister func(), err error)
}

// CardinalityRegistration says who measures what, and where to ask.
type CardinalityRegistration struct {
	// Component is the id of the measuring component, such as
	// "cardinality/ingest".
	Component string
	// Point is the name of the place in the pipeline that is measured, such as
	// "ingest". Instances of one component may share it; two components may not.
	Point string
	// Source answers the questions.
	Source CardinalitySource
}

// CardinalitySource answers what was seen at one measuring point.
type CardinalitySource interface {
	// Cardinality counts the series of one measuring point. It may be called
	// from any goroutine, takes no lock of the data path for longer than one
	// metric needs, and returns a value that the caller owns.
	Cardinality(context.Context, CardinalityQuery) (Cardinality, error)
}

// CardinalityQuery restricts a report.
type CardinalityQuery struct {
	// Since counts only series that were seen in the last Since, rounded up to
	// whole sub-windows. Zero means the whole window. More than the window is
	// an error that wraps ErrSinceTooLong.
	Since time.Duration
	// Metric restricts the report to the metric of this exact OTLP name.
	// Empty means all.
	Metric string
	// Detail fills Attributes and Groups of every metric. Best is always filled.
	Detail bool
}

// Cardinality is what one measuring point saw in a span of time.
type Cardinality struct {
	// Point and Component are those of the registration.
	Point, Component string
	// Backend is the kind of database whose series are counted as Series:
	// "prometheus" or "otlp".
	Backend string
	// GroupBy is the attribute whose values divide each metric into budget
	// groups. Empty: a metric is one group.
	GroupBy string
	// From and To bound the counted time. From is a sub-window's edge, or the
	// start of counting if that is later.
	From, To time.Time
	// Window is the time after which a series that sends nothing is forgotten;
	// SubWindow is the step by which the window moves.
	Window, SubWindow time.Duration
	// Metrics has one entry for each metric and budget group, in no order.
	Metrics []MetricCardinality
	// MetricsTracked, Series and Streams sum over everything that is tracked,
	// also what Metric of the query leaves out. Points counts the data points
	// that were looked at since the component started.
	MetricsTracked          int
	Series, Streams, Points uint64
	// Refused counts points that could not be counted, by reason.
	Refused map[string]uint64
	// Overflow is what the bounds on state left out; nil if nothing was.
	Overflow *CardinalityOverflow
	// MemoryBytes is the memory that the state takes, MemoryLimitBytes the
	// bound on it.
	MemoryBytes, MemoryLimitBytes uint64
}

// MetricCardinality is the count of one metric in one budget group.
type MetricCardinality struct {
	// Name is the OTLP name, BackendName the name that the backend gives it
	// without the suffixes of single series such as _bucket.
	Name, BackendName string
	// Group is the value of the group_by attribute; empty without group_by.
	Group string
	// Type is gauge, sum, histogram, exponential_histogram or summary, or
	// "mixed" if points of several types carry the name.
	Type string
	// Unit is the OTLP unit.
	Unit string
	// Series counts what the backend bills: a classic histogram is its buckets
	// and two. Streams counts OTLP streams: a histogram is one.
	Series, Streams uint64
	// Points counts data points since the component started.
	Points uint64
	// Estimated is false if every number of this metric is exact. RelativeError
	// is one standard error of Series as a fraction, 0 if exact.
	Estimated     bool
	RelativeError float64
	// Growth says how fast new series come.
	Growth Growth
	// Limit is the budget that applies, nil if none does.
	Limit *SeriesLimit
	// Best is the attribute or group whose removal saves most, nil if nothing
	// saves a series.
	Best *Saving
	// Attributes has one entry for each attribute key, Groups one for each
	// group of correlated attributes that was found. Only with Detail.
	Attributes []AttributeCardinality
	Groups     []AttributeGroup
}

// Growth is the rate at which series come that were not seen in the window
// before.
type Growth struct {
	// NewPerMinute is the smoothed rate of new series (OTLP streams) a minute.
	NewPerMinute float64
	// NewInWindow counts the new series of the counted time. In the first
	// window after the start every series is new.
	NewInWindow uint64
	// Growing is set while new series keep coming at a rate that is neither
	// noise nor a single deployment.
	Growing bool
	// Accelerating is set if the rate itself rises.
	Accelerating bool
}

// SeriesLimit is a configured budget and its state.
type SeriesLimit struct {
	// Match is the pattern of the configuration that applied.
	Match string
	// MaxSeries is the budget in backend series.
	MaxSeries uint64
	// Exceeded is set while the group has more series.
	Exceeded bool
}

// Level says which part of the OTLP hierarchy carries an attribute.
type Level string

// The levels of an attribute.
const (
	LevelResource  Level = "resource"
	LevelScope     Level = "scope"
	LevelDataPoint Level = "datapoint"
)

// AttributeCardinality is the cost of one attribute of one metric.
type AttributeCardinality struct {
	// Key is the attribute's OTLP key, without a prefix for its level.
	Key string
	// Level is where the attribute stands.
	Level Level
	// Label is the label's name in the backend, empty if the attribute is no
	// label there.
	Label string
	// Distinct counts the attribute's values.
	Distinct uint64
	// SeriesWithout is the number of backend series that stay if this attribute
	// alone is dropped; Saving is Series less that.
	SeriesWithout, Saving uint64
	// Overflow marks the one entry that stands for all attributes beyond the
	// bound on attributes; its numbers are for dropping them all together.
	Overflow bool
}

// AttributeGroup is a set of correlated attributes: dropping any one of them
// saves next to nothing because the others still tell the series apart;
// dropping all of them saves Saving.
type AttributeGroup struct {
	// Attributes are the members, as qualified names: "resource.x", "scope.x"
	// or "x" for an attribute of the data point.
	Attributes []string
	// SeriesWithout and Saving are as in AttributeCardinality, for all members
	// together.
	SeriesWithout, Saving uint64
	// Since is when the joint count began. It is later than From for a group
	// that was found while a large metric streamed.
	Since time.Time
}

// Saving is a suggestion: what to drop and what it saves.
type Saving struct {
	// Attributes are qualified names as in AttributeGroup.
	Attributes []string
	// SeriesWithout is what stays, Series what goes.
	SeriesWithout, Series uint64
}

// CardinalityOverflow is what was counted beyond the bounds on state.
type CardinalityOverflow struct {
	// Metrics, Series and Points count what has no entry of its own: metrics
	// and groups past max_metrics, and series that had no room in memory.
	Metrics, Series, Points uint64
	// Attributes counts metrics whose attributes past
	// max_attributes_per_metric are counted as one.
	Attributes uint64
	// Reasons names the options whose bound was met, sorted.
	Reasons []string
}

// ErrSinceTooLong is wrapped by the error of a query that asks for more than
// the window.
var ErrSinceTooLong = errSinceTooLong{}

type errSinceTooLong struct{}

func (errSinceTooLong) Error() string { return "since is longer than the window" }

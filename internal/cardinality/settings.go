package cardinality

import (
	"time"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// Settings configure a Tracker. All fields are needed.
type Settings struct {
	// Hasher made the hashes that the tracker is fed with.
	Hasher *series.Hasher
	// Backend says which attributes are labels in the database that is paid for.
	Backend Backend
	// SubWindows is how many sub-windows make a window, at least 2, and
	// SubWindow how long one lasts.
	SubWindows int
	SubWindow  time.Duration
	// MaxMetrics bounds the metrics × groups that have an entry of their own.
	MaxMetrics int
	// MaxAttributes bounds the attributes of a metric that have numbers of
	// their own.
	MaxAttributes int
	// Precision is that of the sketches of N and N∖a.
	Precision uint8
	// MaxBytes bounds the memory of the state.
	MaxBytes int64
	// Start is the time of the first epoch.
	Start time.Time
}

// ExactSeries is up to how many series a metric is counted exactly. A row of
// 12 attributes takes about 150 bytes, so at this size rows and sketches (14
// sketches of 32 KiB in 4 sub-windows) cost about the same, and there is no
// range in which sketches would be smaller but less right.
const ExactSeries = 8192

// Default precision of the sketches of N and N∖a: 0.57 % standard error each, so
// that their difference is within 2 % of N at more than two standard
// deviations (precision 14 is not: 1.15 % × 1.96). Below MinPrecision savings
// are noise, above MaxPrecision the library ends.
const (
	DefaultPrecision = 15
	MinPrecision     = 12
	MaxPrecision     = 18
)

// Backend translates attributes to the labels of a database.
type Backend interface {
	// Streams reports that the database bills OTLP streams: every attribute is
	// identity, and the hash of the stream is the hash of the series.
	Streams() bool
	// Label returns the label of an attribute, or false if it is none.
	Label(d series.Domain, key string) (label Label, ok bool)
	// MetricName returns the name of a metric in the database.
	MetricName(Descriptor) string
}

// Label is what an attribute becomes in a database.
type Label struct {
	// Name is the label's name.
	Name string
	// Identity keys the hash of the label's value. It is the name, except where
	// several attributes make up one label.
	Identity string
}

// Descriptor is the identity of an OTLP metric.
type Descriptor struct {
	// Name and Unit are those of the metric.
	Name, Unit string
	// Type is the kind of its points.
	Type Type
	// Monotonic is set for monotonic sums.
	Monotonic bool
}

// Type is the kind of data points. The values are bits, so that a set of types
// is one number.
type Type uint8

// The types of data points.
const (
	Gauge Type = 1 << iota
	Sum
	Histogram
	ExponentialHistogram
	Summary
)

// String returns the name of a type, "mixed" for a set of several.
func (t Type) String() string {
	switch t {
	case Gauge:
		return "gauge"
	case Sum:
		return "sum"
	case Histogram:
		return "histogram"
	case ExponentialHistogram:
		return "exponential_histogram"
	case Summary:
		return "summary"
	case 0:
		return ""
	}
	return "mixed"
}

// Attribute is one attribute of a series, as a Source describes it.
type Attribute struct {
	// Domain is the level at which the attribute stands, Key its name.
	Domain series.Domain
	Key    string
	// Sum is the contribution to the hash of the stream.
	Sum uint64
	// Text is the value as a database with string labels writes it. It may be
	// overwritten by the next call of Describe.
	Text string
	// Promoted makes the attribute a label of this metric whatever the backend
	// says of its level.
	Promoted bool
	// String is set if the value is a string, so that Sum is its contribution
	// as a label too.
	String bool
}

// Description is what a Source knows of one series.
type Description struct {
	// Descriptor is the identity of the series' metric.
	Descriptor Descriptor
	// Attributes are all attributes: resource, scope and point.
	Attributes []Attribute
	// Parts are the series that the backend makes of a point, as hashes that
	// tell them apart within the point: one for a number, one a bucket and two
	// more for a classic histogram. Never empty.
	Parts []uint64
}

// Source describes the points of a batch.
type Source interface {
	// Describe describes point i. The result is valid until the next call.
	Describe(i int) *Description
}

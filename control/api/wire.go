package api

import "time"

// CardinalityList is the answer of GET /api/v1/cardinality.
type CardinalityList struct {
	// Points describes every measuring point that was asked, by name.
	Points []Point `json:"points"`
	// Metrics are the entries that pass the filters, in the order asked for.
	Metrics []Metric `json:"metrics"`
	// Total counts the entries that pass the filters, Truncated says that the
	// limit cut some of them off.
	Total     int  `json:"total"`
	Truncated bool `json:"truncated"`
}

// MetricCardinality is the answer of GET /api/v1/cardinality/{metric}.
type MetricCardinality struct {
	// Metric is the OTLP name that was asked for.
	Metric string `json:"metric"`
	// Points describes the measuring points that have an entry, so that the
	// counted time of each is known.
	Points []Point `json:"points"`
	// Entries has one entry for each measuring point and budget group.
	Entries []MetricDetail `json:"entries"`
}

// Point is the state of one measuring point.
type Point struct {
	Point     string `json:"point"`
	Component string `json:"component"`
	// Backend is the kind of database whose series are counted.
	Backend string `json:"backend"`
	// GroupBy is the attribute that divides metrics into budget groups, or empty.
	GroupBy string `json:"group_by"`
	// From and To bound the counted time.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// WindowSeconds is how long a silent series is remembered, SubWindowSeconds
	// the step by which that window moves.
	WindowSeconds    float64 `json:"window_seconds"`
	SubWindowSeconds float64 `json:"sub_window_seconds"`
	// MetricsTracked, Series, Streams and Points sum over all that is tracked,
	// also what the filters leave out.
	MetricsTracked int    `json:"metrics_tracked"`
	Series         uint64 `json:"series"`
	Streams        uint64 `json:"streams"`
	Points         uint64 `json:"points"`
	// Refused counts points that could not be counted, by reason.
	Refused          map[string]uint64 `json:"refused"`
	MemoryBytes      uint64            `json:"memory_bytes"`
	MemoryLimitBytes uint64            `json:"memory_limit_bytes"`
	// Overflow is what the bounds on state left out, null if nothing was.
	Overflow *Overflow `json:"overflow"`
}

// Overflow counts what has no entry of its own.
type Overflow struct {
	Metrics uint64 `json:"metrics"`
	Series  uint64 `json:"series"`
	Points  uint64 `json:"points"`
	// Attributes counts metrics whose attributes past the bound count as one.
	Attributes uint64 `json:"attributes"`
	// Reasons names the options whose bound was met.
	Reasons []string `json:"reasons"`
}

// Metric is the count of one metric in one budget group at one point.
type Metric struct {
	Point string `json:"point"`
	// Metric is the OTLP name, BackendName the name in the backend.
	Metric      string `json:"metric"`
	BackendName string `json:"backend_name"`
	// Group is the value of the point's group_by attribute, or empty.
	Group string `json:"group"`
	Type  string `json:"type"`
	Unit  string `json:"unit"`
	// Series counts what the backend bills, Streams counts OTLP streams.
	Series  uint64 `json:"series"`
	Streams uint64 `json:"streams"`
	Points  uint64 `json:"points"`
	// Estimated is false if every number is exact; RelativeError is one
	// standard error of Series as a fraction.
	Estimated     bool    `json:"estimated"`
	RelativeError float64 `json:"relative_error"`
	Growth        Growth  `json:"growth"`
	// Limit is the budget that applies, null if none does.
	Limit *Limit `json:"limit"`
	// Best is what to drop to save most, null if nothing saves a series.
	Best *Best `json:"best"`
}

// Growth is how fast new series come.
type Growth struct {
	NewSeriesPerMinute float64 `json:"new_series_per_minute"`
	NewSeriesInWindow  uint64  `json:"new_series_in_window"`
	Growing            bool    `json:"growing"`
	Accelerating       bool    `json:"accelerating"`
}

// Limit is a budget and its state.
type Limit struct {
	Match     string `json:"match"`
	MaxSeries uint64 `json:"max_series"`
	Exceeded  bool   `json:"exceeded"`
}

// Saved is what stays and what goes if something is dropped.
type Saved struct {
	SeriesWithout uint64 `json:"series_without"`
	Saving        uint64 `json:"saving"`
	// SavingRatio is Saving as a fraction of the metric's series.
	SavingRatio float64 `json:"saving_ratio"`
}

// Best is the attribute or group of attributes whose removal saves most.
type Best struct {
	// Attributes are qualified names: resource.x, scope.x, or bare for an
	// attribute of the data point.
	Attributes []string `json:"attributes"`
	Saved
}

// MetricDetail is a Metric with the cost of each of its attributes.
type MetricDetail struct {
	Metric
	// Attributes come with the largest saving first, Groups too.
	Attributes []Attribute `json:"attributes"`
	Groups     []Group     `json:"groups"`
}

// Attribute is the cost of one attribute.
type Attribute struct {
	// Attribute is the qualified name, Key the name without its level.
	Attribute string `json:"attribute"`
	Key       string `json:"key"`
	Level     string `json:"level"`
	// Label is the name in the backend, empty if it is no label there.
	Label    string `json:"label"`
	Distinct uint64 `json:"distinct"`
	Saved
	// Overflow marks the entry for all attributes beyond the bound.
	Overflow bool `json:"overflow"`
}

// Group is a set of correlated attributes that save only together.
type Group struct {
	Attributes []string `json:"attributes"`
	Saved
	// Since is when the joint count began.
	Since time.Time `json:"since"`
}

// Status is the answer of GET /healthz and GET /readyz.
type Status struct {
	Status string `json:"status"`
}

package store

import (
	"context"
	"time"
)

// HistoryReader reads the history of numbers such as cost and cardinality.
type HistoryReader interface {
	// GetHistory returns the points of one series in order of time. A series
	// that is not known has none.
	GetHistory(context.Context, HistoryQuery) ([]HistoryPoint, error)
	// ListHistoryKeys returns the keys of a kind, sorted.
	ListHistoryKeys(ctx context.Context, kind string, page PageRequest) (Page[string], error)
}

// How history is kept: a value each five minutes for a week, and mean, lowest
// and highest of each hour for 90 days.
const (
	FineStep   = 5 * time.Minute
	CoarseStep = time.Hour
	FineKept   = 7 * 24 * time.Hour
	CoarseKept = 90 * 24 * time.Hour
)

// Sample is the value of a series at a time.
type Sample struct {
	// Time is rounded down to FineStep. What is older than FineKept, or more
	// than two FineSteps in the future, is left out.
	Time time.Time
	// Kind and Key name the series, such as series and http_requests_total.
	// They have 1 to 253 bytes.
	Kind, Key string
	// Value is finite.
	Value float64
}

// Appended counts what became of samples.
type Appended struct {
	// Kept are in the history.
	Kept int
	// OutOfTime are too old or in the future.
	OutOfTime int
	// OverLimit belong to series beyond the bound of the store.
	OverLimit int
}

// HistoryQuery selects points.
type HistoryQuery struct {
	Kind, Key string
	// From is inclusive, To exclusive. Default: no bound.
	From, To time.Time
	// Step is FineStep or CoarseStep. An hour is there ten minutes after it
	// ended.
	Step time.Duration
}

// HistoryPoint is one step of a series.
type HistoryPoint struct {
	// Time is the beginning of the step.
	Time time.Time
	// Mean, Low and High are over the Count values of the step.
	Mean, Low, High float64
	Count           int
}

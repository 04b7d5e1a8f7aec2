package policy

import (
	"encoding/json"
	"errors"
)

// MetricType is a type of OTLP metrics.
type MetricType string

// The types of metrics.
const (
	TypeGauge                MetricType = "gauge"
	TypeSum                  MetricType = "sum"
	TypeHistogram            MetricType = "histogram"
	TypeExponentialHistogram MetricType = "exponential_histogram"
	TypeSummary              MetricType = "summary"
)

// MetricTypes are all types of metrics.
var MetricTypes = []MetricType{TypeGauge, TypeSum, TypeHistogram, TypeExponentialHistogram, TypeSummary}

// ScopeAction says what happens to the instrumentation scope.
type ScopeAction string

// What may happen to the scope.
const (
	ScopeKeep ScopeAction = "keep"
	ScopeDrop ScopeAction = "drop"
)

// GaugeMerge is a way to merge gauges.
type GaugeMerge string

// The ways to merge gauges. Empty: they pass.
const (
	GaugeSum   GaugeMerge = "sum"
	GaugeMean  GaugeMerge = "mean"
	GaugeMin   GaugeMerge = "min"
	GaugeMax   GaugeMerge = "max"
	GaugeLast  GaugeMerge = "last"
	GaugeCount GaugeMerge = "count"
)

var gaugeMerges = []GaugeMerge{GaugeSum, GaugeMean, GaugeMin, GaugeMax, GaugeLast, GaugeCount}

// SummaryMerge says what happens to summaries.
type SummaryMerge string

// What may happen to summaries.
const (
	SummaryPass          SummaryMerge = "pass"
	SummaryMergeCountSum SummaryMerge = "merge_count_sum"
)

// Mode says whether a rule acts.
type Mode string

// The modes of a rule.
const (
	ModeEnforce Mode = "enforce"
	ModePreview Mode = "preview"
)

// Role says where a rule acts, and what a processor is there for.
type Role string

// The roles of rules and processors.
const (
	RoleCommon    Role = "common"
	RoleCandidate Role = "candidate"
)

// FoldAuto is the Fold that lets the processor choose, each time, the attribute
// whose removal saves most.
const FoldAuto = "auto"

// Fold is the word auto or a list of attributes. In text and JSON, auto stands
// alone instead of in a list; an attribute of that name is point.auto or
// resource.auto.
type Fold []string

// Auto says whether the processor chooses what to fold.
func (f Fold) Auto() bool { return len(f) == 0 || len(f) == 1 && f[0] == FoldAuto }

// UnmarshalText reads the one word that may stand in place of a list; any other
// is taken for a list of one and left to the validation.
func (f *Fold) UnmarshalText(text []byte) error {
	*f = Fold{string(text)}
	return nil
}

// UnmarshalJSON reads a word or a list.
func (f *Fold) UnmarshalJSON(data []byte) error {
	var word string
	if err := json.Unmarshal(data, &word); err == nil && string(data) != "null" {
		*f = Fold{word}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return errFold
	}
	*f = list
	return nil
}

// MarshalJSON writes auto as a word and anything else as a list.
func (f Fold) MarshalJSON() ([]byte, error) {
	if len(f) == 1 && f[0] == FoldAuto {
		return json.Marshal(FoldAuto)
	}
	return json.Marshal([]string(f))
}

var errFold = errors.New("fold: must be auto or a list of attributes")

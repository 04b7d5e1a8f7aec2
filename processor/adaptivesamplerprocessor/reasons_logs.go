package adaptivesamplerprocessor

// The reasons that log records have beside those of all signals.
const (
	// reasonFloor is kept: its key would leave it out, logs.floor does not.
	reasonFloor reason = "kept_by_floor"
	// reasonTrace is kept: its key would leave it out, its trace is sampled.
	reasonTrace reason = "kept_with_trace"
	// reasonSummary is kept: it is a summary of an adaptive_sampler before this one.
	reasonSummary reason = "summary"
	// reasonRecordBudget is left out: the targets would have kept it, the budget of
	// its resource did not.
	reasonRecordBudget = reasonSpanBudget
	// reasonMalformedAttributes is irregular: sampling.threshold or
	// sampling.randomness cannot be read. Both are erased.
	reasonMalformedAttributes reason = "malformed_attributes"
)

// logsReasons are those that log records can have.
var logsReasons = reasons{
	kept:      []reason{reasonPassed, reasonSampled, reasonPreview, reasonFloor, reasonTrace, reasonSummary},
	leftOut:   []reason{reasonSampled, reasonRecordBudget},
	irregular: []reason{reasonMalformedAttributes, reasonInconsistentThreshold, reasonNoKey},
}

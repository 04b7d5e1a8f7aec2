package adaptivesamplerprocessor

// The reasons that spans have beside those of all signals.
const (
	// reasonStatus is kept: the status is one of keep.
	reasonStatus reason = "kept_by_status"
	// reasonLatency is kept: it took longer than a limit of keep.
	reasonLatency reason = "kept_by_latency"
	// reasonQuantile is kept: it took longer than the quantile of its key.
	reasonQuantile reason = "kept_by_quantile"
	// reasonAttribute is kept: an attribute is one of keep.
	reasonAttribute reason = "kept_by_attribute"
	// reasonSpanBudget is left out: the targets would have kept it, the budget of
	// its resource did not.
	reasonSpanBudget reason = "budget"
	// reasonTrimmedTraceState is irregular: a member of another vendor had to go,
	// because with the threshold the trace state would be too long.
	reasonTrimmedTraceState reason = "trimmed_tracestate"
)

// tracesReasons are those that spans can have.
var tracesReasons = reasons{
	kept: []reason{
		reasonPassed, reasonSampled, reasonPreview, reasonStatus, reasonLatency, reasonQuantile, reasonAttribute,
	},
	leftOut: []reason{reasonSampled, reasonSpanBudget},
	irregular: []reason{
		reasonMalformedTraceState, reasonInconsistentThreshold, reasonNoRandomness, reasonNoKey, reasonNoTime,
		reasonTimeBackwards, reasonTrimmedTraceState,
	},
}

package adaptivesamplerprocessor

import (
	"slices"

	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
)

// The reasons that data points have beside those of all signals, and beside those
// of dead bands, which are the texts of deadband.Reason.
const (
	// reasonDelta is kept: a dead band matches it, and it is of delta temporality,
	// of which nothing can be left out without losing it.
	reasonDelta reason = "delta"
	// reasonQuantiles is kept: a dead band matches it, and quantiles have no
	// tolerance.
	reasonQuantiles reason = "summary"
	// reasonNoTemporality is kept: a dead band matches it, and nobody knows what it
	// counts.
	reasonNoTemporality reason = "unspecified_temporality"
	// reasonNoValue is kept: a dead band matches it, and it has no value.
	reasonNoValue reason = "no_value"
	// reasonBefore is kept: it had been left out, and is sent ahead of another point
	// after all. It comes on top of the items that came.
	reasonBefore reason = "sent_before"

	// reasonNotDelta is irregular: a series rule that multiplies matches it, and it
	// is no delta sum. The rule does not touch it.
	reasonNotDelta reason = "not_a_delta_sum"
	// reasonForeignWeight is irregular: it has an adjusted count of another sample
	// than that of the rule. Both are multiplied.
	reasonForeignWeight reason = "foreign_weight"
	// reasonOverflow is irregular: an integer that is multiplied beyond the range of
	// 64 bits becomes a double.
	reasonOverflow reason = "overflow"
	// reasonMalformed is irregular: a histogram that contradicts itself.
	reasonMalformed reason = "malformed"
)

// fate is what becomes of a data point and why: the number of a deadband.Reason,
// or one of the others.
type fate uint8

const (
	fatePassed fate = iota + 64
	fateSampled
	fatePreview
	fateDelta
	fateSummary
	fateNoTemporality
	fateNoValue
	fateBefore
	// fateNotSampled is the one that is left out.
	fateNotSampled

	fates
)

// fateReasons are those that are not of dead bands.
var fateReasons = map[fate]reason{
	fatePassed: reasonPassed, fateSampled: reasonSampled, fatePreview: reasonPreview, fateDelta: reasonDelta, fateSummary: reasonQuantiles,
	fateNoTemporality: reasonNoTemporality, fateNoValue: reasonNoValue, fateBefore: reasonBefore, fateNotSampled: reasonSampled,
}

// oddity is what is irregular about a data point.
type oddity uint8

const (
	oddNotDelta oddity = iota
	oddForeignWeight
	oddOverflow
	oddNoTime
	oddTimeBackwards
	oddMalformed

	oddities
)

var oddReasons = [oddities]reason{reasonNotDelta, reasonForeignWeight, reasonOverflow, reasonNoTime, reasonTimeBackwards, reasonMalformed}

// metricsReasons are those that data points can have.
var metricsReasons = func() (all reasons) {
	for _, r := range deadband.Reasons() {
		if r.Passes() {
			all.kept = append(all.kept, reason(r.String()))
		} else {
			all.leftOut = append(all.leftOut, reason(r.String()))
		}
	}
	for f := fatePassed; f < fateNotSampled; f++ {
		all.kept = append(all.kept, fateReasons[f])
	}
	all.leftOut = append(all.leftOut, fateReasons[fateNotSampled])
	all.irregular = slices.Clone(oddReasons[:])
	return all
}()

package verdict

import (
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// Look is what was measured between one look and the next.
type Look struct {
	// Seq counts looks from 1 on. One whose number is not above the last one's is
	// not taken in.
	Seq uint64
	// Epoch is that of the lease: a new one says that the candidate began again
	// after a pause.
	Epoch uint64
	// Step and Weight are the candidate's weight step, and its share in percent. Only
	// with split.
	Step, Weight int
	// Elapsed is the time that the look covers.
	Elapsed time.Duration
	// Baseline and Candidate are the counts of the arms in this look; nil if an arm
	// sent none.
	Baseline, Candidate *Counts
	// Units are the units of both arms that had a point in this look. Only with
	// split. In the order of their hashes they are found fastest.
	Units []UnitLook
	// RouterUnits are the distinct units of baseline and candidate since the present
	// weight, as routers that have that weight counted them.
	RouterUnits [2]uint64
}

// Counts are those of one arm. 0 stands for what is not known, but for counts of
// what failed.
type Counts struct {
	// Series are the active series as the backend bills them, and SeriesError one
	// standard error of that as a fraction: a level.
	Series, SeriesError float64
	// Points and Bytes are what left the arm in this look.
	Points, Bytes float64
	// Given are the points that the router gave to the arm in this look, in Batches
	// calls.
	Given, Batches float64
	// Refused and Failed are the points that the arm would not take and those that
	// it lost, and FailedBatches are the calls of both.
	Refused, Failed, FailedBatches float64
	// Latency is the mean time of the batches of this look through the arm.
	Latency time.Duration
	// MemoryBytes is the memory of the arm's components, and CostMicros the cost of a
	// month in millionths of the currency: levels.
	MemoryBytes, CostMicros float64
}

// UnitLook is one unit in this look.
type UnitLook struct {
	// Unit is the hash by which the router assigns it.
	Unit uint64
	// Candidate says in which arm it is.
	Candidate bool
	// Series are its active series: a level. Points and Bytes are what left the arm
	// of it in this look.
	Series, Points, Bytes float64
}

// Evidence is what the looks so far say, in the order of the specification with
// its defaults. fidelity and guardrails with a query are judged elsewhere.
type Evidence struct {
	Guardrails []experiment.GuardrailVerdict
	Criteria   []experiment.CriterionVerdict
	// SampleRatio is nil in mirror, and at a weight of 100 %.
	SampleRatio *experiment.SampleRatio
}

package experiment

import (
	"time"
)

// Observation is what is known at a look. The zero value says that there is
// nothing new. Who makes one must not change what it refers to afterwards.
type Observation struct {
	// Seq counts the looks of an experiment from 1 on. An observation whose number
	// is not above the last one's is late: only its breaches, and a lost lease,
	// still count.
	Seq uint64 `json:"seq,omitempty"`
	// At is when the look was taken, for readers; nothing is decided by it.
	At time.Time `json:"at,omitzero"`
	// SpecHash is that of the specification by which was judged. Evidence by
	// another one is ignored; what the router reports is not.
	SpecHash string `json:"spec_hash,omitempty"`
	// Baseline and Candidate are the counts of the arms; nil if an arm sent none.
	Baseline  *Arm `json:"baseline,omitempty"`
	Candidate *Arm `json:"candidate,omitempty"`
	// Router is what the router reports.
	Router RouterReport `json:"router,omitzero"`
	// SampleRatio says whether the arms' shares of units are as the weights say;
	// nil if that was not tested. Only with split.
	SampleRatio *SampleRatio `json:"sample_ratio,omitempty"`
	// Guardrails and Criteria are the verdicts of statistics.
	Guardrails []GuardrailVerdict `json:"guardrails,omitempty"`
	Criteria   []CriterionVerdict `json:"criteria,omitempty"`
	// Fidelity is what became of the user's queries, nil if none were judged.
	Fidelity *FidelityVerdict `json:"fidelity,omitempty"`
	// Answers are those of the metric source to the queries of guardrails.
	Answers []Answer `json:"answers,omitempty"`
	// Failure says why the experiment cannot go on: a pipeline that is not there,
	// rules that the processor refuses. Empty: it can.
	Failure string `json:"failure,omitempty"`
	// Active are the experiments that hold a scope; needed while Scheduled.
	Active []Active `json:"-"`
}

// Arm is what one arm did since the candidate began at its present weight. A
// rate is the arm's count divided by its running time.
type Arm struct {
	// Units counts the units that are assigned to the arm; 0 in mirror.
	Units uint64 `json:"units,omitempty"`
	// Series counts active series as the backend bills them.
	Series uint64 `json:"series"`
	// Points and Bytes count what left the arm, Refused and Failed the points that
	// the arm would not take and those that it lost.
	Points  uint64 `json:"points"`
	Bytes   uint64 `json:"bytes"`
	Refused uint64 `json:"refused"`
	Failed  uint64 `json:"failed"`
	// Latency is the mean time that a batch takes through the arm.
	Latency Duration `json:"latency"`
	// MemoryBytes is the memory of the arm's components, as far as known.
	MemoryBytes uint64 `json:"memory_bytes,omitempty"`
	// CostMicros is the cost of a month by the price model, in millionths of
	// Currency.
	CostMicros int64  `json:"cost_micros,omitempty"`
	Currency   string `json:"currency,omitempty"`
}

// RouterReport is what the router says of the experiment.
type RouterReport struct {
	// Breach says why the router itself took the candidate's weight away. Empty:
	// it did not.
	Breach string `json:"breach,omitempty"`
	// Lease and Epoch are the state of the lease and which one it is.
	Lease LeaseStatus `json:"lease,omitempty"`
	Epoch uint64      `json:"epoch,omitempty"`
}

// LeaseStatus is the state of a lease at the router.
type LeaseStatus string

// The states of a lease. Empty: the router did not say.
const (
	LeaseHeld    LeaseStatus = "held"
	LeaseExpired LeaseStatus = "expired"
)

// Verdict is the outcome of a test.
type Verdict string

// The verdicts.
const (
	// VerdictOK: a guardrail keeps within what is allowed.
	VerdictOK Verdict = "ok"
	// VerdictBreached: it does not.
	VerdictBreached Verdict = "breached"
	// VerdictMet and VerdictRefuted: a criterion is certainly met, or certainly
	// not.
	VerdictMet     Verdict = "met"
	VerdictRefuted Verdict = "refuted"
	// VerdictUndecided: the data do not tell yet. Fewer than 30 units a side are
	// always undecided.
	VerdictUndecided Verdict = "undecided"
	// VerdictNoData: there are none.
	VerdictNoData Verdict = "no_data"
)

// Estimate is a relative change from the baseline to the candidate, with an
// interval that holds at all looks together: 0.1 is 10 % more.
type Estimate struct {
	Value Number `json:"value"`
	Lower Number `json:"lower"`
	Upper Number `json:"upper"`
}

// SampleRatio is the test of the assignment.
type SampleRatio struct {
	// Verdict is ok, breached or undecided.
	Verdict Verdict `json:"verdict"`
	// PValue is that of the test, Baseline and Candidate the units of the arms.
	PValue    Number `json:"p_value"`
	Baseline  uint64 `json:"baseline"`
	Candidate uint64 `json:"candidate"`
}

// GuardrailVerdict is the verdict on one guardrail.
type GuardrailVerdict struct {
	// Name is that of the guardrail.
	Name string `json:"name"`
	// Verdict is ok, breached, undecided or no_data.
	Verdict Verdict `json:"verdict"`
	// Change is the estimated change.
	Change Estimate `json:"change"`
	// Evidence is the e-value against "it keeps within what is allowed" and Limit
	// the one from which on it is breached; 0 where e-values have no part.
	Evidence Number `json:"evidence,omitempty"`
	Limit    Number `json:"limit,omitempty"`
	// Units is the number of units, or of time batches, that were compared.
	Units uint64 `json:"units,omitempty"`
	// Note is for readers.
	Note string `json:"note,omitempty"`
}

// CriterionVerdict is the verdict on one criterion.
type CriterionVerdict struct {
	// Measure is that of the criterion.
	Measure Measure `json:"measure"`
	// Verdict is met, refuted, undecided or no_data.
	Verdict Verdict `json:"verdict"`
	// Saving is the estimated saving as a fraction of the baseline.
	Saving Estimate `json:"saving"`
	// Units is the number of units, or of time batches, that were compared.
	Units uint64 `json:"units,omitempty"`
	// Note is for readers.
	Note string `json:"note,omitempty"`
}

// FidelityVerdict is what became of the user's queries on both arms.
type FidelityVerdict struct {
	// Alerts, Panels and Recordings count them, single queries among the panels.
	Alerts     Tally `json:"alerts"`
	Panels     Tally `json:"panels"`
	Recordings Tally `json:"recordings"`
	// Critical has one entry for each critical alert.
	Critical []AlertVerdict `json:"critical,omitempty"`
	// Differences names queries that differ, the worst first, as many as fit.
	Differences []Difference `json:"differences,omitempty"`
	// MaxError and MeanError are the largest and the mean relative error of what
	// is within tolerance.
	MaxError  Number `json:"max_error"`
	MeanError Number `json:"mean_error"`
	// LongestRange and LongestFor are those of the queries as they are now. If
	// they are longer than when the experiment was created, so is the minimum run.
	LongestRange Duration `json:"longest_range,omitempty"`
	LongestFor   Duration `json:"longest_for,omitempty"`
	// LostOffers counts batches that the tap had no room for.
	LostOffers uint64 `json:"lost_offers,omitempty"`
}

// Tally counts queries by what became of them.
type Tally struct {
	Total uint64 `json:"total"`
	// Identical and Within are those that answer the same, exactly or within
	// tolerance; Differs those that do not. These three are judged.
	Identical uint64 `json:"identical"`
	Within    uint64 `json:"within"`
	Differs   uint64 `json:"differs"`
	// NoData counts those without data on both arms, NotJudged those for which an
	// offer was lost.
	NoData    uint64 `json:"no_data"`
	NotJudged uint64 `json:"not_judged"`
}

// Judged counts the queries that were.
func (t Tally) Judged() uint64 { return addUint(t.Identical, addUint(t.Within, t.Differs)) }

func (t Tally) plus(o Tally) Tally {
	return Tally{
		Total: addUint(t.Total, o.Total), Identical: addUint(t.Identical, o.Identical), Within: addUint(t.Within, o.Within),
		Differs: addUint(t.Differs, o.Differs), NoData: addUint(t.NoData, o.NoData), NotJudged: addUint(t.NotJudged, o.NotJudged),
	}
}

// All counts alerts, panels and recordings together.
func (v FidelityVerdict) All() Tally { return v.Alerts.plus(v.Panels).plus(v.Recordings) }

// addUint stays at the largest.
func addUint(a, b uint64) uint64 {
	if a+b < a {
		return ^uint64(0)
	}
	return a + b
}

// QueryVerdict is what became of one query.
type QueryVerdict string

// The verdicts on queries.
const (
	QueryIdentical QueryVerdict = "identical"
	QueryWithin    QueryVerdict = "within"
	QueryDiffers   QueryVerdict = "differs"
	QueryNoData    QueryVerdict = "no_data"
	QueryNotJudged QueryVerdict = "not_judged"
)

func (v QueryVerdict) judged() bool {
	return v == QueryIdentical || v == QueryWithin || v == QueryDiffers
}

// AlertVerdict is the verdict on one alert.
type AlertVerdict struct {
	Name    string       `json:"name"`
	Verdict QueryVerdict `json:"verdict"`
}

// Difference is a query that answers differently on the arms.
type Difference struct {
	// Query names the alert, panel or recording rule.
	Query string `json:"query"`
	// Detail says how.
	Detail string `json:"detail"`
}

// Answer is what the metric source says to the query of a guardrail.
type Answer struct {
	// Guardrail is its name.
	Guardrail string `json:"guardrail"`
	// Baseline and Candidate are the values of the arms.
	Baseline  Number `json:"baseline"`
	Candidate Number `json:"candidate"`
	// NoData: the query had no answer for an arm.
	NoData bool `json:"no_data,omitempty"`
	// Error says why it could not be asked. Empty: it could.
	Error string `json:"error,omitempty"`
}

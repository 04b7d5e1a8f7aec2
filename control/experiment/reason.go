package experiment

// Reason says why something is so.
type Reason struct {
	// Code is for programs.
	Code ReasonCode `json:"code"`
	// Subject names the guardrail, alert, criterion, experiment or person that it
	// is about; empty if none.
	Subject string `json:"subject,omitempty"`
	// Text is a sentence for readers, without a full stop.
	Text string `json:"text"`
}

// ReasonCode is a kind of reasons.
type ReasonCode string

// Why an experiment is in its phase.
const (
	ReasonCommand          ReasonCode = "command"
	ReasonSchedule         ReasonCode = "schedule"
	ReasonConflict         ReasonCode = "conflict"
	ReasonSuccess          ReasonCode = "success"
	ReasonGuardrail        ReasonCode = "guardrail_breached"
	ReasonGuardrailSilent  ReasonCode = "guardrail_silent"
	ReasonRouter           ReasonCode = "router_breach"
	ReasonCriterionRefuted ReasonCode = "criterion_refuted"
	ReasonMaxDuration      ReasonCode = "max_duration"
	ReasonMaxPause         ReasonCode = "max_pause"
	ReasonLeaseLost        ReasonCode = "lease_lost"
	ReasonBlind            ReasonCode = "no_observations"
	ReasonSampleRatio      ReasonCode = "sample_ratio"
	ReasonFailure          ReasonCode = "failure"
	ReasonPhaseUnknown     ReasonCode = "phase_unknown"
)

// What keeps an experiment from promotion, beside a guardrail that is breached,
// a conflict or a sample ratio that was not tested.
const (
	ReasonMinimumRun         ReasonCode = "minimum_run"
	ReasonNoLook             ReasonCode = "no_look"
	ReasonSteps              ReasonCode = "steps"
	ReasonCriterionUndecided ReasonCode = "criterion_undecided"
	ReasonGuardrailNoData    ReasonCode = "guardrail_no_data"
	ReasonGuardrailUndecided ReasonCode = "guardrail_undecided"
	ReasonMinJudged          ReasonCode = "min_judged"
	ReasonCriticalAlert      ReasonCode = "critical_alert"
	ReasonFidelity           ReasonCode = "fidelity"
	ReasonApproval           ReasonCode = "approval"
)

// yields says whether a person may promote all the same: what was not proven to
// save may be wanted for other reasons, and a guardrail that is not critical is
// there to be looked at. Nothing else yields.
func (c ReasonCode) yields() bool {
	return c == ReasonSteps || c == ReasonCriterionUndecided || c == ReasonGuardrail || c == ReasonGuardrailUndecided
}

// holdsWeight says whether the weight must not rise. Criteria and time have no
// part in that: at a small weight there is little to prove them by.
func (c ReasonCode) holdsWeight() bool {
	return c == ReasonGuardrail || c == ReasonGuardrailNoData || c == ReasonNoLook
}

// maxReasons bounds the reasons that a state keeps.
const maxReasons = 16

func bounded(reasons []Reason) []Reason {
	if len(reasons) > maxReasons {
		reasons = reasons[:maxReasons]
	}
	return reasons
}

func reason(code ReasonCode, subject, text string) Reason {
	return Reason{Code: code, Subject: plainText(subject), Text: plainText(text)}
}

package experiment

import (
	"maps"
	"slices"
	"time"
)

// Phase is where an experiment is in its life.
type Phase string

// The phases. The last four are final: nothing leaves them.
const (
	PhaseDraft     Phase = "Draft"
	PhaseScheduled Phase = "Scheduled"
	PhaseRunning   Phase = "Running"
	PhasePaused    Phase = "Paused"

	PhasePromoted     Phase = "Promoted"
	PhaseRolledBack   Phase = "RolledBack"
	PhaseInconclusive Phase = "Inconclusive"
	PhaseFailed       Phase = "Failed"
)

// Phases are all phases.
var Phases = []Phase{
	PhaseDraft, PhaseScheduled, PhaseRunning, PhasePaused,
	PhasePromoted, PhaseRolledBack, PhaseInconclusive, PhaseFailed,
}

// Final says whether nothing leaves the phase.
func (p Phase) Final() bool {
	switch p {
	case PhasePromoted, PhaseRolledBack, PhaseInconclusive, PhaseFailed:
		return true
	case PhaseDraft, PhaseScheduled, PhaseRunning, PhasePaused:
	}
	return false
}

// Holds says whether an experiment in the phase holds its scope, so that no other
// may take it.
func (p Phase) Holds() bool { return p == PhaseRunning || p == PhasePaused }

// Weights are the arms' shares in percent of what goes on to the backend. They
// add up to 100.
type Weights struct {
	Baseline  int `json:"baseline"`
	Candidate int `json:"candidate"`
}

func weights(candidate int) Weights {
	candidate = max(0, min(candidate, 100))
	return Weights{Baseline: 100 - candidate, Candidate: candidate}
}

// State is all that is known of an experiment between two looks. It is plain
// data; EncodeState and DecodeState store it. Step and Apply return new states
// and leave those that they are given as they are. NewState makes the first.
type State struct {
	Phase Phase `json:"phase"`
	// Since is when the phase began, Reasons why.
	Since   time.Time `json:"since,omitzero"`
	Reasons []Reason  `json:"reasons,omitempty"`
	// SpecHash is that of the specification since the experiment was started.
	SpecHash string `json:"spec_hash,omitempty"`

	// Weights are the arms' shares, Mirror whether the candidate sees a copy of
	// every point, Step the index of the weight step.
	Weights Weights `json:"weights"`
	Mirror  bool    `json:"mirror,omitempty"`
	Step    int     `json:"step,omitempty"`

	// StartedAt and EndedAt are when the candidate got its first point, and when
	// it was over.
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// SteppedAt is the last time that was seen.
	SteppedAt time.Time `json:"stepped_at,omitzero"`

	// Ran is the running time, Unbroken that since the last pause, StepRan that at
	// the present weight, Blind that since the last look with data of both arms,
	// and Paused the time of the present pause. A clock that jumps adds two
	// intervals at most.
	Ran      Duration `json:"ran,omitempty"`
	Unbroken Duration `json:"unbroken,omitempty"`
	StepRan  Duration `json:"step_ran,omitempty"`
	Blind    Duration `json:"blind,omitempty"`
	Paused   Duration `json:"paused,omitempty"`
	// MinimumRun is what Unbroken must reach before promotion. It never falls.
	MinimumRun Duration `json:"minimum_run,omitempty"`

	// Lease is the present lease of the router.
	Lease Lease `json:"lease,omitzero"`
	// StartApproval and PromoteApproval are approvals that were given.
	StartApproval   *Approved `json:"start_approval,omitempty"`
	PromoteApproval *Approved `json:"promote_approval,omitempty"`

	// LastSeq is the number of the newest look, Looked whether there was one with
	// data since the candidate last began, Late how many came late.
	LastSeq uint64 `json:"last_seq,omitempty"`
	Looked  bool   `json:"looked,omitempty"`
	Late    uint64 `json:"late,omitempty"`
	// Held is what the newest look has against promotion.
	Held []Reason `json:"held,omitempty"`
	// Tracks has what must be remembered of guardrails between looks.
	Tracks map[string]Track `json:"tracks,omitempty"`
	// Baseline and Candidate are the counts of the newest look, SampleRatio and
	// Fidelity what it says of the assignment and of the queries.
	Baseline    *Arm             `json:"baseline,omitempty"`
	Candidate   *Arm             `json:"candidate,omitempty"`
	SampleRatio *SampleRatio     `json:"sample_ratio,omitempty"`
	Fidelity    *FidelityVerdict `json:"fidelity,omitempty"`
	// History are looks, evenly spread over the run.
	History History `json:"history,omitzero"`
}

// Lease is what lets the router give weight to the candidate. It ends by itself.
type Lease struct {
	// Epoch counts leases: one each time that the candidate begins.
	Epoch uint64 `json:"epoch"`
	// RenewedAt is when it was renewed last.
	RenewedAt time.Time `json:"renewed_at,omitzero"`
}

// How long a lease lasts, and how often it is renewed.
const (
	LeaseDuration = 60 * time.Second
	LeaseRenewal  = 10 * time.Second
)

// Approved says who approved when.
type Approved struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Track is what is remembered of one guardrail.
type Track struct {
	// Silent is the running time without data, Failures the looks in a row that
	// failed.
	Silent   Duration `json:"silent,omitempty"`
	Failures int      `json:"failures,omitempty"`
}

// NewState is the state of an experiment that was just created.
func NewState(now time.Time) State {
	return State{Phase: PhaseDraft, Since: plainTime(now), Weights: weights(0)}
}

// clone returns a state that shares nothing that Step or Apply change. What
// pointers lead to is replaced and never changed.
func (s State) clone() State {
	s.Reasons, s.Held = slices.Clone(s.Reasons), slices.Clone(s.Held)
	s.Tracks = maps.Clone(s.Tracks)
	s.History.Looks = slices.Clone(s.History.Looks)
	return s
}

// route sets what follows from phase and step, whatever was there.
func (s *State) route(spec Spec) {
	s.Weights, s.Mirror = weights(0), false
	if s.Phase != PhaseRunning {
		return
	}
	switch spec.Mode {
	case ModeMirror:
		s.Mirror = true
	case ModeSplit:
		s.Step = max(0, min(s.Step, spec.lastStep()))
		s.Weights = weights(spec.step(s.Step).Weight)
	}
}

package experiment

import "time"

// ActionKind is a kind of actions.
type ActionKind string

// The kinds of actions.
const (
	// ActionApplyCandidate puts CandidateRules into force.
	ActionApplyCandidate ActionKind = "apply_candidate"
	// ActionSetWeights gives the arms their weights, or the candidate its mirror.
	ActionSetWeights ActionKind = "set_weights"
	// ActionRenewLease gives or renews the lease without which the router leaves
	// all weight with the baseline.
	ActionRenewLease ActionKind = "renew_lease"
	// ActionPromoteRules puts PromotedRules into force.
	ActionPromoteRules ActionKind = "promote_rules"
	// ActionRemoveCandidate takes CandidateRules out of force.
	ActionRemoveCandidate ActionKind = "remove_candidate"
	// ActionAnnounce tells the world of an event.
	ActionAnnounce ActionKind = "announce"
)

// Action is something to be done. All actions but announcements may be repeated
// without effect, and those of one call are one transaction: they are published
// as one snapshot, in which a promotion is complete or has not begun.
type Action struct {
	Kind ActionKind `json:"kind"`
	// Weights and Mirror are those of set_weights.
	Weights Weights `json:"weights,omitzero"`
	Mirror  bool    `json:"mirror,omitempty"`
	// Epoch and Lease are which lease renew_lease renews, and for how long.
	Epoch uint64   `json:"epoch,omitempty"`
	Lease Duration `json:"lease,omitempty"`
	// Event is that of announce.
	Event *Event `json:"event,omitempty"`
}

// EventKind is a kind of events.
type EventKind string

// The kinds of events.
const (
	// EventPhase: the phase changed.
	EventPhase EventKind = "phase"
	// EventWeight: the weight rose to that of the next step.
	EventWeight EventKind = "weight"
	// EventWaiting: all that promotion waits for is an approval.
	EventWaiting EventKind = "waiting"
	// EventApproved: somebody approved the start or the promotion.
	EventApproved EventKind = "approved"
	// EventLate: an observation came late, or twice.
	EventLate EventKind = "late"
)

// Event is something that happened, for the audit log and for those who watch.
type Event struct {
	Kind EventKind `json:"kind"`
	At   time.Time `json:"at"`
	// Experiment is its id.
	Experiment string `json:"experiment"`
	// From and To are the phases before and after; equal but for EventPhase.
	From Phase `json:"from"`
	To   Phase `json:"to"`
	// Weights are those after it.
	Weights Weights `json:"weights"`
	// By is who commanded it; empty if nobody did.
	By string `json:"by,omitempty"`
	// Reasons say why.
	Reasons []Reason `json:"reasons,omitempty"`
}

// Reconcile returns the actions that bring the world to the state, whatever came
// of the actions of the call that made it. It is for a start after a stop of any
// kind. No lease is renewed: the next Step decides whether the experiment goes on.
func Reconcile(spec Spec, s State) []Action {
	set := Action{Kind: ActionSetWeights}
	s.route(spec.WithDefaults())
	set.Weights, set.Mirror = s.Weights, s.Mirror
	switch {
	case s.Phase.Holds():
		return []Action{{Kind: ActionApplyCandidate}, set}
	case s.StartedAt.IsZero():
		return nil
	case s.Phase == PhasePromoted:
		return []Action{{Kind: ActionPromoteRules}, {Kind: ActionRemoveCandidate}, set}
	}
	return []Action{set, {Kind: ActionRemoveCandidate}}
}

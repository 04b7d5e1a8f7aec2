package experiment

import (
	"slices"
	"time"
)

// machine is a call of Step or Apply: what it was given, and what comes of it.
type machine struct {
	spec    Spec // with defaults
	state   State
	now     time.Time
	elapsed Duration // since the last call, as far as it counts
	actions []Action
	events  []Event
}

// newMachine never fails: what no valid specification or state has is made
// harmless here, so that everything below it is defined.
func newMachine(spec Spec, s State, now time.Time) *machine {
	m := &machine{spec: spec.WithDefaults(), state: s.clone(), now: plainTime(now)}
	m.spec.Interval = positive(m.spec.Interval, DefaultInterval)
	m.spec.MaxDuration = positive(m.spec.MaxDuration, DefaultMaxDuration)
	m.spec.MaxPause = positive(m.spec.MaxPause, DefaultMaxPause)
	m.state.Phase = or(Phase(plainText(string(s.Phase))), PhaseDraft)
	m.state.route(m.spec)
	return m
}

func positive(d, otherwise Duration) Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

func (m *machine) result() (State, []Action, []Event) { return m.state, m.actions, m.events }

// tick takes the time. A clock that was set back adds nothing, and one that jumps
// ahead no more than two intervals: as nothing else tells a jump from a stop, the
// time of a stop is lost, which makes runs longer and never shorter.
func (m *machine) tick() {
	s := &m.state
	if !s.SteppedAt.IsZero() && m.now.After(s.SteppedAt) {
		m.elapsed = min(Duration(m.now.Sub(s.SteppedAt)), plus(m.spec.Interval, m.spec.Interval))
	}
	s.SteppedAt = m.now
}

// enter begins a phase.
func (m *machine) enter(to Phase, by string, reasons ...Reason) {
	s := &m.state
	from := s.Phase
	ran := from.Holds() || !slices.Contains(Phases, from)
	s.Phase, s.Since, s.SteppedAt, s.Reasons = to, m.now, m.now, bounded(slices.Clone(reasons))
	if to.Final() {
		s.EndedAt, s.Held, s.Tracks = m.now, nil, nil
	}
	if to == PhaseRunning {
		m.begin()
	}
	if to == PhasePaused {
		s.Paused = 0
	}
	s.route(m.spec)
	e := m.event(EventPhase, by, s.Reasons...)
	e.From = from
	m.act(from, ran)
	m.actions = append(m.actions, Action{Kind: ActionAnnounce, Event: &e})
	m.events = append(m.events, e)
}

// begin gives the candidate a new lease, and starts counting again all that an
// interruption breaks.
func (m *machine) begin() {
	s := &m.state
	if s.StartedAt.IsZero() {
		s.StartedAt = m.now
	}
	s.Unbroken, s.StepRan, s.Blind, s.Looked, s.Held, s.Tracks = 0, 0, 0, false, nil, nil
	s.PromoteApproval = nil
	s.MinimumRun = max(s.MinimumRun, m.spec.MinimumRun())
	s.Lease = Lease{Epoch: s.Lease.Epoch + 1, RenewedAt: m.now}
}

// act adds what a new phase asks of the data path. Where weight is taken away,
// that comes first.
func (m *machine) act(from Phase, ran bool) {
	set := m.weightAction()
	switch to := m.state.Phase; {
	case to == PhaseRunning && from == PhasePaused:
		m.actions = append(m.actions, set, m.leaseAction())
	case to == PhaseRunning:
		m.actions = append(m.actions, Action{Kind: ActionApplyCandidate}, set, m.leaseAction())
	case !ran:
	case to == PhasePromoted:
		m.actions = append(m.actions, Action{Kind: ActionPromoteRules}, Action{Kind: ActionRemoveCandidate}, set)
	case to == PhasePaused:
		m.actions = append(m.actions, set)
	case to.Final():
		m.actions = append(m.actions, set, Action{Kind: ActionRemoveCandidate})
	}
}

func (m *machine) weightAction() Action {
	return Action{Kind: ActionSetWeights, Weights: m.state.Weights, Mirror: m.state.Mirror}
}

func (m *machine) leaseAction() Action {
	return Action{Kind: ActionRenewLease, Epoch: m.state.Lease.Epoch, Lease: Duration(LeaseDuration)}
}

func (m *machine) event(kind EventKind, by string, reasons ...Reason) Event {
	phase := m.state.Phase
	return Event{
		Kind: kind, At: m.now, Experiment: m.spec.ID, From: phase, To: phase,
		Weights: m.state.Weights, By: by, Reasons: slices.Clone(reasons),
	}
}

func (m *machine) tell(kind EventKind, by string, reasons ...Reason) {
	m.events = append(m.events, m.event(kind, by, reasons...))
}

// patience is how long the experiment may run without data.
func (m *machine) patience() Duration {
	return max(plus(plus(m.spec.Interval, m.spec.Interval), m.spec.Interval), Duration(LeaseDuration))
}

package experiment

import (
	"fmt"
	"slices"
	"time"
)

// Step returns the state that follows, what is to be done, and what happened. It
// reads no clock and does no I/O, leaves its arguments as they are, and has an
// answer to every combination of them. The specification is the one that the
// experiment was started with; Apply checks that.
func Step(spec Spec, s State, o Observation, now time.Time) (State, []Action, []Event) {
	if s.Phase.Final() || s.Phase == PhaseDraft {
		return s, nil, nil
	}
	m := newMachine(spec, s, now)
	switch m.state.Phase {
	case PhaseDraft:
	case PhaseScheduled:
		m.tick()
		m.wait(o)
	case PhaseRunning:
		m.tick()
		m.run(o)
	case PhasePaused:
		m.tick()
		m.rest(o)
	default:
		m.enter(PhaseFailed, "", reason(ReasonPhaseUnknown, "", fmt.Sprintf("there is no phase %q", plainText(string(m.state.Phase)))))
	}
	return m.result()
}

// wait is a step while Scheduled.
func (m *machine) wait(o Observation) {
	schedule := m.spec.Schedule
	other, taken := conflict(m.spec, o.Active)
	late := !schedule.NotAfter.IsZero() && m.now.After(schedule.NotAfter)
	m.state.Held = nil
	switch {
	case o.Failure != "":
		m.enter(PhaseFailed, "", reason(ReasonFailure, "", o.Failure))
	case late && taken:
		m.enter(PhaseFailed, "", m.tooLate(), other)
	case late:
		m.enter(PhaseFailed, "", m.tooLate())
	case m.now.Before(schedule.NotBefore):
	case taken:
		m.state.Held = []Reason{other}
	default:
		m.enter(PhaseRunning, "", reason(ReasonSchedule, "", "its time has come"))
	}
}

func (m *machine) tooLate() Reason {
	return reason(ReasonSchedule, "", "it could not begin before "+m.spec.Schedule.NotAfter.Format(time.RFC3339))
}

// run is a step while Running. What takes weight away comes before all else.
func (m *machine) run(o Observation) {
	fresh, ours := m.receive(o)
	m.passTime()
	var found []finding
	if ours {
		found = m.assess(o, fresh)
	}
	data := fresh && m.hasData(o)
	if data {
		m.look(o, found)
	}
	m.listen(found, fresh)
	if m.stop(o, found, ours) || m.suspend(o, fresh) {
		return
	}
	if data {
		m.weigh(o, found)
	}
	if m.state.Phase == PhaseRunning && m.state.Ran >= m.spec.MaxDuration {
		text := fmt.Sprintf("it ran for %s without a decision", m.spec.MaxDuration)
		m.enter(PhaseInconclusive, "", append([]Reason{reason(ReasonMaxDuration, "", text)}, blockers(m.spec, m.state)...)...)
	}
	m.renew()
}

// rest is a step while Paused: nothing is judged that was not judged before, but
// a breach that comes late ends the experiment.
func (m *machine) rest(o Observation) {
	_, ours := m.receive(o)
	var found []finding
	if ours {
		found = m.assess(o, false)
	}
	m.state.Paused = plus(m.state.Paused, m.elapsed)
	if m.stop(o, found, ours) {
		return
	}
	if m.state.Paused >= m.spec.MaxPause {
		m.enter(PhaseInconclusive, "", reason(ReasonMaxPause, "", fmt.Sprintf("it was paused for %s", m.spec.MaxPause)))
	}
}

// receive says whether an observation is of this specification, and whether it
// is a look that was not seen before.
func (m *machine) receive(o Observation) (fresh, ours bool) {
	s := &m.state
	ours = o.SpecHash == s.SpecHash && o.Seq > 0
	switch {
	case ours && o.Seq > s.LastSeq:
		s.LastSeq = o.Seq
		return true, true
	case ours:
		s.Late = addUint(s.Late, 1)
		m.tell(EventLate, "")
	}
	return false, ours
}

func (m *machine) hasData(o Observation) bool {
	alone := m.spec.Mode == ModeSplit && m.state.Weights.Candidate == 100
	return o.Candidate != nil && (o.Baseline != nil || alone)
}

func (m *machine) passTime() {
	s := &m.state
	for _, d := range []*Duration{&s.Ran, &s.Unbroken, &s.StepRan, &s.Blind} {
		*d = plus(max(*d, 0), m.elapsed)
	}
	s.MinimumRun = max(s.MinimumRun, m.spec.MinimumRun())
}

// listen counts for how long guardrails that must have data have none.
func (m *machine) listen(found []finding, fresh bool) {
	for i, g := range m.spec.Guardrails {
		if !g.MustHaveData || g.DryRun {
			continue
		}
		heard := fresh && i < len(found) && found[i].verdict.Verdict != VerdictNoData
		m.setTrack(g.Name, func(t *Track) {
			if t.Silent = plus(max(t.Silent, 0), m.elapsed); heard {
				t.Silent = 0
			}
		})
	}
}

// stop ends the experiment if something is broken.
func (m *machine) stop(o Observation, found []finding, ours bool) bool {
	var reasons []Reason
	if o.Router.Breach != "" {
		reasons = append(reasons, reason(ReasonRouter, "", "the router took the weight away: "+o.Router.Breach))
	}
	for _, f := range found {
		if f.breached() && f.rail.Critical {
			reasons = append(reasons, f.reason())
		}
	}
	for _, g := range m.spec.Guardrails {
		silent := m.state.Tracks[g.Name].Silent
		if g.Critical && g.MustHaveData && silent > 0 && silent > m.state.MinimumRun && m.state.Phase == PhaseRunning {
			reasons = append(reasons, reason(ReasonGuardrailSilent, g.Name, fmt.Sprintf("guardrail %s must have data and had none for %s", g.Name, silent)))
		}
	}
	ratio := o.SampleRatio
	switch {
	case len(reasons) > 0:
		m.enter(PhaseRolledBack, "", reasons...)
	case o.Failure != "":
		m.enter(PhaseFailed, "", reason(ReasonFailure, "", o.Failure))
	case ours && m.state.Phase == PhaseRunning && m.spec.Mode == ModeSplit && ratio != nil && ratio.Verdict == VerdictBreached:
		text := fmt.Sprintf("%d and %d units are not what the weights say: the arms cannot be compared", ratio.Baseline, ratio.Candidate)
		m.enter(PhaseFailed, "", reason(ReasonSampleRatio, "", text))
	default:
		return false
	}
	return true
}

// suspend pauses the experiment if nobody holds it: the router has no lease any
// more, or there is nothing to judge by.
func (m *machine) suspend(o Observation, fresh bool) bool {
	s := &m.state
	if fresh && m.hasData(o) {
		s.Blind = 0
	}
	switch {
	case m.leaseLost(o, fresh):
		m.enter(PhasePaused, "", reason(ReasonLeaseLost, "", fmt.Sprintf("the lease was not renewed for %s", LeaseDuration)))
	case s.Blind > m.patience():
		m.enter(PhasePaused, "", reason(ReasonBlind, "", fmt.Sprintf("there was no look with data of both arms for %s", s.Blind)))
	default:
		return false
	}
	return true
}

// leaseLost believes the router before the clock: a lease that it let go does not
// come back, and one that it holds was not lost however far the clock jumped.
func (m *machine) leaseLost(o Observation, fresh bool) bool {
	l := m.state.Lease
	if o.Router.Epoch == l.Epoch && (o.Router.Lease == LeaseExpired || o.Router.Lease == LeaseHeld && fresh) {
		return o.Router.Lease == LeaseExpired
	}
	return m.now.Sub(l.RenewedAt) >= LeaseDuration
}

func (m *machine) renew() {
	l := &m.state.Lease
	due := m.now.Sub(l.RenewedAt) >= LeaseRenewal || m.now.Before(l.RenewedAt)
	if m.state.Phase == PhaseRunning && due {
		l.RenewedAt = m.now
		m.actions = append(m.actions, m.leaseAction())
	}
}

// weigh decides by a look with data: whether a criterion is refuted, the weight
// rises, or the candidate is promoted.
func (m *machine) weigh(o Observation, found []finding) {
	s := &m.state
	waiting := slices.ContainsFunc(s.Held, func(r Reason) bool { return r.Code == ReasonApproval })
	if f := o.Fidelity; m.spec.Fidelity != nil && f != nil {
		s.MinimumRun = max(s.MinimumRun, f.LongestRange, f.LongestFor)
	}
	s.Looked, s.Held = true, m.held(o, found)
	if s.Unbroken >= s.MinimumRun {
		for _, c := range m.spec.Success {
			if v := criterionOf(o, c.Measure); v.Verdict == VerdictRefuted {
				m.enter(PhaseRolledBack, "", reason(ReasonCriterionRefuted, string(c.Measure), v.sentence(c)))
				return
			}
		}
	}
	against := blockers(m.spec, *s)
	switch {
	case len(against) == 0:
		m.enter(PhasePromoted, "", reason(ReasonSuccess, "", "all criteria are met"))
	case len(against) == 1 && against[0].Code == ReasonApproval:
		if s.Held = against; !waiting {
			m.tell(EventWaiting, "", against...)
		}
	default:
		m.rise()
		if slices.ContainsFunc(against, func(r Reason) bool { return !r.Code.yields() && r.Code != ReasonApproval }) {
			s.PromoteApproval = nil // what was approved is not what is there now
		}
	}
}

// rise gives the candidate the weight of the next step, when its time has come.
func (m *machine) rise() {
	s := &m.state
	dwelt := s.StepRan >= m.spec.step(s.Step).Dwell
	if m.spec.Mode != ModeSplit || s.Step >= m.spec.lastStep() || !dwelt ||
		slices.ContainsFunc(s.Held, func(r Reason) bool { return r.Code.holdsWeight() }) {
		return
	}
	s.Step++
	s.StepRan, s.Looked, s.Held = 0, false, nil
	s.route(m.spec)
	m.actions = append(m.actions, m.weightAction())
	m.tell(EventWeight, "")
}

// Blockers are what keeps a running experiment from being promoted; none is
// needed of one that does not run.
func Blockers(spec Spec, s State) []Reason { return blockers(spec.WithDefaults(), s) }

func blockers(spec Spec, s State) []Reason {
	if s.Phase != PhaseRunning {
		return nil
	}
	var list []Reason
	if s.Unbroken < s.MinimumRun {
		list = append(list, reason(ReasonMinimumRun, "", fmt.Sprintf("it ran for %s without interruption, at least %s needed", s.Unbroken, s.MinimumRun)))
	}
	if step := spec.step(s.Step); spec.Mode == ModeSplit && (s.Step < spec.lastStep() || s.StepRan < step.Dwell) {
		list = append(list, reason(ReasonSteps, "", fmt.Sprintf("it is at %d %% for %s of %s", s.Weights.Candidate, s.StepRan, step.Dwell)))
	}
	if !s.Looked {
		list = append(list, reason(ReasonNoLook, "", "there was no look with data yet"))
	}
	for _, r := range s.Held {
		if r.Code != ReasonApproval {
			list = append(list, r)
		}
	}
	if spec.Approval.Promote && s.PromoteApproval == nil {
		list = append(list, reason(ReasonApproval, "", "nobody has approved the promotion"))
	}
	return bounded(list)
}

package experiment

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Command is what a person, or a program on their behalf, wants of an experiment.
type Command struct {
	Kind CommandKind
	// By is who wants it, Note why; both may be empty.
	By, Note string
	// Active are the experiments that hold a scope. start and resume need them.
	Active []Active
}

// CommandKind is a kind of commands.
type CommandKind string

// The kinds of commands.
const (
	// CommandStart begins a Draft, now or when its schedule says.
	CommandStart CommandKind = "start"
	// CommandPause takes the weight away, CommandResume gives it back.
	CommandPause  CommandKind = "pause"
	CommandResume CommandKind = "resume"
	// CommandPromote promotes though steps are left or criteria undecided. It
	// shortens no minimum run.
	CommandPromote CommandKind = "promote"
	// CommandAbort rolls back, whatever else is the matter.
	CommandAbort CommandKind = "abort"
	// CommandApprove approves the start or the promotion.
	CommandApprove CommandKind = "approve"
)

// CommandKinds are all kinds of commands.
var CommandKinds = []CommandKind{CommandStart, CommandPause, CommandResume, CommandPromote, CommandAbort, CommandApprove}

// Refusal is the error of a command that cannot be.
type Refusal struct {
	// Code is for programs.
	Code RefusalCode
	// Command, Experiment and Phase are what was wanted, of whom, and where it is.
	Command    CommandKind
	Experiment string
	Phase      Phase
	// Reasons say what stands in the way, if that is more than the phase.
	Reasons []Reason
	// Err is the error of Validate, if that is the reason.
	Err error

	problem string
}

// RefusalCode is a kind of refusals.
type RefusalCode string

// The kinds of refusals.
const (
	// RefusedCommand: there is no such command.
	RefusedCommand RefusalCode = "unknown_command"
	// RefusedEnded: the experiment is over.
	RefusedEnded RefusalCode = "ended"
	// RefusedPhase: the command has no meaning in this phase.
	RefusedPhase RefusalCode = "wrong_phase"
	// RefusedInvalid: the specification has mistakes; see Err.
	RefusedInvalid RefusalCode = "invalid"
	// RefusedChanged: the specification is not the one that was started.
	RefusedChanged RefusalCode = "changed"
	// RefusedConflict: another experiment holds the scope.
	RefusedConflict RefusalCode = "conflict"
	// RefusedTooLate: the schedule's time is over.
	RefusedTooLate RefusalCode = "too_late"
	// RefusedApproval: it needs an approval first.
	RefusedApproval RefusalCode = "not_approved"
	// RefusedNotReady: something keeps it from promotion; see Reasons.
	RefusedNotReady RefusalCode = "not_ready"
	// RefusedNothing: nothing waits for an approval.
	RefusedNothing RefusalCode = "nothing_to_approve"
)

// Error says what was wanted and why it cannot be.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s experiment %q: %s", r.Command, r.Experiment, r.problem)
}

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// Apply returns what follows from a command, as Step does from an observation.
// The error, if any, is a *Refusal; the state is then the one that was given.
func Apply(spec Spec, s State, c Command, now time.Time) (State, []Action, []Event, error) {
	m := newMachine(spec, s, now)
	if refusal := m.command(c, spec); refusal != nil {
		refusal.Command, refusal.Experiment, refusal.Phase = c.Kind, plainText(spec.ID), m.state.Phase
		return s, nil, nil, refusal
	}
	next, actions, events := m.result()
	return next, actions, events, nil
}

func refuse(code RefusalCode, format string, args ...any) *Refusal {
	return &Refusal{Code: code, problem: fmt.Sprintf(format, args...)}
}

func because(code RefusalCode, reasons []Reason) *Refusal {
	return &Refusal{Code: code, Reasons: reasons, problem: sentence(reasons)}
}

func (m *machine) command(c Command, written Spec) *Refusal {
	phase := m.state.Phase
	switch {
	case !slices.Contains(CommandKinds, c.Kind):
		return refuse(RefusedCommand, "there is no such command")
	case phase == PhasePromoted && c.Kind == CommandPromote:
		return refuse(RefusedEnded, "it is %s already", phase)
	case phase.Final():
		return refuse(RefusedEnded, "it has ended: %s", phase)
	case !slices.Contains(Phases, phase):
		phase = PhasePaused // of an unknown phase: it can be aborted
	}
	if c.Kind == CommandAbort {
		m.enter(PhaseRolledBack, plainText(c.By), c.reason())
		return nil
	}
	if c.Kind != CommandPause && m.state.SpecHash != "" && m.state.SpecHash != written.Hash() {
		return refuse(RefusedChanged, "its specification changed since it was started")
	}
	switch phase {
	case PhaseDraft:
		return m.commandDraft(c, written)
	case PhaseScheduled:
		return refuse(RefusedPhase, "it is %s and begins by itself; abort it, or wait", phase)
	case PhaseRunning:
		return m.commandRunning(c)
	default:
		return m.commandPaused(c)
	}
}

func (c Command) reason() Reason {
	text := string(c.Kind) + " was commanded"
	if c.Note != "" {
		text += ": " + c.Note
	}
	return reason(ReasonCommand, c.By, text)
}

func (m *machine) commandDraft(c Command, written Spec) *Refusal {
	schedule := m.spec.Schedule
	switch {
	case c.Kind == CommandApprove && (!m.spec.Approval.Start || m.state.StartApproval != nil):
		return refuse(RefusedNothing, "nothing waits for an approval")
	case c.Kind == CommandApprove:
		m.state.StartApproval = &Approved{By: plainText(c.By), At: m.now}
		m.tell(EventApproved, plainText(c.By), c.reason())
		return nil
	case c.Kind != CommandStart:
		return refuse(RefusedPhase, "it is %s; start it first", PhaseDraft)
	}
	if err := written.Validate(); err != nil {
		r := refuse(RefusedInvalid, "its specification has mistakes: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
		r.Err = err
		return r
	}
	other, taken := conflict(m.spec, c.Active)
	begins := !m.now.Before(schedule.NotBefore)
	switch {
	case m.spec.Approval.Start && m.state.StartApproval == nil:
		return refuse(RefusedApproval, "nobody has approved the start")
	case !schedule.NotAfter.IsZero() && m.now.After(schedule.NotAfter):
		return because(RefusedTooLate, []Reason{m.tooLate()})
	case begins && taken:
		return because(RefusedConflict, []Reason{other})
	}
	m.state.SpecHash = written.Hash()
	m.state.MinimumRun = max(m.state.MinimumRun, m.spec.MinimumRun())
	if begins {
		m.enter(PhaseRunning, plainText(c.By), c.reason())
	} else {
		m.enter(PhaseScheduled, plainText(c.By), c.reason())
	}
	return nil
}

func (m *machine) commandRunning(c Command) *Refusal {
	var firm, soft []Reason
	for _, r := range blockers(m.spec, m.state) {
		switch {
		case r.Code.yields():
			soft = append(soft, r)
		case r.Code != ReasonApproval || c.Kind == CommandPromote:
			firm = append(firm, r)
		}
	}
	switch c.Kind {
	case CommandPause:
		m.enter(PhasePaused, plainText(c.By), c.reason())
	case CommandPromote:
		if len(firm) > 0 {
			return because(RefusedNotReady, firm)
		}
		m.enter(PhasePromoted, plainText(c.By), append([]Reason{c.reason()}, soft...)...)
	case CommandApprove:
		switch {
		case !m.spec.Approval.Promote || m.state.PromoteApproval != nil:
			return refuse(RefusedNothing, "nothing waits for an approval")
		case len(firm) > 0:
			return because(RefusedNotReady, firm)
		}
		m.state.PromoteApproval = &Approved{By: plainText(c.By), At: m.now}
		m.tell(EventApproved, plainText(c.By), c.reason())
	case CommandStart, CommandResume, CommandAbort:
		return refuse(RefusedPhase, "it is %s", PhaseRunning)
	}
	return nil
}

func (m *machine) commandPaused(c Command) *Refusal {
	if c.Kind != CommandResume {
		return refuse(RefusedPhase, "it is %s; resume it first", m.state.Phase)
	}
	if m.state.Phase != PhasePaused {
		return refuse(RefusedPhase, "there is no phase %q", plainText(string(m.state.Phase)))
	}
	if other, taken := conflict(m.spec, c.Active); taken {
		return because(RefusedConflict, []Reason{other})
	}
	m.enter(PhaseRunning, plainText(c.By), c.reason())
	return nil
}

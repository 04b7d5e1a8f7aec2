// Package experiment is the life of an experiment as a function: which state
// follows, and what is to be done, given the specification, the state, what was
// observed or commanded, and the time. It is pure: it reads no clock and does no
// I/O, so that every decision can be replayed.
//
//	Spec ──▶ Validate, Hash, Overlap
//	State, Observation, now ─▶ Step ──▶ State, []Action, []Event
//	State, Command, now ─────▶ Apply ─▶ State, []Action, []Event, or a Refusal
//	State ─▶ Reconcile ─▶ []Action      after a restart
//	State ─▶ NewReport ─▶ JSON, Markdown
//
// Step and Apply are total: every combination of specification, state,
// observation and time has an answer, and none panics. Step is called for every
// look and whenever the lease is to be renewed, with an empty Observation if
// there is nothing new. The caller stores the state that comes back and then
// carries out the actions, which may be repeated: who was killed in between calls
// Reconcile.
//
// README.md has the diagram of states, which a test compares with what the code
// does.
package experiment

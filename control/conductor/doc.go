// Package conductor runs experiments. It keeps those that are scheduled, running
// or paused in memory, looks at both arms each interval, lets control/verdict
// and control/experiment decide, and carries out what follows.
//
//	report.RouterSource (4 times a second) ─┐
//	report.ArmSource ───────────────────────┤              ┌─▶ store: one transaction
//	control/fidelity, control/metricsource ─┼─▶ look ─▶ Step ─▶ publish.Publisher: one snapshot
//	prices ─────────────────────────────────┘              └─▶ lease, audit log, events
//
// # Order
//
// What gives the candidate weight is stored before it is published; a promotion
// is stored as one transaction and published as one snapshot. What takes weight
// away is stored first if the store answers within half a second, otherwise it
// is published first and stored when the store answers. Every other change of a
// state is stored with those of its neighbours, within a second or two: after a
// crash an experiment goes on from there.
//
// # Restart
//
// The lease that the store knows of goes on for what is left of its minute. A
// collector that is back within half a minute therefore goes on with its
// experiments; later they are Paused, and their lease is lost. The counts of the
// arms begin anew, and so does the evidence of the user's queries.
//
// # One conductor
//
// Of several control planes that share a store one conducts. Its name is the
// fact `conductor`; that it lives is a history of that name, because a heartbeat
// has no place in the audit log. Another one takes over when it has not been
// heard of for a minute.
package conductor

// Package autopilot turns recommendations into experiments by itself: what the
// sketches say would save most is tried on a mirror of the stream, against the
// queries that its settings name; what passes goes on in steps, if that is
// wanted, and is promoted. It is off unless somebody turns it on.
//
//	cardinality reports ─▶ Choose ─▶ a mirror experiment ─▶ Next ─▶ a split experiment ─▶ promoted
//
// It proposes nothing that it cannot prove: no gauges, for which no way to merge
// is right for all; nothing without queries to judge by; only metrics of groups
// that are named; and nothing twice. Everything that it does is a command to the
// conductor under the principal "autopilot", so that the audit log has it, and
// people can pause and abort what it began.
package autopilot

// Package consistent decides which spans and log records are kept so that what
// is kept can be counted: consistent probability sampling as the OpenTelemetry
// specification has it ("TraceState: Probability Sampling").
//
// Each item has 56 bits of randomness R, from rv in its trace state or else from
// the last seven bytes of its trace id, and is kept if R ≥ T, the threshold of
// its probability: p = 1 − T/2^56. T travels with the item (th in the trace state,
// the attribute sampling.threshold of a log record), and each kept item stands
// for 1/p of those that there were: its adjusted count. Three rules keep sums of
// adjusted counts unbiased over any number of stages:
//
//   - a threshold is only ever raised: what comes out has the larger of the one
//     that came in and ours;
//   - what a condition keeps stays with the threshold that it came with, or gets
//     th:0 if there was none;
//   - a threshold of ours never depends on the randomness of the item at hand.
//     That one is the caller's: it takes thresholds from earlier intervals.
//
// So two stages keep what the stricter one alone keeps, and collectors that do
// not know one another keep the same traces at equal probabilities and nested ones
// at different ones.
//
// Trace states are read and written by contrib's pkg/sampling; this package adds a
// cache, decisions, and what happens to what is wrong:
//
//	what came                               what happens                              Problem
//	th that excludes R                      th is erased, as if there were none       InconsistentThreshold
//	an ot member that does not parse,       the ot member is erased, the members of   MalformedTraceState
//	  or more than one                        others stay
//	a trace state that does not parse       it stays as it is, also of what is kept   UnreadableTraceState
//	a trace id of zeros, without rv         kept, with what it came with              NoRandomness
//	an attribute of a record that does      threshold and randomness are erased       MalformedAttributes
//	  not parse
//
// What counts as malformed is up to pkg/sampling: it takes hex digits of either
// case, the last of several th in one ot member, and at most 31 members.
package consistent

// Package budget finds for each group how much of its data fits its budget.
//
// A group has a level between a floor and a ceiling; more level is more data.
// What the level means is the caller's: it multiplies the ratio of a sample, or
// divides the tolerance of a dead band. At the end of each interval the caller
// says what came in and what went out at the level that was in force, and gets
// the levels for the next one. Points or bytes, the unit is that of the target.
//
// # How it works
//
// Everything is logarithmic, since a step of ten is one thing at any size. Of
// e = log(out / target) a share is corrected, divided by the elasticity: by how
// much the log of out/in follows the log of the level. For a sample that is 1;
// for a dead band it is not known, and is learned from what each move did.
//
//   - The share is almost all of a large error and little of a small one, so a
//     step is followed at once and noise is averaged.
//   - An error that changes its sign after a move means that the move was too
//     large: shares become half, and grow again while signs stay.
//   - A level that was too much when it was raised to is not tried again for a
//     while, unless fewer data come in: a band whose output jumps at some tolerance would
//     otherwise be pushed over the edge again and again.
//   - Between 95 and 100 % of the target nothing moves.
//
// It reads no clock and draws no random numbers: the same readings give the
// same levels. An interval should be at least as long as a heartbeat, or the
// waves of heartbeats are taken for load.
package budget

// Package verdict turns what was measured of both arms of an experiment into the
// verdicts of its guardrails and criteria. It is pure: looks come in as values, and
// a judge that was stored and read again says the same. The arithmetic is that of
// control/stats.
package verdict

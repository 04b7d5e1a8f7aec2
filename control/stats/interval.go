package stats

import "math"

// Interval is an estimate and what it is between.
type Interval struct{ Value, Lower, Upper float64 }

// Unknown is an interval that says nothing.
func Unknown() Interval { return Interval{0, math.Inf(-1), math.Inf(1)} }

// Within says whether the two one-sided tests of the bounds both reject, that is,
// whether the true value is certainly between them (Schuirmann 1987, Journal of
// Pharmacokinetics and Biopharmaceutics 15). Either bound may be infinite.
func (v Interval) Within(lower, upper float64) bool { return v.Lower >= lower && v.Upper <= upper }

// And is what both intervals allow. If they have nothing in common, what they
// estimate has changed, and the newer one counts.
func (v Interval) And(newer Interval) Interval {
	both := Interval{newer.Value, max(v.Lower, newer.Lower), min(v.Upper, newer.Upper)}
	if both.Lower > both.Upper || math.IsNaN(both.Lower) || math.IsNaN(both.Upper) {
		return newer
	}
	both.Value = min(max(both.Value, both.Lower), both.Upper)
	return both
}

// Spend is the part of an error that the test of an index, from 1 on, may use. All
// parts together are the error, however many tests there are: α·Σ 1/(j(j+1)) = α.
// It is an α-spending function (Lan, DeMets 1983, Biometrika 70) that needs no
// number of tests in advance.
func Spend(alpha float64, index int) float64 {
	j := float64(max(index, 1))
	return alpha / (j * (j + 1))
}

package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// rounding is by how much a share of pairs may be off.
const rounding = 1e-9

// MinUnits is how many units a side a comparison needs.
const MinUnits = 30

// Shift is by how much the values of the candidate's units lie above those of the
// baseline's, where both are sorted: the Hodges–Lehmann estimate, and the shifts that
// are not refuted with an error of α on either side. It knows ranks only, so that
// no unit weighs more than another, however large it is.
//
// The hypothesis of a shift is refuted by the share of pairs in which the candidate's
// value is the larger one. Two variances of it are known, and the larger counts:
// that over all assignments that the randomisation could have made, which is exact if
// the effect is the same on all units (Lehmann 1975, Nonparametrics, equation 1.30),
// and the studentised one, which also holds if it is not, or if the arms vary
// differently (Brunner, Munzel 2000, Biometrical Journal 42, equation 5). The
// quantile is Student's with the degrees of freedom of the latter (equation 7).
// Rejected: assignments drawn at random. An error of 1 in 10,000, as the later ones
// of many looks have it, takes a hundred thousand of them.
func Shift(baseline, candidate []float64, alpha float64) Interval {
	if len(baseline) < MinUnits || len(candidate) < MinUnits {
		return Unknown()
	}
	low := candidate[0] - baseline[len(baseline)-1]
	high := candidate[len(candidate)-1] - baseline[0]
	span := high - low
	low, high = low-span/1e6-1e-9, high+span/1e6+1e-9
	at := func(accept func(float64) bool) float64 { return crossing(low, high, accept) }
	test := func(shift float64) placement { return place(baseline, candidate, shift) }
	// Each of these is true below one shift and false above it.
	return Interval{
		Value: (at(func(s float64) bool { return test(s).share > 0.5+rounding }) + at(func(s float64) bool { return test(s).share > 0.5-rounding })) / 2,
		Lower: at(func(s float64) bool { return test(s).above(alpha) }),
		Upper: at(func(s float64) bool { return !test(s).below(alpha) }),
	}
}

func crossing(low, high float64, above func(float64) bool) float64 {
	for range 50 {
		middle := (low + high) / 2
		if above(middle) {
			low = middle
		} else {
			high = middle
		}
		if high-low < 1e-7 {
			break
		}
	}
	return (low + high) / 2
}

// placement is how the candidate's values lie among the baseline's.
type placement struct {
	share    float64 // of pairs in which the candidate's is larger, half of equal ones
	variance float64
	dof      float64
}

func (p placement) above(alpha float64) bool { return p.exceeds(p.share-0.5, alpha) }

func (p placement) below(alpha float64) bool { return p.exceeds(0.5-p.share, alpha) }

func (p placement) exceeds(by, alpha float64) bool {
	if by <= 0 {
		return false
	}
	t := by / math.Sqrt(p.variance)
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: p.dof}.Survival(t) < alpha
}

// place counts pairs in one walk through both.
func place(baseline, candidate []float64, shift float64) placement {
	n, m := float64(len(baseline)), float64(len(candidate))
	var sumY, squaresY float64 // shares of the baseline below each of the candidate's
	below, notAbove := 0, 0
	for _, y := range candidate {
		y -= shift
		for below < len(baseline) && baseline[below] < y {
			below++
		}
		for notAbove < len(baseline) && baseline[notAbove] <= y {
			notAbove++
		}
		part := float64(below+notAbove) / 2 / n
		sumY += part
		squaresY += part * part
	}
	var sumX, squaresX float64
	below, notAbove = 0, 0
	for _, x := range baseline {
		for below < len(candidate) && candidate[below]-shift < x {
			below++
		}
		for notAbove < len(candidate) && candidate[notAbove]-shift <= x {
			notAbove++
		}
		part := float64(below+notAbove) / 2 / m
		sumX += part
		squaresX += part * part
	}
	varY := max(squaresY-sumY*sumY/m, 0) / (m - 1) / m
	varX := max(squaresX-sumX*sumX/n, 0) / (n - 1) / n
	assigned := (n + m + 1) / (12 * n * m)
	p := placement{share: sumY / m, variance: max(varX+varY, assigned), dof: min(n, m) - 1}
	if varX+varY > 0 {
		p.dof = (varX + varY) * (varX + varY) / (varX*varX/(n-1) + varY*varY/(m-1))
	}
	return p
}

// Slope is how much a unit's value follows its own pre-period, between 0 and 1: the
// common slope of a regression within both groups. Values less the slope times the
// pre-period vary less, and the assignment knows neither (CUPED: Deng, Xu, Kohavi,
// Walker 2013, WSDM, equation 4; why randomisation inference stays right: Lin 2013,
// Annals of Applied Statistics 7).
func Slope(groups ...[]Unit) float64 {
	var xx, xy float64
	for _, group := range groups {
		var n, sumX, sumY float64
		for _, u := range group {
			n++
			sumX += u.Before
			sumY += u.After
		}
		for _, u := range group {
			x := u.Before - sumX/n
			xx += x * x
			xy += x * (u.After - sumY/n)
		}
	}
	if xx <= 0 {
		return 0
	}
	return min(max(xy/xx, 0), 1)
}

// Unit has the values of a unit in its pre-period and after it.
type Unit struct{ Before, After float64 }

package stats

import "math"

// exactUnits is up to how many units counts are taken at their word. Above it they
// come from sketches, whose error would be taken for one of the assignment, so they
// count as this many.
const exactUnits = 4096

// SampleRatio is the evidence that units are not assigned to two arms with the
// probabilities 1 − share and share: the logarithm of an e-value that holds at all
// looks together while units arrive (Lindon, Malek 2022, Anytime-valid inference for
// multinomial count data, NeurIPS 35, equation 5). The prior of the share is a Beta
// distribution around it that is worth one unit of the smaller arm.
func SampleRatio(baseline, candidate uint64, share float64) float64 {
	if !(share > 0 && share < 1) {
		return 0
	}
	n, k := float64(baseline), float64(candidate)
	if all := n + k; all > exactUnits {
		n, k = n*exactUnits/all, k*exactUnits/all
	}
	worth := 1 / min(share, 1-share)
	a, b := worth*share, worth*(1-share)
	return logBeta(k+a, n+b) - logBeta(a, b) - k*math.Log(share) - n*math.Log1p(-share)
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

package stats

import "math"

// stakes are the parts of the wealth that are bet, one in each of as many games.
var stakes = [...]float64{0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9}

// Bets is an e-process about shares of failures. At each look with failures the
// candidate has some share of them, between 0 and 1, of which the expectation is at
// most a fair one if it fails no more than it may. The bet pays 1 + λ·(share −
// fair)/fair; the e-value is the mean over several λ (Waudby-Smith, Ramdas 2024,
// Estimating means of bounded random variables by betting, Journal of the Royal
// Statistical Society B 86, section 4; the mixture after Robbins 1970, Annals of
// Mathematical Statistics 41).
//
// A look is one bet however many failures it has, because those of a look have one
// cause. Looks are taken as bets one after the other: an outage of the candidate
// alone that lasts for many looks is evidence against it, as it should be.
type Bets struct {
	// Log are the logarithms of the wealth of each game.
	Log [len(stakes)]float64
	// Count counts looks with failures, Share and Fair add up what was and what
	// would be fair.
	Count, Share, Fair float64
}

// Add takes in a look with failures.
func (b *Bets) Add(share, fair float64) {
	if !(share >= 0 && share <= 1 && fair > 0 && fair < 1) {
		return
	}
	for i, stake := range stakes {
		b.Log[i] += math.Log1p(stake * (share - fair) / fair)
	}
	b.Count++
	b.Share += share
	b.Fair += fair
}

// Valid says whether all numbers are such that Add could have made them, for what
// was stored.
func (b *Bets) Valid() bool {
	sum := b.Count
	for _, v := range b.Log {
		sum += v
	}
	return !math.IsNaN(sum-sum) && b.Share >= 0 && b.Share <= b.Count && b.Fair >= 0 && b.Fair <= b.Count
}

// Against is the evidence that the shares are above the fair ones: the logarithm of
// an e-value.
func (b *Bets) Against() float64 { return logMean(b.Log[:]) }

func logMean(logs []float64) float64 {
	top := math.Inf(-1)
	for _, v := range logs {
		top = max(top, v)
	}
	sum := 0.0
	for _, v := range logs {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum/float64(len(logs)))
}

// Odds are the mean share and the mean fair share as a ratio of odds, so how many
// times as often the candidate fails as it may. The interval holds at all looks
// together with a probability of at least 1 − 2α: a share is between 0 and 1, so
// sub-Gaussian with σ = ½ (Howard, Ramdas, McAuliffe, Sekhon 2021, Annals of
// Statistics 49, equation 3.7, with ρ = 4).
func (b *Bets) Odds(alpha float64) Interval {
	if b.Count == 0 {
		return Interval{1, 0, math.Inf(1)}
	}
	const rho = 4
	v := b.Count/4 + rho
	margin := math.Sqrt(2*v*(math.Log(v/rho)/2-math.Log(2*alpha))) / b.Count
	share, fair := b.Share/b.Count, b.Fair/b.Count
	odds := func(p float64) float64 {
		p = min(max(p, 0), 1)
		return p / (1 - p) / (fair / (1 - fair))
	}
	return Interval{odds(share), odds(share - margin), odds(share + margin)}
}

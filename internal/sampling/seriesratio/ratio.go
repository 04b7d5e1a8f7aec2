package seriesratio

import (
	"fmt"
	"math/bits"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
)

// Key is the identity of a series: two independently mixed sums over its
// labels. Rules of hashing are in package series.
type Key struct {
	A, B uint64
}

// MinRatio is the smallest ratio: thresholds have 56 bits.
const MinRatio = sampling.MinSamplingProbability

// Ratio is a share of series. The zero value keeps all. It is immutable.
type Ratio struct {
	threshold sampling.Threshold
	seed      uint64
}

// New returns the ratio of a share above 0, up to 1. Samples of different seeds
// are independent; those of one seed nest.
func New(share float64, seed uint64) (Ratio, error) {
	if !(share >= MinRatio && share <= 1) {
		return Ratio{}, fmt.Errorf("ratio: must be at least 2^-56 and at most 1, got %g", share)
	}
	threshold, err := sampling.ProbabilityToThreshold(share)
	if err != nil {
		return Ratio{}, fmt.Errorf("ratio: %w", err)
	}
	return Ratio{threshold, seed}, nil
}

// Kept reports whether a series is kept.
func (r Ratio) Kept(k Key) bool { return r.threshold.ShouldSample(randomness(k, r.seed)) }

// Share is the probability with which a series is kept. It may differ from the
// one given by less than 2^-56.
func (r Ratio) Share() float64 { return r.threshold.Probability() }

// AdjustedCount is how many series a kept one stands for.
func (r Ratio) AdjustedCount() float64 { return r.threshold.AdjustedCount() }

// Of is the ratio of the same sample with another share: what it keeps nests with
// what r keeps. A share out of range is the nearest that is not.
func (r Ratio) Of(share float64) Ratio {
	o, err := New(min(1, max(share, MinRatio)), r.seed)
	if err != nil { // NaN
		return r
	}
	return o
}

// Foreign reports whether a sample of the same seed whose kept series stand for
// so many would not have kept this one: the count is that of another sample.
func (r Ratio) Foreign(k Key, adjustedCount float64) bool {
	return !r.Of(1 / adjustedCount).Kept(k)
}

// Threshold is the ratio as the attribute th spells it: "c" is 25 %, "0" is all.
func (r Ratio) Threshold() string { return r.threshold.TValue() }

// Stricter is the ratio of what two stages keep that have the same seed: the
// smaller share.
func (r Ratio) Stricter(o Ratio) Ratio {
	if sampling.ThresholdGreater(o.threshold, r.threshold) {
		return o
	}
	return r
}

// randomness of a series must not depend on anything else that is decided by
// its hash, say its shard or the arm of an experiment, so it is mixed again with
// a seed of its own.
func randomness(k Key, seed uint64) sampling.Randomness {
	hi, lo := bits.Mul64(k.A^seed^0x243f6a8885a308d3, k.B^bits.RotateLeft64(seed, 32)^0x13198a2e03707345)
	x := hi ^ lo ^ k.A
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9 // the finaliser of MurmurHash3 with the constants of D. Stafford, variant 13
	x = (x ^ x>>27) * 0x94d049bb133111eb
	rnd, _ := sampling.UnsignedToRandomness((x ^ x>>31) >> 8) // 56 bits are in range
	return rnd
}

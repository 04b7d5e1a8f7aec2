package keyrate

import (
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

// Key is what items of one sort are counted under. Its methods may be called by
// many goroutines.
type Key struct {
	id           uint64
	group, label string
	restored     bool // from an earlier process

	threshold   atomic.Uint64
	came, kept  atomic.Uint64
	represented atomic.Uint64 // bits of a float64
	latency     atomic.Pointer[latency]
	settled     atomic.Uint64 // came at the end of the last interval

	// What follows belongs to Adjust.
	name            string // for dynsampler
	probability     float64
	last            counts // at the end of the last interval
	now             counts // within it
	average         averages
	ownRate, inRate float64 // of the group and of all: one of so many
	idle            int     // intervals
}

// counts are what there was of a key.
type counts struct{ came, kept, represented float64 }

// averages are moving averages a second.
type averages struct {
	Came        float64 `json:"came"`
	Represented float64 `json:"represented"`
}

func newKey(id uint64, group, label string, probability float64) *Key {
	k := &Key{id: id, group: group, label: label, name: strconv.FormatUint(id, 36), ownRate: 1, inRate: 1}
	k.set(probability)
	return k
}

// set puts a probability into force.
func (k *Key) set(p float64) {
	k.probability = p
	k.threshold.Store(consistent.FromProbability(p).Unsigned())
}

// Threshold is the one at which items of the key are sampled now. It costs an
// atomic load.
func (k *Key) Threshold() sampling.Threshold {
	t, err := sampling.UnsignedToThreshold(k.threshold.Load())
	if err != nil { // nobody stores such a one
		return sampling.AlwaysSampleThreshold
	}
	return t
}

// Count adds items: how many came, for how many they stood, and how many went on.
func (k *Key) Count(came int, represented float64, kept int) {
	if came <= 0 || kept < 0 || !(represented >= 0 && represented <= math.MaxFloat64) {
		return
	}
	k.came.Add(uint64(came))
	k.kept.Add(uint64(kept))
	for {
		before := k.represented.Load()
		if k.represented.CompareAndSwap(before, math.Float64bits(math.Float64frombits(before)+represented)) {
			return
		}
	}
}

// read returns all that was counted.
func (k *Key) read() counts {
	return counts{
		came: float64(k.came.Load()), kept: float64(k.kept.Load()),
		represented: math.Float64frombits(k.represented.Load()),
	}
}

// Slow says whether an item took longer than the quantile of the key's latencies.
// It is false until a hundred of them were seen, and for ever without a sketch.
func (k *Key) Slow(d time.Duration) bool {
	l := k.latency.Load()
	return l != nil && l.slow(d)
}

// Took adds the latency of an item to those of the key.
func (k *Key) Took(d time.Duration) {
	if l := k.latency.Load(); l != nil {
		l.add(d)
	}
}

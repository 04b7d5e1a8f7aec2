package series_test

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// contributions are ways to make a hash of a number, with the small differences
// that real labels have.
func contributions(h *series.Hasher) map[string]func(k int) uint64 {
	list := pcommon.NewValueSlice()
	element := list.Slice().AppendEmpty()
	nested := pcommon.NewValueMap()
	id := pcommon.NewValueBytes()
	id.Bytes().Append(0, 0, 0, 0)
	value := func(v pcommon.Value) uint64 { return h.Value(series.Point, "k", v) }
	return map[string]func(k int) uint64{
		"a number in a string":  func(k int) uint64 { return h.String(series.Point, "k", strconv.Itoa(k)) },
		"a number in a name":    func(k int) uint64 { return h.String(series.Point, "pod", "checkout-7d9f8b6c5d-"+strconv.Itoa(k)) },
		"an integer":            func(k int) uint64 { return value(pcommon.NewValueInt(int64(k))) },
		"a multiple of 2^32":    func(k int) uint64 { return value(pcommon.NewValueInt(int64(k) << 32)) },
		"a double":              func(k int) uint64 { return value(pcommon.NewValueDouble(float64(k))) },
		"a key":                 func(k int) uint64 { return h.String(series.Point, strconv.Itoa(k), "v") },
		"a metric's name":       func(k int) uint64 { return h.Identity(series.Identity{Name: "m" + strconv.Itoa(k)}) },
		"a metric's unit":       func(k int) uint64 { return h.Identity(series.Identity{Unit: strconv.Itoa(k)}) },
		"a table's entry":       func(k int) uint64 { return h.Name("metric"+strconv.Itoa(k), "group") },
		"a pair of numbers":     func(k int) uint64 { return h.Combine(uint64(k%1000), uint64(k/1000)) },
		"an integer in a slice": func(k int) uint64 { element.SetInt(int64(k)); return value(list) },
		"an integer in a map":   func(k int) uint64 { nested.Map().PutInt("n", int64(k)); return value(nested) },
		"bytes": func(k int) uint64 {
			for i := range 4 {
				id.Bytes().SetAt(i, byte(k>>(8*i)))
			}
			return value(id)
		},
	}
}

// structured adds hashes of series that share contributions.
func structured(h *series.Hasher) map[string]func(k int) uint64 {
	text := func(key string, k int) uint64 { return h.String(series.Point, key, strconv.Itoa(k)) }
	all := contributions(h)
	maps.Copy(all, map[string]func(k int) uint64{
		"a grid of two":       func(k int) uint64 { return text("x", k%1000) + text("y", k/1000) },
		"a grid of three":     func(k int) uint64 { return text("x", k%100) + text("y", k/100%100) + text("z", k/10000) },
		"a diagonal":          func(k int) uint64 { return text("x", k) + text("y", k) },
		"a metric and a text": func(k int) uint64 { return h.Identity(series.Identity{Name: "m"}) + text("x", k) },
		"a pair":              func(k int) uint64 { return h.Combine(text("x", k%1000), text("y", k/1000)) },
		"what a drop leaves":  func(k int) uint64 { return text("x", k) + text("y", k/7) - text("y", k/7) },
		"what two drops leave": func(k int) uint64 {
			return text("x", k) + text("y", -k) + text("z", k%1000) + text("w", k/1000) - text("y", -k) - text("x", k)
		},
	})
	return all
}

// Tables keep 48 bits of a hash, so that is where a million structured values
// must not collide. By chance they do with a probability of n²/2^49 = 0.2 %,
// and never by structure; the secret is fixed.
func TestAMillionStructuredValuesDoNotCollide(t *testing.T) {
	const n = 1_000_000
	set := make([]uint64, 1<<21)
	for name, hash := range structured(fixed(t)) {
		t.Run(name, func(t *testing.T) {
			clear(set)
			for k := range n {
				if !add(set, hash(k)>>16) {
					require.Failf(t, "collision", "%d", k)
				}
			}
		})
	}
}

// add puts a number that is not zero into a set with room for it and reports
// whether it is new.
func add(set []uint64, x uint64) bool {
	for i := int(x % uint64(len(set))); ; i = (i + 1) % len(set) {
		switch set[i] {
		case 0:
			set[i] = x
			return true
		case x:
			return false
		}
	}
}

// HyperLogLog and the tables take their position from the upper bits and count
// zeros below; every bit of a sum must be as good as random, also after a
// contribution was taken out again.
func TestBitsAreBalanced(t *testing.T) {
	const n = 1 << 17
	for name, hash := range structured(fixed(t)) {
		t.Run(name, func(t *testing.T) {
			var ones [64]int
			var buckets [8][256]int
			var zeros [65]int
			for k := range n {
				x := hash(k)
				for rest := x; rest != 0; rest &= rest - 1 {
					ones[bits.TrailingZeros64(rest)]++
				}
				for i := range buckets {
					buckets[i][byte(x>>(8*i))]++
				}
				zeros[bits.LeadingZeros64(x)]++
			}
			require.NoError(t, balanced(ones[:], n, 0.5), "bits")
			for i := range buckets {
				require.NoError(t, balanced(buckets[i][:], n, 1.0/256), "byte %d", i)
			}
			for z := range 12 {
				want := n / math.Exp2(float64(z+1))
				require.InDelta(t, want, zeros[z], 6*math.Sqrt(want), "%d leading zeros", z)
			}
		})
	}
}

// Neighbouring values must not fall into neighbouring places: bits of the two
// hashes agree by half.
func TestNeighboursAreUnrelated(t *testing.T) {
	const n = 1 << 16
	for name, hash := range contributions(fixed(t)) {
		t.Run(name, func(t *testing.T) {
			var flips [64]int
			steps, before := 0, hash(0)
			for k := 1; k <= n; k++ {
				after := hash(k)
				for rest := before ^ after; rest != 0; rest &= rest - 1 {
					flips[bits.TrailingZeros64(rest)]++
				}
				before = after
				steps++
			}
			require.NoError(t, balanced(flips[:], steps, 0.5))
		})
	}
}

// balanced compares counts that are binomial(n, p) each with a χ² test: the sum
// of their squared standard scores has a mean of one a count and a standard
// deviation of √2 a root of counts. Six of those are allowed; the inputs are
// fixed, so the test cannot flicker.
func balanced(counts []int, n int, p float64) error {
	sum := 0.0
	for _, c := range counts {
		d := float64(c) - float64(n)*p
		sum += d * d / (float64(n) * p * (1 - p))
	}
	free := float64(len(counts))
	if limit := free + 6*math.Sqrt(2*free); sum > limit {
		return fmt.Errorf("χ² of %.0f, at most %.0f expected", sum, limit)
	}
	return nil
}

func TestTheTestOfBalanceSeesABias(t *testing.T) {
	require.NoError(t, balanced([]int{501, 499, 480, 520}, 1000, 0.5))
	require.Error(t, balanced([]int{501, 499, 600, 520}, 1000, 0.5))
}

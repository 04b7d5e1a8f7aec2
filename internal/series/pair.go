package series

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Pair is an identity of 128 bits: two sums over the same attributes, mixed
// independently. State that must never mix two streams keys on both: 64 bits
// meet by chance once in a few billion streams. A is the hash as everywhere
// else in this package.
type Pair struct {
	A, B uint64
}

// Add returns the identity with more attributes, Sub without some.
func (p Pair) Add(o Pair) Pair { return Pair{p.A + o.A, p.B + o.B} }

// Sub takes away what Add added.
func (p Pair) Sub(o Pair) Pair { return Pair{p.A - o.A, p.B - o.B} }

// Pair extends the contribution of one attribute to 128 bits. A contribution
// is a bijection of the keyed hash of the value, so the second mix of it is as
// good as one of the hash; both sums meet only if both of two different
// non-linear functions of all attributes do.
func (h *Hasher) Pair(contribution uint64) Pair {
	return Pair{contribution, fold(h.second, contribution)}
}

// PairMap is the sum of the pairs of all attributes of m.
func (h *Hasher) PairMap(d Domain, m pcommon.Map) Pair {
	var sum Pair
	for key, value := range m.All() {
		sum = sum.Add(h.Pair(h.Value(d, key, value)))
	}
	return sum
}

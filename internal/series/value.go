package series

import (
	"math"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxDepth bounds the descent into nested values. Deeper content counts as one
// constant: such values differ in practice long before, and the stack stays
// small for input that was built to exhaust it.
const maxDepth = 64

// Value is the contribution of an attribute of any type.
func (h *Hasher) Value(d Domain, key string, value pcommon.Value) uint64 {
	return h.end(h.value(h.key(d, key), value, 0))
}

// Seed is a key that was hashed already, to hash many values under it. It is as
// secret as the Hasher, and belongs to it.
type Seed uint64

// Seed hashes a key: h.Seeded(h.Seed(d, key), v) is h.Value(d, key, v).
func (h *Hasher) Seed(d Domain, key string) Seed { return Seed(h.key(d, key)) }

// Seeded is the contribution of an attribute of any type, by the seed of its key.
func (h *Hasher) Seeded(seed Seed, value pcommon.Value) uint64 {
	return h.end(h.value(uint64(seed), value, 0))
}

// SeededString is Seeded for a string value.
func (h *Hasher) SeededString(seed Seed, value string) uint64 {
	return h.end(xxh3.HashStringSeed(value, uint64(seed)))
}

// Map is the sum of the contributions of all attributes of m.
func (h *Hasher) Map(d Domain, m pcommon.Map) uint64 {
	var sum uint64
	for key, value := range m.All() {
		seed := xxh3.HashStringSeed(key, h.seeds[d])
		if value.Type() == pcommon.ValueTypeStr {
			sum += h.end(xxh3.HashStringSeed(value.Str(), seed))
			continue
		}
		sum += h.end(h.value(seed, value, 0))
	}
	return sum
}

// value hashes a value under a seed that stands for its key.
func (h *Hasher) value(seed uint64, value pcommon.Value, depth int) uint64 {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return xxh3.HashStringSeed(value.Str(), seed)
	case pcommon.ValueTypeInt:
		return fold(seed^saltInt, uint64(value.Int())) //nolint:gosec // the bits are what is hashed
	case pcommon.ValueTypeDouble:
		return fold(seed^saltDouble, math.Float64bits(value.Double()))
	case pcommon.ValueTypeBool:
		if value.Bool() {
			return fold(seed^saltBool, 1)
		}
		return fold(seed^saltBool, 0)
	case pcommon.ValueTypeBytes:
		return h.bytes(seed^saltBytes, value.Bytes())
	case pcommon.ValueTypeSlice:
		return h.slice(seed^saltSlice, value.Slice(), depth+1)
	case pcommon.ValueTypeMap:
		return h.nested(seed^saltMap, value.Map(), depth+1)
	case pcommon.ValueTypeEmpty:
	}
	return fold(seed^saltEmpty, 0)
}

func (*Hasher) bytes(seed uint64, b pcommon.ByteSlice) uint64 {
	sum := fold(seed, uint64(b.Len())) //nolint:gosec // a length is never negative
	for i := range b.Len() {
		sum = fold(sum, uint64(b.At(i)))
	}
	return sum
}

// slice depends on the order of the elements.
func (h *Hasher) slice(seed uint64, s pcommon.Slice, depth int) uint64 {
	if depth > maxDepth {
		return seed
	}
	sum := fold(seed, uint64(s.Len())) //nolint:gosec // a length is never negative
	for i := range s.Len() {
		sum = fold(sum, h.value(seed, s.At(i), depth))
	}
	return sum
}

// nested does not depend on the order of the keys.
func (h *Hasher) nested(seed uint64, m pcommon.Map, depth int) uint64 {
	if depth > maxDepth {
		return seed
	}
	sum := uint64(0)
	for key, value := range m.All() {
		sum += avalanche(h.value(xxh3.HashStringSeed(key, seed), value, depth))
	}
	return fold(seed, sum+uint64(m.Len())) //nolint:gosec // a length is never negative
}

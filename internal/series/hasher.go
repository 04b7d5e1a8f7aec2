package series

import (
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Domain separates the parts of a series, so that an attribute of the resource
// and an attribute of the point with equal key and value differ.
type Domain uint8

// The domains. Labels of a Prometheus-like backend, which has one flat name
// space, use Point.
const (
	Metric Domain = iota
	Resource
	Scope
	Point

	domains
)

// Odd constants from the digits of π and e; any odd numbers without pattern do.
const (
	mixA = 0x243f6a8885a308d3
	mixB = 0x13198a2e03707345
	mixC = 0xb7e151628aed2a6b
)

// The salts of the value types. A string has none: it is the usual case and
// its hash is the plain one.
const (
	saltEmpty  = 0x9e3779b97f4a7c15
	saltInt    = 0xbf58476d1ce4e5b9
	saltDouble = 0x94d049bb133111eb
	saltBool   = 0xd6e8feb86659fd93
	saltBytes  = 0xa0761d6478bd642f
	saltSlice  = 0xe7037ed1a0b428db
	saltMap    = 0x8ebc6af09c88c6e3
)

// Hasher computes contributions under one secret. It is immutable and safe for
// use by many goroutines.
//
// Strings go through xxh3 with a 64-bit seed, because it is the fastest seeded
// string hash that Go has a kept library for; xxhash/v2 (XXH64) takes a seed
// only through a Digest, at four to five times the cost for short strings
// (BenchmarkSeededHash). See docs/adr/0003-series-identity.md.
type Hasher struct {
	seeds  [domains]uint64
	finish uint64
	second uint64 // for the other half of a Pair
}

// NewHasher returns the hasher of a secret.
func NewHasher(secret Secret) *Hasher {
	h := &Hasher{finish: secret.b}
	for d := range h.seeds {
		h.seeds[d] = avalanche(secret.a + uint64(d+1)*mixA)
	}
	h.second = h.seeds[Metric] ^ bits.RotateLeft64(h.finish, 17)
	return h
}

// avalanche spreads every bit of x over all bits. It is a bijection (the
// finaliser of MurmurHash3 with the constants of D. Stafford, variant 13).
func avalanche(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fold mixes two words into one by the 128-bit product. b may come from a
// stranger, a is secret and takes part in both factors: with a public constant
// for the second one, some b would make it zero, and the result the same for
// every a.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^mixA, b^bits.RotateLeft64(a, 32))
	return avalanche(hi ^ lo)
}

// key returns the seed under which a value of this key is hashed.
func (h *Hasher) key(d Domain, key string) uint64 {
	return xxh3.HashStringSeed(key, h.seeds[d])
}

// end makes a contribution of a keyed hash. The second half of the secret
// enters here, so that contributions cannot be computed from the seed alone.
func (h *Hasher) end(x uint64) uint64 {
	x ^= h.finish
	x *= mixC
	return x ^ x>>32
}

// String is the contribution of a string attribute. It is never affected by
// bytes that are not UTF-8: they count as they are.
func (h *Hasher) String(d Domain, key, value string) uint64 {
	return h.end(xxh3.HashStringSeed(value, h.key(d, key)))
}

// Combine returns one hash for an ordered pair of contributions, to count the
// distinct pairs of two attributes.
func (h *Hasher) Combine(a, b uint64) uint64 {
	return h.end(fold(a^h.seeds[Metric], b))
}

// Identity says which metric a point belongs to.
type Identity struct {
	// Name and Unit are those of the OTLP metric.
	Name, Unit string
	// Kind packs what else tells two metrics of one name apart: type,
	// temporality, monotonicity.
	Kind uint8
}

// Identity is the contribution of the metric itself.
func (h *Hasher) Identity(id Identity) uint64 {
	seed := xxh3.HashStringSeed(id.Unit, h.seeds[Metric]+(uint64(id.Kind)+1)*mixB) // +1: no attribute is a metric
	return h.end(xxh3.HashStringSeed(id.Name, seed))
}

// Name is a keyed hash of two strings that is no contribution: it places a
// metric and its budget group in a table.
func (h *Hasher) Name(metric, group string) uint64 {
	return xxh3.HashStringSeed(metric, xxh3.HashStringSeed(group, h.seeds[Metric]))
}

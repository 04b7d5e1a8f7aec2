// Package series gives every metric series a 64-bit identity that does not
// depend on the order of its attributes and from which any attribute can be
// taken out again by one subtraction.
//
// A series is the attributes of its resource and its scope, the identity of
// its metric (name, unit, type, temporality, monotonicity) and the attributes
// of its point. Its hash is the sum, modulo 2^64, of one contribution a part:
//
//	hash = Σ mix(secret, domain, key, type, value)
//
// Addition commutes, so nothing is sorted, and hash - contribution(a) is the
// identity of the series that stays when attribute a is dropped. XOR was
// rejected: a key that occurs twice would cancel itself.
//
// mix is not linear in key and value, so {a: x, b: y} and {a: y, b: x} differ,
// and it is keyed by a secret, because label values come from strangers who
// could otherwise choose values whose sums collide. Values are typed: the
// integer 1 and the string "1" differ; maps and slices count by content.
package series

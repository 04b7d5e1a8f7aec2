package consolidation

// Key is the identity of a stream: two independently mixed sums over its
// labels. Rules of hashing are in package series.
type Key struct {
	A, B uint64
}

// RuleID tells rules apart; 0 is none. A rule whose content changed is another rule; a
// hash of the content serves.
type RuleID uint64

// mix is 2^64 divided by the golden ratio: it spreads keys that are not hashes.
const mix = 0x9e3779b97f4a7c15

// tag places a key within a shard; it shares no bits with part.
func (k Key) tag() uint32 { return uint32(k.A * mix >> 32) }

// mark is the key as tombstones keep it, never 0. Its top bits choose the part.
func (k Key) mark() uint64 { return k.B*mix | 1 }

// variant returns the mark of an output that was kept apart, in the same part.
func (k Key) variant(v uint64) uint64 { return k.mark() ^ v*mix>>16<<1 }

// apart places the outputs of one key that are kept apart.
func (k Key) apart(v uint64) Key { return Key{k.A ^ v, k.B} }

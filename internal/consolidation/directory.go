package consolidation

import "sync"

// directory knows in which shard an input is, and until when forgotten inputs
// were counted. Its lock is taken before that of a shard, and held while an
// input comes, moves or goes.
type directory struct {
	mu     sync.Mutex
	places places
	gone   tombstones
	_      [64]byte // neighbours do not share a cache line
}

// places finds shards by the tag of an input: 4 bytes an input, 24 bits of the
// tag and 8 of the shard. Several inputs may have one tag; the shard knows
// which is which.
type places struct {
	slots []uint32 // tag | shard+1; 0 is empty
	used  int
}

const (
	// maxShards is what fits beside a tag.
	maxShards = 128
	shardMask = 1<<8 - 1
)

func placeOf(tag uint32, shard int) uint32 {
	return tag&^shardMask | uint32(shard+1) //nolint:gosec // below maxShards
}

// find visits the shards that may hold an input, until visit returns true.
func (x *places) find(tag uint32, visit func(shard int) bool) {
	n := len(x.slots)
	if n == 0 {
		return
	}
	for i := home(tag&^shardMask, n); x.slots[i] != 0; {
		if x.slots[i]&^shardMask == tag&^shardMask && visit(int(x.slots[i]&shardMask)-1) {
			return
		}
		if i++; i == n {
			i = 0
		}
	}
}

func (x *places) add(tag uint32, shard int) {
	if 5*(x.used+1) > 4*len(x.slots) {
		old := x.slots
		x.slots = make([]uint32, max(8, len(old)+len(old)/2))
		for _, slot := range old {
			if slot != 0 {
				x.put(slot)
			}
		}
	}
	x.used++
	x.put(placeOf(tag, shard))
}

func (x *places) put(slot uint32) {
	n := len(x.slots)
	i := home(slot&^shardMask, n)
	for x.slots[i] != 0 {
		if i++; i == n {
			i = 0
		}
	}
	x.slots[i] = slot
}

func (x *places) remove(tag uint32, shard int) {
	n := len(x.slots)
	if n == 0 {
		return
	}
	slot := placeOf(tag, shard)
	i := home(tag&^shardMask, n)
	for x.slots[i] != slot {
		if x.slots[i] == 0 {
			return
		}
		if i++; i == n {
			i = 0
		}
	}
	x.used--
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		next := x.slots[j]
		if next == 0 {
			break
		}
		if h := home(next&^shardMask, n); distance(h, j, n) >= distance(i, j, n) {
			x.slots[i] = next
			i = j
		}
	}
	x.slots[i] = 0
	if x.used == 0 {
		x.slots = nil
	}
}

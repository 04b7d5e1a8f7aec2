package relabel

import (
	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// Keys remembers what a plan says about the keys of one level, for a loop over
// points. It belongs to one goroutine at a time. It is bounded, and allocates
// no more once its slots have seen keys as long as those that come: a slot that
// is taken over keeps its memory.
type Keys struct {
	plan   *Plan
	domain series.Domain
	// guess is, by position in a point, the slot that was found there last:
	// exporters send keys in a steady order, and one comparison of strings is
	// cheaper than a hash (BenchmarkKeys: 12 keys, 54 against 144 ns).
	guess [maxGuess]uint8
	slots [keySlots]keySlot
}

const (
	maxGuess = 64
	keySlots = 256 // what a uint8 holds
	keyWays  = 4   // the slots where a key may be
	// maxKeyBytes is the longest key that is remembered.
	maxKeyBytes = 256
)

type keySlot struct {
	key    []byte
	action Action
}

// Keys returns an empty memory of the plan's answers for one level.
func (p *Plan) Keys(d series.Domain) *Keys {
	k := &Keys{domain: d}
	k.Reset(p)
	return k
}

// Reset forgets all answers and turns to another plan.
func (k *Keys) Reset(p *Plan) {
	k.plan = p
	empty := p.Key(k.domain, "") // an empty slot answers for the empty key
	for i := range k.slots {
		k.slots[i] = keySlot{key: k.slots[i].key[:0], action: empty}
	}
}

// Key is Plan.Key for the attribute at this position of a point.
func (k *Keys) Key(position int, key string) Action {
	if uint(position) < maxGuess { // a negative one is large
		if s := &k.slots[k.guess[position]]; string(s.key) == key {
			return s.action
		}
	}
	return k.find(position, key)
}

func (k *Keys) find(position int, key string) Action {
	if len(key) > maxKeyBytes {
		return k.plan.Key(k.domain, key)
	}
	hash := xxhash.Sum64String(key)
	at := k.slot(hash, key)
	if s := &k.slots[at]; string(s.key) != key {
		s.key = append(s.key[:0], key...)
		s.action = k.plan.Key(k.domain, key)
	}
	if uint(position) < maxGuess { // a negative one is large
		k.guess[position] = at
	}
	return k.slots[at].action
}

// slot returns the slot of a key: of its few the one that holds it, else the
// first that is empty, else one that other bits of the hash choose.
func (k *Keys) slot(hash uint64, key string) uint8 {
	first := uint8(hash) //nolint:gosec // its low bits are wanted
	empty, found := first, false
	for i := range uint8(keyWays) {
		s := &k.slots[first+i]
		if string(s.key) == key {
			return first + i
		}
		if len(s.key) == 0 && !found {
			empty, found = first+i, true
		}
	}
	if found {
		return empty
	}
	return first + uint8(hash>>8)%keyWays //nolint:gosec // its low bits are wanted
}

// Hash returns the sum of the contributions of all attributes, and of those
// that stay. Where the plan is DropOnly, the second is that of the output;
// otherwise the attributes whose values may change are not in it.
func (k *Keys) Hash(h *series.Hasher, attrs pcommon.Map) (all, stays uint64) {
	position := 0
	for key, value := range attrs.All() {
		part := h.Value(k.domain, key, value)
		all += part
		if k.Key(position, key) == Stays {
			stays += part
		}
		position++
	}
	return all, stays
}

package relabel

import (
	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// Keys remembers what a plan says about the keys of one level, and their hashes,
// for a loop over points. It belongs to one goroutine at a time. It grows with the
// keys, up to a bound, and allocates no more once its slots have seen keys as
// long as those that come: a slot that is taken over keeps its memory.
type Keys struct {
	plan   *Plan
	domain series.Domain
	hasher *series.Hasher
	// guess is, by position in a point, the slot that was found there last:
	// exporters send keys in a steady order, and one comparison of strings is
	// cheaper than a hash (BenchmarkKeys: 12 keys, 54 against 144 ns).
	guess [maxGuess]uint8
	slots []keySlot // a power of two; few until there are many keys
	long  keySlot   // the answer for a key that is too long to remember
}

const (
	maxGuess = 64
	maxSlots = 256 // what a uint8 holds; 20 KiB with their keys
	keyWays  = 4   // the slots where a key may be
	// maxKeyBytes is the longest key that is remembered.
	maxKeyBytes = 256
)

// keySlot is what is remembered of a key.
type keySlot struct {
	key    []byte
	seed   series.Seed
	fold   uint64 // as in View.mask; 0: folds do not touch it
	action Action
}

// Keys returns an empty memory of the plan's answers for one level.
func (p *Plan) Keys(d series.Domain, h *series.Hasher) *Keys {
	k := &Keys{domain: d, hasher: h, slots: make([]keySlot, keyWays)}
	k.Reset(p)
	return k
}

// Reset forgets all answers and turns to another plan.
func (k *Keys) Reset(p *Plan) {
	k.plan = p
	k.empty(k.slots)
}

// empty empties slots. An empty one answers for the empty key.
func (k *Keys) empty(slots []keySlot) {
	var answer keySlot
	k.fill(&answer, "", 0)
	for i := range slots {
		answer.key = slots[i].key[:0]
		slots[i] = answer
	}
}

// fill sets what a slot answers.
func (k *Keys) fill(s *keySlot, key string, hash uint64) {
	s.seed, s.action, s.fold = k.hasher.Seed(k.domain, key), k.plan.Key(k.domain, key), 0
	if !k.plan.protect.has(k.domain, key) {
		s.fold = foldBit(hash)
	}
}

// Key is Plan.Key for the attribute at this position of a point.
func (k *Keys) Key(position int, key string) Action { return k.at(position, key).action }

// at returns what is remembered of a key, until the next call.
func (k *Keys) at(position int, key string) *keySlot {
	if s := k.guessed(position); string(s.key) == key {
		return s
	}
	return k.find(position, key)
}

// guessed returns the slot that was found last at this position.
func (k *Keys) guessed(position int) *keySlot {
	return &k.slots[k.guess[position&(maxGuess-1)]]
}

// find answers where the guess was wrong.
func (k *Keys) find(position int, key string) *keySlot {
	hash := xxhash.Sum64String(key)
	if len(key) > maxKeyBytes {
		k.fill(&k.long, key, hash)
		return &k.long
	}
	at, known := k.slot(hash, key)
	if !known && len(k.slots[at].key) > 0 && len(k.slots) < maxSlots {
		k.grow()
		at, _ = k.slot(hash, key)
	}
	s := &k.slots[at]
	if string(s.key) != key {
		s.key = append(s.key[:0], key...)
		k.fill(s, key, hash)
	}
	k.guess[position&(maxGuess-1)] = at
	return s
}

// slot returns the slot of a key: of its few the one that holds it, else the
// first that is empty, else one that other bits of the hash choose.
func (k *Keys) slot(hash uint64, key string) (at uint8, known bool) {
	mask := uint8(len(k.slots) - 1) //nolint:gosec // at most 255
	first := uint8(hash)            //nolint:gosec // its low bits are wanted
	empty, found := first&mask, false
	for i := range uint8(keyWays) {
		at = (first + i) & mask
		s := &k.slots[at]
		if string(s.key) == key {
			return at, true
		}
		if len(s.key) == 0 && !found {
			empty, found = at, true
		}
	}
	if found {
		return empty, false
	}
	return (first + uint8(hash>>8)%keyWays) & mask, false //nolint:gosec // its low bits are wanted
}

// grow doubles the slots. A key that finds its new ones taken is forgotten.
func (k *Keys) grow() {
	old := k.slots
	k.slots = make([]keySlot, 2*len(old))
	k.empty(k.slots)
	for i := range old {
		if len(old[i].key) == 0 {
			continue
		}
		at, _ := k.slot(xxhash.Sum64(old[i].key), string(old[i].key))
		k.slots[at] = old[i]
	}
}

// Pairs returns the identity of all attributes and of those that stay, by the
// key alone: where the plan is DropOnly, the second is that of the output;
// otherwise the attributes whose values may change are not in it.
func (k *Keys) Pairs(attrs pcommon.Map) (all, stays series.Pair) {
	position := 0
	for key, value := range attrs.All() {
		s := k.guessed(position)
		if string(s.key) != key {
			s = k.find(position, key)
		}
		position++
		var one series.Pair
		if text := value.Str(); text != "" { // cheaper than to ask for the type
			one = k.hasher.Pair(k.hasher.SeededString(s.seed, text))
		} else {
			one = k.hasher.Pair(k.hasher.Seeded(s.seed, value))
		}
		all = all.Add(one)
		if s.action == Stays {
			stays = stays.Add(one)
		}
	}
	return all, stays
}

// hash is the contribution of an attribute whose key the slot holds.
func (k *Keys) hash(s *keySlot, value pcommon.Value) uint64 {
	if text := value.Str(); text != "" { // cheaper than to ask for the type
		return k.hasher.SeededString(s.seed, text)
	}
	return k.hasher.Seeded(s.seed, value)
}

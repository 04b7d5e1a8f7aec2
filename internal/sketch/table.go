package sketch

import (
	"math/bits"
	"sync/atomic"
)

// Table remembers for every hash the epoch in which it was last seen, in
// 8 bytes a slot and 10 to 16 bytes a hash. From it come the exact number of
// distinct hashes of the window and the exact number of new ones.
//
// Seen may be called by many goroutines while one other calls the methods that
// write; writers must exclude each other. A slot is one atomic word, so a
// reader sees an old or a new state, never a torn one.
//
// The position of a hash is its share of the hash space times the number of
// slots, so slots are in hash order and a rehash walks both arrays forward.
// A set-associative table that evicts was rejected: each eviction looks like a
// new series and drowns a slow leak in a large metric.
type Table struct {
	slots []atomic.Uint64
	used  int   // slots that are not empty, live or not
	live  []int // by epoch modulo the window: hashes last seen then
	now   Epoch
	made  Epoch // when dead slots were last left behind
}

// minSlots is the size of a new table: 128 bytes.
const minSlots = 16

// NewTable returns an empty table for a window of so many epochs.
func NewTable(window int, now Epoch) *Table {
	return &Table{slots: make([]atomic.Uint64, minSlots), live: make([]int, window), now: now, made: now}
}

// position looks at the bits that a slot keeps only, so that a rehash, which
// knows no others, puts a hash where it will be looked for.
func (t *Table) position(hash uint64) int {
	hi, _ := bits.Mul64(hash&^epochMask, uint64(len(t.slots)))
	return int(hi) //nolint:gosec // below len(t.slots)
}

// Seen reports whether the hash was seen in this very epoch.
func (t *Table) Seen(hash uint64, now Epoch) bool {
	want := hash&^epochMask | stamp(now)
	for i := t.position(hash); ; {
		slot := t.slots[i].Load()
		if slot == want {
			return true
		}
		if slot == 0 || (slot^want)&^epochMask == 0 {
			return false
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

// Outcome says what a hash was before it was touched.
type Outcome uint8

// The outcomes of Touch.
const (
	// New: not seen within the window.
	New Outcome = iota
	// Known: seen in an earlier epoch of the window.
	Known
	// Current: seen in this epoch.
	Current
)

// Touch marks the hash as seen in the current epoch. The caller makes room
// first: see Full.
func (t *Table) Touch(hash uint64) Outcome {
	tag := hash &^ epochMask
	now := stamp(t.now)
	for i := t.position(hash); ; {
		slot := t.slots[i].Load()
		if slot == 0 {
			t.slots[i].Store(tag | now)
			t.used++
			t.live[t.index(t.now)]++
			return New
		}
		if slot&^epochMask == tag {
			if slot&epochMask == now {
				return Current
			}
			return t.refresh(i, slot, tag|now)
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

// refresh moves a slot from the epoch that it holds to the current one.
func (t *Table) refresh(i int, slot, with uint64) Outcome {
	t.slots[i].Store(with)
	t.live[t.index(t.now)]++
	a := age(t.now, slot&epochMask)
	if a >= len(t.live) {
		return New
	}
	t.live[t.index(t.now-Epoch(a))]-- //nolint:gosec // below the window
	return Known
}

func (t *Table) index(e Epoch) int { return int(e) % len(t.live) }

// Contains reports whether the hash was seen within the window.
func (t *Table) Contains(hash uint64) bool {
	tag := hash &^ epochMask
	for i := t.position(hash); ; {
		slot := t.slots[i].Load()
		if slot == 0 {
			return false
		}
		if slot&^epochMask == tag {
			return age(t.now, slot&epochMask) < len(t.live)
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

// Advance moves to a later epoch. What was last seen a window ago is forgotten.
func (t *Table) Advance(now Epoch) {
	if now > t.now && now-t.now >= Epoch(len(t.live)) { //nolint:gosec // a window is short
		t.clear(now)
		return
	}
	for t.now < now {
		t.now++
		t.live[t.index(t.now)] = 0
	}
}

// clear empties the table after a pause in which everything died. The slots
// must not stay: a pause may be as long as stored epochs take to repeat, and
// what died long ago would be back.
func (t *Table) clear(now Epoch) {
	for i := range t.slots {
		t.slots[i].Store(0)
	}
	clear(t.live)
	t.used, t.now, t.made = 0, now, now
}

// Stale reports whether dead slots must be purged before their stored epoch
// comes round again. The caller then calls Resize with Fit.
func (t *Table) Stale() bool { return t.now-t.made > epochCycle/2 }

// Count returns how many hashes were last seen in the latest epochs, at most
// the window.
func (t *Table) Count(epochs int) int {
	sum := 0
	for i := range min(epochs, len(t.live)) {
		if Epoch(i) < t.now {
			sum += t.live[t.index(t.now-Epoch(i))]
		}
	}
	return sum
}

// Full reports whether the next new hash needs a Resize first: more than four
// fifths of the slots are taken.
func (t *Table) Full() bool { return 5*(t.used+1) > 4*len(t.slots) }

// Fit returns the number of slots that the live hashes want: they fill it to
// 53 %, so that the table lives between 10 and 15 bytes a hash as it fills to
// four fifths.
func (t *Table) Fit() int { return max(minSlots, (t.Count(len(t.live))+1)*15/8) }

// Sparse reports whether a Resize would free most of the memory.
func (t *Table) Sparse() bool { return len(t.slots) > 4*t.Fit() }

// Resize returns a table of so many slots with the live hashes of t. Readers
// of t go on reading t.
func (t *Table) Resize(slots int) *Table {
	next := &Table{slots: make([]atomic.Uint64, slots), live: append([]int(nil), t.live...), now: t.now, made: t.now}
	for hash, e := range t.all() {
		next.place(hash, e)
	}
	return next
}

func (t *Table) place(tag, e uint64) {
	for i := t.position(tag); ; {
		if t.slots[i].Load() == 0 {
			t.slots[i].Store(tag | e)
			t.used++
			return
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

// all ranges over the live hashes (48 bits) and their stamps.
func (t *Table) all() func(yield func(hash, e uint64) bool) {
	return func(yield func(hash, e uint64) bool) {
		for i := range t.slots {
			slot := t.slots[i].Load()
			if slot == 0 || age(t.now, slot&epochMask) >= len(t.live) {
				continue
			}
			if !yield(slot&^epochMask, slot&epochMask) {
				return
			}
		}
	}
}

// All ranges over the live hashes, of which the upper 48 bits are known, and
// the epochs in which they were last seen.
func (t *Table) All() func(yield func(hash uint64, e Epoch) bool) {
	return func(yield func(uint64, Epoch) bool) {
		for hash, e := range t.all() {
			if !yield(hash, t.now-Epoch(age(t.now, e))) { //nolint:gosec // below the window
				return
			}
		}
	}
}

// Len is the number of slots, Bytes the memory that so many take.
func (t *Table) Len() int { return len(t.slots) }

// TableBytes is the memory of a table with so many slots.
func TableBytes(slots int) int { return 8*slots + 96 }

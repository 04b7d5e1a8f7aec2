package deadband

// pageSize is the number of elements that are allocated together: 16 numbers
// are 1280 bytes, which is what the allocator gives for them too.
const pageSize = 16

// table holds the series of one class in one shard: an arena under references
// from 1 on, and an index of slots of 8 bytes in the order of their tags.
// Elements never move.
type table[T any, P element[T]] struct {
	slots []uint64 // tag<<32 | reference; 0 is empty
	used  int

	pages []*[pageSize]T
	free  []uint32
	next  uint32
	hand  uint32 // where the search for a victim goes on

	holes map[Key]*hole[T]
}

type element[T any] interface {
	*T
	identity() Key
	idle(before uint32) bool // false also of a free element
	owner() uint16
	latest() uint64 // when the last point was
	pending() bool  // it was left out
	recall(before *Before) bool

	// What a refused batch does: see takeBack.
	resume(was *T)
	unsend()
	refuse()
	open()
	copied() *T
}

// mix is 2^64 divided by the golden ratio: it spreads keys that are not hashes.
const mix = 0x9e3779b97f4a7c15

// tag places a key within a shard; it shares no bits with what chose the shard.
func (k Key) tag() uint32 { return uint32(k.A * mix >> 32) }

func (t *table[T, P]) at(ref uint32) P {
	ref--
	return &t.pages[ref/pageSize][ref%pageSize]
}

func home(tag uint32, n int) int {
	return int(uint64(tag) * uint64(n) >> 32) //nolint:gosec // below n
}

func (t *table[T, P]) find(key Key) (uint32, P) {
	n := len(t.slots)
	if n == 0 {
		return 0, nil
	}
	tag := key.tag()
	for i := home(tag, n); ; {
		slot := t.slots[i]
		if slot == 0 {
			return 0, nil
		}
		if slot>>32 == uint64(tag) {
			ref := uint32(slot) //nolint:gosec // the lower half
			if e := t.at(ref); e.identity() == key {
				return ref, e
			}
		}
		if i++; i == n {
			i = 0
		}
	}
}

// insert returns a zero element, which the caller gives the key.
func (t *table[T, P]) insert(key Key) (uint32, P) {
	if 5*(t.used+1) > 4*len(t.slots) {
		t.grow()
	}
	t.used++
	ref := t.take()
	t.put(uint64(key.tag())<<32 | uint64(ref))
	return ref, t.at(ref)
}

func (t *table[T, P]) take() uint32 {
	if n := len(t.free); n > 0 {
		ref := t.free[n-1]
		t.free = t.free[:n-1]
		return ref
	}
	if int(t.next) == len(t.pages)*pageSize {
		t.pages = append(t.pages, new([pageSize]T))
	}
	t.next++
	return t.next
}

func (t *table[T, P]) put(slot uint64) {
	n := len(t.slots)
	i := home(uint32(slot>>32), n)
	for t.slots[i] != 0 {
		if i++; i == n {
			i = 0
		}
	}
	t.slots[i] = slot
}

// grow adds a quarter, so that 64 to 80 % of the slots are in use and a series
// costs at most 12.5 bytes of index.
func (t *table[T, P]) grow() {
	old := t.slots
	t.slots = make([]uint64, max(8, len(old)+len(old)/4))
	for _, slot := range old {
		if slot != 0 {
			t.put(slot)
		}
	}
}

// remove takes an element out and closes the gap in the index, so that no
// marks are left behind that would make later searches long.
func (t *table[T, P]) remove(ref uint32) {
	var zero T
	e := t.at(ref)
	tag := e.identity().tag()
	t.fill(e.identity())
	*e = zero
	t.free = append(t.free, ref)
	n := len(t.slots)
	slot := uint64(tag)<<32 | uint64(ref)
	i := home(tag, n)
	for t.slots[i] != slot {
		if i++; i == n {
			i = 0
		}
	}
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		next := t.slots[j]
		if next == 0 {
			break
		}
		// An entry may fill the gap if its home is not behind the gap.
		if h := home(uint32(next>>32), n); distance(h, j, n) >= distance(i, j, n) {
			t.slots[i] = next
			i = j
		}
	}
	t.slots[i] = 0
	if t.used--; t.used == 0 {
		*t = table[T, P]{}
	}
}

// distance is the way from one slot on to another.
func distance(from, to, n int) int {
	if to < from {
		return to - from + n
	}
	return to - from
}

// victim looks at a few elements, and at others the next time, for one that
// was idle since before.
func (t *table[T, P]) victim(before uint32) (ref uint32, e P) {
	const looks = 16
	for range min(looks, int(t.next)) {
		if t.hand++; t.hand > t.next {
			t.hand = 1
		}
		if e = t.at(t.hand); e.idle(before) {
			return t.hand, e
		}
	}
	return 0, nil
}

// each visits every element, also the free ones, which are zero. It may remove
// the one that it visits.
func (t *table[T, P]) each(visit func(ref uint32, e P)) {
	for ref := uint32(1); ref <= t.next; ref++ {
		visit(ref, t.at(ref))
	}
}

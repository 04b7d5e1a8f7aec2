package consolidation

// index finds references by tag: open addressing, a slot of 8 bytes. Slots are
// in the order of their tags, so growth by half needs no hash and keeps between
// 53 and 80 % of the slots in use.
type index struct {
	slots []uint64 // tag<<32 | reference; 0 is empty, so references begin at 1
	used  int
}

func home(tag uint32, n int) int {
	return int(uint64(tag) * uint64(n) >> 32) //nolint:gosec // below n
}

func (x *index) add(tag, ref uint32) {
	if 5*(x.used+1) > 4*len(x.slots) {
		x.grow()
	}
	x.used++
	x.put(uint64(tag)<<32 | uint64(ref))
}

func (x *index) put(slot uint64) {
	n := len(x.slots)
	i := home(uint32(slot>>32), n)
	for x.slots[i] != 0 {
		if i++; i == n {
			i = 0
		}
	}
	x.slots[i] = slot
}

func (x *index) grow() {
	old := x.slots
	x.slots = make([]uint64, max(8, len(old)+len(old)/2))
	for _, slot := range old {
		if slot != 0 {
			x.put(slot)
		}
	}
}

// remove takes an entry out and closes the gap, so that no marks are left
// behind that would make later searches long.
func (x *index) remove(tag, ref uint32) {
	n := len(x.slots)
	if n == 0 {
		return
	}
	slot := uint64(tag)<<32 | uint64(ref)
	i := home(tag, n)
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
		// An entry may fill the gap if its home is not behind the gap.
		if h := home(uint32(next>>32), n); distance(h, j, n) >= distance(i, j, n) {
			x.slots[i] = next
			i = j
		}
	}
	x.slots[i] = 0
	if x.used == 0 {
		x.slots = nil
	}
}

// distance is the way from one slot on to another.
func distance(from, to, n int) int {
	if to < from {
		return to - from + n
	}
	return to - from
}

package sketch

// firstSlots is how many a Distinct has at first.
const firstSlots = 16

// Distinct counts distinct hashes: exactly while they are few, then by a
// HyperLogLog sketch. It takes 8 bytes a slot, and three quarters of the slots
// are used at most. The zero value is empty.
type Distinct struct {
	slots []uint64 // open addressing; 0 is empty, nil once there is a sketch
	used  int
	hll   *HLL
}

// Full says that the next hash needs more than so many slots.
func (d *Distinct) Full(slots int) bool { return d.hll == nil && 4*(d.used+1) > 3*slots }

// Add counts a hash. Past so many slots, a power of two, it goes on with a sketch
// of a precision.
func (d *Distinct) Add(hash uint64, slots int, precision uint8) {
	if d.hll != nil {
		d.hll.InsertHash(hash)
		return
	}
	if hash == 0 {
		hash = 1
	}
	if d.has(hash) {
		return
	}
	if d.Full(slots) {
		d.toSketch(precision)
		d.hll.InsertHash(hash)
		return
	}
	if d.Full(len(d.slots)) {
		d.grow()
	}
	d.put(hash)
}

// has says whether a set, not a sketch, holds a hash that is not 0.
func (d *Distinct) has(hash uint64) bool {
	if len(d.slots) == 0 {
		return false
	}
	mask := uint64(len(d.slots) - 1) //nolint:gosec // a length
	for i := hash >> 32 & mask; d.slots[i] != 0; i = (i + 1) & mask {
		if d.slots[i] == hash {
			return true
		}
	}
	return false
}

func (d *Distinct) put(hash uint64) {
	mask := uint64(len(d.slots) - 1) //nolint:gosec // a length
	i := hash >> 32 & mask
	for d.slots[i] != 0 {
		i = (i + 1) & mask
	}
	d.slots[i] = hash
	d.used++
}

func (d *Distinct) grow() {
	old := d.slots
	d.slots, d.used = make([]uint64, max(firstSlots, 2*len(old))), 0
	for _, hash := range old {
		if hash != 0 {
			d.put(hash)
		}
	}
}

// Sketched says whether it counts by a sketch.
func (d *Distinct) Sketched() bool { return d.hll != nil }

func (d *Distinct) toSketch(precision uint8) {
	d.hll = NewHLL(precision)
	d.pour(d.hll)
	d.slots, d.used = nil, 0
}

// pour adds what a set holds to a sketch.
func (d *Distinct) pour(into *HLL) {
	for _, hash := range d.slots {
		if hash != 0 {
			into.InsertHash(hash)
		}
	}
}

// Empty says whether nothing was added.
func (d *Distinct) Empty() bool { return d.used == 0 && d.hll == nil }

// CountEither counts what is in either, and returns the standard error of that as a
// fraction, 0 if it is exact. Sketches of both have the same precision.
func CountEither(a, b *Distinct, precision uint8) (count uint64, relativeError float64) {
	if a.hll == nil && b.hll == nil {
		n := a.used
		for _, hash := range b.slots {
			if hash != 0 && !a.has(hash) {
				n++
			}
		}
		return uint64(n), 0 //nolint:gosec // a count
	}
	all := NewHLL(precision)
	Merge(all, a.hll)
	Merge(all, b.hll)
	a.pour(all)
	b.pour(all)
	return all.Estimate(), StandardError(precision)
}

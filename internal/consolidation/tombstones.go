package consolidation

// tombstones remembers until when streams were counted that are forgotten
// otherwise: 16 bytes each, in two generations. When the young one is full the
// old one goes, and with it the knowledge who was in it; what stays is the
// latest time of all that were dropped, which then holds for everybody unknown.
// A fixed bound, and never a stream that is counted twice.
type tombstones struct {
	young, old generation
	limit      int
	forgotten  uint64
}

type tombstone struct {
	mark, time uint64
}

type generation struct {
	slots  []tombstone // a mark of 0 is empty
	used   int
	latest uint64
}

// bury notes that the stream was counted until a time.
func (t *tombstones) bury(mark, time uint64) {
	if t.young.used >= max(1, t.limit/2) {
		t.forgotten = max(t.forgotten, t.old.latest)
		t.old, t.young = t.young, generation{}
	}
	t.young.put(tombstone{mark, time})
}

// until returns the time until which the stream may have been counted.
func (t *tombstones) until(mark uint64) uint64 {
	if time := max(t.young.get(mark), t.old.get(mark)); time != 0 {
		return time
	}
	return t.forgotten
}

func (t *tombstones) each(visit func(tombstone)) {
	for _, g := range []*generation{&t.old, &t.young} {
		for _, s := range g.slots {
			if s.mark != 0 {
				visit(s)
			}
		}
	}
}

func (t *tombstones) size() int { return t.young.used + t.old.used }

func (g *generation) slot(mark uint64) *tombstone {
	n := len(g.slots)
	// The top bits of a mark are the same in one part.
	for i := home(uint32(mark), n); ; { //nolint:gosec // the lower half
		if s := &g.slots[i]; s.mark == mark || s.mark == 0 {
			return s
		}
		if i++; i == n {
			i = 0
		}
	}
}

func (g *generation) get(mark uint64) uint64 {
	if g.used == 0 {
		return 0
	}
	return g.slot(mark).time
}

func (g *generation) put(t tombstone) {
	if 5*(g.used+1) > 4*len(g.slots) {
		old := g.slots
		g.slots = make([]tombstone, max(8, len(old)+len(old)/2))
		for _, s := range old {
			if s.mark != 0 {
				*g.slot(s.mark) = s
			}
		}
	}
	s := g.slot(t.mark)
	if s.mark == 0 {
		g.used++
	}
	*s = tombstone{t.mark, max(s.time, t.time)}
	g.latest = max(g.latest, s.time)
}

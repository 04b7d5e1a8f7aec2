package cardinality

// exactCounts answers from rows.
type exactCounts struct {
	rows   *rows
	shapes shapes
	attrs  []attribute
	set    labelSets
}

// series counts the backend series that are left when the given attributes
// are dropped.
func (e *exactCounts) series(without ...int) uint64 {
	e.set.reset(len(e.rows.list))
	for i, s := range e.rows.list {
		hash := s.backend
		values := e.rows.row(i)
		for _, a := range without {
			if e.attrs[a].isLabel() {
				hash -= values[a]
			}
		}
		e.set.add(hash, s.shapes)
	}
	return e.set.weight(&e.shapes)
}

// distinct counts the values of an attribute.
func (e *exactCounts) distinct(a int) uint64 {
	e.set.reset(len(e.rows.list))
	for i := range e.rows.list {
		if v := e.rows.row(i)[a]; v != 0 {
			e.set.add(v, 1)
		}
	}
	return uint64(e.set.n) //nolint:gosec // a count
}

// pairs counts the distinct pairs of two attributes; combine makes one hash of
// two.
func (e *exactCounts) pairs(a, b int, combine func(a, b uint64) uint64) uint64 {
	e.set.reset(len(e.rows.list))
	for i := range e.rows.list {
		values := e.rows.row(i)
		e.set.add(combine(values[a], values[b]), 1)
	}
	return uint64(e.set.n) //nolint:gosec // a count
}

// labelSets is a reusable set of hashes, each with the shapes that were seen
// with it. Open addressing; a slot is empty unless it carries the round.
type labelSets struct {
	slots []labelSet
	round uint32
	n     int
}

type labelSet struct {
	hash   uint64
	round  uint32
	shapes shapeSet
}

func (s *labelSets) reset(capacity int) {
	if need := 2*capacity + 1; len(s.slots) < need {
		s.slots = make([]labelSet, need)
		s.round = 0
	}
	s.round++
	s.n = 0
}

func (s *labelSets) add(hash uint64, set shapeSet) {
	for i := hash % uint64(len(s.slots)); ; {
		slot := &s.slots[i]
		if slot.round != s.round {
			*slot = labelSet{hash: hash, round: s.round, shapes: set}
			s.n++
			return
		}
		if slot.hash == hash {
			slot.shapes |= set
			return
		}
		if i++; i == uint64(len(s.slots)) {
			i = 0
		}
	}
}

// weight sums the backend series of all members.
func (s *labelSets) weight(sh *shapes) uint64 {
	sum := uint64(0)
	for i := range s.slots {
		if s.slots[i].round == s.round {
			sum += sh.weight(s.slots[i].shapes)
		}
	}
	return sum
}

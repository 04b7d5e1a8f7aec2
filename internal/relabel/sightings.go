package relabel

import (
	"math/bits"
	"sync/atomic"
)

// sightings say when outputs were seen last. Everybody may look and see; one at
// a time puts in and takes out. A larger table, or one without the outdated,
// takes the place of this one; what is noted in the old one just then is lost.
//
// Maps behind 16 locks were rejected: two goroutines took 27 ns a call each for
// 1,000 outputs, where this takes 2 (BenchmarkGovernorSee).
type sightings struct {
	keys []atomic.Uint64 // open addresses; 0: empty
	seen []atomic.Uint64
	rows []Ticket // of the Folder; for who puts in
	mask uint64
	used int // with those that were taken out
}

// place is the key of an output in a table: its identity but for the two numbers
// that mean something else there.
func place(unfolded uint64) uint64 {
	if unfolded == 0 || unfolded == dropped {
		return 1
	}
	return unfolded
}

const minSightings = 1 << 6

// newSightings has room for so many outputs.
func newSightings(outputs int) *sightings {
	size := max(minSightings, 1<<bits.Len(uint(2*outputs)))
	return &sightings{
		keys: make([]atomic.Uint64, size), seen: make([]atomic.Uint64, size), rows: make([]Ticket, size), mask: uint64(size) - 1,
	}
}

// see notes an output and says whether it is known. Times that differ by less
// than grain are not noted: the memory stays shared between processors.
func (s *sightings) see(key, now, grain uint64) bool {
	for i := key & s.mask; ; i = (i + 1) & s.mask {
		switch s.keys[i].Load() {
		case key:
			if last := s.seen[i].Load(); now > last && now-last > grain {
				s.seen[i].Store(now)
			}
			return true
		case 0:
			return false
		}
	}
}

// dropped stands in the place of an output that was taken out.
const dropped = ^uint64(0)

// drop takes an output out, and says whether it was there with this row.
func (s *sightings) drop(key uint64, row Ticket) bool {
	for i := key & s.mask; ; i = (i + 1) & s.mask {
		switch s.keys[i].Load() {
		case key:
			if s.rows[i] != row {
				return false
			}
			s.keys[i].Store(dropped)
			return true
		case 0:
			return false
		}
	}
}

// full says that there must be a larger table before the next output comes in.
func (s *sightings) full() bool { return 2*s.used >= len(s.keys) }

// put adds an output that is not known.
func (s *sightings) put(key, now uint64, row Ticket) {
	i := key & s.mask
	for s.keys[i].Load() != 0 {
		i = (i + 1) & s.mask
	}
	s.rows[i] = row
	s.seen[i].Store(now)
	s.keys[i].Store(key) // last: who finds it may note a time
	s.used++
}

// forget returns a table of the outputs that were seen at this time or later,
// which is the same one if they all were, and calls gone with the rows of the
// others. Times after now, which a clock that was set back leaves behind, become
// now.
func (s *sightings) forget(oldest, now uint64, gone func(Ticket)) *sightings {
	stays := make([]sighting, 0, s.used)
	for i := range s.keys {
		key := s.keys[i].Load()
		if key == 0 || key == dropped {
			continue
		}
		seen := s.seen[i].Load()
		switch {
		case seen < oldest:
			gone(s.rows[i])
			continue
		case seen > now:
			seen = now
			s.seen[i].Store(now)
		}
		stays = append(stays, sighting{key, seen, s.rows[i]})
	}
	if len(stays) == s.used {
		return s
	}
	return tableOf(stays)
}

// grown returns a table with more room.
func (s *sightings) grown() *sightings {
	all := make([]sighting, 0, s.used)
	for i := range s.keys {
		if key := s.keys[i].Load(); key != 0 && key != dropped {
			all = append(all, sighting{key, s.seen[i].Load(), s.rows[i]})
		}
	}
	return tableOf(all)
}

// sighting is one output.
type sighting struct {
	key, seen uint64
	row       Ticket
}

func tableOf(list []sighting) *sightings {
	s := newSightings(len(list) + 1)
	for _, one := range list {
		s.put(one.key, one.seen, one.row)
	}
	return s
}

// passers are outputs without a row that were looked at since the last edge, as
// many as there was room for. What one of them pushes out is looked at again.
type passers struct {
	slots []atomic.Uint64
	mask  uint64
	salt  uint64 // of the edge: what was put in before does not count
}

// newPassers has a power of two of slots for so many outputs, within bounds.
func newPassers(outputs int) *passers {
	size := 1 << bits.Len(uint(min(max(outputs, 1<<11), 1<<20-1)))
	return &passers{slots: make([]atomic.Uint64, size), mask: uint64(size) - 1, salt: 1} //nolint:gosec // positive
}

func (p *passers) has(key uint64) bool {
	return p != nil && p.slots[key&p.mask].Load() == key+p.salt
}

func (p *passers) put(key uint64) {
	p.slots[key&p.mask].Store(key + p.salt)
}

// emptied returns the same slots with nothing in them.
func (p *passers) emptied() *passers {
	return &passers{slots: p.slots, mask: p.mask, salt: p.salt + 0x9e3779b97f4a7c15}
}

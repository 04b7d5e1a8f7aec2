package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// Journal is what one flush shows, or the retirement of a rule. After a restart
// no output shows less than what was written here.
type Journal struct {
	store *Store
	edge  uint64
	full  [][]byte // records that are complete but for their header
	ended bool
	err   error
}

// pageSize is what comes before the entries: the header, the checksum of the
// record before, and the edge.
const pageSize = headerSize + 8 + 8

// Journal begins the journal of the flush at an edge. That of the flush before
// is over; what was not written of it is not written any more.
func (s *Store) Journal(edge uint64) *Journal {
	s.forgetFresh()
	j := &Journal{store: s, edge: edge}
	j.begin()
	return j
}

func (j *Journal) begin() {
	e := &j.store.pages
	e.begin(pageSize)
	e.time = j.edge // most points have it
}

// forgetFresh forgets the outputs whose streams may not have reached the
// storage, so that they are written again.
func (s *Store) forgetFresh() {
	for _, id := range s.fresh {
		s.known.remove(id, markCurrent)
	}
	s.fresh = s.fresh[:0]
}

// Add notes what an output shows. It keeps nothing of it. An emission whose
// owner is not a stream is an error of the next Write.
func (j *Journal) Add(m *consolidation.Emission) {
	s := j.store
	owner, ok := m.Owner.(*stream.Stream)
	if !ok || owner == nil || owner.Metric.Kind != m.Kind {
		j.err = fmt.Errorf("output %x of kind %s: %w", m.Output, m.Kind, errOwner)
		return
	}
	id := reference{m.Output, m.Variant, m.Rule}.id()
	switch {
	case m.Stale:
		s.known.remove(id, markCurrent)
		owner = nil
	case s.doubt == nil && s.known.has(id):
		owner = nil
	default:
		s.known.add(id, m.Kind, markCurrent)
		s.fresh = append(s.fresh, id)
	}
	s.pages.emission(m, owner)
	j.turn()
}

// AddBase notes the base line of a new input. It keeps nothing of it.
func (j *Journal) AddBase(b *consolidation.Base) {
	j.store.pages.base(b)
	j.turn()
}

// turn begins another record if this one is full.
func (j *Journal) turn() {
	if e := &j.store.pages; len(e.buf) >= targetSize {
		j.full = append(j.full, bytes.Clone(e.buf))
		j.begin()
	}
}

// Write makes what was added durable, and returns how many bytes it took. It
// has to succeed before what was added is handed on. After an error it may be
// tried again, by Write or by End; if it is not, the outputs that were to be
// written may show less after a restart, until the next checkpoint.
func (j *Journal) Write(ctx context.Context) (size int, err error) {
	s := j.store
	for err == nil && len(j.full) > 0 {
		var n int
		if n, err = s.append(ctx, j.full[0], j.edge); err == nil {
			j.full = j.full[1:]
			size += n
		}
	}
	if err == nil && s.pages.entries > 0 {
		var n int
		if n, err = s.append(ctx, s.pages.buf, j.edge); err == nil {
			j.begin()
			size += n
		}
	}
	if err == nil {
		err, j.err = j.err, nil
	}
	if err == nil {
		s.fresh = s.fresh[:0]
	}
	return size, err
}

// append writes one record behind the others.
func (s *Store) append(ctx context.Context, page []byte, edge uint64) (size int, err error) {
	switch {
	case !s.loaded:
		return 0, errNotLoaded
	case s.open != nil:
		return 0, errOpen
	}
	if err := s.resolve(ctx); err != nil {
		return 0, err
	}
	if s.head.generation == 0 {
		return 0, errNoCheckpoint
	}
	binary.LittleEndian.PutUint64(page[headerSize:], s.after)
	binary.LittleEndian.PutUint64(page[headerSize+8:], edge)
	record, sum := seal(page, header{journalRecord, s.head.generation, s.next})
	kept := &s.kept[s.head.slot]
	kept.pages = max(kept.pages, int(s.next)+1)
	key := keyOf(journalKeys, s.head.slot, int(s.next))
	if err := s.kv.Set(ctx, key, record); err != nil {
		return 0, fmt.Errorf("write %s: %w", key, err)
	}
	s.next, s.after = s.next+1, sum
	return len(record), nil
}

// End writes what is left and that the flush is complete: the deltas of all
// outputs went out.
func (j *Journal) End(ctx context.Context) error {
	if !j.ended {
		j.ended = true
		e := &j.store.pages
		e.entries++
		e.buf = append(e.buf, endEntry)
	}
	_, err := j.Write(ctx)
	return err
}

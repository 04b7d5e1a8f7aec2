package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// Load reads and checks all that is there, one record at a time. A nil State
// means that there is none: a first start, or with an error that what is there
// cannot be used.
//
// ErrDamaged, ErrForeign and ErrNewerVersion say so; the state is then set aside
// and the Store begins anew. After any other error the storage could not be
// asked, and Load may be called again.
func (s *Store) Load(ctx context.Context) (*State, error) {
	*s = Store{kv: s.kv, known: known{}}
	record, err := s.kv.Get(ctx, headKey)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", headKey, err)
	}
	var st *State
	var bad error
	if record != nil {
		if st, err = s.read(ctx, record); unusable(err) {
			bad = err
		} else if err != nil {
			return nil, err
		}
	}
	gap := 0
	if st != nil && st.Damage != nil {
		gap = 1
	}
	if err := s.survey(ctx, gap); err != nil {
		return nil, err
	}
	s.loaded = true
	if bad != nil {
		return nil, s.setAside(ctx, record, bad)
	}
	if st != nil && st.Damage != nil {
		st.Damage = s.setTailAside(ctx, st.Damage)
	}
	s.sweep(ctx)
	return st, nil
}

func unusable(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrForeign) || errors.Is(err, ErrNewerVersion)
}

// survey finds out which keys are in use beside those that were read. gap is 1
// if the next record of the journal may be missing though others follow.
func (s *Store) survey(ctx context.Context, gap int) error {
	var err error
	for slot := range uint8(slots) {
		parts, pages := s.used(slot)
		if s.head.generation != 0 && slot == s.head.slot {
			pages += gap
		}
		if s.kept[slot].parts, err = s.measure(ctx, keysOf(partKeys, slot), parts); err != nil {
			return err
		}
		if s.kept[slot].pages, err = s.measure(ctx, keysOf(journalKeys, slot), pages); err != nil {
			return err
		}
	}
	return nil
}

// read checks a checkpoint and its journal.
func (s *Store) read(ctx context.Context, record []byte) (*State, error) {
	h, err := decodeHead(record)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", headKey, err)
	}
	s.head = h
	st := &State{
		Identity: h.identity, Taken: h.taken, Extra: h.extra,
		ctx: ctx, store: s, head: h, latest: map[outputID]latest{},
	}
	// A table of its own, so that nothing of what may turn out useless stays.
	try := &share{table: &stream.Table{}, bounds: spatial.NewBounds, kind: s.known.kind}
	for i := range h.parts {
		part, err := s.part(ctx, &h, i, try)
		if err != nil {
			return nil, err
		}
		for j := range part.Outputs {
			o := &part.Outputs[j]
			id := reference{o.Key, o.Variant, o.Rule}.id()
			if s.known.has(id) {
				return nil, fmt.Errorf("%s: %w: an output is there twice", keyOf(partKeys, h.slot, i), ErrDamaged)
			}
			s.known.add(id, o.Kind, markCurrent)
		}
	}
	s.after = h.sum
	if err := st.scan(ctx, try); err != nil {
		return nil, err
	}
	return st, nil
}

// part reads one part record.
func (s *Store) part(ctx context.Context, h *head, i int, with *share) (*consolidation.Part, error) {
	key := keyOf(partKeys, h.slot, i)
	record, err := s.kv.Get(ctx, key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", key, err)
	case record == nil:
		return nil, fmt.Errorf("%s: %w: it is missing", key, ErrDamaged)
	}
	payload, sum, err := openAs(record, header{partRecord, h.generation, uint32(i)}) //nolint:gosec // far below
	if err == nil && sum != h.parts[i] {
		err = fmt.Errorf("%w: it is not the one that the head names", ErrForeign)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	part, err := newDecoder(payload, with).part()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return part, nil
}

// errEnd is the end of the journal.
var errEnd = errors.New("no more records")

// page reads one record of the journal; visits do not count if there is an
// error. sum is the checksum of the record.
func (s *Store) page(
	ctx context.Context, h *head, i uint32, after uint64, with *share, visit visitor,
) (p page, sum uint64, err error) {
	key := keyOf(journalKeys, h.slot, int(i))
	record, err := s.kv.Get(ctx, key)
	if err != nil {
		return p, 0, fmt.Errorf("read %s: %w", key, err)
	}
	if record == nil {
		return p, 0, s.end(ctx, h, i)
	}
	got, payload, sum, err := open(record)
	want := header{journalRecord, h.generation, i}
	if err == nil && got != want {
		if got.kind == journalRecord && got.generation < h.generation {
			return p, 0, errEnd // of a generation that could not be deleted
		}
		err = fmt.Errorf("%w: it is %s, not %s", ErrForeign, got, want)
	}
	if err == nil {
		p, err = newDecoder(payload, with).page(visit)
	}
	if err == nil && p.after != after {
		err = fmt.Errorf("%w: it does not continue the record before", ErrForeign)
	}
	if err != nil {
		return p, 0, fmt.Errorf("%s: %w", key, err)
	}
	return p, sum, nil
}

// end returns errEnd, unless the journal goes on behind a record that is missing.
func (s *Store) end(ctx context.Context, h *head, i uint32) error {
	key := keyOf(journalKeys, h.slot, int(i)+1)
	record, err := s.kv.Get(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", key, err)
	case record == nil:
		return errEnd
	}
	return fmt.Errorf("%s: %w: it is missing", keyOf(journalKeys, h.slot, int(i)), ErrDamaged)
}

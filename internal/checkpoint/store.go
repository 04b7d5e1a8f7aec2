package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// KV is what is needed of a storage; the clients of Collector storage
// extensions have it. Get returns nil, nil for a key that is not there. A value
// is not touched again once it was passed to Set.
type KV interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Set(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
}

// The keys. Parts and journal records are numbered from 0 without gaps, and
// deleted from the last to the first, so that how many there are can always be
// found out by asking one after the other.
const headKey = "head"

// family is a numbered series of keys.
type family string

const (
	partKeys    family = "part"
	journalKeys family = "journal"
)

func keyOf(f family, slot uint8, i int) string { return fmt.Sprintf("%s/%d/%d", f, slot, i) }

func keysOf(f family, slot uint8) func(int) string {
	return func(i int) string { return keyOf(f, slot, i) }
}

var (
	errNotLoaded    = errors.New("the state was not loaded yet")
	errNoCheckpoint = errors.New("a journal continues a checkpoint, and there is none yet")
	errOpen         = errors.New("a checkpoint is being written")
)

// Store keeps the state of one engine in one storage. Its methods, and those of
// what it returns, are called by one goroutine at a time.
type Store struct {
	kv     KV
	loaded bool
	head   head // of the valid checkpoint; its generation is 0 if there is none
	known  known
	kept   [slots]extent

	next  uint32 // of the journal
	after uint64 // the checksum that its next record refers to
	pages encoder
	fresh []outputID // in the journal, but perhaps not in the storage

	open  *Checkpoint
	doubt *proposal
}

// extent is how many keys of a slot may be in use.
type extent struct {
	parts, pages int
}

// proposal is a head of which the storage did not say whether it is there.
type proposal struct {
	head   head
	record []byte
}

// Open returns the Store over a storage. Load comes next.
func Open(kv KV) *Store { return &Store{kv: kv, known: known{}} }

// resolve asks for the head if the storage failed when it was written. Until it
// is known which checkpoint is valid nothing may be written.
func (s *Store) resolve(ctx context.Context) error {
	if s.doubt == nil {
		return nil
	}
	record, err := s.kv.Get(ctx, headKey)
	if err != nil {
		return fmt.Errorf("find out which checkpoint is valid: %w", err)
	}
	if bytes.Equal(record, s.doubt.record) {
		s.adopt(ctx)
		return nil
	}
	slot := s.doubt.head.slot
	s.doubt = nil
	s.known.abort()
	_ = s.shrink(ctx, keysOf(partKeys, slot), &s.kept[slot].parts, 0) // see sweep
	return nil
}

// adopt makes the proposed head the valid one, and deletes what is not of it.
func (s *Store) adopt(ctx context.Context) {
	s.head, s.doubt = s.doubt.head, nil
	s.known.commit()
	s.fresh = s.fresh[:0]
	s.next, s.after = 0, s.head.sum
	s.sweep(ctx)
}

// sweep deletes what does not belong to the valid checkpoint. An error leaves
// keys that nothing refers to; they are counted, and go with the next sweep.
func (s *Store) sweep(ctx context.Context) {
	for slot := range uint8(slots) {
		parts, pages := s.used(slot)
		_ = s.shrink(ctx, keysOf(journalKeys, slot), &s.kept[slot].pages, pages)
		_ = s.shrink(ctx, keysOf(partKeys, slot), &s.kept[slot].parts, parts)
	}
}

// used is how many keys of a slot belong to the valid checkpoint.
func (s *Store) used(slot uint8) (parts, pages int) {
	if s.head.generation == 0 || slot != s.head.slot {
		return 0, 0
	}
	return len(s.head.parts), int(s.next)
}

// shrink deletes keys from the last down to a number of them.
func (s *Store) shrink(ctx context.Context, key func(int) string, n *int, to int) error {
	for ; *n > to; *n-- {
		if err := s.kv.Delete(ctx, key(*n-1)); err != nil {
			return fmt.Errorf("delete %s: %w", key(*n-1), err)
		}
	}
	return nil
}

// measure asks how many keys there are, if there are at least from.
func (s *Store) measure(ctx context.Context, key func(int) string, from int) (int, error) {
	for i := from; ; i++ {
		record, err := s.kv.Get(ctx, key(i))
		if err != nil {
			return i, fmt.Errorf("read %s: %w", key(i), err)
		}
		if record == nil {
			return i, nil
		}
	}
}

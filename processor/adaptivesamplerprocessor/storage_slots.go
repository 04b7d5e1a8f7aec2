package adaptivesamplerprocessor

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// slots is the state of one part in the storage. Its methods are called by one
// goroutine at a time, but for bytes.
type slots struct {
	client storage.Client
	signal string
	secret uint64

	current  slotHead
	occupied [2]int // how many records may be in a slot
	bytes    atomic.Int64
}

// slotHead says which records are valid. Keys are those of the part, in the order of
// the records.
type slotHead struct {
	Secret uint64      `json:"secret"`
	Slot   int         `json:"slot"`
	Keys   []slotEntry `json:"keys"`
}

// slotEntry is one record.
type slotEntry struct {
	Key string `json:"key"`
	Sum uint64 `json:"sum"`
}

func (s *slots) headKey() string { return s.signal + "/head" }

func (s *slots) recordKey(slot, i int) string {
	return fmt.Sprintf("%s/%c/%d", s.signal, 'a'+rune(slot), i) //nolint:gosec // there are two slots
}

// load reads the head; false means that there is no state, or with an error none
// that can be used. What a crash left behind is deleted.
func (s *slots) load(ctx context.Context) (found bool, err error) {
	record, err := s.client.Get(ctx, s.headKey())
	if err == nil && record != nil {
		var h slotHead
		if err = decodeRecord(record, &h); err == nil {
			switch {
			case h.Slot != 0 && h.Slot != 1:
				err = errDamaged
			case h.Secret != s.secret:
				err = errForeign
			default:
				s.current, found = h, true
			}
		}
	}
	s.occupied = [2]int{}
	if found {
		s.occupied[s.current.Slot] = len(s.current.Keys)
	}
	for slot := range s.occupied {
		s.sweep(ctx, slot)
	}
	return found, err
}

// sweep empties a slot beyond what is valid of it.
func (s *slots) sweep(ctx context.Context, slot int) {
	valid, end := s.occupied[slot], s.occupied[slot]
	for {
		record, err := s.client.Get(ctx, s.recordKey(slot, end))
		if err != nil || record == nil {
			break
		}
		end++
	}
	s.occupied[slot] = end
	s.shorten(ctx, slot, valid)
}

// shorten deletes the last records of a slot. What cannot be deleted is left for
// the next time.
func (s *slots) shorten(ctx context.Context, slot, to int) {
	for s.occupied[slot] > to {
		if s.client.Delete(ctx, s.recordKey(slot, s.occupied[slot]-1)) != nil {
			return
		}
		s.occupied[slot]--
	}
}

// read returns what was saved under a key, nil if nothing was.
func (s *slots) read(ctx context.Context, key string) ([]byte, error) {
	for i, e := range s.current.Keys {
		if e.Key != key {
			continue
		}
		value, err := s.client.Get(ctx, s.recordKey(s.current.Slot, i))
		switch {
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", key, err)
		case value == nil:
			return nil, fmt.Errorf("read %s: %w", key, errMissing)
		case xxhash.Sum64(value) != e.Sum:
			return nil, fmt.Errorf("read %s: %w", key, errDamaged)
		}
		return value, nil
	}
	return nil, nil
}

// save writes what a part hands over. Until it returns without an error the save
// before stays valid.
func (s *slots) save(ctx context.Context, from func(write func(key string, value []byte) error) error) error {
	next := slotHead{Secret: s.secret, Slot: 1 - s.current.Slot}
	size := 0
	err := from(func(key string, value []byte) error {
		i := len(next.Keys)
		if value == nil {
			value = []byte{}
		}
		next.Keys = append(next.Keys, slotEntry{key, xxhash.Sum64(value)})
		s.occupied[next.Slot] = max(s.occupied[next.Slot], i+1)
		size += len(value)
		return s.client.Set(ctx, s.recordKey(next.Slot, i), value)
	})
	if err != nil {
		return err
	}
	content, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the head: %w", err)
	}
	if err := s.client.Set(ctx, s.headKey(), sealRecord(content)); err != nil {
		return err
	}
	s.current = next
	s.bytes.Store(int64(size + len(content)))
	s.shorten(ctx, 1-next.Slot, 0)
	s.shorten(ctx, next.Slot, len(next.Keys))
	return nil
}

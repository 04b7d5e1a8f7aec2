package checkpoint

import (
	"context"
	"fmt"
)

// What cannot be used is kept under keys of this prefix until something else is
// set aside: a copy of each record as it was, numbered without gaps.
const asidePrefix = "aside/"

func asideKey(f family, i int) string { return fmt.Sprintf("%s%s/%d", asidePrefix, f, i) }

// setAside moves all that there is out of the way and returns why, extended by
// where it is. If it cannot be copied it stays until it is overwritten.
func (s *Store) setAside(ctx context.Context, record []byte, why error) error {
	s.head, s.next = head{}, 0
	clear(s.known)
	if err := s.copyAside(ctx, record); err != nil {
		return fmt.Errorf("%w; it could not be set aside: %w", why, err)
	}
	if err := s.kv.Delete(ctx, headKey); err != nil {
		return fmt.Errorf("%w; a copy is under %s, but the original stays: %w", why, asidePrefix, err)
	}
	s.sweep(ctx)
	return fmt.Errorf("%w; the whole state is set aside under %s%s, %s%s and %s%s",
		why, asidePrefix, headKey, asidePrefix, partKeys, asidePrefix, journalKeys)
}

// copyAside copies the head last, so that it is there only with all the rest.
func (s *Store) copyAside(ctx context.Context, record []byte) error {
	var err error
	parts, pages := 0, 0
	for slot := range uint8(slots) {
		if parts, err = s.copyFamily(ctx, partKeys, slot, 0, s.kept[slot].parts, parts); err != nil {
			return err
		}
		if pages, err = s.copyFamily(ctx, journalKeys, slot, 0, s.kept[slot].pages, pages); err != nil {
			return err
		}
	}
	if err := s.trimAside(ctx, parts, pages); err != nil {
		return err
	}
	if err := s.kv.Set(ctx, asidePrefix+headKey, record); err != nil {
		return fmt.Errorf("write %s: %w", asidePrefix+headKey, err)
	}
	return nil
}

// setTailAside moves the end of the journal, from the next record on, out of
// the way. If it cannot be copied it is overwritten.
func (s *Store) setTailAside(ctx context.Context, why error) error {
	slot := s.head.slot
	n, err := s.copyFamily(ctx, journalKeys, slot, int(s.next), s.kept[slot].pages, 0)
	if err == nil {
		err = s.trimAside(ctx, 0, n)
	}
	if err == nil {
		err = s.kv.Delete(ctx, asidePrefix+headKey)
	}
	if err != nil {
		return fmt.Errorf("%w; it could not be set aside: %w", why, err)
	}
	return fmt.Errorf("%w; the journal up to there is used, the rest is set aside under %s%s", why, asidePrefix, journalKeys)
}

// copyFamily copies the records [from, to) of a slot behind n that are aside
// already, and returns how many there are then.
func (s *Store) copyFamily(ctx context.Context, f family, slot uint8, from, to, n int) (int, error) {
	for i := from; i < to; i++ {
		record, err := s.kv.Get(ctx, keyOf(f, slot, i))
		if err != nil {
			return n, fmt.Errorf("read %s: %w", keyOf(f, slot, i), err)
		}
		if record == nil {
			continue
		}
		if err := s.kv.Set(ctx, asideKey(f, n), record); err != nil {
			return n, fmt.Errorf("write %s: %w", asideKey(f, n), err)
		}
		n++
	}
	return n, nil
}

// trimAside deletes what is left of what was set aside before.
func (s *Store) trimAside(ctx context.Context, parts, pages int) error {
	for f, keep := range map[family]int{partKeys: parts, journalKeys: pages} {
		key := func(i int) string { return asideKey(f, i) }
		n, err := s.measure(ctx, key, keep)
		if err == nil {
			err = s.shrink(ctx, key, &n, keep)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

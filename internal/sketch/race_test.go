package sketch_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// shared is a table as the tracker shares it: one writer behind a lock that is
// not needed here, readers without one.
type shared struct {
	table atomic.Pointer[sketch.Table]
	// progress is the epoch and how many of its hashes are in the table, as one
	// word, so that a reader knows what it must find. It is 0 between epochs.
	progress atomic.Uint64
	done     atomic.Bool
}

// universe is how many hashes there are. In epoch e only those with an index
// that is e modulo turns are touched, the last turn never is.
const (
	universe = 4000
	turns    = 5
)

func raceHash(i uint64) uint64 { return (i + 1) * 0x9e3779b97f4a7c15 }

// pause is after how many epochs the stored ones repeat.
const pause = 65535

// write touches the turn of each epoch and rotates, with a pause now and then.
func (s *shared) write(epochs int) {
	defer s.done.Store(true)
	now := sketch.Epoch(1)
	for e := range epochs {
		if now++; e%10 == 9 {
			now += pause - 1
		}
		s.progress.Store(0)
		s.table.Store(rotate(s.table.Load(), now))
		s.progress.Store(uint64(now) << 32)
		n := uint64(0)
		for i := uint64(now) % (turns - 1); i < universe; i += turns {
			s.table.Store(room(s.table.Load()))
			s.table.Load().Touch(raceHash(i))
			n++
			s.progress.Store(uint64(now)<<32 | n)
		}
	}
}

// read asks for hashes until the writer is done.
func (s *shared) read(random uint64) error {
	for rounds := 0; !s.done.Load() || rounds < 100; rounds++ {
		random = random*6364136223846793005 + 1442695040888963407
		before := s.progress.Load()
		now, n := sketch.Epoch(before>>32), before&0xffffffff
		turn, i := uint64(now)%(turns-1), random>>33%universe
		seen := s.table.Load().Seen(raceHash(i), now)
		if n == 0 || s.progress.Load()>>32 != uint64(now) {
			continue // the writer moved on
		}
		switch {
		case seen && i%turns != turn:
			return fmt.Errorf("hash %d was never touched in epoch %d, yet it was seen", i, now)
		case !seen && i%turns == turn && i/turns < n:
			return fmt.Errorf("hash %d was touched in epoch %d, yet it was not seen", i, now)
		}
	}
	return nil
}

// Readers see no hash before it was touched and every hash after, while the one
// writer touches, rotates, resizes and pauses.
func TestReadersAgreeWithTheWriter(t *testing.T) {
	const readers = 4
	var s shared
	s.table.Store(sketch.NewTable(2, 1))
	errs := make([]error, readers)
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() { errs[r] = s.read(uint64(r)) })
	}
	wg.Go(func() { s.write(100) })
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestACacheMayBeSharedByAll(t *testing.T) {
	const workers, n = 4, 20_000
	cache := sketch.NewCache(10)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range uint64(n) {
				hash, now := raceHash(i%universe), sketch.Epoch(i/1000+1)
				cache.Mark(hash, now)
				if cache.Has(raceHash(universe+i), now) {
					errs[w] = fmt.Errorf("hash %d was never marked", universe+i)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

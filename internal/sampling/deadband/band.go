package deadband

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Settings bound a Band.
type Settings struct {
	// MaxSeries is how many series are remembered. A new one beyond it takes the
	// place of one that is idle; if none is found soon, its points pass. Default:
	// 1,000,000.
	MaxSeries int
	// Idle is how long a series that sends nothing is remembered. It should be a
	// few heartbeats. Default: 10m.
	Idle time.Duration
	// Shards is how many goroutines can work at a time, a power of two. Default:
	// 16.
	Shards int
	// Identity names what the keys depend on, say the secret that they are hashed
	// with: state of another identity is not restored.
	Identity uint64
}

const (
	defaultMaxSeries = 1_000_000
	defaultIdle      = 10 * time.Minute
	defaultShards    = 16
	maxShards        = 4096
)

func (s *Settings) fill() error {
	var errs error
	if s.MaxSeries < 0 {
		errs = errors.Join(errs, fmt.Errorf("max_series: must not be negative, got %d", s.MaxSeries))
	}
	if s.Idle < 0 || s.Idle > 0 && s.Idle < time.Second {
		errs = errors.Join(errs, fmt.Errorf("idle: must be at least 1s, got %s", s.Idle))
	}
	if s.Shards < 0 || s.Shards > maxShards || s.Shards&(s.Shards-1) != 0 {
		errs = errors.Join(errs, fmt.Errorf("shards: must be a power of two of at most %d, got %d", maxShards, s.Shards))
	}
	if s.MaxSeries == 0 {
		s.MaxSeries = defaultMaxSeries
	}
	if s.Idle == 0 {
		s.Idle = defaultIdle
	}
	if s.Shards == 0 {
		s.Shards = defaultShards
	}
	return errs
}

// Stats are what happened to series since the Band was made.
type Stats struct {
	// Series are those that are remembered now.
	Series int
	// Evicted are those that were forgotten because they were idle. Abandoned are
	// those of them whose last point had been left out: nobody sends it any more.
	Evicted, Abandoned uint64
}

// Band leaves out the points that a reader can do without. It is safe for use
// by many goroutines; the points of one series have to come one after the other.
type Band struct {
	shards   []shard
	mask     uint64
	max      int64
	idle     uint32 // seconds
	identity uint64
	shapes   shapes

	series             atomic.Int64
	evicted, abandoned atomic.Uint64
	owned              [MaxOwners]atomic.Int64
}

// shard holds some of the series under one lock.
type shard struct {
	mu      sync.Mutex
	numbers table[number, *number]
	buckets table[buckets, *buckets]
	shot    shot      // scratch
	last    []float64 // scratch
	counts  []uint64  // scratch

	_ [64]byte // neighbours do not share a cache line
}

// New returns a Band that remembers nothing.
func New(s Settings) (*Band, error) {
	if err := s.fill(); err != nil {
		return nil, err
	}
	return &Band{
		shards: make([]shard, s.Shards), mask: uint64(s.Shards - 1), max: int64(s.MaxSeries), idle: uint32(min(s.Idle/time.Second, math.MaxInt32)), //nolint:gosec // in range
		identity: s.Identity,
	}, nil
}

func (b *Band) shard(k Key) *shard { return &b.shards[k.B&b.mask] }

// secondsOf is never 0, which marks what is free.
func secondsOf(now uint64) uint32 {
	return max(1, uint32(min(now/uint64(time.Second), math.MaxUint32)))
}

// room makes room for one more series, if need be in place of an idle one.
func (b *Band) room(s *shard, now uint32) bool {
	if b.series.Add(1) <= b.max {
		return true
	}
	before := b.idleSince(now)
	if ref, e := s.numbers.victim(before); e != nil {
		evict(b, &s.numbers, ref, e)
		return true
	}
	if ref, e := s.buckets.victim(before); e != nil {
		evict(b, &s.buckets, ref, e)
		return true
	}
	b.series.Add(-1)
	return false
}

func (b *Band) idleSince(now uint32) uint32 { return now - min(now, b.idle) }

func evict[T any, P element[T]](b *Band, t *table[T, P], ref uint32, e P) {
	b.evicted.Add(1)
	if e.pending() {
		b.abandoned.Add(1)
	}
	forget(b, t, ref, e)
}

func forget[T any, P element[T]](b *Band, t *table[T, P], ref uint32, e P) {
	b.series.Add(-1)
	b.own(e.owner(), 0)
	t.remove(ref)
}

// own moves a series from one owner to another; 0 is nobody.
func (b *Band) own(from, to uint16) {
	if from == to {
		return
	}
	if from != 0 {
		b.owned[from%MaxOwners].Add(-1)
	}
	if to != 0 {
		b.owned[to%MaxOwners].Add(1)
	}
}

// Owned is how many series are remembered of the rules with this Owner.
func (b *Band) Owned(owner uint16) int { return int(b.owned[owner%MaxOwners].Load()) }

// Expire forgets the series from which nothing came for Settings.Idle. It is to
// be called now and then, say once a minute.
func (b *Band) Expire(now uint64) {
	before := b.idleSince(secondsOf(now))
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		s.numbers.each(func(ref uint32, e *number) {
			if e.idle(before) {
				evict(b, &s.numbers, ref, e)
			}
		})
		s.buckets.each(func(ref uint32, e *buckets) {
			if e.idle(before) {
				evict(b, &s.buckets, ref, e)
			}
		})
		s.numbers.expireHoles(before)
		s.buckets.expireHoles(before)
		s.mu.Unlock()
	}
}

// Stats returns what is remembered and what was forgotten.
func (b *Band) Stats() Stats {
	return Stats{Series: int(b.series.Load()), Evicted: b.evicted.Load(), Abandoned: b.abandoned.Load()}
}

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
}

// shard holds some of the series under one lock.
type shard struct {
	mu      sync.Mutex
	numbers table[number, *number]
	buckets table[buckets, *buckets]
	shot    shot      // scratch
	last    []float64 // scratch

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

// Observe decides about a point under a valid rule. If the outcome says so, the
// point in before is to be sent first. It does not allocate for a known series,
// unless the layout of a histogram changes.
func (b *Band) Observe(p *Point, r *Rule, before *Before) Outcome {
	if p.Kind >= Histogram {
		return b.observeBuckets(p, r, before)
	}
	if t := p.Sum.Time; !p.Stale && (t == 0 || t > math.MaxInt64) {
		return Outcome{Reason: NoTime}
	}
	now := secondsOf(p.Now)
	s := b.shard(p.Series)
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, e := s.numbers.find(p.Series)
	switch {
	case p.Stale:
		o := Outcome{Reason: Ended}
		if e != nil {
			o.Before = e.recall(before)
			s.numbers.remove(ref)
			b.series.Add(-1)
		}
		return o
	case e != nil:
		e.seen = now
		return e.next(p, r, before)
	case !b.room(s, now):
		return Outcome{Reason: NoRoom}
	}
	_, e = s.numbers.insert(p.Series)
	e.key, e.seen = p.Series, now
	e.begin(p, r)
	return Outcome{Reason: First}
}

func (b *Band) observeBuckets(p *Point, r *Rule, before *Before) Outcome {
	now := secondsOf(p.Now)
	s := b.shard(p.Series)
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, e := s.buckets.find(p.Series)
	if p.Stale {
		return b.endBuckets(s, ref, before, Ended)
	}
	x := &s.shot
	bad := x.take(p)
	switch t := x.span.Time; {
	case bad == Within && (t == 0 || t > math.MaxInt64):
		return Outcome{Reason: NoTime}
	case bad != Within:
		// It cannot be compared with anything, and nothing with it.
		return b.endBuckets(s, ref, before, bad)
	case e != nil:
		e.seen = now
		return e.next(p, x, r, before, &s.last)
	case !b.room(s, now):
		return Outcome{Reason: NoRoom}
	}
	_, e = s.buckets.insert(p.Series)
	e.key, e.seen = p.Series, now
	e.begin(p, x, r)
	return Outcome{Reason: First}
}

// endBuckets forgets a histogram for a reason that passes.
func (b *Band) endBuckets(s *shard, ref uint32, before *Before, why Reason) Outcome {
	o := Outcome{Reason: why}
	if ref != 0 {
		e := s.buckets.at(ref)
		o.Before = e.recall(before)
		s.buckets.remove(ref)
		b.series.Add(-1)
	}
	return o
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
		b.evict(e.flags)
		s.numbers.remove(ref)
		return true
	}
	if ref, e := s.buckets.victim(before); e != nil {
		b.evict(e.flags)
		s.buckets.remove(ref)
		return true
	}
	b.series.Add(-1)
	return false
}

func (b *Band) idleSince(now uint32) uint32 { return now - min(now, b.idle) }

func (b *Band) evict(f flags) {
	b.series.Add(-1)
	b.evicted.Add(1)
	if f.has(left) {
		b.abandoned.Add(1)
	}
}

// Expire forgets the series from which nothing came for Settings.Idle. It is to
// be called now and then, say once a minute.
func (b *Band) Expire(now uint64) {
	before := b.idleSince(secondsOf(now))
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		s.numbers.each(func(ref uint32, e *number) {
			if e.idle(before) {
				b.evict(e.flags)
				s.numbers.remove(ref)
			}
		})
		s.buckets.each(func(ref uint32, e *buckets) {
			if e.idle(before) {
				b.evict(e.flags)
				s.buckets.remove(ref)
			}
		})
		s.mu.Unlock()
	}
}

// Stats returns what is remembered and what was forgotten.
func (b *Band) Stats() Stats {
	return Stats{Series: int(b.series.Load()), Evicted: b.evicted.Load(), Abandoned: b.abandoned.Load()}
}

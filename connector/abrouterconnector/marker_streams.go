package abrouterconnector

import (
	"sync"
	"sync/atomic"
	"time"
)

// phases is for how many intervals of the inputs a change of weight goes on: an
// input may send just before it, and once more be late.
const phases = 2

// within returns the assignment while the change to it goes on, and nil after.
func (a *assignment) within(now time.Time, phase time.Duration) *assignment {
	if a.before != a.weight && !a.changedAt.IsZero() && now.Before(a.changedAt.Add(phase)) {
		return a
	}
	if a.moved.earlier.Load() != nil { // batches share the cache line
		a.moved.earlier.Store(nil)
	}
	return nil
}

// movedStreams are the streams that moved by one change and had the point that
// both arms get. It is guarded by overlaps.
type movedStreams struct {
	seen map[uint64]struct{}
	// earlier is the assignment that was replaced by this one. A stream that moved
	// by it, and has sent nothing since, still owes its marker.
	earlier atomic.Pointer[assignment]
}

// follows says which assignment is replaced.
func (m *movedStreams) follows(a *assignment) { m.earlier.Store(a) }

// after returns the change before this one, if it still goes on.
func (m *movedStreams) after(now time.Time, phase time.Duration) *assignment {
	x := m.earlier.Load()
	if x == nil || x.within(now, phase) != nil {
		return x
	}
	m.earlier.Store(nil)
	return nil
}

// overlaps bounds what is remembered of moved streams.
type overlaps struct {
	phase time.Duration
	max   int

	mu   sync.Mutex
	used int
	open []*assignment
	// next is when the first of open is over, as Unix time in ns; 0: none is open.
	next atomic.Int64
}

// taken is whether a stream may have the point that both arms get.
type taken uint8

const (
	tookBefore taken = iota // it had it
	tookFirst               // it has it now
	tookNone                // there is no room to remember it
)

func (o *overlaps) take(by *assignment, stream uint64) taken {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := by.moved.seen
	if _, ok := seen[stream]; ok {
		return tookBefore
	}
	if o.used >= o.max {
		return tookNone
	}
	if seen == nil {
		seen = map[uint64]struct{}{}
		by.moved.seen = seen
		o.open = append(o.open, by)
		if until := by.changedAt.Add(o.phase).UnixNano(); o.next.Load() == 0 || until < o.next.Load() {
			o.next.Store(until)
		}
	}
	seen[stream] = struct{}{}
	o.used++
	return tookFirst
}

// shared is a stream that has just had the point that both arms get.
type shared struct {
	by     *assignment
	stream uint64
}

func (o *overlaps) forget(list []shared) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range list {
		if _, ok := s.by.moved.seen[s.stream]; ok {
			delete(s.by.moved.seen, s.stream)
			o.used--
		}
	}
}

// sweep forgets the streams of changes that are over. It costs an atomic load
// when there is nothing to do.
func (o *overlaps) sweep(now time.Time) {
	if next := o.next.Load(); next == 0 || now.UnixNano() < next {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	left, next := o.open[:0], int64(0)
	for _, a := range o.open {
		until := a.changedAt.Add(o.phase)
		if !now.Before(until) {
			o.used -= len(a.moved.seen)
			a.moved.seen = nil
			continue
		}
		left = append(left, a)
		if at := until.UnixNano(); next == 0 || at < next {
			next = at
		}
	}
	clear(o.open[len(left):])
	o.open = left
	o.next.Store(next)
}

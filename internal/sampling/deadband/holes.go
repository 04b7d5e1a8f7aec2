package deadband

import (
	"math"
	"slices"
)

// hole is what is known of a series of which points were refused after they had
// been sent: what the reader lacks, if nobody sends it again.
type hole[T any] struct {
	// windows are the times of the points that it lacks. Nothing was left out there
	// because of a value that was sent there, so a point of such a time may come
	// late.
	windows []window
	// owed is the series with each point that had been left out, was sent ahead of
	// another, and refused with it: its sender will not send it again.
	owed []*T
	// since is the time of the earliest point that was refused. From then on what is
	// late is one of them, and no sign of a clock that was set back. until is that of
	// the latest one: before it nothing is left out, for that point may come.
	since, until uint64
	seen         uint32
}

// window is a time, without its ends.
type window struct{ from, to uint64 }

// maxWindows bounds those of a series; what is older than all of them is late.
const maxWindows = 32

// always is the end of a window that a point has yet to close.
const always = math.MaxUint64

func (h *hole[T]) covers(at uint64) bool {
	return slices.ContainsFunc(h.windows, func(w window) bool { return at > w.from && at < w.to })
}

func (h *hole[T]) add(w window) {
	if w.to <= w.from+1 || slices.Contains(h.windows, w) {
		return
	}
	if len(h.windows) == maxWindows {
		h.windows = slices.Delete(h.windows, 0, 1)
	}
	h.windows = append(h.windows, w)
}

func (h *hole[T]) owe(e *T) {
	if len(h.owed) < maxWindows {
		h.owed = append(h.owed, e)
	}
}

func (h *hole[T]) refused(at uint64) { h.since, h.until = min(h.since, at), max(h.until, at) }

// close ends what is open: from this time on the reader has points again.
func (h *hole[T]) close(at uint64) {
	for i := range h.windows {
		h.windows[i].to = min(h.windows[i].to, at)
	}
}

// hole returns that of a series, and makes it if there is none.
func (t *table[T, P]) hole(k Key, now uint32) *hole[T] {
	h := t.holes[k]
	if h == nil {
		h = &hole[T]{since: always}
		if t.holes == nil {
			t.holes = map[Key]*hole[T]{}
		}
		t.holes[k] = h
	}
	h.seen = now
	return h
}

func (t *table[T, P]) fill(k Key) {
	if delete(t.holes, k); len(t.holes) == 0 {
		t.holes = nil // a map keeps the memory of its largest size
	}
}

// pay lends a point that is owed, if the outcome has none to send ahead yet.
func (t *table[T, P]) pay(k Key, o *Outcome, before *Before) {
	h := t.holes[k]
	if h == nil || len(h.owed) == 0 || o.Before {
		return
	}
	owed := h.owed[0]
	h.owed = h.owed[1:]
	o.Before = P(owed).recall(before)
	before.repay = func() { h.owe(owed) }
}

// mend decides about a point of a series that has a hole. next decides as if it
// had none.
func (t *table[T, P]) mend(e P, at uint64, before *Before, next func() Outcome) Outcome {
	k := e.identity()
	h := t.holes[k]
	var o Outcome
	switch last := e.latest(); {
	case h == nil:
		return next()
	case at > last:
		if o = next(); at < h.until {
			e.refuse()
		} else {
			h.close(at)
		}
	case h.covers(at):
		o.Reason = Retried
	case at == last && at != 0:
		o.Reason = Duplicate
	case at >= h.since:
		o.Reason = Late
	default:
		if o = next(); o.Reason == ClockBack {
			h.windows = nil // they are of the time of the other clock
		}
	}
	t.pay(k, &o, before)
	return o
}

// expireHoles forgets those that nobody filled since before.
func (t *table[T, P]) expireHoles(before uint32) {
	for k, h := range t.holes {
		if h.seen < before {
			t.fill(k)
		}
	}
}

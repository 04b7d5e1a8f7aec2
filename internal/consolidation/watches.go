package consolidation

import (
	"maps"
	"math"
	"slices"
	"sync"
)

// watches knows since when rules watch, and of inputs without an output which
// rules may go on with them.
//
// A rule that watched already when an input was let go, or that began in the
// same change, goes on with it: none of its points passed in between. One that
// began later must not, also if it is the same rule again, unless others took all
// that came in between: see Coverer. So an input that was let go has, in place of
// its output, the number of a release: 4 bytes that it has anyway.
type watches struct {
	mu     sync.Mutex
	since  map[RuleID]uint64
	latest uint64 // of since, ever

	releases []release           // by their numbers
	vacant   []uint32            // places among them
	closed   uint64              // the latest until of changes that are over
	open     bool                // a change is under way, whose release has
	current  uint32              // this number
	waiting  map[RuleID]uint32   // releases
	strays   map[RuleID]struct{} // rules of outputs that were made when the rule was gone
	moved    map[RuleID]struct{} // rules that went on in another engine
}

// release is that of the inputs that were let go together.
type release struct {
	until uint64 // rules that began then or before go on; 0: a free place
	rule  RuleID // not 0: it waits for the end of the rule, by which the inputs went
	fresh bool   // of the change under way
	used  bool   // by an input, at this edge
}

const (
	// limbo is the first number that is not that of an output but of a release.
	limbo = 1 << 27
	// anyRule is until of a release that waits.
	anyRule = math.MaxUint64
)

// watch returns since when a rule watches, which is now if it is new.
func (w *watches) watch(rule RuleID, now uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if since, known := w.since[rule]; known {
		return since
	}
	if w.closed > 0 {
		now = max(now, w.closed+1) // also if the clock was set back
	}
	w.raise(now)
	w.since[rule], w.latest = now, max(w.latest, now)
	delete(w.moved, rule)
	return now
}

func (w *watches) activation(rule RuleID) (since uint64, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, known = w.since[rule]
	return since, known
}

// end ends rules and returns what takes the place of the output of inputs that
// are let go.
func (w *watches) end(rules map[RuleID]struct{}, edge uint64) (to uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open {
		w.open, w.current = true, w.add(release{until: 1, fresh: true})
	}
	for rule := range rules {
		delete(w.since, rule)
		delete(w.strays, rule)
		if n, waits := w.waiting[rule]; waits {
			w.releases[n] = release{until: 1, fresh: true, used: true}
			delete(w.waiting, rule)
		}
	}
	w.raise(max(edge, w.latest))
	return limbo | w.current
}

// raise lets rules go on in this change that began until then.
func (w *watches) raise(until uint64) {
	for n := range w.releases {
		if r := &w.releases[n]; r.fresh {
			r.until = max(r.until, until)
		}
	}
}

// add returns the number of a new release.
func (w *watches) add(r release) uint32 {
	r.used = true
	if last := len(w.vacant) - 1; last >= 0 {
		n := w.vacant[last]
		w.vacant, w.releases[n] = w.vacant[:last], r
		return n
	}
	w.releases = append(w.releases, r)
	return uint32(len(w.releases) - 1) //nolint:gosec // far below limbo
}

// settle ends a change and returns the latest release of all.
func (w *watches) settle() (closed uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open {
		return w.closed
	}
	w.open = false
	for n := range w.releases {
		if r := &w.releases[n]; r.fresh {
			r.fresh, w.closed = false, max(w.closed, r.until)
		}
	}
	return w.closed
}

// wait returns what takes the place of the output of an input whose output ended
// before its rule.
func (w *watches) wait(rule RuleID) (to uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, waits := w.waiting[rule]
	if !waits {
		n = w.add(release{until: anyRule, rule: rule})
		if w.waiting == nil {
			w.waiting = map[RuleID]uint32{}
		}
		w.waiting[rule] = n
	}
	w.releases[n].used = true
	return limbo | n
}

// restore returns what takes the place of the output of an input that was let go
// before a restart.
func (w *watches) restore(until uint64) (to uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	until = max(until, 1)
	for n := range w.releases {
		if r := &w.releases[n]; r.until == until && r.rule == 0 && !r.fresh {
			r.used = true
			return limbo | uint32(n)
		}
	}
	w.closed = max(w.closed, until)
	return limbo | w.add(release{until: until})
}

// released returns the release of an input without an output; false for others.
func (w *watches) released(to uint32) (r release, free bool) {
	to &= refMask
	if to < limbo {
		return r, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.releases[to-limbo], true
}

// goOn reports whether a rule that began at a time may go on with what an input
// remembers: see watches. d is asked if that is not clear.
func (w *watches) goOn(to uint32, since uint64, d Describer) bool {
	r, free := w.released(to)
	if !free || since <= r.until {
		return true
	}
	c, knows := d.(Coverer)
	return knows && c.Covered(r.until)
}

// use notes that an input has a release.
func (w *watches) use(to uint32) {
	w.mu.Lock()
	w.releases[to&refMask-limbo].used = true
	w.mu.Unlock()
}

// sweep forgets releases that no input has, after all were asked at an edge.
func (w *watches) sweep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range w.releases {
		r := &w.releases[n]
		if !r.used && r.until != 0 {
			delete(w.waiting, r.rule)
			*r = release{}
			w.vacant = append(w.vacant, uint32(n))
		}
		r.used = false
	}
	if len(w.vacant) == len(w.releases) {
		w.releases, w.vacant = nil, nil
	}
}

// stray notes that an output was made or fed for a rule that is gone. The lock of
// the shard is held, so the rule ends there before, or sees the output.
func (w *watches) stray(rule RuleID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, watched := w.since[rule]; watched {
		return
	}
	if w.strays == nil {
		w.strays = map[RuleID]struct{}{}
	}
	w.strays[rule] = struct{}{}
}

// strayed returns the rules that are gone and have outputs, or inputs that wait,
// all the same.
func (w *watches) strayed() []RuleID {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := func(rule RuleID) bool {
		_, watched := w.since[rule]
		return !watched
	}
	var list []RuleID
	for rule := range w.strays {
		if gone(rule) {
			list = append(list, rule)
		}
	}
	for rule := range w.waiting {
		if gone(rule) {
			list = append(list, rule)
		}
	}
	w.strays = nil
	slices.Sort(list)
	return slices.Compact(list)
}

// now returns a release with which the rules go on that watch by now.
func (w *watches) now(now uint64) (until uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(now, w.latest)
}

// copied returns since when each rule watches.
func (w *watches) copied() map[RuleID]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.since)
}

// take takes over since when rules watched before a restart.
func (w *watches) take(since map[RuleID]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(w.since, since)
	for _, at := range since {
		w.latest = max(w.latest, at)
	}
}

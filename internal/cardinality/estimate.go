package cardinality

import (
	"slices"
	"sync"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// hllPool lends sketches of one precision to analyses.
type hllPool struct{ pool sync.Pool }

func newHLLPool(precision uint8) *hllPool {
	return &hllPool{pool: sync.Pool{New: func() any { return sketch.NewHLL(precision) }}}
}

// byShape is one union a shape.
type byShape []*sketch.HLL

// get returns empty sketches.
func (p *hllPool) get(n int) byShape {
	s := make(byShape, n)
	for i := range s {
		s[i] = p.pool.Get().(*sketch.HLL) //nolint:forcetypeassert // the pool holds nothing else
		s[i].Reset()
	}
	return s
}

func (p *hllPool) put(s byShape) {
	for _, sk := range s {
		p.pool.Put(sk)
	}
}

// estimate counts backend series: each part counts once for every distinct set
// of labels that has it.
func (p *hllPool) estimate(s byShape, sh *shapes) float64 {
	if len(s) == 1 {
		return float64(sh.counts[0]) * float64(s[0].Estimate())
	}
	sum := 0.0
	union := p.get(1)
	defer p.put(union)
	for class, n := range sh.classes {
		union[0].Reset()
		for i, sk := range s {
			if class&(1<<i) != 0 {
				sketch.Merge(union[0], sk)
			}
		}
		sum += float64(n) * float64(union[0].Estimate())
	}
	return sum
}

// merged is the union of the sub-windows of a span.
type merged struct {
	pool    *hllPool
	all     byShape
	without []byShape // by attribute; nil: the same as all
	groups  []mergedGroup
}

// mergedGroup is a group's union, and that of all series over the sub-windows
// in which the group was counted.
type mergedGroup struct {
	group
	without, all byShape
}

// merge unites the sub-windows from oldest on. The caller holds the lock; it
// costs about 14 µs a sketch and sub-window.
func (l *large) merge(pool *hllPool, oldest sketch.Epoch, attrs []attribute) *merged {
	n := len(l.shapes)
	r := &merged{pool: pool, all: pool.get(n), without: make([]byShape, len(attrs))}
	for i := range attrs {
		if attrs[i].isLabel() {
			r.without[i] = pool.get(n)
		}
	}
	for _, g := range l.groups {
		if l.epoch > g.since { // at least one whole sub-window
			r.groups = append(r.groups, mergedGroup{group: g, without: pool.get(n), all: pool.get(n)})
		}
	}
	for s, ring := range l.shapes {
		for w := range ring.windows {
			if win := &ring.windows[w]; win.epoch >= oldest && win.epoch > 0 {
				r.add(s, win, l.groups)
			}
		}
	}
	return r
}

func (r *merged) add(shape int, win *subWindow, groups []group) {
	sketch.Merge(r.all[shape], win.all)
	for i, dst := range r.without {
		if dst == nil {
			continue
		}
		src := win.all
		if i < len(win.without) {
			src = win.without[i].or(win.all)
		}
		sketch.Merge(dst[shape], src)
	}
	for i := range r.groups {
		g := &r.groups[i]
		at := indexOfGroup(groups, g.members)
		if win.epoch < g.since || at >= len(win.groups) {
			continue
		}
		sketch.Merge(g.without[shape], win.groups[at].or(win.all))
		sketch.Merge(g.all[shape], win.all)
	}
}

func indexOfGroup(groups []group, members []int) int {
	for i := range groups {
		if slices.Equal(groups[i].members, members) {
			return i
		}
	}
	return len(groups)
}

func (r *merged) free() {
	r.pool.put(r.all)
	for _, s := range r.without {
		r.pool.put(s)
	}
	for _, g := range r.groups {
		r.pool.put(g.without)
		r.pool.put(g.all)
	}
}

// snapshotLarge merges the sketches and returns the analysis of the unions.
func (m *Metric) snapshotLarge(oldest sketch.Epoch, epochs int) func() *Analysis {
	attrs := append([]attribute(nil), m.attrs.list...)
	unions := m.large.merge(m.tracker.sketches, oldest, attrs)
	sh := m.shapes.clone()
	streams := uint64(m.seen.Load().Count(epochs)) //nolint:gosec // a count
	distinct := make([]uint64, len(attrs))
	for i := range attrs {
		distinct[i] = attrs[i].values.count(epochs)
	}
	precision := m.tracker.settings.Precision
	billStreams := m.tracker.settings.Backend.Streams()
	return func() *Analysis {
		defer unions.free()
		a := &Analysis{Streams: streams, Estimated: true, RelativeError: sketch.StandardError(precision)}
		a.Series = round(unions.pool.estimate(unions.all, &sh))
		if billStreams { // the table knows
			a.Series, a.RelativeError = streams, 0
		}
		without := make([]uint64, len(attrs))
		for i := range attrs {
			without[i] = a.Series
			if unions.without[i] != nil && distinct[i] > 0 {
				without[i] = round(unions.pool.estimate(unions.without[i], &sh))
			}
		}
		position := a.fill(attrs, distinct, without)
		for _, g := range unions.groups {
			if all := unions.pool.estimate(g.all, &sh); all > 0 {
				share := unions.pool.estimate(g.without, &sh) / all
				a.addGroup(g.members, position, round(share*float64(a.Series)), g.since)
			}
		}
		return a
	}
}

// correlate starts a count of pairs in a large metric whose candidates have
// changed, or that was not looked at for a window.
func (m *Metric) correlate() {
	m.mu.Lock()
	due := m.large != nil && m.large.pairs == nil && m.epoch >= m.large.lookAgain
	m.mu.Unlock()
	if !due {
		return
	}
	a := m.analyse(m.tracker.settings.SubWindows)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.large == nil || m.large.pairs != nil {
		return
	}
	m.large.lookAgain = m.epoch + sketch.Epoch(m.tracker.settings.SubWindows) //nolint:gosec // a window is short
	distinct, without := make([]uint64, len(m.attrs.list)), make([]uint64, len(m.attrs.list))
	for _, c := range a.Attributes {
		if !c.Rest {
			i := m.attrs.index[attributeKey{c.Domain, c.Key}]
			distinct[i], without[i] = c.Distinct, c.Without
		}
	}
	cands := candidates(a.Series, m.attrs.list, distinct, without)
	if len(cands) < 2 {
		m.installGroups(nil)
		return
	}
	if m.reserveLarge(pairsBytes) {
		m.large.pairs = newPairs(cands, m.tracker.settings.Hasher, m.epoch)
	}
}

package cardinality

import "github.com/phoenix-platform/phoenix/internal/sketch"

// large holds the sketches of a metric with many series.
type large struct {
	window    int
	precision uint8
	epoch     sketch.Epoch
	shapes    []*ring // by shape
	groups    []group // label groups that are being counted
	pairs     *pairs  // correlation of candidates, counted for one sub-window
	// lookAgain is when candidates are looked for again.
	lookAgain sketch.Epoch
	bytes     int // taken from the bound
}

// ring is a window of sub-windows.
type ring struct {
	windows []subWindow // by epoch modulo the window
}

// subWindow counts the series of one epoch and shape: all of them, and those
// left without each attribute and each group.
type subWindow struct {
	epoch   sketch.Epoch
	all     *sketch.HLL
	without []counter // by attribute
	groups  []counter // by group
}

// counter is a sketch that is used only once it differs from the sketch of all
// series: until a series has the attribute, N∖a = N.
type counter struct {
	hll  *sketch.HLL
	used bool
}

// split starts the sketch as a copy of all.
func (c *counter) split(all *sketch.HLL, precision uint8) {
	if c.hll == nil {
		c.hll = sketch.NewHLL(precision)
	}
	sketch.Union(c.hll, all)
	c.used = true
}

// or returns the sketch, or the one of all series if it is not used.
func (c *counter) or(all *sketch.HLL) *sketch.HLL {
	if c.used {
		return c.hll
	}
	return all
}

func newLarge(window int, precision uint8, now sketch.Epoch) *large {
	return &large{window: window, precision: precision, epoch: now}
}

func newRing(window int, precision uint8, now sketch.Epoch) *ring {
	r := &ring{windows: make([]subWindow, window)}
	for i := range r.windows {
		r.windows[i].all = sketch.NewHLL(precision)
	}
	r.at(now).epoch = now
	return r
}

func (r *ring) at(e sketch.Epoch) *subWindow { return &r.windows[int(e)%len(r.windows)] }

// largeBytes bounds the memory of the sketches of so many shapes and attributes.
func (m *Metric) largeBytes(shapeCount, attributes int) int {
	window := m.tracker.settings.SubWindows
	return shapeCount*window*(attributes+1)*m.hllBytes() + attributes*valuesBytes(window)
}

// hllBytes is the memory of one sketch of N or N∖a.
func (m *Metric) hllBytes() int { return sketch.HLLBytes(m.tracker.settings.Precision) }

// advance empties the sub-window that becomes the current one.
func (l *large) advance(now sketch.Epoch) {
	l.epoch = now
	for _, r := range l.shapes {
		w := r.at(now)
		w.epoch = now
		w.all.Reset()
		for i := range w.without {
			w.without[i].used = false
		}
		for i := range w.groups {
			w.groups[i].used = false
		}
	}
}

// observe counts a series. values holds the contribution of every attribute,
// 0 if the series lacks it.
func (l *large) observe(e sketch.Epoch, s row, shape int, attrs []attribute, values []uint64) {
	for len(l.shapes) <= shape {
		l.shapes = append(l.shapes, newRing(l.window, l.precision, l.epoch))
	}
	w := l.shapes[shape].at(e)
	for len(w.without) < len(attrs) {
		w.without = append(w.without, counter{})
	}
	for i, v := range values {
		c := &w.without[i]
		if v == 0 || !attrs[i].isLabel() {
			if c.used {
				c.hll.InsertHash(s.backend)
			}
			continue
		}
		if !c.used {
			c.split(w.all, l.precision)
		}
		c.hll.InsertHash(s.backend - v)
	}
	l.observeGroups(w, s, values)
	w.all.InsertHash(s.backend)
}

func (l *large) observeGroups(w *subWindow, s row, values []uint64) {
	for len(w.groups) < len(l.groups) {
		w.groups = append(w.groups, counter{})
	}
	for i, g := range l.groups {
		c := &w.groups[i]
		if !c.used {
			c.split(w.all, l.precision)
		}
		hash := s.backend
		for _, a := range g.members {
			if a < len(values) {
				hash -= values[a]
			}
		}
		c.hll.InsertHash(hash)
	}
	if l.pairs != nil {
		l.pairs.observe(values)
	}
}

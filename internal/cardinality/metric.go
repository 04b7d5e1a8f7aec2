package cardinality

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// Metric counts the series of one metric in one budget group.
type Metric struct {
	tracker     *Tracker
	name, group string

	seen   atomic.Pointer[sketch.Table] // read without the lock
	points atomic.Uint64
	full   atomic.Bool   // memory is used up: new series go to the overflow
	types  atomic.Uint32 // the set of types of its points

	mu         sync.Mutex
	epoch      sketch.Epoch
	descriptor Descriptor
	gone       bool // removed from the tracker: see Observe
	bases      bases
	attrs      attributes
	shapes     shapes
	rows       *rows  // nil once there are more than ExactSeries
	large      *large // nil until then
	growth     growth
	reserved   int64  // bytes taken from the tracker's bound
	version    uint64 // changes when an analysis would give another answer
	vector     []uint64
	folded     bool // attributes were counted as the rest
	analysis   cached
}

// metricBytes is what a metric takes before its first series.
const metricBytes = 1024

func newMetric(t *Tracker, d Descriptor, groupName string, now sketch.Epoch) *Metric {
	m := &Metric{tracker: t, name: d.Name, group: groupName, epoch: now, descriptor: d}
	m.attrs = newAttributes()
	m.rows = newRows(0, now)
	m.growth = newGrowth(t.settings.SubWindows, now)
	m.types.Store(uint32(d.Type))
	m.seen.Store(sketch.NewTable(t.settings.SubWindows, now))
	return m
}

// Observe counts points. hashes are the hashes of their streams; source
// describes point i when it is asked. misses is scratch that is returned for
// the next call.
//
// A point whose series was seen in this sub-window costs one probe of the
// table, without a lock. The probes of a batch do not depend on each other, so
// the processor overlaps their cache misses (BenchmarkSteady/1M).
func (m *Metric) Observe(hashes []uint64, source Source, misses []int) []int {
	t := m.tracker
	now := sketch.Epoch(t.epoch.Load())
	table := m.seen.Load()
	misses = misses[:0]
	for i, h := range hashes {
		if !table.Seen(h, now) {
			misses = append(misses, i)
		}
	}
	lost := 0
	if len(misses) > 0 {
		if m.full.Load() {
			known := len(misses)
			misses = slices.DeleteFunc(misses, func(i int) bool { return t.overflow.knows(hashes[i], now) })
			lost = known - len(misses)
		}
		n, ok := m.insertAll(hashes, source, misses)
		if !ok { // the metric was removed since the caller asked for it
			if next := t.Metric(m.descriptor, m.group); next != nil {
				return next.Observe(hashes, source, misses)
			}
			t.Overflow(m.descriptor, m.group, hashes)
			return misses
		}
		lost += n
	}
	m.points.Add(uint64(len(hashes) - lost))
	return misses
}

// insertAll takes in the series of points that were not yet seen in this
// sub-window. It returns how many had no room; ok is false if the metric is gone.
func (m *Metric) insertAll(hashes []uint64, source Source, misses []int) (lost int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return 0, false
	}
	m.advance(sketch.Epoch(m.tracker.epoch.Load()))
	for _, i := range misses {
		if !m.insert(hashes[i], source, i) {
			lost++
		}
	}
	return lost, true
}

// insert takes in one series. It returns false if it had no room.
func (m *Metric) insert(stream uint64, source Source, i int) bool {
	table := m.seen.Load()
	if table.Full() && !m.resize(table) {
		m.full.Store(true)
	}
	if m.full.Load() && !table.Contains(stream) {
		m.tracker.overflow.add(stream, m.epoch, reasonMemory)
		return false
	}
	switch m.seen.Load().Touch(stream) {
	case sketch.Current: // another goroutine was faster, or the batch repeats it
		return true
	case sketch.New:
		m.growth.seen(m.epoch)
		m.version++
	case sketch.Known:
		// The attributes of a known series are known; the bounds of a histogram
		// may have changed.
		if m.large == nil && !m.manyParts() && m.rows.touch(stream, m.epoch) {
			return true
		}
	}
	m.describe(stream, source.Describe(i))
	return true
}

// manyParts reports whether a point of this metric may be several series.
func (m *Metric) manyParts() bool {
	return Type(m.types.Load())&(Histogram|Summary) != 0 && !m.tracker.settings.Backend.Streams() //nolint:gosec // a set of five bits
}

// describe enters a series with its attributes.
func (m *Metric) describe(stream uint64, d *Description) {
	backend := m.resolve(stream, d)
	shape := m.shape(d.Parts)
	s := row{stream: stream, backend: backend, epoch: m.epoch, shapes: 1 << shape}
	if m.rows != nil {
		m.addRow(s)
	}
	if m.large != nil {
		m.large.observe(m.epoch, s, shape, m.attrs.list, m.vector)
		for i, v := range m.vector {
			if v != 0 {
				m.attrs.list[i].values.add(v)
			}
		}
	}
}

// resolve fills the vector with the contribution of every attribute and
// returns the hash of the series in the backend.
func (m *Metric) resolve(stream uint64, d *Description) uint64 {
	m.vector = m.vector[:0]
	for range m.attrs.list {
		m.vector = append(m.vector, 0)
	}
	backend := m.base(&d.Descriptor)
	for position := range d.Attributes {
		a := &d.Attributes[position]
		i := m.attrs.find(position, a.Domain, a.Key)
		if i < 0 {
			i = m.addAttribute(a)
			for len(m.vector) < len(m.attrs.list) {
				m.vector = append(m.vector, 0)
			}
		}
		v, label := m.contribution(&m.attrs.list[i], a)
		m.vector[i] += v
		if label {
			backend += v
		}
	}
	if m.tracker.settings.Backend.Streams() {
		return stream
	}
	return backend
}

// contribution returns what an attribute adds, and whether it adds it to the
// identity in the backend. What is no label counts only for its own values.
func (m *Metric) contribution(known *attribute, a *Attribute) (v uint64, label bool) {
	s := &m.tracker.settings
	switch {
	case s.Backend.Streams():
		return a.Sum, true
	case a.Text == "" && (known.label.Name != "" || known.rest): // an empty label is no label
		return 0, true
	case known.plain && a.String:
		return a.Sum, true
	case known.label.Name != "":
		return s.Hasher.String(series.Point, known.label.Identity, a.Text), true
	case known.rest:
		label, ok := m.label(a)
		if !ok {
			return 0, false
		}
		return s.Hasher.String(series.Point, label.Identity, a.Text), true
	}
	return a.Sum, false
}

// addAttribute makes an entry for a new key, or returns the one for the rest
// if there is no room.
func (m *Metric) addAttribute(a *Attribute) int {
	s := &m.tracker.settings
	label, ok := m.label(a)
	if !ok {
		label = Label{}
	}
	why, room := reasonAttributes, len(m.attrs.list) < s.MaxAttributes
	if room {
		why, room = reasonMemory, m.reserveAttribute(attributeBytes+len(a.Key)+len(label.Name)+len(label.Identity))
	}
	if !room {
		m.folded = true
		m.tracker.overflow.note(why, m.epoch)
		if m.attrs.rest < 0 {
			return m.attrs.add(attribute{rest: true, values: m.newValues()})
		}
		return m.attrs.rest
	}
	key := strings.Clone(a.Key) // the batch's memory is not ours to keep
	plain := a.Domain == series.Point && label.Identity == key
	return m.attrs.add(attribute{domain: a.Domain, key: key, label: label, plain: plain, values: m.newValues()})
}

// label asks the backend what an attribute becomes.
func (m *Metric) label(a *Attribute) (Label, bool) {
	d := a.Domain
	if a.Promoted {
		d = series.Point
	}
	return m.tracker.settings.Backend.Label(d, a.Key)
}

func (m *Metric) newValues() *values {
	if m.large == nil {
		return nil
	}
	return newValues(m.tracker.settings.SubWindows, m.epoch)
}

func (m *Metric) reserveAttribute(bytes int) bool {
	if m.large != nil {
		n := len(m.shapes.keys)
		if !m.reserveLarge(m.largeBytes(n, 1) - m.largeBytes(n, 0)) {
			return false
		}
	}
	return m.reserve(bytes)
}

// shape returns the index of the part list of a point.
func (m *Metric) shape(parts []uint64) int {
	key := shapeKey(parts)
	if i := m.shapes.find(key); i >= 0 {
		return i
	}
	room := len(m.shapes.keys) < maxShapes
	if room && m.large != nil {
		room = m.reserveLarge(m.largeBytes(1, len(m.attrs.list)))
	}
	if !room {
		m.shapes.folded = true
		return m.shapes.nearest(len(parts))
	}
	return m.shapes.add(key, parts)
}

// addRow keeps a series exactly, or gives the rows up for sketches.
func (m *Metric) addRow(s row) {
	before := m.rows.bytes()
	if _, known := m.rows.index[s.stream]; !known && len(m.rows.list) >= ExactSeries {
		if m.large != nil { // the attempt to come back to rows has failed
			m.release(int64(before))
			m.rows = nil
			return
		}
		if m.enlarge() {
			return
		}
	}
	m.rows.add(s, m.vector)
	if !m.reserve(m.rows.bytes() - before) {
		m.full.Store(true)
		m.charge(int64(m.rows.bytes() - before)) // taken already: the bound is passed by one step at most
	}
}

// enlarge moves from rows to sketches; the series that triggers it is entered
// by the caller.
func (m *Metric) enlarge() bool {
	window := m.tracker.settings.SubWindows
	m.large = newLarge(window, m.tracker.settings.Precision, m.epoch)
	if !m.reserveLarge(m.largeBytes(len(m.shapes.keys), len(m.attrs.list)+1)) {
		m.large = nil
		return false
	}
	for i := range m.attrs.list {
		m.attrs.list[i].values = newValues(window, m.oldest())
	}
	for e := m.oldest(); e <= m.epoch; e++ {
		m.large.advance(e)
		for i := range m.attrs.list {
			m.attrs.list[i].values.advance(e)
		}
		for i, s := range m.rows.list {
			if s.epoch == e {
				m.replay(s, m.rows.row(i))
			}
		}
	}
	m.release(int64(m.rows.bytes()))
	m.rows = nil
	m.version++
	return true
}

// replay enters a row into the sketches.
func (m *Metric) replay(s row, values []uint64) {
	for shape := range m.shapes.keys {
		if s.shapes&(1<<shape) != 0 {
			m.large.observe(s.epoch, s, shape, m.attrs.list, values[:len(m.attrs.list)])
		}
	}
	for i, v := range values[:len(m.attrs.list)] {
		if v != 0 {
			m.attrs.list[i].values.add(v)
		}
	}
}

// oldest is the first epoch of the window.
func (m *Metric) oldest() sketch.Epoch {
	window := sketch.Epoch(m.tracker.settings.SubWindows) //nolint:gosec // a window is short
	if m.epoch < window {
		return 1
	}
	return m.epoch - window + 1
}

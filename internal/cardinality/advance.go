package cardinality

import (
	"slices"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// advance brings the metric to a later epoch. The caller holds the lock. It is
// called by whoever comes first after a rotation: the tracker or a point.
func (m *Metric) advance(now sketch.Epoch) {
	window := sketch.Epoch(m.tracker.settings.SubWindows) //nolint:gosec // a window is short
	if now > m.epoch+2*window {                           // after a long pause nothing of the old window matters
		m.epoch = now - 2*window
	}
	for m.epoch < now {
		m.step()
	}
}

// step closes one sub-window.
func (m *Metric) step() {
	m.epoch++
	m.version++
	table := m.seen.Load()
	table.Advance(m.epoch)
	if table.Sparse() || table.Stale() {
		m.resize(table)
	}
	m.growth.advance(m.epoch, m.streams(), m.tracker.settings.SubWindow)
	if m.rows != nil {
		before := m.rows.bytes()
		m.rows.expire(m.oldest())
		m.release(int64(before - m.rows.bytes()))
	}
	if m.large != nil {
		m.stepLarge()
	}
	m.full.Store(false) // try again
}

func (m *Metric) stepLarge() {
	for i := range m.attrs.list {
		m.attrs.list[i].values.advance(m.epoch)
	}
	m.large.advance(m.epoch)
	if p := m.large.pairs; p != nil && m.epoch > p.started {
		m.installGroups(p.groups())
		m.large.pairs = nil
		m.releaseLarge(pairsBytes)
	}
	m.comeBack()
}

// comeBack returns to rows once a metric has shrunk. Rows are collected beside
// the sketches for one window; then they know every live series.
func (m *Metric) comeBack() {
	if m.rows == nil {
		if m.streams() < ExactSeries/2 {
			m.rows = newRows(len(m.attrs.list), m.epoch)
			m.charge(int64(m.rows.bytes()))
		}
		return
	}
	if m.oldest() < m.rows.since {
		return
	}
	m.releaseLarge(m.large.bytes)
	m.large = nil
	for i := range m.attrs.list {
		m.attrs.list[i].values = nil
	}
}

// groupBytes is what the sketches of one group take.
func (m *Metric) groupBytes() int {
	return max(1, len(m.shapes.keys)) * m.tracker.settings.SubWindows * m.hllBytes()
}

// installGroups replaces the groups that are counted, if they changed. A group
// that stays keeps its counts.
func (m *Metric) installGroups(found []group) {
	l := m.large
	if sameGroups(l.groups, found) {
		return
	}
	for len(found) > len(l.groups) && !m.reserveLarge((len(found)-len(l.groups))*m.groupBytes()) {
		found = found[:len(found)-1]
	}
	if gone := len(l.groups) - len(found); gone > 0 {
		m.releaseLarge(gone * m.groupBytes())
	}
	for i := range found {
		found[i].since = m.epoch
	}
	l.groups = found
	for _, r := range l.shapes {
		for i := range r.windows {
			w := &r.windows[i]
			w.groups = w.groups[:min(len(w.groups), len(found))]
			for g := range w.groups {
				w.groups[g].used = false
			}
		}
	}
}

func sameGroups(a, b []group) bool {
	return slices.EqualFunc(a, b, func(x, y group) bool { return slices.Equal(x.members, y.members) })
}

// resize gives the table room for its live hashes and half as many more.
func (m *Metric) resize(table *sketch.Table) bool {
	slots := table.Fit()
	grown := sketch.TableBytes(slots) - sketch.TableBytes(table.Len())
	if grown > 0 && !m.reserve(grown) {
		return false
	}
	if grown < 0 {
		m.release(int64(-grown))
	}
	m.seen.Store(table.Resize(slots))
	return true
}

// streams counts the live OTLP streams.
func (m *Metric) streams() int { return m.seen.Load().Count(m.tracker.settings.SubWindows) }

// reserve takes bytes from the tracker's bound. A negative number gives back.
func (m *Metric) reserve(bytes int) bool {
	if !m.tracker.reserve(int64(bytes)) {
		return false
	}
	m.reserved += int64(bytes)
	return true
}

// reserveLarge takes bytes for the sketches, which are given back together.
func (m *Metric) reserveLarge(bytes int) bool {
	if !m.reserve(bytes) {
		return false
	}
	m.large.bytes += bytes
	return true
}

func (m *Metric) releaseLarge(bytes int) {
	m.release(int64(bytes))
	m.large.bytes -= bytes
}

// charge takes bytes that were used already.
func (m *Metric) charge(bytes int64) {
	m.tracker.bytes.Add(bytes)
	m.reserved += bytes
}

func (m *Metric) release(bytes int64) { m.charge(-bytes) }

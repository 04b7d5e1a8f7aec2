package cardinality

import (
	"time"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// Report is what a tracker saw in a span of time.
type Report struct {
	// From and To bound the span.
	From, To time.Time
	// Metrics has an entry for each metric and budget group.
	Metrics []MetricReport
	// Overflow is nil if everything had room.
	Overflow *Overflow
	// Bytes is the memory of the state.
	Bytes int64
}

// MetricReport is one metric in one budget group.
type MetricReport struct {
	Descriptor
	// BackendName is the metric's name in the backend, Group the budget group.
	BackendName, Group string
	// Points counts points since the start.
	Points uint64
	// Analysis is shared and must not be changed.
	Analysis *Analysis
	// NewPerMinute is the smoothed rate of new streams, NewInWindow their number
	// in the span.
	NewPerMinute float64
	NewInWindow  uint64
	// Growing and Accelerating are explained in package report.
	Growing, Accelerating bool
	// Folded is set if attributes beyond the bound are counted as one.
	Folded bool
}

// Epochs returns how many sub-windows, the running one and those before it,
// cover at least the last so many; zero means the whole window. ok is false if
// the window is shorter.
func (t *Tracker) Epochs(since time.Duration, now time.Time) (epochs int, ok bool) {
	window := t.settings.SubWindows
	if since == 0 {
		return window, true
	}
	if since > t.settings.SubWindow*time.Duration(window) {
		return 0, false
	}
	whole := since - now.Sub(t.Began(sketch.Epoch(t.epoch.Load())))
	n := 1 + int((max(whole, 0)+t.settings.SubWindow-1)/t.settings.SubWindow)
	return min(n, window), true
}

// Report counts the latest epochs of all metrics for which want is true.
func (t *Tracker) Report(now time.Time, epochs int, want func(metric string) bool) *Report {
	current := sketch.Epoch(t.epoch.Load())
	first := sketch.Epoch(1)
	if e := sketch.Epoch(epochs); current >= e { //nolint:gosec // below the window
		first = current - e + 1
	}
	r := &Report{From: t.Began(first), To: now, Bytes: t.bytes.Load(), Overflow: t.overflow.report()}
	for _, m := range t.all() {
		if r.Overflow != nil && m.isFolded() {
			r.Overflow.Folded++
		}
		if want == nil || want(m.name) {
			r.Metrics = append(r.Metrics, m.report(epochs))
		}
	}
	return r
}

func (m *Metric) report(epochs int) MetricReport {
	a := m.analyse(epochs)
	m.mu.Lock()
	defer m.mu.Unlock()
	subWindow := m.tracker.settings.SubWindow
	d := m.descriptor
	d.Type = Type(m.types.Load()) //nolint:gosec // a set of five bits
	return MetricReport{
		Descriptor: d, BackendName: m.tracker.settings.Backend.MetricName(m.descriptor), Group: m.group,
		Points: m.points.Load(), Analysis: a,
		NewPerMinute: m.growth.rate,
		NewInWindow:  m.growth.inWindow(m.epoch, epochs),
		Growing:      m.growth.isGrowing(m.epoch, m.streams(), subWindow),
		Accelerating: m.growth.accelerating(subWindow),
		Folded:       m.folded,
	}
}

func (m *Metric) isFolded() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.folded
}

// Totals are cheap sums for telemetry.
type Totals struct {
	// Metrics counts entries, Streams live OTLP streams, Bytes the memory of
	// the state, Overflow the points that had no room.
	Metrics, Streams, Bytes, Overflow int64
}

// Totals counts without analysing.
func (t *Tracker) Totals() Totals {
	r := Totals{Bytes: t.bytes.Load(), Overflow: int64(t.overflow.points.Load())} //nolint:gosec // a count
	for _, m := range t.all() {
		m.mu.Lock()
		r.Streams += int64(m.streams())
		m.mu.Unlock()
		r.Metrics++
	}
	return r
}

package tagconsolidationprocessor

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// preview measures what a rule would save, by metric: distinct inputs and
// outputs of the last one to two spans of staleness. It changes nothing.
//
// It takes at most 4.3 MiB: 65 entries of two spans of two sketches of 16 KiB.
// All previews of a processor share a budget; see budget.
type preview struct {
	budget *budget

	mu       sync.Mutex
	closed   bool
	turned   time.Time
	byMetric map[string]*metricPreview
	rest     *metricPreview // of the metrics that have no entry of their own
}

// maxMeasured bounds the metrics of a rule that have an entry of their own.
const maxMeasured = 64

const (
	// smallSlots bounds an exact set until the budget of previews has given more,
	// largeSlots from then on: 1 and 16 KiB, exact for 96 and 1,536 hashes.
	smallSlots = 128
	largeSlots = 2048
	// The precision of the sketch that follows, of as many bytes as the set that it
	// replaces: standard errors of 3.3 % and 0.8 %.
	coarsePrecision = 10
	finePrecision   = 14
)

// budget is what the previews of one processor may take together.
type budget struct{ taken atomic.Int64 }

const (
	// maxPreviewBytes bounds it. Past it a rule has one entry for all metrics
	// without one, of at most 4 KiB.
	maxPreviewBytes = 64 << 20
	// smallBytes is what an entry takes at first, largeBytes what it takes more
	// once it holds over 96 hashes: two spans, two counts.
	smallBytes = 4*smallSlots*8 + 512
	largeBytes = 4 * largeSlots * 8
)

func (m *budget) take(n int64) bool {
	if m.taken.Add(n) > maxPreviewBytes {
		m.taken.Add(-n)
		return false
	}
	return true
}

// metricPreview is what a preview knows of one metric.
type metricPreview struct {
	metric string // empty for the rest
	budget *budget

	mu    sync.Mutex
	kind  pmetric.MetricType
	mixed bool  // points of several types
	taken int64 // of memory
	// asked is set once memory was asked for a large entry, large if it was given.
	asked, large bool
	gone         bool // adds nothing any more
	now, ago     generation
}

// generation holds what was seen in one span of time.
type generation struct {
	inputs, outputs sketch.Distinct
	// points were seen, which were so many series in the backend, and would be so
	// many.
	points, series, seriesAfter uint64
}

// of returns the entry of a metric.
func (p *preview) of(metric string, kind pmetric.MetricType) *metricPreview {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.byMetric[metric]
	if m == nil {
		m = p.enter(metric)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mixed = m.mixed || m.kind != kind && m.kind != pmetric.MetricTypeEmpty
	m.kind = kind
	return m
}

func (p *preview) enter(metric string) *metricPreview {
	if p.closed {
		return &metricPreview{gone: true}
	}
	if len(p.byMetric) < maxMeasured && p.budget.take(smallBytes) {
		if p.byMetric == nil {
			p.byMetric = map[string]*metricPreview{}
		}
		m := &metricPreview{metric: strings.Clone(metric), budget: p.budget, taken: smallBytes}
		p.byMetric[m.metric] = m
		return m
	}
	if p.rest == nil {
		p.rest = &metricPreview{budget: p.budget}
	}
	return p.rest
}

// add counts an input and the output that it would feed, of so many series in
// the backend; 0 if the point does not say.
func (m *metricPreview) add(input, output uint64, series, seriesAfter int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return
	}
	g := &m.now
	if !m.asked && (g.inputs.Full(smallSlots) || g.outputs.Full(smallSlots)) {
		m.asked = true
		if m.large = m.budget.take(largeBytes); m.large {
			m.taken += largeBytes
		}
	}
	slots, precision := m.size()
	g.inputs.Add(input, slots, precision)
	g.outputs.Add(output, slots, precision)
	if series == 0 {
		return
	}
	g.points++
	g.series += uint64(series)           //nolint:gosec // a count
	g.seriesAfter += uint64(seriesAfter) //nolint:gosec // a count
}

func (m *metricPreview) size() (slots int, precision uint8) {
	if m.large {
		return largeSlots, finePrecision
	}
	return smallSlots, coarsePrecision
}

// turn begins a new span of time, and says whether there is nothing left.
func (m *metricPreview) turn() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ago, m.now = m.now, generation{}
	if !m.large && !m.ago.inputs.Sketched() && !m.ago.outputs.Sketched() {
		m.asked = false // there may be room by now
	}
	return m.ago.inputs.Empty()
}

// release gives back what the entry took.
func (m *metricPreview) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
	m.budget.taken.Add(-m.taken)
	m.taken, m.now, m.ago = 0, generation{}, generation{}
}

// advance forgets what was not seen for a staleness.
func (p *preview) advance(now time.Time, staleness time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turned.IsZero() {
		p.turned = now
	}
	if now.Sub(p.turned) < staleness {
		return
	}
	p.turned = now
	for name, m := range p.byMetric {
		if m.turn() {
			m.release()
			delete(p.byMetric, name)
		}
	}
	if p.rest != nil && p.rest.turn() {
		p.rest.release()
		p.rest = nil
	}
}

// close gives back what the preview took. What is added later does not count.
func (p *preview) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, m := range p.entries() {
		m.release()
	}
	p.byMetric, p.rest = nil, nil
}

// entries lists the entries. The lock is held.
func (p *preview) entries() []*metricPreview {
	list := make([]*metricPreview, 0, len(p.byMetric)+1)
	for _, m := range p.byMetric {
		list = append(list, m)
	}
	if p.rest != nil {
		list = append(list, p.rest)
	}
	return list
}

// sizes returns what was measured, by metric, in no order.
func (p *preview) sizes() []metricSize {
	p.mu.Lock()
	entries := p.entries()
	p.mu.Unlock()
	list := make([]metricSize, 0, len(entries))
	for _, m := range entries {
		if s := m.counts(); s.streams > 0 {
			list = append(list, s)
		}
	}
	return list
}

// counts estimates the distinct inputs and outputs, and their series.
func (m *metricPreview) counts() metricSize {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, precision := m.size()
	s := metricSize{metric: m.metric, kind: nameOfType(m.kind)}
	if m.mixed {
		s.kind = typeMixed
	}
	var in, out float64
	s.streams, in = sketch.CountEither(&m.now.inputs, &m.ago.inputs, precision)
	s.streamsAfter, out = sketch.CountEither(&m.now.outputs, &m.ago.outputs, precision)
	s.relativeError = max(in, out)
	points := m.now.points + m.ago.points
	s.series = share(s.streams, m.now.series+m.ago.series, points)
	s.seriesAfter = share(s.streamsAfter, m.now.seriesAfter+m.ago.seriesAfter, points)
	return s
}

// counts estimates the distinct inputs and outputs of all metrics.
func (p *preview) counts() (inputs, outputs int64) {
	for _, s := range p.sizes() {
		inputs += int64(s.streams)       //nolint:gosec // a count
		outputs += int64(s.streamsAfter) //nolint:gosec // a count
	}
	return inputs, outputs
}

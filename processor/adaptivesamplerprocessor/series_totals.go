package adaptivesamplerprocessor

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/sampling/seriesratio"
)

// The bounds of the totals of one rule: metrics, and series of one of them. Of a
// metric with more series a smaller share is added up.
const (
	maxTotals       = 100
	maxTotalsSeries = 4096
)

// totalKind says how the points of a series add up.
type totalKind uint8

const (
	totalOfDeltas    totalKind = iota // the sum of the values
	totalOfIncreases                  // by how much a counter grew
	totalOfChanges                    // by how much a sum that may fall changed
	totalOfLast                       // the last value
)

// contribution is what one point of a kept series adds to the total of its metric.
type contribution struct {
	to    *seriesTotals
	name  string
	kind  totalKind
	key   seriesratio.Key
	ratio seriesratio.Ratio
	value float64
	start uint64
}

// seriesTotals estimates for each metric that a rule samples what all its series
// come to.
type seriesTotals struct {
	mu      sync.Mutex
	from    time.Time
	metrics map[totalName]*metricTotal
	shown   []report.SampledTotal // of the last whole window
}

type totalName struct {
	metric string
	kind   totalKind
}

// metricTotal adds up the kept series of a metric. While a window lasts the ratio
// may change; what counts is the strictest one, since a series that it keeps was
// kept all the time.
type metricTotal struct {
	strictest seriesratio.Ratio // in this window
	any       bool              // there was a point in this window
	share     float64           // for want of room; 1: all
	series    map[seriesratio.Key]*seriesTotal
}

type seriesTotal struct {
	sum  float64 // in this window
	last float64
	seen bool // in this window
}

// add adds points that went on.
func (t *seriesTotals) add(list []contribution) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range list {
		c := &list[i]
		m := t.metrics[totalName{c.name, c.kind}]
		if m == nil {
			if len(t.metrics) >= maxTotals {
				continue
			}
			m = &metricTotal{share: 1, series: map[seriesratio.Key]*seriesTotal{}}
			if t.metrics == nil {
				t.metrics = map[totalName]*metricTotal{}
			}
			t.metrics[totalName{strings.Clone(c.name), c.kind}] = m
		}
		m.add(c, uint64(max(0, t.from.UnixNano())))
	}
}

func (m *metricTotal) add(c *contribution, window uint64) {
	if !m.any || c.ratio.Share() < m.strictest.Share() {
		m.any, m.strictest = true, c.ratio
	}
	s := m.series[c.key]
	if s == nil {
		if !m.ratio().Kept(c.key) {
			return
		}
		s = &seriesTotal{}
		if c.kind == totalOfIncreases && c.start >= window && c.start != 0 {
			s.sum = c.value // it began in this window, from nothing
		}
		s.last = c.value
		m.series[c.key] = s
		for len(m.series) > maxTotalsSeries {
			m.halve()
		}
	}
	s.seen = true
	switch c.kind {
	case totalOfDeltas:
		s.sum += c.value
	case totalOfIncreases:
		if c.value < s.last { // a reset
			s.last = 0
		}
		s.sum += c.value - s.last
	case totalOfChanges:
		s.sum += c.value - s.last
	case totalOfLast:
		s.sum = c.value
	}
	s.last = c.value
}

// ratio is the share of the metric's series that is added up.
func (m *metricTotal) ratio() seriesratio.Ratio {
	if m.share >= m.strictest.Share() {
		return m.strictest
	}
	return m.strictest.Of(m.share)
}

// halve makes room.
func (m *metricTotal) halve() {
	m.share = min(m.share, m.strictest.Share()) / 2
	r := m.ratio()
	for k := range m.series {
		if !r.Kept(k) {
			delete(m.series, k)
		}
	}
}

// roll ends a window and begins the next one.
func (t *seriesTotals) roll(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown = t.shown[:0:0]
	for name, m := range t.metrics {
		if !m.any {
			delete(t.metrics, name)
			continue
		}
		total := m.roll()
		total.Metric, total.From, total.To = name.metric, t.from, now
		t.shown = append(t.shown, total)
	}
	slices.SortFunc(t.shown, func(a, b report.SampledTotal) int { return strings.Compare(a.Metric, b.Metric) })
	t.from = now
}

func (m *metricTotal) roll() report.SampledTotal {
	r := m.ratio()
	var e seriesratio.Estimate
	for k, s := range m.series {
		if !s.seen || !r.Kept(k) {
			delete(m.series, k)
			continue
		}
		e.Add(s.sum, r)
		s.sum, s.seen = 0, false
	}
	if len(m.series) < maxTotalsSeries/4 {
		m.share = min(1, 2*m.share)
	}
	m.any = false
	total := report.SampledTotal{Kept: uint64(e.Kept()), Total: e.Total(), Variance: e.Variance()} //nolint:gosec // a count
	total.Series, total.SeriesError = e.Series()
	total.Low, total.High = e.Interval()
	return total
}

// results are the totals of the last whole window.
func (t *seriesTotals) results() []report.SampledTotal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.shown)
}

// isFinite reports whether a value can be added up.
func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

package tagconsolidationprocessor

import (
	"math"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// metricSize is how many streams and series a rule sees and leaves of one
// metric.
type metricSize struct {
	metric, kind                               string
	streams, streamsAfter, series, seriesAfter uint64
	relativeError                              float64
}

// The types in reports that no rule can name.
const typeMixed = "mixed"

func nameOfType(t pmetric.MetricType) string {
	switch t {
	case pmetric.MetricTypeGauge:
		return string(policy.TypeGauge)
	case pmetric.MetricTypeSum:
		return string(policy.TypeSum)
	case pmetric.MetricTypeHistogram:
		return string(policy.TypeHistogram)
	case pmetric.MetricTypeExponentialHistogram:
		return string(policy.TypeExponentialHistogram)
	case pmetric.MetricTypeSummary:
		return string(policy.TypeSummary)
	case pmetric.MetricTypeEmpty:
	}
	return ""
}

// typeOf returns the type of metrics that have streams of a kind.
func typeOf(k consolidation.Kind) pmetric.MetricType {
	switch k {
	case consolidation.Gauge:
		return pmetric.MetricTypeGauge
	case consolidation.DeltaHistogram, consolidation.CumulativeHistogram:
		return pmetric.MetricTypeHistogram
	case consolidation.DeltaExponential, consolidation.CumulativeExponential:
		return pmetric.MetricTypeExponentialHistogram
	case consolidation.Summary:
		return pmetric.MetricTypeSummary
	case consolidation.DeltaSum, consolidation.DeltaUpDown, consolidation.CumulativeSum, consolidation.CumulativeUpDown:
	}
	return pmetric.MetricTypeSum
}

// A classic histogram is a series for each bucket, +Inf among them, one for the
// count and one for the sum, if it has one; a summary likewise with quantiles.
func partsOf(listed int, hasSum bool) int {
	if hasSum {
		return listed + 2
	}
	return listed + 1
}

// shapes remember of how many series the points of a metric were, as a mean
// over recent points: it is exact if all streams of the metric are alike, and
// weighs streams by how often they send otherwise. To remember the shape of
// each input was rejected: 2 bytes an input, of which few metrics have use.
type shapes struct {
	mu       sync.Mutex
	byMetric map[string]shape
}

type shape struct{ series, points uint64 }

// maxShapes bounds the metrics whose shape is remembered.
const maxShapes = 1024

func (s *shapes) note(metric string, series, points int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, there := s.byMetric[metric]
	if !there {
		if s.byMetric == nil || len(s.byMetric) >= maxShapes {
			s.byMetric = map[string]shape{} // those that still send are soon back
		}
		metric = strings.Clone(metric)
	}
	s.byMetric[metric] = shape{known.series + uint64(series), known.points + uint64(points)} //nolint:gosec // counts
}

// lightest is how many points weigh in full.
const lightest = 64

// advance lets points that came before this interval weigh half.
func (s *shapes) advance() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for metric, known := range s.byMetric {
		if known.points > lightest {
			s.byMetric[metric] = shape{known.series / 2, known.points / 2}
		}
	}
}

func (s *shapes) of(metric string) (known shape, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, there = s.byMetric[metric]
	return known, there
}

// share scales a number of streams by the series that a point has on average.
func share(streams, series, points uint64) uint64 {
	if points == 0 {
		return streams
	}
	return uint64(math.Round(float64(streams) * float64(series) / float64(points)))
}

// shapeOf returns of how many series a point is, and would be under the rule; 0
// for a stale marker, which does not say.
func (r *rule) shapeOf(points *walk.Points, i int) (series, after int) {
	switch points.Type() {
	case pmetric.MetricTypeHistogram:
		p := points.Histogram(i)
		if p.Flags().NoRecordedValue() {
			return 0, 0
		}
		bounds := p.ExplicitBounds()
		series = partsOf(bounds.Len()+1, p.HasSum())
		if r.keepBounds == nil || bounds.Len() == 0 {
			return series, series
		}
		kept := 0
		for j := range bounds.Len() {
			if slices.Contains(r.keepBounds, bounds.At(j)) {
				kept++
			}
		}
		if kept == 0 && len(r.keepBounds) > 0 { // such histograms stay as they are
			return series, series
		}
		return series, partsOf(kept+1, p.HasSum())
	case pmetric.MetricTypeSummary:
		p := points.Summary(i)
		if p.Flags().NoRecordedValue() {
			return 0, 0
		}
		return partsOf(p.QuantileValues().Len(), true), partsOf(0, true)
	case pmetric.MetricTypeEmpty, pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeExponentialHistogram:
	}
	return 1, 1
}

package adaptivesamplerprocessor

import (
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// bandKind is how dead bands take the points of a metric; a fate other than 0 says
// why they let all of them pass.
func bandKind(p *walk.Points) (deadband.Kind, fate) {
	switch p.Type() {
	case pmetric.MetricTypeGauge:
		return deadband.Gauge, 0
	case pmetric.MetricTypeSummary:
		return 0, fateSummary
	default:
	}
	var kind deadband.Kind
	switch {
	case p.Type() == pmetric.MetricTypeHistogram:
		kind = deadband.Histogram
	case p.Type() == pmetric.MetricTypeExponentialHistogram:
		kind = deadband.Exponential
	case p.Monotonic():
		kind = deadband.Counter
	default:
		kind = deadband.UpDown
	}
	switch p.Temporality() {
	case pmetric.AggregationTemporalityCumulative:
		return kind, 0
	case pmetric.AggregationTemporalityDelta:
		return kind, fateDelta
	default:
		return kind, fateNoTemporality
	}
}

// totalOf is how the points of a metric add up.
func totalOf(p *walk.Points) totalKind {
	switch {
	case p.Type() == pmetric.MetricTypeGauge:
		return totalOfLast
	case p.Temporality() == pmetric.AggregationTemporalityDelta:
		return totalOfDeltas
	case p.Type() == pmetric.MetricTypeSum && !p.Monotonic():
		return totalOfChanges
	default:
		return totalOfIncreases
	}
}

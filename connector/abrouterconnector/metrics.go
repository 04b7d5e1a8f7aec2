package abrouterconnector

import (
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/walk"
)

// move moves what goes to the candidate out of a batch, and copies what else the
// arms get.
func (a *assigner) move(md pmetric.Metrics, resources int) {
	candidate := pmetric.NewMetrics()
	candidate.ResourceMetrics().EnsureCapacity(resources)
	i, codes := 0, a.codes
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		verdict := a.verdicts[i]
		i++
		switch verdict {
		case stays:
			return false
		case goes:
			rm.MoveTo(candidate.ResourceMetrics().AppendEmpty())
			return true
		case divided:
		}
		n := pointsOf(rm)
		whole := a.divideResource(rm, codes[:n], candidate)
		codes = codes[n:]
		return whole
	})
	a.division.parts = [sides]pmetric.Metrics{toBaseline: md, toCandidate: candidate}
	a.division.has = [sides]bool{toBaseline: md.ResourceMetrics().Len() > 0, toCandidate: candidate.ResourceMetrics().Len() > 0}
}

// kept says what of a container goes to the candidate.
type kept uint8

const (
	keptAll  kept = iota // nothing goes, or there is nothing in it
	keptPart             // some points
	keptNone             // all of at least one point
)

func keptOf(codes []code) kept {
	switch n := candidates(codes); {
	case n == 0:
		return keptAll
	case n < len(codes):
		return keptPart
	}
	return keptNone
}

// candidates counts the points that go to the candidate.
func candidates(codes []code) (n int) {
	for _, c := range codes {
		n += int(c & codeCandidate)
	}
	return n
}

// divideResource moves points to the candidate. It returns whether nothing is
// left.
func (a *assigner) divideResource(rm pmetric.ResourceMetrics, codes []code, candidate pmetric.Metrics) bool {
	a.tails(rm, codes)
	switch keptOf(codes) {
	case keptAll:
		return false
	case keptNone:
		rm.MoveTo(candidate.ResourceMetrics().AppendEmpty())
		return true
	case keptPart:
	}
	to := candidate.ResourceMetrics().AppendEmpty()
	rm.Resource().CopyTo(to.Resource())
	to.SetSchemaUrl(rm.SchemaUrl())
	to.ScopeMetrics().EnsureCapacity(rm.ScopeMetrics().Len())
	rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
		n := pointsOfScope(sm)
		whole := divideScope(sm, codes[:n], to)
		codes = codes[n:]
		return whole
	})
	return false
}

func divideScope(sm pmetric.ScopeMetrics, codes []code, candidate pmetric.ResourceMetrics) bool {
	switch keptOf(codes) {
	case keptAll:
		return false
	case keptNone:
		sm.MoveTo(candidate.ScopeMetrics().AppendEmpty())
		return true
	case keptPart:
	}
	to := candidate.ScopeMetrics().AppendEmpty()
	sm.Scope().CopyTo(to.Scope())
	to.SetSchemaUrl(sm.SchemaUrl())
	to.Metrics().EnsureCapacity(sm.Metrics().Len())
	sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
		n := pointsOfMetric(m)
		whole := divideMetric(m, codes[:n], to)
		codes = codes[n:]
		return whole
	})
	return false
}

// divideMetric moves points of a metric. It returns whether nothing is left.
func divideMetric(m pmetric.Metric, codes []code, candidate pmetric.ScopeMetrics) bool {
	switch keptOf(codes) {
	case keptAll:
		return false
	case keptNone:
		m.MoveTo(candidate.Metrics().AppendEmpty())
		return true
	case keptPart:
	}
	to := candidate.Metrics().AppendEmpty()
	copyDescriptor(m, to)
	moveTo := selection{codes: codes}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		moveTo.numbers(m.Gauge().DataPoints(), to.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		moveTo.numbers(m.Sum().DataPoints(), to.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		moveTo.histograms(m.Histogram().DataPoints(), to.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		moveTo.exponentials(m.ExponentialHistogram().DataPoints(), to.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		moveTo.summaries(m.Summary().DataPoints(), to.Summary().DataPoints())
	case pmetric.MetricTypeEmpty: // has no points
	}
	return false
}

// selection moves the points that go to the candidate. The four types of points
// have four methods because what is given to a method of a type parameter is
// allocated: three times a metric.
type selection struct {
	codes []code
	i     int
}

// next says whether the next point goes.
func (s *selection) next() bool {
	s.i++
	return s.codes[s.i-1]&codeCandidate != 0
}

func (s *selection) numbers(from, to pmetric.NumberDataPointSlice) {
	to.EnsureCapacity(candidates(s.codes))
	from.RemoveIf(func(p pmetric.NumberDataPoint) bool {
		goes := s.next()
		if goes {
			p.MoveTo(to.AppendEmpty())
		}
		return goes
	})
}

func (s *selection) histograms(from, to pmetric.HistogramDataPointSlice) {
	to.EnsureCapacity(candidates(s.codes))
	from.RemoveIf(func(p pmetric.HistogramDataPoint) bool {
		goes := s.next()
		if goes {
			p.MoveTo(to.AppendEmpty())
		}
		return goes
	})
}

func (s *selection) exponentials(from, to pmetric.ExponentialHistogramDataPointSlice) {
	to.EnsureCapacity(candidates(s.codes))
	from.RemoveIf(func(p pmetric.ExponentialHistogramDataPoint) bool {
		goes := s.next()
		if goes {
			p.MoveTo(to.AppendEmpty())
		}
		return goes
	})
}

func (s *selection) summaries(from, to pmetric.SummaryDataPointSlice) {
	to.EnsureCapacity(candidates(s.codes))
	from.RemoveIf(func(p pmetric.SummaryDataPoint) bool {
		goes := s.next()
		if goes {
			p.MoveTo(to.AppendEmpty())
		}
		return goes
	})
}

// copyDescriptor gives a new metric all but the points.
func copyDescriptor(from, to pmetric.Metric) {
	to.SetName(from.Name())
	to.SetDescription(from.Description())
	to.SetUnit(from.Unit())
	from.Metadata().CopyTo(to.Metadata())
	switch from.Type() {
	case pmetric.MetricTypeGauge:
		to.SetEmptyGauge()
	case pmetric.MetricTypeSum:
		to.SetEmptySum().SetAggregationTemporality(from.Sum().AggregationTemporality())
		to.Sum().SetIsMonotonic(from.Sum().IsMonotonic())
	case pmetric.MetricTypeHistogram:
		to.SetEmptyHistogram().SetAggregationTemporality(from.Histogram().AggregationTemporality())
	case pmetric.MetricTypeExponentialHistogram:
		to.SetEmptyExponentialHistogram().SetAggregationTemporality(from.ExponentialHistogram().AggregationTemporality())
	case pmetric.MetricTypeSummary:
		to.SetEmptySummary()
	case pmetric.MetricTypeEmpty:
	}
}

// pointsOf counts the points of a resource.
func pointsOf(rm pmetric.ResourceMetrics) (n int) {
	for _, sm := range rm.ScopeMetrics().All() {
		n += pointsOfScope(sm)
	}
	return n
}

func pointsOfScope(sm pmetric.ScopeMetrics) (n int) {
	for _, m := range sm.Metrics().All() {
		n += pointsOfMetric(m)
	}
	return n
}

func pointsOfMetric(m pmetric.Metric) int {
	points, _ := walk.Of(m)
	return points.Len()
}

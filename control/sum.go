package control

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/report"
)

// sumCardinality adds up what different sources of one component saw at one
// point. A series that two of them saw is counted twice, so every sum is an
// upper bound, right if each series always goes through the same instance; a
// metric that more than one source saw is marked as estimated for that reason.
// Sketches that merge would be exact and are not part of the contract.
//
// Savings add up too: an attribute or group that a source does not list saves
// nothing there. What stays is the sum of the series less the saving.
func sumCardinality(parts []report.Cardinality) report.Cardinality {
	switch len(parts) {
	case 0:
		return report.Cardinality{}
	case 1:
		return parts[0]
	}
	sum := parts[0]
	sum.Refused = maps.Clone(sum.Refused)
	metrics := newMetricSums(sum.Metrics)
	for _, part := range parts[1:] {
		addTotals(&sum, part)
		for _, m := range part.Metrics {
			metrics.add(m)
		}
	}
	sum.Metrics = metrics.list
	return sum
}

func addTotals(sum *report.Cardinality, part report.Cardinality) {
	if part.From.Before(sum.From) {
		sum.From = part.From
	}
	if part.To.After(sum.To) {
		sum.To = part.To
	}
	sum.Backend = cmp.Or(sum.Backend, part.Backend)
	sum.GroupBy = cmp.Or(sum.GroupBy, part.GroupBy)
	sum.Window = max(sum.Window, part.Window)
	sum.SubWindow = max(sum.SubWindow, part.SubWindow)
	sum.MetricsTracked += part.MetricsTracked
	sum.Series += part.Series
	sum.Streams += part.Streams
	sum.Points += part.Points
	sum.MemoryBytes += part.MemoryBytes
	sum.MemoryLimitBytes += part.MemoryLimitBytes
	for reason, n := range part.Refused {
		if sum.Refused == nil {
			sum.Refused = map[string]uint64{}
		}
		sum.Refused[reason] += n
	}
	sum.Overflow = addOverflow(sum.Overflow, part.Overflow)
}

func addOverflow(a, b *report.CardinalityOverflow) *report.CardinalityOverflow {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	reasons := slices.Concat(a.Reasons, b.Reasons)
	slices.Sort(reasons)
	return &report.CardinalityOverflow{
		Metrics:    a.Metrics + b.Metrics,
		Series:     a.Series + b.Series,
		Points:     a.Points + b.Points,
		Attributes: a.Attributes + b.Attributes,
		Reasons:    slices.Compact(reasons),
	}
}

// metricSums adds up metrics by name and budget group.
type metricSums struct {
	list  []report.MetricCardinality
	index map[metricKey]int
}

type metricKey struct{ name, group string }

func newMetricSums(first []report.MetricCardinality) *metricSums {
	s := &metricSums{list: slices.Clone(first), index: make(map[metricKey]int, len(first))}
	for i, m := range first {
		s.index[metricKey{m.Name, m.Group}] = i
	}
	return s
}

func (s *metricSums) add(m report.MetricCardinality) {
	key := metricKey{m.Name, m.Group}
	i, known := s.index[key]
	if !known {
		s.index[key] = len(s.list)
		s.list = append(s.list, m)
		return
	}
	s.list[i] = addMetric(s.list[i], m)
}

func addMetric(a, b report.MetricCardinality) report.MetricCardinality {
	sum := a
	if a.Type != b.Type {
		sum.Type = "mixed"
	}
	sum.BackendName = cmp.Or(a.BackendName, b.BackendName)
	sum.Unit = cmp.Or(a.Unit, b.Unit)
	sum.Series = a.Series + b.Series
	sum.Streams = a.Streams + b.Streams
	sum.Points = a.Points + b.Points
	sum.Estimated = true
	if sum.Series > 0 { // the errors of two sketches are independent
		sum.RelativeError = math.Hypot(a.RelativeError*float64(a.Series), b.RelativeError*float64(b.Series)) / float64(sum.Series)
	}
	sum.Growth = report.Growth{
		NewPerMinute: a.Growth.NewPerMinute + b.Growth.NewPerMinute,
		NewInWindow:  a.Growth.NewInWindow + b.Growth.NewInWindow,
		Growing:      a.Growth.Growing || b.Growth.Growing,
		Accelerating: a.Growth.Accelerating || b.Growth.Accelerating,
	}
	if limit := cmp.Or(a.Limit, b.Limit); limit != nil {
		whole := *limit
		whole.Exceeded = sum.Series > whole.MaxSeries
		sum.Limit = &whole
	}
	sum.Attributes = addAttributes(sum.Series, a.Attributes, b.Attributes)
	sum.Groups = addGroups(sum.Series, a.Groups, b.Groups)
	sum.Best = addBest(sum, a.Best, b.Best)
	return sum
}

func addAttributes(series uint64, a, b []report.AttributeCardinality) []report.AttributeCardinality {
	type attributeKey struct {
		key      string
		level    report.Level
		overflow bool
	}
	sum := slices.Clone(a)
	index := make(map[attributeKey]int, len(a))
	for i, attr := range a {
		index[attributeKey{attr.Key, attr.Level, attr.Overflow}] = i
	}
	for _, attr := range b {
		i, known := index[attributeKey{attr.Key, attr.Level, attr.Overflow}]
		if !known {
			sum = append(sum, attr)
			continue
		}
		sum[i].Distinct += attr.Distinct
		sum[i].Saving += attr.Saving
		sum[i].Label = cmp.Or(sum[i].Label, attr.Label)
	}
	for i := range sum {
		sum[i].SeriesWithout = less(series, sum[i].Saving)
	}
	return sum
}

func addGroups(series uint64, a, b []report.AttributeGroup) []report.AttributeGroup {
	sum := slices.Clone(a)
	for _, group := range b {
		i := slices.IndexFunc(sum, func(g report.AttributeGroup) bool { return slices.Equal(g.Attributes, group.Attributes) })
		if i < 0 {
			sum = append(sum, group)
			continue
		}
		sum[i].Saving += group.Saving
		if group.Since.After(sum[i].Since) {
			sum[i].Since = group.Since
		}
	}
	for i := range sum {
		sum[i].SeriesWithout = less(series, sum[i].Saving)
	}
	return sum
}

// addBest adds the suggestions of two sources if they agree, else it keeps the
// one that saves more, which is then less than it would save in both.
func addBest(sum report.MetricCardinality, a, b *report.Saving) *report.Saving {
	if a == nil || b == nil {
		a, b = cmp.Or(a, b), nil
	}
	if a == nil {
		return nil
	}
	best := *a
	switch {
	case b == nil:
	case slices.Equal(a.Attributes, b.Attributes):
		best.Series += b.Series
	case b.Series > a.Series, b.Series == a.Series && strings.Join(b.Attributes, "+") < strings.Join(a.Attributes, "+"):
		best = *b
	}
	best.SeriesWithout = less(sum.Series, best.Series)
	return &best
}

// less is a - b, or 0: estimates of savings may be larger than their whole.
func less(a, b uint64) uint64 { return a - min(a, b) }

package api

import (
	"cmp"
	"slices"
	"strings"
)

// sortMetrics puts metrics in order. Ties are broken by name, group and point,
// so that the same numbers always give the same answer.
func sortMetrics(metrics []Metric, order Order) {
	slices.SortFunc(metrics, func(a, b Metric) int {
		return cmp.Or(
			compareBy(order, b, a), // the largest first
			strings.Compare(a.Metric, b.Metric),
			strings.Compare(a.Group, b.Group),
			strings.Compare(a.Point, b.Point),
		)
	})
}

func compareBy(order Order, a, b Metric) int {
	switch order {
	case OrderSaving:
		return cmp.Compare(bestSaving(a), bestSaving(b))
	case OrderGrowth:
		return cmp.Compare(a.Growth.NewSeriesPerMinute, b.Growth.NewSeriesPerMinute)
	case OrderPoints:
		return cmp.Compare(a.Points, b.Points)
	case OrderStreams:
		return cmp.Compare(a.Streams, b.Streams)
	case OrderName:
		return 0
	case OrderSeries:
	}
	return cmp.Compare(a.Series, b.Series)
}

func bestSaving(m Metric) uint64 {
	if m.Best == nil {
		return 0
	}
	return m.Best.Saving
}

// sortDetails puts the entries of one metric in order, the largest first.
func sortDetails(entries []MetricDetail) {
	slices.SortFunc(entries, func(a, b MetricDetail) int {
		return cmp.Or(
			cmp.Compare(b.Series, a.Series),
			strings.Compare(a.Group, b.Group),
			strings.Compare(a.Point, b.Point),
		)
	})
}

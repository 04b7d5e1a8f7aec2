package insight

import (
	"cmp"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/report"
)

// Order is what a list is sorted by.
type Order string

// The orders of a list: all but OrderName put the largest first.
const (
	OrderSeries  Order = "series"
	OrderSaving  Order = "saving"
	OrderGrowth  Order = "growth"
	OrderPoints  Order = "points"
	OrderStreams Order = "streams"
	OrderName    Order = "name"
)

// Orders lists every Order, the default first.
var Orders = []Order{OrderSeries, OrderSaving, OrderGrowth, OrderPoints, OrderStreams, OrderName}

// rank is where an entry stands in an order. Ties are broken by name, group and
// point, so that the same numbers always give the same answer.
type rank struct {
	value              float64
	name, group, point string
}

func (a rank) compare(b rank) int {
	return cmp.Or(
		cmp.Compare(b.value, a.value), // the largest first
		strings.Compare(a.name, b.name),
		strings.Compare(a.group, b.group),
		strings.Compare(a.point, b.point),
	)
}

func rankOf(order Order, point string, m *report.MetricCardinality) rank {
	return rank{value: orderValue(order, m), name: m.Name, group: m.Group, point: point}
}

func orderValue(order Order, m *report.MetricCardinality) float64 {
	switch order {
	case OrderSaving:
		return float64(bestSaving(m))
	case OrderGrowth:
		return finite(m.Growth.NewPerMinute)
	case OrderPoints:
		return float64(m.Points)
	case OrderStreams:
		return float64(m.Streams)
	case OrderName:
		return 0
	case OrderSeries:
	}
	return float64(m.Series)
}

func bestSaving(m *report.MetricCardinality) uint64 {
	if m.Best == nil {
		return 0
	}
	return m.Best.Series
}

// order returns the metrics in an order, as indexes. It is made once for a view.
func (v *view) order(order Order) []int32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if list := v.orders[order]; list != nil {
		return list
	}
	metrics := v.report.Metrics
	list := make([]int32, len(metrics))
	values := make([]float64, len(metrics))
	for i := range metrics {
		list[i], values[i] = int32(i), orderValue(order, &metrics[i])
	}
	slices.SortFunc(list, func(i, j int32) int {
		a, b := &metrics[i], &metrics[j]
		return cmp.Or(cmp.Compare(values[j], values[i]), strings.Compare(a.Name, b.Name), strings.Compare(a.Group, b.Group))
	})
	v.orders[order] = list
	return list
}

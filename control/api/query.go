package api

import (
	"net/url"
	"strconv"
	"time"
)

// Bounds on what may be asked.
const (
	// DefaultLimit is how many metrics a list has if no limit is given.
	DefaultLimit = 50
	// MaxLimit is the largest limit that may be asked for.
	MaxLimit = 10_000
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

// CardinalityQuery restricts and orders GET /api/v1/cardinality. The zero value
// asks for the DefaultLimit metrics with most series, of all points.
type CardinalityQuery struct {
	// Point restricts the answer to one measuring point.
	Point string
	// Metric and Group are patterns with * and ?; empty matches all.
	Metric, Group string
	// Sort is OrderSeries if empty.
	Sort Order
	// Limit is DefaultLimit if 0.
	Limit int
	// Since counts only series seen in the last Since; 0 is the whole window.
	Since time.Duration
}

// MetricQuery restricts GET /api/v1/cardinality/{metric}, as CardinalityQuery
// restricts a list.
type MetricQuery struct {
	Point, Group string
	Since        time.Duration
}

// values is the query as parameters.
func (q CardinalityQuery) values() url.Values {
	v := MetricQuery{Point: q.Point, Group: q.Group, Since: q.Since}.values()
	setIf(v, "metric", q.Metric)
	setIf(v, "sort", string(q.Sort))
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// values is the query as parameters.
func (q MetricQuery) values() url.Values {
	v := url.Values{}
	setIf(v, "point", q.Point)
	setIf(v, "group", q.Group)
	if q.Since != 0 {
		v.Set("since", q.Since.String())
	}
	return v
}

func setIf(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

package api

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on what may be asked.
const (
	// DefaultLimit is how many metrics a list has if no limit is given.
	DefaultLimit = 50
	// MaxLimit is the largest limit that may be asked for.
	MaxLimit = 10_000
	// maxTextBytes bounds names and patterns, so that matching stays cheap.
	maxTextBytes = 1024
	// maxUnknownParameters bounds how many unknown parameters a problem lists.
	maxUnknownParameters = 10
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

// values is the inverse of decodeCardinalityQuery.
func (q CardinalityQuery) values() url.Values {
	v := MetricQuery{Point: q.Point, Group: q.Group, Since: q.Since}.values()
	setIf(v, "metric", q.Metric)
	setIf(v, "sort", string(q.Sort))
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// values is the inverse of decodeMetricQuery.
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

// decodeCardinalityQuery reads a list query. Its error is a *parameterErrors
// with everything that is wrong.
func decodeCardinalityQuery(raw string) (CardinalityQuery, error) {
	p := parseParameters(raw, "point", "metric", "group", "limit", "sort", "since")
	q := CardinalityQuery{
		Point:  p.text("point"),
		Metric: p.text("metric"),
		Group:  p.text("group"),
		Limit:  p.limit("limit"),
		Sort:   p.order("sort"),
		Since:  p.duration("since"),
	}
	return q, p.err()
}

// decodeMetricQuery reads the query of one metric, and checks the name that the
// path gives.
func decodeMetricQuery(metric, raw string) (MetricQuery, error) {
	p := parseParameters(raw, "point", "group", "since")
	if metric == "" || len(metric) > maxTextBytes {
		p.fault("metric", "must have 1 to %d bytes, has %d", maxTextBytes, len(metric))
	}
	q := MetricQuery{Point: p.text("point"), Group: p.text("group"), Since: p.duration("since")}
	return q, p.err()
}

// decodeNothing refuses every parameter.
func decodeNothing(raw string) error { return parseParameters(raw).err() }

// parameters collects the faults of a query while it is read.
type parameters struct {
	values url.Values
	faults []ParameterFault
}

func parseParameters(raw string, known ...string) *parameters {
	values, err := url.ParseQuery(raw)
	p := &parameters{values: values}
	if err != nil {
		p.fault("(query)", "cannot be read: %s", abbreviate(err.Error()))
	}
	unknown := 0
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !slices.Contains(known, name):
			if unknown++; unknown <= maxUnknownParameters {
				p.fault(abbreviate(name), "is unknown; %s", knownParameters(known))
			}
		case len(values[name]) > 1:
			p.fault(name, "is given %d times, may be given once", len(values[name]))
		}
	}
	return p
}

func knownParameters(known []string) string {
	if len(known) == 0 {
		return "this path takes no parameters"
	}
	return "known are " + strings.Join(known, ", ")
}

func (p *parameters) fault(name, format string, args ...any) {
	p.faults = append(p.faults, ParameterFault{Parameter: name, Detail: fmt.Sprintf(format, args...)})
}

func (p *parameters) err() error {
	if len(p.faults) == 0 {
		return nil
	}
	return &parameterErrors{faults: p.faults}
}

func (p *parameters) text(name string) string {
	s := p.values.Get(name)
	if len(s) > maxTextBytes {
		p.fault(name, "may have %d bytes at most, has %d", maxTextBytes, len(s))
		return ""
	}
	return s
}

func (p *parameters) limit(name string) int {
	s := p.values.Get(name)
	if s == "" {
		return DefaultLimit
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxLimit {
		p.fault(name, "must be a whole number from 1 to %d, got %q", MaxLimit, abbreviate(s))
		return DefaultLimit
	}
	return n
}

func (p *parameters) order(name string) Order {
	s := p.values.Get(name)
	if s == "" {
		return Orders[0]
	}
	if !slices.Contains(Orders, Order(s)) {
		p.fault(name, "must be one of %s, got %q", joinOrders(), abbreviate(s))
		return Orders[0]
	}
	return Order(s)
}

func (p *parameters) duration(name string) time.Duration {
	s := p.values.Get(name)
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		p.fault(name, "must be a positive duration such as 5m, got %q", abbreviate(s))
		return 0
	}
	return d
}

func joinOrders() string {
	names := make([]string, 0, len(Orders))
	for _, o := range Orders {
		names = append(names, string(o))
	}
	return strings.Join(names, ", ")
}

// abbreviate bounds what an answer repeats of a request.
func abbreviate(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

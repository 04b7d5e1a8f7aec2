package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// result is what became of one query.
type result struct {
	name         string
	answers      int
	worst, bound string
	ok           bool
}

// errorsAllowed are the standard errors that an answer may be off. The standard
// errors are themselves estimated from what was kept, so four would be few.
const errorsAllowed = 5

// request is what spanmetrics says of one route: the last, cumulative, values by
// status.
type request struct {
	byStatus map[string]float64
	buckets  map[string]pmetric.HistogramDataPoint
}

func (r *request) calls(status string, n float64) {
	if r.byStatus == nil {
		r.byStatus = map[string]float64{}
	}
	r.byStatus[status] = n
}

func (r *request) took(status string, p pmetric.HistogramDataPoint) {
	if r.buckets == nil {
		r.buckets = map[string]pmetric.HistogramDataPoint{}
	}
	r.buckets[status] = p
}

func (r *request) count() (n float64) {
	for _, of := range r.byStatus {
		n += of
	}
	return n
}

const statusError = "STATUS_CODE_ERROR"

// enough is how many requests make an answer worth asking for.
const enough = 1000

// requests is sum by (service, route) (calls): what request rates come from.
func requests(raw, sampled side) result {
	q := result{name: "requests by service and route", ok: true}
	var worst, bound float64
	for k, before := range raw.requests.requests {
		n := before.count()
		if n < enough {
			continue
		}
		q.answers++
		after, w := 0.0, &weights{}
		if r := sampled.requests.requests[k]; r != nil {
			after = r.count()
		}
		if found := lookup(sampled.traces.by, k); found != nil {
			w = found
		}
		off, may := math.Abs(after-n)/n, errorsAllowed*math.Sqrt(w.variance)/n
		if off > may {
			q.ok = false
		}
		worst, bound = max(worst, off), max(bound, may)
	}
	q.worst, q.bound = percent(worst), "± "+percent(bound)
	return q
}

// lookup finds spans by what spanmetrics calls them.
func lookup(by map[key]*weights, k key) *weights {
	for other, w := range by {
		if other.service == k.service && other.what == k.what && strings.EqualFold("SPAN_KIND_"+other.kind, k.kind) {
			return w
		}
	}
	return nil
}

// errorRatio is sum(calls{status="error"}) / sum(calls), by service: errors are
// kept whole, so only the divisor is estimated.
func errorRatio(raw, sampled side) result {
	q := result{name: "error ratio by service", ok: true}
	type sums struct{ errors, all, variance float64 }
	add := func(m metrics, weigh map[key]*weights) map[string]*sums {
		by := map[string]*sums{}
		for k, r := range m.requests {
			if k.kind != "SPAN_KIND_SERVER" {
				continue
			}
			s := by[k.service]
			if s == nil {
				s = &sums{}
				by[k.service] = s
			}
			s.errors += r.byStatus[statusError]
			s.all += r.count()
			if w := lookup(weigh, k); w != nil {
				s.variance += w.variance
			}
		}
		return by
	}
	before, after := add(raw.requests, raw.traces.by), add(sampled.requests, sampled.traces.by)
	var worst, bound float64
	for service, b := range before {
		a := after[service]
		if a == nil || a.all == 0 {
			q.ok = false
			continue
		}
		q.answers++
		ratio := b.errors / b.all
		off := math.Abs(a.errors/a.all - ratio)
		may := ratio * errorsAllowed * math.Sqrt(a.variance) / b.all
		if off > may {
			q.ok = false
		}
		worst, bound = max(worst, off), max(bound, may)
	}
	q.worst, q.bound = points(worst), "± "+points(bound)
	return q
}

// slowest is histogram_quantile(0.95, sum by (service, route, le) (duration)).
func slowest(raw, sampled side) result {
	q := result{name: "p95 latency by service and route", ok: true}
	const p95 = 0.95
	var worst, widest float64
	for k, before := range raw.requests.requests {
		if before.count() < enough {
			continue
		}
		q.answers++
		want := before.quantile(p95)
		after, w := sampled.requests.requests[k], lookup(sampled.traces.by, k)
		if after == nil || w == nil {
			q.ok = false
			continue
		}
		got := after.quantile(p95)
		// The share below the quantile is off by the standard error of a share
		// estimated from so many equal weights.
		effective := w.total * w.total / w.squares
		spread := errorsAllowed * math.Sqrt(p95*(1-p95)/effective)
		low, high := before.quantile(p95-spread), before.quantile(min(1, p95+spread))
		if got < low || got > high {
			q.ok = false
		}
		worst = max(worst, math.Abs(got-want)/want)
		widest = max(widest, spread)
	}
	q.worst, q.bound = percent(worst), fmt.Sprintf("p%.1f to p%.1f", 100*(p95-widest), 100*min(1, p95+widest))
	return q
}

// quantile reads between the bounds of buckets as histogram_quantile does.
func (r *request) quantile(share float64) float64 {
	var counts []float64
	var bounds []float64
	for _, p := range r.buckets {
		bounds = p.ExplicitBounds().AsRaw()
		if counts == nil {
			counts = make([]float64, p.BucketCounts().Len())
		}
		for i, n := range p.BucketCounts().All() {
			counts[i] += float64(n)
		}
	}
	var all, below float64
	for _, n := range counts {
		all += n
	}
	for i, n := range counts {
		if below+n >= share*all && n > 0 {
			if i == len(bounds) {
				return bounds[i-1]
			}
			lower := 0.0
			if i > 0 {
				lower = bounds[i-1]
			}
			return lower + (bounds[i]-lower)*(share*all-below)/n
		}
		below += n
	}
	return math.NaN()
}

// records is count by (service, severity) of the logs.
func records(raw, sampled side) result {
	q := result{name: "log records by service and severity", ok: true}
	var worst, bound float64
	for k, before := range raw.logs.by {
		q.answers++
		after := sampled.logs.by[k]
		if after == nil {
			q.ok = false
			continue
		}
		off := math.Abs(after.total-before.total) / before.total
		may := errorsAllowed * math.Sqrt(after.variance) / before.total
		if off > may+1e-9 {
			q.ok = false
		}
		worst, bound = max(worst, off), max(bound, may)
	}
	q.worst, q.bound = percent(worst), "± "+percent(bound)
	return q
}

// temperature is the gauge itself at the time of each point that came, as an
// instant query reads it: the last point that was sent.
func temperature(raw, sampled side, tolerance float64) result {
	q := result{name: "temperature by hall, each second", ok: true, bound: fmt.Sprintf("± %.2g °C", tolerance)}
	worst := 0.0
	for _, hall := range slices.Sorted(maps.Keys(raw.metrics.streams)) {
		sent := sampled.metrics.streams[hall]
		next := 0
		for _, p := range raw.metrics.streams[hall] {
			for next < len(sent) && sent[next].Timestamp() <= p.Timestamp() {
				next++
			}
			if next == 0 {
				q.ok = false
				continue
			}
			q.answers++
			worst = max(worst, math.Abs(sent[next-1].DoubleValue()-p.DoubleValue()))
		}
	}
	if worst > tolerance {
		q.ok = false
	}
	q.worst = fmt.Sprintf("%.2g °C", worst)
	return q
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// points writes a difference of ratios in percentage points.
func points(share float64) string { return fmt.Sprintf("%.3f pp", 100*share) }

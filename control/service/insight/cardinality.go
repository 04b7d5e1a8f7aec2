package insight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/filter"
)

type cardinalityServer struct {
	phoenixv1.UnimplementedCardinalityServer
	*insight
}

var _ phoenixv1.CardinalityServer = (*cardinalityServer)(nil)

// cardinalityFields are those of the filter of ListCardinality.
var cardinalityFields = map[string]filter.Kind{
	"metric": filter.Text, "group": filter.Text, "type": filter.Text, "unit": filter.Text,
	"series": filter.Number, "streams": filter.Number, "saving": filter.Number,
	"growing": filter.Bool, "exceeded": filter.Bool,
}

// cardinalityQuery is a ListCardinalityRequest that was read.
type cardinalityQuery struct {
	point, metric, group string
	sort                 Order
	limit                int
	since                time.Duration
	after                *cursor
	digest               [8]byte
	conditions           []filter.Condition
}

func readCardinalityQuery(r *phoenixv1.ListCardinalityRequest) (cardinalityQuery, error) {
	var v violations
	q := cardinalityQuery{
		point:  v.text("point", r.GetPoint()),
		metric: v.text("metric", r.GetMetric()),
		group:  v.text("group", r.GetGroup()),
		limit:  v.limit(r.GetLimit()),
		sort:   v.order(r.GetSort()),
		since:  v.duration("since", r.GetSince()),
		digest: digestOf(r, "page_token", "limit"),
	}
	q.conditions = v.filter(r.GetFilter(), cardinalityFields)
	q.after = v.page(r.GetPageToken(), q.digest)
	return q, v.err()
}

// pass says whether an entry passes all filters.
func (q *cardinalityQuery) pass(m *report.MetricCardinality) bool {
	if !matches(q.metric, m.Name) || !matches(q.group, m.Group) {
		return false
	}
	for _, c := range q.conditions {
		if !passes(c, m) {
			return false
		}
	}
	return true
}

func passes(c filter.Condition, m *report.MetricCardinality) bool {
	switch c.Field {
	case "metric":
		return c.MatchText(m.Name)
	case "group":
		return c.MatchText(m.Group)
	case "type":
		return c.MatchText(m.Type)
	case "unit":
		return c.MatchText(m.Unit)
	case "series":
		return c.MatchNumber(float64(m.Series))
	case "streams":
		return c.MatchNumber(float64(m.Streams))
	case "saving":
		return c.MatchNumber(float64(bestSaving(m)))
	case "growing":
		return c.MatchBool(m.Growth.Growing)
	case "exceeded":
		return c.MatchBool(m.Limit != nil && m.Limit.Exceeded)
	}
	return false
}

// ListCardinality implements phoenixv1.CardinalityServer.
func (s *cardinalityServer) ListCardinality(ctx context.Context, r *phoenixv1.ListCardinalityRequest) (*phoenixv1.ListCardinalityResponse, error) {
	sc, err := s.scope(ctx, access.List, access.Cardinality)
	if err != nil {
		return nil, err
	}
	q, err := readCardinalityQuery(r)
	if err != nil {
		return nil, err
	}
	views, err := s.views(ctx, sc, q.point, q.since, false)
	if err != nil {
		return nil, asFault(err)
	}
	answer := &phoenixv1.ListCardinalityResponse{}
	runs := make([]run, 0, len(views))
	for _, v := range views {
		answer.Points = append(answer.Points, wirePoint(&v.report))
		one := q.run(v)
		answer.Total += uint32(len(one.metrics)) //nolint:gosec // bounded by memory
		runs = append(runs, one)
	}
	page, more := merge(runs, &q)
	for _, e := range page {
		answer.Metrics = append(answer.Metrics, wireMetric(e.point, e.metric))
	}
	if more {
		last := page[len(page)-1]
		answer.Truncated = true
		answer.NextPageToken = cursor{query: q.digest, rank: rankOf(q.sort, last.point, last.metric)}.token()
	}
	return answer, nil
}

// run is the entries of one point that pass, in order.
type run struct {
	point   string
	metrics []*report.MetricCardinality
}

type entry struct {
	point  string
	metric *report.MetricCardinality
}

func (q *cardinalityQuery) run(v *view) run {
	list := run{point: v.report.Point}
	for _, i := range v.order(q.sort) {
		if m := &v.report.Metrics[i]; q.pass(m) {
			list.metrics = append(list.metrics, m)
		}
	}
	return list
}

// merge returns the page, and whether there is another after it. There are few
// points.
func merge(runs []run, q *cardinalityQuery) (page []entry, more bool) {
	if q.after != nil {
		for i := range runs {
			r := &runs[i]
			from := sort.Search(len(r.metrics), func(k int) bool {
				return rankOf(q.sort, r.point, r.metrics[k]).compare(q.after.rank) > 0
			})
			r.metrics = r.metrics[from:]
		}
	}
	for {
		var best *run
		for i := range runs {
			r := &runs[i]
			if len(r.metrics) > 0 && (best == nil ||
				rankOf(q.sort, r.point, r.metrics[0]).compare(rankOf(q.sort, best.point, best.metrics[0])) < 0) {
				best = r
			}
		}
		if best == nil {
			return page, false
		}
		if len(page) == q.limit {
			return page, true
		}
		page = append(page, entry{best.point, best.metrics[0]})
		best.metrics = best.metrics[1:]
	}
}

// GetCardinality implements phoenixv1.CardinalityServer.
func (s *cardinalityServer) GetCardinality(ctx context.Context, r *phoenixv1.GetCardinalityRequest) (*phoenixv1.MetricCardinality, error) {
	sc, err := s.scope(ctx, access.Get, access.Cardinality)
	if err != nil {
		return nil, err
	}
	var v violations
	metric := r.GetMetric()
	if metric == "" || len(metric) > maxTextBytes {
		v.add("metric", "must have 1 to %d bytes, has %d", maxTextBytes, len(metric))
	}
	point, group, since := v.text("point", r.GetPoint()), v.text("group", r.GetGroup()), v.duration("since", r.GetSince())
	if err := v.err(); err != nil {
		return nil, err
	}
	views, err := s.views(ctx, sc, point, since, true)
	if err != nil {
		return nil, asFault(err)
	}
	answer := &phoenixv1.MetricCardinality{Metric: text(metric)}
	known := false
	for _, v := range views {
		before := len(answer.Entries)
		for _, m := range v.named(metric) {
			known = true
			if matches(group, m.Group) {
				answer.Entries = append(answer.Entries, wireDetail(v.report.Point, m))
			}
		}
		if len(answer.Entries) > before {
			answer.Points = append(answer.Points, wirePoint(&v.report))
		}
	}
	switch {
	case !known:
		return nil, unknownMetric(metric, views)
	case len(answer.Entries) == 0:
		return nil, fault.New(fault.NotFound, fmt.Sprintf("the metric %q is known, but none of its groups matches %q", text(metric), text(group)))
	}
	slices.SortFunc(answer.Entries, func(a, b *phoenixv1.MetricEntry) int {
		return cmp.Or(cmp.Compare(b.Series, a.Series), strings.Compare(a.Group, b.Group), strings.Compare(a.Point, b.Point))
	})
	return answer, nil
}

// named returns the entries of a metric, by the bytes of its name, or by the name
// as lists show it.
func (v *view) named(metric string) []*report.MetricCardinality {
	var exact, shown []*report.MetricCardinality
	for i := range v.report.Metrics {
		switch m := &v.report.Metrics[i]; {
		case m.Name == metric:
			exact = append(exact, m)
		case text(m.Name) == metric:
			shown = append(shown, m)
		}
	}
	if exact != nil {
		return exact
	}
	return shown
}

// unknownMetric says how to find the right name.
func unknownMetric(metric string, views []*view) error {
	metric = text(metric)
	if len(views) == 0 {
		return fault.New(fault.NotFound, fmt.Sprintf(
			"the metric %q is unknown because nothing is measured; give a cardinality processor the option control: phoenix_control", metric))
	}
	var names []metricName
	for _, v := range views {
		for _, m := range v.report.Metrics {
			names = append(names, metricName{otlp: m.Name, backend: m.BackendName})
		}
	}
	f := fault.New(fault.NotFound, fmt.Sprintf(
		"no measuring point saw the metric %q in the counted time; GET /api/v1/cardinality?sort=name lists the metrics", metric))
	if near := nearest(metric, names); len(near) > 0 {
		f.Suggestions = texts(near)
	}
	return f
}

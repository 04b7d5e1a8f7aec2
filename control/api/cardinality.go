package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/phoenix-platform/phoenix/control/report"
)

// listCardinality answers GET /api/v1/cardinality.
func (a *api) listCardinality(w http.ResponseWriter, r *http.Request) error {
	q, err := decodeCardinalityQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	ask := report.CardinalityQuery{Since: q.Since}
	if !isGlob(q.Metric) {
		ask.Metric = q.Metric // the source need not list the rest
	}
	reports, err := a.Reporter.Cardinality(r.Context(), q.Point, ask)
	if err != nil {
		return err
	}
	answer := CardinalityList{Points: []Point{}, Metrics: []Metric{}}
	for _, c := range reports {
		answer.Points = append(answer.Points, wirePoint(c))
		for _, m := range c.Metrics {
			if matches(q.Metric, m.Name) && matches(q.Group, m.Group) {
				answer.Metrics = append(answer.Metrics, wireMetric(c.Point, m))
			}
		}
	}
	sortMetrics(answer.Metrics, q.Sort)
	answer.Total = len(answer.Metrics)
	if answer.Total > q.Limit {
		answer.Metrics, answer.Truncated = answer.Metrics[:q.Limit], true
	}
	return writeJSON(w, answer)
}

// getCardinality answers GET /api/v1/cardinality/{metric}.
func (a *api) getCardinality(w http.ResponseWriter, r *http.Request) error {
	metric := r.PathValue("metric")
	q, err := decodeMetricQuery(metric, r.URL.RawQuery)
	if err != nil {
		return err
	}
	ask := report.CardinalityQuery{Since: q.Since, Metric: metric, Detail: true}
	reports, err := a.Reporter.Cardinality(r.Context(), q.Point, ask)
	if err != nil {
		return err
	}
	answer := MetricCardinality{Metric: metric}
	known := false
	for _, c := range reports {
		before := len(answer.Entries)
		for _, m := range c.Metrics {
			if m.Name != metric {
				continue
			}
			known = true
			if matches(q.Group, m.Group) {
				answer.Entries = append(answer.Entries, wireDetail(c.Point, m))
			}
		}
		if len(answer.Entries) > before {
			answer.Points = append(answer.Points, wirePoint(c))
		}
	}
	switch {
	case !known:
		return a.unknownMetric(r.Context(), metric, q)
	case len(answer.Entries) == 0:
		return &unknownMetricError{detail: fmt.Sprintf("the metric %q is known, but none of its groups matches %q", metric, q.Group)}
	}
	sortDetails(answer.Entries)
	return writeJSON(w, answer)
}

// unknownMetric says how to find the right name.
func (a *api) unknownMetric(ctx context.Context, metric string, q MetricQuery) error {
	reports, err := a.Reporter.Cardinality(ctx, q.Point, report.CardinalityQuery{Since: q.Since})
	if err != nil {
		return err
	}
	if len(reports) == 0 {
		return &unknownMetricError{detail: fmt.Sprintf(
			"the metric %q is unknown because nothing is measured; give a cardinality processor the option control: phoenix_control", metric)}
	}
	var names []metricName
	for _, c := range reports {
		for _, m := range c.Metrics {
			names = append(names, metricName{otlp: m.Name, backend: m.BackendName})
		}
	}
	return &unknownMetricError{
		detail: fmt.Sprintf("no measuring point saw the metric %q in the counted time; GET %s?sort=name lists the metrics",
			metric, pathCardinality),
		suggestions: nearest(metric, names),
	}
}

// matches is matchGlob in which no pattern is every name.
func matches(pattern, name string) bool {
	return pattern == "" || matchGlob(pattern, name)
}

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/phoenix-platform/phoenix/control/api"
)

// printMetric writes the tables of phoenixctl top METRIC: one for each
// measuring point and budget group.
func printMetric(w io.Writer, answer *api.MetricCardinality) error {
	metrics := make([]api.Metric, 0, len(answer.Entries))
	for _, e := range answer.Entries {
		metrics = append(metrics, e.Metric)
	}
	if err := printPoints(w, answer.Points, metrics); err != nil {
		return err
	}
	for _, e := range answer.Entries {
		if err := printEntry(w, e, len(answer.Points) > 1); err != nil {
			return err
		}
	}
	return nil
}

func printEntry(w io.Writer, e api.MetricDetail, namePoint bool) error {
	name := e.Metric.Metric
	if e.Group != "" {
		name += " of " + e.Group
	}
	if namePoint {
		name += " at " + e.Point
	}
	if _, err := fmt.Fprintf(w, "\n%s: %s\n\n", printable(name), printable(entryLine(e))); err != nil {
		return err
	}
	if len(e.Attributes) == 0 {
		_, err := fmt.Fprintln(w, "It has no labels.")
		return err
	}
	if err := attributeTable(e).print(w); err != nil {
		return err
	}
	if len(e.Groups) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w, "\nLabels that save only together:"); err != nil {
		return err
	}
	return groupTable(e).print(w)
}

// entryLine says what the metric is and costs.
func entryLine(e api.MetricDetail) string {
	parts := []string{e.Type}
	if e.Unit != "" && e.Unit != "1" {
		parts[0] += " in " + e.Unit
	}
	if e.BackendName != "" && e.BackendName != e.Metric.Metric {
		parts = append(parts, "in the backend "+e.BackendName)
	}
	parts = append(parts,
		about(e.Series, e.Estimated)+" series",
		about(e.Streams, e.Estimated)+" streams",
		rate(e.Growth.NewSeriesPerMinute)+" new a minute")
	if t := trend(e.Growth); t != none {
		parts = append(parts, t)
	}
	if e.Limit != nil {
		parts = append(parts, fmt.Sprintf("limit %s by %q", limit(e.Limit), e.Limit.Match))
	}
	if e.Best != nil {
		parts = append(parts, fmt.Sprintf("best: drop %s, saves %s", drop(e.Best), saves(e.Metric)))
	}
	return strings.Join(parts, "; ")
}

func attributeTable(e api.MetricDetail) *table {
	t := &table{columns: []column{
		{"LABEL", false},
		{"LEVEL", false},
		{"IN BACKEND", false},
		{"DISTINCT", true},
		{"SERIES WITHOUT", true},
		{"SAVES", true},
		{"SAVES %", true},
	}}
	for _, a := range e.Attributes {
		name, level := a.Attribute, a.Level
		if a.Overflow {
			name, level = "(all others)", none
		}
		t.add(name, orNone(level), orNone(a.Label),
			about(a.Distinct, e.Estimated),
			about(a.SeriesWithout, e.Estimated),
			about(a.Saving, e.Estimated),
			percent(a.SavingRatio))
	}
	return t
}

func groupTable(e api.MetricDetail) *table {
	t := &table{columns: []column{
		{"LABELS", false},
		{"SERIES WITHOUT", true},
		{"SAVES", true},
		{"SAVES %", true},
		{"COUNTED SINCE", false},
	}}
	for _, g := range e.Groups {
		t.add(strings.Join(g.Attributes, "+"),
			about(g.SeriesWithout, e.Estimated),
			about(g.Saving, e.Estimated),
			percent(g.SavingRatio),
			g.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return t
}

package main

import (
	"fmt"
	"io"
	"strings"

	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// printMetric writes the tables of phoenixctl top METRIC: one for each
// measuring point and budget group.
func printMetric(w io.Writer, answer *pb.MetricCardinality) error {
	if err := printPoints(w, answer.GetPoints(), answer.GetEntries()); err != nil {
		return err
	}
	for _, e := range answer.GetEntries() {
		if err := printEntry(w, e, len(answer.GetPoints()) > 1); err != nil {
			return err
		}
	}
	return nil
}

func printEntry(w io.Writer, e *pb.MetricEntry, namePoint bool) error {
	name := e.GetMetric()
	if e.GetGroup() != "" {
		name += " of " + e.GetGroup()
	}
	if namePoint {
		name += " at " + e.GetPoint()
	}
	if _, err := fmt.Fprintf(w, "\n%s: %s\n\n", printable(name), printable(entryLine(e))); err != nil {
		return err
	}
	if len(e.GetAttributes()) == 0 {
		_, err := fmt.Fprintln(w, "It has no labels.")
		return err
	}
	if err := attributeTable(e).print(w); err != nil {
		return err
	}
	if len(e.GetGroups()) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w, "\nLabels that save only together:"); err != nil {
		return err
	}
	return groupTable(e).print(w)
}

// entryLine says what the metric is and costs.
func entryLine(e *pb.MetricEntry) string {
	parts := []string{e.GetType()}
	if e.GetUnit() != "" && e.GetUnit() != "1" {
		parts[0] += " in " + e.GetUnit()
	}
	if e.GetBackendName() != "" && e.GetBackendName() != e.GetMetric() {
		parts = append(parts, "in the backend "+e.GetBackendName())
	}
	parts = append(parts,
		about(e.GetSeries(), e.GetEstimated())+" series",
		about(e.GetStreams(), e.GetEstimated())+" streams",
		rate(e.GetGrowth().GetNewSeriesPerMinute())+" new a minute")
	if t := trend(e.GetGrowth()); t != none {
		parts = append(parts, t)
	}
	if e.GetLimit() != nil {
		parts = append(parts, fmt.Sprintf("limit %s by %q", limit(e.GetLimit()), e.GetLimit().GetMatch()))
	}
	if e.GetBest() != nil {
		parts = append(parts, fmt.Sprintf("best: drop %s, saves %s", drop(e.GetBest()), saves(e)))
	}
	return strings.Join(parts, "; ")
}

func attributeTable(e *pb.MetricEntry) *table {
	t := &table{columns: []column{
		{"LABEL", false},
		{"LEVEL", false},
		{"IN BACKEND", false},
		{"DISTINCT", true},
		{"SERIES WITHOUT", true},
		{"SAVES", true},
		{"SAVES %", true},
	}}
	for _, a := range e.GetAttributes() {
		name, level := a.GetAttribute(), a.GetLevel()
		if a.GetOverflow() {
			name, level = "(all others)", none
		}
		t.add(name, orNone(level), orNone(a.GetLabel()),
			about(a.GetDistinct(), e.GetEstimated()),
			about(a.GetSeriesWithout(), e.GetEstimated()),
			about(a.GetSaving(), e.GetEstimated()),
			percent(a.GetSavingRatio()))
	}
	return t
}

func groupTable(e *pb.MetricEntry) *table {
	t := &table{columns: []column{
		{"LABELS", false},
		{"SERIES WITHOUT", true},
		{"SAVES", true},
		{"SAVES %", true},
		{"COUNTED SINCE", false},
	}}
	for _, g := range e.GetGroups() {
		t.add(strings.Join(g.GetAttributes(), "+"),
			about(g.GetSeriesWithout(), e.GetEstimated()),
			about(g.GetSaving(), e.GetEstimated()),
			percent(g.GetSavingRatio()),
			g.GetSince().AsTime().Format("2006-01-02 15:04:05 UTC"))
	}
	return t
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// none stands in a cell that has nothing to say.
const none = "-"

// printList writes the table of phoenixctl top. Columns that would be empty, or
// the same in every row, are left out.
func printList(w io.Writer, list *pb.ListCardinalityResponse, order string) error {
	if len(list.GetPoints()) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is measured yet: give a cardinality processor the option `control: phoenix_control`.\n"+
			"Who does not see all namespaces sees only points whose group_by is the namespace_attribute of the control plane.")
		return err
	}
	if err := printPoints(w, list.GetPoints(), list.GetMetrics()); err != nil {
		return err
	}
	if len(list.GetMetrics()) == 0 {
		_, err := fmt.Fprintln(w, "\nNo metric matches.")
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := listTable(list, order).print(w); err != nil {
		return err
	}
	if list.GetTruncated() {
		_, err := fmt.Fprintf(w, "\n%s of %s shown; --limit shows more.\n", count(len(list.GetMetrics())), count(list.GetTotal()))
		return err
	}
	return nil
}

// listColumn is a column of the list and what stands in it.
type listColumn struct {
	column
	shown bool
	cell  func(*pb.MetricEntry) string
}

func listTable(list *pb.ListCardinalityResponse, order string) *table {
	has := func(f func(*pb.MetricEntry) bool) bool { return slices.ContainsFunc(list.GetMetrics(), f) }
	columns := []listColumn{
		{column{"METRIC", false}, true, func(m *pb.MetricEntry) string { return m.GetMetric() }},
		{column{"GROUP", false}, has(func(m *pb.MetricEntry) bool { return m.GetGroup() != "" }), func(m *pb.MetricEntry) string { return orNone(m.GetGroup()) }},
		{column{"POINT", false}, len(list.GetPoints()) > 1, func(m *pb.MetricEntry) string { return m.GetPoint() }},
		{column{"SERIES", true}, true, func(m *pb.MetricEntry) string { return about(m.GetSeries(), m.GetEstimated()) }},
		{column{"STREAMS", true}, true, func(m *pb.MetricEntry) string { return about(m.GetStreams(), m.GetEstimated()) }},
		{column{"POINTS", true}, order == orderPoints, func(m *pb.MetricEntry) string { return count(m.GetPoints()) }},
		{column{"NEW/MIN", true}, true, func(m *pb.MetricEntry) string { return rate(m.GetGrowth().GetNewSeriesPerMinute()) }},
		{column{"TREND", false}, has(func(m *pb.MetricEntry) bool { return trend(m.GetGrowth()) != none }), func(m *pb.MetricEntry) string { return trend(m.GetGrowth()) }},
		{column{"DROP", false}, true, func(m *pb.MetricEntry) string { return drop(m.GetBest()) }},
		{column{"SAVES", true}, true, saves},
		{column{"LIMIT", true}, has(func(m *pb.MetricEntry) bool { return m.GetLimit() != nil }), func(m *pb.MetricEntry) string { return limit(m.GetLimit()) }},
	}
	columns = slices.DeleteFunc(columns, func(c listColumn) bool { return !c.shown })
	t := &table{}
	for _, c := range columns {
		t.columns = append(t.columns, c.column)
	}
	for _, m := range list.GetMetrics() {
		cells := make([]string, 0, len(columns))
		for _, c := range columns {
			cells = append(cells, c.cell(m))
		}
		t.add(cells...)
	}
	return t
}

// printPoints writes one line on each measuring point. Its sums are estimates if
// one of the metrics is.
func printPoints(w io.Writer, points []*pb.Point, metrics []*pb.MetricEntry) error {
	for _, p := range points {
		estimated := slices.ContainsFunc(metrics, func(m *pb.MetricEntry) bool { return m.GetPoint() == p.GetPoint() && m.GetEstimated() })
		if _, err := fmt.Fprintf(w, "%s: %s\n", printable(p.GetPoint()), printable(pointLine(p, estimated))); err != nil {
			return err
		}
	}
	return nil
}

// pointLine says what was counted, when, and what is missing.
func pointLine(p *pb.Point, estimated bool) string {
	from, to := p.GetFrom().AsTime(), p.GetTo().AsTime()
	parts := []string{
		fmt.Sprintf("%s, %s", span(from, to), shortDuration(to.Sub(from))),
		counted(p.GetMetricsTracked(), "metric"),
		fmt.Sprintf("%s %s series", about(p.GetSeries(), estimated), p.GetBackend()),
		about(p.GetStreams(), estimated) + " streams",
		fmt.Sprintf("memory %s of %s", size(p.GetMemoryBytes()), size(p.GetMemoryLimitBytes())),
	}
	if refused := sumOf(p.GetRefused()); refused > 0 {
		parts = append(parts, counted(refused, "point")+" refused")
	}
	if o := p.GetOverflow(); o != nil {
		parts = append(parts, overflowNote(o))
	}
	return strings.Join(parts, "; ")
}

// overflowNote says what the numbers of the table leave out.
func overflowNote(o *pb.CardinalityOverflow) string {
	note := fmt.Sprintf("NOT LISTED: %s with %s series", counted(o.GetMetrics(), "metric"), count(o.GetSeries()))
	if o.GetAttributes() > 0 {
		note += ", some attributes of " + counted(o.GetAttributes(), "metric")
	}
	if len(o.GetReasons()) > 0 {
		note += " (raise " + strings.Join(o.GetReasons(), ", ") + ")"
	}
	return note
}

func sumOf(counts map[string]float64) float64 {
	var sum float64
	for _, n := range counts {
		sum += n
	}
	return sum
}

// shortDuration drops zero units that time.Duration writes: 10m, not 10m0s.
func shortDuration(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

func trend(g *pb.Growth) string {
	switch {
	case g.GetAccelerating():
		return "accelerating"
	case g.GetGrowing():
		return "growing"
	default:
		return none
	}
}

func drop(b *pb.BestSaving) string {
	if b == nil {
		return none
	}
	return strings.Join(b.GetAttributes(), "+")
}

func saves(m *pb.MetricEntry) string {
	if m.GetBest() == nil {
		return none
	}
	return about(m.GetBest().GetSaving(), m.GetEstimated()) + " " + percent(m.GetBest().GetSavingRatio())
}

func limit(l *pb.SeriesLimit) string {
	switch {
	case l == nil:
		return none
	case l.GetExceeded():
		return count(l.GetMaxSeries()) + " EXCEEDED"
	default:
		return count(l.GetMaxSeries())
	}
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/api"
)

// none stands in a cell that has nothing to say.
const none = "-"

// printList writes the table of phoenixctl top. Columns that would be empty, or
// the same in every row, are left out.
func printList(w io.Writer, list *api.CardinalityList, order api.Order) error {
	if len(list.Points) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is measured yet: give a cardinality processor the option `control: phoenix_control`.")
		return err
	}
	if err := printPoints(w, list.Points, list.Metrics); err != nil {
		return err
	}
	if len(list.Metrics) == 0 {
		_, err := fmt.Fprintln(w, "\nNo metric matches.")
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := listTable(list, order).print(w); err != nil {
		return err
	}
	if list.Truncated {
		_, err := fmt.Fprintf(w, "\n%s of %s shown; --limit shows more.\n", count(len(list.Metrics)), count(list.Total))
		return err
	}
	return nil
}

// listColumn is a column of the list and what stands in it.
type listColumn struct {
	column
	shown bool
	cell  func(api.Metric) string
}

func listTable(list *api.CardinalityList, order api.Order) *table {
	has := func(f func(api.Metric) bool) bool { return slices.ContainsFunc(list.Metrics, f) }
	columns := []listColumn{
		{column{"METRIC", false}, true, func(m api.Metric) string { return m.Metric }},
		{column{"GROUP", false}, has(func(m api.Metric) bool { return m.Group != "" }), func(m api.Metric) string { return orNone(m.Group) }},
		{column{"POINT", false}, len(list.Points) > 1, func(m api.Metric) string { return m.Point }},
		{column{"SERIES", true}, true, func(m api.Metric) string { return about(m.Series, m.Estimated) }},
		{column{"STREAMS", true}, true, func(m api.Metric) string { return about(m.Streams, m.Estimated) }},
		{column{"POINTS", true}, order == api.OrderPoints, func(m api.Metric) string { return count(m.Points) }},
		{column{"NEW/MIN", true}, true, func(m api.Metric) string { return rate(m.Growth.NewSeriesPerMinute) }},
		{column{"TREND", false}, has(func(m api.Metric) bool { return trend(m.Growth) != none }), func(m api.Metric) string { return trend(m.Growth) }},
		{column{"DROP", false}, true, func(m api.Metric) string { return drop(m.Best) }},
		{column{"SAVES", true}, true, saves},
		{column{"LIMIT", true}, has(func(m api.Metric) bool { return m.Limit != nil }), func(m api.Metric) string { return limit(m.Limit) }},
	}
	columns = slices.DeleteFunc(columns, func(c listColumn) bool { return !c.shown })
	t := &table{}
	for _, c := range columns {
		t.columns = append(t.columns, c.column)
	}
	for _, m := range list.Metrics {
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
func printPoints(w io.Writer, points []api.Point, metrics []api.Metric) error {
	for _, p := range points {
		estimated := slices.ContainsFunc(metrics, func(m api.Metric) bool { return m.Point == p.Point && m.Estimated })
		if _, err := fmt.Fprintf(w, "%s: %s\n", printable(p.Point), printable(pointLine(p, estimated))); err != nil {
			return err
		}
	}
	return nil
}

// pointLine says what was counted, when, and what is missing.
func pointLine(p api.Point, estimated bool) string {
	parts := []string{
		fmt.Sprintf("%s, %s", span(p.From, p.To), shortDuration(p.To.Sub(p.From))),
		counted(p.MetricsTracked, "metric"),
		fmt.Sprintf("%s %s series", about(p.Series, estimated), p.Backend),
		about(p.Streams, estimated) + " streams",
		fmt.Sprintf("memory %s of %s", size(p.MemoryBytes), size(p.MemoryLimitBytes)),
	}
	if refused := sumOf(p.Refused); refused > 0 {
		parts = append(parts, counted(refused, "point")+" refused")
	}
	if o := p.Overflow; o != nil {
		parts = append(parts, overflowNote(o))
	}
	return strings.Join(parts, "; ")
}

// overflowNote says what the numbers of the table leave out.
func overflowNote(o *api.Overflow) string {
	note := fmt.Sprintf("NOT LISTED: %s with %s series", counted(o.Metrics, "metric"), count(o.Series))
	if o.Attributes > 0 {
		note += ", some attributes of " + counted(o.Attributes, "metric")
	}
	if len(o.Reasons) > 0 {
		note += " (raise " + strings.Join(o.Reasons, ", ") + ")"
	}
	return note
}

func sumOf(counts map[string]uint64) uint64 {
	var sum uint64
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

func trend(g api.Growth) string {
	switch {
	case g.Accelerating:
		return "accelerating"
	case g.Growing:
		return "growing"
	default:
		return none
	}
}

func drop(b *api.Best) string {
	if b == nil {
		return none
	}
	return strings.Join(b.Attributes, "+")
}

func saves(m api.Metric) string {
	if m.Best == nil {
		return none
	}
	return about(m.Best.Saving, m.Estimated) + " " + percent(m.Best.SavingRatio)
}

func limit(l *api.Limit) string {
	switch {
	case l == nil:
		return none
	case l.Exceeded:
		return count(l.MaxSeries) + " EXCEEDED"
	default:
		return count(l.MaxSeries)
	}
}

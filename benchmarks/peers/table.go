package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print writes the table, what it means for the limits, and what else there is
// to know.
func (b *bench) print(w io.Writer) {
	fmt.Fprintf(w, "%d series, %d without the pod; a round of %d points in %d requests every %s over %d connections; %d + %d rounds, %d repetitions; %s\n\n",
		b.shape.Series(), b.shape.Merged(), b.shape.Series(), b.shape.Requests(), b.interval, b.connections,
		b.warmup, b.rounds, b.repetitions, b.compression)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "row\tCPU s/M\tfrom\tto\t× nop\tadds s/M\t× ours\tpeak MiB\tpoints in\tout\tseries\tsum kept\tidle %\tlate\t")
	for _, r := range b.rows {
		fmt.Fprintln(table, b.line(r))
	}
	_ = table.Flush() // to memory
	fmt.Fprintln(w)
	for _, r := range b.rows {
		fmt.Fprintf(w, "%-26s %s\n", r.name, r.pipeline)
	}
	for _, text := range b.missing {
		fmt.Fprintln(w, text)
	}
	fmt.Fprintln(w)
	for _, l := range limits {
		if b.has(l.row) && b.has(l.to) && b.has(rowNop) {
			fmt.Fprintln(w, l.verdict(b))
		}
	}
	if err := b.losses(); err != nil {
		fmt.Fprintln(w, err)
	}
}

// line is the row of the table: medians over the repetitions, and what the last
// one counted.
func (b *bench) line(r row) string {
	costs := b.costs(r.name)
	low, high := costs.extremes()
	trials := b.results[r.name]
	last := trials[len(trials)-1]
	late, kept := 0, last.kept
	for _, t := range trials {
		late += t.late
		kept = min(kept, t.kept)
	}
	cells := []string{r.name, fmt.Sprintf("%.3f\t%.3f\t%.3f", costs.median(), low, high)}
	if b.has(rowNop) {
		cells = append(cells, fmt.Sprintf("%.2f\t%.3f", b.ratios(r.name, rowNop).median(), b.added(r.name).median()))
	} else {
		cells = append(cells, "-\t-")
	}
	if b.has(rowNop) && b.has(rowOurs) && r.name != rowNop {
		cells = append(cells, fmt.Sprintf("%.1f", b.addedRatios(r.name, rowOurs).median()))
	} else {
		cells = append(cells, "-")
	}
	peak := b.each(r.name, func(_ int, t trial) float64 { return float64(t.peak) / (1 << 20) }).median()
	idle := b.each(r.name, func(_ int, t trial) float64 { return 100 * t.idle }).median()
	cells = append(cells, fmt.Sprintf("%.0f\t%d\t%d\t%d\t%.4f\t%.2f\t%d\t", peak, last.sent, last.out, last.series, kept, idle, late))
	return strings.Join(cells, "\t")
}

// limit is a promise: a ratio and what it may be at most.
type limit struct {
	row, to string
	added   bool // the ratio is that of what they add to receiving
	most    float64
}

var limits = []limit{
	{row: rowOurs, to: rowNop, most: 1.25},
	{row: rowBoth, to: rowNop, most: 1.4},
	{row: rowOurs, to: rowTransform, added: true, most: 1.0 / 8},
	{row: rowOurs, to: rowVmagent, most: 1.0 / 2},
}

func (l limit) verdict(b *bench) string {
	ratios, what := b.ratios(l.row, l.to), "costs"
	if l.added {
		ratios, what = b.addedRatios(l.row, l.to), "adds"
	}
	low, high := ratios.extremes()
	word := "MISSED"
	if ratios.median() <= l.most {
		word = "met"
	}
	return fmt.Sprintf("%-6s  %s %s %.3f × %s (%.3f to %.3f), wanted ≤ %.3f", word, l.row, what, ratios.median(), l.to, low, high, l.most)
}

package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
)

func main() {
	tolerance := flag.Float64("tolerance", 0.2, "absolute `tolerance` of shop.hall.temperature")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "verify: give the folder with the exported files")
		os.Exit(2)
	}
	ok, err := verify(os.Stdout, flag.Arg(0), *tolerance)
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// side is what one way exported.
type side struct {
	traces   traces
	logs     logs
	metrics  metrics
	requests metrics
}

func read(folder, way string) (s side, err error) {
	path := func(what string) string { return filepath.Join(folder, way+"-"+what+".json") }
	if s.traces, err = readTraces(path("traces")); err != nil {
		return s, err
	}
	if s.logs, err = readLogs(path("logs")); err != nil {
		return s, err
	}
	if s.metrics, err = readMetrics(path("metrics")); err != nil {
		return s, err
	}
	s.requests, err = readMetrics(path("requests"))
	return s, err
}

// verify writes the tables and says whether all is as it should be.
func verify(out io.Writer, folder string, tolerance float64) (bool, error) {
	raw, err := read(folder, "raw")
	if err != nil {
		return false, err
	}
	sampled, err := read(folder, "sampled")
	if err != nil {
		return false, err
	}
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "what\tbefore\tafter\tkept\t")
	volume(t, "spans", raw.traces.count, sampled.traces.count, "")
	volume(t, "", raw.traces.bytes, sampled.traces.bytes, " B")
	volume(t, "log records", raw.logs.count, sampled.logs.count, "")
	volume(t, "", raw.logs.bytes, sampled.logs.bytes, " B")
	volume(t, "metric points", raw.metrics.count, sampled.metrics.count, "")
	volume(t, "", raw.metrics.bytes, sampled.metrics.bytes, " B")
	if err := t.Flush(); err != nil {
		return false, err
	}
	fmt.Fprintln(out)
	t = tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "query\tanswers\tlargest error\tmay be\t\t")
	ok := true
	for _, q := range []result{
		requests(raw, sampled),
		errorRatio(raw, sampled),
		slowest(raw, sampled),
		records(raw, sampled),
		temperature(raw, sampled, tolerance),
	} {
		verdict := "ok"
		if !q.ok || q.answers == 0 {
			verdict, ok = "WRONG", false
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t\n", q.name, q.answers, q.worst, q.bound, verdict)
	}
	return ok, t.Flush()
}

func volume(out io.Writer, what string, before, after int, unit string) {
	fmt.Fprintf(out, "%s\t%s%s\t%s%s\t%.1f %%\t\n", what, grouped(before), unit, grouped(after), unit, 100*float64(after)/float64(max(before, 1)))
}

// grouped writes 1,234,567.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

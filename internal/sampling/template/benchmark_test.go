package template_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/internal/sampling/template"
)

// BenchmarkRecord takes the labelled lines of each server.
func BenchmarkRecord(b *testing.B) {
	bySource := map[string][]plog.LogRecord{}
	size := map[string]int{}
	var sources []string
	for _, l := range readLines(b) {
		if bySource[l.source] == nil {
			sources = append(sources, l.source)
		}
		r := plog.NewLogRecord()
		r.Body().SetStr(l.text)
		bySource[l.source] = append(bySource[l.source], r)
		size[l.source] += len(l.text)
	}
	for _, source := range sources {
		b.Run(source, func(b *testing.B) {
			records := bySource[source]
			var r template.Reader
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Record(records[i%len(records)])
			}
			b.ReportMetric(float64(size[source])/float64(len(records)), "bytes/record")
		})
	}
}

func TestReaderAllocatesNothing(t *testing.T) {
	if underRace {
		t.Log("the race detector allocates; this runs without it")
		return
	}
	var records []plog.LogRecord
	for _, l := range readLines(t) {
		r := plog.NewLogRecord()
		r.Body().SetStr(l.text)
		records = append(records, r)
	}
	records = append(records, record(t, map[string]any{"b": 1, "a": 2}), record(t, map[string]any{"msg": "took 5ms"}))
	var reader template.Reader
	read := func() {
		for _, r := range records {
			reader.Record(r)
		}
	}
	read()
	require.Zero(t, testing.AllocsPerRun(20, read))
}

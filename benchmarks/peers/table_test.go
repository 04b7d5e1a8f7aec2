package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/benchmarks/workload"
)

// ran is a trial that cost so many milliseconds for 100,000 points.
func ran(ms int, kept float64) trial {
	return trial{cpu: time.Duration(ms) * time.Millisecond, in: 100_000, sent: 120_000, out: 5_000, series: 1_000, kept: kept, peak: 100 << 20}
}

func exampleBench(oursKept float64) *bench {
	return &bench{
		options: options{rounds: 5, warmup: 1, repetitions: 3, interval: time.Second, connections: 4, compression: "gzip", shape: workload.DefaultShape},
		rows: []row{
			{name: rowNop, pipeline: "otlp → nop"},
			{name: rowOurs, pipeline: "otlp → tag_consolidation → otlp_http", exact: true},
			{name: rowTransform, pipeline: "the peer"},
		},
		missing: []string{"vmagent is left out"},
		results: map[string][]trial{
			rowNop:       {ran(100, 0), ran(200, 0), ran(110, 0)},
			rowOurs:      {ran(120, 1), ran(260, oursKept), ran(121, 1)},
			rowTransform: {ran(300, 0.2), ran(500, 0.19), ran(330, 0.2)},
		},
	}
}

func TestTable(t *testing.T) {
	var text strings.Builder
	exampleBench(1).print(&text)
	// Ratios are those within a repetition: the second one, twice as slow, decides nothing.
	assert.Equal(t, `200000 series, 4000 without the pod; a round of 200000 points in 50 requests every 1s over 4 connections; 1 + 5 rounds, 3 repetitions; gzip

                row  CPU s/M   from     to  × nop  adds s/M  × ours  peak MiB  points in   out  series  sum kept  idle %  late
                nop    1.100  1.000  2.000   1.00     0.000       -       100     120000  5000    1000    0.0000    0.00     0
      consolidation    1.210  1.200  2.600   1.20     0.200     1.0       100     120000  5000    1000    1.0000    0.00     0
  metrics_transform    3.300  3.000  5.000   3.00     2.200    10.0       100     120000  5000    1000    0.1900    0.00     0

nop                        otlp → nop
consolidation              otlp → tag_consolidation → otlp_http
metrics_transform          the peer
vmagent is left out

met     consolidation costs 1.200 × nop (1.100 to 1.300), wanted ≤ 1.250
met     consolidation adds 0.100 × metrics_transform (0.050 to 0.200), wanted ≤ 0.125
`, text.String())
}

func TestARowThatLosesDataSaysSoAndFails(t *testing.T) {
	b := exampleBench(0.999_999)
	require.EqualError(t, b.losses(), "row consolidation LOST data in repetition 2: the sums that arrived are 0.999999 of those sent")
	var text strings.Builder
	b.print(&text)
	assert.Contains(t, text.String(), "LOST")
}

func TestALimitThatIsMissedIsCalledSo(t *testing.T) {
	b := exampleBench(1)
	b.results[rowOurs] = []trial{ran(150, 1), ran(300, 1), ran(165, 1)}
	var text strings.Builder
	b.print(&text)
	assert.Contains(t, text.String(), "MISSED  consolidation costs 1.500 × nop")
	assert.Contains(t, text.String(), "MISSED  consolidation adds 0.250 × metrics_transform")
}

func TestSamples(t *testing.T) {
	assert.Equal(t, 2.0, samples{3, 1, 2}.median())
	assert.Equal(t, 2.5, samples{4, 1, 2, 3}.median())
	assert.Zero(t, samples(nil).median())
	low, high := samples{3, 1, 2}.extremes()
	assert.Equal(t, []float64{1, 3}, []float64{low, high})
}

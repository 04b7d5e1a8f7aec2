package capture_test

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

func round(name, text string) capture.Round { return capture.Round{Name: name, Text: []byte(text)} }

func count(t *testing.T, texts ...string) map[string]*capture.Family {
	t.Helper()
	rounds := make([]capture.Round, 0, len(texts))
	for _, text := range texts {
		rounds = append(rounds, round("by hand", text))
	}
	families, err := capture.Count(rounds...)
	require.NoError(t, err)
	return families
}

const byHand = `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{method="GET",code="200",pod="a"} 1
requests_total{code="200",method="GET",pod="b"} 1
requests_total{method="GET",code="500",pod="a"} 1
requests_total{method="PUT",code="200",pod="a"} 1
requests_total{method="PUT",code="200",pod="a",extra=""} 2
# TYPE latency_seconds histogram
latency_seconds_bucket{path="/",le="0.1"} 1
latency_seconds_bucket{path="/",le="+Inf"} 2
latency_seconds_sum{path="/"} 3
latency_seconds_count{path="/"} 2
latency_seconds_bucket{path="/a",le="0.1"} 1
latency_seconds_bucket{path="/a",le="+Inf"} 2
latency_seconds_sum{path="/a"} 3
latency_seconds_count{path="/a"} 2
# TYPE pause_seconds summary
pause_seconds{quantile="0.5"} 1
pause_seconds{quantile="0.9"} NaN
pause_seconds_sum 3
pause_seconds_count 2
# TYPE queue_count gauge
queue_count{le="0.1"} 4
queue_count{le="0.2"} 4
loose_sum{a="b"} 1
`

func TestCountByHand(t *testing.T) {
	families := count(t, byHand)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(families)),
		[]string{"requests_total", "latency_seconds", "pause_seconds", "queue_count", "loose_sum"})

	requests := families["requests_total"]
	assert.Equal(t, capture.TypeCounter, requests.Type)
	assert.Equal(t, 4, requests.Series, "an empty label is no label, and order does not matter")
	assert.Equal(t, 4, requests.Streams)
	assert.Equal(t, map[string]capture.LabelCount{
		"method": {Distinct: 2, SeriesWithout: 3, StreamsWithout: 3},
		"code":   {Distinct: 2, SeriesWithout: 3, StreamsWithout: 3},
		"pod":    {Distinct: 2, SeriesWithout: 3, StreamsWithout: 3},
	}, requests.Labels)
	assert.Equal(t, map[string]bool{"extra": true}, requests.Empty)
	assert.Equal(t, 4, requests.SeriesWithout(), "nothing left out")
	assert.Equal(t, 2, requests.SeriesWithout("pod", "code"))
	assert.Equal(t, 1, requests.SeriesWithout("pod", "code", "method"))
	assert.Equal(t, 4, requests.SeriesWithout("absent"))

	latency := families["latency_seconds"]
	assert.Equal(t, capture.TypeHistogram, latency.Type)
	assert.Equal(t, 8, latency.Series, "two streams of two buckets, a sum and a count")
	assert.Equal(t, 2, latency.Streams)
	assert.Equal(t, map[string]capture.LabelCount{
		"path": {Distinct: 2, SeriesWithout: 4, StreamsWithout: 1},
	}, latency.Labels, "le belongs to the type")
	assert.Equal(t, 1, latency.StreamsWithout("path"))

	pause := families["pause_seconds"]
	assert.Equal(t, capture.TypeSummary, pause.Type)
	assert.Equal(t, 4, pause.Series)
	assert.Equal(t, 1, pause.Streams)
	assert.Empty(t, pause.Labels, "quantile belongs to the type")

	assert.Equal(t, map[string]capture.LabelCount{
		"le": {Distinct: 2, SeriesWithout: 1, StreamsWithout: 1},
	}, families["queue_count"].Labels, "le of a gauge is a label like any other")
	assert.Equal(t, capture.TypeUntyped, families["loose_sum"].Type)
}

func TestANameWithATypeIsItsOwnFamily(t *testing.T) {
	families := count(t, "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n# TYPE x_max gauge\nx_max 1\n"+
		"# TYPE y summary\ny_bucket 1\ny_sum 1\ny_count 1\n# TYPE z histogram\n# TYPE z_count counter\nz_count 1\n")
	series := map[string]int{}
	for name, f := range families {
		series[name] = f.Series
	}
	assert.Equal(t, map[string]int{"x": 3, "x_max": 1, "y": 2, "y_bucket": 1, "z_count": 1}, series)
}

func TestSeriesOfSeveralRoundsCountOnce(t *testing.T) {
	families := count(t,
		"# TYPE x gauge\nx{a=\"1\"} 1\nx{a=\"2\"} 1\n",
		"# TYPE x gauge\nx{a=\"2\"} 7\nx{a=\"3\"} 1\n")
	assert.Equal(t, 3, families["x"].Series)
	assert.Equal(t, 3, families["x"].Labels["a"].Distinct)
}

func TestCountRefuses(t *testing.T) {
	_, err := capture.Count(round("first", "# TYPE x gauge\nx 1"), round("second", "# TYPE x counter\nx 1"))
	require.EqualError(t, err, `round "second": line 1: # TYPE differs from the one before: x is counter, was gauge`)
	_, err = capture.Count(round("cut", "x{a=\"1"))
	require.ErrorContains(t, err, `round "cut": line 1: `)
}

// The capture that the example replays serves all tests that want real data.
func realRounds(t *testing.T) []capture.Round {
	t.Helper()
	rounds, err := capture.Read(os.DirFS("../../../examples/kube-apiserver/rounds"))
	require.NoError(t, err)
	return []capture.Round{rounds[0], rounds[len(rounds)-1]} // those between are like them
}

// A second opinion: expfmt, whose structures are counted instead of lines.
func TestCountAgreesWithExpfmt(t *testing.T) {
	for _, r := range append(realRounds(t), round("by hand", byHand)) {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		parsed, err := parser.TextToMetricFamilies(bytes.NewReader(r.Text))
		require.NoError(t, err)
		families, err := capture.Count(r)
		require.NoError(t, err)
		require.Len(t, families, len(parsed))
		for name, f := range parsed {
			got := families[name]
			require.NotNil(t, got, name)
			assert.Equal(t, strings.ToLower(f.GetType().String()), got.Type, name)
			want := countParsed(f)
			assert.Equal(t, want, got.Series, "series of %s", name)
			for label := range got.Labels {
				assert.Equal(t, countParsed(f, label), got.Labels[label].SeriesWithout, "%s without %s", name, label)
			}
		}
	}
}

// countParsed counts the series of a parsed family without some labels: a
// stream of a histogram is worth its bounds and two, and streams that meet
// share the bounds that they have in common.
func countParsed(f *dto.MetricFamily, without ...string) int {
	parts := map[string]map[float64]bool{} // by stream: its le or quantile
	for _, m := range f.GetMetric() {
		var pairs []string
		for _, l := range m.GetLabel() {
			if l.GetValue() != "" && !slices.Contains(without, l.GetName()) {
				pairs = append(pairs, l.GetName()+"\x00"+l.GetValue())
			}
		}
		slices.Sort(pairs)
		key := strings.Join(pairs, "\x00\x00")
		if parts[key] == nil {
			parts[key] = map[float64]bool{}
		}
		for _, b := range m.GetHistogram().GetBucket() {
			parts[key][b.GetUpperBound()] = true
		}
		for _, q := range m.GetSummary().GetQuantile() {
			parts[key][q.GetQuantile()] = true
		}
	}
	fixed := 1
	if f.GetType() == dto.MetricType_HISTOGRAM || f.GetType() == dto.MetricType_SUMMARY {
		fixed = 2 // _sum and _count
	}
	series := 0
	for _, part := range parts {
		series += len(part) + fixed
	}
	return series
}

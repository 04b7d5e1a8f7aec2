package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Two rounds under a rule that takes all metrics of one letter: cpu_seconds is
// left alone.
const (
	judgedRules = "      - {name: a, match: {metric: '?'}, attributes: {drop: [pod]}, buckets: {keep_bounds: [1]}, gauge: sum}\n"
	judgedFirst = "# TYPE c counter\nc{pod=\"a\"} 5\nc{pod=\"b\"} 1\n# TYPE cpu_seconds counter\ncpu_seconds{pod=\"a\"} 0.5\n" +
		"# TYPE f counter\nf{pod=\"a\"} 0.1\nf{pod=\"b\"} 0.1\n# TYPE g gauge\ng{pod=\"a\"} 2\ng{pod=\"b\"} 3\n" +
		"# TYPE h histogram\nh_bucket{pod=\"a\",le=\"1\"} 1\nh_bucket{pod=\"a\",le=\"2\"} 1\nh_bucket{pod=\"a\",le=\"+Inf\"} 1\nh_sum{pod=\"a\"} 1\nh_count{pod=\"a\"} 1\n"
	judgedSecond = "# TYPE c counter\nc{pod=\"a\"} 8\nc{pod=\"b\"} 2\n# TYPE cpu_seconds counter\ncpu_seconds{pod=\"a\"} 0.75\n" +
		"# TYPE f counter\nf{pod=\"a\"} 0.2\nf{pod=\"b\"} 0.3\n# TYPE g gauge\ng{pod=\"a\"} 1\ng{pod=\"b\"} 3\n" +
		"# TYPE h histogram\nh_bucket{pod=\"a\",le=\"1\"} 2\nh_bucket{pod=\"a\",le=\"2\"} 4\nh_bucket{pod=\"a\",le=\"+Inf\"} 5\nh_sum{pod=\"a\"} 9\nh_count{pod=\"a\"} 5\n"
)

// export is what a collector that makes no mistake hands on at two edges.
func export(t *testing.T) (first, second pmetric.Metrics) {
	t.Helper()
	edge := func(seconds, c int64, cpu, f, g float64, counts []uint64, sum float64) pmetric.Metrics {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", "api")
		metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
		number := func(name string, monotonic bool) pmetric.NumberDataPoint {
			m := metrics.AppendEmpty()
			m.SetName(name)
			points := m.SetEmptyGauge().DataPoints()
			if monotonic {
				m.SetEmptySum().SetIsMonotonic(true)
				points = m.Sum().DataPoints()
			}
			p := points.AppendEmpty()
			p.SetStartTimestamp(50)
			p.SetTimestamp(pmetricTime(seconds))
			return p
		}
		number("c", true).SetIntValue(c)
		raw := number("cpu_seconds", true)
		raw.SetDoubleValue(cpu)
		raw.Attributes().PutStr("pod", "a")
		number("f", true).SetDoubleValue(f)
		number("g", false).SetDoubleValue(g)
		number("up", false).SetDoubleValue(1)
		m := metrics.AppendEmpty()
		m.SetName("h")
		p := m.SetEmptyHistogram().DataPoints().AppendEmpty()
		p.SetStartTimestamp(50)
		p.SetTimestamp(pmetricTime(seconds))
		p.ExplicitBounds().FromRaw([]float64{1})
		p.BucketCounts().FromRaw(counts)
		p.SetCount(counts[0] + counts[1])
		p.SetSum(sum)
		return md
	}
	return edge(100, 0, 0.5, 0, 5, []uint64{0, 0}, 0), edge(102, 4, 0.75, 0.30000000000000004, 4, []uint64{1, 3}, 8)
}

func metricNamed(md pmetric.Metrics, name string) pmetric.Metric {
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if m.Name() == name {
			return m
		}
	}
	return pmetric.NewMetric()
}

func judged(t *testing.T, exports ...pmetric.Metrics) *verdict {
	t.Helper()
	e := &exported{outputs: map[string]*output{}, resources: map[string]bool{}}
	for _, md := range exports {
		text, err := new(pmetric.JSONMarshaler).MarshalMetrics(md)
		require.NoError(t, err)
		require.NoError(t, e.read(append(text, '\n'), false))
	}
	return judge(playTexts(t, rulesOf(t, judgedRules), false, judgedFirst, judgedSecond), e)
}

func TestWhatIsRightPasses(t *testing.T) {
	first, second := export(t)
	v := judged(t, first, second)
	assert.Empty(t, v.faults)
	assert.Zero(t, v.difference.Sign())
	assert.InDelta(t, 0, v.rounding, 1e-15)
	assert.Positive(t, v.rounding)
	assert.Equal(t, [6]int{12, 8, 7, 4, 7, 1}, [6]int{v.before, v.after, v.inputs, v.kept, v.compared, v.untouched})
}

// Each of these is one mistake, and is found.
func TestAPlantedErrorIsFound(t *testing.T) {
	sum := func(md pmetric.Metrics, name string) pmetric.NumberDataPoint {
		return metricNamed(md, name).Sum().DataPoints().At(0)
	}
	for name, tc := range map[string]struct {
		plant func(first, second pmetric.Metrics)
		want  string
	}{
		"one too many":           {func(_, b pmetric.Metrics) { sum(b, "c").SetIntValue(5) }, "c{}: value is 5, want 4"},
		"one too few":            {func(_, b pmetric.Metrics) { sum(b, "c").SetIntValue(3) }, "c{}: value is 3, want 4"},
		"more than rounding":     {func(_, b pmetric.Metrics) { sum(b, "f").SetDoubleValue(0.300000001) }, "f{}: value is 0.3"},
		"no number":              {func(_, b pmetric.Metrics) { sum(b, "f").SetDoubleValue(math.NaN()) }, "f{}: value is missing"},
		"the base line counted":  {func(a, b pmetric.Metrics) { sum(a, "c").SetIntValue(6); sum(b, "c").SetIntValue(10) }, "c{}: value is 10, want 4"},
		"a value that fell":      {func(a, _ pmetric.Metrics) { sum(a, "c").SetIntValue(9) }, "c{}: value fell from 9 to 4"},
		"another start":          {func(_, b pmetric.Metrics) { sum(b, "c").SetStartTimestamp(51) }, "c{}: start 50 is followed by 51"},
		"no start":               {func(a, b pmetric.Metrics) { sum(a, "c").SetStartTimestamp(0); sum(b, "c").SetStartTimestamp(0) }, "c{} has no start time"},
		"the same time":          {func(_, b pmetric.Metrics) { sum(b, "c").SetTimestamp(pmetricTime(100)) }, "c{}: time 100000000000 is followed by 100000000000"},
		"a label that must go":   {func(_, b pmetric.Metrics) { sum(b, "c").Attributes().PutStr("pod", "a") }, `c{pod="a"} must not be there`},
		"a label nobody had":     {func(_, b pmetric.Metrics) { sum(b, "c").Attributes().PutStr("x", "y") }, `c{x="y"} must not be there`},
		"a metric that is gone":  {func(a, b pmetric.Metrics) { metricNamed(a, "c").SetName("up"); metricNamed(b, "c").SetName("up") }, "c{} is missing"},
		"only stale markers":     {func(a, b pmetric.Metrics) { setStale(a, "c"); setStale(b, "c") }, "c{} has no value"},
		"two streams of one":     {func(_, b pmetric.Metrics) { metricNamed(b, "c").SetUnit("s") }, "c{} is 2 streams"},
		"two servers":            {func(_, b pmetric.Metrics) { b.ResourceMetrics().At(0).Resource().Attributes().PutStr("a", "b") }, "one server was played, 2 were exported"},
		"a gauge":                {func(_, b pmetric.Metrics) { metricNamed(b, "g").Gauge().DataPoints().At(0).SetDoubleValue(5) }, "g{}: value is 5, want 4"},
		"a count":                {func(_, b pmetric.Metrics) { setCounts(b, 5, 1, 4) }, "h{}: count is 5, want 4"},
		"a bucket":               {func(_, b pmetric.Metrics) { setCounts(b, 4, 2, 2) }, "h{}: bucket 1 is 2, want 1"},
		"a histogram's sum":      {func(_, b pmetric.Metrics) { histogram(b).SetSum(8.5) }, "h{}: sum is 8.5, want 8"},
		"a bound that must go":   {func(_, b pmetric.Metrics) { histogram(b).ExplicitBounds().FromRaw([]float64{2}) }, "h{}: bucket 2 must not be there"},
		"what was not to change": {func(_, b pmetric.Metrics) { sum(b, "cpu_seconds").SetDoubleValue(0.5) }, `cpu_seconds{pod="a"}: value is 0.5, want 0.75`},
		"what was not to go": {func(a, b pmetric.Metrics) {
			metricNamed(a, "cpu_seconds").SetName("up")
			metricNamed(b, "cpu_seconds").SetName("up")
		}, `cpu_seconds{pod="a"} is missing`},
		"what was not to be less": {func(_, b pmetric.Metrics) {
			metricNamed(b, "cpu_seconds").SetEmptySummary().DataPoints().AppendEmpty().Attributes().PutStr("pod", "a")
		}, `cpu_seconds{pod="a"} has 2 numbers, want 1`},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := export(t)
			tc.plant(first, second)
			found := judged(t, first, second).faults
			require.NotEmpty(t, found)
			assert.Contains(t, found[0]+found[len(found)-1], tc.want, found)
		})
	}
}

// An output that ended with all its inputs begins anew, and the increases are
// those of both.
func TestAnOutputMayEndAndBeginAnew(t *testing.T) {
	ended, anew := func(t *testing.T) pmetric.Metrics {
		t.Helper()
		md, _ := export(t)
		p := metricNamed(md, "c").Sum().DataPoints().At(0)
		p.SetIntValue(0)
		p.SetTimestamp(pmetricTime(101))
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		onlyMetric(md, "c")
		return md
	}, func(t *testing.T, start, value int64) pmetric.Metrics {
		t.Helper()
		_, md := export(t)
		p := metricNamed(md, "c").Sum().DataPoints().At(0)
		p.SetStartTimestamp(pmetricTime(start))
		p.SetIntValue(value)
		return md
	}
	first, _ := export(t)
	metricNamed(first, "c").Sum().DataPoints().At(0).SetIntValue(3)
	assert.Empty(t, judged(t, first, ended(t), anew(t, 101, 1)).faults, "3 and 1 are 4")
	assert.Equal(t, []string{"c{}: value is 7, want 4"}, judged(t, first, ended(t), anew(t, 101, 4)).faults)
	assert.Equal(t, []string{"c{}: ended at 101000000000 and began anew at 99000000000"}, judged(t, first, ended(t), anew(t, 99, 1)).faults)
	assert.Equal(t, []string{"c{}: start 50 is followed by 101000000000"}, judged(t, first, anew(t, 101, 1)).faults, "it had not ended")
}

// onlyMetric leaves out all others.
func onlyMetric(md pmetric.Metrics, name string) {
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().RemoveIf(func(m pmetric.Metric) bool { return m.Name() != name })
}

func histogram(md pmetric.Metrics) pmetric.HistogramDataPoint {
	return metricNamed(md, "h").Histogram().DataPoints().At(0)
}

func setCounts(md pmetric.Metrics, count uint64, counts ...uint64) {
	histogram(md).BucketCounts().FromRaw(counts)
	histogram(md).SetCount(count)
}

func setStale(md pmetric.Metrics, name string) {
	metricNamed(md, name).Sum().DataPoints().At(0).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
}

func TestTheLargestDifferenceIsNamed(t *testing.T) {
	first, second := export(t)
	metricNamed(second, "c").Sum().DataPoints().At(0).SetIntValue(1)
	histogram(second).SetSum(8.5)
	v := judged(t, first, second)
	assert.Equal(t, "3", v.difference.RatString())
	var out bytes.Buffer
	v.print(&out)
	assert.Regexp(t, `(?m)^largest difference +3$`, out.String())
	assert.Contains(t, out.String(), "WRONG: c{}: value is 1, want 4\nWRONG: h{}: sum is 8.5, want 8\n")
}

func TestHalfALineIsLeftOnlyByAKill(t *testing.T) {
	first, second := export(t)
	write := func(name string, cut int, exports ...pmetric.Metrics) string {
		var text []byte
		for _, md := range exports {
			line, err := new(pmetric.JSONMarshaler).MarshalMetrics(md)
			require.NoError(t, err)
			text = append(append(text, line...), '\n')
		}
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, text[:len(text)-cut], 0o600))
		return path
	}
	cut, whole := write("1.json", 100, first, second), write("2.json", 0, second)
	e, err := readExported([]string{cut, whole})
	require.NoError(t, err)
	assert.Len(t, e.outputs["c{}"].points, 2)
	_, err = readExported([]string{whole, cut})
	require.ErrorIs(t, err, errHalf)
	assert.ErrorContains(t, err, cut)
}

func TestAMalformedExportIsRefused(t *testing.T) {
	for want, plant := range map[string]func(pmetric.Metrics){
		"line 1: h: 2 buckets, 2 bounds":        func(md pmetric.Metrics) { histogram(md).ExplicitBounds().FromRaw([]float64{1, 2}) },
		"line 1: h: buckets hold 4, count is 5": func(md pmetric.Metrics) { histogram(md).SetCount(5) },
		"line 1: g is a ExponentialHistogram":   func(md pmetric.Metrics) { metricNamed(md, "g").SetEmptyExponentialHistogram() },
		"line 1: ReadObject: expect {":          nil,
	} {
		_, second := export(t)
		text := []byte("[]")
		if plant != nil {
			plant(second)
			var err error
			text, err = new(pmetric.JSONMarshaler).MarshalMetrics(second)
			require.NoError(t, err)
		}
		e := &exported{outputs: map[string]*output{}, resources: map[string]bool{}}
		require.ErrorContains(t, e.read(append(text, '\n'), false), want)
	}
}

// The program as run.sh calls it, with a small capture in place of the large
// one.
func TestRunJudges(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	writeRound(t, folder, "1.prom.gz", judgedFirst)
	writeRound(t, folder, "2.prom.gz", judgedSecond)
	config := file("config.yaml", "processors:\n  tag_consolidation:\n    rules:\n"+judgedRules)
	log := file("replay.log", "Serving\nPlayed 1.prom.gz, pass 1\nPlayed 1.prom.gz, pass 1\nPlayed 2.prom.gz, pass 1\n")
	first, second := export(t)
	var lines [2]string
	for i, md := range []pmetric.Metrics{first, second} {
		text, err := new(pmetric.JSONMarshaler).MarshalMetrics(md)
		require.NoError(t, err)
		lines[i] = string(text) + "\n"
	}
	a, b := file("1.json", lines[0]), file("2.json", lines[1])
	counted := func(name string, series float64) string {
		text, err := json.Marshal(counts{Metrics: []metricCount{{Metric: "c", Series: series}, {Metric: "up", Series: 1}}})
		require.NoError(t, err)
		return file(name, string(text))
	}
	twelve, eight := counted("ingest.json", 12), counted("output.json", 8)
	base := []string{"--config", config, "--rounds", folder, "--log", log}
	verify := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(append(base, args...), &out, io.Discard)
		return out.String(), err
	}

	said, err := verify("--ingest", twelve, "--output", eight, "--at-least", "33", a, b)
	require.NoError(t, err, said)
	assert.Regexp(t, `(?m)^series before +12$`, said)
	assert.Regexp(t, `(?m)^series after +8$`, said)
	assert.Regexp(t, `(?m)^saved +33\.3 %$`, said)
	assert.Regexp(t, `(?m)^largest difference +0$`, said)
	_, err = verify("--until", "1.prom.gz", a)
	require.NoError(t, err)

	for want, args := range map[string][]string{
		"is not what was played":           {a},
		"33.3 % are saved, 50 % are wante": {"--at-least", "50", a, b},
		"Phoenix counted 8 series, there ": {"--ingest", eight, a, b},
		"Phoenix counted 12 series, there": {"--output", twelve, a, b},
		"no such file":                     {a, folder + "/3.json"},
		"until: 3.prom.gz was not played":  {"--until", "3.prom.gz", a},
		"name the files":                   nil,
		"flag provided but not defined":    {"--nope"},
	} {
		said, err := verify(args...)
		require.Error(t, err)
		assert.Contains(t, said+err.Error(), want)
	}
	base = []string{"--config", config, "--rounds", folder, "--log", file("empty.log", "Serving\n")}
	_, err = verify(a)
	require.ErrorContains(t, err, "nothing was played")
	base[5] = file("other.log", "Played 7.prom.gz, pass 1\n")
	_, err = verify(a)
	require.ErrorContains(t, err, "there is no round 7.prom.gz")
}

func TestCommas(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		assert.Equal(t, want, commas(n))
	}
}

package cardinalityprocessor

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// A batch in text. A line is a resource, a scope, a metric, or indented, a
// point; a line belongs to the last one of the level above it, which may be
// left out if it has nothing to say.
//
//	resource service.name=shop host.name=h{1..3}
//	scope lib@1.2 team=a
//	sum requests unit=s delta monotonic
//	  code=int:200 path=/a !stale
//	  -                             (a point without attributes)
//	histogram latency cumulative
//	  path=/a !bounds=1,2,5 !nosum
//
// A line with ranges {from..to} stands for as many lines, in which all its
// ranges advance together, each with what belongs to it.
type streamLine struct {
	level int
	words []string
}

const (
	levelResource = iota
	levelScope
	levelMetric
	levelPoint
)

// parseStream makes a batch of its text.
func parseStream(tb testing.TB, text string) pmetric.Metrics {
	tb.Helper()
	var lines []streamLine
	for l := range strings.Lines(text) {
		words := strings.Fields(l)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case l[0] == ' ' || l[0] == '\t':
			lines = append(lines, streamLine{levelPoint, words})
		case words[0] == "resource":
			lines = append(lines, streamLine{levelResource, words[1:]})
		case words[0] == "scope":
			lines = append(lines, streamLine{levelScope, words[1:]})
		default:
			lines = append(lines, streamLine{levelMetric, words})
		}
	}
	w := &streamWriter{t: tb, md: pmetric.NewMetrics()}
	w.write(lines)
	return w.md
}

type streamWriter struct {
	t      testing.TB
	md     pmetric.Metrics
	rm     *pmetric.ResourceMetrics
	sm     *pmetric.ScopeMetrics
	metric pmetric.Metric
}

// write appends lines of one level and what belongs to them.
func (w *streamWriter) write(lines []streamLine) {
	for len(lines) > 0 {
		n := 1
		for n < len(lines) && lines[n].level > lines[0].level {
			n++
		}
		for _, words := range expand(w.t, lines[0].words) {
			w.add(lines[0].level, words)
			w.write(lines[1:n])
		}
		lines = lines[n:]
	}
}

func (w *streamWriter) add(level int, words []string) {
	if level == levelResource || w.rm == nil {
		rm := w.md.ResourceMetrics().AppendEmpty()
		w.rm, w.sm = &rm, nil
	}
	if level == levelResource {
		w.attributes(w.rm.Resource().Attributes(), words)
		return
	}
	if level == levelScope || w.sm == nil {
		sm := w.rm.ScopeMetrics().AppendEmpty()
		w.sm = &sm
	}
	switch level {
	case levelScope:
		if len(words) > 0 && !strings.Contains(words[0], "=") {
			name, version, _ := strings.Cut(words[0], "@")
			w.sm.Scope().SetName(name)
			w.sm.Scope().SetVersion(version)
			words = words[1:]
		}
		w.attributes(w.sm.Scope().Attributes(), words)
	case levelMetric:
		w.metric = w.sm.Metrics().AppendEmpty()
		w.addMetric(words)
	case levelPoint:
		w.addPoint(words)
	}
}

func (w *streamWriter) addMetric(words []string) {
	m := w.metric
	if words[1] != `""` {
		m.SetName(words[1])
	}
	temporality, monotonic := pmetric.AggregationTemporalityUnspecified, false
	for _, word := range words[2:] {
		unit, isUnit := strings.CutPrefix(word, "unit=")
		switch {
		case isUnit:
			m.SetUnit(unit)
		case word == "delta":
			temporality = pmetric.AggregationTemporalityDelta
		case word == "cumulative":
			temporality = pmetric.AggregationTemporalityCumulative
		case word == "monotonic":
			monotonic = true
		default:
			require.Fail(w.t, "unknown word", word)
		}
	}
	switch words[0] {
	case "gauge":
		m.SetEmptyGauge()
	case "sum":
		m.SetEmptySum().SetIsMonotonic(monotonic)
		m.Sum().SetAggregationTemporality(temporality)
	case "histogram":
		m.SetEmptyHistogram().SetAggregationTemporality(temporality)
	case "exponential_histogram":
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality)
	case "summary":
		m.SetEmptySummary()
	case "empty": // a metric without data
	default:
		require.Fail(w.t, "unknown type", words[0])
	}
}

// point is what the points of all types have.
type point interface {
	Attributes() pcommon.Map
	SetFlags(pmetric.DataPointFlags)
}

func (w *streamWriter) addPoint(words []string) {
	var p point
	switch w.metric.Type() {
	case pmetric.MetricTypeGauge:
		p = w.metric.Gauge().DataPoints().AppendEmpty()
	case pmetric.MetricTypeSum:
		p = w.metric.Sum().DataPoints().AppendEmpty()
	case pmetric.MetricTypeHistogram:
		h := w.metric.Histogram().DataPoints().AppendEmpty()
		h.SetSum(1)
		p = h
	case pmetric.MetricTypeExponentialHistogram:
		p = w.metric.ExponentialHistogram().DataPoints().AppendEmpty()
	case pmetric.MetricTypeSummary:
		p = w.metric.Summary().DataPoints().AppendEmpty()
	default:
		require.Fail(w.t, "a metric without data has no points")
	}
	var attributes []string
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "-":
		case "!stale":
			p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		case "!bounds":
			p.(pmetric.HistogramDataPoint).ExplicitBounds().FromRaw(w.floats(value))
		case "!nosum":
			p.(pmetric.HistogramDataPoint).RemoveSum()
		case "!quantiles":
			for _, q := range w.floats(value) {
				p.(pmetric.SummaryDataPoint).QuantileValues().AppendEmpty().SetQuantile(q)
			}
		default:
			attributes = append(attributes, word)
		}
	}
	w.attributes(p.Attributes(), attributes)
}

func (w *streamWriter) floats(text string) (list []float64) {
	for f := range strings.SplitSeq(text, ",") {
		x, err := strconv.ParseFloat(f, 64)
		require.NoError(w.t, err)
		list = append(list, x)
	}
	return list
}

func (w *streamWriter) attributes(dst pcommon.Map, words []string) {
	for _, word := range words {
		key, text, ok := strings.Cut(word, "=")
		require.True(w.t, ok, "an attribute is key=value, got %q", word)
		kind, rest, typed := strings.Cut(text, ":")
		var err error
		switch {
		case typed && kind == "int":
			var n int64
			n, err = strconv.ParseInt(rest, 10, 64)
			dst.PutInt(key, n)
		case typed && kind == "double":
			var x float64
			x, err = strconv.ParseFloat(rest, 64)
			dst.PutDouble(key, x)
		case typed && kind == "bool":
			dst.PutBool(key, rest == "true")
		case typed && kind == "bytes":
			dst.PutEmptyBytes(key).FromRaw([]byte(rest))
		case typed && kind == "map":
			dst.PutEmptyMap(key).PutStr("k", rest)
		case typed && kind == "empty":
			dst.PutEmpty(key)
		default:
			dst.PutStr(key, text)
		}
		require.NoError(w.t, err, word)
	}
}

var rangePattern = regexp.MustCompile(`\{(\d+)\.\.(\d+)\}`)

// expand returns the lines that a line with ranges stands for.
func expand(tb testing.TB, words []string) [][]string {
	tb.Helper()
	line := strings.Join(words, " ")
	found := rangePattern.FindStringSubmatch(line)
	if found == nil {
		return [][]string{words}
	}
	from, err := strconv.Atoi(found[1])
	require.NoError(tb, err)
	to, err := strconv.Atoi(found[2])
	require.NoError(tb, err)
	lines := make([][]string, 0, to-from+1)
	for i := range to - from + 1 {
		lines = append(lines, strings.Fields(rangePattern.ReplaceAllStringFunc(line, func(r string) string {
			start, _ := strconv.Atoi(rangePattern.FindStringSubmatch(r)[1])
			return strconv.Itoa(start + i)
		})))
	}
	return lines
}

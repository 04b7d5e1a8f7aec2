package tagconsolidationprocessor

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// A data point in one line of a script, in this order:
//
//	resource{service.name=shop}      the resource's attributes, if it has any
//	scope:lib@1.2{team=a}            the scope, if it has anything
//	counter http.requests[s]         type, name and unit of the metric
//	{pod=a code=int:200}             the point's attributes, if it has any
//	1s..5s                           start and time, counted from the script's beginning; - is not given
//	10                               the value, or the word stale
//	exemplar=2.5@4s/a{pod=b}         exemplars: value, time, trace id, filtered attributes
//
// Types are those of scriptTypes; .delta and .unspecified say a temporality that
// is not cumulative. Values by type:
//
//	10, 10.0, NaN, novalue           an int is not a double
//	[1 2 3]@[0.1 1] sum=4.5          classic buckets, one more than bounds
//	scale=0 pos=5[10 20] neg=0[1]    exponential buckets: offset and counts; zero=, threshold=
//	count=5 sum=2.5 q0.5=0.4         a summary
//
// Counts are added up to count= unless it is given. In lists 7x300 stands for
// 300 times 7. Attributes have types: int:, double:, bool:, bytes: (hexadecimal),
// json: and empty:; all else is a string, quoted if need be. {1..3} stands for
// three lines, in which all such ranges advance together.
type scriptType struct {
	metric    pmetric.MetricType
	monotonic bool
}

var scriptTypes = map[string]scriptType{
	"gauge":       {pmetric.MetricTypeGauge, false},
	"counter":     {pmetric.MetricTypeSum, true},
	"updown":      {pmetric.MetricTypeSum, false},
	"histogram":   {pmetric.MetricTypeHistogram, false},
	"exponential": {pmetric.MetricTypeExponentialHistogram, false},
	"summary":     {pmetric.MetricTypeSummary, false},
}

var scriptTemporalities = map[string]pmetric.AggregationTemporality{
	"":            pmetric.AggregationTemporalityCumulative,
	"delta":       pmetric.AggregationTemporalityDelta,
	"unspecified": pmetric.AggregationTemporalityUnspecified,
}

var scriptRange = regexp.MustCompile(`\{(\d+)\.\.(\d+)\}`)

// expandScript returns the lines that lines with ranges stand for.
func expandScript(lines []string) []string {
	var list []string
	for _, line := range lines {
		found := scriptRange.FindStringSubmatch(line)
		if found == nil {
			list = append(list, line)
			continue
		}
		from, _ := strconv.Atoi(found[1])
		to, _ := strconv.Atoi(found[2])
		for i := range to - from + 1 {
			list = append(list, scriptRange.ReplaceAllStringFunc(line, func(r string) string {
				begin, _ := strconv.Atoi(scriptRange.FindStringSubmatch(r)[1])
				return strconv.Itoa(begin + i)
			}))
		}
	}
	return list
}

// readPoints makes a batch of lines. Neighbours of one resource, scope or
// metric share it.
func readPoints(lines []string) (md pmetric.Metrics, err error) {
	r := &scriptReader{md: pmetric.NewMetrics()}
	for _, line := range expandScript(lines) {
		if err := r.line(line); err != nil {
			return r.md, fmt.Errorf("%s: %w", line, err)
		}
	}
	return r.md, nil
}

type scriptReader struct {
	md     pmetric.Metrics
	rm     pmetric.ResourceMetrics
	sm     pmetric.ScopeMetrics
	metric pmetric.Metric
	above  [3]string // the words that made them
	err    error
}

// words splits at spaces that are not in quotes, braces or brackets.
func words(line string) (list []string) {
	depth, quoted, from := 0, false, -1
	for i := 0; i <= len(line); i++ {
		end := i == len(line)
		switch {
		case !end && quoted && line[i] == '\\':
			i++
			continue
		case !end && line[i] == '"':
			quoted = !quoted
		case !end && !quoted && strings.IndexByte("{[", line[i]) >= 0:
			depth++
		case !end && !quoted && strings.IndexByte("}]", line[i]) >= 0:
			depth--
		case end || !quoted && depth == 0 && line[i] == ' ':
			if from >= 0 {
				list = append(list, line[from:i])
			}
			from = -1
			continue
		}
		if from < 0 {
			from = i
		}
	}
	return list
}

func (r *scriptReader) line(line string) error {
	list := words(line)
	above := [3]string{}
	for len(list) > 0 && strings.HasPrefix(list[0], "resource{") {
		above[0], list = list[0], list[1:]
	}
	if len(list) > 0 && strings.HasPrefix(list[0], "scope:") {
		above[1], list = list[0], list[1:]
	}
	if len(list) < 2 {
		return errors.New("a line has a type, a name, a time and a value")
	}
	above[2] = list[0] + " " + list[1]
	list = list[2:]
	r.enter(above)
	if len(list) > 0 {
		r.point(list)
	}
	return r.err
}

// enter makes what is above the point, as far as it is not that of the line before.
func (r *scriptReader) enter(above [3]string) {
	fresh := r.md.ResourceMetrics().Len() == 0
	if fresh || above[0] != r.above[0] {
		r.rm, fresh = r.md.ResourceMetrics().AppendEmpty(), true
		r.attributes(strings.TrimPrefix(above[0], "resource"), r.rm.Resource().Attributes())
	}
	if fresh || above[1] != r.above[1] {
		r.sm, fresh = r.rm.ScopeMetrics().AppendEmpty(), true
		name, attributes, some := strings.Cut(strings.TrimPrefix(above[1], "scope:"), "{")
		name, version, _ := strings.Cut(name, "@")
		r.sm.Scope().SetName(name)
		r.sm.Scope().SetVersion(version)
		if some {
			r.attributes("{"+attributes, r.sm.Scope().Attributes())
		}
	}
	if fresh || above[2] != r.above[2] {
		r.metric = r.sm.Metrics().AppendEmpty()
		r.describe(above[2])
	}
	r.above = above
}

func (r *scriptReader) describe(text string) {
	kind, name, _ := strings.Cut(text, " ")
	name, unit, _ := strings.Cut(name, "[")
	if name != `""` {
		r.metric.SetName(name)
	}
	r.metric.SetUnit(strings.TrimSuffix(unit, "]"))
	if kind == "empty" {
		return
	}
	kind, temporality, _ := strings.Cut(kind, ".")
	t, known := scriptTypes[kind]
	at, said := scriptTemporalities[temporality]
	if !known || !said {
		r.fail("unknown type %q", text)
		return
	}
	switch t.metric {
	case pmetric.MetricTypeGauge:
		r.metric.SetEmptyGauge()
	case pmetric.MetricTypeSum:
		sum := r.metric.SetEmptySum()
		sum.SetIsMonotonic(t.monotonic)
		sum.SetAggregationTemporality(at)
	case pmetric.MetricTypeHistogram:
		r.metric.SetEmptyHistogram().SetAggregationTemporality(at)
	case pmetric.MetricTypeExponentialHistogram:
		r.metric.SetEmptyExponentialHistogram().SetAggregationTemporality(at)
	default:
		r.metric.SetEmptySummary()
	}
}

func (r *scriptReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// attributes reads {key=value key=value}.
func (r *scriptReader) attributes(text string, dst pcommon.Map) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	for _, word := range words(text) {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			r.fail("an attribute is key=value, got %q", word)
			return
		}
		r.value(value, dst.PutEmpty(key))
	}
}

func (r *scriptReader) value(text string, dst pcommon.Value) {
	kind, rest, _ := strings.Cut(text, ":")
	var err error
	switch kind {
	case "int":
		var n int64
		n, err = strconv.ParseInt(rest, 10, 64)
		dst.SetInt(n)
	case "double":
		var x float64
		x, err = strconv.ParseFloat(rest, 64)
		dst.SetDouble(x)
	case "bool":
		dst.SetBool(rest == "true")
	case "bytes":
		var b []byte
		b, err = hex.DecodeString(rest)
		dst.SetEmptyBytes().FromRaw(b)
	case "json":
		var raw any
		if rest, err = strconv.Unquote(rest); err == nil {
			err = json.Unmarshal([]byte(rest), &raw)
			_ = dst.FromRaw(raw)
		}
	case "empty":
	default:
		if strings.HasPrefix(text, `"`) {
			text, err = strconv.Unquote(text)
		}
		dst.SetStr(text)
	}
	if err != nil {
		r.fail("%q: %w", text, err)
	}
}

// time reads a time, counted from epoch. A dash is none.
func (r *scriptReader) time(text string) pcommon.Timestamp {
	switch text {
	case "-":
		return 0
	case "max":
		return math.MaxUint64
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		r.fail("%w", err)
	}
	return pcommon.NewTimestampFromTime(epoch.Add(d))
}

func (r *scriptReader) float(text string) float64 {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		r.fail("%w", err)
	}
	return x
}

func (r *scriptReader) count(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.fail("%w", err)
	}
	return n
}

// list reads [a b 7x300].
func (r *scriptReader) list(text string) (list []string) {
	for word := range strings.FieldsSeq(strings.Trim(text, "[]")) {
		one, times, many := strings.Cut(word, "x")
		n := 1
		if many {
			n, _ = strconv.Atoi(times)
		}
		for range n {
			list = append(list, one)
		}
	}
	return list
}

func (r *scriptReader) floats(text string) (list []float64) {
	for _, word := range r.list(text) {
		list = append(list, r.float(word))
	}
	return list
}

func (r *scriptReader) counts(text string) (list []uint64) {
	for _, word := range r.list(text) {
		list = append(list, r.count(word))
	}
	return list
}

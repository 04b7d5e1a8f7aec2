package tagconsolidationprocessor

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/walk"
)

// scriptLine is a point in text, and what of it orders and identifies it.
type scriptLine struct {
	text     string
	identity string // what comes before the times
	kind     string
	time     pcommon.Timestamp
}

// writePoints returns a line for each point, by their times.
func writePoints(batches ...pmetric.Metrics) []scriptLine {
	var lines []scriptLine
	for _, md := range batches {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					above := writeAttributes("resource", rm.Resource().Attributes()) + writeScope(sm.Scope())
					lines = append(lines, writeMetric(above, m)...)
				}
			}
		}
	}
	slices.SortFunc(lines, func(a, b scriptLine) int {
		return cmp.Or(cmp.Compare(a.time, b.time), strings.Compare(a.text, b.text))
	})
	return lines
}

// texts are the lines alone.
func texts(lines []scriptLine) []string {
	var list []string
	for i := range lines {
		list = append(list, lines[i].text)
	}
	return list
}

func writeMetric(above string, m pmetric.Metric) (lines []scriptLine) {
	points, ok := walk.Of(m)
	kind := writeType(m)
	name := m.Name()
	if name == "" {
		name = `""`
	}
	if m.Unit() != "" {
		name += "[" + m.Unit() + "]"
	}
	head := above + kind + " " + name
	if !ok {
		return []scriptLine{{text: head, identity: head, kind: kind}}
	}
	for i := range points.Len() {
		p, value := pointAt(m, i)
		identity := strings.TrimSuffix(head+" "+writeAttributes("", p.Attributes()), " ")
		text := identity + " " + writeSpan(p, m.Type() == pmetric.MetricTypeGauge)
		if p.Flags().NoRecordedValue() {
			text += " stale"
		} else {
			text += " " + value
		}
		if holder, has := p.(interface{ Exemplars() pmetric.ExemplarSlice }); has {
			text += writeExemplars(holder.Exemplars())
		}
		lines = append(lines, scriptLine{text: text, identity: identity, kind: kind, time: p.Timestamp()})
	}
	return lines
}

func writeType(m pmetric.Metric) string {
	temporality := pmetric.AggregationTemporalityCumulative
	name := ""
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		name = "gauge"
	case pmetric.MetricTypeSum:
		temporality = m.Sum().AggregationTemporality()
		name = map[bool]string{true: "counter", false: "updown"}[m.Sum().IsMonotonic()]
	case pmetric.MetricTypeHistogram:
		temporality, name = m.Histogram().AggregationTemporality(), "histogram"
	case pmetric.MetricTypeExponentialHistogram:
		temporality, name = m.ExponentialHistogram().AggregationTemporality(), "exponential"
	case pmetric.MetricTypeSummary:
		name = "summary"
	case pmetric.MetricTypeEmpty:
		name = "empty"
	}
	switch temporality {
	case pmetric.AggregationTemporalityDelta:
		name += ".delta"
	case pmetric.AggregationTemporalityUnspecified:
		name += ".unspecified"
	case pmetric.AggregationTemporalityCumulative:
	}
	return name
}

func pointAt(m pmetric.Metric, i int) (scriptPoint, string) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		p := m.Gauge().DataPoints().At(i)
		return p, writeNumber(p)
	case pmetric.MetricTypeSum:
		p := m.Sum().DataPoints().At(i)
		return p, writeNumber(p)
	case pmetric.MetricTypeHistogram:
		p := m.Histogram().DataPoints().At(i)
		return p, writeHistogram(p)
	case pmetric.MetricTypeExponentialHistogram:
		p := m.ExponentialHistogram().DataPoints().At(i)
		return p, writeExponential(p)
	default:
		p := m.Summary().DataPoints().At(i)
		return p, writeSummary(p)
	}
}

func writeScope(s pcommon.InstrumentationScope) string {
	if s.Name() == "" && s.Version() == "" && s.Attributes().Len() == 0 {
		return ""
	}
	text := "scope:" + s.Name()
	if s.Version() != "" {
		text += "@" + s.Version()
	}
	if s.Attributes().Len() == 0 {
		return text + " "
	}
	return text + writeAttributes("", s.Attributes())
}

// writeAttributes returns {key=value key=value} and a space, nothing if there are none.
func writeAttributes(before string, m pcommon.Map) string {
	if m.Len() == 0 {
		return ""
	}
	var list []string
	for key, value := range m.All() {
		list = append(list, key+"="+writeValue(value))
	}
	slices.Sort(list)
	return before + "{" + strings.Join(list, " ") + "} "
}

var (
	plainValue = regexp.MustCompile(`^[^\s{}"\[\]]+$`)
	typedValue = regexp.MustCompile(`^(int|double|bool|bytes|json|empty):`)
)

func writeValue(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if text := v.Str(); !plainValue.MatchString(text) || typedValue.MatchString(text) {
			return strconv.Quote(text)
		}
		return v.Str()
	case pcommon.ValueTypeInt:
		return "int:" + v.AsString()
	case pcommon.ValueTypeDouble:
		return "double:" + v.AsString()
	case pcommon.ValueTypeBool:
		return "bool:" + v.AsString()
	case pcommon.ValueTypeBytes:
		return "bytes:" + hex.EncodeToString(v.Bytes().AsRaw())
	case pcommon.ValueTypeEmpty:
		return "empty:"
	default:
		return "json:" + strconv.Quote(v.AsString())
	}
}

func writeTime(t pcommon.Timestamp) string {
	switch {
	case t == 0:
		return "-"
	case t > math.MaxInt64:
		return "max"
	}
	return writeDuration(t.AsTime().Sub(epoch))
}

// writeDuration is 5m, not 5m0s.
func writeDuration(d time.Duration) string {
	text := d.String()
	if short, cut := strings.CutSuffix(text, "m0s"); cut {
		text = short + "m"
	}
	if short, cut := strings.CutSuffix(text, "h0m"); cut {
		text = short + "h"
	}
	return text
}

func writeSpan(p scriptPoint, gauge bool) string {
	if gauge && p.StartTimestamp() == 0 {
		return writeTime(p.Timestamp())
	}
	return writeTime(p.StartTimestamp()) + ".." + writeTime(p.Timestamp())
}

func writeFloat(x float64) string {
	text := strconv.FormatFloat(x, 'g', -1, 64)
	if strings.ContainsAny(text, ".eIN") {
		return text
	}
	return text + ".0"
}

func writeNumber(p pmetric.NumberDataPoint) string {
	switch p.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		return strconv.FormatInt(p.IntValue(), 10)
	case pmetric.NumberDataPointValueTypeDouble:
		return writeFloat(p.DoubleValue())
	default:
		return "novalue"
	}
}

// writeMoments returns the optional fields, and the count if it is not that of
// the buckets.
func writeMoments(p interface {
	Count() uint64
	HasSum() bool
	Sum() float64
	HasMin() bool
	Min() float64
	HasMax() bool
	Max() float64
}, counted uint64,
) string {
	var text strings.Builder
	if p.Count() != counted {
		fmt.Fprintf(&text, " count=%d", p.Count())
	}
	for _, field := range []struct {
		has   bool
		name  string
		value float64
	}{{p.HasSum(), "sum", p.Sum()}, {p.HasMin(), "min", p.Min()}, {p.HasMax(), "max", p.Max()}} {
		if field.has {
			fmt.Fprintf(&text, " %s=%v", field.name, field.value)
		}
	}
	return text.String()
}

func writeHistogram(p pmetric.HistogramDataPoint) string {
	counts := p.BucketCounts().AsRaw()
	return fmt.Sprintf("%v@%v", counts, p.ExplicitBounds().AsRaw()) + writeMoments(p, total(counts))
}

func writeExponential(p pmetric.ExponentialHistogramDataPoint) string {
	list := []string{fmt.Sprintf("scale=%d", p.Scale())}
	counted := p.ZeroCount()
	if p.ZeroCount() > 0 {
		list = append(list, fmt.Sprintf("zero=%d", p.ZeroCount()))
	}
	if p.ZeroThreshold() > 0 {
		list = append(list, fmt.Sprintf("threshold=%v", p.ZeroThreshold()))
	}
	for _, side := range []struct {
		name string
		pmetric.ExponentialHistogramDataPointBuckets
	}{{"pos", p.Positive()}, {"neg", p.Negative()}} {
		if counts := side.BucketCounts().AsRaw(); len(counts) > 0 {
			counted += total(counts)
			list = append(list, fmt.Sprintf("%s=%d%v", side.name, side.Offset(), counts))
		}
	}
	return strings.Join(list, " ") + writeMoments(p, counted)
}

func writeSummary(p pmetric.SummaryDataPoint) string {
	list := []string{fmt.Sprintf("count=%d sum=%v", p.Count(), p.Sum())}
	for _, q := range p.QuantileValues().All() {
		list = append(list, fmt.Sprintf("q%v=%v", q.Quantile(), q.Value()))
	}
	return strings.Join(list, " ")
}

// writeExemplars returns them by value: their order means nothing.
func writeExemplars(list pmetric.ExemplarSlice) string {
	var words []string
	for _, e := range list.All() {
		word := " exemplar=" + strconv.FormatInt(e.IntValue(), 10)
		if e.ValueType() == pmetric.ExemplarValueTypeDouble {
			word = " exemplar=" + writeFloat(e.DoubleValue())
		}
		if e.Timestamp() != 0 {
			word += "@" + writeTime(e.Timestamp())
		}
		if !e.TraceID().IsEmpty() {
			word += "/" + strings.TrimLeft(e.TraceID().String(), "0")
		}
		word += strings.TrimSuffix(writeAttributes("", e.FilteredAttributes()), " ")
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(words, "")
}

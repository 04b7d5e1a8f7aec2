package tagconsolidationprocessor

import (
	"encoding/hex"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// scriptPoint is what the points of all types have.
type scriptPoint interface {
	Attributes() pcommon.Map
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
	Flags() pmetric.DataPointFlags
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
}

// point reads what follows the metric.
func (r *scriptReader) point(list []string) {
	p, value := r.append()
	if p == nil {
		r.fail("a metric without data has no points")
		return
	}
	if strings.HasPrefix(list[0], "{") {
		r.attributes(list[0], p.Attributes())
		list = list[1:]
	}
	if len(list) < 2 {
		r.fail("a point has a time and a value")
		return
	}
	start, at, both := strings.Cut(list[0], "..")
	if !both {
		start, at = "-", start
	}
	p.SetStartTimestamp(r.time(start))
	p.SetTimestamp(r.time(at))
	for _, word := range list[1:] {
		if word == "stale" {
			p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
			continue
		}
		name, text, named := strings.Cut(word, "=")
		if !named {
			name, text = "", word
		}
		if name == "exemplar" {
			r.exemplar(p, text)
			continue
		}
		value(name, text)
	}
}

// append makes a point of the metric and returns what reads the words of its value.
func (r *scriptReader) append() (scriptPoint, func(name, text string)) {
	switch r.metric.Type() {
	case pmetric.MetricTypeGauge:
		p := r.metric.Gauge().DataPoints().AppendEmpty()
		return p, func(_, text string) { r.number(p, text) }
	case pmetric.MetricTypeSum:
		p := r.metric.Sum().DataPoints().AppendEmpty()
		return p, func(_, text string) { r.number(p, text) }
	case pmetric.MetricTypeHistogram:
		p := r.metric.Histogram().DataPoints().AppendEmpty()
		return p, func(name, text string) { r.histogram(p, name, text) }
	case pmetric.MetricTypeExponentialHistogram:
		p := r.metric.ExponentialHistogram().DataPoints().AppendEmpty()
		return p, func(name, text string) { r.exponential(p, name, text) }
	case pmetric.MetricTypeSummary:
		p := r.metric.Summary().DataPoints().AppendEmpty()
		return p, func(name, text string) { r.summary(p, name, text) }
	default:
		return nil, nil
	}
}

func (r *scriptReader) number(p pmetric.NumberDataPoint, text string) {
	if text == "novalue" {
		return
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		p.SetIntValue(n)
		return
	}
	p.SetDoubleValue(r.float(text))
}

// scriptMoments are the fields that both kinds of histograms may have.
type scriptMoments interface {
	SetCount(uint64)
	SetSum(float64)
	SetMin(float64)
	SetMax(float64)
}

func (r *scriptReader) moment(p scriptMoments, name, text string) {
	switch name {
	case "count":
		p.SetCount(r.count(text))
	case "sum":
		p.SetSum(r.float(text))
	case "min":
		p.SetMin(r.float(text))
	case "max":
		p.SetMax(r.float(text))
	default:
		r.fail("unknown word %s=%s", name, text)
	}
}

func total(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func (r *scriptReader) histogram(p pmetric.HistogramDataPoint, name, text string) {
	if name != "" {
		r.moment(p, name, text)
		return
	}
	counts, bounds, _ := strings.Cut(text, "@")
	list := r.counts(counts)
	p.BucketCounts().FromRaw(list)
	p.ExplicitBounds().FromRaw(r.floats(bounds))
	p.SetCount(total(list))
}

func (r *scriptReader) exponential(p pmetric.ExponentialHistogramDataPoint, name, text string) {
	side := func(b pmetric.ExponentialHistogramDataPointBuckets) {
		offset, counts, _ := strings.Cut(text, "[")
		n, err := strconv.ParseInt(offset, 10, 32)
		if err != nil {
			r.fail("%w", err)
		}
		list := r.counts(counts)
		b.SetOffset(int32(n))
		b.BucketCounts().FromRaw(list)
		p.SetCount(p.Count() + total(list))
	}
	switch name {
	case "scale":
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			r.fail("%w", err)
		}
		p.SetScale(int32(n))
	case "zero":
		p.SetZeroCount(r.count(text))
		p.SetCount(p.Count() + p.ZeroCount())
	case "threshold":
		p.SetZeroThreshold(r.float(text))
	case "pos":
		side(p.Positive())
	case "neg":
		side(p.Negative())
	default:
		r.moment(p, name, text)
	}
}

func (r *scriptReader) summary(p pmetric.SummaryDataPoint, name, text string) {
	switch {
	case name == "count":
		p.SetCount(r.count(text))
	case name == "sum":
		p.SetSum(r.float(text))
	case strings.HasPrefix(name, "q"):
		q := p.QuantileValues().AppendEmpty()
		q.SetQuantile(r.float(name[1:]))
		q.SetValue(r.float(text))
	default:
		r.fail("unknown word %s=%s", name, text)
	}
}

// exemplar reads VALUE@TIME/TRACE{filtered attributes}, less what is not given.
func (r *scriptReader) exemplar(p scriptPoint, text string) {
	holder, has := p.(interface{ Exemplars() pmetric.ExemplarSlice })
	if !has {
		r.fail("points of this type have no exemplars")
		return
	}
	e := holder.Exemplars().AppendEmpty()
	text, filtered, _ := strings.Cut(text, "{")
	r.attributes(filtered, e.FilteredAttributes())
	text, trace, _ := strings.Cut(text, "/")
	value, at, timed := strings.Cut(text, "@")
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		e.SetIntValue(n)
	} else {
		e.SetDoubleValue(r.float(value))
	}
	if timed {
		e.SetTimestamp(r.time(at))
	}
	if len(trace)%2 == 1 {
		trace = "0" + trace
	}
	b, err := hex.DecodeString(trace)
	if err != nil || len(b) > 16 {
		r.fail("a trace is at most 16 bytes, hexadecimal, got %q", trace)
		return
	}
	var id pcommon.TraceID
	copy(id[16-len(b):], b)
	e.SetTraceID(id)
}

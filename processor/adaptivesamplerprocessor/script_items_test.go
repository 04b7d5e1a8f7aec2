package adaptivesamplerprocessor

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Items are written so in scripts, each in its own resource with the service in
// front:
//
//	checkout r=8 status=error took=2s state="ot=th:8" http.route=/pay
//	checkout info r=8 "paid in 5 ms" sampling.threshold=8
//	host gauge cpu {core=1} 10s 0.5
//	host counter requests {code=200} 0s..10s 7
//
// r are the first digits of the randomness of the trace id; r=none is the zero
// trace id. Times of points are since the beginning. Spans take 1ms unless they
// say otherwise; took=none has no times, took=-1s ends before it begins.

// item is what a line says: words in front, and key=value.
type item struct {
	words []string
	keys  []string
	value map[string]string
}

var itemWords = regexp.MustCompile(`(?:[^\s"{}]+|"[^"]*"|\{[^}]*\})+`)

func (p *player) parse(line string) item {
	i := item{value: map[string]string{}}
	for _, word := range itemWords.FindAllString(line, -1) {
		key, value, pair := strings.Cut(word, "=")
		if !pair || strings.ContainsAny(key, `"{`) {
			i.words = append(i.words, strings.Trim(word, `"`))
			continue
		}
		i.keys = append(i.keys, key)
		i.value[key] = strings.Trim(value, `"`)
	}
	require.NotEmpty(p.t, i.words, line)
	return i
}

// take returns a value and takes it away, so that attributes stay.
func (i *item) take(key string) string {
	v := i.value[key]
	delete(i.value, key)
	return v
}

func (i *item) attributes(to pcommon.Map) {
	for _, key := range i.keys {
		if v, stays := i.value[key]; stays {
			to.PutStr(key, v)
		}
	}
}

// traceID has the randomness that digits begin.
func (p *player) traceID(digits string) (id pcommon.TraceID) {
	switch digits {
	case "none":
		return id
	case "":
		digits = "8"
	}
	bytes, err := hex.DecodeString(digits + strings.Repeat("0", 14-len(digits)))
	require.NoError(p.t, err)
	id[0] = 1
	copy(id[9:], bytes)
	return id
}

func digitsOf(id pcommon.TraceID) string {
	if id.IsEmpty() {
		return "r=none"
	}
	digits := strings.TrimRight(hex.EncodeToString(id[9:]), "0")
	if digits == "" {
		digits = "0"
	}
	return "r=" + digits
}

func quoted(text string) string {
	if text == "" || strings.ContainsAny(text, " =") {
		return `"` + text + `"`
	}
	return text
}

func pairs(m pcommon.Map) (text string) {
	var list []string
	for k, v := range m.All() {
		list = append(list, " "+k+"="+quoted(v.AsString()))
	}
	slices.Sort(list)
	return strings.Join(list, "")
}

func service(r pcommon.Resource) string {
	name, _ := r.Attributes().Get("service.name")
	return name.AsString()
}

func (p *player) readSpans(lines []string) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, line := range lines {
		i := p.parse(line)
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", i.words[0])
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID(p.traceID(i.take("r")))
		s.TraceState().FromRaw(i.take("state"))
		switch i.take("status") {
		case "error":
			s.Status().SetCode(ptrace.StatusCodeError)
		case "ok":
			s.Status().SetCode(ptrace.StatusCodeOk)
		}
		switch took := i.take("took"); took {
		case "none":
		case "":
			took = "1ms"
			fallthrough
		default:
			now := time.Now()
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(p.duration(took))))
		}
		i.attributes(s.Attributes())
	}
	return td
}

func (p *player) writeSpans(td ptrace.Traces) (lines []string) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				line := service(rs.Resource()) + " " + digitsOf(s.TraceID())
				if code := s.Status().Code(); code != ptrace.StatusCodeUnset {
					line += " status=" + strings.ToLower(code.String())
				}
				start, end := s.StartTimestamp().AsTime(), s.EndTimestamp().AsTime()
				if s.StartTimestamp() == 0 {
					line += " took=none"
				} else if took := end.Sub(start); took != time.Millisecond {
					line += " took=" + took.String()
				}
				if state := s.TraceState().AsRaw(); state != "" {
					line += " state=" + quoted(state)
				}
				lines = append(lines, line+pairs(s.Attributes()))
			}
		}
	}
	return lines
}

func (p *player) readRecords(lines []string) plog.Logs {
	ld := plog.NewLogs()
	for _, line := range lines {
		i := p.parse(line)
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("service.name", i.words[0])
		l := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		for name, number := range map[string]plog.SeverityNumber{
			"trace": plog.SeverityNumberTrace, "debug": plog.SeverityNumberDebug, "info": plog.SeverityNumberInfo,
			"warn": plog.SeverityNumberWarn, "error": plog.SeverityNumberError, "fatal": plog.SeverityNumberFatal,
		} {
			if i.words[1] == name {
				l.SetSeverityNumber(number)
			}
		}
		if i.take("flag") == "sampled" {
			l.SetFlags(l.Flags().WithIsSampled(true))
		}
		l.SetTraceID(p.traceID(i.take("r")))
		l.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		l.Body().SetStr(i.words[2])
		i.attributes(l.Attributes())
	}
	return ld
}

func (p *player) writeRecords(ld plog.Logs) (lines []string) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, l := range sl.LogRecords().All() {
				severity := strings.ToLower(strings.TrimRight(l.SeverityNumber().String(), "234"))
				line := service(rl.Resource()) + " " + severity + " " + digitsOf(l.TraceID())
				if l.Flags().IsSampled() {
					line += " flag=sampled"
				}
				lines = append(lines, line+` "`+l.Body().AsString()+`"`+pairs(l.Attributes()))
			}
		}
	}
	return lines
}

// times reads 10s or 0s..10s.
func (p *player) times(text string) (start, at pcommon.Timestamp) {
	from, to, both := strings.Cut(text, "..")
	stamp := func(text string) pcommon.Timestamp {
		return pcommon.NewTimestampFromTime(p.began.Add(p.duration(text)))
	}
	if !both {
		return 0, stamp(text)
	}
	return stamp(from), stamp(to)
}

func (p *player) readPoints(lines []string) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, line := range lines {
		i := p.parse(line)
		require.Len(p.t, i.words, 6, line)
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", i.words[0])
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(i.words[2])
		var d pmetric.NumberDataPoint
		switch i.words[1] {
		case "gauge":
			d = m.SetEmptyGauge().DataPoints().AppendEmpty()
		case "counter", "updown", "delta":
			s := m.SetEmptySum()
			s.SetIsMonotonic(i.words[1] != "updown")
			s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			if i.words[1] == "delta" {
				s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			}
			d = s.DataPoints().AppendEmpty()
		default:
			require.Fail(p.t, "unknown type", i.words[1])
		}
		for pair := range strings.SplitSeq(strings.Trim(i.words[3], "{}"), ",") {
			if k, v, ok := strings.Cut(pair, "="); ok {
				d.Attributes().PutStr(k, v)
			}
		}
		start, at := p.times(i.words[4])
		d.SetStartTimestamp(start)
		d.SetTimestamp(at)
		p.setValue(d, i.words[1] == "gauge", i.words[5])
	}
	return md
}

func (p *player) setValue(d pmetric.NumberDataPoint, gauge bool, text string) {
	if text == "stale" {
		d.SetFlags(d.Flags().WithNoRecordedValue(true))
		return
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && !gauge {
		d.SetIntValue(n)
		return
	}
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(p.t, err)
	d.SetDoubleValue(v)
}

func (p *player) writePoints(md pmetric.Metrics) (lines []string) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				kind, list := pointsOf(m)
				for _, d := range list.All() {
					lines = append(lines, fmt.Sprintf("%s %s %s {%s} %s %s", service(rm.Resource()), kind, m.Name(),
						strings.ReplaceAll(strings.TrimSpace(pairs(d.Attributes())), " ", ","), p.writeTimes(d), writeValue(d)))
				}
			}
		}
	}
	return lines
}

func pointsOf(m pmetric.Metric) (kind string, list pmetric.NumberDataPointSlice) {
	switch {
	case m.Type() == pmetric.MetricTypeGauge:
		return "gauge", m.Gauge().DataPoints()
	case m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityDelta:
		return "delta", m.Sum().DataPoints()
	case m.Sum().IsMonotonic():
		return "counter", m.Sum().DataPoints()
	default:
		return "updown", m.Sum().DataPoints()
	}
}

func (p *player) writeTimes(d pmetric.NumberDataPoint) string {
	at := d.Timestamp().AsTime().Sub(p.began).String()
	if d.StartTimestamp() == 0 {
		return at
	}
	return d.StartTimestamp().AsTime().Sub(p.began).String() + ".." + at
}

func writeValue(d pmetric.NumberDataPoint) string {
	switch {
	case d.Flags().NoRecordedValue():
		return "stale"
	case d.ValueType() == pmetric.NumberDataPointValueTypeInt:
		return strconv.FormatInt(d.IntValue(), 10)
	default:
		return strconv.FormatFloat(d.DoubleValue(), 'g', -1, 64)
	}
}

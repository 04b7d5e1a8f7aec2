package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// traces are the spans by service, route and kind.
type traces struct {
	count, bytes int
	by           map[key]*weights
}

// logs are the records by service and severity.
type logs struct {
	count, bytes int
	by           map[key]*weights
}

// metrics are the points by stream, in the order of the file.
type metrics struct {
	count, bytes int
	streams      map[string][]pmetric.NumberDataPoint
	requests     map[key]*request
}

// key says what an answer is about. Which of the fields are used is the query's.
type key struct{ service, what, kind string }

// weights add up what kept items stand for.
type weights struct {
	total, variance float64
	squares         float64
}

// add counts an item that was kept with a probability. What it stands for is
// rounded at random to an integer by spanmetrics, which adds a variance.
func (w *weights) add(adjusted float64) {
	w.total += adjusted
	w.squares += adjusted * adjusted
	fraction := adjusted - float64(int(adjusted))
	w.variance += adjusted*(adjusted-1) + fraction*(1-fraction)
}

// each calls f for each line of a file.
func each(path string, f func([]byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	r := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if len(line) > 1 {
			if err := f(line); err != nil {
				return fmt.Errorf("%s: line %d: %w", path, n, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
}

func service(r pcommon.Resource) string {
	v, _ := r.Attributes().Get("service.name")
	return v.AsString()
}

// text returns an attribute, empty if it is not there.
func text(m pcommon.Map, k string) string {
	if v, ok := m.Get(k); ok {
		return v.AsString()
	}
	return ""
}

func readTraces(path string) (traces, error) {
	t := traces{by: map[key]*weights{}}
	var size ptrace.ProtoMarshaler
	err := each(path, func(line []byte) error {
		data, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		if err != nil {
			return err
		}
		t.count += data.SpanCount()
		t.bytes += size.TracesSize(data)
		for _, rs := range data.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					adjusted, err := adjustedCount(s.TraceState().AsRaw())
					if err != nil {
						return fmt.Errorf("span %s: %w", s.SpanID(), err)
					}
					of(t.by, key{service(rs.Resource()), s.Name(), s.Kind().String()}).add(adjusted)
				}
			}
		}
		return nil
	})
	return t, err
}

// adjustedCount is how many spans one stands for by its trace state; one if it
// says nothing.
func adjustedCount(state string) (float64, error) {
	w3c, err := sampling.NewW3CTraceState(state)
	if err != nil {
		return 0, fmt.Errorf("read its trace state %q: %w", state, err)
	}
	if adjusted := w3c.OTelValue().AdjustedCount(); adjusted > 0 {
		return adjusted, nil
	}
	return 1, nil
}

func readLogs(path string) (logs, error) {
	l := logs{by: map[key]*weights{}}
	var size plog.ProtoMarshaler
	err := each(path, func(line []byte) error {
		data, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		if err != nil {
			return err
		}
		l.count += data.LogRecordCount()
		l.bytes += size.LogsSize(data)
		for _, rl := range data.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					if r.EventName() == summaryEvent {
						continue // it says what was left out, and stands for nothing
					}
					adjusted := 1.0
					if th := text(r.Attributes(), "sampling.threshold"); th != "" {
						threshold, err := sampling.TValueToThreshold(th)
						if err != nil {
							return fmt.Errorf("record %q: sampling.threshold: %w", r.Body().AsString(), err)
						}
						adjusted = threshold.AdjustedCount()
					}
					of(l.by, key{service: service(rl.Resource()), what: r.SeverityText()}).add(adjusted)
				}
			}
		}
		return nil
	})
	return l, err
}

// summaryEvent is the event name of records that sum up what was left out.
const summaryEvent = "phoenix.sampling.left_out"

func of[V any](m map[key]*V, k key) *V {
	if m[k] == nil {
		m[k] = new(V)
	}
	return m[k]
}

func readMetrics(path string) (metrics, error) {
	m := metrics{streams: map[string][]pmetric.NumberDataPoint{}, requests: map[key]*request{}}
	var size pmetric.ProtoMarshaler
	err := each(path, func(line []byte) error {
		data, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(line)
		if err != nil {
			return err
		}
		m.count += data.DataPointCount()
		m.bytes += size.MetricsSize(data)
		for _, rm := range data.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, metric := range sm.Metrics().All() {
					m.take(service(rm.Resource()), metric)
				}
			}
		}
		return nil
	})
	return m, err
}

func (m *metrics) take(service string, metric pmetric.Metric) {
	switch metric.Name() {
	case "shop.hall.temperature":
		for _, p := range metric.Gauge().DataPoints().All() {
			hall := text(p.Attributes(), "hall")
			m.streams[hall] = append(m.streams[hall], p)
		}
	case "traces.span.metrics.calls":
		for _, p := range metric.Sum().DataPoints().All() {
			r := of(m.requests, requestKey(service, p.Attributes()))
			r.calls(text(p.Attributes(), "status.code"), float64(p.IntValue()))
		}
	case "traces.span.metrics.duration":
		for _, p := range metric.Histogram().DataPoints().All() {
			r := of(m.requests, requestKey(service, p.Attributes()))
			r.took(text(p.Attributes(), "status.code"), p)
		}
	}
}

func requestKey(service string, a pcommon.Map) key {
	return key{service, text(a, "span.name"), text(a, "span.kind")}
}

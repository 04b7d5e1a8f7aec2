//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// troubleSamplingConfig is merged with troubleConfig. The sampler has more keys,
// series and data than it has room for. The candidate of one router is closed
// because it fails, that of the patient one has no room for metrics and refuses
// spans, and that of the third does well.
const troubleSamplingConfig = `
processors:
  adaptive_sampler:
    storage: file_storage
    control: phoenix_control
    interval: 1s
    checkpoint: 1s
    traces:
      key: [resource.service.name, span.name]
      incomplete_traces: allow
      target: {spans_per_second: 5}
      keep:
        - {status: error}
      max_keys: 5
    logs:
      target: {records_per_second: 1}
      with_traces: none
    metrics:
      max_series: 3
    rules:
      - name: steady
        dead_band: {match: {metric: "shop.*"}, tolerance: {relative: 0.5}, heartbeat: 1s}
      - name: few
        series: {match: {metric: shop.requests}, ratio: 0.5}
      - name: little
        budget: {signal: metrics, points_per_second: 0.1, floor: 0.5}
  adaptive_sampler/full:
    storage: file_storage/tight
    interval: 1s
    checkpoint: 1s
    traces:
      key: [resource.service.name, span.session]
      incomplete_traces: allow
      target: {spans_per_second: 1000}
connectors:
  ab_router:
    baseline: [metrics/baseline]
    candidate: [metrics/candidate]
    input_interval: 2s
    breaker: {window: 2s, min_batches: 5}
    experiments:
      - {id: divided, mode: split, unit: series, weight: 50}
  ab_router/patient:
    baseline: [metrics/baseline, traces/baseline]
    candidate: [metrics/candidate, traces/candidate]
    breaker: {window: 1h}
    mirror: {queue_bytes: 1KiB}
    experiments:
      - {id: copied, mode: mirror, max_error_ratio: 1}
  ab_router/controlled:
    control: phoenix_control
    baseline: [metrics/baseline]
    candidate: [metrics/tried]
service:
  pipelines:
    metrics/sampled:
      receivers: [otlp]
      processors: [adaptive_sampler]
      exporters: [ab_router]
    metrics/copied:
      receivers: [otlp]
      exporters: [ab_router/patient, ab_router/controlled]
    metrics/baseline:
      receivers: [ab_router, ab_router/patient, ab_router/controlled]
      exporters: [debug]
    metrics/tried:
      receivers: [ab_router/controlled]
      exporters: [debug]
    metrics/candidate:
      receivers: [ab_router, ab_router/patient]
      processors: [memory_limiter/full]
      exporters: [debug]
    traces:
      receivers: [otlp]
      processors: [adaptive_sampler]
      exporters: [ab_router/patient, otlp_http/gone]
    traces/baseline:
      receivers: [ab_router/patient]
      exporters: [debug]
    traces/candidate:
      receivers: [ab_router/patient]
      processors: [memory_limiter/full]
      exporters: [debug]
    traces/refused:
      receivers: [otlp/refused]
      processors: [adaptive_sampler/full, memory_limiter/full]
      exporters: [debug]
    logs:
      receivers: [otlp]
      processors: [adaptive_sampler]
      exporters: [debug, otlp_http/gone]
    logs/refused:
      receivers: [otlp/refused]
      processors: [memory_limiter/full]
      exporters: [debug]
`

// moveHalf is an experiment of which half the series move to the candidate.
const moveHalf = `{"name": "tried", "spec": {"mode": "split", "unit": {"kind": "series", "writer_by_arm": true},
	"scope": {"service.name": "shop"}, "metrics": ["shop.requests"], "steps": [{"weight": 50, "dwell": "1h"}], "max_duration": "2h",
	"rules": [{"name": "drop", "match": {"metric": "shop.requests"}, "attributes": {"drop": ["pod"]}}],
	"success": [{"measure": "cost", "at_least": 0.1}]}}`

// senders send every signal to one port.
type senders struct {
	metrics pmetricotlp.GRPCClient
	traces  ptraceotlp.GRPCClient
	logs    plogotlp.GRPCClient
}

func newSenders(t *testing.T, port int) *senders {
	t.Helper()
	connection, err := grpc.NewClient(fmt.Sprintf("localhost:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return &senders{pmetricotlp.NewGRPCClient(connection), ptraceotlp.NewGRPCClient(connection), plogotlp.NewGRPCClient(connection)}
}

// send returns what each signal met.
func (s *senders) send(ctx context.Context, md pmetric.Metrics, td ptrace.Traces, ld plog.Logs) (metrics, traces, logs error) {
	_, metrics = s.metrics.Export(ctx, pmetricotlp.NewExportRequestFromMetrics(md))
	_, traces = s.traces.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
	_, logs = s.logs.Export(ctx, plogotlp.NewExportRequestFromLogs(ld))
	return metrics, traces, logs
}

// troubledSpans has thresholds that cannot be right, and ever new keys.
func troubledSpans(pods string, now time.Time, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	r := td.ResourceSpans().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "shop")
	spans := r.ScopeSpans().AppendEmpty().Spans()
	for i := range 20 {
		s := spans.AppendEmpty()
		s.SetName(fmt.Sprintf("GET /%s/%d", pods, (n+i)%40))
		s.SetTraceID(troubledTrace(n, i))
		s.SetSpanID(pcommon.SpanID{7: byte(1 + i)})
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		s.Attributes().PutStr("session", fmt.Sprintf("%064d", 20*n+i))
		switch i % 5 {
		case 0:
			s.TraceState().FromRaw("ot=th:nothing")
		case 1:
			s.TraceState().FromRaw("ot=th:fffffffffffff;rv:00000000000001") // 1 is below
		case 2:
			s.SetTraceID(pcommon.NewTraceIDEmpty())
		case 3:
			s.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	return td
}

// troubledTrace is the same mix of bits for the same item.
func troubledTrace(n, i int) (id pcommon.TraceID) {
	x := uint64(n)<<32 | uint64(i) + 1
	for at := range id {
		x *= 0x9e3779b97f4a7c15
		x ^= x >> 29
		id[at] = byte(x >> 56)
	}
	return id
}

// troubledRecords are errors, of which none may be left out, and others.
func troubledRecords(pods string, now time.Time, n int) plog.Logs {
	ld := plog.NewLogs()
	r := ld.ResourceLogs().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "shop")
	records := r.ScopeLogs().AppendEmpty().LogRecords()
	for i := range 20 {
		l := records.AppendEmpty()
		l.SetTimestamp(pcommon.NewTimestampFromTime(now))
		l.SetTraceID(troubledTrace(n, i))
		l.SetSeverityNumber(plog.SeverityNumberInfo)
		l.Body().SetStr(fmt.Sprintf("%s-%d took %d ms", pods, i, n))
		if i%4 == 0 {
			l.SetSeverityNumber(plog.SeverityNumberError)
			l.Body().SetStr(fmt.Sprintf("%s-%d did not answer", pods, i))
		}
	}
	return ld
}

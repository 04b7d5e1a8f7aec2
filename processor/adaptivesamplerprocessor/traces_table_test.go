package adaptivesamplerprocessor

import (
	"context"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// traceWith has the randomness that digits begin; none is the id of zeros.
func traceWith(tb testing.TB, digits string) (id pcommon.TraceID) {
	tb.Helper()
	if digits == "none" {
		return id
	}
	bytes, err := hex.DecodeString(digits + strings.Repeat("0", 14-len(digits)))
	require.NoError(tb, err)
	id[0] = 1
	copy(id[9:], bytes)
	return id
}

const leftOut = "left out"

// TestSpansInAndOut samples one span at 25 %: those with a randomness of c… and
// above are kept.
func TestSpansInAndOut(t *testing.T) {
	long := "vendor=" + strings.Repeat("x", 250)
	f := func(digits, state, want, counted string, irregular ...string) {
		t.Helper()
		tel := componenttest.NewTelemetry()
		r := newSpanRigOf(t, fixed("0.25"), nil, tel.NewTelemetrySettings())
		r.send(batchOf("checkout", spanSpec{id: traceWith(t, digits), state: state, took: time.Millisecond}))
		r.end()
		got := leftOut
		if r.sink.SpanCount() > 0 {
			got = spansOf(r.sink.AllTraces()...)[0].TraceState().AsRaw()
		}
		assert.Equal(t, want, got, "%s %s", digits, state)
		counts := map[string]int64{"received": 1, counted: 1}
		for _, i := range irregular {
			counts["irregular "+i] = 1
		}
		assert.Equal(t, counts, itemCounters(t, tel), "%s %s", digits, state)
		require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context())))
	}
	const kept, left = "kept sampled", "left_out budget checkout"

	// Nothing came: ours.
	f("c", "", "ot=th:c", kept)
	f("ffffffffffffff", "", "ot=th:c", kept)
	f("bfffffffffffff", "", leftOut, left)
	f("0", "", leftOut, left)
	f("d", "vendor=x,other=y", "ot=th:c,vendor=x,other=y", kept)
	f("d", "ot=k:v", "ot=th:c;k:v", kept)

	// A threshold came: the larger one.
	f("d", "ot=th:0", "ot=th:c", kept)
	f("b", "ot=th:0", leftOut, left)
	f("d", "ot=th:8", "ot=th:c", kept)
	f("9", "ot=th:8", leftOut, left)
	f("d", "ot=th:c", "ot=th:c", kept)
	f("f", "ot=th:e666", "ot=th:e666", kept)
	f("f", "vendor=x,ot=th:e666", "vendor=x,ot=th:e666", kept)

	// A random value decides in place of the trace id.
	f("0", "ot=rv:d0000000000000", "ot=rv:d0000000000000;th:c", kept)
	f("d", "ot=rv:b0000000000000", leftOut, left)
	f("none", "ot=rv:d0000000000000;th:8", "ot=rv:d0000000000000;th:c", kept)
	f("none", "ot=rv:00000000000000", leftOut, left)

	// By its threshold it would not be here.
	f("d", "ot=th:e", "ot=th:c", kept, "inconsistent_threshold")
	f("5", "ot=th:8", leftOut, left, "inconsistent_threshold")
	f("5", "ot=rv:d0000000000000;th:e", "ot=rv:d0000000000000;th:c", kept, "inconsistent_threshold")

	// What cannot be read.
	f("d", "ot=th:xyz,vendor=x", "ot=th:c,vendor=x", kept, "malformed_tracestate")
	f("b", "ot=th:xyz,vendor=x", leftOut, left, "malformed_tracestate")
	f("d", "ot=rv:12;th:8", "ot=th:c", kept, "malformed_tracestate")
	f("d", "ot=th:123456789abcdef", "ot=th:c", kept, "malformed_tracestate")
	f("d", "a=b=c", "a=b=c", kept, "malformed_tracestate")
	f("d", "\xff\x00", "\xff\x00", kept, "malformed_tracestate")
	f("0", "\xff\x00", leftOut, left, "malformed_tracestate")
	f("d", strings.Repeat("x", 5000), strings.Repeat("x", 5000), kept, "malformed_tracestate")

	// No randomness at all: as it came.
	f("none", "", "", "kept passed", "no_randomness")
	f("none", "ot=th:8", "ot=th:8", "kept passed", "no_randomness")

	// No room for the threshold: long members of others go, as W3C Trace Context
	// says.
	f("d", strings.Join([]string{"a" + long, "b=1", "c" + long, "d" + long, "e=" + strings.Repeat("y", 241)}, ","),
		strings.Join([]string{"ot=th:c", "a" + long, "b=1", "c" + long, "d" + long}, ","), kept, "trimmed_tracestate")
}

// TestKeptByAConditionSpansKeepTheirThreshold samples at 0.01 %, so that nothing
// is kept by chance.
func TestSpansKeptByACondition(t *testing.T) {
	const yaml = `
traces:
  keep:
    - status: error
    - latency: {over: 2s}
    - attribute: {attribute: tier, value: "gold*"}
    - attribute: {attribute: retried, present: true}
    - attribute: {attribute: resource.env, value: /(dev|test)/}
`
	f := func(change func(ptrace.ResourceSpans, ptrace.Span), state, want, counted string) {
		t.Helper()
		tel := componenttest.NewTelemetry()
		r := newSpanRigOf(t, yaml+fixed("0.0001"), nil, tel.NewTelemetrySettings())
		td := batchOf("checkout", spanSpec{id: traceWith(t, "9"), state: state, took: time.Second})
		rs := td.ResourceSpans().At(0)
		change(rs, rs.ScopeSpans().At(0).Spans().At(0))
		r.send(td)
		r.end()
		got := leftOut
		if r.sink.SpanCount() > 0 {
			got = spansOf(r.sink.AllTraces()...)[0].TraceState().AsRaw()
		}
		assert.Equal(t, want, got, "%s", counted)
		assert.EqualValues(t, 1, itemCounters(t, tel)[counted], "%s %v", counted, itemCounters(t, tel))
		require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context())))
	}
	failed := func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Status().SetCode(ptrace.StatusCodeError) }
	took := func(d time.Duration) func(ptrace.ResourceSpans, ptrace.Span) {
		return func(_ ptrace.ResourceSpans, s ptrace.Span) {
			s.SetEndTimestamp(s.StartTimestamp() + pcommon.Timestamp(d))
		}
	}
	with := func(key, value string) func(ptrace.ResourceSpans, ptrace.Span) {
		return func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Attributes().PutStr(key, value) }
	}
	from := func(key, value string) func(ptrace.ResourceSpans, ptrace.Span) {
		return func(rs ptrace.ResourceSpans, _ ptrace.Span) { rs.Resource().Attributes().PutStr(key, value) }
	}
	const byStatus, byLatency, byAttribute, not = "kept kept_by_status", "kept kept_by_latency", "kept kept_by_attribute", "left_out budget checkout"

	f(failed, "", "ot=th:0", byStatus)
	f(failed, "ot=th:8", "ot=th:8", byStatus)
	f(failed, "ot=th:0", "ot=th:0", byStatus)
	f(failed, "vendor=x", "ot=th:0,vendor=x", byStatus)
	f(failed, "ot=rv:00000000000000", "ot=rv:00000000000000;th:0", byStatus)
	f(failed, "ot=th:f", "ot=th:0", byStatus) // inconsistent
	f(failed, "a=b=c", "a=b=c", byStatus)
	f(func(rs ptrace.ResourceSpans, s ptrace.Span) {
		failed(rs, s)
		s.SetTraceID(pcommon.TraceID{})
	}, "vendor=x", "vendor=x", byStatus) // nothing says that it was not sampled
	f(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Status().SetCode(ptrace.StatusCodeOk) }, "", leftOut, not)
	f(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Status().SetCode(ptrace.StatusCode(7)) }, "", leftOut, not)
	f(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Status().SetCode(ptrace.StatusCode(-1)) }, "", leftOut, not)

	f(took(2*time.Second), "", leftOut, not)
	f(took(2*time.Second+1), "", "ot=th:0", byLatency)
	f(took(math.MaxInt64), "ot=th:8", "ot=th:8", byLatency)
	f(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetStartTimestamp(1); s.SetEndTimestamp(math.MaxUint64) }, "", "ot=th:0", byLatency)
	f(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetStartTimestamp(0) }, "", leftOut, "irregular no_time")
	f(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetEndTimestamp(0) }, "", leftOut, "irregular no_time")
	f(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetEndTimestamp(1) }, "", leftOut, "irregular time_backwards")
	f(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetEndTimestamp(s.StartTimestamp()) }, "", leftOut, not)

	f(with("tier", "golden"), "", "ot=th:0", byAttribute)
	f(with("tier", "silver"), "", leftOut, not)
	f(with("retried", ""), "", "ot=th:0", byAttribute)
	f(from("env", "dev"), "", "ot=th:0", byAttribute)
	f(from("env", "production"), "", leftOut, not)
	f(with("env", "dev"), "", leftOut, not)
}

// TestSpansPass: what nothing is said about is not touched.
func TestSpansPass(t *testing.T) {
	f := func(yaml, service, want string) {
		t.Helper()
		tel := componenttest.NewTelemetry()
		r := newSpanRigOf(t, yaml, nil, tel.NewTelemetrySettings())
		const state = "ot=rv:01020304050607;th:f,b=c" // which is inconsistent
		r.send(batchOf(service, spanSpec{id: traceWith(t, "9"), state: state}))
		r.end()
		got := spansOf(r.sink.AllTraces()...)
		require.Len(t, got, 1)
		assert.Equal(t, want != "kept sampled", got[0].TraceState().AsRaw() == state)
		assert.EqualValues(t, 1, itemCounters(t, tel)[want], "%s %v", yaml, itemCounters(t, tel))
		require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context())))
	}
	f("{}", "checkout", "kept passed")
	f("traces: {keep: [{status: unset}]}", "checkout", "kept passed")
	f("traces: {target: {services: {cart: 5}}}", "checkout", "kept passed")
	f("traces: {target: {services: {cart: 5}}}", "cart", "kept sampled")
	f("traces: {target: {per_service: 5}}", "checkout", "kept sampled")
	f("traces: {target: {spans_per_second: 5}}", "checkout", "kept sampled")
	f("rules: [{name: a, budget: {signal: traces, points_per_second: 5, match: {resource: [{attribute: service.name, value: cart}]}}}]",
		"checkout", "kept passed")
	f("rules: [{name: a, budget: {signal: logs, points_per_second: 5}}]", "checkout", "kept passed")
	f("rules: [{name: a, mode: preview, budget: {signal: traces, points_per_second: 5}}]", "checkout", "kept passed")
	f("rules: [{name: a, mode: preview, budget: {signal: traces, points_per_second: 5, floor: 0.001, ceiling: 0.001}}]", "checkout", "kept preview")
}

// TestEmptyPartsGo: what is left without spans is not sent on.
func TestEmptyPartsGo(t *testing.T) {
	r := newSpanRig(t, fixed("0.5"), nil)
	defer r.end()
	low, high := spanSpec{id: traceWith(t, "1")}, spanSpec{id: traceWith(t, "9")}
	r.send(batchOf("checkout", low, low))
	require.Empty(t, r.sink.AllTraces())
	r.send(ptrace.NewTraces())
	require.Empty(t, r.sink.AllTraces())

	td := batchOf("checkout", low)
	appendSpans(td, "cart", []spanSpec{low, high})
	other := td.ResourceSpans().At(1).ScopeSpans().AppendEmpty()
	other.Scope().SetName("other")
	td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).CopyTo(other.Spans().AppendEmpty())
	td.ResourceSpans().AppendEmpty()
	r.send(td)
	require.Len(t, r.sink.AllTraces(), 1)
	got := r.sink.AllTraces()[0]
	require.Equal(t, 1, got.ResourceSpans().Len())
	assert.Equal(t, "cart", text(got.ResourceSpans().At(0).Resource().Attributes(), serviceName))
	assert.Equal(t, 1, got.ResourceSpans().At(0).ScopeSpans().Len())
	assert.Equal(t, 1, got.SpanCount())
}

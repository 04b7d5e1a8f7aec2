package adaptivesamplerprocessor

import (
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// FuzzSpans sends whatever is a batch in OTLP. No threshold is ever lowered except
// one that contradicts the randomness, members of others stay, spans come out once
// at most and in order, and what is counted adds up.
func FuzzSpans(f *testing.F) {
	var marshaler ptrace.ProtoMarshaler
	seed := func(td ptrace.Traces) {
		text, err := marshaler.MarshalTraces(td)
		require.NoError(f, err)
		f.Add(text)
	}
	random := newTraffic(1)
	seed(ptrace.NewTraces())
	seed(random.withStates("checkout", 20, append(mixedStates, "ot=th:xyz", "a=b=c", "ot=th:f,ot=th:0", strings.Repeat("x", 2000))...))
	odd := batchOf("", spanSpec{}, spanSpec{id: pcommon.TraceID{1}, error: true, took: -time.Second})
	odd.ResourceSpans().AppendEmpty().Resource().Attributes().PutEmptySlice("service.name").AppendEmpty()
	spans := odd.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.At(0).SetStartTimestamp(0)
	spans.At(0).SetKind(99)
	spans.At(0).Status().SetCode(-5)
	spans.At(1).Attributes().PutEmptyMap("tier").PutStr("a", "b")
	seed(odd)

	r := newSpanRig(f, `
traces:
  key: [resource.service.name, span.name, span.kind, span.status, span.tier, trace.state.vendor]
  incomplete_traces: allow
  target: {per_service: 10}
  keep: [{status: error}, {latency: {over: 1s}}, {latency: {quantile: 0.9}}, {attribute: {attribute: tier, value: "*b*"}}]
  max_keys: 100
rules: [{name: a, budget: {signal: traces, bytes_per_second: 100}}]
`, consumertest.NewNop())
	f.Cleanup(r.end)
	p := r.part()
	f.Fuzz(func(t *testing.T, text []byte) {
		var unmarshaler ptrace.ProtoUnmarshaler
		td, err := unmarshaler.UnmarshalTraces(text)
		if err != nil {
			return
		}
		before := spansCopy(td)
		in, kept := p.in.Load(), p.kept.Load()
		p.sample(t.Context(), td)
		require.Equal(t, uint64(before.SpanCount()), p.in.Load()-in)
		require.Equal(t, uint64(td.SpanCount()), p.kept.Load()-kept)
		for _, rs := range td.ResourceSpans().All() {
			require.NotZero(t, rs.ScopeSpans().Len())
			for _, ss := range rs.ScopeSpans().All() {
				require.NotZero(t, ss.Spans().Len())
			}
		}
		came, next := spansOf(before), 0
		for _, out := range spansOf(td) {
			for !sameButForState(came[next], out) {
				next++
				require.Less(t, next, len(came), "a span that did not come, or out of order")
			}
			requireSound(t, came[next], out)
			next++
		}
		p.adjust(time.Unix(0, 0), time.Second)
	})
}

func sameButForState(a, b ptrace.Span) bool {
	one, other := ptrace.NewSpan(), ptrace.NewSpan()
	a.CopyTo(one)
	b.CopyTo(other)
	one.TraceState().FromRaw("")
	other.TraceState().FromRaw("")
	var marshaler ptrace.ProtoMarshaler
	text := func(s ptrace.Span) string {
		td := ptrace.NewTraces()
		s.CopyTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
		bytes, _ := marshaler.MarshalTraces(td)
		return string(bytes)
	}
	return text(one) == text(other)
}

// requireSound compares the trace states of a span that is kept.
func requireSound(t *testing.T, in, out ptrace.Span) {
	t.Helper()
	before, err := sampling.NewW3CTraceState(in.TraceState().AsRaw())
	if err != nil {
		return // internal/sampling/consistent has its own fuzz target for what is malformed
	}
	after, err := sampling.NewW3CTraceState(out.TraceState().AsRaw())
	require.NoError(t, err)
	if !in.TraceID().IsEmpty() && len(in.TraceState().AsRaw()) < 200 {
		require.Equal(t, before.ExtraValues(), after.ExtraValues())
	}
	rnd, explicit := before.OTelValue().RValueRandomness()
	if !explicit {
		if in.TraceID().IsEmpty() {
			require.Equal(t, in.TraceState().AsRaw(), out.TraceState().AsRaw())
			return
		}
		rnd = sampling.TraceIDToRandomness(in.TraceID())
	}
	was, had := before.OTelValue().TValueThreshold()
	is, has := after.OTelValue().TValueThreshold()
	require.True(t, has)
	if had && was.ShouldSample(rnd) && strings.Count(in.TraceState().AsRaw(), "ot=") == 1 {
		require.False(t, sampling.ThresholdLessThan(is, was))
	}
}

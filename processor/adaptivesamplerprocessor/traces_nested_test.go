package adaptivesamplerprocessor

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// mixedStates are what spans of the tests come with.
var mixedStates = []string{
	"", "ot=th:0", "ot=th:8", "vendor=x,ot=th:c;k:v", "ot=th:e666", "vendor=x", "ot=rv:0123456789abcd", "ot=th:0;rv:ff000000000000",
}

// through is what a processor makes of a copy of a batch.
func through(tb testing.TB, yaml string, td ptrace.Traces) []ptrace.Traces {
	tb.Helper()
	r := newSpanRig(tb, yaml, nil)
	defer r.end()
	r.send(spansCopy(td))
	return r.sink.AllTraces()
}

func TestReplicasKeepTheSame(t *testing.T) {
	td := newTraffic(1).withStates("checkout", 5000, mixedStates...)
	one, other := through(t, fixed("0.3"), td), through(t, fixed("0.3"), td)
	assert.Equal(t, statesByTrace(one...), statesByTrace(other...))
}

func TestReplicasNest(t *testing.T) {
	td := newTraffic(2).withStates("checkout", 5000, mixedStates...)
	wider := statesByTrace(td)
	for _, p := range []string{"1", "0.9", "0.5", "0.21", "0.2", "0.01", "0.001"} {
		kept := statesByTrace(through(t, fixed(p), td)...)
		assert.LessOrEqual(t, len(kept), len(wider), p)
		for id := range kept {
			_, more := wider[id]
			require.True(t, more, "%s is kept with %s, but not with more", id, p)
		}
		wider = kept
	}
	assert.NotEmpty(t, wider)
}

// TestTwoStages: what the strictest of several processors in a row keeps is all
// that is kept, with the same thresholds.
func TestTwoStages(t *testing.T) {
	td := newTraffic(3).withStates("checkout", 5000, mixedStates...)
	f := func(direct string, stages ...string) {
		t.Helper()
		want := statesByTrace(through(t, fixed(direct), td)...)
		require.NotEmpty(t, want)
		got := td
		for _, p := range stages {
			out := through(t, fixed(p), got)
			require.Len(t, out, 1)
			got = out[0]
		}
		assert.Equal(t, want, statesByTrace(got), "%v", stages)
	}
	f("0.1", "0.5", "0.1")
	f("0.1", "0.1", "0.5")
	f("0.1", "0.1", "0.1")
	f("0.037", "1", "0.9", "0.037", "0.5")
}

// TestOneDecisionWithinABatch: spans of one trace with the same key decide alike in
// a batch, although an interval ends and a level falls in the middle of it.
func TestOneDecisionWithinABatch(t *testing.T) {
	r := newSpanRig(t, fixed("0.5"), nil)
	defer r.end()
	p := r.part()
	td := newTraffic(4).withStates("checkout", 500, "")
	td.ResourceSpans().At(0).CopyTo(td.ResourceSpans().AppendEmpty())
	b := p.batches.Get().(*spanBatch) //nolint:forcetypeassert // it is
	b.begin()
	for i := range 2 {
		b.resource(td.ResourceSpans().At(i))
		p.adjust(time.Unix(0, 0), time.Second)
		for _, flow := range p.budgets.flows {
			flow.set(0.01)
		}
	}
	b.end(t.Context())
	first, second := ptrace.NewTraces(), ptrace.NewTraces()
	td.ResourceSpans().At(0).CopyTo(first.ResourceSpans().AppendEmpty())
	td.ResourceSpans().At(1).CopyTo(second.ResourceSpans().AppendEmpty())
	require.InDelta(t, 250, first.SpanCount(), 50)
	assert.Equal(t, statesByTrace(first), statesByTrace(second))

	r.send(newTraffic(4).withStates("checkout", 500, ""))
	assert.InDelta(t, 5, r.sink.SpanCount(), 6, "the next batch has the new level")
}

// TestRateOfAKeyWithinABatch is the same for the rate that is learned.
func TestRateOfAKeyWithinABatch(t *testing.T) {
	r := newSpanRig(t, "traces: {target: {spans_per_second: 10}}", nil)
	defer r.end()
	p := r.part()
	random := newTraffic(5)
	td := random.withStates("checkout", 1000, "")
	td.ResourceSpans().At(0).CopyTo(td.ResourceSpans().AppendEmpty())
	b := p.batches.Get().(*spanBatch) //nolint:forcetypeassert // it is
	b.begin()
	for i := range 2 {
		b.resource(td.ResourceSpans().At(i))
		r.send(random.withStates("checkout", 10_000, ""))
		p.adjust(time.Unix(0, 0), time.Second)
	}
	b.end(t.Context())
	assert.Equal(t, 1000, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().Len(), "a new key is kept whole")
	assert.Equal(t, 1000, td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().Len(), "for the whole batch")

	r.sink.Reset()
	r.send(random.withStates("checkout", 1000, ""))
	assert.Less(t, r.sink.SpanCount(), 500)
}

// TestOrderDoesNotMatter: decisions do not depend on how spans are put into
// batches.
func TestOrderDoesNotMatter(t *testing.T) {
	random := newTraffic(6)
	td := random.withStates("checkout", 2000, mixedStates...)
	whole := statesByTrace(through(t, fixed("0.3"), td)...)
	r := newSpanRig(t, fixed("0.3"), nil)
	defer r.end()
	spans := spansOf(td)
	random.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
	for part := range slices.Chunk(spans, 37) {
		list := make([]spanSpec, 0, len(part))
		for _, s := range part {
			list = append(list, spanSpec{id: s.TraceID(), state: s.TraceState().AsRaw(), name: "work", took: time.Millisecond})
		}
		r.send(batchOf("checkout", list...))
	}
	assert.Equal(t, whole, statesByTrace(r.sink.AllTraces()...))
}

// TestRetryOfARefusedBatch: the sender is told, and what it sends again is decided
// alike.
func TestRetryOfARefusedBatch(t *testing.T) {
	td := newTraffic(7).withStates("checkout", 1000, mixedStates...)
	want := statesByTrace(through(t, fixed("0.3"), td)...)
	next := &refusing{}
	r := newSpanRig(t, fixed("0.3"), next)
	defer r.end()
	for range 3 {
		next.err = errRefused
		require.ErrorIs(t, r.p.ConsumeTraces(t.Context(), spansCopy(td)), errRefused)
	}
	next.err = nil
	r.send(spansCopy(td))
	assert.Equal(t, want, statesByTrace(next.AllTraces()...))
}

package consistent_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/probabilisticsamplerprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"pgregory.net/rapid"

	c "github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

// equalizing sends spans through contrib's probabilistic_sampler in mode
// equalizing, the only other sampler with this arithmetic. It returns the trace
// state of each that it keeps, by its number.
func equalizing(t *testing.T, cfg *probabilisticsamplerprocessor.Config, spans []span) map[int]string {
	t.Helper()
	factory := probabilisticsamplerprocessor.NewFactory()
	sink := new(consumertest.TracesSink)
	p, err := factory.CreateTraces(t.Context(), processortest.NewNopSettings(factory.Type()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	batch := ptrace.NewTraces()
	to := batch.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i, s := range spans {
		sp := to.AppendEmpty()
		sp.SetTraceID(s.id)
		sp.TraceState().FromRaw(s.state)
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], uint64(i))
		sp.SetSpanID(id)
	}
	require.NoError(t, p.ConsumeTraces(t.Context(), batch))
	require.NoError(t, p.Shutdown(t.Context()))
	kept := map[int]string{}
	for _, out := range sink.AllTraces() {
		for _, rs := range out.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					id := sp.SpanID()
					kept[int(binary.BigEndian.Uint64(id[:]))] = sp.TraceState().AsRaw()
				}
			}
		}
	}
	return kept
}

func equalizingConfig(t *testing.T, percent float32) *probabilisticsamplerprocessor.Config {
	t.Helper()
	cfg, ok := probabilisticsamplerprocessor.NewFactory().CreateDefaultConfig().(*probabilisticsamplerprocessor.Config)
	require.True(t, ok)
	cfg.SamplingPercentage = percent
	cfg.Mode = probabilisticsamplerprocessor.Equalizing
	require.NoError(t, cfg.Validate())
	require.Equal(t, c.Precision, cfg.SamplingPrecision)
	return cfg
}

// On what is well formed and consistent we decide and write what contrib does.
func TestAsContribEqualizes(t *testing.T) {
	for _, percent := range []float32{100, 99.9, 50, 33.3, 25, 10, 1, 0.390625, 0.01} {
		var spans []span
		check(t, 1000, func(rt *rapid.T) {
			var r c.Reader
			s := span{drawID(rt), drawState(rt)}
			if in := r.Read(s.state, s.id); in.Problem == c.NoProblem {
				spans = append(spans, s)
			}
		})
		theirs := equalizing(t, equalizingConfig(t, percent), spans)
		ours := c.FromProbability(float64(percent) / 100)
		var r c.Reader
		kept := 0
		for i, s := range spans {
			out, keep := sample(&r, s, ours)
			state, theyKeep := theirs[i]
			require.Equal(t, theyKeep, keep, "%g %%: %s %q", percent, s.id, s.state)
			if keep {
				require.Equal(t, parsed(t, state), parsed(t, out), "%g %%: %s %q", percent, s.id, s.state)
				kept++
			}
		}
		t.Logf("%g %%: %d of %d kept by both", percent, kept, len(spans))
	}
}

// parsed makes trace states comparable: we leave one alone if its threshold stays,
// contrib writes each anew.
func parsed(t *testing.T, state string) sampling.W3CTraceState {
	t.Helper()
	w3c, err := sampling.NewW3CTraceState(state)
	require.NoError(t, err, "%q", state)
	// Written and read once more: digits and order as the writer has them.
	if th, ok := w3c.OTelValue().TValueThreshold(); ok {
		require.NoError(t, w3c.OTelValue().UpdateTValueWithSampling(th))
	}
	w3c, err = sampling.NewW3CTraceState(serialized(&w3c))
	require.NoError(t, err)
	return w3c
}

// Where we differ: with fail_closed, its default, contrib drops all that is wrong,
// without it keeps all of it, as if it had sampled everything. Both are biased, and
// one error in a tracing library makes the volume anything. We erase what is wrong
// and sample.
func TestWhereWeDifferFromContrib(t *testing.T) {
	closed, open := equalizingConfig(t, 25), equalizingConfig(t, 25)
	open.FailClosed = false
	for _, tt := range []struct {
		name string
		s    span
		open string // what contrib lets go on
		kept bool
		ours string // what we let go on
	}{
		{name: "th excludes R", s: span{low, "ot=th:8"}, open: "ot=th:0"},
		{name: "th excludes R that is above ours", s: span{high, "ot=th:f1"}, open: "ot=th:0", kept: true, ours: "ot=th:c"},
		{name: "malformed ot", s: span{low, "ot=th:x,a=1"}, open: "ot=th:x,a=1"},
		{name: "malformed ot, kept", s: span{high, "ot=th:x,a=1"}, open: "ot=th:x,a=1", kept: true, ours: "ot=th:c,a=1"},
		{name: "unreadable", s: span{low, "="}, open: "="},
		{name: "unreadable, kept", s: span{high, "="}, open: "=", kept: true, ours: "="},
		{name: "zero trace id", s: span{zero, ""}, open: "ot=th:0", kept: true, ours: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Empty(t, equalizing(t, closed, []span{tt.s}))
			require.Equal(t, map[int]string{0: tt.open}, equalizing(t, open, []span{tt.s}))
			out, kept := stageOf(tt.s.state, tt.s.id, c.FromProbability(0.25))
			require.Equal(t, tt.kept, kept)
			if kept {
				require.Equal(t, tt.ours, out)
			}
		})
	}
}

// Log records too: with the randomness of the trace or of the attribute, contrib
// keeps and writes the same.
func TestRecordsAsContribEqualizes(t *testing.T) {
	factory := probabilisticsamplerprocessor.NewFactory()
	sink := new(consumertest.LogsSink)
	p, err := factory.CreateLogs(t.Context(), processortest.NewNopSettings(factory.Type()), equalizingConfig(t, 10), sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	batch, mine := plog.NewLogs(), plog.NewLogRecordSlice()
	to := batch.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 5000 {
		rec := to.AppendEmpty()
		rec.Body().SetInt(int64(i))
		rnd := c.FromHash(rng.Uint64())
		if i%2 == 0 {
			rec.SetTraceID(spanWith(rnd, c.Threshold{}, false, false, rng).id)
		} else {
			rec.Attributes().PutStr(c.RandomnessAttribute, rnd.RValue())
		}
		if th := threshold(t, []string{"0", "8", "e8", "f", "54"}[i%5]); i%3 == 0 && th.ShouldSample(rnd) {
			rec.Attributes().PutStr(c.ThresholdAttribute, th.TValue())
		}
		rec.CopyTo(mine.AppendEmpty())
	}
	require.NoError(t, p.ConsumeLogs(t.Context(), batch))
	require.NoError(t, p.Shutdown(t.Context()))

	var r c.Reader
	ours := c.FromProbability(0.1)
	mine.RemoveIf(func(rec plog.LogRecord) bool {
		in := r.ReadRecord(rec.Attributes(), rec.TraceID())
		d := c.Decide(in, ours)
		r.WriteRecord(rec.Attributes(), in, d)
		return !d.Keep
	})
	theirs := sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	require.Equal(t, theirs.Len(), mine.Len())
	for i, rec := range theirs.All() {
		require.Equal(t, rec.Body().Int(), mine.At(i).Body().Int())
		require.Equal(t, rec.Attributes().AsRaw(), mine.At(i).Attributes().AsRaw())
	}
	t.Logf("%d of 5,000 kept by both", mine.Len())
}

package adaptivesamplerprocessor

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/probabilisticsamplerprocessor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
)

// throughPeer is what contrib's probabilistic_sampler makes of a copy of a batch.
func throughPeer(tb testing.TB, mode probabilisticsamplerprocessor.SamplerMode, percentage float32, td ptrace.Traces) ptrace.Traces {
	tb.Helper()
	factory := probabilisticsamplerprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig().(*probabilisticsamplerprocessor.Config) //nolint:forcetypeassert // it is
	cfg.Mode, cfg.SamplingPercentage = mode, percentage
	sink := &consumertest.TracesSink{}
	p, err := factory.CreateTraces(tb.Context(), processortest.NewNopSettings(factory.Type()), cfg, sink)
	require.NoError(tb, err)
	require.NoError(tb, p.ConsumeTraces(tb.Context(), spansCopy(td)))
	if len(sink.AllTraces()) == 0 {
		return ptrace.NewTraces()
	}
	return sink.AllTraces()[0]
}

// TestPeerDecidesAlike: contrib's equalizing sampler, before, behind or in place
// of the processor, keeps the same spans with the same thresholds.
func TestPeerDecidesAlike(t *testing.T) {
	const mode = probabilisticsamplerprocessor.Equalizing
	came := newTraffic(1).withStates("checkout", 20_000, "", "ot=th:0", "vendor=x", "ot=rv:0123456789abcd", "ot=k:v;rv:ff000000000000")
	ours := func(p string, td ptrace.Traces) ptrace.Traces {
		out := through(t, fixed(p), td)
		require.Len(t, out, 1)
		return out[0]
	}
	want := statesByTrace(ours("0.1", came))
	require.InDelta(t, 20_000*(0.6*0.1+0.2), len(want), 300)
	f := func(name string, got ptrace.Traces) {
		t.Helper()
		assert.Equal(t, parsed(t, want), parsed(t, statesByTrace(got)), name)
	}
	f("in place", throughPeer(t, mode, 10, came))
	f("before", ours("0.1", throughPeer(t, mode, 50, came)))
	f("behind", throughPeer(t, mode, 10, ours("0.5", came)))
	f("behind one that is stricter", throughPeer(t, mode, 50, ours("0.1", came)))
}

// parsed compares trace states without their order.
func parsed(tb testing.TB, states map[pcommon.TraceID]string) map[pcommon.TraceID][2]string {
	tb.Helper()
	list := map[pcommon.TraceID][2]string{}
	for id, raw := range states {
		value, _ := member(raw, "vendor")
		list[id] = [2]string{thresholdOf(tb, raw).TValue(), value}
	}
	return list
}

// TestPeerByHash is the mode that does not go together with thresholds: behind the
// processor it leaves out everything, before it it is honoured.
func TestPeerByHash(t *testing.T) {
	const mode = probabilisticsamplerprocessor.HashSeed
	came := newTraffic(2).withStates("checkout", 5000, "")
	sampled := through(t, fixed("0.5"), came)
	require.Len(t, sampled, 1)
	assert.Zero(t, throughPeer(t, mode, 50, sampled[0]).SpanCount())

	hashed := throughPeer(t, mode, 50, came)
	require.InDelta(t, 2500, hashed.SpanCount(), 150)
	same := through(t, fixed("0.5"), hashed)
	require.Len(t, same, 1)
	assert.Equal(t, statesByTrace(hashed), statesByTrace(same[0]), "its threshold and its random value decide")
	quarter := through(t, fixed("0.25"), hashed)
	require.Len(t, quarter, 1)
	assert.InDelta(t, 1250, quarter[0].SpanCount(), 120)
}

package adaptivesamplerprocessor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

func TestUnstartedAndTwice(t *testing.T) {
	f := newFrame(t, "{}", componenttest.NewNopHost())
	f.shutdown()
	require.ErrorIs(t, f.traces.ConsumeTraces(t.Context(), ptrace.NewTraces()), errNotStarted)
	require.ErrorIs(t, f.logs.ConsumeLogs(t.Context(), plog.NewLogs()), errNotStarted)
	require.ErrorIs(t, f.metrics.ConsumeMetrics(t.Context(), pmetric.NewMetrics()), errNotStarted)
	f.start()
	f.shutdown()
	f.shutdown()
	require.Empty(t, f.running.hubs)
	f.start() // again, as after a reload
	f.shutdown()
}

func TestDataIsChanged(t *testing.T) {
	f := newFrame(t, "{}", componenttest.NewNopHost())
	assert.True(t, f.traces.Capabilities().MutatesData)
	assert.True(t, f.logs.Capabilities().MutatesData)
	assert.True(t, f.metrics.Capabilities().MutatesData)
}

func TestSecondPipelineOfASignal(t *testing.T) {
	f := newFrame(t, "{}", componenttest.NewNopHost()).start()
	defer f.shutdown()
	factory := newFactory(f.running)
	cfg := createDefaultConfig()
	second, err := factory.CreateTraces(t.Context(), f.set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.EqualError(t, second.Start(t.Context(), componenttest.NewNopHost()),
		"start adaptive_sampler for traces: adaptive_sampler is used in two pipelines of traces, which would divide one target and write one state: "+
			"give each pipeline its own, such as adaptive_sampler/a and adaptive_sampler/b")
	require.NoError(t, second.Shutdown(t.Context()))
	require.Len(t, f.hub().workers, 3, "the first goes on")

	set := f.set
	set.ID = component.NewIDWithName(metadata.Type, "other")
	other, err := factory.CreateTraces(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, other.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, other.Shutdown(t.Context()))
}

func TestOtherOptionsUnderOneID(t *testing.T) {
	f := newFrame(t, "{}", componenttest.NewNopHost())
	require.NoError(t, f.traces.Start(t.Context(), f.host))
	defer f.shutdown()
	cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
	cfg.Interval = time.Minute
	logs, err := newFactory(f.running).CreateLogs(t.Context(), f.set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.EqualError(t, logs.Start(t.Context(), f.host), "start adaptive_sampler for logs: adaptive_sampler is at work already with other options")
}

func TestExtensionsThatAreMissing(t *testing.T) {
	f := func(yaml string, host component.Host, want string) {
		t.Helper()
		p := newFrame(t, yaml, host)
		for _, c := range p.all() {
			require.ErrorContains(t, c.Start(t.Context(), host), want)
		}
		require.Empty(t, p.running.hubs)
		p.shutdown()
	}
	other := extensions{storageID: newControlPlane(), controlID: nopExtension{}}
	f("storage: file_storage", componenttest.NewNopHost(), "storage: there is no extension file_storage; add it to service.extensions")
	f("storage: file_storage", other, "storage: the extension file_storage is no storage extension; file_storage is one")
	f("control: phoenix_control", componenttest.NewNopHost(), "control: there is no extension phoenix_control; add it to service.extensions")
	f("control: phoenix_control", other, "control: the extension phoenix_control has no policies")
}

type nopExtension struct {
	component.StartFunc
	component.ShutdownFunc
}

// What is configured for a signal without a pipeline is said once, when all
// pipelines had time to start.
func TestWarnsOfWhatDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFrame(t, `
logs: {with_traces: sampled}
traces: {target: {spans_per_second: 10}}
rules: [{name: r, dead_band: {match: {metric: x}, tolerance: {}}}]
`, componenttest.NewNopHost())
		require.NoError(t, f.logs.Start(t.Context(), f.host))
		defer f.shutdown()
		require.Empty(t, f.warned())
		time.Sleep(time.Minute)
		const idle = "There are rules or targets for a signal that the processor is in no pipeline of; they do nothing"
		require.Equal(t, []string{
			idle, idle,
			"logs.with_traces is sampled, and the processor is in no pipeline of traces: records are kept without regard to traces. Put it in one, or write `with_traces: flag`",
		}, f.warned())
		signals := []any{}
		for _, e := range f.logged.FilterMessage(idle).All() {
			signals = append(signals, e.ContextMap()["signal"])
		}
		require.Equal(t, []any{policy.SignalMetrics, policy.SignalTraces}, signals)
	})
}

// The rates of traces are there for logs exactly while a part for traces is.
func TestTraceRates(t *testing.T) {
	f := newFrame(t, "traces: {target: {spans_per_second: 10}}", componenttest.NewNopHost())
	require.NoError(t, f.logs.Start(t.Context(), f.host))
	logs := f.hub().workers[policy.SignalLogs].core
	require.Nil(t, logs.traceRates())
	require.NoError(t, f.traces.Start(t.Context(), f.host))
	require.NotNil(t, logs.traceRates())
	require.NoError(t, f.traces.Shutdown(t.Context()))
	require.Nil(t, logs.traceRates())
	require.NoError(t, f.logs.Shutdown(t.Context()))
}

// All three signals at once, while time runs and rules change; the race detector
// watches.
func TestConcurrentLife(t *testing.T) {
	plane := newControlPlane()
	f := newFrame(t, "{interval: 1s, control: phoenix_control, traces: {target: {spans_per_second: 10}}, logs: {target: {records_per_second: 10}}}",
		extensions{controlID: plane})
	f.start()
	done := make(chan struct{})
	ctx, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer stop()
	for i := range 3 {
		go func() {
			defer func() { done <- struct{}{} }()
			r := newTraffic(uint64(i))
			for n := 0; ctx.Err() == nil; n++ {
				now := time.Now()
				assert.NoError(t, f.traces.ConsumeTraces(t.Context(), r.spans("a", 10, now)))
				assert.NoError(t, f.logs.ConsumeLogs(t.Context(), r.records("a", "done", 10, now)))
				assert.NoError(t, f.metrics.ConsumeMetrics(t.Context(), gauge("g", float64(n), now)))
				f.spans.Reset()
				f.records.Reset()
				f.points.Reset()
			}
		}()
	}
	for n := uint64(1); ctx.Err() == nil; n++ {
		plane.snapshot.Store(&policy.Snapshot{Version: n, Sampling: []policy.SamplingRule{deadBandRule("r", float64(n%2)/100)}})
		f.hub().poll(t.Context())
		plane.sampling(t)
	}
	for range 3 {
		<-done
	}
	f.shutdown()
}

// deadBandRule is one for all metrics.
func deadBandRule(name string, tolerance float64) policy.SamplingRule {
	return policy.SamplingRule{Name: name, DeadBand: &policy.DeadBand{
		Match: policy.Match{Metric: "*"}, Tolerance: policy.Tolerance{Relative: tolerance},
	}}
}

// A host that gives pipelines in any order: the first one starts the hub and the
// last one ends it.
func TestAnyOrder(t *testing.T) {
	plane := newControlPlane()
	f := newFrame(t, "control: phoenix_control", extensions{controlID: plane})
	require.NoError(t, f.logs.Start(t.Context(), f.host))
	require.NoError(t, f.traces.Start(t.Context(), f.host))
	require.NoError(t, f.logs.Shutdown(t.Context()))
	require.Len(t, plane.sources, 1)
	require.NoError(t, f.metrics.Start(t.Context(), f.host))
	require.NoError(t, f.traces.Shutdown(t.Context()))
	require.NoError(t, f.metrics.Shutdown(t.Context()))
	require.Empty(t, plane.sources)
}

func TestFactory(t *testing.T) {
	factory := NewFactory()
	set := processortest.NewNopSettings(factory.Type())
	p, err := factory.CreateTraces(t.Context(), set, factory.CreateDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, p.Shutdown(t.Context()))
}

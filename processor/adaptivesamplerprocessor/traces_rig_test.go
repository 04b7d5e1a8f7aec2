package adaptivesamplerprocessor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

// spanRig is a processor in one pipeline of traces.
type spanRig struct {
	tb      testing.TB
	running *running
	p       processor.Traces
	sink    *consumertest.TracesSink // nil: next is another one
}

// newSpanRig makes a processor through its factory and starts it. Without next
// what comes out is in the sink.
func newSpanRig(tb testing.TB, yaml string, next consumer.Traces) *spanRig {
	tb.Helper()
	return newSpanRigOf(tb, yaml, next, componenttest.NewNopTelemetrySettings())
}

func newSpanRigOf(tb testing.TB, yaml string, next consumer.Traces, tel component.TelemetrySettings) *spanRig {
	tb.Helper()
	cfg, err := readYAML(tb, yaml)
	require.NoError(tb, err, yaml)
	r := &spanRig{tb: tb, running: newRunning()}
	r.running.newSecret = func() series.Secret { return series.Secret{} }
	if next == nil {
		r.sink = &consumertest.TracesSink{}
		next = r.sink
	}
	set := processortest.NewNopSettings(metadata.Type)
	set.ID, set.TelemetrySettings = samplerID, tel
	r.p, err = newFactory(r.running).CreateTraces(tb.Context(), set, cfg, next)
	require.NoError(tb, err)
	require.NoError(tb, r.p.Start(tb.Context(), componenttest.NewNopHost()))
	return r
}

// part is what does the work, for what cannot be seen from outside.
func (r *spanRig) part() *traces {
	return r.running.hubs[samplerID].workers["traces"].part.(*traces) //nolint:forcetypeassert // it is
}

func (r *spanRig) send(td ptrace.Traces) {
	r.tb.Helper()
	require.NoError(r.tb, r.p.ConsumeTraces(r.tb.Context(), td))
}

func (r *spanRig) end() {
	require.NoError(r.tb, r.p.Shutdown(context.WithoutCancel(r.tb.Context())))
}

// fixed is a budget whose level is always the same: whatever it is for is sampled
// with this probability.
func fixed(probability string) string {
	return strings.ReplaceAll("rules: [{name: fixed, budget: {signal: traces, points_per_second: 1, floor: P, ceiling: P}}]", "P", probability)
}

// spanSpec is a span of a test.
type spanSpec struct {
	id    pcommon.TraceID
	state string
	name  string
	error bool
	took  time.Duration
}

// batchOf has all spans in one resource.
func batchOf(service string, list ...spanSpec) ptrace.Traces {
	td := ptrace.NewTraces()
	appendSpans(td, service, list)
	return td
}

func appendSpans(td ptrace.Traces, service string, list []spanSpec) {
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	spans.EnsureCapacity(len(list))
	for i, spec := range list {
		s := spans.AppendEmpty()
		s.SetTraceID(spec.id)
		s.SetSpanID(pcommon.SpanID{1, byte(i >> 8), byte(i)})
		s.SetName(spec.name)
		s.TraceState().FromRaw(spec.state)
		if spec.error {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
		start := time.Unix(1_700_000_000, 0)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(spec.took)))
	}
}

// spansOf are all spans of batches, in order.
func spansOf(batches ...ptrace.Traces) (list []ptrace.Span) {
	for _, td := range batches {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					list = append(list, s)
				}
			}
		}
	}
	return list
}

// statesByTrace says with what trace state each trace went on. There is one span
// of each.
func statesByTrace(batches ...ptrace.Traces) map[pcommon.TraceID]string {
	states := map[pcommon.TraceID]string{}
	for _, s := range spansOf(batches...) {
		states[s.TraceID()] = s.TraceState().AsRaw()
	}
	return states
}

func spansCopy(td ptrace.Traces) ptrace.Traces {
	other := ptrace.NewTraces()
	td.CopyTo(other)
	return other
}

// withStates are spans of one trace each, with one of these trace states, as a
// sampler before us would have let them through.
func (r traffic) withStates(service string, n int, states ...string) ptrace.Traces {
	list := make([]spanSpec, 0, n)
	for len(list) < n {
		list = append(list, spanSpec{id: r.trace(), state: states[r.IntN(len(states))], name: "work", took: time.Millisecond})
	}
	return batchOf(service, list...)
}

// refusing is a sink that refuses while it has an error.
type refusing struct {
	consumertest.TracesSink
	err error
}

// ConsumeTraces implements consumer.Traces.
func (r *refusing) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if r.err != nil {
		return r.err
	}
	return r.TracesSink.ConsumeTraces(ctx, td)
}

// itemCounters are the counters of items, without their signal.
func itemCounters(tb testing.TB, tel *componenttest.Telemetry) map[string]int64 {
	tb.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(tb, tel.Reader.Collect(context.WithoutCancel(tb.Context()), &all))
	counts := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			name, ours := strings.CutPrefix(m.Name, "otelcol_processor_adaptive_sampler_")
			name, items := strings.CutSuffix(name, "_items")
			sum, is := m.Data.(metricdata.Sum[int64])
			if !ours || !items || !is {
				continue
			}
			for _, d := range sum.DataPoints {
				words := []string{name}
				for _, key := range []attribute.Key{"reason", "class"} {
					if v, ok := d.Attributes.Value(key); ok {
						words = append(words, v.AsString())
					}
				}
				counts[strings.Join(words, " ")] += d.Value
			}
		}
	}
	return counts
}

// thresholdOf is that of a trace state, 0 of none.
func thresholdOf(tb testing.TB, raw string) sampling.Threshold {
	tb.Helper()
	state, err := sampling.NewW3CTraceState(raw)
	require.NoError(tb, err)
	th, _ := state.OTelValue().TValueThreshold()
	return th
}

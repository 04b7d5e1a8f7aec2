package adaptivesamplerprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	benchResources = 10
	benchSpans     = 100 // a resource
)

// benchTraces is a batch of 10 resources with 100 spans each, of 6 attributes
// both. State makes the trace state of a span.
func benchTraces(random traffic, state func(i int) string) ptrace.Traces {
	td := ptrace.NewTraces()
	for i := range benchResources {
		rs := td.ResourceSpans().AppendEmpty()
		for _, kv := range [][2]string{
			{"service.namespace", "shop"},
			{"k8s.namespace.name", "production"},
			{"k8s.deployment.name", "checkout"},
			{"k8s.pod.name", "checkout-7d9f8b6c5-x2x4z"},
			{"service.name", fmt.Sprintf("service-%d", i)},
			{"deployment.environment.name", "eu-west-1"},
		} {
			rs.Resource().Attributes().PutStr(kv[0], kv[1])
		}
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for j := range benchSpans {
			s := spans.AppendEmpty()
			s.SetTraceID(random.trace())
			s.SetName(fmt.Sprintf("GET /orders/%d", j%20))
			s.TraceState().FromRaw(state(j))
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Unix(1_700_000_000, 0)))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Unix(1_700_000_000, int64(j)*1000)))
			a := s.Attributes()
			a.PutStr("http.request.method", "GET")
			a.PutStr("http.route", fmt.Sprintf("/orders/%d", j%20))
			a.PutInt("http.response.status_code", 200)
			a.PutStr("server.address", "checkout.example.com")
			a.PutStr("network.protocol.version", "1.1")
			a.PutStr("client.address", "10.0.0.1")
		}
	}
	return td
}

func noState(int) string { return "" }

// fewStates are those that samplers before us write.
func fewStates(i int) string { return [...]string{"", "ot=th:0", "ot=th:8,vendor=x", "vendor=x"}[i%4] }

// randomStates has another random value on every span.
func randomStates(random traffic) func(int) string {
	return func(int) string {
		r, _ := sampling.UnsignedToRandomness(random.Uint64() >> 8)
		return "ot=rv:" + r.RValue()
	}
}

const keepByQuantile = `
traces:
  key: [resource.service.name, span.name]
  incomplete_traces: allow
  keep: [{status: error}, {latency: {quantile: 0.99}}, {attribute: {attribute: http.request.method, value: DELETE}}]
`

// benchCases are what the benchmark and the test of allocations have in common.
func benchCases(random traffic) []benchCase {
	return []benchCase{
		{"kept", fixed("1"), noState},
		{"left out", fixed("0.0001"), noState},
		{"half", fixed("0.5"), noState},
		{"few states", fixed("0.5"), fewStates},
		{"random values", fixed("0.5"), randomStates(random)},
		{"untouched", "{}", noState},
		{"conditions", "traces: {keep: [{status: error}, {latency: {over: 1s}}]}\n" + fixed("0.5"), noState},
		{"span keys", "traces: {key: [resource.service.name, span.name], incomplete_traces: allow}\n" + fixed("0.5"), noState},
		{"span keys and quantile", keepByQuantile + fixed("0.5"), noState},
	}
}

type benchCase struct {
	name, yaml string
	state      func(int) string
}

// BenchmarkSpans measures sampling alone: batches are copied outside of the
// measured time, because what is left out leaves them.
func BenchmarkSpans(b *testing.B) {
	random := newTraffic(1)
	for _, c := range benchCases(random) {
		b.Run(c.name, func(b *testing.B) {
			tel := componenttest.NewTelemetry()
			r := newSpanRigOf(b, c.yaml, consumertest.NewNop(), tel.NewTelemetrySettings())
			defer r.end()
			template := benchTraces(random, c.state)
			r.send(spansCopy(template))
			p := r.part()
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				td := spansCopy(template)
				b.StartTimer()
				p.sample(b.Context(), td)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchResources/benchSpans, "ns/span")
		})
	}
}

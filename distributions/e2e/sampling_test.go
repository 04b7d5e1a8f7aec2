//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// requestCountsConfig makes request counts of what comes and of what
// adaptive_sampler keeps of it.
const requestCountsConfig = `
extensions:
  phoenix_control:
    endpoint: localhost:%[1]d
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:%[2]d
        max_recv_msg_size_mib: 32
processors:
  adaptive_sampler:
    control: phoenix_control
    interval: 1s
    traces:
      target: {spans_per_second: 2500}
exporters:
  file/raw: {path: %[3]s/raw.json}
  file/sampled: {path: %[3]s/sampled.json}
  file/spans: {path: %[3]s/spans.json}
connectors:
  spanmetrics/raw: {metrics_flush_interval: 1s}
  spanmetrics/sampled: {metrics_flush_interval: 1s}
service:
  extensions: [phoenix_control]
  pipelines:
    traces/raw:
      receivers: [otlp]
      exporters: [spanmetrics/raw]
    traces/sampled:
      receivers: [otlp]
      processors: [adaptive_sampler]
      exporters: [file/spans, spanmetrics/sampled]
    metrics/raw:
      receivers: [spanmetrics/raw]
      exporters: [file/raw]
    metrics/sampled:
      receivers: [spanmetrics/sampled]
      exporters: [file/sampled]
` + quiet

// upstream are the probabilities with which spans of a service were sampled
// before they came; a span has one of them in turn. 0: nobody sampled.
var upstream = map[string][]float64{
	"frontend": {0},
	"checkout": {0, 1, 0.5},
	"stock":    {0.1, 0.25},
	"mail":     {1, 0, 0.1, 0.0625},
}

// allowed are the standard errors that a count may be off. The rates depend on the
// time that things take, so that every run is another draw: three would fail one in
// seventy. The test of the processor has fixed draws, and three.
const allowed = 4

// A fifth of the spans, or less, gives the request counts of all of them.
func TestRequestCountsOfSampledSpans(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	controlPort, otlpPort := freePort(t), freePort(t)
	c := startCollector(t, fmt.Sprintf(requestCountsConfig, controlPort, otlpPort, dir), controlPort)
	send := spanSender(t, otlpPort)
	made := newPopulation()
	const rounds, apart, atOnce = 300, 100 * time.Millisecond, 3000
	begun := time.Now()
	for round := range rounds {
		time.Sleep(time.Until(begun.Add(time.Duration(round) * apart)))
		send(made.next(atOnce))
	}
	sent := func(file string) float64 { return total(callsBy(t, filepath.Join(dir, file))) }
	poll(t, patience, func(context.Context) error {
		if got := sent("raw.json"); math.Abs(got-made.represented) > float64(made.count) {
			return fmt.Errorf("%.0f requests of %.0f are counted", got, made.represented)
		}
		return nil
	})
	time.Sleep(3 * time.Second) // two flushes of the other one
	require.NoError(t, c.stop(t))

	raw, sampled := callsBy(t, filepath.Join(dir, "raw.json")), callsBy(t, filepath.Join(dir, "sampled.json"))
	kept, variance := keptSpans(t, filepath.Join(dir, "spans.json"))
	share := float64(kept) / float64(made.count)
	assert.LessOrEqual(t, share, 0.2, "share of spans kept")
	var all float64
	for _, service := range slices.Sorted(maps.Keys(upstream)) {
		off, standardError := sampled[service]-raw[service], math.Sqrt(variance[service]+made.rounding[service])
		t.Logf("%s: %.0f requests, %.0f after sampling: %+.2f standard errors of %.2f %%",
			service, raw[service], sampled[service], off/standardError, 100*standardError/raw[service])
		assert.LessOrEqual(t, math.Abs(off), allowed*standardError, service)
		all += variance[service] + made.rounding[service]
	}
	off, width := total(sampled)-total(raw), 2*1.96*math.Sqrt(all)/total(raw)
	t.Logf("%.1f %% of %d spans kept; %.0f requests, off by %+.3f %%; a 95 %% interval is %.2f %% wide",
		100*share, made.count, total(raw), 100*off/total(raw), 100*width)
	assert.LessOrEqual(t, math.Abs(off), allowed*math.Sqrt(all), "in total")
	assert.Less(t, width, 0.02, "the width of the interval")
}

// population makes the spans that upstream samplers left of some traces.
type population struct {
	random *rand.Rand
	turn   int
	count  int
	// represented is how many there were before.
	represented float64
	// rounding is the variance of what spanmetrics rounds at random, by service.
	rounding map[string]float64
}

func newPopulation() *population {
	return &population{random: rand.New(rand.NewPCG(6, 2026)), rounding: map[string]float64{}}
}

// next returns n spans.
func (p *population) next(n int) ptrace.Traces {
	data := ptrace.NewTraces()
	services := slices.Sorted(maps.Keys(upstream))
	each := n / len(services)
	now := time.Now()
	for _, service := range services {
		r := data.ResourceSpans().AppendEmpty()
		r.Resource().Attributes().PutStr("service.name", service)
		spans := r.ScopeSpans().AppendEmpty().Spans()
		spans.EnsureCapacity(each)
		for range each {
			s := spans.AppendEmpty()
			s.SetName("GET /" + service)
			s.SetKind(ptrace.SpanKindServer)
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Millisecond)))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
			p.identify(s, service)
		}
	}
	return data
}

// identify gives a span a trace id that the sampler upstream let through.
func (p *population) identify(s ptrace.Span, service string) {
	probabilities := upstream[service]
	probability := probabilities[p.turn%len(probabilities)]
	p.turn++
	threshold := sampling.AlwaysSampleThreshold
	if probability > 0 {
		var err error
		if threshold, err = sampling.ProbabilityToThreshold(probability); err != nil {
			panic(err) // one of upstream
		}
		s.TraceState().FromRaw("ot=th:" + threshold.TValue())
	}
	var id pcommon.TraceID
	for {
		p.fill(id[:])
		if threshold.ShouldSample(sampling.TraceIDToRandomness(id)) {
			break
		}
	}
	s.SetTraceID(id)
	var span pcommon.SpanID
	p.fill(span[:])
	s.SetSpanID(span)
	s.Attributes().PutDouble("probability", cmp.Or(probability, 1))
	adjusted := threshold.AdjustedCount()
	p.count++
	p.represented += adjusted
	p.rounding[service] += roundingVariance(adjusted)
}

func (p *population) fill(id []byte) {
	for i := range id {
		id[i] = byte(p.random.Uint32())
	}
}

// roundingVariance is that of a number that is rounded up or down at random so
// that its mean is right.
func roundingVariance(n float64) float64 {
	fraction := n - math.Floor(n)
	return fraction * (1 - fraction)
}

func total(by map[string]float64) (sum float64) {
	for _, n := range by {
		sum += n
	}
	return sum
}

// callsBy returns the requests of each service that a file of spanmetrics ends
// with.
func callsBy(t *testing.T, file string) map[string]float64 {
	t.Helper()
	last := map[string]float64{}
	for _, line := range wholeLines(t, file) {
		data, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics([]byte(line))
		require.NoError(t, err)
		for _, rm := range data.ResourceMetrics().All() {
			service, _ := rm.Resource().Attributes().Get("service.name")
			for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
				if m.Name() != "traces.span.metrics.calls" {
					continue
				}
				last[service.Str()] = 0
				for _, p := range m.Sum().DataPoints().All() {
					last[service.Str()] += float64(p.IntValue())
				}
			}
		}
	}
	return last
}

// keptSpans counts the spans of a file, and returns for each service the variance
// of its request count that the sampling brought in: a span that stood for a
// and was kept with a probability q stands for a/q.
func keptSpans(t *testing.T, file string) (count int, variance map[string]float64) {
	t.Helper()
	variance = map[string]float64{}
	for _, line := range wholeLines(t, file) {
		data, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(line))
		require.NoError(t, err)
		for _, rs := range data.ResourceSpans().All() {
			service, _ := rs.Resource().Attributes().Get("service.name")
			for _, s := range rs.ScopeSpans().At(0).Spans().All() {
				count++
				state, err := sampling.NewW3CTraceState(s.TraceState().AsRaw())
				require.NoError(t, err)
				stands := math.Max(1, state.OTelValue().AdjustedCount())
				came, _ := s.Attributes().Get("probability")
				q := 1 / (came.Double() * stands)
				variance[service.Str()] += stands*stands*(1-q) + roundingVariance(stands)
			}
		}
	}
	return count, variance
}

// wholeLines returns the lines of a file that somebody may still be writing to.
func wholeLines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	return lines[:len(lines)-1]
}

// spanSender sends spans over OTLP.
func spanSender(t *testing.T, port int) func(ptrace.Traces) {
	t.Helper()
	connection, err := grpc.NewClient(fmt.Sprintf("localhost:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	client := ptraceotlp.NewGRPCClient(connection)
	return func(data ptrace.Traces) {
		t.Helper()
		answer, err := client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(data))
		require.NoError(t, err)
		require.Zero(t, answer.PartialSuccess().RejectedSpans(), answer.PartialSuccess().ErrorMessage())
	}
}

//go:build !race

package adaptivesamplerprocessor

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// How many standard errors an estimate may be from the truth: a count of requests
// or errors, and a bucket of a histogram, of which there are so many that one in a
// hundred comparisons may well be 3 off.
const (
	standardErrors        = 3.0
	standardErrorsOfAPart = 4.0
)

// narrow is how wide the 95 % confidence interval of a request count may be, from
// end to end, as a share of the count.
const narrow = 0.02

// enough is how large a count must be for its error to be about normal, and for
// the variance that is estimated from what was kept to be about right.
const enough = 2000

// TestSpanmetricsCountsTheSame is the promise of adjusted counts: the connector
// makes the same request counts, errors and histograms of a fifth of the spans as
// of all.
func TestSpanmetricsCountsTheSame(t *testing.T) {
	for _, c := range []struct{ name, yaml string }{
		{"by service, errors and slow spans kept", `
traces:
  target: {spans_per_second: 500}
  keep: [{status: error}, {latency: {over: 800ms}}]
`},
		{"by span, a rate for each", `
traces:
  key: [resource.service.name, span.name]
  incomplete_traces: allow
  target: {spans_per_second: 500}
`},
		{"a target for each service and a budget", `
traces:
  target: {per_service: 170}
rules:
  - name: shop
    budget: {signal: traces, points_per_second: 140, match: {resource: [{attribute: service.name, value: checkout}]}}
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newComparison(t, c.yaml, 2)
				x.run(60*time.Second, 330*time.Second)
				x.assertSame(t)
			})
		})
	}
}

// TestSpanmetricsWithoutThresholds is the negative control: the same spans without
// the thresholds that the processor wrote fail the test, by far.
func TestSpanmetricsWithoutThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newComparison(t, "traces: {target: {spans_per_second: 350}}", 7)
		x.strip = true
		x.run(60*time.Second, 30*time.Second)
		all, sampled := x.all.counts(t), x.sampled.counts(t)
		for _, q := range append(x.services(), allRequests) {
			z := (sampled[q] - all[q]) / math.Sqrt(x.errorOf(q))
			assert.Less(t, z, -10.0*standardErrors, "%s", q)
		}
	})
}

// comparison runs the same spans through spanmetrics with and without the
// processor before it.
type comparison struct {
	t            testing.TB
	random       *requests
	rig          *spanRig
	all, sampled *countedSpans
	counting     bool // after the rates have settled
	strip        bool // restore the trace states that came

	came, kept int
	truth      map[quantity]float64 // before any sampler
	// fromAll and fromTruth are the variances of sampled counts by sampling, given
	// all that came, and given all that there was.
	fromAll, fromTruth map[quantity]float64
}

func newComparison(t *testing.T, yaml string, seed uint64) *comparison {
	t.Helper()
	x := &comparison{
		t: t, random: newRequests(seed), all: newCountedSpans(t), sampled: newCountedSpans(t),
		truth: map[quantity]float64{}, fromAll: map[quantity]float64{}, fromTruth: map[quantity]float64{},
	}
	next, err := consumer.NewTraces(x.consume)
	require.NoError(t, err)
	x.rig = newSpanRig(t, yaml, next)
	return x
}

func (*comparison) services() []quantity {
	return []quantity{{service: "checkout", part: requestCount}, {service: "cart", part: requestCount}, {service: "billing", part: requestCount}}
}

// run sends batches of a tenth of a second each.
func (x *comparison) run(settle, counted time.Duration) {
	const tick = 100 * time.Millisecond
	for range int(settle / tick) {
		x.rig.send(x.random.batch(tick))
		time.Sleep(tick)
	}
	x.counting = true
	for range int(counted / tick) {
		td := x.random.batch(tick)
		for q, n := range x.random.population {
			x.truth[q] += n
		}
		x.came += td.SpanCount()
		x.all.consume(x.t, td)
		x.rig.send(td)
		time.Sleep(tick)
	}
	x.rig.end()
	x.all.end(x.t)
	x.sampled.end(x.t)
}

// consume takes what the processor kept.
func (x *comparison) consume(_ context.Context, td ptrace.Traces) error {
	if !x.counting {
		return nil
	}
	x.kept += td.SpanCount()
	x.addVariance(td)
	if x.strip {
		for _, s := range spansOf(td) {
			s.TraceState().FromRaw(x.random.states[s.TraceID()])
		}
	}
	x.sampled.consume(x.t, td)
	return nil
}

// errorOf is the variance of the difference of both counts: of sampling, and of
// the rounding of both.
func (x *comparison) errorOf(q quantity) float64 {
	return x.fromAll[q] + x.all.rounding[q] + x.sampled.rounding[q]
}

func (x *comparison) assertSame(t *testing.T) {
	t.Helper()
	all, sampled := x.all.counts(t), x.sampled.counts(t)
	share := float64(x.kept) / float64(x.came)
	t.Logf("%d spans came, %d were kept, %.1f %%", x.came, x.kept, 100*share)
	assert.LessOrEqual(t, share, 0.2)
	for _, q := range append(x.services(), allRequests) {
		se := math.Sqrt(x.errorOf(q))
		interval := 2 * 1.96 * se / all[q]
		t.Logf("%s: %.0f of all, %.0f of the sample, %.0f there were; z %.2f, interval %.2f %%, of it rounding %.2f %%",
			q, all[q], sampled[q], x.truth[q], (sampled[q]-all[q])/se, 100*interval,
			100*2*1.96*math.Sqrt(x.all.rounding[q]+x.sampled.rounding[q])/all[q])
		assert.Less(t, interval, narrow, "%s", q)
		assert.Greater(t, all[q], 100_000.0)
	}
	compared, furthest, squares := 0, 0.0, 0.0
	for q := range all {
		if all[q] < enough {
			continue
		}
		given := x.assertClose(t, q, sampled[q]-all[q], x.errorOf(q))
		there := x.assertClose(t, q, sampled[q]-x.truth[q], x.fromTruth[q]+x.sampled.rounding[q])
		furthest, squares = max(furthest, given, there), squares+given*given
		compared++
	}
	t.Logf("%d counts compared, the furthest off by %.2f standard errors, the mean square %.2f", compared, furthest, squares/float64(compared))
	assert.Less(t, squares/float64(compared), 2.0, "they share traces, or it would be 1 with a standard error of %.2f", math.Sqrt(2/float64(compared)))
	require.GreaterOrEqual(t, compared, 20, "requests, errors and most buckets of three keys")
	for q := range sampled {
		assert.Contains(t, all, q)
	}
}

// assertClose returns how many standard errors a count is off.
func (*comparison) assertClose(t *testing.T, q quantity, difference, variance float64) float64 {
	t.Helper()
	if variance == 0 { // nothing was left to chance
		assert.Zero(t, difference, "%s", q)
		return 0
	}
	z := math.Abs(difference) / math.Sqrt(variance)
	allowed := standardErrors
	if q.part == bucketCount {
		allowed = standardErrorsOfAPart
	}
	assert.LessOrEqual(t, z, allowed, "%s: %.0f off, standard error %.1f", q, difference, math.Sqrt(variance))
	return z
}

// countedSpans is a spanmetrics connector, and how much it rounds.
type countedSpans struct {
	connector connector.Traces
	sink      *consumertest.MetricsSink
	rounding  map[quantity]float64 // variance
}

func newCountedSpans(t *testing.T) *countedSpans {
	t.Helper()
	c := &countedSpans{sink: &consumertest.MetricsSink{}, rounding: map[quantity]float64{}}
	factory := spanmetricsconnector.NewFactory()
	var err error
	c.connector, err = factory.CreateTracesToMetrics(t.Context(), connectortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), c.sink)
	require.NoError(t, err)
	require.NoError(t, c.connector.Start(t.Context(), componenttest.NewNopHost()))
	return c
}

// consume hands a batch to the connector, which rounds the adjusted count of a
// trace state to a whole number at random, and once for spans in a row that have
// the same one: their errors add up.
func (c *countedSpans) consume(tb testing.TB, td ptrace.Traces) {
	tb.Helper()
	state, fraction := "", 0.0
	run := map[quantity]float64{}
	end := func() {
		for q, n := range run {
			c.rounding[q] += n * n * fraction * (1 - fraction)
		}
		clear(run)
	}
	eachSpan(td, func(service string, s ptrace.Span) {
		if raw := s.TraceState().AsRaw(); raw != "" {
			if raw != state {
				end()
				state, fraction = raw, fractionOf(tb, raw)
			}
			if fraction > 0 {
				for _, q := range quantitiesOf(service, s) {
					run[q]++
				}
			}
		}
	})
	end()
	require.NoError(tb, c.connector.ConsumeTraces(tb.Context(), td))
}

func (c *countedSpans) end(tb testing.TB) {
	tb.Helper()
	time.Sleep(2 * time.Minute) // it emits each
	synctest.Wait()
	require.NoError(tb, c.connector.Shutdown(tb.Context()))
}

// counts are what the connector made.
func (c *countedSpans) counts(tb testing.TB) map[quantity]float64 {
	tb.Helper()
	all := c.sink.AllMetrics()
	require.NotEmpty(tb, all)
	counts := map[quantity]float64{}
	for _, rm := range all[len(all)-1].ResourceMetrics().All() {
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			switch m.Type() {
			case pmetric.MetricTypeSum:
				for _, d := range m.Sum().DataPoints().All() {
					service := text(d.Attributes(), serviceName)
					counts[quantity{service: service, part: requestCount}] += float64(d.IntValue())
					counts[allRequests] += float64(d.IntValue())
					if text(d.Attributes(), "status.code") == "STATUS_CODE_ERROR" {
						counts[quantity{service: service, part: errorCount}] += float64(d.IntValue())
					}
				}
			case pmetric.MetricTypeHistogram:
				for _, d := range m.Histogram().DataPoints().All() {
					for i, n := range d.BucketCounts().All() {
						if n > 0 {
							counts[quantity{service: text(d.Attributes(), serviceName), part: bucketCount, bucket: i}] += float64(n)
						}
					}
				}
			default:
				require.Fail(tb, "unexpected type", m.Name())
			}
		}
	}
	return counts
}

// quantity is something that is counted.
type quantity struct {
	service string
	part    string
	bucket  int
}

// The parts.
const (
	requestCount = "requests"
	errorCount   = "errors"
	bucketCount  = "bucket"
)

var allRequests = quantity{part: requestCount}

// String implements fmt.Stringer.
func (q quantity) String() string { return fmt.Sprintf("%s %s %d", q.service, q.part, q.bucket) }

// eachSpan calls f in the order in which the connector looks at spans.
func eachSpan(td ptrace.Traces, f func(service string, s ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		service := text(rs.Resource().Attributes(), serviceName)
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				f(service, s)
			}
		}
	}
}

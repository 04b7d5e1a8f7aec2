//go:build !race

package adaptivesamplerprocessor

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// spanBounds are the default bounds of the connector's histograms, in
// milliseconds.
var spanBounds = []float64{2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10_000, 15_000}

// quantitiesOf are what a span is counted in.
func quantitiesOf(service string, s ptrace.Span) []quantity {
	ms := float64(s.EndTimestamp()-s.StartTimestamp()) / 1e6
	bucket, found := slices.BinarySearch(spanBounds, ms)
	_ = found // a bound belongs to the bucket below it
	list := []quantity{allRequests, {service: service, part: requestCount}, {service: service, part: bucketCount, bucket: bucket}}
	if s.Status().Code() == ptrace.StatusCodeError {
		list = append(list, quantity{service: service, part: errorCount})
	}
	return list
}

// fractionOf is what of an adjusted count is no whole number.
func fractionOf(tb testing.TB, raw string) float64 {
	tb.Helper()
	denominator := sampling.MaxAdjustedCount - thresholdOf(tb, raw).Unsigned()
	return float64(sampling.MaxAdjustedCount%denominator) / float64(denominator)
}

// unit is a span that was kept.
type unit struct {
	in, out float64 // probabilities
	counted []quantity
}

// addVariance adds the variance that sampling gives to each count, estimated from
// what was kept (Horvitz and Thompson). Spans of one trace are decided by one
// random number, so they are kept together more often than by chance:
//
//	Var = Σi Σj yi yj / (pi pj) · (pij − pi pj) / pij, over pairs of one trace, with pij = min(pi, pj)
//
// Given what came, p is out/in and y = 1/in; given all that there was, p is out
// and y = 1. What a condition kept has p = 1 given what came, and adds nothing.
func (x *comparison) addVariance(td ptrace.Traces) {
	traces := map[pcommon.TraceID][]unit{}
	eachSpan(td, func(service string, s ptrace.Span) {
		traces[s.TraceID()] = append(traces[s.TraceID()], unit{
			in:      thresholdOf(x.t, x.random.states[s.TraceID()]).Probability(),
			out:     thresholdOf(x.t, s.TraceState().AsRaw()).Probability(),
			counted: quantitiesOf(service, s),
		})
	})
	for _, units := range traces {
		for _, a := range units {
			for _, b := range units {
				fromAll := covariance(1/a.in, 1/b.in, a.out/a.in, b.out/b.in)
				fromTruth := covariance(1, 1, a.out, b.out)
				for _, q := range a.counted {
					if slices.Contains(b.counted, q) {
						x.fromAll[q] += fromAll
						x.fromTruth[q] += fromTruth
					}
				}
			}
		}
	}
}

func covariance(ya, yb, pa, pb float64) float64 {
	both := min(pa, pb)
	return ya * yb / (pa * pb) * (both - pa*pb) / both
}

// requests makes traces through three services: 3,000 spans a second that arrive,
// of more that there were, because samplers before the processor left some out.
type requests struct {
	traffic
	owed       float64
	states     map[pcommon.TraceID]string // of the last batch
	population map[quantity]float64       // of the last batch
}

func newRequests(seed uint64) *requests { return &requests{traffic: newTraffic(seed)} }

// upstream are the samplers before the processor, and their shares of traces.
var upstream = []struct {
	share, probability float64
	unknown            bool // writes no threshold
}{
	{0.2, 1, true}, {0.2, 1, false}, {0.2, 0.5, false}, {0.1, 0.3, false}, {0.3, 0.1, false},
}

// batch makes the traces of a time, in one resource a service.
func (r *requests) batch(lasting time.Duration) ptrace.Traces {
	r.states, r.population = map[pcommon.TraceID]string{}, map[quantity]float64{}
	spans := map[string][]spanSpec{}
	arrived := 0
	for r.owed += 3000 * lasting.Seconds(); float64(arrived) < r.owed; {
		trace, state, sampled := r.head()
		for _, leg := range r.legs() {
			leg.spec.id, leg.spec.state = trace, state
			for _, q := range quantitiesOf(leg.service, spansOf(batchOf(leg.service, leg.spec))[0]) {
				r.population[q]++
			}
			if sampled {
				spans[leg.service] = append(spans[leg.service], leg.spec)
				arrived++
			}
		}
		if sampled {
			r.states[trace] = state
		}
	}
	r.owed -= float64(arrived)
	td := ptrace.NewTraces()
	for _, service := range []string{"checkout", "cart", "billing"} {
		appendSpans(td, service, spans[service])
	}
	return td
}

// head samples a trace as a real head sampler does: consistently, by the random
// bits of its id or by an explicit value.
func (r *requests) head() (id pcommon.TraceID, state string, sampled bool) {
	id = r.trace()
	choice, at := r.Float64(), 0
	for choice >= upstream[at].share && at < len(upstream)-1 {
		choice -= upstream[at].share
		at++
	}
	randomness := sampling.TraceIDToRandomness(id)
	var s sampling.W3CTraceState
	if r.IntN(5) == 0 {
		randomness, _ = sampling.UnsignedToRandomness(r.Uint64() >> 8)
		s.OTelValue().SetRValue(randomness)
	}
	th, _ := sampling.ProbabilityToThresholdWithPrecision(upstream[at].probability, 4)
	if !upstream[at].unknown {
		_ = s.OTelValue().UpdateTValueWithSampling(th)
	}
	var text stringWriter
	_ = s.Serialize(&text)
	return id, string(text), th.ShouldSample(randomness)
}

type stringWriter []byte

// WriteString implements io.StringWriter.
func (w *stringWriter) WriteString(s string) (int, error) {
	*w = append(*w, s...)
	return len(s), nil
}

// leg is a span of a trace.
type leg struct {
	service string
	spec    spanSpec
}

// legs are the spans of a trace: one or two of checkout, and some of the others.
func (r *requests) legs() []leg {
	list := []leg{r.leg("checkout", "POST /orders", 40)}
	if r.IntN(10) == 0 {
		list = append(list, r.leg("checkout", "retry", 80))
	}
	if r.IntN(2) == 0 {
		list = append(list, r.leg("cart", "GET /cart", 5))
	}
	if r.IntN(3) == 0 {
		list = append(list, r.leg("billing", "charge", 150))
	}
	return list
}

// leg is a span whose duration is log-normal around a median, in milliseconds.
func (r *requests) leg(service, name string, median float64) leg {
	took := time.Duration(median * math.Exp(r.NormFloat64()) * float64(time.Millisecond))
	return leg{service, spanSpec{name: name, error: r.IntN(50) == 0, took: took}}
}

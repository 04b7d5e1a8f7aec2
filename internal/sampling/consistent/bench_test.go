package consistent_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

type span struct {
	id    pcommon.TraceID
	state string
}

// kinds of spans, by what their trace states are.
var kinds = []struct {
	name   string
	cached bool
	state  func(i int, rnd uint64) string
}{
	{"none", true, func(int, uint64) string { return "" }},
	{"one", true, func(int, uint64) string { return "ot=th:8" }},
	{"vendor", true, func(int, uint64) string { return "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE" }},
	{"eight", true, func(i int, _ uint64) string { return fmt.Sprintf("ot=th:%x", i%8) }},
	{"rv", false, func(_ int, rnd uint64) string { return fmt.Sprintf("ot=rv:%014x", rnd) }},
	{"rv_th", false, func(_ int, rnd uint64) string { return fmt.Sprintf("ot=rv:%014x;th:8", rnd|1<<55) }},
}

func spansOf(n int, state func(int, uint64) string) []span {
	rng := rand.New(rand.NewPCG(1, 2))
	spans := make([]span, n)
	for i := range spans {
		spans[i].id = randomID(rng)
		spans[i].state = state(i, rng.Uint64()>>8)
	}
	return spans
}

func randomID(rng *rand.Rand) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:8], rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], rng.Uint64())
	return id
}

// sample is what a caller does with a span.
func sample(r *consistent.Reader, s span, ours consistent.Threshold) (string, bool) {
	d := consistent.Decide(r.Read(s.state, s.id), ours)
	if !d.Keep || !d.Changed {
		return s.state, d.Keep
	}
	return r.Write(s.state, d.Threshold), true
}

// A span costs 30 ns and no allocation if its trace state was seen lately. With rv
// on each span it is parsed each time, and written each time that the span is
// kept.
func BenchmarkSpan(b *testing.B) {
	for _, kind := range kinds {
		for _, p := range []float64{1, 0.1} {
			b.Run(fmt.Sprintf("%s/p=%g", kind.name, p), func(b *testing.B) {
				spans := spansOf(8192, kind.state)
				var r consistent.Reader
				ours := consistent.FromProbability(p)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					sample(&r, spans[i%len(spans)], ours)
				}
			})
		}
	}
}

// Two hundred keys give the spans of a batch two hundred thresholds.
func BenchmarkSpanManyThresholds(b *testing.B) {
	spans := spansOf(8192, kinds[0].state)
	var ours [200]consistent.Threshold
	for i := range ours {
		ours[i] = consistent.FromProbability(1 - float64(i)/1000)
	}
	var r consistent.Reader
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		sample(&r, spans[i%len(spans)], ours[i%len(ours)])
	}
}

// What contrib's parser and writer cost for the same.
func BenchmarkContribParser(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			spans := spansOf(8192, kind.state)
			ours := consistent.FromProbability(0.1)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w3c, err := sampling.NewW3CTraceState(spans[i%len(spans)].state)
				if err != nil {
					b.Fatal(err)
				}
				_ = w3c.OTelValue().UpdateTValueWithSampling(ours)
			}
		})
	}
}

func record(sampled bool) plog.LogRecord {
	rec := plog.NewLogRecord()
	rec.SetTraceID(pcommon.TraceID{0: 1, 9: 0xf0, 15: 1})
	for i := range 8 {
		rec.Attributes().PutStr(fmt.Sprintf("http.attribute.%d", i), "v")
	}
	if sampled {
		rec.Attributes().PutStr(consistent.ThresholdAttribute, "8")
		rec.Attributes().PutStr(consistent.RandomnessAttribute, "f0000000000001")
	}
	return rec
}

func BenchmarkRecord(b *testing.B) {
	ours := consistent.FromProbability(0.1)
	for _, sampled := range []bool{false, true} {
		b.Run(fmt.Sprintf("read/sampled=%t", sampled), func(b *testing.B) {
			rec := record(sampled)
			var r consistent.Reader
			b.ReportAllocs()
			for b.Loop() {
				consistent.Decide(r.ReadRecord(rec.Attributes(), rec.TraceID()), ours)
			}
		})
	}
	b.Run("write", func(b *testing.B) {
		rec := record(false)
		var r consistent.Reader
		in := r.ReadRecord(rec.Attributes(), rec.TraceID())
		b.ReportAllocs()
		for b.Loop() {
			r.WriteRecord(rec.Attributes(), in, consistent.Decision{Threshold: ours, Keep: true, Changed: true})
			rec.Attributes().Remove(consistent.ThresholdAttribute)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	ours := consistent.FromProbability(0.25)
	for _, kind := range kinds {
		if !kind.cached {
			continue
		}
		spans := spansOf(1000, kind.state)
		var r consistent.Reader
		require.Zero(t, testing.AllocsPerRun(10, func() {
			for _, s := range spans {
				sample(&r, s, ours)
			}
		}), kind.name)
	}
	rec := record(true)
	var r consistent.Reader
	require.Zero(t, testing.AllocsPerRun(100, func() {
		in := r.ReadRecord(rec.Attributes(), rec.TraceID())
		r.WriteRecord(rec.Attributes(), in, consistent.Decide(in, ours))
	}))
}

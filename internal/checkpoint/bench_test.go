package checkpoint_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/checkpoint"
	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// void is a storage that takes everything and has nothing.
type void struct{ bytes, sets int }

func (*void) Get(context.Context, string) ([]byte, error) { return nil, nil }

func (v *void) Set(_ context.Context, _ string, value []byte) error {
	v.bytes, v.sets = v.bytes+len(value), v.sets+1
	return nil
}

func (*void) Delete(context.Context, string) error { return nil }

// fleet is inputs of a kind, ten to an output, that report every 15 seconds at times of their own, each time another output's. An
// output has four attributes.
type fleet struct {
	kind      c.Kind
	perOutput int
	table     *stream.Table
	bounds    *spatial.Bounds
	outputs   int
	output    int // of the current point
}

func newFleet(kind c.Kind, perOutput int) *fleet {
	edges := make([]float64, 14)
	for i := range edges {
		edges[i] = float64(int(1)<<i) / 1000
	}
	b, _ := spatial.NewBounds(edges)
	return &fleet{kind: kind, perOutput: perOutput, table: &stream.Table{}, bounds: b}
}

func (f *fleet) Describe() c.Description {
	id := series.Pair{A: uint64(f.output%50) + 1}
	resource := f.table.Resource(id, func() *stream.Resource {
		r := &stream.Resource{ID: id, Attributes: pcommon.NewMap()}
		r.Attributes.PutStr("service.name", fmt.Sprint("service-", id.A))
		return r
	})
	scope := f.table.Scope(id, func() *stream.Scope {
		return &stream.Scope{ID: id, Resource: resource, Name: "lib", Attributes: pcommon.NewMap()}
	})
	metric := f.table.Metric(id, func() *stream.Metric {
		return &stream.Metric{ID: id, Scope: scope, Kind: f.kind, Name: "http.server.request.duration", Unit: "s", Metadata: pcommon.NewMap()}
	})
	a := pcommon.NewMap()
	a.PutStr("http.route", fmt.Sprint("/api/v1/things/", f.output/50))
	a.PutStr("http.request.method", "GET")
	a.PutInt("http.response.status_code", int64(200+f.output%5))
	a.PutStr("server.address", "shop.example.com")
	return c.Description{Owner: &stream.Stream{Metric: metric, Attributes: a}}
}

func (f *fleet) Overflow() (c.Key, c.Description) { panic("there is room") }

func spread(i int) c.Key {
	n := uint64(i + 1)
	return c.Key{A: n * 0xbf58476d1ce4e5b9, B: n * 0x94d049bb133111eb}
}

func (f *fleet) feed(e *c.Engine, i int, round uint64) {
	f.output = i % f.outputs
	p := c.Point{Input: spread(i), Output: spread(f.output), Rule: 1, Kind: f.kind, Now: zero + round*interval}
	// Programs began within an hour, and report within an interval.
	h := uint64(i) * 0x9e3779b97f4a7c15
	span := spatial.Span{Start: zero + h%(3600*second), Time: zero + 3600*second + round*interval + h>>32%interval}
	p.Sum = spatial.SumPoint{Span: span, Value: spatial.Int(int64(round)*1000 + int64(h>>50))}
	if f.kind == c.CumulativeHistogram {
		counts := make([]uint64, 15)
		total := uint64(0)
		for b := range counts {
			counts[b] = (round*37 + h>>40) * uint64(15-b) / 20_000
			total += counts[b]
		}
		p.Histogram = &spatial.HistogramPoint{Span: span, Bounds: f.bounds, Counts: counts, Count: total, Moments: spatial.Moments{Sum: float64(total) * 0.123, Known: spatial.HasSum}}
	}
	e.Feed(&p, f)
}

func (f *fleet) engine(inputs int) *c.Engine {
	e := c.New(c.Settings{MaxStreams: 2_000_000})
	e.Watch(1, zero)
	f.outputs = inputs / f.perOutput
	for i := range inputs {
		f.feed(e, i, 1)
	}
	return e
}

// benchKinds say what an input costs, and what an output.
var benchKinds = []struct {
	kind              c.Kind
	inputs, perOutput int
}{{c.CumulativeSum, 1_000_000, 10}, {c.CumulativeSum, 1_000_000, 10_000}, {c.CumulativeHistogram, 100_000, 10}}

// BenchmarkCheckpoint writes all inputs and outputs; the engine's own copy is made before.
func BenchmarkCheckpoint(b *testing.B) {
	for _, k := range benchKinds {
		b.Run(fmt.Sprintf("%s/inputs=%d/outputs=%d", k.kind, k.inputs, k.inputs/k.perOutput), func(b *testing.B) {
			parts := slices.Collect(newFleet(k.kind, k.perOutput).engine(k.inputs).Snapshot())
			kv := &void{}
			s := checkpoint.Open(kv)
			_, err := s.Load(b.Context())
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				kv.bytes, kv.sets = 0, 0
				w := s.Begin(identity, nil, zero)
				for _, part := range parts {
					require.NoError(b, w.Part(b.Context(), part))
				}
				_, err := w.Commit(b.Context())
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(k.inputs), "ns/input")
			b.ReportMetric(float64(kv.bytes)/float64(k.inputs), "B/input")
			b.ReportMetric(float64(kv.sets), "records")
		})
	}
}

// BenchmarkRestore reads and checks a checkpoint, and restores an engine from it.
func BenchmarkRestore(b *testing.B) {
	for _, k := range benchKinds {
		b.Run(fmt.Sprintf("%s/inputs=%d/outputs=%d", k.kind, k.inputs, k.inputs/k.perOutput), func(b *testing.B) {
			kv := newMemory()
			s := checkpoint.Open(kv)
			_, err := s.Load(b.Context())
			require.NoError(b, err)
			_, err = write(b.Context(), s, newFleet(k.kind, k.perOutput).engine(k.inputs), zero)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				st, err := checkpoint.Open(kv).Load(b.Context())
				require.NoError(b, err)
				counts, err := st.Restore(c.New(c.Settings{MaxStreams: 2_000_000}), &stream.Table{}, zero)
				require.NoError(b, err)
				require.Equal(b, k.inputs, counts.Inputs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(k.inputs), "ns/input")
		})
	}
}

// BenchmarkJournal is one flush of known outputs; what the engine itself does is left out.
func BenchmarkJournal(b *testing.B) {
	for _, k := range []struct {
		kind      c.Kind
		inputs    int
		perOutput int
	}{{c.CumulativeSum, 1_000_000, 10}, {c.CumulativeHistogram, 100_000, 10}} {
		for _, known := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/outputs=100000/known=%t", k.kind, known), func(b *testing.B) {
				f := newFleet(k.kind, k.perOutput)
				const outputs = 100_000
				e := f.engine(k.inputs)
				kv := &void{}
				s := checkpoint.Open(kv)
				_, err := s.Load(b.Context())
				require.NoError(b, err)
				var shown []c.Emission
				e.Flush(zero+4*3600*second, func(m *c.Emission) {
					one := *m
					if h := m.Histogram; h != nil {
						p := *h
						p.Counts = append([]uint64(nil), h.Counts...)
						one.Histogram = &p
					}
					shown = append(shown, one)
				})
				for i := len(shown); i < outputs; i++ { // histograms have fewer inputs
					one := shown[i%len(shown)]
					one.Output = spread(outputs + i)
					shown = append(shown, one)
				}
				journal := func() {
					j := s.Journal(zero + 4*3600*second)
					for i := range shown {
						j.Add(&shown[i])
					}
					_, err := j.Write(b.Context())
					require.NoError(b, err)
				}
				empty := c.New(c.Settings{})
				_, err = write(b.Context(), s, empty, zero)
				require.NoError(b, err)
				journal()
				b.ReportAllocs()
				for b.Loop() {
					if !known {
						b.StopTimer()
						_, err = write(b.Context(), s, empty, zero)
						require.NoError(b, err)
						b.StartTimer()
					}
					kv.bytes = 0
					journal()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(shown)), "ns/entry")
				b.ReportMetric(float64(kv.bytes)/float64(len(shown)), "B/entry")
			})
		}
	}
}

// TestACheckpointHoldsOnePartAtATime: however large the state, writing it takes no more memory than some records.
func TestACheckpointHoldsOnePartAtATime(t *testing.T) {
	if raceDetector {
		return // it changes how memory is used
	}
	f := newFleet(c.CumulativeSum, 10)
	e := f.engine(200_000)
	s := checkpoint.Open(&void{})
	_, err := s.Load(t.Context())
	require.NoError(t, err)
	_, err = write(t.Context(), s, e, zero) // what is known of outputs stays from one to the next
	require.NoError(t, err)
	w := s.Begin(identity, nil, zero)
	before, most := heap(), uint64(0)
	for part := range e.Snapshot() {
		require.NoError(t, w.Part(t.Context(), part))
		part = nil //nolint:ineffassign,wastedassign // so that it can go
		most = max(most, heap())
	}
	_, err = w.Commit(t.Context())
	require.NoError(t, err)
	t.Logf("at most %d KiB more", (most-before)>>10)
	require.Less(t, most-before, uint64(12<<20))
	runtime.KeepAlive(e)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

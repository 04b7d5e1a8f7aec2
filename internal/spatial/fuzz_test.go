package spatial_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// fuel turns the bytes of a fuzzer into values; it gives zeros when it runs out.
type fuel []byte

func (f *fuel) byte() byte {
	if len(*f) == 0 {
		return 0
	}
	b := (*f)[0]
	*f = (*f)[1:]
	return b
}

// uint64 gives small numbers for small bytes and anything for large ones.
func (f *fuel) uint64() uint64 {
	b := f.byte()
	if b < 200 {
		return uint64(b)
	}
	var all [8]byte
	for i := range all {
		all[i] = f.byte()
	}
	return binary.LittleEndian.Uint64(all[:])
}

func (f *fuel) int32() int32     { return int32(f.uint64()) - 100 }
func (f *fuel) float64() float64 { return math.Float64frombits(f.uint64() << 48) }

func (f *fuel) moments() spatial.Moments {
	return spatial.Moments{Sum: f.float64(), Min: f.float64(), Max: f.float64(), Known: spatial.Fields(f.byte())}
}

func (f *fuel) buckets(sum *uint64) spatial.Buckets {
	b := spatial.Buckets{Offset: f.int32(), Counts: make([]uint64, f.byte())}
	if f.byte() == 255 {
		b.Counts = make([]uint64, spatial.MaxListed+1)
	}
	for i := range min(len(b.Counts), int(f.byte())) {
		b.Counts[i] = f.uint64()
		*sum += b.Counts[i]
	}
	return b
}

func (f *fuel) exponential() spatial.ExponentialPoint {
	p := spatial.ExponentialPoint{
		Span: spatial.Span{Start: f.uint64(), Time: f.uint64()}, Moments: f.moments(),
		Scale: f.int32(), ZeroThreshold: f.float64(), ZeroCount: f.uint64(),
	}
	p.Count = p.ZeroCount
	p.Positive, p.Negative = f.buckets(&p.Count), f.buckets(&p.Count)
	if f.byte() == 1 {
		p.Count = f.uint64()
	}
	return p
}

// soundExponential fails if a histogram is not what it must always be, whatever was thrown at it.
func soundExponential(tb testing.TB, p spatial.ExponentialPoint, limit int) {
	tb.Helper()
	p.Known = 0 // a sum without a count can come from sums that moved while counts did not
	require.Equal(tb, spatial.Accepted, p.Check())
	b := read(&p)
	require.Equal(tb, p.Count, b.total())
	require.LessOrEqual(tb, max(len(p.Positive.Counts), len(p.Negative.Counts)), limit)
	require.LessOrEqual(tb, max(cap(p.Positive.Counts), cap(p.Negative.Counts)), limit)
	require.True(tb, b.equal(b.at(b.scale, b.zero)), "buckets below the zero threshold")
}

// seeds are hostile points: a scale, an offset, a list or a count at the end of its range, and two ordinary ones.
func seeds(f *testing.F) {
	f.Helper()
	ordinary := []byte{1, 9, 50, 0, 0, 1, 103, 0, 2, 105, 3, 0, 3, 1, 2, 3, 100, 0, 0, 0, 0}
	f.Add([]byte{})
	f.Add(slices.Concat(ordinary, ordinary))
	for at := range ordinary {
		hostile := slices.Concat(ordinary[:at], []byte{255, 255, 255, 255, 255, 255, 255, 255, 127}, ordinary[at+1:])
		f.Add(slices.Concat(hostile, ordinary))
		f.Add(slices.Concat(ordinary, hostile))
	}
}

// Whatever is merged, nothing panics, memory is bounded, and the result is sound, in either order the same.
func FuzzExponentialMerge(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		source := fuel(data)
		limit := 4 + int(source.byte())
		a, b := spatial.NewExponential(limit), spatial.NewExponential(limit)
		var accepted []spatial.ExponentialPoint
		total := uint64(0)
		for range 12 {
			if len(source) == 0 {
				break
			}
			p := source.exponential()
			if a.Add(&p) == spatial.Accepted {
				accepted = append(accepted, p)
				total += p.Count
			}
			require.Equal(t, total, a.Point().Count)
			soundExponential(t, a.Point(), limit)
		}
		for i := len(accepted) - 1; i >= 0; i-- {
			require.Equal(t, spatial.Accepted, b.Add(&accepted[i]))
		}
		p, q := a.Point(), b.Point()
		x, y := read(&p), read(&q)
		if x.scale < y.scale {
			x, y = y, x
		}
		require.Equal(t, y, x.at(y.scale, y.zero))
	})
}

// Whatever arrives, an increment is sound, and what is remembered is bounded and survives a restart.
func FuzzExponentialAdvance(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		source := fuel(data)
		limit := 4 + int(source.byte())
		var in spatial.ExponentialInput
		increment, out := spatial.NewExponential(limit), spatial.NewExponential(limit)
		for range 12 {
			if len(source) == 0 {
				break
			}
			p := source.exponential()
			v := in.Advance(increment, &p, spatial.Watch{Activation: 2})
			last := in.Last()
			if v.Counted() {
				soundExponential(t, increment.Point(), limit)
				require.LessOrEqual(t, increment.Point().Count, p.Count)
				out.Merge(increment)
			}
			if last.Time != 0 {
				soundExponential(t, last, limit)
				last.Known = 0
				require.Equal(t, spatial.Accepted, new(spatial.ExponentialInput).Restore(&last, limit))
			}
		}
		soundExponential(t, out.Point(), limit)
	})
}

// Whatever arrives at a sum, the table has one answer, and the output does not fall.
func FuzzSumAdvance(f *testing.F) {
	f.Add([]byte{10, 0, 12, 20, 7, 0, 12, 30, 9, 0, 12, 40, 3, 0, 41, 50, 5})
	f.Add([]byte{10, 0, 0, 20, 7, 0, 20, 20, 7, 1, 20, 30, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Add([]byte{10, 1, 12, 20, 200, 0, 0, 0, 0, 0, 0, 240, 127})
	f.Fuzz(func(t *testing.T, data []byte) {
		source := fuel(data)
		h := history{watch: spatial.Watch{Activation: source.uint64(), Horizon: source.uint64()}}
		for len(source) > 0 && len(h.points) < 40 {
			p := spatial.SumPoint{Span: spatial.Span{Start: source.uint64(), Time: source.uint64()}, Value: spatial.Int(int64(source.uint64()))}
			if source.byte()%2 == 1 {
				p.Value = spatial.Double(math.Float64frombits(source.uint64()))
			}
			h.points = append(h.points, p)
		}
		var in spatial.SumInput
		var out spatial.Total
		for _, p := range h.points {
			before, emitted := in.Last(), out.Value()
			var last *spatial.Span
			if before.Time != 0 {
				last = &before.Span
			}
			want := judge(last, p.Span, p.Value.Compare(before.Value) < 0, h.watch)
			if bad := p.Value.Monotonic(); bad != spatial.Accepted && want < spatial.Late {
				want = bad
			}
			increment, v := in.Advance(p, h.watch)
			require.Equal(t, want, v)
			require.Equal(t, spatial.Accepted, increment.Monotonic())
			out.Add(increment)
			if emitted.IsDouble() == out.Value().IsDouble() {
				require.GreaterOrEqual(t, out.Value().Compare(emitted), 0)
			}
		}
	})
}

// Whatever bounds and counts arrive, nothing panics and count stays the sum of the buckets.
func FuzzHistogramAdvance(f *testing.F) {
	f.Add([]byte{2, 1, 2, 1, 9, 3, 1, 2, 3, 0, 2, 1, 2, 1, 12, 3, 1, 2, 4, 0, 1, 2, 1, 15, 2, 5, 6, 0})
	f.Add([]byte{0, 1, 9, 1, 200, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		source := fuel(data)
		var in spatial.HistogramInput
		var increment, out spatial.Histogram
		for range 40 {
			if len(source) == 0 {
				break
			}
			edges := make([]float64, source.byte()%16)
			for i := range edges {
				edges[i] = float64(source.byte())
			}
			b, v := spatial.NewBounds(edges)
			if v != spatial.Accepted {
				continue
			}
			p := spatial.HistogramPoint{Span: spatial.Span{Start: source.uint64(), Time: source.uint64()}, Bounds: b, Counts: make([]uint64, source.byte()%18)}
			for i := range p.Counts {
				p.Counts[i] = source.uint64()
				p.Count += p.Counts[i]
			}
			p.Moments = source.moments()
			if v := in.Advance(&increment, &p, spatial.Watch{Activation: 1}); v.Counted() {
				got := increment.Point()
				require.LessOrEqual(t, got.Count, p.Count)
				out.Merge(&increment)
				got = out.Point()
				got.Known = 0
				require.Equal(t, spatial.Accepted, got.Check())
			}
		}
	})
}

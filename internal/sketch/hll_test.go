package sketch_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

func fill(random *rand.Rand, sk *sketch.HLL, n int) {
	for range n {
		sk.InsertHash(random.Uint64())
	}
}

// The root mean square error of many sketches is the stated one. Its own
// standard deviation is 1/√(2·trials) = 9 %, of which a little more than three
// are allowed.
func TestTheErrorOfASketchIsTheStatedOne(t *testing.T) {
	const trials = 64
	for precision := uint8(12); precision <= 16; precision++ {
		t.Run(fmt.Sprint("precision ", precision), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(precision), 2))
			sk := sketch.NewHLL(precision)
			for _, load := range []int{1, 5} { // series a register
				n := load << precision
				squares, bias := 0.0, 0.0
				for range trials {
					sk.Reset()
					fill(random, sk, n)
					relative := float64(sk.Estimate())/float64(n) - 1
					squares += relative * relative
					bias += relative
				}
				stated := sketch.StandardError(precision)
				rms := math.Sqrt(squares / trials)
				require.LessOrEqual(t, rms, 1.3*stated, "%d series", n)
				require.InDelta(t, 0, bias/trials, 4*stated/math.Sqrt(trials), "bias at %d series", n)
				if load == 5 {
					require.GreaterOrEqual(t, rms, 0.7*stated, "%d series", n)
				}
			}
		})
	}
}

func TestStandardErrors(t *testing.T) {
	for precision, want := range map[uint8]float64{12: 0.01625, 13: 0.01149, 14: 0.008125, 15: 0.005745, 16: 0.0040625} {
		require.InDelta(t, want, sketch.StandardError(precision), 0.00001)
	}
}

// lattice returns the hashes of all series that labels with so many values make.
func lattice(h *series.Hasher, labels []int) []uint64 {
	sums := []uint64{h.Identity(series.Identity{Name: "m"})}
	for label, values := range labels {
		next := make([]uint64, 0, len(sums)*values)
		for v := range values {
			c := h.String(series.Point, fmt.Sprint("label-", label), fmt.Sprint("value-", v))
			for _, sum := range sums {
				next = append(next, sum+c)
			}
		}
		sums = next
	}
	return sums
}

// The hash of a series is a sum of contributions. Those of a metric are far
// from independent if it has many labels with few values each; the error of the
// sketch must not know.
func TestTheErrorForSeriesIsTheStatedOne(t *testing.T) {
	const precision, trials = 12, 64
	for name, labels := range map[string][]int{
		"a label of ten":                    {10, 6000},
		"a grid":                            {300, 200},
		"four labels of sixteen":            {16, 16, 16, 16},
		"sixteen labels of two values each": {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			sk := sketch.NewHLL(precision)
			squares := 0.0
			for range trials {
				secret, err := series.ParseSecret(fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()))
				require.NoError(t, err)
				sk.Reset()
				sums := lattice(series.NewHasher(secret), labels)
				for _, sum := range sums {
					sk.InsertHash(sum)
				}
				relative := float64(sk.Estimate())/float64(len(sums)) - 1
				squares += relative * relative
			}
			require.LessOrEqual(t, math.Sqrt(squares/trials), 1.3*sketch.StandardError(precision))
		})
	}
}

// What a table kept of a hash may go into a sketch beside whole hashes.
func TestASketchCountsTheBitsThatATableKeeps(t *testing.T) {
	sk := sketch.NewHLL(12)
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		hash := random.Uint64()
		sk.InsertHash(hash)
		once := registers(t, sk)
		sk.InsertHash(hash &^ 0xffff)
		sk.InsertHash(hash | 0xffff)
		require.Equal(t, once, registers(t, sk))
	}
}

// sketchOf draws a sketch of one to a few thousand hashes.
func sketchOf(t *rapid.T, name string) *sketch.HLL {
	sk := sketch.NewHLL(10)
	random := rand.New(rand.NewPCG(rapid.Uint64Range(0, 5).Draw(t, name), 1))
	fill(random, sk, rapid.IntRange(0, 3000).Draw(t, name+" size"))
	return sk
}

func registers(t require.TestingT, sk *sketch.HLL) []byte {
	raw, err := sk.MarshalBinary()
	require.NoError(t, err)
	return raw
}

func TestUnionIsCommutativeAssociativeAndIdempotent(t *testing.T) {
	union := func(sources ...*sketch.HLL) *sketch.HLL { return sketch.Union(sketch.NewHLL(10), sources...) }
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := sketchOf(t, "a"), sketchOf(t, "b"), sketchOf(t, "c")
		before := registers(t, a)
		want := registers(t, union(a, b, c))
		require.Equal(t, want, registers(t, union(c, a, b)))
		require.Equal(t, want, registers(t, union(union(a, b), c)))
		require.Equal(t, want, registers(t, union(a, union(b, c))))
		require.Equal(t, want, registers(t, union(a, b, c, a, b, c)), "a repeated merge counts nothing twice")
		require.Equal(t, want, registers(t, union(nil, a, nil, b, c)), "nil is empty")
		require.Equal(t, before, registers(t, a), "sources are not written")
	})
}

func TestUnionIsTheSketchOfAllInserts(t *testing.T) {
	parts := make([]*sketch.HLL, 5)
	whole := sketch.NewHLL(12)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range parts {
		parts[i] = sketch.NewHLL(12)
		for range 5000 {
			hash := random.Uint64()
			parts[i].InsertHash(hash)
			whole.InsertHash(hash)
		}
	}
	require.Equal(t, registers(t, whole), registers(t, sketch.Union(sketch.NewHLL(12), parts...)))
}

func TestUnionClearsItsDestination(t *testing.T) {
	dst, src := sketch.NewHLL(10), sketch.NewHLL(10)
	fill(rand.New(rand.NewPCG(1, 2)), dst, 5000)
	src.InsertHash(1 << 20)
	got := sketch.Union(dst, src)
	require.Same(t, dst, got)
	require.Equal(t, registers(t, src), registers(t, got))
	require.Zero(t, sketch.Union(dst).Estimate())
}

func TestMergeAddsAndTakesNil(t *testing.T) {
	dst, src := sketch.NewHLL(10), sketch.NewHLL(10)
	dst.InsertHash(1 << 20)
	src.InsertHash(1 << 60)
	sketch.Merge(dst, nil)
	require.Equal(t, uint64(1), dst.Estimate())
	sketch.Merge(dst, src)
	require.Equal(t, uint64(2), dst.Estimate())
}

func TestSketchesOfTwoPrecisionsDoNotMix(t *testing.T) {
	require.Panics(t, func() { sketch.Merge(sketch.NewHLL(10), sketch.NewHLL(11)) })
	require.Panics(t, func() { sketch.NewHLL(3) })
	require.Panics(t, func() { sketch.NewHLL(19) })
}

func TestInsertsDoNotAllocate(t *testing.T) {
	sk, dst, hash := sketch.NewHLL(12), sketch.NewHLL(12), uint64(0)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		hash += 0x9e3779b97f4a7c15
		sk.InsertHash(hash)
		sketch.Merge(dst, sk)
	}))
	require.Len(t, registers(t, sk), 1<<12+8)
	require.GreaterOrEqual(t, sketch.HLLBytes(12), 1<<12+8)
}

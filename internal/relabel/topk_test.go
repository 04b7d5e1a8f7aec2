package relabel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func mustTopK(t require.TestingT, s TopKSettings) *TopK {
	top, err := NewTopK(s)
	require.NoError(t, err)
	return top
}

func (m *Members) sorted() []string {
	var list []string
	for v := range m.values {
		list = append(list, v)
	}
	slices.Sort(list)
	return list
}

func TestTopKDecidesAtEdges(t *testing.T) {
	top := mustTopK(t, TopKSettings{K: 2, Other: "other"})
	for i, v := range []string{"a", "b", "c", "other"} {
		top.Add(v, float64(i+1))
	}
	assert.Zero(t, top.Members().Len())
	assert.True(t, top.Advance())
	assert.Equal(t, []string{"b", "c"}, top.Members().sorted())
	before := top.Members()

	// d outweighs b, but has to do so three times
	for range DefaultPatience - 1 {
		top.Add("d", 100)
		assert.False(t, top.Advance())
	}
	top.Add("d", 100)
	assert.False(t, top.Members().Has("d"))
	assert.True(t, top.Advance())
	assert.Equal(t, []string{"c", "d"}, top.Members().sorted())
	assert.Equal(t, []string{"b", "c"}, before.sorted(), "members are immutable")
}

func TestTopKNeedsTheMargin(t *testing.T) {
	top := mustTopK(t, TopKSettings{K: 1, Margin: 0.5})
	step := func(a, b float64) bool {
		top.Add("a", a)
		top.Add("b", b)
		return top.Advance()
	}
	step(10, 9)
	for range 100 {
		assert.False(t, step(10, 14.9))
	}
	changes := 0
	for range 200 {
		if step(10, 15.5) {
			changes++
		}
	}
	assert.Equal(t, 1, changes)
	assert.True(t, top.Members().Has("b"))
}

func TestTopKRefusesAndIgnores(t *testing.T) {
	_, err := NewTopK(TopKSettings{K: 0, Margin: -1, Patience: -1, HalfLife: math.NaN()})
	require.EqualError(t, err, "k: must be positive, got 0\nmargin: must be positive, got -1\npatience: must be positive, got -1\nhalf_life: must be positive, got NaN")
	top := mustTopK(t, TopKSettings{K: 3, Other: "o"})
	for _, w := range []float64{0, -1, math.NaN(), math.Inf(-1)} {
		top.Add("x", w)
	}
	top.Add(string(make([]byte, maxRankedBytes+1)), 5)
	top.Add("o", 5)
	assert.False(t, top.Advance())
	for range 3 {
		top.Add("inf", math.Inf(1))
		top.Add("max", math.MaxFloat64)
	}
	assert.True(t, top.Advance())
	for _, v := range top.State().Values {
		assert.False(t, math.IsInf(v.Weight, 0) || math.IsNaN(v.Weight))
	}
}

// exact is the faded weights without any bound of memory.
type exact struct {
	fade    float64
	weights map[string]float64
}

func (e *exact) age() {
	for v := range e.weights {
		e.weights[v] *= e.fade
	}
}

func TestCountersKeepTheirPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := mustTopK(t, TopKSettings{K: 1, Margin: 0.01, Patience: 1, HalfLife: rapid.Float64Range(0.5, 20).Draw(t, "half")})
		top.counters.room = rapid.IntRange(1, 14).Draw(t, "room")
		model := exact{top.fade, map[string]float64{}}
		values := rapid.SampledFrom(strings.Split("abcdefghijklmnopqrst", ""))
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				v, w := values.Draw(t, "value"), rapid.Float64Range(0.1, 100).Draw(t, "weight")
				top.Add(v, w)
				model.weights[v] += w
			},
			"advance": func(*rapid.T) { top.Advance(); model.age() },
			"restore": func(*rapid.T) {
				state := top.State()
				top.Restore(state)
				require.Equal(t, state, top.State())
			},
			"": func(t *rapid.T) { checkCounters(t, top, model) },
		})
	})
}

func checkCounters(t *rapid.T, top *TopK, model exact) {
	const slack = 1e-9
	require.LessOrEqual(t, len(top.counters.heap), top.counters.room)
	require.Len(t, top.counters.byValue, len(top.counters.heap)+len(top.members))
	for v, weight := range model.weights {
		c := top.counters.byValue[v]
		if c == nil {
			require.LessOrEqual(t, weight, top.counters.floor*(1+slack)+slack, v)
			continue
		}
		require.LessOrEqual(t, weight, c.weight*(1+slack)+slack, v)
		require.GreaterOrEqual(t, weight, c.least()*(1-slack)-slack, v)
	}
	for i, c := range top.counters.heap {
		require.Equal(t, i, c.at)
		require.GreaterOrEqual(t, c.weight, top.counters.heap[max(0, (i-1)/2)].weight)
	}
	for _, m := range top.members {
		require.Equal(t, -1, m.at)
		require.True(t, top.Members().Has(m.value))
	}
}

// What takes the place of a counter that leaves the heap may have to rise.
func TestPinKeepsTheHeap(t *testing.T) {
	cs := newCounters(9)
	for _, weight := range []float64{1, 10, 2, 11, 12, 3, 4} {
		cs.add(strconv.FormatFloat(weight, 'f', 0, 64), weight)
	}
	cs.pin(cs.byValue["11"])
	for i, c := range cs.heap {
		assert.Equal(t, i, c.at)
		assert.GreaterOrEqual(t, c.weight, cs.heap[max(0, (i-1)/2)].weight)
	}
	assert.Len(t, cs.heap, 6)
}

// Whatever is in and whenever that changes, what the values weighed is what the
// outputs weigh.
func TestTopKConservesTotals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := mustTopK(t, TopKSettings{K: rapid.IntRange(1, 4).Draw(t, "k"), Other: "other", Patience: 1})
		p := mustPlan(t, Settings{Ranked: &Ranked{Ref{OnPoint, "v"}, "other"}})
		in, outputs := int64(0), map[string]int64{}
		for range rapid.IntRange(1, 20).Draw(t, "intervals") {
			for range rapid.IntRange(0, 20).Draw(t, "points") {
				value, weight := strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "value")), rapid.Int64Range(0, 1_000).Draw(t, "weight")
				out := p.Apply(3, "v", String(value), top.Members())
				require.True(t, out.IsRanked)
				top.Add(out.Candidate, float64(weight))
				if out.Action == Becomes {
					value = out.Text
				}
				in += weight
				outputs[value] += weight
				require.True(t, value == "other" || top.Members().Has(value))
			}
			top.Advance()
		}
		sum := int64(0)
		for _, weight := range outputs {
			sum += weight
		}
		require.Equal(t, in, sum)
	})
}

// A member that loses its seat was outweighed for sure, by the margin, at as
// many edges as patience asks: seats change at most that often.
func TestSeatsChangeAtMostEveryPatienceEdges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, patience := rapid.IntRange(1, 3).Draw(t, "k"), rapid.IntRange(1, 5).Draw(t, "patience")
		top := mustTopK(t, TopKSettings{K: k, Patience: patience, HalfLife: 0.5})
		inSince := map[string]int{}
		const edges = 60
		joined := 0
		for edge := range edges {
			for range 4 {
				top.Add(strconv.Itoa(rapid.IntRange(0, 8).Draw(t, "value")), rapid.Float64Range(1, 1e6).Draw(t, "weight"))
			}
			top.Advance()
			for v := range top.Members().values {
				if _, was := inSince[v]; !was {
					inSince[v] = edge
					joined++
				}
			}
			for v := range inSince {
				if !top.Members().Has(v) {
					delete(inSince, v)
				}
			}
		}
		require.LessOrEqual(t, joined, k+k*edges/patience)
	})
}

type traffic func(r *rand.Rand, interval int, add func(value string, weight float64))

func zipf(s float64, name func(rank, interval int) string) traffic {
	const n = 10_000
	var sum float64
	cumulative := make([]float64, n)
	for i := range cumulative {
		sum += math.Pow(float64(i+1), -s)
		cumulative[i] = sum
	}
	ranks := make([]int, 20*n) // drawn by quantiles, which is cheaper by far
	for i := range ranks {
		ranks[i], _ = slices.BinarySearch(cumulative, (float64(i)+0.5)/float64(len(ranks))*sum)
	}
	return func(r *rand.Rand, interval int, add func(string, float64)) {
		for range 2_000 {
			add(name(ranks[r.IntN(len(ranks))], interval), 1)
		}
	}
}

// simulate returns how many values came in after the first edges.
func simulate(t *testing.T, s TopKSettings, in traffic) (joins, settling int, top *TopK) {
	t.Helper()
	top = mustTopK(t, s)
	r := rand.New(rand.NewPCG(7, 8))
	const intervals, settle = 220, 20
	for i := range intervals {
		before := top.Members()
		in(r, i, top.Add)
		top.Advance()
		for v := range top.Members().values {
			if before.Has(v) {
				continue
			}
			if i < settle {
				settling++
			} else {
				joins++
			}
		}
	}
	return joins, settling, top
}

func TestTopKHardlyEverChanges(t *testing.T) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	steady := func(rank, _ int) string { return names[rank] }
	// Each interval, one in 20 of the ranks gets a new value: pods that are replaced
	churn := func(rank, interval int) string { return fmt.Sprint(rank, "/", (interval+rank%20)/20) }
	// Below the 50 heaviest everything lives for one interval only
	tail := func(rank, interval int) string {
		if rank < 50 {
			return strconv.Itoa(rank)
		}
		return fmt.Sprint(rank, "/", interval)
	}
	alternate := func(period int) traffic {
		return func(_ *rand.Rand, interval int, add func(string, float64)) {
			for v := range 20 {
				weight := 1.0
				if (v+interval/period)%2 == 0 {
					weight = 100
				}
				add(strconv.Itoa(v), weight)
			}
		}
	}
	f := func(name string, k int, in traffic, most int) {
		t.Helper()
		joins, settling, _ := simulate(t, TopKSettings{K: k}, in)
		bold, _, _ := simulate(t, TopKSettings{K: k, Margin: 1e-9, Patience: 1, HalfLife: 0.01}, in)
		t.Logf("%-22s k=%-3d %4d changes in 200 intervals, %3d while settling; the top of each interval alone: %d", name, k, joins, settling, bold)
		assert.LessOrEqual(t, joins, most, name)
	}
	f("zipf 1.1, steady", 20, zipf(1.1, steady), 2)
	f("zipf 1.0, steady", 50, zipf(1.0, steady), 12)
	f("zipf 0.8, steady", 20, zipf(0.8, steady), 2)
	f("zipf 1.1, fleeting tail", 20, zipf(1.1, tail), 2)
	f("zipf 1.1, all replaced", 20, zipf(1.1, churn), 20*10*3/2) // each of 20 seats each 20 intervals, at least
	f("uniform", 20, zipf(0, steady), 20)
	f("alternating each", 10, alternate(1), 0)
	f("alternating each 2", 10, alternate(2), 0)
	f("alternating each 5", 10, alternate(5), 0)
	f("alternating each 50", 10, alternate(50), 10*4) // that is no noise any more
}

func TestTopKFindsTheHeaviest(t *testing.T) {
	_, _, top := simulate(t, TopKSettings{K: 20}, zipf(1.1, func(rank, _ int) string { return strconv.Itoa(rank) }))
	for rank := range 15 {
		assert.True(t, top.Members().Has(strconv.Itoa(rank)), rank)
	}
	assert.LessOrEqual(t, len(top.counters.byValue), 8*20+64)
}

func TestRestoreLeavesOutWhatCannotBe(t *testing.T) {
	top := mustTopK(t, TopKSettings{K: 2, Other: "other"})
	nan := math.NaN()
	top.Restore(TopKState{Floor: nan, Values: []RankedValue{
		{Value: "a", Weight: 1, IsMember: true},
		{Value: "b", Weight: 3, IsMember: true, Streak: 9},
		{Value: "c", Weight: 2, IsMember: true},
		{Value: "a", Weight: 0.5},
		{Value: "d", Weight: nan},
		{Value: "e", Weight: 1, Error: 2},
		{Value: "f", Weight: -1},
		{Value: "g", Weight: math.Inf(1)},
		{Value: "other", Weight: 7},
		{Value: "h", Weight: 0.1, Streak: 1 << 60},
		{Value: "i", Weight: 0.1, Streak: -5},
	}})
	assert.Equal(t, []string{"b", "c"}, top.Members().sorted())
	assert.Len(t, top.State().Values, 5)
	assert.Zero(t, top.State().Floor)
	top.Add("new", 1)
	assert.False(t, top.Advance())

	var many TopKState
	for i := range 1_000 {
		many.Values = append(many.Values, RankedValue{Value: strconv.Itoa(i), Weight: float64(i)})
	}
	top.Restore(many)
	assert.Len(t, top.counters.byValue, 7*2+64)
	assert.Equal(t, 999.0-(7*2+64), top.State().Floor, "what the heaviest weighs for which there was no room")
}

func BenchmarkTopKAdd(b *testing.B) {
	top := mustTopK(b, TopKSettings{K: 20})
	r := rand.New(rand.NewPCG(1, 2))
	var values []string
	zipf(1.1, func(rank, _ int) string { return fmt.Sprint("value-", rank) })(r, 0, func(v string, _ float64) { values = append(values, v) })
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		top.Add(values[i%len(values)], 1)
	}
}

func BenchmarkTopKAdvance(b *testing.B) {
	top := mustTopK(b, TopKSettings{K: 100})
	for i := range 2_000 {
		top.Add(strconv.Itoa(i), float64(2_000-i%977))
	}
	b.ReportAllocs()
	for b.Loop() {
		top.Advance()
	}
}

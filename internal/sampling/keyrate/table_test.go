package keyrate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
)

// memory is what the table remembers, seen by an obvious model: keys in the order
// of the interval in which they were last used.
type memory struct {
	bound   int
	used    map[uint64]int // the interval in which a key was last used
	now     int
	evicted int
	crowded int
}

func (m *memory) use(id uint64) {
	if _, known := m.used[id]; !known && len(m.used) >= m.bound {
		oldest := m.now
		for _, at := range m.used {
			oldest = min(oldest, at)
		}
		if oldest == m.now {
			m.crowded++
			return
		}
		for other, at := range m.used {
			if at == oldest {
				delete(m.used, other) // of those of one interval, any
				m.evicted++
				break
			}
		}
	}
	m.used[id] = m.now
}

// The least recently used keys go, and no more are remembered than may be. Within
// an interval keys do not compare, so the ids of one interval are as many as there
// is room for or fewer: then the model and the table forget the same ones.
func TestTheLeastRecentlyUsedGo(t *testing.T) {
	const bound = 64
	synctest.Test(t, func(t *testing.T) {
		table, err := keyrate.New(keyrate.Settings{MaxKeys: bound, Total: 10, Interval: interval})
		require.NoError(t, err)
		defer table.Close()
		model := memory{bound: bound, used: map[uint64]int{}}
		random := rand.New(rand.NewPCG(3, 4))
		for range 300 {
			model.now++
			// Whole blocks of ids, so that those of one interval go together.
			block := uint64(random.IntN(12)) * 32
			for id := block; id < block+32; id++ {
				k := table.Find(id)
				if k == nil {
					k = table.Add(id, "", "")
				}
				k.Count(1, 1, 1)
				model.use(id)
			}
			time.Sleep(interval)
			synctest.Wait()
			table.Adjust(interval)
			for id := range model.used {
				require.NotNil(t, table.Find(id), "key %d", id)
			}
			require.EqualValues(t, len(model.used), table.Stats().Keys)
			require.EqualValues(t, model.evicted, table.Stats().Evicted)
		}
		assert.Positive(t, model.evicted)
	})
}

// Keys for which there is no room share one of their group, which is sampled like
// any other.
func TestKeysBeyondTheBoundShareOne(t *testing.T) {
	table, err := keyrate.New(keyrate.Settings{MaxKeys: 2})
	require.NoError(t, err)
	defer table.Close()
	for id := range uint64(2) {
		table.Add(id, "a", "").Count(1, 1, 1)
	}
	one, other := table.Add(7, "a", "x"), table.Add(8, "a", "y")
	assert.Same(t, one, other)
	assert.NotSame(t, one, table.Add(9, "b", "z"))
	assert.Equal(t, keyrate.Stats{Keys: 2, Crowded: 3}, table.Stats())
	table.Adjust(time.Second)
	table.Adjust(time.Second) // now those of before are idle
	assert.NotSame(t, one, table.Add(7, "a", "x"))
	assert.Equal(t, keyrate.Stats{Keys: 2, Evicted: 1, Crowded: 3}, table.Stats())
}

// 100,000 keys take less than 64 MiB, with what dynsampler remembers of them.
func TestMemory(t *testing.T) {
	const keys, bound = 100_000, 64 << 20
	before := heap()
	table, err := keyrate.New(keyrate.Settings{MaxKeys: keys, Total: 1000, PerGroup: 100, Interval: 20 * time.Millisecond})
	require.NoError(t, err)
	defer table.Close()
	for range 8 {
		for id := range uint64(keys) {
			k := table.Find(id)
			if k == nil {
				k = table.Add(id, fmt.Sprint("service ", id%20), fmt.Sprintf("checkout POST /cart/items/%d error", id))
			}
			k.Count(3, 3, 1)
		}
		table.Adjust(time.Second)
		time.Sleep(20 * time.Millisecond) // dynsampler counts in real time
	}
	used := heap() - before
	t.Logf("%.1f MiB, %.0f bytes a key", float64(used)/(1<<20), float64(used)/keys)
	assert.Less(t, used, uint64(bound))
	runtime.KeepAlive(table)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Batches count while intervals end.
func TestManyGoroutines(t *testing.T) {
	table, err := keyrate.New(keyrate.Settings{MaxKeys: 50, Total: 100, PerGroup: 50, Quantile: 0.99, Interval: time.Millisecond})
	require.NoError(t, err)
	defer table.Close()
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			for n := range 3000 {
				id := uint64((n * (g + 1)) % 80)
				k := table.Find(id)
				if k == nil {
					k = table.Add(id, strconv.FormatUint(id%3, 10), "key")
				}
				k.Took(time.Duration(n))
				k.Slow(time.Duration(n))
				k.Count(1, 2, int(k.Threshold().Probability()))
			}
		})
	}
	for range 30 {
		table.Adjust(time.Millisecond)
		table.Report(10)
		_, err := table.Save()
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
	}
	wait.Wait()
	table.Close()
	assert.Empty(t, table.Adjust(time.Second), "after the end")
}

func TestSettingsAreChecked(t *testing.T) {
	_, err := keyrate.New(keyrate.Settings{
		MaxKeys: -1, Total: math.NaN(), PerGroup: -1, Groups: map[string]float64{"a": math.Inf(1)},
		MinProbability: 1.5, Quantile: 1, Interval: -1,
	})
	for _, what := range []string{"max keys", "total", "per group", `group "a"`, "minimum probability", "quantile", "interval"} {
		require.ErrorContains(t, err, what)
	}
}

// What makes no sense is not counted.
func TestCountsThatMakeNoSense(t *testing.T) {
	table, err := keyrate.New(keyrate.Settings{Total: 1})
	require.NoError(t, err)
	defer table.Close()
	k := table.Add(1, "", "")
	k.Count(-1, 1, 0)
	k.Count(1, math.NaN(), 0)
	k.Count(1, math.Inf(1), 0)
	k.Count(1, 1, -1)
	assert.Empty(t, table.Report(10).Keys)
	assert.Empty(t, table.Adjust(0))
}

// latencies are kinds of traffic; drift is by what factor they grow in the middle.
var latencies = map[string]struct {
	draw  func(*rand.Rand) float64
	drift float64
}{
	"lognormal": {func(r *rand.Rand) float64 { return 0.02 * math.Exp(r.NormFloat64()) }, 1},
	"pareto":    {func(r *rand.Rand) float64 { return 0.001 * math.Pow(1-r.Float64(), -1/1.2) }, 1},
	"bimodal": {func(r *rand.Rand) float64 {
		if r.IntN(20) == 0 {
			return 1 + r.Float64()
		}
		return 0.01 + 0.01*r.Float64()
	}, 1},
	"drifting": {func(r *rand.Rand) float64 { return 0.02 * math.Exp(r.NormFloat64()) }, 5},
}

// About one item in a hundred is beyond the 99th percentile of its key.
func TestSlowItemsAreOneInAHundred(t *testing.T) {
	for name, traffic := range latencies {
		t.Run(name, func(t *testing.T) {
			table, err := keyrate.New(keyrate.Settings{Quantile: 0.99})
			require.NoError(t, err)
			defer table.Close()
			k := table.Add(1, "", "")
			random := rand.New(rand.NewPCG(5, 6))
			slow, items := 0, 0
			for n := range 200 {
				factor := 1.0
				if n >= 100 {
					factor = traffic.drift
				}
				for range 500 {
					d := time.Duration(factor * traffic.draw(random) * float64(time.Second))
					if n < 10 {
						k.Took(d)
						continue
					}
					// In the intervals after a drift all is slow that is new.
					if n < 100 || n > 130 {
						items++
						if k.Slow(d) {
							slow++
						}
					}
					k.Took(d)
				}
				table.Adjust(interval)
			}
			share := float64(slow) / float64(items)
			t.Logf("%.2f %% are slow", 100*share)
			assert.GreaterOrEqual(t, share, 0.005)
			assert.LessOrEqual(t, share, 0.02)
		})
	}
}

// Latencies that are all alike are not slow, nor are those of a key that is new.
func TestNothingIsSlowAmongEquals(t *testing.T) {
	table, err := keyrate.New(keyrate.Settings{Quantile: 0.99})
	require.NoError(t, err)
	defer table.Close()
	for i, d := range []time.Duration{0, time.Nanosecond, 137 * time.Millisecond, time.Hour} {
		k := table.Add(uint64(i), "", "")
		for range 50 {
			k.Took(d)
		}
		table.Adjust(time.Second)
		assert.False(t, k.Slow(d), "%s", d)
		for range 200_000 {
			k.Took(d)
		}
		table.Adjust(time.Second)
		assert.False(t, k.Slow(d), "%s", d)
		assert.True(t, k.Slow(2*d+time.Second), "%s", d)
		k.Took(-time.Second)
	}
	none, err := keyrate.New(keyrate.Settings{})
	require.NoError(t, err)
	defer none.Close()
	silent := none.Add(1, "", "")
	silent.Took(time.Second)
	assert.False(t, silent.Slow(time.Hour), "without a quantile")
}

// What most came of is first in a report, which is bounded.
func TestReportNamesTheBusiest(t *testing.T) {
	table, err := keyrate.New(keyrate.Settings{})
	require.NoError(t, err)
	defer table.Close()
	for id := range uint64(20) {
		table.Add(id, "g", strconv.FormatUint(id, 10)).Count(int(id+1), float64(2*(id+1)), 1)
	}
	keys := table.Report(3).Keys
	require.Len(t, keys, 3)
	assert.Equal(t, keyrate.KeyRate{Group: "g", Label: "19", Came: 20, Kept: 1, Represented: 40, Probability: 1}, keys[0])
	assert.True(t, slices.IsSortedFunc(keys, func(a, b keyrate.KeyRate) int { return int(b.Came) - int(a.Came) }))
}

package keyrate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
)

const interval = 5 * time.Second

// source is traffic of one key: so many items a second at a time, of which a
// share is kept by a condition. Items came with a probability.
type source struct {
	id       uint64
	group    string
	rate     func(second float64) float64
	forced   float64
	upstream float64
}

func steady(rate float64) func(float64) float64 { return func(float64) float64 { return rate } }

// world runs sources through a table, in fake time.
type world struct {
	t       *testing.T
	table   *keyrate.Table
	random  *rand.Rand
	sources []source
	second  float64
}

func newWorld(t *testing.T, s keyrate.Settings, sources ...source) *world {
	t.Helper()
	s.Interval = interval
	table, err := keyrate.New(s)
	require.NoError(t, err)
	t.Cleanup(table.Close)
	return &world{t: t, table: table, random: rand.New(rand.NewPCG(1, 2)), sources: sources}
}

// tally is what one interval came to.
type tally struct {
	came, kept, adjusted, variance float64
	represented                    float64
}

// interval lets an interval pass and returns what there was, by key.
func (w *world) interval() (all tally, by map[uint64]tally) {
	by = map[uint64]tally{}
	for _, s := range w.sources {
		mean := s.rate(w.second) * interval.Seconds()
		n := int(mean + math.Sqrt(mean)*w.random.NormFloat64() + 0.5)
		one := w.items(s, max(0, n))
		by[s.id] = one
		all.came += one.came
		all.kept += one.kept
	}
	w.second += interval.Seconds()
	time.Sleep(interval)
	synctest.Wait()
	w.table.Adjust(interval)
	return all, by
}

// items decides about n items that came of a source.
func (w *world) items(s source, n int) (one tally) {
	if n == 0 {
		return one
	}
	k := w.table.Find(s.id)
	if k == nil {
		k = w.table.Add(s.id, s.group, fmt.Sprint("key ", s.id))
	}
	came := 1.0
	if s.upstream > 0 {
		came = s.upstream
	}
	ours := k.Threshold()
	p := min(came, ours.Probability())
	for range n {
		// Its randomness, of those that the sampler upstream let through.
		r := 1 - came*w.random.Float64()
		one.came++
		one.represented += 1 / came
		switch {
		case w.random.Float64() < s.forced:
			one.kept++
			one.adjusted += 1 / came
		case r > 1-p:
			one.kept++
			one.adjusted += 1 / p
			q := p / came
			one.variance += (1 - q) / (p * p)
		}
	}
	k.Count(n, one.represented, int(one.kept))
	return one
}

// rate is what goes on in an interval, a second.
func (w *world) rate() float64 {
	all, _ := w.interval()
	return all.kept / interval.Seconds()
}

// zipf are keys of which the first is the most frequent.
func zipf(keys int, total float64, more func(second float64) float64) []source {
	var sum float64
	for i := range keys {
		sum += 1 / float64(i+1)
	}
	var list []source
	for i := range keys {
		share := total / float64(i+1) / sum
		list = append(list, source{id: uint64(i + 1), group: fmt.Sprint("service ", i%5), rate: func(s float64) float64 { return share * more(s) }})
	}
	return list
}

func step(at, factor float64) func(float64) float64 {
	return func(second float64) float64 {
		if second < at {
			return 1
		}
		return factor
	}
}

// The target is reached within five intervals after a step, and kept: within a
// tenth, or all that comes if that is less.
func TestTargetIsReachedAfterASteps(t *testing.T) {
	for _, factor := range []float64{10, 0.1} {
		t.Run(fmt.Sprint(factor), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const target, load = 500.0, 20_000.0
				w := newWorld(t, keyrate.Settings{Total: target}, zipf(100, load, step(100, factor))...)
				for range 20 {
					w.rate()
				}
				for n := range 30 {
					out := w.rate()
					if n >= 5 {
						assert.InEpsilon(t, target, out, 0.1, "interval %d after the step", n)
					}
				}
			})
		})
	}
}

// Nothing swings: under a steady load what goes on varies as chance has it.
func TestNothingSwings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const target = 500.0
		w := newWorld(t, keyrate.Settings{Total: target}, zipf(100, 20_000, step(50, 10))...)
		for range 16 {
			w.rate()
		}
		var turns, above int
		before, last := 0.0, 0.0
		for range 100 {
			out := w.rate()
			assert.InEpsilon(t, target, out, 0.1)
			if out > target {
				above++
			}
			if (out-last)*(last-before) < 0 && math.Abs(out-last) > 0.06*target {
				turns++
			}
			before, last = last, out
		}
		assert.Less(t, turns, 10, "turns of more than chance")
		assert.InDelta(t, 50, above, 45, "it is not always on one side")
	})
}

// Ramps, bursts and loads that go on and off do not exceed the target by more than
// the interval in which they come.
func TestLoadsThatMove(t *testing.T) {
	const target = 500.0
	loads := map[string]func(float64) float64{
		"ramp":   func(s float64) float64 { return 1 + s/50 },
		"burst":  func(s float64) float64 { return step(150, 20)(s) / step(155, 20)(s) },
		"on off": func(s float64) float64 { return 0.02 + math.Mod(math.Floor(s/20), 2) },
	}
	for name, load := range loads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, keyrate.Settings{Total: target}, zipf(50, 10_000, load)...)
				for range 10 {
					w.rate()
				}
				exceeded := 0
				for range 40 {
					if w.rate() > 1.15*target {
						exceeded++
					}
				}
				allowed := map[string]int{"ramp": 0, "burst": 1, "on off": 6}[name]
				assert.LessOrEqual(t, exceeded, allowed)
			})
		})
	}
}

// Keys that come but rarely are kept whole while others have room to give.
func TestRareKeysAreKeptWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sources := zipf(20, 10_000, steady(1))
		for i := range 20 {
			sources = append(sources, source{id: uint64(1000 + i), rate: steady(0.4)})
		}
		w := newWorld(t, keyrate.Settings{Total: 500}, sources...)
		for range 10 {
			w.interval()
		}
		for range 20 {
			_, by := w.interval()
			for id, one := range by {
				if id >= 1000 {
					assert.Equal(t, one.came, one.kept, "key %d", id)
				}
			}
		}
	})
}

// What conditions keep is part of the target, and what came with a threshold of
// its own is, too.
func TestConditionsAndThresholdsUpstreamCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const target = 500.0
		w := newWorld(t, keyrate.Settings{Total: target},
			source{id: 1, rate: steady(4000), forced: 0.05},
			source{id: 2, rate: steady(2000), upstream: 0.25},
			source{id: 3, rate: steady(1000), upstream: 0.01},
			source{id: 4, rate: steady(100), forced: 1},
		)
		for range 10 {
			w.rate()
		}
		for range 20 {
			assert.InEpsilon(t, target, w.rate(), 0.1)
		}
	})
}

// Conditions that keep more than the target leave a quarter of it to what is
// sampled, so that its sums stay estimates and do not become lotteries.
func TestConditionsDoNotTakeAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const target, load, forced = 100.0, 2000.0, 0.2
		w := newWorld(t, keyrate.Settings{Total: target}, source{id: 1, rate: steady(load), forced: forced})
		for range 10 {
			w.rate()
		}
		for range 10 {
			assert.InEpsilon(t, load*forced+target/4, w.rate(), 0.1)
		}
		assert.True(t, w.table.Report(1).Targets[0].FloorReached, "it is exceeded, and cannot be kept")
	})
}

// The total and the targets of groups hold together.
func TestGroupsHaveTheirOwnTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, keyrate.Settings{Total: 1000, PerGroup: 300, Groups: map[string]float64{"loud": 50, "free": 0}},
			source{id: 1, group: "a", rate: steady(5000)}, source{id: 2, group: "a", rate: steady(500)},
			source{id: 3, group: "loud", rate: steady(20_000)},
			source{id: 4, group: "free", rate: steady(2000)},
			source{id: 5, group: "small", rate: steady(10)},
		)
		for range 10 {
			w.interval()
		}
		for range 10 {
			all, by := w.interval()
			seconds := interval.Seconds()
			assert.InEpsilon(t, 1000, all.kept/seconds, 0.1)
			assert.LessOrEqual(t, (by[1].kept+by[2].kept)/seconds, 330.0)
			assert.LessOrEqual(t, by[3].kept/seconds, 60.0)
			assert.Equal(t, by[5].came, by[5].kept)
		}
		report := w.table.Report(10)
		require.Len(t, report.Targets, 4, "a, loud, small and all")
		assert.InDelta(t, 1000, report.Targets[0].PerSecond, 0)
		assert.True(t, report.Targets[0].All)
	})
}

// Where probabilities may not become smaller the target is exceeded, which is said
// once, and once when it is kept again.
func TestFloorIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, keyrate.Settings{Total: 100, MinProbability: 0.1},
			source{id: 1, rate: func(s float64) float64 { return step(50, 10)(s) / step(150, 10)(s) * 500 }})
		var happened []string
		for range 60 {
			w.items(w.sources[0], int(w.sources[0].rate(w.second)*interval.Seconds()))
			w.second += interval.Seconds()
			time.Sleep(interval)
			synctest.Wait()
			for _, e := range w.table.Adjust(interval) {
				assert.True(t, e.All)
				happened = append(happened, fmt.Sprint(w.second, " ", e.Happened))
			}
			assert.GreaterOrEqual(t, w.table.Find(1).Threshold().Probability(), 0.0999)
		}
		require.Len(t, happened, 2, "%v", happened)
		assert.Contains(t, happened[0], "floor_reached")
		assert.Contains(t, happened[1], "kept_again")
	})
}

// Adjusted counts add up to what there was, key by key, while rates move.
func TestAdjustedCountsAreUnbiased(t *testing.T) {
	const seeds = 20
	sums := map[uint64]tally{}
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, keyrate.Settings{Total: 300, PerGroup: 150},
				source{id: 1, group: "a", rate: step(60, 8)},
				source{id: 2, group: "a", rate: steady(40), forced: 0.1},
				source{id: 3, group: "b", rate: steady(900), upstream: 0.25},
				source{id: 4, group: "b", rate: steady(3), upstream: 0.01},
			)
			w.sources[0].rate = func(s float64) float64 { return 300 * step(60, 8)(s) }
			w.random = rand.New(rand.NewPCG(seed, 7))
			for range 30 {
				_, by := w.interval()
				for id, one := range by {
					sum := sums[id]
					sum.represented += one.represented
					sum.adjusted += one.adjusted
					sum.variance += one.variance
					sum.came += one.came
					sum.kept += one.kept
					sums[id] = sum
				}
			}
		})
	}
	for id, sum := range sums {
		off := sum.adjusted - sum.represented
		assert.LessOrEqual(t, math.Abs(off), 3*math.Sqrt(sum.variance)+1e-6, "key %d: %.0f of %.0f", id, sum.adjusted, sum.represented)
	}
	assert.Less(t, sums[1].kept, sums[1].came/2, "it is sampled")
}

// New targets act, and what is known of keys goes on.
func TestTargetsMayChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, keyrate.Settings{Total: 500}, zipf(50, 10_000, steady(1))...)
		for range 10 {
			w.rate()
		}
		require.NoError(t, w.table.SetTargets(1000, 0, nil))
		w.rate()
		for range 5 {
			assert.InEpsilon(t, 1000, w.rate(), 0.12)
		}
		require.NoError(t, w.table.SetTargets(0, 0, nil))
		w.rate()
		all, _ := w.interval()
		assert.InDelta(t, all.came, all.kept, 0)
		require.Error(t, w.table.SetTargets(-1, math.NaN(), nil))
	})
}

// A level of a group multiplies what its target allows.
func TestLevelOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, keyrate.Settings{}, source{id: 1, group: "a", rate: steady(100)}, source{id: 2, group: "b", rate: steady(100)})
		w.table.SetLevel("a", 0.25)
		w.interval()
		assert.InDelta(t, 0.25, w.table.Find(1).Threshold().Probability(), 1e-4)
		assert.Equal(t, sampling.AlwaysSampleThreshold, w.table.Find(2).Threshold())
		w.table.SetLevel("a", 1)
		w.interval()
		assert.Equal(t, sampling.AlwaysSampleThreshold, w.table.Find(1).Threshold())
	})
}

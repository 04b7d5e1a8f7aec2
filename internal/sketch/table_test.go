package sketch_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

func TestAHashIsNewThenCurrentThenKnownThenNewAgain(t *testing.T) {
	const window, hash = 3, 0xfeed_0000_0000_0000
	table := sketch.NewTable(window, 1)
	require.False(t, table.Contains(hash))
	require.False(t, table.Seen(hash, 1))
	require.Equal(t, sketch.New, table.Touch(hash))
	require.True(t, table.Seen(hash, 1))
	require.False(t, table.Seen(hash, 2))
	require.Equal(t, sketch.Current, table.Touch(hash))

	table.Advance(3)
	require.False(t, table.Seen(hash, 3))
	require.True(t, table.Contains(hash))
	require.Equal(t, sketch.Known, table.Touch(hash))
	require.Equal(t, 1, table.Count(1), "it counts in its latest epoch only")
	require.Equal(t, 1, table.Count(window))

	table.Advance(5)
	require.Equal(t, 0, table.Count(2))
	require.Equal(t, 1, table.Count(window))
	table.Advance(6)
	require.False(t, table.Contains(hash))
	require.Equal(t, 0, table.Count(window))
	require.Equal(t, sketch.New, table.Touch(hash))
}

func TestMoreEpochsThanTheWindowAreTheWindow(t *testing.T) {
	table := sketch.NewTable(2, 1)
	table.Touch(1 << 20)
	require.Equal(t, 1, table.Count(2))
	require.Equal(t, 1, table.Count(1000))
	require.Equal(t, 0, table.Count(0))
}

// The number of an epoch is stored in 16 bits and comes round again after
// 65,535 epochs. A hash that died must not come back with it.
func TestADeadHashStaysDeadWhenItsEpochComesRound(t *testing.T) {
	const cycle, window, n = 65535, 4, 500
	for name, step := range map[string]sketch.Epoch{
		"epoch by epoch": 1, "two by two": 2, "three by three": 3, "a window at a time": window,
		"half a cycle at a time": cycle / 2, "a cycle at a time": cycle, "two cycles at a time": 2 * cycle,
	} {
		t.Run(name, func(t *testing.T) {
			now := sketch.Epoch(1)
			table := sketch.NewTable(window, now)
			random := rand.New(rand.NewPCG(1, 2))
			list := make([]uint64, n)
			for i := range list {
				list[i] = random.Uint64()
				table = room(table)
				table.Touch(list[i])
			}
			for died := now + window; now < 3*cycle; {
				now += step
				table = rotate(table, now)
				if now < died {
					continue
				}
				require.Equal(t, 0, table.Count(window))
				if (now-1)%cycle < 2*window || step >= cycle/2 { // else there is nothing new to see
					for _, hash := range list {
						require.False(t, table.Contains(hash), "epoch %d", now)
						require.False(t, table.Seen(hash, now), "epoch %d", now)
					}
				}
			}
			for _, hash := range list {
				table = room(table)
				require.Equal(t, sketch.New, table.Touch(hash))
			}
			require.Equal(t, n, table.Count(1))
		})
	}
}

func TestATableThatStaysInUseIsPurgedBeforeEpochsComeRound(t *testing.T) {
	const cycle, window = 65535, 4
	const mortal, immortal = 0xaaaa_0000_0000_0000, 0xbbbb_0000_0000_0000
	now := sketch.Epoch(7)
	table := sketch.NewTable(window, now)
	table.Touch(mortal)
	table.Touch(immortal)
	purges := 0
	for range cycle {
		now++
		table.Advance(now)
		if table.Stale() {
			table = table.Resize(table.Fit())
			purges++
		}
		require.Equal(t, sketch.Known, table.Touch(immortal))
	}
	require.Equal(t, 1, purges, "once in half a cycle")
	require.False(t, table.Contains(mortal))
	require.Equal(t, sketch.New, table.Touch(mortal))
	require.Equal(t, 2, table.Count(1))
}

func TestATableTakesEightToSixteenBytesAHash(t *testing.T) {
	const n, first = 1_000_000, 200 // before, the 96 bytes of the table itself weigh too much
	random := rand.New(rand.NewPCG(1, 2))
	table := sketch.NewTable(4, 1)
	resized := 0
	for i := 1; i <= n; i++ {
		if table.Full() {
			table = room(table)
			resized++
		}
		table.Touch(random.Uint64())
		if a := float64(sketch.TableBytes(table.Len())) / float64(i); i >= first && (a < 8 || a > 16) {
			require.Failf(t, "memory", "%.1f bytes a hash at %d", a, i)
		}
	}
	require.Equal(t, n, table.Count(1))
	require.Less(t, resized, 35, "each one takes half as many more")
}

func TestTableBytesIsWhatIsAllocated(t *testing.T) {
	table := sketch.NewTable(4, 1)
	for _, slots := range []int{16, 1000, 1 << 20} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		table = table.Resize(slots)
		runtime.ReadMemStats(&after)
		got := float64(after.TotalAlloc - before.TotalAlloc)
		// The allocator rounds up; a test that runs beside this one would only add.
		require.InDelta(t, float64(sketch.TableBytes(slots)), got, 0.15*float64(sketch.TableBytes(slots))+1024)
		require.Equal(t, slots, table.Len())
	}
}

// The dead must not pile up: half of the hashes are new in every epoch.
func TestATableThatChurnsDoesNotGrow(t *testing.T) {
	const window, each, epochs = 4, 2000, 200
	random := rand.New(rand.NewPCG(1, 2))
	table := sketch.NewTable(window, 1)
	for now := sketch.Epoch(1); now <= epochs; now++ {
		table = rotate(table, now)
		for range each {
			table = room(table)
			table.Touch(random.Uint64())
		}
		require.Equal(t, each*min(int(now), window), table.Count(window))
		if now >= window {
			require.LessOrEqual(t, sketch.TableBytes(table.Len()), 16*table.Count(window))
		}
	}
}

func TestATableThatShrankIsSparse(t *testing.T) {
	const n = 10_000
	random := rand.New(rand.NewPCG(1, 2))
	table := sketch.NewTable(2, 1)
	for range n {
		table = room(table)
		table.Touch(random.Uint64())
	}
	require.False(t, table.Sparse())
	large := table.Len()
	table.Advance(5)
	require.True(t, table.Sparse())
	table = table.Resize(table.Fit())
	require.Equal(t, 16, table.Len())
	require.Less(t, table.Len(), large)
	require.False(t, table.Sparse(), "an empty table is as small as can be")

	table.Touch(1 << 40)
	require.False(t, table.Resize(4*table.Fit()).Sparse(), "a quarter")
	require.True(t, table.Resize(4*table.Fit()+1).Sparse(), "less than a quarter")
}

func TestAdversarialHashesTerminate(t *testing.T) {
	const n = 1500
	for name, hash := range map[string]func(k uint64) uint64{
		"equal upper bits":             func(k uint64) uint64 { return 0xdead_beef<<32 | k<<16 },
		"at the start of the table":    func(k uint64) uint64 { return k << 16 },
		"at the end, so that it wraps": func(k uint64) uint64 { return math.MaxUint64 - k<<16 },
		"descending":                   func(k uint64) uint64 { return -(k + 1) << 50 },
		"zeros and ones":               func(k uint64) uint64 { return -(k & 1) },
	} {
		t.Run(name, func(t *testing.T) {
			table := sketch.NewTable(2, 1)
			known := map[uint64]bool{}
			for k := range uint64(n) {
				table = room(table)
				want := sketch.New
				if known[tag(hash(k))] {
					want = sketch.Current
				}
				known[tag(hash(k))] = true
				if got := table.Touch(hash(k)); got != want || !table.Seen(hash(k), 1) {
					require.Failf(t, "touch", "hash %x: %d, want %d", hash(k), got, want)
				}
			}
			require.False(t, table.Contains(0x1234_5678_9abc_0000))
			require.False(t, table.Seen(0x1234_5678_9abc_0000, 1))
			require.Equal(t, len(known), table.Count(1))
			table = table.Resize(table.Fit())
			for k := range uint64(n) {
				require.True(t, table.Contains(hash(k)))
			}
		})
	}
}

// Where a hash belongs must not depend on the bits that are lost in its slot:
// in a table of three slots these two are on both sides of a border.
func TestAHashAtTheBorderOfASlotIsFoundAfterAResize(t *testing.T) {
	const border = 0x5555_5555_5555_5556 // a third of 2^64, rounded up
	for _, hash := range []uint64{border - 1, border, border &^ 0xffff, border | 0xffff} {
		table := sketch.NewTable(2, 1)
		require.Equal(t, sketch.New, table.Touch(hash))
		for _, slots := range []int{3, 6, 48, 3 << 16} {
			table = table.Resize(slots)
			require.True(t, table.Contains(hash), "%x in %d", hash, slots)
			require.Equal(t, sketch.Current, table.Touch(hash), "%x in %d", hash, slots)
		}
		require.Equal(t, 1, table.Count(1))
	}
}

func TestTheReaderOfAnOldTableReadsOn(t *testing.T) {
	old := sketch.NewTable(2, 1)
	old.Touch(1 << 40)
	grown := old.Resize(100)
	grown.Touch(1 << 50)
	require.True(t, old.Seen(1<<40, 1))
	require.False(t, old.Seen(1<<50, 1))
	require.True(t, grown.Seen(1<<40, 1))
	require.True(t, grown.Seen(1<<50, 1))
}

func TestAllStopsWhenAsked(t *testing.T) {
	table := sketch.NewTable(2, 1)
	for k := range uint64(10) {
		table.Touch(k << 40)
	}
	n := 0
	for range table.All() {
		if n++; n == 3 {
			break
		}
	}
	require.Equal(t, 3, n)
}

func TestTheTableDoesNotAllocate(t *testing.T) {
	table := sketch.NewTable(4, 1).Resize(10_000)
	now, hash, sum := sketch.Epoch(1), uint64(0), 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		hash += 0x9e3779b97f4a7c15
		now++
		table.Advance(now)
		table.Touch(hash)
		if table.Seen(hash, now) && table.Contains(hash) {
			sum += table.Count(4)
		}
	}))
	require.Positive(t, sum)
}

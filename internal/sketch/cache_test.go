package sketch_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

func TestACacheKnowsWhatWasMarkedInThisEpoch(t *testing.T) {
	for _, hash := range []uint64{0, 1, 1 << 16, 0xffff, math.MaxUint64, 0x9e3779b97f4a7c15} {
		cache := sketch.NewCache(4)
		require.False(t, cache.Has(hash, 1))
		require.False(t, cache.Mark(hash, 1), "the first time")
		require.True(t, cache.Has(hash, 1))
		require.True(t, cache.Mark(hash, 1), "the second time")
		require.False(t, cache.Has(hash, 2), "another epoch")
		require.False(t, cache.Mark(hash, 2))
		require.True(t, cache.Mark(hash, 2))
		require.False(t, cache.Has(hash, 1), "one epoch a slot")
	}
}

func TestHashesOfOneSlotForgetEachOther(t *testing.T) {
	const a, b = 1 << 16, 1<<16 | 1<<40
	cache := sketch.NewCache(4)
	require.False(t, cache.Mark(a, 1))
	require.False(t, cache.Mark(b, 1))
	require.True(t, cache.Has(b, 1))
	require.False(t, cache.Has(a, 1))
	require.False(t, cache.Mark(a, 1), "told twice that it is new")
}

func TestACacheOfOneSlotWorks(t *testing.T) {
	cache := sketch.NewCache(0)
	require.False(t, cache.Mark(1<<16, 1))
	require.True(t, cache.Mark(1<<16, 1))
	require.False(t, cache.Mark(2<<16, 1))
}

// A cache may forget, but it never claims to know what was not marked in this
// epoch.
func TestACacheNeverClaimsWhatWasNotMarked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cache := sketch.NewCache(rapid.Uint8Range(0, 6).Draw(t, "bits"))
		pool := rapid.SliceOfN(hashes(), 1, 50).Draw(t, "pool")
		now, marked := sketch.Epoch(1), map[uint64]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"mark": func(t *rapid.T) {
				hash := rapid.SampledFrom(pool).Draw(t, "hash")
				if cache.Mark(hash, now) {
					require.True(t, marked[tag(hash)])
				}
				marked[tag(hash)] = true
				require.True(t, cache.Has(hash, now))
			},
			"advance": func(t *rapid.T) {
				now += sketch.Epoch(rapid.Uint32Range(1, 100).Draw(t, "epochs"))
				clear(marked)
			},
			"": func(t *rapid.T) {
				for _, hash := range pool {
					require.False(t, cache.Has(hash, now) && !marked[tag(hash)])
				}
			},
		})
	})
}

func TestACacheRemembersMostOfWhatFits(t *testing.T) {
	const n = 1 << 14
	cache := sketch.NewCache(16)
	for i := range uint64(n) {
		cache.Mark(raceHash(i), 1)
	}
	known := 0
	for i := range uint64(n) {
		if cache.Has(raceHash(i), 1) {
			known++
		}
	}
	require.Greater(t, known, n*8/10, "a quarter of the slots is used")
}

func TestTheCacheDoesNotAllocate(t *testing.T) {
	cache := sketch.NewCache(8)
	hash, known := uint64(0), 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		hash += 0x9e3779b97f4a7c15
		cache.Mark(hash, 1)
		if cache.Has(hash, 1) {
			known++
		}
	}))
	require.Positive(t, known)
}

package consolidation

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The tables against maps, with tags that collide and wrap around.

func tags(t *rapid.T) uint32 {
	return rapid.SampledFrom([]uint32{0, 1, 255, 256, 1 << 30, 1<<31 + 1, 1<<32 - 257, 1<<32 - 256, 1<<32 - 1}).Draw(t, "tag")
}

func (x *index) has(tag, ref uint32) bool {
	n := len(x.slots)
	if n == 0 {
		return false
	}
	for i := home(tag, n); x.slots[i] != 0; i = (i + 1) % n {
		if x.slots[i] == uint64(tag)<<32|uint64(ref) {
			return true
		}
	}
	return false
}

func TestIndexIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		known := map[[2]uint32]bool{}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			e := [2]uint32{tags(t), rapid.Uint32Range(1, 9).Draw(t, "ref")}
			switch {
			case rapid.IntRange(0, 2).Draw(t, "op") == 0:
				x.remove(e[0], e[1])
				delete(known, e)
			case !known[e]:
				x.add(e[0], e[1])
				known[e] = true
			}
			for k := range known {
				require.True(t, x.has(k[0], k[1]))
			}
			require.Equal(t, len(known), x.used)
			require.False(t, !known[e] && x.has(e[0], e[1]))
		}
	})
}

func TestPlacesKeepEveryCandidate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x places
		known := map[uint32][]int{}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			tag, shard := tags(t)&^shardMask, rapid.IntRange(0, maxShards-1).Draw(t, "shard")
			if rapid.IntRange(0, 2).Draw(t, "op") == 0 {
				if i := slices.Index(known[tag], shard); i >= 0 {
					known[tag] = slices.Delete(known[tag], i, i+1)
				}
				x.remove(tag, shard)
			} else {
				known[tag] = append(known[tag], shard)
				x.add(tag, shard)
			}
			for k, want := range known {
				got := []int{}
				x.find(k, func(shard int) bool {
					got = append(got, shard)
					return false
				})
				require.ElementsMatch(t, want, got)
			}
		}
	})
}

func TestTombstonesForgetOnlyTowardsCaution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := tombstones{limit: rapid.IntRange(0, 20).Draw(t, "limit")}
		known := map[uint64]uint64{}
		for i := range rapid.IntRange(1, 100).Draw(t, "steps") {
			mark := rapid.Uint64Range(1, 40).Draw(t, "mark")
			known[mark] = uint64(i + 1)
			x.bury(mark, uint64(i+1))
			require.LessOrEqual(t, x.size(), max(2, x.limit))
			for k, time := range known {
				require.GreaterOrEqual(t, x.until(k), time)
			}
			require.Equal(t, x.forgotten, x.until(99))
		}
	})
}

func TestBoundsAreShared(t *testing.T) {
	e := New(Settings{})
	a, _ := e.Bounds([]float64{1, 2})
	b, _ := e.Bounds([]float64{1, 2})
	require.Same(t, a, b)
	none, v := e.Bounds(nil)
	require.Nil(t, none)
	require.False(t, v.Refused())
	_, v = e.Bounds([]float64{2, 1})
	require.True(t, v.Refused())
	for i := range maxShapes + 10 {
		b, _ := e.Bounds([]float64{0, float64(i + 5)})
		require.Equal(t, []float64{0, float64(i + 5)}, b.Edges())
	}
	require.Len(t, *e.shapes.known.Load(), maxShapes)
}

func TestNames(t *testing.T) {
	require.Equal(t, "cumulative_exponential", CumulativeExponential.String())
	require.Equal(t, "unknown", kinds.String())
}

package sketch

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A Distinct that has room is a set; two together are their union.
func TestDistinctIsASetWhileThereIsRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d [2]Distinct
		either := map[uint64]bool{}
		require.True(t, d[0].Empty())
		for i := range d {
			own := map[uint64]bool{}
			for _, hash := range rapid.SliceOfN(rapid.Uint64Range(0, 200), 0, 300).Draw(t, "hashes") {
				hash |= hash << 32 // many meet in one place
				d[i].Add(hash, 512, 10)
				if hash == 0 {
					hash = 1 // a hash of 0 counts as 1
				}
				own[hash], either[hash] = true, true
			}
			n, relativeError := CountEither(&d[i], &Distinct{}, 10)
			require.Equal(t, uint64(len(own)), n)
			require.Zero(t, relativeError)
			require.False(t, d[i].Sketched())
		}
		n, _ := CountEither(&d[0], &d[1], 10)
		require.Equal(t, uint64(len(either)), n)
	})
}

// Past its slots it goes on as a sketch, and what it held is in it.
func TestDistinctGoesOnAsASketch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var d, other Distinct
	const n = 50_000
	for i := range n {
		hash := random.Uint64()
		require.Equal(t, !d.Sketched() && i >= 96, d.Full(128), "after %d", i)
		d.Add(hash, 128, 14)
		if i%5 == 0 {
			other.Add(hash, 1<<20, 14)
		}
	}
	require.True(t, d.Sketched())
	require.False(t, other.Sketched())
	got, relativeError := CountEither(&other, &d, 14)
	require.InDelta(t, StandardError(14), relativeError, 0)
	require.Less(t, math.Abs(float64(got)-n), 4*relativeError*n)
}

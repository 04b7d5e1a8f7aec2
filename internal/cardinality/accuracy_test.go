package cardinality

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSavingsOfSmallMetricsAreExact: up to ExactSeries series nothing is
// estimated.
func TestSavingsOfSmallMetricsAreExact(t *testing.T) {
	for _, g := range []grid{grid1k, grid2k} {
		r := newRig(t, nil)
		r.sendGrid("m", g)
		a := r.only(t, "m").Analysis
		require.False(t, a.Estimated)
		require.EqualValues(t, g.size(), a.Series)
		require.EqualValues(t, g.size(), a.Streams)
		for _, key := range gridKeys {
			require.EqualValues(t, g.without(key), a.attribute(t, key).Without, key)
		}
		require.EqualValues(t, g.rows, a.attribute(t, "a").Distinct)
		require.EqualValues(t, g.hundreds, a.attribute(t, "hundred").Distinct)
	}
}

// TestSavingsWithinTwoPercent: the error of every attribute's saving, as a
// share of N, over seeds; p95 of all attributes together and of each.
func TestSavingsWithinTwoPercent(t *testing.T) {
	type simulation struct {
		grid         grid
		seeds, quick int
	}
	simulations := []simulation{{grid1k, 200, 200}, {grid50k, 200, 100}, {grid1M, 200, 4}}
	if raceDetector {
		simulations = []simulation{{grid1k, 10, 10}, {grid50k, 2, 2}}
	}
	for _, s := range simulations {
		seeds := s.quick
		if long {
			seeds = s.seeds
		}
		t.Run(fmt.Sprintf("series=%d/seeds=%d", s.grid.size(), seeds), func(t *testing.T) {
			t.Parallel()
			errors := map[string][]float64{}
			for seed := range seeds {
				r := newSeededRig(uint64(seed), nil)
				r.sendGrid("m", s.grid)
				a := r.only(t, "m").Analysis
				n := float64(s.grid.size())
				for _, key := range gridKeys {
					saved := float64(a.Saving(a.attribute(t, key).Without))
					truth := n - float64(s.grid.without(key))
					errors[key] = append(errors[key], math.Abs(saved-truth)/n)
				}
			}
			var every []float64
			for _, key := range gridKeys {
				every = append(every, errors[key]...)
				t.Logf("%-8s true saving %5.1f %%  p50 %.2f %%  p95 %.2f %%  max %.2f %%", key,
					100*(1-float64(s.grid.without(key))/float64(s.grid.size())),
					100*quantile(errors[key], 0.5), 100*quantile(errors[key], 0.95), 100*quantile(errors[key], 1))
				if seeds >= 100 {
					require.Less(t, quantile(errors[key], 0.95), 0.02, key)
				}
			}
			t.Logf("all      p95 %.2f %%", 100*quantile(every, 0.95))
			require.Less(t, quantile(every, 0.95), 0.03)
			if len(every) >= 20 {
				require.Less(t, quantile(every, 0.95), 0.02)
			}
		})
	}
}

func quantile(list []float64, q float64) float64 {
	slices.Sort(list)
	return list[int(math.Ceil(q*float64(len(list))))-1]
}

package main

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/verdict"
)

// batch is what many runs of one setting came to.
type batch struct {
	setting
	runs   int
	phases map[experiment.Phase]int
	causes map[string]int
	found  []time.Duration // sorted
}

// many makes runs side by side. Seeds are the numbers of the runs, so that the
// result does not depend on who made which.
func many(c setting, runs, workers int) batch {
	outcomes := make([]outcome, runs)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < runs; i += workers {
				outcomes[i] = simulate(c, uint64(i)+1) //nolint:gosec // the number of a run
			}
		})
	}
	wait.Wait()
	b := batch{setting: c, runs: runs, phases: map[experiment.Phase]int{}, causes: map[string]int{}}
	for _, o := range outcomes {
		b.phases[o.phase]++
		b.causes[string(o.phase)+": "+o.cause]++
		if o.found >= 0 {
			b.found = append(b.found, o.found)
		}
	}
	slices.Sort(b.found)
	return b
}

// falseRollbacks and falsePromotions count the runs that ended wrongly.
func (b batch) falseRollbacks() int {
	if b.right == experiment.PhaseRolledBack {
		return 0
	}
	return b.phases[experiment.PhaseRolledBack] + b.phases[experiment.PhaseFailed]
}

func (b batch) falsePromotions() int {
	if b.right == experiment.PhasePromoted {
		return 0
	}
	return b.phases[experiment.PhasePromoted]
}

// accepted says whether neither is more often than the error allows.
func (b batch) accepted() bool {
	return b.falseRollbacks() <= b.most() && b.falsePromotions() <= b.most()
}

func (b batch) most() int { return mostErrors(b.runs) }

// mostErrors is the largest number of errors in so many runs for which the one-sided
// binomial test at 1 % does not reject "the rate is at most that of a false rollback".
func mostErrors(runs int) int {
	d := distuv.Binomial{N: float64(runs), P: verdict.Alpha}
	most := 0
	for most < runs && 1-d.CDF(float64(most)) > 0.01 { // P(more than most)
		most++
	}
	return most
}

// power is the share of runs that reached the right verdict, and after how long half
// and nine tenths of all runs had; 0 if they never had.
func (b batch) power() (share float64, half, most time.Duration) {
	at := func(part float64) time.Duration {
		if i := int(part*float64(b.runs)+0.999999) - 1; i < len(b.found) {
			return b.found[max(i, 0)]
		}
		return 0
	}
	return float64(len(b.found)) / float64(b.runs), at(0.5), at(0.9)
}

// topCauses are the ends, the most frequent first.
func (b batch) topCauses() []string {
	return slices.SortedFunc(maps.Keys(b.causes), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.causes[y], b.causes[x]), cmp.Compare(x, y))
	})
}

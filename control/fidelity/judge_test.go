package fidelity_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// A good candidate is never taken for a bad one, whatever the intervals, the load
// and the phases are.
func TestGoodCandidateAgrees(t *testing.T) {
	t.Parallel()
	for _, interval := range some(10*time.Second, 15*time.Second, 30*time.Second, 60*time.Second) {
		for _, load := range []shop{{burst: 3}, {burst: 3, lives: 4 * time.Minute}, {scrape: 30 * time.Second}, {burst: 3, scrape: 15 * time.Second, delay: 3 * time.Second, lives: 5 * time.Minute}} {
			t.Run(fmt.Sprintf("%s of %s burst %g delay %s lives %s", interval, max(load.scrape, 10*time.Second), load.burst, load.delay, load.lives), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, rigSettings{fidelity: queriesOf(shopQueries...), consolidation: dropPod(interval), interval: 30 * time.Second})
					s := load
					s.pods, s.scrape = 20, max(s.scrape, 10*time.Second)
					verdicts := r.run(15*time.Minute, s.at)
					for i, v := range verdicts {
						if v != nil {
							assert.Empty(t, v.Differences, "look %d", i)
						}
					}
					last := verdicts[len(verdicts)-1]
					require.NotNil(t, last)
					assert.Equal(t, uint64(len(shopQueries)), mostJudged(verdicts), "%+v", last)
					t.Logf("identical %d, within %d, max %.3g, mean %.3g", last.Panels.Identical, last.Panels.Within, last.MaxError, last.MeanError)
				})
			})
		}
	}
}

// mostJudged is how many panels were judged at one of the last looks: what is
// suspected at one of them is judged at another.
func mostJudged(verdicts []*experiment.FidelityVerdict) (n uint64) {
	for _, v := range verdicts[len(verdicts)-4:] {
		n = max(n, v.Panels.Judged())
	}
	return n
}

// Loads, intervals and phases by chance. PHOENIX_LONG=1 tries more of them.
func TestGoodCandidateAgreesByChance(t *testing.T) {
	t.Parallel()
	seeds := 3
	if os.Getenv("PHOENIX_LONG") != "" {
		seeds = 60
	}
	if raceEnabled {
		seeds = 1
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		of := func(seconds ...time.Duration) time.Duration { return seconds[r.IntN(len(seconds))] * time.Second }
		load := shop{
			pods: 3 + r.IntN(30), scrape: of(5, 7, 10, 15, 20, 30), delay: of(0, 1, 2, 3), burst: float64(r.IntN(5)), lives: of(0, 180, 360),
		}
		s := rigSettings{fidelity: queriesOf(shopQueries...), interval: of(10, 20, 30, 60)}
		emits := of(5, 10, 15, 20, 30, 45, 60)
		if s.consolidation = dropPod(emits); load.scrape > 20*time.Second && emits > 30*time.Second {
			s.consolidation = dropPod(30 * time.Second) // 2m would hold two samples
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				verdicts := newRig(t, s).run(15*time.Minute, load.at)
				for i, v := range verdicts {
					if v != nil {
						require.Empty(t, v.Differences, "look %d of %s, %+v", i, emits, load)
					}
				}
				assert.Equal(t, uint64(len(shopQueries)), mostJudged(verdicts))
			})
		})
	}
}

// An arm whose rule changes nothing shows what consolidation does to answers
// merely by its timing. It agrees within half of the default tolerances.
func TestIdentityArm(t *testing.T) {
	t.Parallel()
	for _, interval := range some(10*time.Second, 15*time.Second, 30*time.Second, 60*time.Second) {
		t.Run(interval.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := queriesOf(shopQueries...)
				most, mean := 0.005, 0.0005
				f.Tolerance, f.MeanTolerance = &most, &mean
				r := newRig(t, rigSettings{fidelity: f, interval: 30 * time.Second, consolidation: fmt.Sprintf(
					"interval: %s\nwriter: none\nrules:\n  - {name: identity, match: {metric: \"*\"}, attributes: {drop: [nothing]}, gauge: last}", interval)})
				for i, v := range r.run(15*time.Minute, (&shop{pods: 20, scrape: 10 * time.Second, burst: 3, lives: 5 * time.Minute}).at) {
					if v != nil {
						assert.Empty(t, v.Differences, "look %d", i)
					}
				}
			})
		})
	}
}

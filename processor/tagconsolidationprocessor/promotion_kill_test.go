package tagconsolidationprocessor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// killRun is a run of TestPromotionKilledAtEveryWrite.
type killRun struct {
	a          *arms
	operations int // that the promotion took
	killed     bool
	sent       int
}

// plenty is more operations than any run takes.
const plenty = 1 << 30

// killedPromotion promotes an experiment; after so many operations, which are
// writes to the storages and batches that leave, the process is killed, and another
// one goes on. With late, control knows its rules an interval after it began only.
func killedPromotion(t *testing.T, mirror, late bool, operations int) killRun {
	t.Helper()
	candidate, common := experimentRules("default/x", dropPodOfAll)
	r := killRun{a: newArms(t, "writer: none\nmax_batch_points: 2").stored()}
	a := r.a
	a.has(candidate...)
	a.mirror, a.split = mirror, !mirror
	a.begin()
	for round := range 9 {
		a.at(10*round + 5)
		if round == 3 {
			if a.power.left = plenty; operations > 0 {
				a.power.limited, a.power.left = true, operations
			}
			a.has(common...)
			a.looks()
		}
		if late && r.killed {
			a.looks()
		}
		n := 10 * (round + 1)
		at := fmt.Sprintf("%ds", 10*round+5)
		for _, pod := range []string{"a", "b"} {
			a.send(
				fmt.Sprintf("resource{service.name=shop} counter requests {pod=%s} 1s..%s %d", pod, at, n),
				fmt.Sprintf("resource{service.name=shop} histogram latency {pod=%s} 1s..%s [%d 0]@[1] sum=%d", pod, at, n, n),
				fmt.Sprintf("resource{service.name=shop} gauge load {pod=%s} %s 5", pod, at),
				fmt.Sprintf("resource{service.name=shop} counter.delta bytes {pod=%s} %ds..%s 3", pod, 10*round-5, at))
			r.sent += 3
		}
		a.edge(round%2 == 0)
		if round == 4 {
			r.operations = plenty - a.power.left
			a.power.limited = false
		}
		if a.power.out {
			r.killed = true
			known := a.control.snapshot
			if late {
				a.control.snapshot = &policy.Snapshot{}
			}
			a.restart()
			a.control.snapshot = known
		}
	}
	return r
}

// TestPromotionKilledAtEveryWrite kills the collector at every single operation of
// a promotion, one run each. Whatever was done by then, the streams are in one of
// the two states: the output shows all that the inputs counted, its series neither
// falls nor begins anew, and nothing is there twice.
func TestPromotionKilledAtEveryWrite(t *testing.T) {
	for _, mirror := range []bool{false, true} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("mirror %t, control late %t", mirror, late), func(t *testing.T) {
				whole := killedPromotion(t, mirror, late, 0)
				require.False(t, whole.killed)
				require.Greater(t, whole.operations, 20)
				for kill := 1; kill < whole.operations; kill++ {
					run := killedPromotion(t, mirror, late, kill)
					require.True(t, run.killed, "kill %d", kill)
					run.check(t, kill)
				}
				whole.check(t, 0)
			})
		}
	}
}

func (r *killRun) check(t *testing.T, kill int) {
	t.Helper()
	a := r.a
	for _, series := range []string{"counter requests", "histogram latency"} {
		list := a.database["resource{service.name=shop} "+series]
		last := list[len(list)-1]
		require.InDelta(t, 180.0, last.value, 0, "kill %d: %s", kill, series)
		require.Equal(t, nanos(a.now), last.at, "kill %d", kill)
		for i, s := range list[1:] {
			require.False(t, s.stale, "kill %d: %s ended", kill, series)
			require.Equal(t, list[0].start, s.start, "kill %d: %s began anew", kill, series)
			require.GreaterOrEqual(t, s.value, list[i].value, "kill %d: %s fell", kill, series)
		}
	}
	load := a.database["resource{service.name=shop} gauge load"]
	require.InDelta(t, 10.0, load[len(load)-1].value, 0, "kill %d", kill)
	deltas := a.increase("bytes")
	require.LessOrEqual(t, deltas, float64(r.sent), "kill %d", kill)
	require.GreaterOrEqual(t, deltas, float64(r.sent-12), "kill %d", kill)
	require.Equal(t, 0, a.candidate.engine.Stats().Inputs, "kill %d", kill)
	require.Equal(t, 6+2, a.common.engine.Stats().Inputs, "kill %d", kill)
}

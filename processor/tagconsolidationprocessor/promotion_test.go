package tagconsolidationprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func (a *arms) at(seconds int) { a.now = epoch.Add(time.Duration(seconds) * time.Second) }

// After the promotion of a split the output goes on as it was: the same series,
// the same start, and no increment is lost.
func TestPromotionOfASplit(t *testing.T) {
	for _, candidateFirst := range []bool{false, true} {
		t.Run(fmt.Sprint("candidate turns first: ", candidateFirst), func(t *testing.T) {
			candidate, common := experimentRules("default/x", dropPodOfAll)
			a := newArms(t, "writer: none")
			a.has(candidate...)
			a.split = true
			a.begin()
			a.at(5)
			a.send("resource{service.name=shop} counter requests {pod=a} 0s..5s 100", "resource{service.name=shop} counter requests {pod=b} 1s..5s 7",
				"resource{service.name=other} counter requests {pod=c} 1s..5s 1")
			require.Equal(t, []string{"resource{service.name=other} counter requests {pod=c} 1s..5s 1"}, a.shown())
			require.Equal(t, []string{"resource{service.name=shop} counter requests 0s..10s 107"}, a.edge(candidateFirst))
			a.at(12)
			a.has(common...)
			a.looks()
			a.at(15)
			a.send("resource{service.name=shop} counter requests {pod=a} 0s..15s 104")
			require.Empty(t, a.shown(), "until the edge it is as it was")
			require.Equal(t, []string{"resource{service.name=shop} counter requests 0s..20s 111"}, a.edge(candidateFirst))
			require.Zero(t, a.candidate.engine.Stats().Inputs+a.candidate.engine.Stats().Outputs)
			require.Equal(t, 2, a.common.engine.Stats().Inputs)
			a.at(25)
			a.send("resource{service.name=shop} counter requests {pod=a} 0s..25s 105", "resource{service.name=shop} counter requests {pod=b} 1s..25s 10",
				"resource{service.name=shop} counter requests {pod=new} 22s..25s 1000")
			require.Empty(t, a.shown())
			require.Equal(t, []string{"resource{service.name=shop} counter requests 0s..30s 1115"}, a.edge(candidateFirst))
			a.split = false // the router lets go of the experiment
			a.at(35)
			a.send("resource{service.name=shop} counter requests {pod=a} 0s..35s 106")
			require.Equal(t, []string{"resource{service.name=shop} counter requests 0s..40s 1116"}, a.edge(candidateFirst))
			for range 40 {
				a.edge(candidateFirst)
			}
			require.Empty(t, a.candidate.rules.Load().rules, "nothing is under way any more")
			require.Empty(t, a.candidate.departing.until)
		})
	}
}

// After the promotion of a mirror the output has another name: it begins at the
// edge with the value that it had, and the series that went to the baseline end
// when they come first.
func TestPromotionOfAMirror(t *testing.T) {
	for _, candidateFirst := range []bool{false, true} {
		t.Run(fmt.Sprint("candidate turns first: ", candidateFirst), func(t *testing.T) {
			candidate, common := experimentRules("default/x", dropPodOfAll)
			a := newArms(t, "writer: none")
			a.has(candidate...)
			a.mirror = true
			a.begin()
			a.at(5)
			a.send("resource{service.name=shop} counter requests {pod=a} 0s..5s 100", "resource{service.name=shop} counter requests {pod=b} 1s..5s 7")
			require.Equal(t, []string{
				"resource{service.name=shop} counter requests {pod=a} 0s..5s 100", "resource{service.name=shop} counter requests {pod=b} 1s..5s 7",
			}, a.shown())
			require.Equal(t, []string{"resource{service.name=shop} counter requests {phoenix_arm=candidate} 0s..10s 107"}, a.edge(candidateFirst))
			a.at(12)
			a.has(common...)
			a.looks()
			a.at(15)
			a.send("resource{service.name=shop} counter requests {pod=a} 0s..15s 104")
			require.Equal(t, []string{"resource{service.name=shop} counter requests {pod=a} 0s..15s 104"}, a.shown(), "until the edge it is as it was")
			require.Equal(t, []string{
				"resource{service.name=shop} counter requests 20s..20s 111",
				"resource{service.name=shop} counter requests {phoenix_arm=candidate} 0s..20.001s stale",
				"resource{service.name=shop} counter requests {phoenix_arm=candidate} 0s..20s 111",
			}, a.edge(candidateFirst))
			a.at(25)
			a.send("resource{service.name=shop} counter requests {pod=a} 0s..25s 105", "resource{service.name=shop} counter requests {pod=b} 1s..25s 10")
			require.Equal(t, []string{
				"resource{service.name=shop} counter requests {pod=a} 0s..25s stale", "resource{service.name=shop} counter requests {pod=b} 1s..25s stale",
			}, a.shown())
			require.Equal(t, []string{"resource{service.name=shop} counter requests 20s..30s 115"}, a.edge(candidateFirst))
			a.mirror = false
			a.at(35)
			a.send("resource{service.name=shop} counter requests {pod=a} 0s..35s 106")
			require.Empty(t, a.shown())
			require.Equal(t, []string{"resource{service.name=shop} counter requests 20s..40s 116"}, a.edge(candidateFirst))
		})
	}
}

// What the writers of the arms are called may differ: then the candidate's output
// ends, and the common one begins with its value.
func TestPromotionToAnotherWriter(t *testing.T) {
	candidate, common := experimentRules("default/x", dropPodOfAll)
	a := newArms(t, "writer: {id: one}")
	a.configs[1].Writer.ID = "two"
	a.has(candidate...)
	a.split = true
	a.begin()
	a.at(5)
	a.send("resource{service.name=shop} counter requests {pod=a} 0s..5s 100", "resource{service.name=shop} counter.delta bytes {pod=a} 0s..5s 3")
	a.edge(true)
	a.has(common...)
	a.looks()
	a.at(15)
	a.send("resource{service.name=shop} counter requests {pod=a} 0s..15s 104")
	require.Equal(t, []string{
		"resource{service.name=shop} counter requests {phoenix.writer=one} 20s..20s 104",
		"resource{service.name=shop} counter requests {phoenix.writer=two} 0s..20.001s stale",
		"resource{service.name=shop} counter requests {phoenix.writer=two} 0s..20s 104",
		"resource{service.name=shop} counter.delta bytes {phoenix.writer=two} -..20s stale",
	}, a.edge(true))
	a.at(25)
	a.send("resource{service.name=shop} counter requests {pod=a} 0s..25s 105", "resource{service.name=shop} counter.delta bytes {pod=a} 15s..25s 3")
	require.Empty(t, a.shown())
	require.Equal(t, []string{
		"resource{service.name=shop} counter requests {phoenix.writer=one} 20s..30s 105",
		"resource{service.name=shop} counter.delta bytes {phoenix.writer=one} 20s..30s 3",
	}, a.edge(true))
}

// traffic is what some pods send: every kind of stream, each of which grows by
// what is drawn.
type traffic struct {
	pods   int
	totals map[string]int // by pod
	deltas int            // all that was sent
}

func (f *traffic) lines(t *rapid.T, a *arms, all bool) []string {
	var lines []string
	at := writeDuration(a.now.Sub(epoch))
	for i := range f.pods {
		pod := fmt.Sprint("p", i)
		if !all && rapid.IntRange(0, 3).Draw(t, "silent") == 0 {
			continue
		}
		n := rapid.IntRange(0, 9).Draw(t, "growth")
		f.totals[pod] += n
		f.deltas += n
		total := f.totals[pod]
		labels := "{pod=" + pod + "}"
		above := "resource{service.name=shop} "
		lines = append(lines,
			fmt.Sprintf(above+"counter requests %s 0s..%s %d", labels, at, total),
			fmt.Sprintf(above+"updown connections %s 0s..%s 5", labels, at),
			fmt.Sprintf(above+"gauge load %s %s 5", labels, at),
			fmt.Sprintf(above+"histogram latency %s 0s..%s [%d 0]@[1] sum=%d", labels, at, total, total),
			fmt.Sprintf(above+"exponential sizes %s 0s..%s scale=1 pos=0[%d] sum=%d", labels, at, total, total),
			fmt.Sprintf(above+"summary waits %s 0s..%s count=%d sum=%d", labels, at, total, total),
			fmt.Sprintf(above+"counter.delta bytes %s %s..%s %d", labels, writeDuration(a.now.Add(-time.Second).Sub(epoch)), at, n))
	}
	return lines
}

func (f *traffic) sum() (n int) {
	for _, total := range f.totals {
		n += total
	}
	return n
}

// TestIncreaseOverAPromotion is what promotions are for: over a window around
// one, what a database shows grew by exactly what the inputs grew by, whatever the
// kind of stream, and wherever points were when the rule moved. Nobody sees the
// series beside their sum for longer than an interval.
func TestIncreaseOverAPromotion(t *testing.T) {
	cumulative := []string{"requests", "latency", "sizes", "waits"}
	checkProperty(t, 400, 20_000, func(t *rapid.T) {
		candidate, common := experimentRules("default/x", dropPodOfAll)
		a := newArms(t, "writer: none\nheartbeat: 10s\n")
		a.has(candidate...)
		a.mirror = rapid.Bool().Draw(t, "mirror")
		a.split, a.endedAtOnce = !a.mirror, !a.mirror
		a.begin()
		f := &traffic{pods: rapid.IntRange(1, 4).Draw(t, "pods"), totals: map[string]int{}}
		candidateFirst := rapid.Bool().Draw(t, "candidate turns first")
		promoted := rapid.IntRange(2, 5).Draw(t, "promoted")
		first, before := 0, map[string]float64{}
		for round := range 9 {
			a.at(10*round + rapid.IntRange(1, 8).Draw(t, "second"))
			if round == promoted {
				a.has(common...)
				a.looks()
			}
			a.far = round == promoted && rapid.Bool().Draw(t, "far")
			a.send(f.lines(t, a, round == 0 || round == promoted+1)...)
			a.edge(candidateFirst)
			a.arrive() // what was under way at the edge
			if round == promoted+2 {
				a.split, a.mirror = false, false
			}
			if round == 0 {
				first = f.sum()
				for _, metric := range cumulative {
					before[metric] = a.increase(metric)
				}
			}
		}
		a.edge(candidateFirst)
		for _, metric := range cumulative {
			require.InDelta(t, float64(f.sum()-first), a.increase(metric)-before[metric], 0, metric)
		}
		require.InDelta(t, float64(f.deltas), a.increase("bytes"), 0)
		edge := epoch.Add(time.Duration(10*promoted+10) * time.Second)
		for at := epoch.Add(20 * time.Second); at.Before(a.now); at = at.Add(time.Second) {
			if d := at.Sub(edge); d >= 0 && d < 10*time.Second && !a.endedAtOnce {
				continue
			}
			require.InDelta(t, float64(5*f.pods), a.instant("load", at), 0, "at %s, promoted %s", at.Sub(epoch), edge.Sub(epoch))
			require.InDelta(t, float64(5*f.pods), a.instant("connections", at), 0, "at %s", at.Sub(epoch))
		}
	})
}

package relabel

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// The counts that are kept in constant time are those of a set of all outputs,
// and the limit holds for what is alive unless the Governor says otherwise.
func TestGovernorCountsAsASetDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 30).Draw(t, "limit")
		s := limit(most)
		if rapid.Bool().Draw(t, "ordered") {
			s.Folder.Order = []Ref{{Bare, "pod"}, {Bare, "user"}}
		}
		if rapid.Bool().Draw(t, "protected") {
			s.Folder.Protect = []Ref{{Bare, "user"}}
		}
		s.Staleness = 2 * time.Duration(interval)
		l := newLoop(t, Settings{Protect: s.Folder.Protect, Drop: bare("gone")}, s)
		if rapid.Bool().Draw(t, "few rows") {
			l.governor.folder.columns.room = rapid.IntRange(1, 2*most).Draw(t, "rows")
		}
		text := func(n int) func(string) string {
			return func(name string) string { return strconv.Itoa(rapid.IntRange(0, n).Draw(t, name)) }
		}
		t.Repeat(map[string]func(*rapid.T){
			"points": func(*rapid.T) {
				l.point(output{"pod": text(40)("pod"), "user": text(6)("user"), "code": text(2)("code"), "gone": text(9)("gone")})
			},
			"edge":    func(*rapid.T) { l.edge() },
			"restart": func(*rapid.T) { l = l.restarted() },
			"":        func(t *rapid.T) { checkTally(t, l) },
		})
	})
}

func checkTally(t require.TestingT, l *loop) {
	g := l.governor
	f := g.folder
	gone := f.mark(f.steps)
	rows := map[uint64]bool{}
	for row, live := range f.columns.live {
		if live == 0 {
			continue
		}
		id := f.columns.whole[row]
		for i, is := range gone {
			if is {
				id -= f.columns.parts[i][row]
			}
		}
		rows[id] = true
	}
	for id := range g.tally.passing {
		require.False(t, rows[id], "counted as a row")
	}
	require.Equal(t, len(rows)+len(g.tally.passing), g.tally.outputs())
	require.LessOrEqual(t, f.Known(), f.columns.room)
	known := 0
	for i := range g.known.Load().keys {
		if key := g.known.Load().keys[i].Load(); key != 0 && key != dropped {
			known++
		}
	}
	require.Equal(t, f.Known(), known)
	require.LessOrEqual(t, known, g.known.Load().used)
	if !g.Exhausted() {
		require.LessOrEqual(t, g.tally.outputs(), f.settings.MaxSeries)
		if f.columns.room >= minRows { // there is a row for each output
			require.LessOrEqual(t, l.alive(l.now-uint64(l.settings.Staleness)), f.settings.MaxSeries)
		}
	}
}

// Points of many goroutines, edges and restarts of the state at once. What is
// asserted is what holds at any time; -race sees the rest.
func TestGovernorIsSafeForMany(t *testing.T) {
	const most, workers, rounds = 200, 4, 3_000
	s := limit(most)
	s.TopK = &TopKSettings{K: 4, Other: "other"}
	s.Staleness = time.Minute
	g, err := NewGovernor(s)
	require.NoError(t, err)
	p := mustPlan(t, Settings{Ranked: &Ranked{Ref{OnPoint, "route"}, "other"}})
	var wg sync.WaitGroup
	for worker := range uint64(workers) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(worker, 1))
			rewriter := p.Rewriter(series.Point, testHasher(t))
			m := pcommon.NewMap()
			weights := map[string]float64{}
			for i := range uint64(rounds) {
				m.PutStr("pod", strconv.Itoa(r.IntN(2_000)))
				m.PutStr("route", strconv.Itoa(r.IntN(9)))
				view := g.View()
				part := rewriter.Identity(m, view)
				g.See(part.Unfolded.A, i*second/10, func(dst []Label) (uint64, []Label) { return 0, rewriter.Labels(dst, m, view) })
				weights[part.Candidate]++
				if i%100 == 0 {
					g.Weigh(weights)
					clear(weights)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range uint64(rounds / 10) {
			g.Advance(i * second)
			assert.Len(t, g.View().Folds(), len(g.View().Folds()))
			if g.Known() > 2*max(most, minRows) {
				t.Errorf("%d are known", g.Known())
			}
			g.State()
			g.Exhausted()
		}
	})
	wg.Wait()
	g.Advance(rounds * second / 10)
	assert.Equal(t, []string{"pod"}, keysOf(g.View().Folds()))
	assert.Equal(t, 4, g.View().Members().Len())
	checkTally(t, &loop{governor: g, settings: s})
}

func TestSeeDoesNotAllocate(t *testing.T) {
	g, err := NewGovernor(GovernorSettings{Folder: &FolderSettings{MaxSeries: 10_000}, Staleness: time.Minute})
	require.NoError(t, err)
	attrs, s := twelve()
	r := mustPlan(t, s).Rewriter(series.Point, testHasher(t))
	now := uint64(0)
	see := func() {
		now += second
		view := g.View()
		g.See(r.Identity(attrs, view).Unfolded.A, now, func(dst []Label) (uint64, []Label) { return now * 0, r.Labels(dst, attrs, view) })
	}
	see()
	assert.Zero(t, testing.AllocsPerRun(100, see))
	assert.Equal(t, 1, g.Known())
}

// Known outputs, by one goroutine and by all; and outputs without a row.
func BenchmarkGovernorSee(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		g, err := NewGovernor(GovernorSettings{Folder: &FolderSettings{MaxSeries: n}, Staleness: 5 * time.Minute})
		require.NoError(b, err)
		keys := make([]uint64, n)
		describe := func(dst []Label) (uint64, []Label) { return 1, dst }
		r := rand.New(rand.NewPCG(1, 2))
		for i := range keys {
			keys[i] = r.Uint64()
			g.See(keys[i], 0, func(dst []Label) (uint64, []Label) { return keys[i], dst })
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			now := uint64(0)
			for i := 0; b.Loop(); i++ {
				now += 100 // ns
				g.See(keys[i%n], now, describe)
			}
		})
		b.Run(fmt.Sprint(n, "/parallel"), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				now := uint64(0)
				for i := rand.IntN(n); pb.Next(); i++ {
					now += 100
					g.See(keys[i%n], now, describe)
				}
			})
		})
	}
}

// A new output under folds, with all rows taken: what churn costs.
func BenchmarkGovernorMeet(b *testing.B) {
	l := newLoop(b, Settings{}, limit(1_000))
	attrs, _ := twelve()
	for i := range 5_000 {
		attrs.PutStr("k8s.pod.name", strconv.Itoa(i))
		part := l.rewriter.Identity(attrs, nil)
		l.governor.See(part.Unfolded.A, 1, func(dst []Label) (uint64, []Label) { return 0, l.rewriter.Labels(dst, attrs, nil) })
	}
	require.Len(b, l.governor.View().Folds(), 1)
	b.ReportAllocs()
	for i := uint64(1); b.Loop(); i++ {
		l.governor.See(i*0x9e3779b97f4a7c15, 2, func(dst []Label) (uint64, []Label) { return 0, l.rewriter.Labels(dst, attrs, nil) })
	}
}

package abrouterconnector

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/routing"
)

// Many receivers send at once while the weight changes again and again, some
// batches are refused, and changes end: every point is in exactly one arm, what
// else the arms get is of streams that moved, and nothing of them is remembered
// when all is over.
func TestManySendersWhileTheWeightChanges(t *testing.T) {
	w := newWorld(t, 0, byTenant(routing.LevelPoint))
	s := newSplitter(time.Minute, 500)
	var current atomic.Pointer[view]
	current.Store(w.v)
	var clock atomic.Int64
	clock.Store(w.now.UnixNano())
	const senders, batches = 8, 150
	var wait sync.WaitGroup
	for sender := range senders {
		wait.Go(func() {
			var counts tally
			for b := range batches {
				md := stream(counterOf, "t0", second, pcommon.Timestamp(b+2)*second, b)
				points := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
				for i := range 40 {
					addPoint(points, "t"+strconv.Itoa(sender*40+i), second, pcommon.Timestamp(b+2)*second, b)
				}
				all := md.DataPointCount()
				counts.reset()
				d := s.divide(current.Load(), md, time.Unix(0, clock.Load()), &counts)
				got := 0
				for of := range sides {
					if d.has[of] {
						got += d.parts[of].DataPointCount()
					}
					if d.lastPoints[of] > 0 && d.last[of].DataPointCount() != d.lastPoints[of] {
						t.Errorf("%d last points, %d counted", d.last[of].DataPointCount(), d.lastPoints[of])
					}
				}
				if got != all || counts.total(toBaseline)+counts.total(toCandidate) != all {
					t.Errorf("%d of %d points, %d counted", got, all, counts.total(toBaseline)+counts.total(toCandidate))
				}
				if b%7 == 0 {
					d.forget()
				}
			}
		})
	}
	for i := range 300 {
		old := current.Load()
		next := *old.routes[0]
		next.Weight = []int{1, 5, 25, 50, 100, 0}[i%6]
		next.generation++
		current.Store(&view{table: old.table, splits: true, routes: []*route{&next}})
		if i%20 == 19 {
			clock.Add(int64(time.Minute))
		}
	}
	wait.Wait()
	s.sweep(time.Unix(0, clock.Load()).Add(3 * time.Minute))
	require.Zero(t, s.overlaps.used)
	require.Empty(t, s.overlaps.open)
	require.Zero(t, s.overlaps.next.Load())
}

package consolidation_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

const (
	crowdInputs  = 400
	crowdOutputs = 7
)

// crowd feeds counters from four goroutines; the counters move between outputs at random.
type crowd struct {
	values [crowdInputs]atomic.Int64
}

func (x *crowd) point(i, out int, v int64) *c.Point {
	p := &c.Point{Input: key(fmt.Sprint("in", i)), Output: key(fmt.Sprint("out", out)), Rule: 1, Kind: c.CumulativeSum, Now: zero + 2*second}
	p.Sum.Span = spatial.Span{Start: zero + 1, Time: zero + second + uint64(v)}
	p.Sum.Value = spatial.Int(v)
	return p
}

func (x *crowd) run(e *c.Engine, rounds int) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(g)))
			for range rounds {
				i := random.IntN(crowdInputs/4)*4 + g
				out := i % crowdOutputs
				if random.IntN(4) == 0 {
					out = random.IntN(crowdOutputs)
				}
				e.Feed(x.point(i, out, x.values[i].Add(1)), owner(fmt.Sprint("out", out)))
			}
		})
	}
	wg.Wait()
}

// sum is what all outputs show in the end.
func (x *crowd) sum(e *c.Engine, edge uint64) (sum int64) {
	for o := range crowdOutputs { // all of them have something to show
		e.Feed(x.point(1000+o, o, 1), owner(fmt.Sprint("out", o)))
	}
	e.Flush(edge, func(m *c.Emission) { sum += m.Number.Int() })
	return sum - crowdOutputs
}

func (x *crowd) total() (total int64) {
	for i := range x.values {
		total += x.values[i].Load()
	}
	return total
}

// TestManyGoroutines: whatever runs at the same time, nothing is lost or counted twice, and every snapshot that was taken
// meanwhile catches up to the same.
func TestManyGoroutines(t *testing.T) {
	e := c.New(c.Settings{Shards: 8, Staleness: time.Hour})
	e.Watch(1, zero)
	for o := range crowdOutputs { // an output that nobody feeds would end
		e.Feed((&crowd{}).point(2000+o, o, 0), owner(fmt.Sprint("out", o)))
	}
	x := &crowd{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.run(e, 20_000)
	}()
	var snapshots [][]*c.Part
	edge := zero + interval
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		var parts []*c.Part
		for part := range e.Snapshot() {
			parts = append(parts, part)
		}
		snapshots = append(snapshots, parts)
		e.Flush(edge, func(*c.Emission) { e.Feed(x.point(3000, 1, 0), owner("out1")) }) // no lock is held
		edge += second / 1000
	}
	require.Equal(t, x.total(), x.sum(e, edge))
	t.Logf("%d snapshots", len(snapshots))
	for _, parts := range snapshots[max(0, len(snapshots)-100):] {
		next := c.New(c.Settings{Shards: 4, Staleness: time.Hour})
		for _, part := range parts {
			next.Restore(part, zero)
		}
		for i := range crowdInputs {
			p := x.point(i, i%crowdOutputs, x.values[i].Load())
			p.Sum.Time += second
			if p.Sum.Value.Int() > 0 {
				next.Feed(p, owner(fmt.Sprint("out", i%crowdOutputs)))
			}
		}
		require.Equal(t, x.total(), x.sum(next, edge+interval))
	}
}

// TestASnapshotThatIsNotFinishedLeavesNothingBehind also for the next one.
func TestASnapshotThatIsNotFinishedLeavesNothingBehind(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	for i := range 20 {
		l.feed(fmt.Sprint("in", i), fmt.Sprint("out", i), 1, 5, 10)
	}
	for range l.e.Snapshot() {
		break
	}
	for i := range 20 {
		l.feed(fmt.Sprint("in", i), fmt.Sprint("out", i+1), 1, 6, 10)
	}
	inputs := 0
	for part := range l.e.Snapshot() {
		inputs += len(part.Inputs)
	}
	require.Equal(t, 20, inputs)
}

// TestAMoveDuringASnapshotIsInItOnce: to a shard that is copied already, and from one.
func TestAMoveDuringASnapshotIsInItOnce(t *testing.T) {
	for name, forward := range map[string]bool{"out of the future": false, "into the past": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, c.CumulativeSum)
			l.e = c.New(c.Settings{Shards: 2})
			l.e.Watch(1, at(0))
			first, second := outputsOfTwoShards(t, l)
			if forward {
				first, second = second, first
			}
			l.is(spatial.First, "a", second, 1, 5, 100)
			next := c.New(c.Settings{Shards: 2})
			parts := 0
			for part := range l.e.Snapshot() {
				require.Zero(t, next.Restore(part, at(10)))
				if parts++; parts == 1 {
					l.is(spatial.Increased, "a", first, 1, 11, 110)
					l.is(spatial.Increased, "a", second, 1, 12, 120)
					l.is(spatial.Increased, "a", first, 1, 13, 130)
				}
			}
			l.e = next
			require.True(t, l.feed("a", second, 1, 14, 140).Verdict.Counted())
			sum := int64(0)
			for _, g := range l.flush(15) {
				sum += g.Number.Int()
			}
			require.Equal(t, int64(140), sum)
		})
	}
}

// outputsOfTwoShards returns an output of the first part of a snapshot and one of the second.
func outputsOfTwoShards(t *testing.T, l *lab) (first, second string) {
	t.Helper()
	for _, name := range []string{"p", "q", "r", "s", "u", "v"} {
		l.is(spatial.First, "in "+name, name, 1, 2, 0)
	}
	parts := 0
	for part := range l.e.Snapshot() {
		require.NotEmpty(t, part.Outputs)
		name := part.Outputs[0].Owner.(string)
		if parts++; parts == 1 {
			first = name
		} else {
			second = name
		}
	}
	return first, second
}

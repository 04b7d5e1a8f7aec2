package consolidation_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// What rules know moves from engine to engine while goroutines feed: whoever is
// told that the rule moved feeds the next. Every increment is counted once.
func TestRulesMoveWhileGoroutinesFeed(t *testing.T) {
	const feeders, inputs, rounds, moves = 4, 40, 400, 5
	engines := make([]*c.Engine, moves+1)
	ready := make([]chan struct{}, moves+1)
	for i := range engines {
		engines[i], ready[i] = c.New(c.Settings{}), make(chan struct{})
	}
	engines[0].Watch(1, zero)
	close(ready[0])
	var feeding sync.WaitGroup
	for f := range feeders {
		feeding.Go(func() {
			for round := range rounds {
				for i := range inputs {
					p := &c.Point{
						Input: key(fmt.Sprint("in", f, i)), Output: key(fmt.Sprint("out", i%7)), Rule: 1, Kind: c.CumulativeSum, Now: zero + second,
						Sum: spatial.SumPoint{
							Span: spatial.Span{Start: zero + 1, Time: zero + 2 + uint64(round)}, Value: spatial.Int(int64(round + 1)),
						},
					}
					for at := 0; ; at++ {
						<-ready[at]
						if engines[at].Feed(p, owner("")).Happened&c.RuleMoved == 0 {
							break
						}
					}
				}
			}
		})
	}
	for i := range moves {
		h := engines[i].Release([]c.RuleID{1})
		require.Zero(t, engines[i].Stats().Inputs)
		require.Zero(t, engines[i].Stats().Outputs)
		engines[i+1].Watch(1, zero+second)
		require.Zero(t, engines[i+1].TakeOver(h, zero+second))
		close(ready[i+1])
	}
	feeding.Wait()
	var total int64
	engines[moves].Flush(zero+2*second, func(m *c.Emission) { total += m.Number.Int() })
	require.EqualValues(t, feeders*inputs*rounds, total)
	require.Equal(t, feeders*inputs, engines[moves].Stats().Inputs)
	for _, e := range engines[:moves] {
		require.Zero(t, e.Flush(zero+2*second, func(*c.Emission) {}).Values)
	}
}

// An input that was forgotten before its rule moved does not count again after.
func TestForgottenInputsMoveToo(t *testing.T) {
	renamed := key("part")
	for _, rename := range []bool{false, true} {
		a, b := c.New(c.Settings{}), c.New(c.Settings{})
		a.Watch(1, zero)
		b.Watch(1, zero+600*second)
		in := key("in")
		if rename {
			in.A, in.B = in.A+renamed.A, in.B+renamed.B
		}
		p := &c.Point{Input: in, Output: key("out"), Rule: 1, Kind: c.CumulativeSum, Now: zero + second, Sum: spatial.SumPoint{
			Span: spatial.Span{Start: zero + 1, Time: zero + second}, Value: spatial.Int(100),
		}}
		require.Equal(t, spatial.First, a.Feed(p, owner("")).Verdict)
		a.Flush(zero+10*second, func(*c.Emission) {})
		a.Flush(zero+500*second, func(*c.Emission) {})
		require.Zero(t, a.Stats().Inputs)
		h := a.Release([]c.RuleID{1})
		if rename {
			h.Rename(renamed)
		}
		b.TakeOver(h, zero+600*second)
		p.Input, p.Now, p.Sum.Time = key("in"), zero+601*second, zero+601*second
		require.Equal(t, spatial.BaselineMaybeEvicted, b.Feed(p, owner("")).Verdict, "rename %t", rename)
	}
}

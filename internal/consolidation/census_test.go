package consolidation_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// counted lists outputs as rule/owner: inputs.
func counted(e *c.Engine) string {
	var list []string
	e.Census(func(o *c.OutputSize) { list = append(list, fmt.Sprintf("%d/%s:%d", o.Rule, o.Owner, o.Inputs)) })
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestCensusCountsWhatIsLive(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.e.Watch(9, at(0))
	require.Empty(t, counted(l.e))
	l.feed("a", "x", 1, 5, 1)
	l.feed("b", "x", 1, 5, 1)
	l.feed("c", "y", 1, 5, 1)
	l.rule = 9
	l.feed("d", "z", 1, 5, 1)
	require.Equal(t, "1/x:2 1/y:1 9/z:1", counted(l.e))
	l.rule = 1
	l.feed("b", "y", 1, 6, 2) // a label folded
	require.Equal(t, "1/x:1 1/y:2 9/z:1", counted(l.e))
	l.flush(15)
	l.retire(15)
	require.Equal(t, "9/z:1", counted(l.e))
}

func TestCensusKnowsTheBucketsOfHistograms(t *testing.T) {
	e := c.New(c.Settings{})
	histogramFleet(e, 20)
	outputs := 0
	e.Census(func(o *c.OutputSize) {
		outputs++
		require.Equal(t, perOutput, o.Inputs)
		require.Equal(t, 15, o.Buckets)
		require.Equal(t, c.CumulativeHistogram, o.Kind)
	})
	require.Equal(t, 2, outputs)
}

// While points come and outputs end, what is there all the time is counted.
func TestCensusBesideTheDataPath(t *testing.T) {
	e := c.New(c.Settings{Shards: 2})
	fleet(e, 20_000)
	e.Watch(2, zero)
	var others sync.WaitGroup
	others.Go(func() {
		for i := range 20_000 {
			e.Feed(&c.Point{
				Input: key(fmt.Sprint("other", i)), Output: key(fmt.Sprint("else", i)), Rule: 2, Kind: c.CumulativeSum, Now: zero + second,
				Sum: spatial.SumPoint{Span: spatial.Span{Start: zero, Time: zero + second}, Value: spatial.Int(5)},
			}, owner(""))
		}
		e.RetireAll([]c.RuleID{2, 3}, zero+2*second, func(*c.Emission) {})
	})
	for range 20 {
		inputs := 0
		e.Census(func(o *c.OutputSize) {
			if o.Rule == 1 {
				inputs += o.Inputs
			}
		})
		require.Equal(t, 20_000, inputs)
	}
	others.Wait()
	require.Equal(t, 2000, e.Stats().Outputs)
}

func TestSeveralRulesEndTogether(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	for rule := c.RuleID(2); rule <= 4; rule++ {
		l.e.Watch(rule, at(0))
	}
	for i, rule := range []c.RuleID{1, 2, 3, 4} {
		l.rule = rule
		l.feed(fmt.Sprint("in", i), fmt.Sprint("out", i), 1, 5, 10)
	}
	var got []emitted
	l.e.RetireAll([]c.RuleID{1, 3, 77}, at(10), keep(&got))
	require.ElementsMatch(t, []string{"out0=10@0", "out0=stale", "out2=10@0", "out2=stale"}, lines(got))
	l.emits(15, "out1=10@0", "out3=10@0")
	require.Equal(t, at(20), l.e.Watch(3, at(20)), "it is another rule if it returns")
	require.Equal(t, at(0), l.e.Watch(2, at(20)))
}

// BenchmarkCensus measures a whole census; what it holds up at a time is the
// 512th part of it for 262,144 outputs.
func BenchmarkCensus(b *testing.B) {
	for _, outputs := range []int{1000, 262_144} {
		b.Run(fmt.Sprint("outputs=", outputs), func(b *testing.B) {
			e := c.New(c.Settings{MaxStreams: 10_000_000})
			e.Watch(1, zero)
			for i := range outputs {
				e.Feed(&c.Point{
					Input: key(fmt.Sprint("in", i)), Output: key(fmt.Sprint("out", i)), Rule: 1, Kind: c.CumulativeSum, Now: zero + second,
					Sum: spatial.SumPoint{Span: spatial.Span{Start: zero, Time: zero + second}, Value: spatial.Int(5)},
				}, owner(""))
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				e.Census(func(*c.OutputSize) { n++ })
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/output")
		})
	}
}

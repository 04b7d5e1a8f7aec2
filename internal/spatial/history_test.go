package spatial_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// row is a line of the table of verdicts: when it holds, written out in full so that no row needs another to have failed.
type row struct {
	verdict spatial.Verdict
	when    func(last *spatial.Span, p spatial.Span, fell bool, w spatial.Watch) bool
}

func sound(p spatial.Span) bool { return p.Time > 0 && p.Time < 1<<63 && p.Start <= p.Time }

func newer(last *spatial.Span, p spatial.Span) bool {
	return last != nil && sound(p) && p.Time > last.Time
}

func begunSince(last *spatial.Span, p spatial.Span) bool {
	return p.Start > last.Time && p.Start != p.Time
}

func begunUnseen(last *spatial.Span, p spatial.Span) bool {
	return last == nil && sound(p) && p.Start != 0 && p.Start != p.Time
}

var rows = []row{
	{spatial.NoTime, func(_ *spatial.Span, p spatial.Span, _ bool, _ spatial.Watch) bool { return p.Time == 0 }},
	{spatial.TimeOutOfRange, func(_ *spatial.Span, p spatial.Span, _ bool, _ spatial.Watch) bool { return p.Time >= 1<<63 }},
	{spatial.StartAfterTime, func(_ *spatial.Span, p spatial.Span, _ bool, _ spatial.Watch) bool {
		return p.Time > 0 && p.Time < 1<<63 && p.Start > p.Time
	}},
	{spatial.BaselineUnknownStart, func(last *spatial.Span, p spatial.Span, _ bool, _ spatial.Watch) bool {
		return last == nil && sound(p) && (p.Start == 0 || p.Start == p.Time)
	}},
	{spatial.BaselineOldStart, func(last *spatial.Span, p spatial.Span, _ bool, w spatial.Watch) bool {
		return begunUnseen(last, p) && p.Start < w.Activation
	}},
	{spatial.BaselineMaybeEvicted, func(last *spatial.Span, p spatial.Span, _ bool, w spatial.Watch) bool {
		return begunUnseen(last, p) && p.Start >= w.Activation && p.Start <= w.Horizon
	}},
	{spatial.First, func(last *spatial.Span, p spatial.Span, _ bool, w spatial.Watch) bool {
		return begunUnseen(last, p) && p.Start >= w.Activation && p.Start > w.Horizon
	}},
	{spatial.Late, func(last *spatial.Span, p spatial.Span, _ bool, _ spatial.Watch) bool {
		return last != nil && sound(p) && p.Time < last.Time
	}},
	{spatial.Duplicate, func(last *spatial.Span, p spatial.Span, _ bool, _ spatial.Watch) bool {
		return last != nil && sound(p) && p.Time == last.Time
	}},
	{spatial.ResetByStart, func(last *spatial.Span, p spatial.Span, _ bool, _ spatial.Watch) bool {
		return newer(last, p) && begunSince(last, p)
	}},
	{spatial.ResetByValue, func(last *spatial.Span, p spatial.Span, fell bool, _ spatial.Watch) bool {
		return newer(last, p) && !begunSince(last, p) && fell
	}},
	{spatial.StartShift, func(last *spatial.Span, p spatial.Span, fell bool, _ spatial.Watch) bool {
		return newer(last, p) && !begunSince(last, p) && !fell && p.Start != last.Start
	}},
	{spatial.Increased, func(last *spatial.Span, p spatial.Span, fell bool, _ spatial.Watch) bool {
		return newer(last, p) && !begunSince(last, p) && !fell && p.Start == last.Start
	}},
}

// judge finds the one row that holds.
func judge(last *spatial.Span, p spatial.Span, fell bool, w spatial.Watch) spatial.Verdict {
	var found []spatial.Verdict
	for _, r := range rows {
		if r.when(last, p, fell, w) {
			found = append(found, r.verdict)
		}
	}
	if len(found) != 1 {
		panic(fmt.Sprintf("the table is not one: %v for %v after %v", found, p, last))
	}
	return found[0]
}

// history is what arrives of one input.
type history struct {
	watch  spatial.Watch
	points []spatial.SumPoint
}

// nextSpan draws times around those of the last point: progress, jitter, resets, repeats, reordering, nonsense.
func nextSpan(t *rapid.T, last spatial.Span) spatial.Span {
	time := last.Time + rapid.Uint64Range(1, 6).Draw(t, "step")
	p := spatial.Span{Start: last.Start, Time: time}
	switch rapid.IntRange(0, 15).Draw(t, "times") {
	case 0:
		p.Time = last.Time
	case 1:
		p.Time -= min(p.Time, rapid.Uint64Range(0, 9).Draw(t, "back"))
	case 2, 3:
		p.Start += rapid.Uint64Range(0, 3).Draw(t, "later")
	case 4:
		p.Start -= min(p.Start, rapid.Uint64Range(0, 3).Draw(t, "earlier"))
	case 5, 6:
		p.Start = rapid.Uint64Range(last.Time, time).Draw(t, "again")
	case 7:
		p.Start = 0
	case 8:
		p.Start = p.Time
	case 9:
		p.Start = p.Time + rapid.Uint64Range(0, 2).Draw(t, "after")
	case 10:
		p.Time = rapid.SampledFrom([]uint64{0, 1 << 63, math.MaxUint64, time}).Draw(t, "odd")
	}
	return p
}

func aWatch(t *rapid.T) (spatial.Watch, spatial.Span) {
	w := spatial.Watch{Activation: rapid.Uint64Range(10, 20).Draw(t, "activation"), Horizon: rapid.Uint64Range(0, 18).Draw(t, "horizon")}
	return w, spatial.Span{Start: rapid.Uint64Range(8, 22).Draw(t, "start"), Time: rapid.Uint64Range(18, 23).Draw(t, "time")}
}

func histories(doubles bool) *rapid.Generator[history] {
	return rapid.Custom(func(t *rapid.T) history {
		w, base := aWatch(t)
		h, last := history{watch: w}, base
		value := rapid.Int64Range(0, 50).Draw(t, "value")
		for range rapid.IntRange(1, 25).Draw(t, "points") {
			last = nextSpan(t, last)
			switch rapid.IntRange(0, 9).Draw(t, "values") {
			case 0:
				value = rapid.Int64Range(-2, max(value-1, 0)).Draw(t, "fall")
			case 1:
				value = rapid.Int64Range(max(0, value-2), math.MaxInt64).Draw(t, "leap")
			case 2:
			default:
				value += min(rapid.Int64Range(0, 40).Draw(t, "growth"), math.MaxInt64-max(value, 0))
			}
			n := spatial.Int(value)
			if doubles {
				switch rapid.IntRange(0, 19).Draw(t, "kind") {
				case 0:
					n = spatial.Double(rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0}).Draw(t, "special"))
				case 1, 2:
				default:
					n = spatial.Double(float64(value) + rapid.Float64Range(0, 1).Draw(t, "fraction"))
				}
			}
			h.points = append(h.points, spatial.SumPoint{Span: last, Value: n})
			if last.Time == 0 || last.Time >= 1<<62 {
				last = base // go on after nonsense
			}
		}
		return h
	})
}

type advance func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict)

// checkHistory replays a history. The model keeps every point that was not refused or ignored, and computes from all of them
// what the stream has grown by, segment by segment: last − base, where the base of a segment is nothing if its beginning
// was seen, and its first point if not.
func checkHistory(step advance, h history) string {
	var in spatial.SumInput
	var kept []spatial.SumPoint
	var begins []int       // of segments, as indexes of kept
	var fromNothing []bool // whether a segment counts from zero
	var total spatial.Total
	for i, p := range h.points {
		var last *spatial.Span
		fell := false
		if len(kept) > 0 {
			last = &kept[len(kept)-1].Span
			fell = p.Value.Compare(kept[len(kept)-1].Value) < 0
		}
		want := judge(last, p.Span, fell, h.watch)
		if bad := p.Value.Monotonic(); bad != spatial.Accepted && want != spatial.Late && want != spatial.Duplicate && want < spatial.NoTime {
			want = bad
		}
		increment, got := step(&in, p, h.watch)
		if got != want {
			return fmt.Sprintf("point %d is %s, not %s", i, got, want)
		}
		if !got.Counted() && increment != spatial.Int(0) {
			return fmt.Sprintf("point %d is %s and counts", i, got)
		}
		if got.Counted() || got.Baseline() {
			if got.Baseline() || got == spatial.First || got.Reset() {
				begins, fromNothing = append(begins, len(kept)), append(fromNothing, got.Counted())
			}
			kept = append(kept, p)
		}
		if increment.Monotonic() != spatial.Accepted {
			return fmt.Sprintf("point %d makes the sum fall", i)
		}
		total.Add(increment)
		if problem := grown(kept, begins, fromNothing, &total); problem != "" {
			return fmt.Sprintf("after point %d: %s", i, problem)
		}
	}
	return ""
}

func grown(kept []spatial.SumPoint, begins []int, fromNothing []bool, total *spatial.Total) string {
	want := new(big.Rat)
	ints := true
	for s, begin := range begins {
		end := len(kept)
		if s+1 < len(begins) {
			end = begins[s+1]
		}
		want.Add(want, exact(kept[end-1].Value))
		if !fromNothing[s] {
			want.Sub(want, exact(kept[begin].Value))
		}
	}
	for _, p := range kept {
		ints = ints && !p.Value.IsDouble()
	}
	switch got := total.Value(); {
	case ints && want.Num().IsInt64() && (got.IsDouble() || exact(got).Cmp(want) != 0):
		return fmt.Sprintf("%v is not exactly %v", got, want)
	case !near(got.Float(), want, want):
		return fmt.Sprintf("%v is not near %v", got.Float(), want)
	}
	return ""
}

func TestAdvanceAgainstTheFullHistory(t *testing.T) {
	for name, doubles := range map[string]bool{"integers": false, "doubles and integers": true} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				require.Empty(t, checkHistory((*spatial.SumInput).Advance, histories(doubles).Draw(t, "history")))
			})
		})
	}
}

// The generator would prove little if some verdict were rare.
func TestHistoriesReachEveryVerdict(t *testing.T) {
	seen := map[spatial.Verdict]int{}
	histories := histories(true)
	for seed := range 500 {
		h := histories.Example(seed)
		var in spatial.SumInput
		for _, p := range h.points {
			_, v := in.Advance(p, h.watch)
			seen[v]++
		}
	}
	for _, r := range rows {
		require.GreaterOrEqual(t, seen[r.verdict], 10, r.verdict)
	}
	t.Log(seen)
}

// A process that counts, restarts and tells the truth about its start: all that it had counted at each scrape since it began is
// counted once; what it counted between the last scrape and a restart nobody can know.
func TestAdvanceAgainstAProcessThatTellsTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in spatial.SumInput
		var out spatial.Total
		now, started := uint64(1000), uint64(1000)
		value, scraped, want := int64(0), int64(0), int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now += rapid.Uint64Range(1, 10).Draw(t, "pause")
			switch rapid.IntRange(0, 5).Draw(t, "event") {
			case 0:
				started, value, scraped = now, 0, 0
			case 1, 2, 3:
				value += rapid.Int64Range(0, 1000).Draw(t, "work")
			default:
				if now == started {
					continue
				}
				p := spatial.SumPoint{Span: spatial.Span{Start: started, Time: now}, Value: spatial.Int(value)}
				increment, v := in.Advance(p, spatial.Watch{Activation: 1000})
				require.True(t, v.Counted(), v)
				out.Add(increment)
				want += value - scraped
				scraped = value
				require.Equal(t, spatial.Int(want), out.Value())
			}
		}
	})
}

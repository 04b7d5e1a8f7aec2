package consolidation_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// lab is an engine with a clock; times are seconds since zero.
type lab struct {
	t    *testing.T
	e    *c.Engine
	kind c.Kind
	rule c.RuleID
}

func newLab(t *testing.T, kind c.Kind) *lab {
	t.Helper()
	l := &lab{t: t, e: c.New(c.Settings{Shards: 4}), kind: kind, rule: 1}
	l.e.Watch(1, at(0))
	return l
}

// at is a moment: 0.5 is half a second after zero.
func at(s float64) uint64 { return zero + uint64(s*1e9) }

// unknown is the start that says nothing.
const unknown = -1

func (l *lab) point(in, out string, start, time float64) *c.Point {
	p := &c.Point{Input: key(in), Output: key(out), Rule: l.rule, Kind: l.kind, Now: at(time)}
	p.Sum.Span = spatial.Span{Start: at(start), Time: at(time)}
	if start == unknown {
		p.Sum.Start = 0
	}
	return p
}

// feed takes an integer value.
func (l *lab) feed(in, out string, start, time float64, value int64) c.Outcome {
	p := l.point(in, out, start, time)
	p.Sum.Value = spatial.Int(value)
	return l.e.Feed(p, owner(out))
}

// is feeds and demands a verdict.
func (l *lab) is(want spatial.Verdict, in, out string, start, time float64, value int64) c.Outcome {
	l.t.Helper()
	got := l.feed(in, out, start, time, value)
	require.Equal(l.t, want.String(), got.Verdict.String())
	return got
}

func (l *lab) stale(in string, time float64) c.Outcome {
	p := l.point(in, "out", time, time)
	p.Stale = true
	return l.e.Feed(p, owner("out"))
}

// flush ends the interval and returns what was emitted as "output=value".
func (l *lab) flush(edge float64) []emitted {
	var got []emitted
	l.e.Flush(at(edge), keep(&got))
	return got
}

// emits demands what a flush emits: "output=value@start", with the start in seconds or "-".
func (l *lab) emits(edge float64, want ...string) {
	l.t.Helper()
	got := l.flush(edge)
	for i := range got {
		require.Equal(l.t, at(edge), got[i].Time)
	}
	require.ElementsMatch(l.t, want, lines(got))
}

func lines(got []emitted) []string {
	text := []string{}
	for i := range got {
		g := &got[i]
		switch {
		case g.Stale:
			text = append(text, g.name+"=stale")
		case g.Start == 0:
			text = append(text, fmt.Sprintf("%s=%s@-", g.name, g.String()))
		default:
			text = append(text, fmt.Sprintf("%s=%s@%v", g.name, g.String(), float64(g.Start-zero)/1e9))
		}
	}
	return text
}

// quiet flushes every interval from one edge to another and demands silence.
func (l *lab) quiet(from, to float64) {
	l.t.Helper()
	for edge := from; edge <= to; edge += 15 {
		l.emits(edge)
	}
}

// restart carries a snapshot over into a new engine.
func (l *lab) restart(now float64) {
	next := c.New(c.Settings{Shards: 8})
	for part := range l.e.Snapshot() {
		require.Zero(l.t, next.Restore(part, at(now)))
	}
	l.e = next
}

func (l *lab) retire(edge float64) []string {
	var got []emitted
	l.e.Retire(l.rule, at(edge), keep(&got))
	l.rule++
	l.e.Watch(l.rule, at(edge))
	return lines(got)
}

func (l *lab) histogram(in string, time float64, bounds []float64, counts ...uint64) c.Outcome {
	p := l.point(in, "out", 1, time)
	b, _ := l.e.Bounds(bounds)
	p.Histogram = &spatial.HistogramPoint{Span: p.Sum.Span, Bounds: b, Counts: counts}
	for _, n := range counts {
		p.Histogram.Count += n
	}
	return l.e.Feed(p, owner("out"))
}

var minute = time.Minute.Seconds()

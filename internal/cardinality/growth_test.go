package cardinality

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// steady sends every series of a metric of n.
func (r *rig) steady(metric string, n int) {
	list := make([][]attr, 0, 1000)
	for i := range n {
		list = append(list, []attr{point("id", strconv.Itoa(i)), point("half", strconv.Itoa(i%2))})
		if len(list) == cap(list) || i == n-1 {
			r.send(metric, "", nil, list...)
			list = list[:0]
		}
	}
}

// leak is a source of series that were never there before, two a second.
type leak struct{ next int }

func (l *leak) seconds(r *rig, metric string, seconds int) {
	for range 2 * seconds {
		r.send(metric, "", nil, []attr{point("id", fmt.Sprint("uuid-", l.next)), point("half", "0")})
		l.next++
	}
}

// TestLeakIsFlaggedWithinTwoSubWindows in metrics of up to 20,000 series, at
// whatever moment of a sub-window it begins, and its series are counted.
func TestLeakIsFlaggedWithinTwoSubWindows(t *testing.T) {
	sizes := []int{100, 5000, 20_000}
	if raceDetector {
		sizes = []int{100}
	}
	for _, n := range sizes {
		for _, begin := range []int{0, 75, 140} {
			for _, subWindow := range []time.Duration{15 * time.Second, 150 * time.Second} {
				t.Run(fmt.Sprintf("series=%d/begin=%d/sub_window=%s", n, begin, subWindow), func(t *testing.T) {
					t.Parallel()
					testLeak(t, n, begin, subWindow)
				})
			}
		}
	}
}

func testLeak(t *testing.T, n, begin int, subWindow time.Duration) {
	t.Helper()
	r := newRig(t, func(s *Settings) { s.SubWindow = subWindow })
	seconds := int(subWindow / time.Second)
	begin = begin * seconds / 150
	for range 6 {
		r.steady("m", n)
		require.False(t, r.only(t, "m").Growing)
		r.rotate()
	}
	var l leak
	flagged, elapsed := -1, 0
	for w := range 6 {
		r.steady("m", n)
		from := 0
		if w == 0 {
			from = begin
		}
		for range seconds - from {
			l.seconds(r, "m", 1)
			elapsed++
			if flagged < 0 && r.only(t, "m").Growing {
				flagged = elapsed
			}
		}
		if w < 5 {
			r.rotate()
		}
	}
	require.Positive(t, flagged, "never flagged")
	require.LessOrEqual(t, flagged, 2*seconds, "flagged after %d s", flagged)
	m := r.only(t, "m")
	inWindow := 2 * 4 * seconds // the leak has lasted longer than the window of four sub-windows
	require.GreaterOrEqual(t, float64(m.NewInWindow), 0.95*float64(inWindow))
	require.LessOrEqual(t, int(m.NewInWindow), l.next)
	require.InDelta(t, 120, m.NewPerMinute, 15, "a leak of 2 a second")
	require.False(t, m.Accelerating, "it is steady")
}

// TestSteadyMetricIsNeverFlagged: no number of rotations makes a metric of a
// million series look as if it grew. The long form is 24 hours of the default
// window at a million series; the short form is 24 hours at 20,000 and one
// hour at a million.
func TestSteadyMetricIsNeverFlagged(t *testing.T) {
	const day = 24 * 60 * 60 / 150
	for _, s := range []struct{ series, subWindows int }{{20_000, day}, {1_000_000, day / 24}} {
		switch {
		case long:
			s.subWindows = day
		case raceDetector:
			s.series /= 50
		}
		t.Run(fmt.Sprintf("series=%d/sub_windows=%d", s.series, s.subWindows), func(t *testing.T) {
			t.Parallel()
			hashes := make([]uint64, s.series)
			r := newRig(t, nil)
			src := &testSource{hasher: r.hasher, parts: []uint64{1}, list: make([][]attr, s.series)}
			for i := range hashes {
				src.list[i] = []attr{point("id", strconv.Itoa(i)), point("half", strconv.Itoa(i%2))}
				hashes[i] = src.hash(i)
			}
			m := r.Metric(Descriptor{Name: "m", Type: Gauge}, "")
			for w := range s.subWindows {
				r.misses = m.Observe(hashes, src, r.misses)
				m.mu.Lock()
				growing := m.growth.isGrowing(m.epoch, m.streams(), r.settings.SubWindow)
				fresh := m.growth.inWindow(m.epoch, 1)
				m.mu.Unlock()
				require.False(t, growing, "sub-window %d", w)
				if w > 0 {
					require.Zero(t, fresh, "sub-window %d", w)
				}
				r.rotate()
			}
		})
	}
}

// TestDeploymentIsNotGrowth: a thousand new series within one sub-window, and
// the old ones gone, is a deployment.
func TestDeploymentIsNotGrowth(t *testing.T) {
	r := newRig(t, nil)
	for range 5 {
		r.steady("m", 1000)
		r.rotate()
	}
	for i := range 1000 {
		r.send("m", "", nil, []attr{point("id", fmt.Sprint("new-", i))})
	}
	require.EqualValues(t, 1000, r.last(t, "m", 1).NewInWindow)
	for range 4 {
		require.False(t, r.only(t, "m").Growing)
		r.rotate()
		for i := range 1000 {
			r.send("m", "", nil, []attr{point("id", fmt.Sprint("new-", i))})
		}
	}
	require.False(t, r.only(t, "m").Growing)
}

// TestAcceleration: the rate doubles from one sub-window to the next.
func TestAcceleration(t *testing.T) {
	r := newRig(t, nil)
	for range 4 {
		r.steady("m", 1000)
		r.rotate()
	}
	next := 0
	for n := 50; n <= 800; n *= 2 {
		r.steady("m", 1000)
		for range n {
			r.send("m", "", nil, []attr{point("id", fmt.Sprint("new-", next))})
			next++
		}
		r.rotate()
	}
	m := r.only(t, "m")
	require.True(t, m.Growing)
	require.True(t, m.Accelerating)
	for range 3 { // it ends
		r.steady("m", 1000)
		r.rotate()
	}
	m = r.only(t, "m")
	require.False(t, m.Growing)
	require.False(t, m.Accelerating)
}

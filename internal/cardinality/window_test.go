package cardinality

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSeriesLeaveAfterTheWindow, from rows and from the table, and the metric
// goes when its last series has gone.
func TestSeriesLeaveAfterTheWindow(t *testing.T) {
	r := newRig(t, nil)
	send := func(id string) { r.send("m", "", nil, []attr{point("id", id)}) }
	send("old")
	send("both")
	for w := range 3 {
		r.rotate()
		send("both")
		require.EqualValues(t, 2, r.only(t, "m").Analysis.Series, "sub-window %d", w)
	}
	r.rotate() // old was last seen four sub-windows ago
	a := r.only(t, "m").Analysis
	require.EqualValues(t, 1, a.Series)
	require.EqualValues(t, 1, a.attribute(t, "id").Distinct)
	for range 4 {
		r.rotate()
	}
	require.Empty(t, r.Report(r.now, 4, nil).Metrics)
	require.Zero(t, r.Totals().Bytes, "all memory is given back")
	send("again")
	require.EqualValues(t, 1, r.only(t, "m").Analysis.Series)
}

// TestSinceCountsTheLatestSubWindows, by rows and by sketches.
func TestSinceCountsTheLatestSubWindows(t *testing.T) {
	for _, n := range []int{100, 10_000} {
		r := newRig(t, nil)
		send := func(name string, n int) {
			for i := range n {
				r.send("m", "", nil, []attr{point("id", fmt.Sprint(name, i)), point("half", strconv.Itoa(i%2))})
			}
		}
		send("a", 2*n)
		r.rotate()
		send("b", n)
		one, two := r.last(t, "m", 1).Analysis, r.last(t, "m", 2).Analysis
		require.EqualValues(t, n, one.Streams)
		require.EqualValues(t, 3*n, two.Streams)
		require.InDelta(t, n, float64(one.Series), 0.02*float64(n))
		require.InDelta(t, 3*n, float64(two.Series), 0.06*float64(n))
		require.InDelta(t, n, float64(one.attribute(t, "id").Distinct), 0.05*float64(n))
		for _, c := range []struct {
			since, elapsed time.Duration
			epochs         int
		}{{0, 0, 4}, {time.Second, 0, 2}, {time.Second, time.Second, 1}, {150 * time.Second, 0, 2}, {151 * time.Second, 0, 3}, {10 * time.Minute, 0, 4}} {
			epochs, ok := r.Epochs(c.since, r.now.Add(c.elapsed))
			require.True(t, ok)
			require.Equal(t, c.epochs, epochs, "%s, %s into the running sub-window", c.since, c.elapsed)
		}
		_, ok := r.Epochs(601*time.Second, r.now)
		require.False(t, ok)
		require.Equal(t, r.now, r.Report(r.now, 1, nil).From)
		require.Equal(t, r.now.Add(-r.settings.SubWindow), r.Report(r.now, 4, nil).From, "counting began then")
	}
}

// TestLateKeyCountsOlderSeriesToo: without the late key, the series that never
// had it are still there.
func TestLateKeyCountsOlderSeriesToo(t *testing.T) {
	for _, n := range []int{1000, 10_000} {
		r := newRig(t, nil)
		r.steady("m", n)
		for i := range 1000 { // each of 10 values of late for 100 of the ids
			r.send("m", "", nil, []attr{point("id", strconv.Itoa(i%100)), point("half", strconv.Itoa(i%2)), point("late", strconv.Itoa(i/100))})
		}
		a := r.only(t, "m").Analysis
		require.InDelta(t, n+1000, float64(a.Series), 0.02*float64(n))
		require.InDelta(t, n, float64(a.attribute(t, "late").Without), 0.02*float64(n), "the 100 ids were there before")
	}
}

// TestMetricThatShrinksIsExactAgain one window later, and not before all its
// live series are known.
func TestMetricThatShrinksIsExactAgain(t *testing.T) {
	r := newRig(t, nil)
	r.steady("m", 20_000)
	require.True(t, r.only(t, "m").Analysis.Estimated)
	large := r.Totals().Bytes
	for range 12 {
		r.rotate()
		r.steady("m", 100)
		a := r.only(t, "m").Analysis
		if !a.Estimated {
			require.EqualValues(t, 100, a.Series)
			require.EqualValues(t, 2, a.attribute(t, "half").Distinct)
			require.EqualValues(t, 100, a.attribute(t, "half").Without)
		}
	}
	require.False(t, r.only(t, "m").Analysis.Estimated)
	require.Less(t, r.Totals().Bytes, large/50)
	r.steady("m", 20_000) // and large again
	require.InDelta(t, 20_000, float64(r.only(t, "m").Analysis.Series), 400)
}

// TestGroupsOfAMetricAreApart: each group has its own count.
func TestGroupsOfAMetricAreApart(t *testing.T) {
	r := newRig(t, nil)
	for i := range 30 {
		r.send("m", fmt.Sprint("service-", i%3), nil, []attr{point("id", strconv.Itoa(i))})
	}
	report := r.Report(r.now, 4, nil)
	require.Len(t, report.Metrics, 3)
	for _, m := range report.Metrics {
		require.EqualValues(t, 10, m.Analysis.Series, m.Group)
		require.EqualValues(t, 10, m.Points)
	}
}

// TestTypesOfOneName: the report names the type, or says that there are
// several.
func TestTypesOfOneName(t *testing.T) {
	r := newRig(t, nil)
	r.send("m", "", nil, []attr{point("id", "1")})
	require.Equal(t, "gauge", r.only(t, "m").Type.String())
	r.Metric(Descriptor{Name: "m", Type: Histogram}, "")
	require.Equal(t, "mixed", r.only(t, "m").Type.String())
	for want, typ := range map[string]Type{
		"sum": Sum, "histogram": Histogram, "exponential_histogram": ExponentialHistogram, "summary": Summary, "": 0,
	} {
		require.Equal(t, want, typ.String())
	}
}

// TestManyShapes: more bounds than are told apart count as the nearest.
func TestManyShapes(t *testing.T) {
	r := newRig(t, nil)
	for i := range 2 * maxShapes {
		parts := make([]uint64, i+2)
		for j := range parts {
			parts[j] = uint64(100*i + j + 1)
		}
		r.send("m", "", parts, []attr{point("id", strconv.Itoa(i))})
	}
	a := r.only(t, "m").Analysis
	require.EqualValues(t, 2*maxShapes, a.Streams)
	require.True(t, a.Estimated, "shapes were folded, so the series are an estimate")
	require.InDelta(t, 2*maxShapes*(maxShapes+1), float64(a.Series), float64(maxShapes*maxShapes))
}

// TestLongPause: a tracker whose clock stood still for days starts afresh.
func TestLongPause(t *testing.T) {
	r := newRig(t, nil)
	r.steady("m", 10_000)
	r.steady("small", 10)
	for range 300 {
		r.rotate()
	}
	require.Empty(t, r.Report(r.now, 4, nil).Metrics)
	r.steady("m", 10)
	require.EqualValues(t, 10, r.only(t, "m").Analysis.Series)
}

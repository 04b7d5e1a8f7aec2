package cardinalityprocessor

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// TestPointsCountOnceWhenMemoryIsFull: a point of the overflow is not one of
// its metric too.
func TestPointsCountOnceWhenMemoryIsFull(t *testing.T) {
	r := newRig(t)
	r.feed(r.start("max_memory_mib: 1"), "gauge a\n  x={1..40000}")
	c := r.report(report.CardinalityQuery{})
	require.Equal(t, uint64(40_000), c.Points)
	require.Equal(t, uint64(40_000), c.Metrics[0].Points+c.Overflow.Points)
}

// TestSinceIsCovered, also just after a sub-window has ended.
func TestSinceIsCovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		p := r.start("window: 4m")
		r.feed(p, "gauge a\n  x=1")
		time.Sleep(59 * time.Second)
		r.feed(p, "gauge a\n  x=2")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		c := r.report(report.CardinalityQuery{Since: time.Minute})
		require.Equal(t, uint64(2), c.Series)
		require.GreaterOrEqual(t, c.To.Sub(c.From), time.Minute)
	})
}

// TestSteadyLeakDoesNotAccelerate in the first sub-windows that are judged.
func TestSteadyLeakDoesNotAccelerate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		p := r.start("window: 4m")
		for i := range 8 {
			r.feed(p, fmt.Sprintf("gauge a\n  x={%d..%d}", i*100, i*100+99))
			time.Sleep(time.Minute)
			synctest.Wait()
			require.False(t, r.metric("a").Growth.Accelerating, "minute %d", i+1)
		}
	})
}

// TestTypesAndUnitsOfOneName are several metrics in a Prometheus: a, a_total
// and a_seconds.
func TestTypesAndUnitsOfOneName(t *testing.T) {
	r := newRig(t)
	r.feed(r.start(""), "gauge a\n  x=1\nsum a cumulative monotonic\n  x=1\ngauge a unit=s\n  x=1")
	require.Equal(t, uint64(3), r.metric("a").Series)
}

// TestBoundsOfAKnownSeriesChange: the old bounds leave with their window.
func TestBoundsOfAKnownSeriesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		p := r.start("window: 4m")
		r.feed(p, "histogram a cumulative\n  x=1 !bounds=1,2")
		for range 4 {
			time.Sleep(time.Minute)
			synctest.Wait()
			r.feed(p, "histogram a cumulative\n  x=1 !bounds=1,2,3,4")
		}
		require.Equal(t, uint64(7), r.metric("a").Series)
	})
}

type oneAttribute struct{ d cardinality.Description }

func (o *oneAttribute) Describe(int) *cardinality.Description { return &o.d }

// TestMetricRemovedWhileACallerHoldsIt: the caller's batch is counted, and no
// memory stays reserved.
func TestMetricRemovedWhileACallerHoldsIt(t *testing.T) {
	shared := newInstances()
	r := newRig(t)
	r.factory = newFactory(shared)
	r.start("")
	var tr *cardinality.Tracker
	for _, m := range shared.byID {
		tr = m.tracker
	}
	empty := tr.Totals().Bytes
	source := &oneAttribute{cardinality.Description{Parts: []uint64{1}, Attributes: []cardinality.Attribute{
		{Domain: series.Point, Key: "x", Sum: 7, Text: "1", String: true},
	}}}
	held := tr.Metric(cardinality.Descriptor{Name: "a", Type: cardinality.Gauge}, "")
	for range 6 {
		tr.Rotate(time.Now())
	}
	hashes := make([]uint64, 1000)
	for i := range hashes {
		hashes[i] = uint64(i+1) << 40
	}
	held.Observe(hashes, source, nil)
	require.Equal(t, int64(1000), tr.Totals().Streams)
	for range 6 {
		tr.Rotate(time.Now())
	}
	require.Equal(t, empty, tr.Totals().Bytes)
}

// TestLongKeysAreCharged against the memory bound.
func TestLongKeysAreCharged(t *testing.T) {
	r := newRig(t)
	p := r.start("max_memory_mib: 1")
	md := parseStream(t, "gauge a\n  -")
	a := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).Attributes()
	for i := range 50 {
		a.PutStr(strings.Repeat("k", 1<<20+i), "v")
	}
	require.NoError(t, p.ConsumeMetrics(t.Context(), md))
	require.Less(t, len(r.report(report.CardinalityQuery{}).Metrics[0].Attributes), 3)
}

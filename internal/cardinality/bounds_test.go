package cardinality

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// TestMetricsBeyondTheBoundAreOneEntry, with their number, series and points.
func TestMetricsBeyondTheBoundAreOneEntry(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.MaxMetrics = 10 })
	for i := range 110 {
		for s := range 20 {
			r.send(fmt.Sprint("m", i), "", nil, []attr{point("id", fmt.Sprint(i, "-", s))})
		}
	}
	report := r.Report(r.now, 4, nil)
	require.Len(t, report.Metrics, 10)
	require.Equal(t, []string{"max_metrics"}, report.Overflow.Reasons)
	require.InDelta(t, 100, float64(report.Overflow.Metrics), 2)
	require.InDelta(t, 2000, float64(report.Overflow.Series), 60)
	require.EqualValues(t, 2000, report.Overflow.Points)
	for range 4 {
		r.rotate()
	}
	require.Nil(t, r.Report(r.now, 4, nil).Overflow, "nothing overflowed within the window")
	r.send("m100", "", nil, []attr{point("id", "1")})
	require.Len(t, r.Report(r.now, 4, nil).Metrics, 1, "there is room again")
}

// TestAttributesBeyondTheBoundAreOneEntry, whose saving is that of dropping
// them all.
func TestAttributesBeyondTheBoundAreOneEntry(t *testing.T) {
	for _, n := range []int{500, 10_000} {
		r := newRig(t, func(s *Settings) { s.MaxAttributes = 2 })
		for i := range n {
			r.send("m", "", nil, []attr{
				point("a", strconv.Itoa(i%5)), point("b", strconv.Itoa(i/5%2)),
				point("c", strconv.Itoa(i/10%10)), point("d", strconv.Itoa(i/100)),
			})
		}
		m := r.only(t, "m")
		require.True(t, m.Folded)
		require.InDelta(t, n, float64(m.Analysis.Series), 0.02*float64(n))
		require.Len(t, m.Analysis.Attributes, 3)
		rest := m.Analysis.Attributes[2]
		require.True(t, rest.Rest)
		require.InDelta(t, 10, float64(rest.Without), 1, "5 × 2 stay when c and d go")
		overflow := r.Report(r.now, 4, nil).Overflow
		require.Equal(t, []string{"max_attributes_per_metric"}, overflow.Reasons)
		require.EqualValues(t, 1, overflow.Folded)
	}
}

// TestMemoryBoundHolds: whatever comes, the state stays below the bound, and
// what has no room is counted.
func TestMemoryBoundHolds(t *testing.T) {
	const bound = 8 << 20
	r := newRig(t, func(s *Settings) { s.MaxBytes = bound })
	rounds := 3
	if raceDetector {
		rounds = 1
	}
	for round := range rounds {
		for i := range 200 {
			for s := range 1000 {
				r.send(fmt.Sprint("m", i), "", nil, []attr{point("id", strconv.Itoa(s)), point("pod", strconv.Itoa(s/10))})
			}
			require.LessOrEqual(t, r.Totals().Bytes, int64(bound*11/10))
		}
		report := r.Report(r.now, 4, nil)
		require.NotNil(t, report.Overflow)
		require.Contains(t, report.Overflow.Reasons, "max_memory_mib")
		counted := uint64(0)
		for _, m := range report.Metrics {
			counted += m.Analysis.Streams
		}
		require.InDelta(t, 200_000, float64(counted+report.Overflow.Series), 4000, "round %d", round)
		r.rotate()
	}
	for range 4 {
		r.rotate()
	}
	require.Zero(t, r.Totals().Bytes)
}

// TestMemory checks the numbers of the README: the accounted bytes and those
// of the heap.
func TestMemory(t *testing.T) {
	million, metrics := 1_000_000, 2000
	if raceDetector { // which has memory of its own
		million, metrics = 20_000, 50
	}
	t.Run("2000 metrics of 100 series and 10 attributes", func(t *testing.T) {
		var r *rig
		heap := heapOf(func() {
			r = newRig(t, nil)
			for w := range 5 {
				for i := range metrics {
					list := make([][]attr, 100)
					for s := range list {
						for k := range 10 {
							list[s] = append(list[s], point(fmt.Sprint("key", k), strconv.Itoa(s%(k+1))))
						}
						list[s][0].value = strconv.Itoa(s)
					}
					r.send(fmt.Sprint("metric_", i), "", nil, list...)
				}
				if w < 4 {
					r.rotate()
				}
			}
		})
		require.EqualValues(t, 100*metrics, r.Totals().Streams)
		t.Logf("heap %.1f MiB, accounted %.1f MiB", mib(heap), mib(r.Totals().Bytes))
		require.Less(t, heap, int64(64<<20))
		if !raceDetector {
			require.InEpsilon(t, heap, r.Totals().Bytes, 0.3)
		}
		runtime.KeepAlive(r)
	})
	t.Run("one metric of a million series and 12 attributes", func(t *testing.T) {
		var r *rig
		n := million
		heap := heapOf(func() {
			r = newRig(t, nil)
			for range 5 {
				r.rotate()
				list := make([][]attr, 1000)
				for from := 0; from < n; from += len(list) {
					for i := range list {
						list[i] = list[i][:0]
						for k := range 11 {
							list[i] = append(list[i], point(attributeNames[k], attributeNames[i%(k+1)]))
						}
						list[i] = append(list[i], point("id", strconv.Itoa(from+i)))
					}
					r.send("m", "", nil, list...)
				}
			}
		})
		m := r.Metric(Descriptor{Name: "m", Type: Gauge}, "")
		table := sketch.TableBytes(m.seen.Load().Len())
		sketches := r.Totals().Bytes - int64(table)
		t.Logf("heap %.1f MiB; accounted: table %.1f bytes a series, sketches and the rest %.2f MiB",
			mib(heap), float64(table)/float64(n), mib(sketches))
		require.Less(t, sketches, int64(4<<20))
		require.GreaterOrEqual(t, table, 8*n)
		require.LessOrEqual(t, table, 16*n)
		if !raceDetector {
			require.InEpsilon(t, heap, r.Totals().Bytes, 0.3)
		}
		runtime.KeepAlive(r)
	})
}

var attributeNames = [...]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// heapOf returns by how much the live heap grows.
func heapOf(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.GC() // pools give up what they hold in the second cycle
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// TestManyCallers: four goroutines send the same and different series while
// reports are made and sub-windows end; nothing is lost or counted twice.
func TestManyCallers(t *testing.T) {
	r := newRig(t, nil)
	var senders, others sync.WaitGroup
	done := make(chan struct{})
	others.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				r.Report(r.now, 4, nil)
				r.Totals()
			}
		}
	})
	for g := range 4 {
		senders.Go(func() {
			own := &rig{Tracker: r.Tracker, hasher: r.hasher, now: r.now}
			for range 3 {
				own.steady("shared", 12_000)
				own.steady(fmt.Sprint("own-", g), 2000)
			}
		})
	}
	r.Rotate(r.now.Add(r.settings.SubWindow))
	senders.Wait()
	close(done)
	others.Wait()
	shared := r.only(t, "shared")
	require.EqualValues(t, 12_000, shared.Analysis.Streams)
	require.EqualValues(t, 4*3*12_000, shared.Points)
	for g := range 4 {
		require.EqualValues(t, 2000, r.only(t, fmt.Sprint("own-", g)).Analysis.Series)
	}
}

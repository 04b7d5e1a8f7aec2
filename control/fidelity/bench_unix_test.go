//go:build unix

package fidelity_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkLook is one look at 10,000 series with 200 alerts and 100 panels. At
// whole scrapes both arms answer the same; at others they do so but for the
// timing of outputs, which has to be found out.
func BenchmarkLook(b *testing.B) {
	for _, emits := range []time.Duration{10 * time.Second, 30 * time.Second} {
		b.Run(fmt.Sprintf("emits=%s", emits), func(b *testing.B) {
			f := newFleet(b, 50, 200, 300, emits)
			v := f.play(b, 10*time.Minute)
			require.Equal(b, uint64(300), v.All().Judged(), "%+v", v)
			var spent time.Duration
			for b.Loop() {
				b.StopTimer()
				for range 3 {
					f.send(b)
					f.now = f.now.Add(10 * time.Second)
				}
				f.drain(b)
				before := processorTime(b)
				b.StartTimer()
				v = f.judge.Look(b.Context(), f.now)
				b.StopTimer()
				spent += processorTime(b) - before
				b.StartTimer()
			}
			require.Zero(b, v.All().Differs, "%+v", v)
			b.ReportMetric(float64(v.All().Identical), "identical")
			b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// processorTime is that of the process, which other processes do not change.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

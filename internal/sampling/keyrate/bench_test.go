package keyrate_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
)

func benchTable(tb testing.TB, keys int, quantile float64) *keyrate.Table {
	tb.Helper()
	table, err := keyrate.New(keyrate.Settings{MaxKeys: keys, Total: 1000, Quantile: quantile})
	require.NoError(tb, err)
	tb.Cleanup(table.Close)
	for id := range uint64(keys) {
		table.Add(id*0x9e3779b97f4a7c15, strconv.FormatUint(id%100, 10), "key").Count(1, 1, 1)
	}
	table.Adjust(time.Second)
	return table
}

// BenchmarkItem is all that is done for one item: it is never dearer than that,
// since a batch looks up each of its keys once.
func BenchmarkItem(b *testing.B) {
	for _, keys := range []int{100, 100_000} {
		b.Run(strconv.Itoa(keys), func(b *testing.B) {
			table := benchTable(b, keys, 0)
			b.ReportAllocs()
			n := uint64(0)
			for b.Loop() {
				n++
				item(table, n%uint64(keys)*0x9e3779b97f4a7c15)
			}
		})
	}
}

func item(table *keyrate.Table, id uint64) {
	k := table.Find(id)
	_ = k.Threshold()
	k.Count(1, 1, 1)
}

func BenchmarkItemParallel(b *testing.B) {
	const keys = 100_000
	table := benchTable(b, keys, 0)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		n := uint64(0)
		for pb.Next() {
			n++
			item(table, n%keys*0x9e3779b97f4a7c15)
		}
	})
}

// BenchmarkLatency is what a quantile costs besides.
func BenchmarkLatency(b *testing.B) {
	k := benchTable(b, 1, 0.99).Find(0)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		d := time.Duration(n%1000) * time.Millisecond
		k.Slow(d)
		k.Took(d)
	}
}

// BenchmarkAdjust is the end of an interval in which all of 100,000 keys came.
func BenchmarkAdjust(b *testing.B) {
	const keys = 100_000
	table := benchTable(b, keys, 0)
	for b.Loop() {
		b.StopTimer()
		for id := range uint64(keys) {
			table.Find(id*0x9e3779b97f4a7c15).Count(2, 2, 1)
		}
		b.StartTimer()
		table.Adjust(time.Second)
	}
}

func TestItemsAllocateNothing(t *testing.T) {
	table := benchTable(t, 100, 0.99)
	k := table.Find(0)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		item(table, 0)
		k.Slow(time.Second)
		k.Took(time.Second)
	}))
}

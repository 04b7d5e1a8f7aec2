package stream_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

func TestTableSharesWhatIsEqual(t *testing.T) {
	var table stream.Table
	built := 0
	get := func(id uint64) *stream.Resource {
		return table.Resource(series.Pair{A: id}, func() *stream.Resource {
			built++
			return &stream.Resource{ID: series.Pair{A: id}}
		})
	}
	one := get(1)
	require.Same(t, one, get(1))
	require.NotSame(t, one, get(2))
	require.Equal(t, 2, built)
	runtime.KeepAlive(one)
}

func TestTableForgetsWhatNobodyUses(t *testing.T) {
	var table stream.Table
	kept := table.Scope(series.Pair{A: 1 << 40}, func() *stream.Scope { return &stream.Scope{Name: "kept"} })
	for i := range uint64(10_000) {
		table.Scope(series.Pair{A: i}, func() *stream.Scope { return &stream.Scope{Name: "gone"} })
		if i%1000 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
	_, scopes, _ := table.Len()
	require.Equal(t, 1, scopes)
	again := table.Scope(series.Pair{A: 1 << 40}, func() *stream.Scope { return &stream.Scope{Name: "made again"} })
	require.Equal(t, "kept", again.Name)
	require.Same(t, kept, again)
}

func TestTableIsSafeForManyGoroutines(t *testing.T) {
	var table stream.Table
	var wg sync.WaitGroup
	found := make([]*stream.Metric, 8)
	for g := range found {
		wg.Go(func() {
			for i := range uint64(1000) {
				m := table.Metric(series.Pair{A: i}, func() *stream.Metric { return &stream.Metric{Name: "m"} })
				if i == 999 {
					found[g] = m
				}
			}
		})
	}
	wg.Wait()
	for _, m := range found {
		require.Same(t, found[0], m)
	}
}

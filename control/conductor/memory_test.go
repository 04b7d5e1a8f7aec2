//go:build !race

package conductor_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// TestMemoryOfAnExperiment: a running experiment without queries and units takes
// less than 16 KiB, with a full history.
func TestMemoryOfAnExperiment(t *testing.T) {
	const n = 3000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	c, _, _ := running(t, n)
	for range 25 {
		c.LookAtAll(t.Context())
	}
	c.StoreAll(t.Context())
	v, _ := c.View(key("e00001"))
	require.Equal(t, uint64(25), v.State.History.Total)
	each := (heap() - before) / n
	t.Logf("%d bytes an experiment", each)
	require.Less(t, each, uint64(16<<10))
	require.Equal(t, n, c.Stats().Phases[experiment.PhaseRunning])
	runtime.KeepAlive(c)
}

//go:build !race

package cardinalityprocessor

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// An experiment that is under way and sends little takes less than 16 KiB, and
// steady points allocate nothing more.
func TestAnExperimentTakesLittle(t *testing.T) {
	const many = 10_000
	routes := make([]policy.Route, many)
	for i := range routes {
		routes[i] = splitRoute(fmt.Sprintf("a/x%d", i), fmt.Sprintf("s%d", i), "attribute", "point.tenant")
	}
	e := startEnd(t, "baseline", "")
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	own := heap()
	tracked := e.arm.measurement.tracker.Totals().Bytes
	e.control.route(routes...)
	e.arm.look(time.Now())
	idle := heap()
	for i := range many {
		e.send(sumsOf(fmt.Sprintf("s%d", i), 0, 50))
	}
	busy := heap() - (e.arm.measurement.tracker.Totals().Bytes - tracked)
	each := (busy - own) / int64(many)
	t.Logf("%d experiments: %d bytes each, %d of them with 50 series and 5 units; stated %d",
		many, (idle-own)/int64(many), each, e.arm.budget.used()/int64(many))
	runtime.KeepAlive(routes)
	assert.Less(t, each, int64(16<<10))
	assert.InEpsilon(t, each, e.arm.budget.used()/int64(many), 0.5, "what is stated is about what is taken")
	md := sumsOf("s7", 0, 50)
	md.MarkReadOnly()
	allocations := func(e *end) float64 {
		return testing.AllocsPerRun(100, func() { _ = e.p.ConsumeMetrics(t.Context(), md) })
	}
	bare := startBare(t, "", nil)
	assert.Equal(t, allocations(bare), allocations(e), "those of the Collector's own frame")
}

//go:build !race

package fidelity_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What the bound of memory counts is what is taken, within a third.
func TestMemoryIsEstimated(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f := newFleet(t, 50, 400, 30, 10*time.Second)
	f.play(t, 8*time.Minute)
	runtime.GC()
	runtime.ReadMemStats(&after)
	taken, estimated := int64(after.HeapAlloc-before.HeapAlloc), f.judge.MemoryBytes()
	t.Logf("taken %d, estimated %d: %s", taken, estimated, fmt.Sprint(f.judge.Samples()))
	assert.InEpsilon(t, taken, estimated, 0.34)
	runtime.KeepAlive(f)
}

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

func TestMostErrors(t *testing.T) {
	assert.Equal(t, 123, mostErrors(2000))
	assert.Equal(t, 11, mostErrors(100))
}

// TestRunsAreRepeatable: the result depends on the seed alone.
func TestRunsAreRepeatable(t *testing.T) {
	c := setting{mode: experiment.ModeSplit, units: 100, levels: pareto, truth: cheaper}
	first := many(c, 6, 1)
	second := many(c, 6, 3)
	require.Equal(t, first.causes, second.causes)
	require.Equal(t, first.found, second.found)
}

func TestPlot(t *testing.T) {
	list := []batch{
		many(setting{mode: experiment.ModeMirror, units: 20, levels: pareto, truth: same}, 2, 1),
		many(setting{mode: experiment.ModeMirror, units: 20, levels: pareto, truth: dearer}, 2, 1),
	}
	svg := plot(list)
	assert.Equal(t, 1, strings.Count(svg, "<polyline"))
	assert.Equal(t, 2, strings.Count(svg, "<circle"))
	assert.Equal(t, 1, strings.Count(svg, fmt.Sprintf("accepted to %.2f %%", 50.0)), "one of two runs may err: %s", svg)
}

func BenchmarkRun(b *testing.B) {
	for _, c := range []setting{
		{mode: experiment.ModeMirror, units: 100, levels: lognormal, truth: same},
		{mode: experiment.ModeSplit, units: 500, levels: lognormal, truth: same},
	} {
		b.Run(c.String(), func(b *testing.B) {
			seed := uint64(0)
			for b.Loop() {
				seed++
				simulate(c, seed)
			}
		})
	}
}

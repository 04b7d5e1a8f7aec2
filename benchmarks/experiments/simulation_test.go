package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// long makes as many runs as the published table has.
var long = os.Getenv("PHOENIX_LONG") != ""

// fewer runs are made of what takes longer.
func runsOf(c setting) int {
	switch {
	case long:
		return 2000
	case c.peeking:
		return 80
	case c.units == 500 && !c.mirror():
		return 16
	case c.right != "":
		return 20
	}
	return 40
}

// TestWrongDecisions: neither false rollbacks nor false promotions are more frequent
// than the error allows, and the negative control is refused by the same measure.
func TestWrongDecisions(t *testing.T) {
	for _, c := range settings() {
		if c.right != "" {
			continue
		}
		t.Run(strings.ReplaceAll(c.String(), " ", "_"), func(t *testing.T) {
			b := many(c, runsOf(c), 2)
			assert.Equal(t, !c.peeking, b.accepted(), "%d false rollbacks, %d false promotions of %d, at most %d: %v",
				b.falseRollbacks(), b.falsePromotions(), b.runs, b.most(), b.causes)
		})
	}
}

// TestFivePercentIsFound: a judge that never decides fails.
func TestFivePercentIsFound(t *testing.T) {
	for _, c := range settings() {
		if c.right == "" {
			continue
		}
		t.Run(strings.ReplaceAll(c.String(), " ", "_"), func(t *testing.T) {
			b := many(c, runsOf(c), 2)
			share, half, _ := b.power()
			if !c.mirror() && c.units < 60 { // never 30 a side
				assert.Zero(t, share)
				assert.Zero(t, b.phases[experiment.PhaseRolledBack]+b.phases[experiment.PhasePromoted]+b.phases[experiment.PhaseFailed], b.causes)
				return
			}
			wanted := c.promised()
			assert.GreaterOrEqual(t, share, wanted.share, b.causes)
			assert.LessOrEqual(t, half, wanted.half)
			assert.Positive(t, half)
			assert.True(t, b.accepted(), b.causes)
		})
	}
}

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

//go:build !race

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

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

package tagconsolidationprocessor

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// TestPromotionsAreUnseen: whatever inputs do, nobody downstream can tell a
// processor whose rule was promoted from a split amid that from one whose rule
// stayed where it was. What that one emits is what the model finds:
// TestProcessorAndModelAgree.
func TestPromotionsAreUnseen(t *testing.T) {
	var rules []policy.Rule
	for _, r := range rulePool {
		// Attributes of a scope may not be dropped, and previews are not promoted.
		if r.Mode != policy.ModePreview && r.Name != "keep-nothing" {
			rules = append(rules, r)
		}
	}
	checkProperty(t, 800, 100_000, func(t *rapid.T) {
		w := newWorld(t) // for what programs send
		for range rapid.IntRange(3, 30).Draw(t, "steps") {
			w.step()
		}
		w.drain()
		w.c.telemetry.Shutdown()
		candidate, common := experimentRules("default/x", rules[rapid.IntRange(0, len(rules)-1).Draw(t, "promoted rule")])
		both := [2]*arms{}
		for i := range both {
			a := newArms(t, "staleness: 1m\nheartbeat: 30s\nmax_batch_points: 4096")
			a.configs[0].Writer, a.configs[1].Writer = w.config.Writer, w.config.Writer
			a.has(candidate...)
			a.database, a.split, a.now = nil, true, time.Unix(0, int64(w.log[0].now))
			a.begin()
			both[i] = a
		}
		stays, moves := both[0], both[1]
		at := rapid.IntRange(1, len(w.log)-1).Draw(t, "promoted")
		first := rapid.Bool().Draw(t, "candidate turns first")
		for i := range w.log {
			h := &w.log[i]
			if i == at {
				moves.has(common...)
				moves.looks()
			}
			for _, a := range both {
				a.replay(h, first)
			}
			require.Equal(t, stays.shown(), moves.shown(), "%s", h)
		}
	})
}

// replay lets happen what happened elsewhere.
func (a *arms) replay(h *happening, candidateFirst bool) {
	a.now = time.Unix(0, int64(h.now)).UTC()
	switch {
	case h.points != nil:
		md := pmetric.NewMetrics()
		h.sent.CopyTo(md)
		left, _ := a.common.process(context.Background(), md)
		_ = a.route(context.Background(), left)
	case h.edge > 0:
		turning := []*consolidator{a.common, a.candidate}
		if candidateFirst {
			slices.Reverse(turning)
		}
		for _, c := range turning {
			c.turn(context.Background(), h.edge)
		}
	}
}

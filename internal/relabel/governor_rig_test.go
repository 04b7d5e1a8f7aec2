package relabel

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/series"
)

const (
	second   = uint64(time.Second)
	interval = 15 * second
)

// loop drives a Governor as a processor does: points go through a Rewriter, and
// what they become is asked of the plan itself.
type loop struct {
	t        require.TestingT
	plan     *Plan
	rewriter *Rewriter
	governor *Governor
	settings GovernorSettings
	now      uint64
	// outputs is when each was written last, by its text.
	outputs map[string]uint64
	weights map[string]float64
}

func newLoop(t require.TestingT, plan Settings, s GovernorSettings) *loop {
	if s.Staleness == 0 {
		s.Staleness = 5 * time.Minute
	}
	g, err := NewGovernor(s)
	require.NoError(t, err)
	p := mustPlan(t, plan)
	return &loop{
		t: t, plan: p, rewriter: p.Rewriter(series.Point, testHasher(t)), governor: g, settings: s,
		now: 1_700_000_000 * second, outputs: map[string]uint64{}, weights: map[string]float64{},
	}
}

// restarted returns a loop that has the state of this one.
func (l *loop) restarted() *loop {
	next := newLoop(l.t, Settings{}, l.settings)
	next.plan, next.rewriter, next.now = l.plan, l.plan.Rewriter(series.Point, testHasher(l.t)), l.now
	next.governor.Restore(l.governor.State(), l.now)
	return next
}

func attrsOf(labels output) pcommon.Map {
	m := pcommon.NewMap()
	for key, value := range labels {
		m.PutStr(key, value)
	}
	return m
}

// point brings one point and returns the text of its output.
func (l *loop) point(labels output) string {
	attrs := attrsOf(labels)
	view := l.governor.View()
	part := l.rewriter.Identity(attrs, view)
	changed := l.governor.See(part.Unfolded.A, l.now, func(dst []Label) (uint64, []Label) {
		return 0, l.rewriter.Labels(dst, attrs, view)
	})
	require.Equal(l.t, changed, view != l.governor.View())
	if changed {
		clear(l.outputs) // of the old folds: they end
	}
	if part.IsRanked {
		l.weights[part.Candidate]++
	}
	out := pcommon.NewMap()
	l.plan.Rewrite(series.Point, attrs, l.governor.View(), out)
	text := fmt.Sprint(output(asStrings(out)))
	l.outputs[text] = l.now
	return text
}

func asStrings(m pcommon.Map) map[string]string {
	all := map[string]string{}
	for key, value := range m.All() {
		all[key] = value.AsString()
	}
	return all
}

// edge ends an interval and says whether the View changed.
func (l *loop) edge() bool {
	l.governor.Weigh(l.weights)
	clear(l.weights)
	l.now += interval
	changed := l.governor.Advance(l.now)
	if changed {
		clear(l.outputs)
	}
	return changed
}

// alive is how many outputs were written since a time.
func (l *loop) alive(since uint64) int {
	n := 0
	for _, at := range l.outputs {
		if at >= since {
			n++
		}
	}
	return n
}

func limit(n int, protect ...Ref) GovernorSettings {
	return GovernorSettings{Folder: &FolderSettings{MaxSeries: n, Protect: protect}}
}

package tagconsolidationprocessor

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A wrong processor, as a change of the text of one file. Those of the packages
// consolidation and spatial are in their tests.
type mutant struct {
	name, file, from, to string
}

var mutants = []mutant{
	{"forget the writer", "consolidator.go", "stream.NewBatch(c.config.Writer.Attribute, c.state.identity.Writer)", `stream.NewBatch("", "")`},
	{"match the last rule", "ruleset.go", "\tslices.Sort(candidates)\n", "\tslices.Sort(candidates)\n\tslices.Reverse(candidates)\n"},
	{"take resource attributes for those of points", "lane.go", "r.plan.Keys(series.Resource, h)", "r.plan.Keys(series.Point, h)"},
	{"drop the point's attribute alone", "compile.go", "keep(refs(a.Drop, relabel.Bare))", "keep(refs(a.Drop, relabel.OnPoint))"},
	{"touch what must not be touched", "rules.go", "settings.protect, err = refs(", "_, err = refs("},
	{"emit twice at one edge", "flush.go", "\tslice, has := e.c.batch.Add(m)\n", "\te.c.batch.Add(m)\n\tslice, has := e.c.batch.Add(m)\n"},
	{"ignore the offset", "points.go", "Offset: p.Positive().Offset()", "Offset: 0"},
	{"ignore the zero threshold", "points.go", "ZeroThreshold: p.ZeroThreshold()", "ZeroThreshold: 0"},
	{"lose the last value when a rule changes", "points.go", "consolidation.Key(in), consolidation.Key(out)", "consolidation.Key{A: in.A ^ uint64(l.rule.id), B: in.B}, consolidation.Key(out)"},
	{"take a stale number for a value", "points.go", "func (f *feeder) number(p pmetric.NumberDataPoint) bool {\n\tstale := p.Flags().NoRecordedValue()", "func (f *feeder) number(p pmetric.NumberDataPoint) bool {\n\tstale := false"},
	{"forget start times", "points.go", "Start: uint64(start)", "Start: 0 * uint64(start)"},
	{"count the first delta twice", "points.go", "\tl.count(f.point.Stale, outcome)\n", "\tl.count(f.point.Stale, outcome)\n\tif outcome.Happened&consolidation.NewInput != 0 && f.kind == consolidation.DeltaSum {\n\t\tf.point.Sum.Start++\n\t\tf.engine.Feed(&f.point, f)\n\t}\n"},
	{"believe the future", "points.go", "uint64(at) > f.now+maxAhead", "uint64(at) > f.now+1000*maxAhead"},
	{"eat what passes", "points.go", "\tif l == nil {\n\t\treturn false, false", "\tif l == nil {\n\t\treturn true, false"},
	{"mix up units", "feeder.go", "Name: m.Name(), Unit: m.Unit(), Kind: uint8(kind)", "Name: m.Name(), Kind: uint8(kind)"},
	{"mix up types", "feeder.go", "Name: m.Name(), Unit: m.Unit(), Kind: uint8(kind)", "Name: m.Name(), Unit: m.Unit()"},
	{"mix up scopes", "lane.go", "\t\ta.scopeIn = a.scopeIn.Add(f.scopeSelf)\n", ""},
	{"let the first histogram decide", "describe.go", "&& f.point.Histogram.Bounds != nil {", "{"},
	{"keep all bounds", "compile.go", "r.keepBounds = p.Buckets.KeepBounds", "_ = p.Buckets.KeepBounds"},
	{"change rules within an interval", "rules.go", "\tc.pending = next\n", "\tc.pending = next\n\tc.rules.Store(next)\n"},
	{"count what passed while a rule was gone", "past.go", "s.until > since && !s.takes(f)", "false"},
	{"let inputs begin anew that never passed", "past.go", "return p.since <= since &&", "return false &&"},
	{"forget which rules there were", "rules.go", "\tnext.past = old.past.followedBy(old, max(nanos(c.clock()), over+1))\n", "\t_ = over\n"},
	{"end no outputs of rules that are gone", "rules.go", "\tc.retire(ctx, edge, gone)\n", "\t_ = gone\n"},
	{"end no outputs of rules that went while it was down", "consolidator.go", "\tc.endOrphans(ctx)\n", ""},
	{"let hot rules wait for an edge", "consolidator.go", "\t\tc.rules.Store(c.pending)\n\t\tc.pending = nil\n", ""},
	{"forget the rules that control had sent", "consolidator.go", "\t\tc.recall(ctx)\n", ""},
	{"look for the rules of no tenant", "feeder.go", "\t\tf.enterResource()\n", ""},
	{"forget the last interval", "consolidator.go", "\tc.flush(ctx, max(nanos(c.clock()), c.edge+uint64(time.Millisecond)))\n", ""},
	{"send before it is written", "flush.go", "if err := e.journal.Write(e.ctx); err != nil {", "if err := error(nil); err != nil {"},
	{"write no base lines", "flush.go", "\tc.engine.Bases(out.journal.AddBase)\n\treport", "\treport"},
}

// TestMutantsAreKilled applies each mutant and runs the suite, which must fail.
// That takes a compilation each, so it is done at night (PHOENIX_LONG); always it
// is checked that the mutants are still about what is there.
func TestMutantsAreKilled(t *testing.T) {
	for _, m := range mutants {
		text, err := os.ReadFile(m.file)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), m.from), "%s: %q in %s", m.name, m.from, m.file)
		if nightly {
			t.Run(m.name, func(t *testing.T) { m.kill(t, string(text)) })
		}
	}
}

func (m *mutant) kill(t *testing.T, text string) {
	t.Helper()
	path, err := filepath.Abs(m.file)
	require.NoError(t, err)
	changed := filepath.Join(t.TempDir(), m.file)
	require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(text, m.from, m.to, 1)), 0o600))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	require.NoError(t, err)
	list := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(list, overlay, 0o600))
	run := exec.CommandContext(t.Context(), "go", "test", "-failfast", "-vet=off", "-overlay="+list, "-rapid.nofailfile", "-rapid.shrinktime=1s",
		"-run=TestProcessorAndModelAgree|TestHostile|TestTotals", ".")
	run.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PHOENIX_LONG=") })
	out, err := run.CombinedOutput()
	require.Error(t, err, "the mutant lives")
	require.Contains(t, string(out), "--- FAIL", "it must fail, not break: %s", out)
}

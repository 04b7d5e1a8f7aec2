package consolidation_test

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

// A mutant is a wrong decision, as a change of the text of one file.
type mutant struct {
	name, file, from, to string
}

var mutants = []mutant{
	{"count the whole of what began before the rule", "arrive.go", "Activation: max(since, p.Since),", "Activation: 0,"},
	{"count the evicted again", "arrive.go", "Horizon: max(in.until, dir.gone.until(p.Input.mark()))", "Horizon: 0"},
	{"bury nobody", "flush.go", "dir.gone.bury(key.mark(), in.time())", "_ = dir"},
	{"forget the last value on a move", "arrive.go", "in.sum = *at.sum", "_ = at.sum"},
	{"let an input feed its old output too", "shard.go", "\to.live--\n", "\n"},
	{"sum an ended gauge", "flush.go", "if c.class != levels || *c.to&ended != 0 {", "if c.class != levels {"},
	{"never notice staleness", "flush.go", "if *c.seen+staleness < now {", "if now == 0 {"},
	{"start a returning output where the rule began", "shard.go", "o.start = max(activation, ended)", "o.start = activation"},
	{"let windows overlap", "output.go", "max(o.first, o.emitted)", "o.first"},
	{"emit deltas twice", "output.go", "\to.total = spatial.Total{}\n", "\n"},
	{"repeat without credit", "output.go", "o.credit > 0 && !o.kind.Delta()", "!o.kind.Delta()"},
	{"emit what nobody touched", "output.go", "case o.touched && o.hasValue():", "case o.hasValue():"},
	{"fall after a restart", "flush.go", "spatial.Max(out.Number, o.last)", "out.Number"},
	{"let a histogram fall after a restart", "floor.go", "counts[i] < was", "false"},
	{"add a copy of a delta", "feed.go", "case span == e.last:", "case false:"},
	{"drop late deltas", "feed.go", "case span == e.last:", "case !newer:\n\t\tout.Verdict = spatial.Late\n\tcase span == e.last:"},
	{"send deltas again after a restart", "emitted.go", "\t\t\t\to.drained()\n", ""},
	{"let a late point revive the dead", "shard.go", "newer && *to&ended != 0", "*to&ended != 0"},
	{"ignore stale markers", "arrive.go", "*at.to |= ended", ""},
	{"end the output with its first input", "output.go", "case o.live == 0 &&", "case true &&"},
	{"keep feeding a retired output", "retire.go", "*c.to = *c.to&flags | to", "_, _ = c, to"},
	{"let guests stay when their rule is gone", "retire.go", "*at.to = *at.to&flags | free", "_ = at"},
	{"count what passed while no rule watched", "watches.go", "if !free || since <= r.until {", "if !free || since > 0 {"},
	{"begin anew when one rule follows another", "watches.go", "if !free || since <= r.until {", "if !free || r.until == anyRule {"},
	{"let the ended go on with what passed", "flush.go", "*c.to = *c.to&flags | s.watches.wait(s.ruleOf(c.key, o))", "_ = c"},
	{"let a point from before revive what was counted", "arrive.go", "case time < in.until:", "case false:"},
	{"forget over a restart who was let go", "snapshot.go", "st.Variant = r.until", "_ = r"},
	{"believe a clock that was set back", "watches.go", "now = max(now, w.closed+1)", "_ = now"},
	{"never end a change of rules", "flush.go", "\te.Settle()\n", ""},
	{"leave outputs of rules that are gone", "flush.go", "e.watches.strayed()", "nil"},
	{"note no base line of what begins anew", "arrive.go", "(!found || in.anew) &&", "!found &&"},
	{"share bounds by dropping the odd histogram", "feed.go", "if o.variant == variant {", "if true {"},
	{"leave nothing behind for the snapshot", "arrive.go", "if s.copied < generation {\n\t\ts.displaced", "if false {\n\t\ts.displaced"},
	{"carry news into the past", "arrive.go", "if copied && s.copied < generation {", "if copied && s == nil {"},
}

// TestMutantsAreKilled applies each mutant and runs the tests of the package, which must fail. That takes a compilation each, so
// it is done at night (PHOENIX_LONG); always it is checked that the mutants are still about what is there.
func TestMutantsAreKilled(t *testing.T) {
	for _, m := range mutants {
		text, err := os.ReadFile(m.file)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), m.from), "%s: %q in %s", m.name, m.from, m.file)
		if !long {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			path, err := filepath.Abs(m.file)
			require.NoError(t, err)
			changed := filepath.Join(t.TempDir(), m.file)
			require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(string(text), m.from, m.to, 1)), 0o600))
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
			require.NoError(t, err)
			list := filepath.Join(t.TempDir(), "overlay.json")
			require.NoError(t, os.WriteFile(list, overlay, 0o600))
			run := exec.CommandContext(t.Context(), "go", "test", "-failfast", "-vet=off", "-overlay="+list, "-rapid.nofailfile",
				"-skip=Mutants|Memory|NoFeed|Steady", ".")
			run.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PHOENIX_LONG=") })
			out, err := run.CombinedOutput()
			require.Error(t, err, "the mutant lives")
			require.Contains(t, string(out), "--- FAIL", "it must fail, not break: %s", out)
		})
	}
}

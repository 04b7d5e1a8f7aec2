package checkpoint_test

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
	{"delete the last checkpoint before the next is valid", "checkpoint.go", "\ts.doubt = &proposal{c.head, record}\n", "\told := s.head\n\ts.head = head{}\n\ts.kept[1-c.head.slot], s.kept[old.slot] = s.kept[old.slot], s.kept[1-c.head.slot]\n\ts.kept[c.head.slot] = extent{}\n\ts.sweep(ctx)\n\ts.head = old\n\ts.doubt = &proposal{c.head, record}\n"},
	{"write the head before the last part", "checkpoint.go", "\tif err = c.Part(ctx, &consolidation.Part{}); err == nil {\n\t\terr = c.write(ctx, 0)\n\t}\n", "\tif err = c.Part(ctx, &consolidation.Part{}); err == nil {\n\t\tearly := c.head\n\t\t_, sum := seal(c.entries.buf, header{partRecord, c.head.generation, uint32(len(c.head.parts))})\n\t\tearly.parts = append(append([]uint64(nil), early.parts...), sum)\n\t\terr = c.store.kv.Set(ctx, headKey, early.encode())\n\t}\n\tif err == nil {\n\t\terr = c.write(ctx, 0)\n\t}\n"},
	{"write over the valid checkpoint", "checkpoint.go", "c.head.slot = 1 - s.head.slot", "c.head.slot = s.head.slot"},
	{"end the flush before its points are written", "journal.go", "\tif !j.ended {\n", "\tif !j.ended && false {\n"},
	{"say that a flush is complete when it begins", "journal.go", "\te.time = j.edge // most points have it\n", "\te.time = j.edge\n\te.buf = append(e.buf, endEntry)\n"},
	{"write the journal at the end only", "journal.go", "func (j *Journal) Write(ctx context.Context) (size int, err error) {\n", "func (j *Journal) Write(ctx context.Context) (size int, err error) {\n\tif !j.ended {\n\t\treturn 0, nil\n\t}\n"},
	{"go on with the journal of the last checkpoint", "store.go", "s.next, s.after = 0, s.head.sum", "s.after = s.head.sum"},
	{"do not ask which head is there", "store.go", "if s.doubt == nil {\n\t\treturn nil", "if true {\n\t\treturn nil"},
	{"delete from the first to the last", "store.go", "s.kv.Delete(ctx, key(*n-1)); err", "s.kv.Delete(ctx, key(to+(*n-to-1)/2*0)); err"},
	{"leave orphans", "load.go", "\ts.sweep(ctx)\n\treturn st, nil", "\treturn st, nil"},
	{"take a stream for known that failed to be written", "journal.go", "\ts.forgetFresh()\n\tj := ", "\tj := "},
	{"take the stream of an ended output for known", "journal.go", "\tcase m.Stale:\n\t\ts.known.remove(id, markCurrent)\n", "\tcase m.Stale:\n"},
	{"take an output for known that only an aborted checkpoint has", "checkpoint.go", "\t\ts.known.abort()\n\t\t_ = s.shrink", "\t\ts.known.commit()\n\t\t_ = s.shrink"},
	{"restore the first point in place of the last", "state.go", "st.latest[m.id] = latest{entry: entry, kind: m.kind}", "if _, there := st.latest[m.id]; !there {\n\t\tst.latest[m.id] = latest{entry: entry, kind: m.kind}\n\t}"},
	{"do not say that deltas went out", "state.go", "e.RestoreEdge(st.edge)", "_ = st.edge"},
	{"leave out what was shown", "state.go", "\t\tvisit(m)\n", "\t\t_ = visit\n"},
	{"leave out base lines", "state.go", "st.bases > 0", "st.bases < 0"},
	{"do not look whether the head names the part", "load.go", "sum != h.parts[i]", "sum != h.parts[i] && false"},
	{"do not look whether the journal continues", "load.go", "p.after != after", "false"},
	{"do not look at the checksum", "record.go", "xxhash.Sum64(record[:end]) != sum", "false"},
	{"use what is behind a gap", "load.go", "\tcase record == nil:\n\t\treturn errEnd\n\t}\n\treturn fmt", "\tcase record == nil || true:\n\t\treturn errEnd\n\t}\n\treturn fmt"},
	{"let any input feed any output", "outputs.go", "\tif in.Ended {\n\t\treturn true", "\tif true {\n\t\treturn true"},
	{"believe lengths", "reader.go", "n > uint64(r.left()/size)", "n > 1<<62"},
	{"forget the double", "part.go", "if in.Sum.Value.IsDouble() {", "if false {"},
	{"forget what an output showed before a restart", "part.go", "\t\tif o.Behind {\n\t\t\te.histogram(&o.HistogramFloor)", "\t\tif o.Behind {\n\t\t\te.histogram(new(spatial.HistogramPoint))"},
}

// TestMutantsAreKilled applies each mutant and runs the tests of the package, which must fail. That takes a compilation each, so
// it is done at night (PHOENIX_LONG); always it is checked that the mutants are still about what is there.
func TestMutantsAreKilled(t *testing.T) {
	for _, m := range mutants {
		text, err := os.ReadFile(m.file)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), m.from), "%s: %q in %s", m.name, m.from, m.file)
		if os.Getenv("PHOENIX_LONG") == "" {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			path, err := filepath.Abs(m.file)
			require.NoError(t, err)
			changed := filepath.Join(t.TempDir(), m.file)
			mutated := strings.Replace(string(text), m.from, m.to, 1)
			require.NoError(t, os.WriteFile(changed, []byte(mutated), 0o600))
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
			require.NoError(t, err)
			list := filepath.Join(t.TempDir(), "overlay.json")
			require.NoError(t, os.WriteFile(list, overlay, 0o600))
			run := exec.CommandContext(t.Context(), "go", "test", "-failfast", "-vet=off", "-overlay="+list, "-rapid.nofailfile", "-skip=Mutants|OnePart|Flipped", ".")
			run.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PHOENIX_LONG=") })
			out, err := run.CombinedOutput()
			require.Error(t, err, "the mutant lives")
			require.Contains(t, string(out), "--- FAIL", "it must fail, not break: %s", out)
		})
	}
}

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const callsPolicy = `# fewer calls
name: calls
spec:
  description: Calls without their statement.
  rules:
    - match: {metric: db.client.calls}
      attributes: {drop: [db.statement]}
`

// quickly are flags that make waiting short.
var quickly = []string{"--settle", "1ms", "--poll", "1ms"}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestTheLifeOfAPolicy is what a user does from the first file to the audit.
func TestTheLifeOfAPolicy(t *testing.T) {
	r := newRig(t)
	r.consolidate()
	t.Chdir(t.TempDir())
	save := func(text string) { require.NoError(t, os.WriteFile("calls.yaml", []byte(text), 0o600)) }
	save(callsPolicy)
	r.run("policies", "list")
	r.run("savings", "estimate", "-f", "calls.yaml")
	r.run("policies", "diff", "-f", "calls.yaml")
	r.run("policies", "apply", "-f", "calls.yaml", "--dry-run")
	r.run("policies", "get", "calls")
	r.run(append([]string{"policies", "apply", "-f", "calls.yaml", "--preview"}, quickly...)...)
	r.run("policies", "apply", "-f", "calls.yaml")
	r.run("policies", "diff", "-f", "calls.yaml")
	r.run("policies", "enforce", "calls")
	r.clock.advance(6 * time.Minute)
	r.run(append([]string{"policies", "apply", "-f", "calls.yaml", "--enforce"}, quickly...)...)
	r.run("savings")
	r.run("savings", "default/calls")
	save(strings.Replace(callsPolicy, "db.statement]", "db.statement, pod]", 1))
	r.run("policies", "diff", "-f", "calls.yaml")
	r.run("policies", "apply", "-f", "calls.yaml")
	r.run("policies", "apply", "-f", "calls.yaml", "--force")
	r.run("policies", "get", "calls")
	r.run(append([]string{"policies", "rollback", "calls"}, quickly...)...)
	r.run(append([]string{"policies", "rollback", "calls", "--to", "1"}, quickly...)...)
	r.run("policies", "disable", "calls")
	r.run("policies", "list", "-o", "wide")
	r.run("policies", "history", "calls")
	r.run("policies", "history", "calls", "--revision", "3")
	r.run("policies", "delete", "calls")
	r.run("policies", "get", "calls", "-o", "yaml")
	r.run("policies", "rollback", "calls")
	r.run("policies", "list", "-A", "-o", "name")
	r.run("audit", "list")
	r.run("audit", "verify")
	r.run("events", "--type", "policy.c*", "--type", "policy.e*", "--type", "policy.u*", "--type", "policy.r*", "--type", "policy.d*")
	r.golden("policies.txt")
}

func TestPolicyFormats(t *testing.T) {
	r := newRig(t)
	r.pipe(callsPolicy, "policies", "apply", "-f", "-", "-n", "shop")
	r.pipe(strings.Replace(callsPolicy, "name: calls", "name: other", 1), "policies", "apply", "-f", "-")
	r.run("policies", "get", "shop/calls", "-o", "yaml")
	r.run("policies", "get", "other", "-o", "json")
	r.run("policies", "get", "shop/calls", "default/other", "-o", "wide")
	r.run("policies", "get", "shop/calls", "default/other")
	r.run("policies", "list", "-A")
	r.run("policies", "list", "-A", "--filter", `name = "oth*"`, "-o", "json")
	r.run("policies", "list", "-A", "--limit", "1")
	r.golden("policies_formats.txt")

	// What get prints can be edited and applied, once
	edited := strings.Replace(r.run("policies", "get", "shop/calls", "-o", "yaml"), "their statement", "statements", 1)
	again := newTranscript(r)
	r.pipe(edited, "policies", "apply", "-f", "-")
	r.pipe(strings.Replace(edited, "statements", "texts", 1), "policies", "apply", "-f", "-")
	r.pipe(edited, "policies", "apply", "-f", "-")
	r.run("policies", "get", "shop/calls")
	again.golden("policies_edited.txt")
}

// newTranscript forgets what was printed before.
func newTranscript(r *rig) *rig {
	r.text.Reset()
	return r
}

func TestPolicyMistakes(t *testing.T) {
	r := newRig(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll("dir/deeper", 0o700))
	for name, text := range map[string]string{
		"typo.yaml":        "name: a\nspec:\n  rules:\n    - match: {metrc: up}\n",
		"wrong.yaml":       "name: a\nspec:\n  priority: 3\n  rules:\n    - match: {metric: up}\n      gauge: product\n    - attributes:\n        drop: [a]\n        top_k:\n          attribute: b\n          k: 0\n---\nname: Bad_Name\nspec:\n  priority: 5000\n  rules:\n    - match:\n        metric: /(/\n",
		"twice.yaml":       "name: a\nspec: {rules: [{match: {metric: up}}]}\n---\nname: a\n",
		"model.yaml":       "name: m\ncurrency: USD\ncomponents: []\n",
		"nameless.yaml":    "spec: {}\n",
		"elsewhere.yaml":   "name: a\nnamespace: shop\n",
		"dir/a.yaml":       "name: in-dir\nspec: {rules: [{match: {metric: up}}]}\n",
		"dir/deeper/b.yml": "name: deeper\nspec: {rules: [{match: {metric: up}}]}\n",
		"dir/bad.json":     "{",
	} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	r.run("policies", "apply", "-f", "typo.yaml")
	r.run("policies", "apply", "-f", "wrong.yaml")
	r.run("policies", "apply", "-f", "twice.yaml")
	r.run("policies", "apply", "-f", "model.yaml")
	r.run("policies", "apply", "-f", "nameless.yaml")
	r.run("policies", "apply", "-f", "elsewhere.yaml", "-n", "default")
	r.run("policies", "apply", "-f", "missing.yaml")
	r.run("policies", "apply", "-f", "dir")
	require.NoError(t, os.Remove("dir/bad.json"))
	r.run("policies", "apply", "-f", "dir", "-R")
	r.run("policies", "apply")
	r.run("policies", "apply", "-f", "dir", "--dry-run", "--preview")
	r.pipe("# nothing\n", "policies", "apply", "-f", "-")
	r.run("savings", "estimate", "-f", "wrong.yaml")
	r.run("policies", "get", "missing", "a/b/c")
	r.run("policies", "get", "missing", "deeper", "gone")
	r.run("policies", "enforce", "deeper")
	r.run("policies", "rollback", "deeper")
	r.run("policies", "rollback", "deeper", "--to", "9")
	r.run("policies", "list", "--filter", "colour = red")
	r.run("policies", "list", "--limit", "0")
	r.run("policies", "aply")
	r.run("savings", "missing")
	r.golden("policies_mistakes.txt")
}

// Without a processor a preview says so, and does not wait for ever.
func TestPreviewWithoutAProcessor(t *testing.T) {
	r := newRig(t)
	r.pipe(callsPolicy, "policies", "apply", "-f", "-", "--preview", "--timeout", "20ms", "--poll", "1ms")
	r.pipe(callsPolicy, "policies", "apply", "-f", "-", "--preview", "--wait=false")
	r.run("policies", "preview", "calls", "--wait=false")
	r.run("policies", "enforce", "calls", "--force", "--timeout", "20ms", "--poll", "1ms")
	r.golden("policies_idle.txt")
}

// A rollback that is repeated never goes to what was rolled back from.
func TestRollbackRepeated(t *testing.T) {
	r := newRig(t)
	r.consolidate()
	rollback := func(args ...string) string {
		t.Helper()
		r.text.Reset()
		r.run(slices.Concat([]string{"policies", "rollback", "calls"}, args, quickly)...)
		return r.text.String()
	}
	r.pipe(callsPolicy, "policies", "apply", "-f", "-")
	r.pipe(callsPolicy, append([]string{"policies", "apply", "-f", "-", "--preview"}, quickly...)...)
	r.run(append([]string{"policies", "enforce", "calls", "--force"}, quickly...)...)
	r.clock.advance(10 * time.Minute)
	assert.Contains(t, rollback(), "default/calls rolled back to revision 2 (preview, revision 4)")
	assert.Contains(t, rollback(), "default/calls rolled back to revision 1 (draft, revision 5)", "not to 3, which is enforced")
	again := rollback()
	assert.Contains(t, again, "roll back default/calls: there is no earlier revision")
	assert.Contains(t, again, "[exit 5]")

	// What was enforced is enforced again only if somebody says so
	assert.Contains(t, rollback("--to", "3"), "default/calls rolled back to revision 3 (enforced, revision 6)")
	r.clock.advance(10 * time.Minute)
	r.run("policies", "disable", "calls")
	refused := rollback()
	assert.Contains(t, refused, "the revision before the present one was enforced, and the present one is not")
	assert.Contains(t, refused, "To enforce it again, give --to 6;")
	assert.Contains(t, refused, "[exit 5]")
	assert.Contains(t, rollback("--to", "6"), "(enforced, revision 8)")
	assert.Contains(t, rollback(), "rolled back to revision 2 (preview, revision 9)", "a rollback to a rollback has the content of 3")
}

// A preview that nothing matches ends, with a warning.
func TestPreviewThatNothingMatches(t *testing.T) {
	r := newRig(t)
	c := r.consolidate()
	c.unmatched.Store(true)
	preview := []string{"policies", "apply", "-f", "-", "--preview", "--poll", "1ms"}
	const warning = "! Warning: default/calls is previewed; no point has matched its rules yet\n"
	r.pipe(callsPolicy, append(preview, "--timeout", "300ms")...)
	text := r.text.String()
	assert.Contains(t, text, "! Waiting for the measurement of default/calls: for 30s from its first point on, and 0s at most")
	assert.Contains(t, text, warning)
	assert.NotContains(t, text, "[exit")

	// A whole window without one says enough
	r.clock.advance(6 * time.Minute)
	r.text.Reset()
	began := time.Now()
	r.pipe(callsPolicy, append(preview, "--timeout", "1m")...)
	assert.Contains(t, r.text.String(), warning)
	assert.NotContains(t, r.text.String(), "[exit")
	assert.Less(t, time.Since(began), time.Minute)

	// Nothing is enforced that the preview showed nothing of
	r.text.Reset()
	r.pipe(callsPolicy, append(preview, "--enforce", "--timeout", "1m")...)
	assert.Contains(t, r.text.String(), "! It stays in preview: phoenixctl policies enforce default/calls enforces it all the same.")
	assert.Contains(t, r.text.String(), "[exit 1]")
	assert.Contains(t, r.run("policies", "get", "calls"), "preview, revision 1")

	// --timeout replaces the patience with the first point
	cmd := &cobra.Command{}
	w := waitFlags(cmd, defaultMeasureTimeout)
	assert.Equal(t, matchPatience, w.patience(cmd))
	require.NoError(t, cmd.Flags().Set("timeout", "7m"))
	assert.Equal(t, 7*time.Minute, w.patience(cmd))
}

func TestPreviewAndEnforceInOneGo(t *testing.T) {
	r := newRig(t)
	r.consolidate()
	done := make(chan struct{})
	go func() { // the window of the preview goes by
		defer close(done)
		require.Eventually(t, func() bool { return len(r.plane.Policy().Rules) == 1 }, 10*time.Second, time.Millisecond) //nolint:testifylint // it ends the test late, and only then
		r.clock.advance(6 * time.Minute)
	}()
	r.pipe(callsPolicy, append([]string{"policies", "apply", "-f", "-", "--preview", "--enforce"}, quickly...)...)
	<-done
	require.Contains(t, r.text.String(), "default/calls created (preview, revision 1)")
	require.Contains(t, r.text.String(), "default/calls enforced (enforced, revision 2)")
	require.Contains(t, r.text.String(), "Streams before: 2,500. After: 100 (96.0% less).")
	require.NotContains(t, r.text.String(), "[exit")
}

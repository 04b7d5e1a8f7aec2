package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

const (
	callsExperiment = `# fewer calls
name: calls
spec:
  description: Calls without their statement.
  mode: mirror
  scope: {service.name: checkout}
  interval: 1s
  rules:
    - match: {metric: db.client.calls}
      attributes: {drop: [db.statement]}
  success: [{measure: series, at_least: 0.5}]
  fidelity:
    rule_files: [{file: rules/alerts.yaml}]
    dashboards: [{file: dashboard.json, name: calls}]
    critical_alerts: [NoCalls]
    tolerance: 0.02
`
	callsAlerts = `groups:
  - name: calls
    rules:
      - alert: NoCalls
        expr: sum(rate(db_client_calls_total[2m])) == 0
        for: 30s
`
	callsDashboard = `{"panels": [{"title": "Calls", "targets": [{"expr": "sum by (db_system) (rate(db_client_calls_total[1m]))"}]}]}`
)

// inFiles writes the files of the experiment into a directory of their own.
func inFiles(t *testing.T) (save func(name, text string)) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.MkdirAll("try/rules", 0o700))
	save = func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join("try", name), []byte(text), 0o600))
	}
	save("calls.yaml", callsExperiment)
	save("rules/alerts.yaml", callsAlerts)
	save("dashboard.json", callsDashboard)
	return save
}

// TestTheLifeOfAnExperiment is what a user does from the file to the report, as
// far as that goes without a router.
func TestTheLifeOfAnExperiment(t *testing.T) {
	r := newRig(t)
	save := inFiles(t)
	r.run("experiments", "list")
	r.run("experiments", "validate", "-f", "try/calls.yaml")
	r.run("experiments", "create", "-f", "try/calls.yaml")
	r.run("experiments", "create", "-f", "try/calls.yaml")
	r.run("experiments", "create", "-f", "try/calls.yaml", "--replace")
	save("calls.yaml", strings.Replace(callsExperiment, "0.5", "0.4", 1))
	r.run("experiments", "create", "-f", "try/calls.yaml", "--replace")
	r.run("experiments", "get", "calls")
	r.run("experiments", "get", "calls", "-o", "yaml")
	r.run("experiments", "watch", "calls", "--until", "Draft")
	r.run("experiments", "pause", "calls")
	r.run("experiments", "start", "calls", "--if-match", `"77"`)
	r.run("experiments", "start", "calls")
	r.run("experiments", "start", "calls")
	r.run("experiments", "create", "-f", "try/calls.yaml", "--replace")
	r.run("experiments", "delete", "calls")
	r.run("experiments", "pause", "calls", "--reason", "lunch")
	r.run("experiments", "resume", "calls")
	r.run("experiments", "promote", "calls")
	r.run("experiments", "approve", "calls")
	r.pipe(strings.Replace(callsTwice(), "name: calls", "name: other", 1), "experiments", "create", "-f", "-", "--start")
	r.run("experiments", "list", "-A")
	r.run("experiments", "abort", "calls", "--reason", "enough")
	r.run("experiments", "start", "other")
	r.run("experiments", "abort", "calls")
	r.run("experiments", "watch", "calls")
	r.run("experiments", "list", "-o", "wide", "--filter", `phase = "R*"`)
	r.run("experiments", "list", "-o", "name")
	r.run("experiments", "get", "calls", "nothing")
	r.run("experiments", "report", "calls")
	r.run("experiments", "delete", "calls")
	r.run("audit", "list", "--filter", `action = "experiments.pause"`)
	r.golden("experiments.txt")
}

// callsTwice is the experiment without files.
func callsTwice() string {
	before, _, _ := strings.Cut(callsExperiment, "  fidelity:")
	return before
}

func TestExperimentFormats(t *testing.T) {
	r := newRig(t)
	r.pipe(callsTwice(), "experiments", "create", "-f", "-", "-n", "shop")
	text := r.run("exp", "get", "shop/calls", "-o", "yaml")
	r.pipe(text, "experiments", "create", "-f", "-", "--replace") // what get prints can be given back
	r.run("experiments", "get", "shop/calls", "-o", "json")
	r.run("experiments", "get", "shop/calls", "-o", "wide")
	r.run("experiments", "report", "shop/calls", "-o", "json")
	r.run("experiments", "watch", "shop/calls", "--until", "Draft", "-o", "json")
	r.golden("experiments_formats.txt")
}

func TestMistakesInExperiments(t *testing.T) {
	r := newRig(t)
	save := inFiles(t)
	r.run("experiments", "validate")
	r.run("experiments", "watch", "calls", "--until", "Over")
	r.run("experiments", "get", "a/b/c")
	r.run("experiments", "watch", "calls")
	r.run("experiments", "create", "-f", "try/none.yaml")
	save("bad.yaml", strings.NewReplacer("mirror", "both", "at_least: 0.5", "at_least: 5", "tolerance: 0.02", "tolerance: 0\n    steps: 3").Replace(callsExperiment))
	r.run("experiments", "validate", "-f", "try/bad.yaml")
	save("bad.yaml", strings.NewReplacer("mirror", "both", "at_least: 0.5", "at_least: 5", "tolerance: 0.02", "tolerance: 0").Replace(callsExperiment))
	r.run("experiments", "validate", "-f", "try/bad.yaml")
	save("bad.yaml", strings.NewReplacer("rules/alerts.yaml}", "rules/none.yaml}, {file: rules}, {file: dashboard.json, text: x}, {file: [a]}").Replace(callsExperiment))
	r.run("experiments", "create", "-f", "try/bad.yaml")
	save("rules/alerts.yaml", strings.Replace(callsAlerts, "== 0", "==", 1))
	r.run("experiments", "create", "-f", "try/calls.yaml")
	r.pipe(callsTwice()+"---\n"+callsTwice(), "experiments", "create", "-f", "-")
	r.pipe("namespace: bank\n"+callsTwice(), "experiments", "create", "-f", "-", "-n", "shop")
	r.pipe("spec: {}\n", "experiments", "create", "-f", "-")
	r.golden("experiments_mistakes.txt")
}

// The exit codes of watch are how the experiment ended, and nothing else's.
func TestExitCodesOfWatch(t *testing.T) {
	ref := experimentRef{"shop", "a"}
	for phase, want := range map[experiment.Phase]int{
		experiment.PhaseRolledBack: 3, experiment.PhaseInconclusive: 4, experiment.PhaseFailed: 5, "New": 1,
	} {
		assert.Equal(t, want, exitCode(endedError{ref, phase, ""}))
	}
	r := newRig(t)
	r.pipe(callsTwice(), "experiments", "create", "-f", "-", "--start")
	watch := func(ctx context.Context, args ...string) (out, stderr string, code int) {
		var text bytes.Buffer
		stderr, code = execute(ctx, &text, append([]string{"--address", r.server.URL, "experiments", "watch"}, args...)...)
		return text.String(), stderr, code
	}
	_, stderr, code := watch(t.Context(), "nothing")
	assert.Equal(t, exitError, code, "3 would be RolledBack")
	assert.Contains(t, stderr, "Error: watch default/nothing: not found")
	_, stderr, code = watch(t.Context(), "calls", "--timeout", "1ms")
	assert.Equal(t, exitError, code)
	assert.Contains(t, stderr, "it took too long: 1ms")
	out, _, code := watch(t.Context(), "calls", "--until", "Running")
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out, "Running")
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, interrupt)
	_, _, code = watch(ctx, "calls")
	assert.Equal(t, exitError, code, "0 would be Promoted")
	time.AfterFunc(200*time.Millisecond, func() { r.pipe("", "experiments", "abort", "calls") })
	out, stderr, code = watch(t.Context(), "calls", "--until", "Paused")
	assert.Equal(t, 3, code)
	assert.Contains(t, out, "RolledBack")
	assert.Contains(t, stderr, "Error: default/calls has ended: RolledBack: abort was commanded")
}

func TestCompletionOfExperiments(t *testing.T) {
	r := newRig(t)
	t.Setenv(addressVariable, r.server.URL)
	r.pipe(callsTwice(), "experiments", "create", "-f", "-")
	r.pipe(callsTwice(), "experiments", "create", "-f", "-", "-n", "shop")
	f := func(want string, args ...string) {
		t.Helper()
		assert.Equal(t, want, completed(t, args...), args)
	}
	f("calls\tDraft\n", "experiments", "start", "c")
	f("shop/calls\tDraft\n", "experiments", "get", "shop/")
	f("", "experiments", "watch", "calls", "")
	f("final\nDraft\nScheduled\nRunning\nPaused\nPromoted\nRolledBack\nInconclusive\nFailed\n", "experiments", "watch", "--until", "")
	f("markdown\njson\n", "experiments", "report", "-o", "")
	f("yaml\nyml\njson\n", "experiments", "create", "-f", "")
}

func TestHelpOfExperiments(t *testing.T) {
	var all bytes.Buffer
	for _, args := range [][]string{
		{"experiments"}, {"experiments", "create", "--help"}, {"experiments", "watch", "--help"}, {"experiments", "promote", "--help"},
	} {
		_, code := execute(t.Context(), &all, args...)
		assert.Equal(t, exitOK, code)
		all.WriteString("\n")
	}
	requireGolden(t, "experiments_help.txt", all.String())
}

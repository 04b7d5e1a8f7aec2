package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// rulesTranscript runs a rules command in testdata/rules; stdin may be empty.
func rulesTranscript(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	t.Chdir(filepath.Join("testdata", "rules"))
	defer t.Chdir(filepath.Join("..", ".."))
	var out, errOut bytes.Buffer
	root := newRootCommand()
	root.SetArgs(append([]string{"rules"}, args...))
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	err := root.ExecuteContext(t.Context())
	printError(&errOut, err)
	text := fmt.Sprintf("$ phoenixctl rules %s\n--- standard error\n%s--- standard output\n%s", strings.Join(args, " "), errOut.String(), out.String())
	if code := exitCode(err); code != exitOK {
		text += fmt.Sprintf("[exit %d]\n", code)
	}
	return text
}

func TestRules(t *testing.T) {
	f := func(golden, stdin string, args ...string) {
		t.Helper()
		requireGolden(t, filepath.Join("rules", golden), rulesTranscript(t, stdin, args...))
	}
	// Everything has an equal
	f("import_victoriametrics.txt", "", "import", "--from", "victoriametrics", "streamaggr.yaml")
	f("import_metricstransform.txt", "", "import", "--from", "metricstransform", "collector.yaml")
	f("import_metricstransform_json.txt", "", "import", "--from", "metricstransform", "collector.yaml", "-o", "json")
	// Not everything: what has is printed all the same
	f("import_adaptive.txt", `[{"metric": "up", "drop": true}, {"metric": "load", "drop_labels": ["cpu"], "aggregations": ["avg"]}]`,
		"import", "--from", "adaptive-metrics")
	f("import_nothing.txt", "[", "import", "--from", "adaptive-metrics", "-")
	f("validate_good.txt", "rules:\n  - {name: all, match: {metric: '*'}}\n", "validate")
	f("validate_overlap.txt", `{"rules": [{"name": "a", "match": {"metric": "*"}}, {"name": "b", "match": {"metric": "up"}}]}`, "validate", "-")
	f("validate_bad.txt", "", "validate", "bad.yaml")
}

func TestRulesThatWereImportedAreValid(t *testing.T) {
	for _, args := range [][]string{{"victoriametrics", "streamaggr.yaml"}, {"metricstransform", "collector.yaml"}} {
		for _, output := range ruleOutputs {
			_, rules, _ := strings.Cut(rulesTranscript(t, "", "import", "--from", args[0], args[1], "-o", output), "--- standard output\n")
			assert.Contains(t, rulesTranscript(t, rules, "validate"), "no errors\n", args)
		}
	}
}

func TestRulesMistakes(t *testing.T) {
	var all strings.Builder
	f := func(args ...string) {
		t.Helper()
		all.WriteString(rulesTranscript(t, "", args...) + "\n")
	}
	f("imprt")
	f("import")
	f("import", "--from", "mimirtool", "-o", "table")
	f("import", "--from", "victoriametrics", "a", "b")
	f("import", "--from", "victoriametrics", "missing.yaml")
	f("validate", "missing.yaml")
	f("validate", "a", "b")
	requireGolden(t, filepath.Join("rules", "mistakes.txt"), all.String())
}

func TestRulesOfSomebodyElseAreMadePrintable(t *testing.T) {
	got := rulesTranscript(t, `[{"metric": "a\u001b[2J", "drop": true}]`, "import", "--from", "adaptive-metrics")
	assert.NotContains(t, got, "\x1b")
	assert.Contains(t, got, `the metric a\x1b[2J is dropped whole`)
}

func TestRulesReadsNoDirectory(t *testing.T) {
	got := rulesTranscript(t, "", "validate", t.TempDir())
	assert.Contains(t, got, "Error: read rules from")
	assert.Contains(t, got, "[exit 1]")
}

func TestRulesCompletion(t *testing.T) {
	var out bytes.Buffer
	_, code := execute(t.Context(), &out, "__complete", "rules", "import", "--from", "")
	assert.Equal(t, exitOK, code)
	assert.Equal(t, "victoriametrics\nadaptive-metrics\nmetricstransform\n", strings.Split(out.String(), ":4")[0])

	out.Reset()
	_, code = execute(t.Context(), &out, "rules")
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out.String(), "validate")
}

// closed is an output that nobody reads any more.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestRulesFailWhenNobodyReads(t *testing.T) {
	file := filepath.Join("testdata", "rules", "streamaggr.yaml")
	stderr, code := execute(t.Context(), closed{}, "rules", "import", "--from", "victoriametrics", file)
	assert.Equal(t, exitError, code)
	assert.Contains(t, stderr, "Error: file already closed")
}

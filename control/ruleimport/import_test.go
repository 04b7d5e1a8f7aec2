package ruleimport_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/ruleimport"
)

// rewrite writes the golden files again; read the diff before you keep it.
var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata again")

func requireGolden(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run go test -rewrite and inspect the diff")
}

// sources lists the inputs in a directory of testdata.
func sources(tb testing.TB, dir string) []string {
	tb.Helper()
	all, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
	require.NoError(tb, err)
	var list []string
	for _, name := range all {
		if filepath.Ext(name) != ".golden" {
			list = append(list, name)
		}
	}
	require.NotEmpty(tb, list)
	return list
}

func report(r ruleimport.Result) string {
	var b strings.Builder
	for _, m := range r.Messages {
		fmt.Fprintln(&b, m)
	}
	return b.String()
}

func TestImport(t *testing.T) {
	for _, format := range ruleimport.Formats {
		for _, name := range sources(t, string(format)) {
			t.Run(name, func(t *testing.T) {
				source, err := os.ReadFile(name)
				require.NoError(t, err)
				result := ruleimport.Import(format, source)
				text, err := ruleimport.MarshalYAML(result.Rules)
				require.NoError(t, err)
				requireGolden(t, name+".golden", fmt.Sprintf("%s%d errors\n---\n%s", report(result), result.Errors, text))
				requireStable(t, result.Rules)
			})
		}
	}
}

// requireStable writes rules, reads them and writes them again.
func requireStable(t require.TestingT, rules []policy.Rule) {
	for _, marshal := range []func([]policy.Rule) ([]byte, error){ruleimport.MarshalYAML, ruleimport.MarshalJSON} {
		text, err := marshal(rules)
		require.NoError(t, err)
		read := ruleimport.Read(text)
		require.Zero(t, read.Errors, "%s\n%s", text, report(read))
		require.Len(t, read.Rules, len(rules))
		if len(rules) > 0 {
			require.Equal(t, rules, read.Rules)
		}
		again, err := marshal(read.Rules)
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
	}
}

func TestImportOfWhatIsNoRules(t *testing.T) {
	f := func(format ruleimport.Format, source string, want ...string) {
		t.Helper()
		result := ruleimport.Import(format, []byte(source))
		assert.Empty(t, result.Rules)
		assert.Equal(t, strings.Join(want, "\n"), strings.TrimSuffix(report(result), "\n"))
	}
	for _, format := range []ruleimport.Format{ruleimport.VictoriaMetrics, ruleimport.MetricsTransform} {
		f(format, "", "error: the source is empty")
		f(format, "# nothing\n", "error: the source is empty")
		f(format, "a: [", "1:1: error: not YAML: did not find expected node content")
		f(format, "\xff", "error: not YAML: invalid leading UTF-8 octet")
		f(format, "- a\n---\n- b", "2:1: error: a second document begins here: import one at a time")
		f(format, "- {a: 1, a: 2}", `1:10: error: the key "a" is there twice`)
		f(format, "- {[a]: 1}", "1:4: error: a key must be a text")
		f(format, "- {<<: 1}", "1:8: error: only mappings can be merged")
		f(format, strings.Repeat("[", 100)+strings.Repeat("]", 100), "1:66: error: values are nested more than 64 deep")
		f(format, "- &a [x]\n- &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n- &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n- &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"+
			"- &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n- [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n- [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]",
			"1:7: error: the source has more than 500000 values")
		f(format, strings.Repeat(" ", 17<<20), "error: the source is longer than 16 MiB")
	}
	f(ruleimport.VictoriaMetrics, "a: b", "1:1: error: a stream aggregation file is a list of entries")
	f(ruleimport.VictoriaMetrics, "[]", "warning: there is nothing to import",
		"1:1: info: names are taken as the prometheus receiver gives them; for metrics that come by OTLP write their OTLP names, which `phoenixctl top` prints")
	f(ruleimport.MetricsTransform, "a: b", "1:1: error: there is no list of transforms")
	f(ruleimport.MetricsTransform, "processors: {metricstransform: {transforms: {}}}", "1:32: error: processors.metricstransform: there is no list of transforms")
	f("mimirtool", "[]", `error: unknown format "mimirtool"`)

	const adaptive = ruleimport.AdaptiveMetrics
	f(adaptive, " \n", "error: the source is empty")
	f(adaptive, "[{]", "1:3: error: not JSON: invalid character ']'")
	f(adaptive, "[\n  {\"a\" 1}]", "2:8: error: not JSON: invalid character '1' after object key")
	f(adaptive, "[", "1:2: error: not JSON: unexpected EOF")
	f(adaptive, "[] []", "1:5: error: not JSON: there is more after the value")
	f(adaptive, `[{"a": 1, "a": 2}]`, `1:11: error: the key "a" is there twice`)
	f(adaptive, strings.Repeat("[", 100), "1:66: error: values are nested more than 64 deep")
	f(adaptive, "["+strings.Repeat("1,", 600_000)+"1]", "1:1000000: error: the source has more than 500000 values")
	f(adaptive, strings.Repeat(" ", 17<<20), "error: the source is longer than 16 MiB")
	f(adaptive, `"x"`, "1:1: error: the rules of Adaptive Metrics are a JSON list")
}

func TestImportIsBounded(t *testing.T) {
	entry := "- {match: x, interval: 1s, without: [a], outputs: [%s]}\n"
	many := ruleimport.Import(ruleimport.VictoriaMetrics, []byte(strings.Repeat(fmt.Sprintf(entry, "stddev"), 1_100)))
	assert.Len(t, many.Messages, 1_001)
	assert.Equal(t, 2_200, many.Errors, "also those that are not shown")
	assert.Equal(t, "warning: 1202 more messages are not shown", many.Messages[1_000].String())

	many = ruleimport.Import(ruleimport.VictoriaMetrics, []byte(strings.Repeat(fmt.Sprintf(entry, "total"), 20_001)))
	assert.Len(t, many.Rules, 20_000)
	assert.Equal(t, 1, many.Errors)
	assert.Equal(t, "x-20000", many.Rules[19_999].Name)
	text := report(many)
	assert.Contains(t, text, "there are more than 20000 rules: this one and those after it were left out")
	assert.Contains(t, text, "more rules overlap, or may, than are named here")
}

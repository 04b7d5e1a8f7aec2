package ruleimport_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/ruleimport"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// sound asserts what holds for every import.
func sound(t require.TestingT, result ruleimport.Result) {
	require.NoError(t, policy.ValidateRules(result.Rules))
	_, err := policy.NewSnapshot(1, nil)
	require.NoError(t, err)
	errors := 0
	for _, m := range result.Messages {
		require.NotEmpty(t, m.Text)
		if m.Severity == ruleimport.Error {
			errors++
		}
	}
	require.LessOrEqual(t, errors, result.Errors)
	if len(result.Rules) == 0 {
		require.NotEmpty(t, result.Messages, "nothing came out, and nothing was said")
	}
	requireStable(t, result.Rules)
}

func TestImportsAreSoundAndStable(t *testing.T) {
	word := rapid.OneOf(
		rapid.SampledFrom([]string{"up", "x_bucket", "x_sum", "x_count", "pod", "instance", "job", "le", "a*", "resource.a", "", "/x/", "$$", "${x}", "é", "(", "^a", "b$"}),
		rapid.String(),
	)
	words := rapid.SliceOfN(word, 0, 4)
	maybe := func(t *rapid.T, m map[string]any, key string, value *rapid.Generator[any]) {
		if rapid.Bool().Draw(t, "has "+key) {
			m[key] = value.Draw(t, key)
		}
	}
	anyOf := func(values ...any) *rapid.Generator[any] { return rapid.SampledFrom(values) }
	list, text := words.AsAny(), word.AsAny()
	outputs := rapid.SliceOfN(rapid.SampledFrom([]string{"total", "max", "avg", "increase", "stddev", "rate_sum", "sum", "sum:counter", "count"}), 0, 3).AsAny()
	entries := map[ruleimport.Format]func(*rapid.T) map[string]any{
		ruleimport.VictoriaMetrics: func(t *rapid.T) map[string]any {
			label, op := word.Draw(t, "label"), rapid.SampledFrom([]string{"=", "=~", "!=", "!~"}).Draw(t, "op")
			e := map[string]any{"match": fmt.Sprintf("{__name__=%q,%q%s%q}", word.Draw(t, "name"), label, op, word.Draw(t, "value"))}
			maybe(t, e, "by", list)
			maybe(t, e, "without", list)
			maybe(t, e, "outputs", outputs)
			maybe(t, e, "interval", anyOf("1m", 60, nil))
			return e
		},
		ruleimport.AdaptiveMetrics: func(t *rapid.T) map[string]any {
			e := map[string]any{}
			maybe(t, e, "metric", text)
			maybe(t, e, "match_type", anyOf("exact", "prefix", "suffix", "x"))
			maybe(t, e, "drop_labels", list)
			maybe(t, e, "keep_labels", list)
			maybe(t, e, "aggregations", outputs)
			maybe(t, e, "drop", anyOf(true, false, "x"))
			return e
		},
		ruleimport.MetricsTransform: func(t *rapid.T) map[string]any {
			op := map[string]any{"action": rapid.SampledFrom([]string{"aggregate_labels", "aggregate_label_values"}).Draw(t, "action")}
			maybe(t, op, "label_set", list)
			maybe(t, op, "label", text)
			maybe(t, op, "aggregated_values", list)
			maybe(t, op, "new_value", text)
			maybe(t, op, "aggregation_type", anyOf("sum", "mean", "median"))
			e := map[string]any{"operations": []any{op}}
			maybe(t, e, "include", text)
			maybe(t, e, "match_type", anyOf("strict", "regexp"))
			maybe(t, e, "experimental_match_labels", rapid.MapOfN(word, word, 0, 2).AsAny())
			return e
		},
	}
	for format, entry := range entries {
		rules := 0
		rapid.Check(t, func(t *rapid.T) {
			var source any = rapid.SliceOfN(rapid.Custom(entry), 1, 4).Draw(t, "entries")
			if format == ruleimport.MetricsTransform {
				source = map[string]any{"transforms": source}
			}
			text, err := json.Marshal(source)
			require.NoError(t, err)
			result := ruleimport.Import(format, text)
			rules += len(result.Rules)
			sound(t, result)
		})
		assert.Positive(t, rules, format)
	}
}

// include of metrics_transform matches anywhere in a name; ours must match the
// same names.
func TestIncludeMatchesTheSameNames(t *testing.T) {
	imported := 0
	rapid.Check(t, func(t *rapid.T) {
		include := rapid.StringMatching(`\^?(\(\?[ims]\))?[ab.|]{0,3}(\(a\|b\))?[ab.*+?\\]{0,4}\$?`).Draw(t, "include")
		source, err := json.Marshal([]any{map[string]any{
			"include": include, "match_type": "regexp",
			"operations": []any{map[string]any{"action": "aggregate_labels", "label_set": []string{"x"}, "aggregation_type": "sum"}},
		}})
		require.NoError(t, err)
		result := ruleimport.Import(ruleimport.MetricsTransform, source)
		re, err := regexp.Compile(include)
		if err != nil || include == "" {
			require.Empty(t, result.Rules)
			return
		}
		require.Len(t, result.Rules, 1, report(result))
		imported++
		pattern, err := match.Compile(result.Rules[0].Match.Metric)
		require.NoError(t, err)
		name := rapid.StringMatching(`[abAB\n]{0,5}`).Draw(t, "name")
		require.Equal(t, re.MatchString(name), pattern.Match(name), "%s of %s: %q", pattern, include, name)
	})
	assert.Positive(t, imported)
}

// A selector and the rule that it becomes agree on every series.
func TestSelectorMatchesTheSameSeries(t *testing.T) {
	value := rapid.SampledFrom([]string{"", "a", "b", "ab", "/a/", "a*", "a?"})
	imported := 0
	rapid.Check(t, func(t *rapid.T) {
		name, op := value.Draw(t, "name"), rapid.SampledFrom([]string{"=", "=~", "!=", "!~"}).Draw(t, "op")
		want := rapid.OneOf(value, rapid.SampledFrom([]string{".+", ".*", "a|b", "[ab]+"})).Draw(t, "value")
		label := rapid.SampledFrom([]string{"x", "job", "instance"}).Draw(t, "label")
		source, err := json.Marshal([]any{map[string]any{
			"match": fmt.Sprintf("{__name__=%q,%s%s%q}", name, label, op, want), "without": []string{"pod"}, "outputs": []string{"total"},
		}})
		require.NoError(t, err)
		result := ruleimport.Import(ruleimport.VictoriaMetrics, source)
		if len(result.Rules) == 0 {
			require.Positive(t, result.Errors)
			return
		}
		imported++
		m := result.Rules[0].Match
		pattern, err := match.Compile(m.Metric)
		require.NoError(t, err)
		require.True(t, pattern.Match(name))
		require.Equal(t, name == "b", pattern.Match("b"))
		conditions := m.Point
		if label != "x" {
			conditions = m.Resource
		}
		got := value.Draw(t, "got") // of a label, empty is absent
		ours := true
		for _, c := range conditions {
			if c.Present != nil {
				ours = ours && *c.Present == (got != "")
				continue
			}
			p, err := match.Compile(c.Value)
			require.NoError(t, err)
			ours = ours && got != "" && p.Match(got)
		}
		theirs := got == want
		switch op {
		case "=~":
			theirs = regexp.MustCompile("^(?:" + want + ")$").MatchString(got)
		case "!=":
			theirs = got != want
		}
		if theirs && !ours {
			require.Contains(t, report(result), "also selects series without the label")
			return
		}
		require.Equal(t, theirs, ours, "%s%s%q on %q", label, op, want, got)
	})
	assert.Positive(t, imported)
}

func FuzzImport(f *testing.F) {
	for i, format := range ruleimport.Formats {
		for _, name := range sources(f, string(format)) {
			source, err := os.ReadFile(name)
			require.NoError(f, err)
			f.Add(uint8(i), source)
		}
	}
	f.Add(uint8(0), []byte("- &a [*a]"))
	f.Add(uint8(0), []byte("- {<<: [{match: up}], outputs: [total]}"))
	f.Add(uint8(0), []byte(`- {match: "{'\U0010ffff'}", outputs: [total]}`))
	f.Add(uint8(1), []byte(`[{"metric": "\ud83d\ude00", "drop_labels": ["\ud83d"]}]`))
	f.Fuzz(func(t *testing.T, i uint8, source []byte) {
		if len(source) > 1<<16 {
			return
		}
		sound(t, ruleimport.Import(ruleimport.Formats[int(i)%len(ruleimport.Formats)], source))
	})
}

func FuzzRead(f *testing.F) {
	for _, name := range sources(f, "read") {
		source, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(source)
	}
	f.Add([]byte(strings.Repeat(`{"rules":[`, 100)))
	f.Fuzz(func(t *testing.T, source []byte) {
		result := ruleimport.Read(source)
		if result.Errors > 0 {
			require.NotEmpty(t, result.Messages)
			return
		}
		require.NoError(t, policy.ValidateRules(result.Rules))
		requireStable(t, result.Rules)
	})
}

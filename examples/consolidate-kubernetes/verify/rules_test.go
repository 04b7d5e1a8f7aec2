package main

import (
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rulesOf reads rules written in YAML.
func rulesOf(t *testing.T, text string) []rule {
	t.Helper()
	rules, err := readRules([]byte("processors:\n  tag_consolidation:\n    rules:\n" + text))
	require.NoError(t, err)
	return rules
}

func TestTheFirstRuleThatMatchesApplies(t *testing.T) {
	rules := rulesOf(t, `
      - {name: reads, match: {metric: latency, point: [{attribute: verb, value: /GET|LIST/}]}, attributes: {drop: [pod]}}
      - {name: rest, match: {metric: "l?t*"}, gauge: max}
      - {name: sizes, match: {metric: /size|siz/}}
      - {name: sums, match: {metric: c, types: [gauge, sum]}}
`)
	for name, tc := range map[string]struct {
		sample sample
		want   string
	}{
		"a condition that holds":  {sample{metric: "latency", kind: kindHistogram, labels: map[string]string{"verb": "GET"}}, "reads"},
		"the whole value":         {sample{metric: "latency", kind: kindHistogram, labels: map[string]string{"verb": "GETS"}}, "rest"},
		"no such label":           {sample{metric: "latency", kind: kindHistogram}, "rest"},
		"a glob":                  {sample{metric: "lot", kind: kindCounter}, "rest"},
		"the whole name":          {sample{metric: "a_lot", kind: kindCounter}, ""},
		"a gauge with a policy":   {sample{metric: "lot", kind: kindGauge}, "rest"},
		"a gauge without":         {sample{metric: "size", kind: kindGauge}, ""},
		"a summary":               {sample{metric: "lot", kind: kindSummary}, ""},
		"an expression":           {sample{metric: "siz", kind: kindCounter}, "sizes"},
		"one of the types":        {sample{metric: "c", kind: kindCounter}, "sums"},
		"another type":            {sample{metric: "c", kind: kindHistogram}, ""},
		"an expression, anchored": {sample{metric: "sizes", kind: kindCounter}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if r := ruleFor(rules, &tc.sample); r != nil {
				got = r.Name
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestARuleKeepsLabelsAndBounds(t *testing.T) {
	r := rulesOf(t, "      - {name: a, match: {metric: m}, attributes: {drop: [pod, zone]}, buckets: {keep_bounds: [0.5]}}\n")[0]
	assert.Equal(t, map[string]string{"verb": "GET"}, r.kept(map[string]string{"verb": "GET", "pod": "a"}))
	for n, want := range map[number]bool{
		{bucket, 0.5}: true, {bucket, 1}: false, {bucket, math.Inf(1)}: true, {kind: count}: true, {kind: sum}: true, {kind: value}: true,
	} {
		assert.Equal(t, want, r.keeps(n), n.String())
	}
}

func TestWhatCannotBeJudgedIsRefused(t *testing.T) {
	for want, text := range map[string]string{
		"field limit not found":            "rules: [{name: a, match: {metric: m}, limit: {max_series: 1}}]",
		"field map not found":              "rules: [{name: a, match: {metric: m}, attributes: {map: []}}]",
		"field resource not found":         "rules: [{name: a, match: {metric: m, resource: []}}]",
		`rule a: gauge: cannot judge "me`:  "rules: [{name: a, match: {metric: m}, gauge: mean}]",
		`rule a: drop: cannot judge "p*"`:  "rules: [{name: a, match: {metric: m}, attributes: {drop: [p*]}}]",
		"rule a: error parsing regexp":     "rules: [{name: a, match: {metric: /(/}}]",
		"error parsing regexp: missing cl": "rules: [{name: a, match: {metric: m, point: [{attribute: b, value: /(/}]}}]",
		"there is no rule":                 "rules: []",
	} {
		_, err := readRules([]byte("processors:\n  tag_consolidation:\n    " + text))
		require.ErrorContains(t, err, want)
	}
	_, err := readRules([]byte("processors: {}"))
	require.ErrorIs(t, err, errNoRules)
}

// The rules of the example are those that are judged, all of them.
func TestTheExampleHasRulesThatAreUsed(t *testing.T) {
	tally := playExample(t, false)
	used := map[string]bool{}
	for _, k := range tally.kept {
		used[k.rule.Name] = true
	}
	config, err := os.ReadFile("../config.yaml")
	require.NoError(t, err)
	rules, err := readRules(config)
	require.NoError(t, err)
	for _, r := range rules {
		assert.True(t, used[r.Name], "%s takes nothing", r.Name)
	}
	assert.Len(t, rules, len(used))
}

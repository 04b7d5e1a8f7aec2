package policy_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// file is what a component's configuration with rules looks like.
type file struct {
	Rules []policy.Rule `mapstructure:"rules" json:"rules"`
}

// decode reads rules as the Collector does.
func decode(t require.TestingT, text string) []policy.Rule {
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &tree))
	var f file
	require.NoError(t, confmap.NewFromStringMap(tree).Unmarshal(&f))
	return f.Rules
}

func TestEveryOptionIsReadFromYAMLAndJSON(t *testing.T) {
	text, err := os.ReadFile("testdata/every-option.yaml")
	require.NoError(t, err)
	rules := decode(t, string(text))
	require.NoError(t, policy.ValidateRules(rules))
	assert.Len(t, rules, 3)
	assert.Equal(t, policy.Fold{"auto"}, rules[0].Limit.Fold)
	assert.Equal(t, policy.Fold{"http.route", "resource.k8s.pod.name"}, rules[1].Limit.Fold)
	assert.NotNil(t, rules[1].Attributes.Keep)
	assert.Nil(t, rules[0].Attributes.Keep)

	// The same tree as JSON gives the same rules, and so does what they are written as.
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal(text, &tree))
	asJSON, err := json.Marshal(tree)
	require.NoError(t, err)
	for range 2 {
		in := json.NewDecoder(strings.NewReader(string(asJSON)))
		in.DisallowUnknownFields()
		var f file
		require.NoError(t, in.Decode(&f))
		assert.Equal(t, rules, f.Rules)
		asJSON, err = json.Marshal(f)
		require.NoError(t, err)
	}
	// No option is missing from the test.
	for _, r := range rules[1:] {
		merge(&rules[0], r)
	}
	assertNoZeroFields(t, rules[0])
}

func TestFoldRefusesWhatIsNoListOfWords(t *testing.T) {
	for _, text := range []string{`1`, `{}`, `[1]`, `[[]]`} {
		var f policy.Fold
		require.EqualError(t, json.Unmarshal([]byte(text), &f), "fold: must be auto or a list of attributes", text)
	}
	var f policy.Fold
	require.NoError(t, json.Unmarshal([]byte(`null`), &f))
	assert.Nil(t, f)
	text, err := json.Marshal(policy.Fold{"point.auto"})
	require.NoError(t, err)
	assert.JSONEq(t, `["point.auto"]`, string(text))
}

// Each mistake has a golden message; the file holds rules and, in comments, what
// is said of them.
func TestMistakes(t *testing.T) {
	text, err := os.ReadFile("testdata/mistakes.yaml")
	require.NoError(t, err)
	var want []string
	for line := range strings.Lines(string(text)) {
		if message, ok := strings.CutPrefix(strings.TrimSpace(line), "#! "); ok {
			want = append(want, message)
		}
	}
	err = policy.ValidateRules(decode(t, string(text)))
	require.Error(t, err)
	assert.Equal(t, strings.Join(want, "\n"), err.Error())
	assert.Len(t, policy.AsErrors(err), len(want))
}

func TestMistakesThatYAMLCannotHold(t *testing.T) {
	f := func(change func(*policy.Rule), want ...string) {
		t.Helper()
		r := policy.Rule{Name: "r", Match: policy.Match{Metric: "*"}}
		change(&r)
		err := policy.ValidateRules([]policy.Rule{r})
		if len(want) == 0 {
			require.NoError(t, err)
			return
		}
		require.EqualError(t, err, strings.Join(want, "\n"))
	}
	f(func(*policy.Rule) {})
	f(func(r *policy.Rule) { r.Name = strings.Repeat("n", 129) }, "rules[0].name: must not be longer than 128 bytes, got 129")
	f(func(r *policy.Rule) { r.Match.Metric = "a\xff" }, `rules[0].match.metric: "a\xff" is not valid UTF-8`)
	f(func(r *policy.Rule) { r.Match.Metric = strings.Repeat("n", 1025) }, "rules[0].match.metric: must not be longer than 1024 bytes, an expression not than 65536")
	f(func(r *policy.Rule) { r.Match.Types = []policy.MetricType{""} }, "rules[0].match.types[0]: must not be empty")
	f(func(r *policy.Rule) { r.Buckets = &policy.Buckets{KeepBounds: []float64{0, math.Inf(1)}} },
		"rules[0].buckets.keep_bounds[1]: must be finite, got +Inf; the +Inf bucket always stays")
	f(func(r *policy.Rule) { r.Attributes.Drop = make([]string, 1001) }, "rules[0].attributes.drop: must not have more than 1000 entries, got 1001")
	f(func(r *policy.Rule) {
		r.Attributes.Map = []policy.ValueMap{{Attribute: "x", Ranges: []policy.Range{{From: new(math.NaN()), As: "x"}}}}
	}, "rules[0].attributes.map[0].ranges[0]: bounds must be finite; leave one out for none on that side")
	f(func(r *policy.Rule) {
		r.Attributes.Map = []policy.ValueMap{{Attribute: "x", Regex: strings.Repeat("x", 65<<10), Template: "x"}}
	}, "rules[0].attributes.map[0].regex: must not be longer than 65536 bytes")
}

func TestAsErrorsOfOthers(t *testing.T) {
	assert.Nil(t, policy.AsErrors(nil))
	assert.Nil(t, policy.AsErrors(assert.AnError))
}

func TestWithDefaults(t *testing.T) {
	r := policy.Rule{Limit: &policy.Limit{MaxSeries: 1}, Attributes: policy.Attributes{TopK: &policy.TopK{K: 1}}}
	d := r.WithDefaults()
	assert.Equal(t, policy.Rule{
		Scope: policy.ScopeKeep, Summary: policy.SummaryPass, Mode: policy.ModeEnforce,
		Limit:      &policy.Limit{MaxSeries: 1, Fold: policy.Fold{policy.FoldAuto}},
		Attributes: policy.Attributes{TopK: &policy.TopK{K: 1, Other: policy.DefaultOther}},
	}, d)
	assert.Nil(t, r.Limit.Fold, "what it was made from is as before")
	assert.Empty(t, r.Attributes.TopK.Other)
	assert.Equal(t, d, d.WithDefaults())
}

func TestValidationNeverPanicsAndNamesWhatIsWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Make[policy.Rule](), 0, 3).Draw(t, "rules")
		err := policy.ValidateRules(rules)
		for _, one := range policy.AsErrors(err) {
			if !strings.HasPrefix(one.Path, "rules[") || one.Problem == "" {
				t.Fatalf("%q has no path or says nothing", one)
			}
		}
		policy.Overlaps(rules, 10)
		for _, r := range rules {
			r.WithDefaults()
		}
		_, _ = policy.NewSnapshot(1, rules)
	})
}

// What is drawn from words that mean something is often valid, and then keeps its
// meaning when it is written and read.
func TestValidRulesSurviveJSON(t *testing.T) {
	refs := rapid.SampledFrom([]string{"pod", "resource.pod", "point.pod", "scope.lib", "k8s.*", "resource.service.name", "auto", "resource.*", "le"})
	lists := rapid.Custom(func(t *rapid.T) []string {
		return rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOfN(refs, 0, 3)).Draw(t, "list")
	})
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		r := policy.Rule{Name: "r", Match: policy.Match{Metric: rapid.SampledFrom([]string{"*", "/x+/", "/(/"}).Draw(t, "metric")}}
		r.Attributes = policy.Attributes{Drop: lists.Draw(t, "drop"), Keep: lists.Draw(t, "keep")}
		if rapid.Bool().Draw(t, "limited") {
			r.Limit = &policy.Limit{MaxSeries: rapid.Int64Range(0, 9).Draw(t, "max"), Fold: lists.Draw(t, "fold")}
		}
		if policy.ValidateRules([]policy.Rule{r}) != nil {
			return
		}
		valid++
		text, err := json.Marshal(r)
		require.NoError(t, err)
		var back policy.Rule
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, r, back)
	})
	assert.Positive(t, valid)
}

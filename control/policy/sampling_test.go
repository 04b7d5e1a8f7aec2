package policy_test

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// samplingFile is what the configuration of an adaptive_sampler looks like.
type samplingFile struct {
	Rules []policy.SamplingRule `mapstructure:"rules" json:"rules"`
}

func decodeSampling(t require.TestingT, name string) []policy.SamplingRule {
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return readSampling(t, text)
}

func readSampling(t require.TestingT, text []byte) []policy.SamplingRule {
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal(text, &tree))
	var f samplingFile
	require.NoError(t, confmap.NewFromStringMap(tree).Unmarshal(&f))
	return f.Rules
}

func TestEverySamplingOptionIsRead(t *testing.T) {
	rules := decodeSampling(t, "sampling-every-option.yaml")
	require.NoError(t, policy.ValidateSamplingRules(rules))
	assert.Equal(t, 30*time.Second, rules[0].DeadBand.Heartbeat.Std())
	assert.False(t, *rules[0].DeadBand.Corners)
	text, err := json.Marshal(samplingFile{rules})
	require.NoError(t, err)
	var again samplingFile
	require.NoError(t, json.Unmarshal(text, &again))
	assert.Equal(t, rules, again.Rules)
	assert.Equal(t, rules, readSampling(t, text), "what is written as JSON is read as YAML")
	for _, r := range rules {
		filled := r.WithDefaults()
		require.NoError(t, policy.ValidateSamplingRules([]policy.SamplingRule{filled}))
		assert.Equal(t, filled, filled.WithDefaults())
	}
}

func TestMistakesInSamplingRules(t *testing.T) {
	text, err := os.ReadFile("testdata/sampling-mistakes.yaml")
	require.NoError(t, err)
	var want []string
	for line := range strings.Lines(string(text)) {
		if message, ok := strings.CutPrefix(strings.TrimSpace(line), "#! "); ok {
			want = append(want, message)
		}
	}
	err = policy.ValidateSamplingRules(decodeSampling(t, "sampling-mistakes.yaml"))
	require.Error(t, err)
	assert.Equal(t, strings.Join(want, "\n"), err.Error())
	assert.Len(t, policy.AsErrors(err), len(want))
}

func TestNumbersThatAreNone(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		rules := []policy.SamplingRule{
			{Name: "a", DeadBand: &policy.DeadBand{Match: policy.Match{Metric: "a"}, Tolerance: policy.Tolerance{Relative: v, Absolute: v}}},
			{Name: "b", Series: &policy.SeriesSample{Match: policy.Match{Metric: "a"}, Ratio: v}},
			{Name: "c", Budget: &policy.Budget{Signal: policy.SignalLogs, PointsPerSecond: v, Floor: v, Ceiling: v}},
		}
		assert.Len(t, policy.AsErrors(policy.ValidateSamplingRules(rules)), 6, "%v", v)
	}
}

func TestSamplingDefaults(t *testing.T) {
	r := policy.SamplingRule{DeadBand: &policy.DeadBand{Heartbeat: policy.Duration(10 * time.Second)}}
	d := r.WithDefaults()
	assert.Equal(t, policy.SamplingRule{Mode: policy.ModeEnforce, DeadBand: &policy.DeadBand{
		Heartbeat: policy.Duration(10 * time.Second), Predictor: policy.PredictorHold, Range: policy.Duration(40 * time.Second), Corners: new(true),
	}}, d)
	assert.Nil(t, r.DeadBand.Corners, "what it was made from is as before")
	assert.Equal(t, &policy.SeriesSample{Weigh: policy.WeighAttribute, Attribute: policy.DefaultWeightAttribute},
		policy.SamplingRule{Series: &policy.SeriesSample{}}.WithDefaults().Series)
	assert.Equal(t, &policy.Budget{Floor: 0.1, Ceiling: 1}, policy.SamplingRule{Budget: &policy.Budget{}}.WithDefaults().Budget)
}

func TestCheckedSamplingRulesShareNothing(t *testing.T) {
	rules := decodeSampling(t, "sampling-every-option.yaml")
	c, err := policy.CheckAll(nil, rules)
	require.NoError(t, err)
	assert.Equal(t, len(rules), c.Len())
	s, err := policy.Assemble(3, []policy.Checked{c})
	require.NoError(t, err)
	require.Equal(t, rules, s.Sampling)
	assertApart(t, "sampling", reflect.ValueOf(rules), reflect.ValueOf(s.Sampling))
	assert.NotNil(t, s.Rules)
}

func TestCheckRefusesRulesOfBothKindsAtOnce(t *testing.T) {
	good := policy.SamplingRule{Name: "a", Budget: &policy.Budget{Signal: policy.SignalMetrics, PointsPerSecond: 1}}
	_, err := policy.CheckAll([]policy.Rule{{Name: "a"}}, []policy.SamplingRule{good, good, {}})
	require.EqualError(t, err, "rules[0].match.metric: must not be empty\nrules[0].role: must be common or candidate in a snapshot\n"+
		"sampling[1].name: \"a\" is the name of sampling[0] already\n"+
		"sampling[2].name: must not be empty\nsampling[2]: exactly one of dead_band, series and budget must be given, got 0")
	money := policy.SamplingRule{Name: "m", Budget: &policy.Budget{Signal: policy.SignalMetrics, MonthlyCost: 5}}
	require.NoError(t, policy.ValidateSamplingRules([]policy.SamplingRule{money}))
	_, err = policy.CheckAll(nil, []policy.SamplingRule{money})
	require.EqualError(t, err, "sampling[0].budget.monthly_cost: must be points or bytes a second in a snapshot: only a control plane knows prices")
	one, err := policy.CheckAll(nil, []policy.SamplingRule{good})
	require.NoError(t, err)
	_, err = policy.Assemble(1, []policy.Checked{one, one})
	require.EqualError(t, err, `sampling[1].name: "a" is the name of sampling[0] already`)
}

func TestAdvice(t *testing.T) {
	band := func(heartbeat, span time.Duration) []string {
		return policy.SamplingRule{Name: "r", DeadBand: &policy.DeadBand{Heartbeat: policy.Duration(heartbeat), Range: policy.Duration(span)}}.Advice()
	}
	assert.Empty(t, band(0, 0))
	assert.Empty(t, band(time.Minute, 4*time.Minute))
	assert.Equal(t, []string{`rule "r": a heartbeat of 1m0s is more than a quarter of the range 3m59s: rates over that range rest on less than four points`},
		band(time.Minute, 239*time.Second))
	assert.Equal(t, []string{`rule "r": a heartbeat of 5m0s is not below 5m0s, after which Prometheus takes a silent series for gone: instant queries find gaps`},
		band(5*time.Minute, 0))
	assert.Empty(t, policy.SamplingRule{Budget: &policy.Budget{}}.Advice())
}

func TestSamplingRulesOfOneKindOverlap(t *testing.T) {
	band := func(name, metric string) policy.Rule {
		return policy.SamplingRule{Name: name, DeadBand: &policy.DeadBand{Match: policy.Match{Metric: metric}}}.Selection()
	}
	budget := func(name, signal string) policy.Rule {
		return policy.SamplingRule{Name: name, Budget: &policy.Budget{Signal: signal}}.Selection()
	}
	f := func(a, b policy.Rule, want ...policy.OverlapKind) {
		t.Helper()
		found, complete := policy.Overlaps([]policy.Rule{a, b}, 10)
		assert.True(t, complete)
		var kinds []policy.OverlapKind
		for _, o := range found {
			kinds = append(kinds, o.Kind)
		}
		assert.Equal(t, want, kinds)
	}
	f(band("a", "http*"), band("b", "http.x"), policy.Shadowed)
	f(band("a", "http.x"), band("b", "http*"), policy.Overlapping)
	f(band("a", "http*"), band("b", "grpc*"))
	f(band("a", "*"), policy.SamplingRule{Name: "b", Series: &policy.SeriesSample{Match: policy.Match{Metric: "*"}}}.Selection())
	f(budget("a", policy.SignalLogs), budget("b", policy.SignalLogs), policy.Shadowed)
	f(budget("a", policy.SignalLogs), budget("b", policy.SignalTraces))
}

func TestSamplingValidationNeverPanicsAndNamesWhatIsWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Make[policy.SamplingRule](), 0, 3).Draw(t, "rules")
		for _, one := range policy.AsErrors(policy.ValidateSamplingRules(rules)) {
			if !strings.HasPrefix(one.Path, "rules[") || one.Problem == "" {
				t.Fatalf("%q has no path or says nothing", one)
			}
		}
		for _, r := range rules {
			r.WithDefaults()
			r.Advice()
			r.Selection()
		}
		_, _ = policy.CheckAll(nil, rules)
	})
}

func TestDurationsThatCannotBeRead(t *testing.T) {
	var d policy.Duration
	require.NoError(t, d.UnmarshalText([]byte("soon")))
	assert.Equal(t, "unreadable", d.String())
	text, err := json.Marshal(policy.Duration(90 * time.Second))
	require.NoError(t, err)
	assert.JSONEq(t, `"1m30s"`, string(text))
}

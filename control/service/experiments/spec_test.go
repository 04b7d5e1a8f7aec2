package experiments

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
)

// fullSpec has every field set.
func fullSpec() experiment.Spec {
	minute := experiment.Duration(time.Minute)
	return experiment.Spec{
		ID: "shop/a", Description: `"<&> ü`, Signal: experiment.SignalMetrics, Mode: experiment.ModeMirror,
		Scope: map[string]string{"service.name": "checkout", "point.tier": "1"}, Metrics: []string{"http.server.requests", "up"},
		Unit:        experiment.Unit{Kind: experiment.UnitAttribute, Attribute: "pod", WriterByArm: true},
		Rules:       []policy.Rule{fullRule()},
		Steps:       []experiment.WeightStep{{Weight: 5, Dwell: minute}, {Weight: 50}},
		Schedule:    experiment.Schedule{NotBefore: time.Unix(1e9, 5000).UTC(), NotAfter: time.Unix(2e9, 0).UTC()},
		Interval:    experiment.Duration(5 * time.Second),
		MinDuration: minute, MaxDuration: 90 * minute, MaxPause: 10 * minute,
		Guardrails: []experiment.Guardrail{
			{Measure: experiment.MeasureLatency, AllowedChange: new(0.1), Critical: true, MustHaveData: true},
			{Name: "errors", Query: `rate(x{arm="$arm"}[5m])`, Direction: experiment.DirectionEither, AllowedChange: new(0.0), DryRun: true, FailureLimit: 3},
		},
		Success: []experiment.Criterion{{Measure: experiment.MeasureSeries, AtLeast: 0.25}},
		Fidelity: &experiment.Fidelity{
			RuleFiles: []experiment.Document{{Name: "alerts.yaml", Text: "groups: []\n"}}, Dashboards: []experiment.Document{{Name: "d", Text: "{}"}},
			Queries:   []experiment.Query{{Name: "q", Expr: "up"}},
			MinJudged: new(0.5), CriticalAlerts: []string{"Down"}, Tolerance: new(0.02), MeanTolerance: new(0.0),
			LongestRange: 5 * minute, LongestFor: minute, MaxSeries: 1000, MaxMemoryMiB: 64,
		},
		Approval: experiment.Approval{Start: true, Promote: true},
	}
}

func fullRule() policy.Rule {
	return policy.Rule{
		Name: "all",
		Match: policy.Match{
			Metric: "http.*", Types: []policy.MetricType{"sum"}, Resource: []policy.Condition{{Attribute: "a", Value: "b*"}},
			Point: []policy.Condition{{Attribute: "y", Present: new(false)}},
		},
		Attributes: policy.Attributes{
			Drop: []string{"resource.pod"}, Keep: []string{},
			Map: []policy.ValueMap{
				{Attribute: "code", Ranges: []policy.Range{{From: new(400.0), To: new(500.0), As: "4xx"}}, Other: "?"},
				{Attribute: "route", Paths: []string{"/users/{id}"}},
				{Attribute: "r", Regex: "a(.*)", Template: "$1"},
			},
			HashBuckets: []policy.HashBuckets{{Attribute: "user", Buckets: 16}}, TopK: &policy.TopK{Attribute: "route", K: 10, Other: "rest"},
		},
		Limit:   &policy.Limit{MaxSeries: 1000, Fold: policy.Fold{"route", "code"}},
		Buckets: &policy.Buckets{KeepBounds: []float64{0.1, 1}},
		Scope:   "drop", Gauge: "sum", Summary: "merge_count_sum", Role: policy.RoleCandidate,
		Experiment: &policy.Experiment{ID: "e", Scope: map[string]string{"a": "b"}},
	}
}

// goFields lists the paths of the keys that a Go type has in JSON.
func goFields(t reflect.Type, path string, list map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() {
		return
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		list[path+name] = true
		goFields(f.Type, path+name+".", list)
	}
}

func protoFields(d protoreflect.MessageDescriptor, path string, list map[string]bool) {
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		at := path + string(f.Name())
		list[at] = true
		if m := f.Message(); m != nil && !f.IsMap() && m.FullName().Parent() == d.FullName().Parent() {
			protoFields(m, at+".", list)
		}
	}
}

// The JSON of both has the same keys, but for the id, which is the name in the
// API, and what no rule of an experiment has.
func TestBothFormsHaveTheSameFields(t *testing.T) {
	inGo, inProto := map[string]bool{}, map[string]bool{}
	goFields(reflect.TypeFor[experiment.Spec](), "", inGo)
	protoFields((&phoenixv1.ExperimentSpec{}).ProtoReflect().Descriptor(), "", inProto)
	for _, only := range []string{"id", "rules.mode"} {
		require.True(t, inGo[only])
		delete(inGo, only)
	}
	assert.Equal(t, inGo, inProto)
	assert.Greater(t, len(inGo), 90)
}

// assertSet asserts that no field is left out of fullSpec, so that the next test
// sees each of them; of a list it is enough if one element has it.
func assertSet(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Type().Elem().NumField() {
			set := false
			for j := range v.Len() {
				set = set || !v.Index(j).Field(i).IsZero()
			}
			name := v.Type().Elem().Field(i).Name
			assert.True(t, set || name == "Mode", "%s.%s", path, name) // rules of experiments have no mode
		}
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			at := path + "." + v.Type().Field(i).Name
			assert.False(t, v.Field(i).IsZero(), at)
			assertSet(t, v.Field(i), at)
		}
	}
}

// A specification is the same whether it goes through the message or not, field
// by field.
func TestASpecificationIsTheSameInBothForms(t *testing.T) {
	want := fullSpec()
	assertSet(t, reflect.ValueOf(want), "spec")
	text, err := encode(want)
	require.NoError(t, err)

	wire := wireSpec(text)
	require.NotNil(t, wire)
	var m mistakes
	got := m.spec("spec", wire)
	require.Empty(t, m.list)
	got.ID = want.ID
	got.Fidelity.LongestRange, got.Fidelity.LongestFor = want.Fidelity.LongestRange, want.Fidelity.LongestFor // the server sets them
	assert.Equal(t, want, got)
	assert.Equal(t, want.Hash(), got.Hash())

	// And strictly: each key that is written is known, and comes back alike.
	var plain map[string]any
	require.NoError(t, json.Unmarshal(text, &plain))
	delete(plain, "id")
	anonymous, err := json.Marshal(plain)
	require.NoError(t, err)
	strict := &phoenixv1.ExperimentSpec{}
	require.NoError(t, protojson.Unmarshal(anonymous, strict))
	back, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(strict)
	require.NoError(t, err)
	assert.JSONEq(t, string(anonymous), string(back))
}

// What the types of the proto allow and those of a specification do not.
func TestMistakesOfTypes(t *testing.T) {
	var m mistakes
	list := make([]*phoenixv1.Rule, 70)
	for i := range list {
		list[i] = &phoenixv1.Rule{}
	}
	list[3].Buckets = &phoenixv1.Buckets{KeepBounds: []float64{math.NaN()}}
	spec := m.spec("spec", &phoenixv1.ExperimentSpec{
		Interval: "often", Rules: list,
		Schedule: &phoenixv1.ExperimentSchedule{NotBefore: &timestamppb.Timestamp{Seconds: math.MaxInt64}},
		Success:  []*phoenixv1.ExperimentCriterion{{AtLeast: math.NaN()}},
	})
	var got []string
	for _, v := range m.list {
		got = append(got, v.Field+": "+v.Description)
	}
	assert.Equal(t, []string{
		"spec.rules: must not have more than 64 entries, got 70: a promotion makes a policy of them",
		"spec.rules[3].buckets.keep_bounds: cannot be a string",
		"spec.schedule.not_before: must be a time of the years 1 to 9999",
	}, got)
	spec.ID = "a"
	require.ErrorContains(t, spec.Validate(), "interval: must be a duration such as 90s or 1h30m")
	require.ErrorContains(t, spec.Validate(), "success[0].at_least: must be above 0 and below 1, got NaN")
}

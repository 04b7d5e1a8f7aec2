package experiment

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// mirrorSpec and splitSpec are valid and have nothing that is not needed.
func mirrorSpec() Spec {
	return Spec{
		ID: "e", Mode: ModeMirror, Scope: map[string]string{"service.name": "shop"},
		Rules:   []policy.Rule{{Name: "pods", Match: policy.Match{Metric: "*"}, Attributes: policy.Attributes{Drop: []string{"point.pod"}}}},
		Success: []Criterion{{Measure: MeasureSeries, AtLeast: 0.2}},
	}
}

func splitSpec() Spec {
	s := mirrorSpec()
	s.Mode, s.Unit = ModeSplit, Unit{Kind: UnitResource}
	return s
}

func TestValidateReportsAllMistakesAtOnce(t *testing.T) {
	for _, name := range []string{"mistakes", "mistakes_mirror"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		require.NoError(t, err)
		_, err = DecodeSpec(text)
		var list policy.Errors
		require.ErrorAs(t, err, &list)
		file := filepath.Join("testdata", name+".txt")
		if *rewrite {
			require.NoError(t, os.WriteFile(file, []byte(err.Error()+"\n"), 0o600))
		}
		want, readErr := os.ReadFile(file)
		require.NoError(t, readErr)
		assert.Equal(t, strings.TrimSpace(string(want)), err.Error())
	}
}

func TestValidateOneMistake(t *testing.T) {
	f := func(s Spec, change func(*Spec), want string) {
		t.Helper()
		require.NoError(t, s.Validate())
		change(&s)
		require.EqualError(t, s.Validate(), want)
	}
	f(mirrorSpec(), func(s *Spec) { s.Rules[0].Attributes = policy.Attributes{} }, "rules: no rule changes anything: the candidate equals the baseline")
	f(mirrorSpec(), func(s *Spec) { s.Rules[0].Attributes.Drop = []string{"service.name"} },
		`rules[0].experiment.scope["resource.service.name"]: the rule must not drop an attribute of its experiment's scope: the resource attribute service.name goes by attributes.drop[0]`)
	f(mirrorSpec(), func(s *Spec) { s.Signal = SignalTraces }, "rules: must not be given with signal: traces, for which the arms' pipelines are compared as they are configured\nsuccess[0].measure: must not be series with signal: traces")
	f(mirrorSpec(), func(s *Spec) { s.Description = "\xff" }, "description: must be valid UTF-8")
	f(mirrorSpec(), func(s *Spec) { s.Fidelity = &Fidelity{} }, "fidelity: rule_files, dashboards or queries must be given")
	f(mirrorSpec(), func(s *Spec) { s.Success[0].AtLeast = math.NaN() }, "success[0].at_least: must be above 0 and below 1, got NaN")
	f(mirrorSpec(), func(s *Spec) { s.Metrics = make([]string, 101) }, "metrics: must not have more than 100 entries, got 101")
	f(mirrorSpec(), func(s *Spec) { s.MinDuration = DefaultMaxDuration + 1 }, "max_duration: must not be shorter than the minimum run, 24h0m0.000000001s, got 24h0m0s")
	f(splitSpec(), func(s *Spec) { s.MaxDuration = Duration(10 * time.Minute) }, "max_duration: must not be shorter than the dwells of all steps, 50m0s, got 10m0s")
	f(splitSpec(), func(s *Spec) { s.Interval = Duration(10 * time.Minute); s.Steps = []WeightStep{{Weight: 1}} }, "steps[0].dwell: must not be shorter than two intervals, 20m0s, got 10m0s")
	f(splitSpec(), func(s *Spec) { s.Unit = Unit{} }, `unit.kind: must be resource, series, attribute or trace, got ""`)
	f(splitSpec(), func(s *Spec) { s.Unit = Unit{Kind: UnitTrace} }, "unit.kind: must not be trace with signal: metrics")
	f(splitSpec(), func(s *Spec) { s.Unit.Attribute = "x" }, "unit.attribute: has no effect: only for kind: attribute")
	f(splitSpec(), func(s *Spec) { s.Steps = make([]WeightStep, 21) }, "steps: must not have more than 20 entries, got 21")
	f(splitSpec(), func(s *Spec) { s.Fidelity = &Fidelity{Queries: []Query{{"a", "up"}}} }, "fidelity: must not be given: queries are judged in mode: mirror with signal: metrics, where both arms see every point")
	f(splitSpec(), func(s *Spec) {
		s.Signal, s.Rules, s.Unit.Kind = SignalLogs, nil, UnitSeries
		s.Success[0].Measure = MeasureBytes
	}, "unit.kind: must not be series with signal: logs")
}

func TestUnitsThatShareAnOutput(t *testing.T) {
	f := func(u Unit, change func(*policy.Rule), want string) {
		t.Helper()
		s := splitSpec()
		s.Unit = u
		change(&s.Rules[0])
		assert.Equal(t, want, s.divides())
		err := s.Validate()
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.EqualError(t, err, "unit: units of both arms can be inputs of one output, because "+want+"; set writer_by_arm when the arms write under different identities")
		s.Unit.WriterByArm = true
		require.NoError(t, s.Validate())
	}
	drop := func(names ...string) func(*policy.Rule) {
		return func(r *policy.Rule) { r.Attributes.Drop = names }
	}
	keep := func(names ...string) func(*policy.Rule) {
		return func(r *policy.Rule) { r.Attributes = policy.Attributes{Keep: names} }
	}
	resource, series, pods := Unit{Kind: UnitResource}, Unit{Kind: UnitSeries}, Unit{Kind: UnitAttribute, Attribute: "pod"}
	f(resource, drop("point.pod"), "")
	f(resource, drop("pod"), "rules[0] changes pod, by which units of kind resource differ")
	f(resource, drop("resource.k8s.*"), "rules[0] changes resource.k8s.*, by which units of kind resource differ")
	f(resource, keep("route"), "")
	f(resource, func(r *policy.Rule) { r.Attributes = policy.Attributes{}; r.Limit = &policy.Limit{MaxSeries: 5} }, "rules[0] may fold any attribute")
	f(resource, func(r *policy.Rule) {
		r.Limit = &policy.Limit{MaxSeries: 5, Fold: policy.Fold{"resource.host"}}
	}, "rules[0] changes resource.host, by which units of kind resource differ")
	f(series, drop("point.pod"), "rules[0] changes point.pod, by which units of kind series differ")
	f(series, keep("route"), "rules[0] keeps some attributes only, and units of kind series differ by others")
	f(series, func(r *policy.Rule) { r.Attributes = policy.Attributes{}; r.Scope = policy.ScopeDrop }, "rules[0] drops the scope, by which units of kind series differ")
	f(pods, drop("point.node"), "")
	f(pods, drop("p*"), "rules[0] changes p*, by which units of kind attribute differ")
	f(pods, keep("pod"), "")
	f(pods, keep("node"), "rules[0] keeps some attributes only, and units of kind attribute differ by others")
	f(Unit{Kind: UnitAttribute, Attribute: "resource.pod"}, keep("node"), "")
	f(pods, func(r *policy.Rule) {
		r.Attributes = policy.Attributes{HashBuckets: []policy.HashBuckets{{Attribute: "pod", Buckets: 4}}}
	}, "rules[0] changes pod, by which units of kind attribute differ")
	f(pods, func(r *policy.Rule) {
		r.Attributes = policy.Attributes{TopK: &policy.TopK{Attribute: "point.pod", K: 4}}
	}, "rules[0] changes point.pod, by which units of kind attribute differ")
	f(pods, func(r *policy.Rule) {
		r.Attributes = policy.Attributes{Map: []policy.ValueMap{{Attribute: "resource.pod", Regex: "a.*", Template: "a"}}}
	}, "rules[0] changes resource.pod, by which units of kind attribute differ")
}

func TestDecodeSpecRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := DecodeSpec([]byte(text))
		require.ErrorContains(t, err, want)
	}
	f(``, "read experiment: EOF")
	f(`{"nome": "x"}`, `unknown field "nome"`)
	f(`{"id": 1}`, "id")
	f(`{} {}`, "read experiment: something follows it")
	f(strings.Repeat(" ", maxSpecBytes+1), "read experiment: must not be longer than 4194304 bytes")
}

func TestDefaults(t *testing.T) {
	s := splitSpec().WithDefaults()
	assert.Equal(t, s, s.WithDefaults(), "doing it twice changes nothing")
	assert.Equal(t, []WeightStep{{1, DefaultDwell}, {5, DefaultDwell}, {25, DefaultDwell}, {50, DefaultDwell}, {100, DefaultDwell}}, s.Steps)
	var names []string
	for _, g := range s.Guardrails {
		names = append(names, g.Name)
		assert.True(t, g.Critical)
	}
	assert.Equal(t, []string{"candidate_errors", "refused", "latency", "memory", "cost"}, names)
	m := mirrorSpec()
	m.Guardrails = []Guardrail{{Measure: MeasureCost, DryRun: true}}
	m.Fidelity = &Fidelity{Queries: []Query{{"a", "up"}}, LongestRange: Duration(5 * time.Minute), LongestFor: Duration(7 * time.Minute), Tolerance: new(0.0005)}
	d := m.WithDefaults()
	assert.Len(t, d.Guardrails, 6)
	assert.Equal(t, MeasureCost, d.Guardrails[0].Measure)
	assert.InDelta(t, 0.0005, *d.Fidelity.MeanTolerance, 0, "not above tolerance")
	assert.Nil(t, m.Fidelity.MinJudged, "nothing of the original changes")
	assert.Equal(t, Duration(7*time.Minute), m.MinimumRun())
	m.MinDuration = Duration(time.Hour)
	assert.Equal(t, Duration(time.Hour), m.MinimumRun())
	m.MinDuration, m.Fidelity = Duration(time.Second), nil
	assert.Equal(t, 2*DefaultInterval, m.MinimumRun(), "two intervals")
}

func TestHash(t *testing.T) {
	s := splitSpec()
	text, err := s.canonical()
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join("testdata", "canonical.json"))
	if *rewrite {
		require.NoError(t, os.WriteFile(filepath.Join("testdata", "canonical.json"), text, 0o600))
	} else {
		require.NoError(t, err)
		assert.Equal(t, string(want), string(text))
		assert.Equal(t, "c6174bd332ff42718ea96e59b406c56506de5f384c8e7937d678ab615a5960fa", s.Hash(), "stored hashes must stay what they are")
	}
	assert.Equal(t, s.Hash(), s.WithDefaults().Hash())
	other := splitSpec()
	other.Description = "other"
	assert.NotEqual(t, s.Hash(), other.Hash())
	other.Success = []Criterion{{MeasureSeries, math.Inf(1)}}
	assert.Empty(t, other.Hash())
	// RFC 8785, sections 3.2.2 and 3.2.3.
	got := appendCanonical(nil, map[string]any{"\u20ac": "a\"\\\b\t\n\f\r\u0001/<", "\r": true, "\ufb33": nil, "\U0001f600": []any{}})
	want = []byte("{\"\\r\":true,\"€\":\"a\\\"\\\\\\b\\t\\n\\f\\r\\u0001/<\",\"😀\":[],\"\ufb33\":null}")
	assert.Equal(t, want, got)
}

func TestRules(t *testing.T) {
	s := mirrorSpec()
	s.ID, s.Metrics = "shop/e1", []string{"http.requests", "http.errors", "db.calls"}
	s.Scope = map[string]string{"service.name": "shop*", "point.region": "eu"}
	s.Rules[0].Match = policy.Match{Metric: "http.*", Resource: []policy.Condition{{Attribute: "x", Value: "y"}}}
	s.Rules = append(s.Rules, policy.Rule{Match: policy.Match{Metric: "db.calls"}, Scope: policy.ScopeDrop})
	require.NoError(t, s.Validate())
	candidate, promoted := s.CandidateRules(), s.PromotedRules()
	assert.Equal(t, &policy.Experiment{ID: "shop/e1", Scope: map[string]string{"resource.service.name": "shop*", "point.region": "eu"}}, candidate[0].Experiment)
	assert.Equal(t, `/http\.requests|http\.errors/`, promoted[0].Match.Metric)
	assert.Equal(t, "db.calls", promoted[1].Match.Metric)
	assert.Equal(t, []policy.Condition{{Attribute: "x", Value: "y"}, {Attribute: "service.name", Value: `/shop\*/`}}, promoted[0].Match.Resource)
	assert.Equal(t, []policy.Condition{{Attribute: "region", Value: "eu"}}, promoted[0].Match.Point)
	for i := range candidate {
		assert.Equal(t, []string{"shop/e1/pods", "shop/e1/rule-2"}[i], candidate[i].Name)
		assert.Equal(t, candidate[i].Name, promoted[i].Name, "so that state is handed over")
		assert.Equal(t, []policy.Role{policy.RoleCandidate, policy.RoleCommon}, []policy.Role{candidate[i].Role, promoted[i].Role})
		assert.Nil(t, promoted[i].Experiment)
	}
	assert.Len(t, s.Rules[0].Match.Resource, 1, "nothing of the original changes")
	_, err := policy.NewSnapshot(1, candidate)
	require.NoError(t, err)
	_, err = policy.NewSnapshot(1, promoted)
	require.NoError(t, err)
}

func TestOverlap(t *testing.T) {
	f := func(a, b Spec, want string) {
		t.Helper()
		overlap, why := Overlap(a, b)
		assert.Equal(t, want != "", overlap)
		assert.Equal(t, want, why)
		other, _ := Overlap(b, a)
		assert.Equal(t, overlap, other, "the order does not matter")
	}
	spec := func(metrics []string, scope ...string) Spec {
		s := Spec{Metrics: metrics, Scope: map[string]string{}}
		for _, pair := range scope {
			key, value, _ := strings.Cut(pair, "=")
			s.Scope[key] = value
		}
		return s
	}
	f(spec(nil, "a=1"), spec(nil, "a=1"), "both are on resource.a=1, with all metrics")
	f(spec(nil, "a=1"), spec(nil, "resource.a=1", "point.b=2"), "both are on resource.a=1, with all metrics")
	f(spec(nil, "a=1"), spec(nil, "a=2"), "")
	f(spec(nil, "a=1", "b=2"), spec(nil, "a=1", "b=3"), "")
	f(spec(nil, "a=1", "b=2"), spec(nil, "b=2", "a=1"), "both are on resource.a=1 and resource.b=2, with all metrics")
	f(spec(nil, "a=1"), spec(nil, "b=1"), "their scopes have no attribute in common that tells them apart, with all metrics")
	f(spec(nil, "a=1"), spec(nil, "point.a=2"), "their scopes have no attribute in common that tells them apart, with all metrics")
	f(spec([]string{"m", "n"}, "a=1"), spec([]string{"o", "n"}, "a=1"), "both are on resource.a=1, with metrics n")
	f(spec([]string{"m"}, "a=1"), spec([]string{"o"}, "a=1"), "")
	f(spec([]string{"m", "n", "o", "p", "q"}, "a=1"), spec(nil, "a=1"), "both are on resource.a=1, with metrics m, n, o and 2 more")
	traces := spec(nil, "a=1")
	traces.Signal = SignalTraces
	f(traces, spec(nil, "a=1"), "")
	f(traces, traces, "both are on resource.a=1")
}

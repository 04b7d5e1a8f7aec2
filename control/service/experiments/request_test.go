package experiments_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/experiments"
	"github.com/phoenix-platform/phoenix/control/store"
)

func TestEveryMistakeAtOnce(t *testing.T) {
	r := newRig(t)
	e := wire("Shop.", "Drop Pod", "checkout")
	e.Spec.Mode, e.Spec.Signal = "both", "profiles"
	e.Spec.Interval, e.Spec.MaxDuration = "often", "1s"
	e.Spec.Scope["*"] = "x"
	e.Spec.Rules = append(e.Spec.Rules, &phoenixv1.Rule{Match: &phoenixv1.Match{Metric: "/(/"}, Role: "common"})
	e.Spec.Guardrails = []*phoenixv1.ExperimentGuardrail{{}, {Measure: "latency", Query: "up", AllowedChange: new(-1.0)}}
	e.Spec.Success = []*phoenixv1.ExperimentCriterion{{Measure: "fame", AtLeast: 1}}
	e.Spec.Schedule = &phoenixv1.ExperimentSchedule{NotAfter: &timestamppb.Timestamp{Seconds: -1e15}}
	_, err := r.CreateExperiment(as("admin"), &phoenixv1.CreateExperimentRequest{Experiment: e})
	assert.Equal(t, []string{
		`experiment.namespace: must consist of at most 63 letters, digits, - . and _, and begin and end with a letter or digit, got "Shop."`,
		`experiment.name: must consist of at most 63 small letters, digits, - . and _, and begin and end with a letter or digit, got "Drop Pod"`,
		"experiment.spec.schedule.not_after: must be a time of the years 1 to 9999",
		`experiment.spec.signal: must be metrics, traces or logs, got "profiles"`,
		`experiment.spec.mode: must be mirror or split, got "both"`,
		`experiment.spec.scope["*"]: must name one attribute, got the glob "*"`,
		"experiment.spec.rules: must not be given with signal: profiles, for which the arms' pipelines are compared as they are configured",
		"experiment.spec.interval: must be a duration such as 90s or 1h30m",
		"experiment.spec.guardrails[0].name: must not be empty",
		"experiment.spec.guardrails[0]: measure or query must be given",
		"experiment.spec.guardrails[1]: measure and query must not be given together",
		"experiment.spec.guardrails[1].allowed_change: must be between 0 and 100, got -1",
		`experiment.spec.guardrails[1].name: "latency" is that of a built-in guardrail`,
		`experiment.spec.success[0].measure: must be series, points, bytes or cost, got "fame"`,
		"experiment.spec.success[0].at_least: must be above 0 and below 1, got 1",
	}, violations(refusal(t, err, fault.Invalid)))
	assert.Empty(t, r.audit(t), "a mistake is no refusal")
}

// TestBadInput has what issue 5 calls bad input, each with its exact error.
func TestBadInput(t *testing.T) {
	r := newRig(t)
	f := func(change func(*phoenixv1.Experiment), want ...string) {
		t.Helper()
		e := wire("shop", "a", "checkout")
		change(e)
		_, err := r.CreateExperiment(as("admin"), &phoenixv1.CreateExperimentRequest{Experiment: e})
		assert.Equal(t, want, violations(refusal(t, err, fault.Invalid)))
		_, err = r.UpdateExperiment(as("admin"), &phoenixv1.UpdateExperimentRequest{Experiment: e})
		assert.Equal(t, want, violations(refusal(t, err, fault.Invalid)))
	}
	split := func(e *phoenixv1.Experiment, weights ...uint32) {
		e.Spec.Mode, e.Spec.Unit = "split", &phoenixv1.ExperimentUnit{Kind: "resource", WriterByArm: true}
		for _, w := range weights {
			e.Spec.Steps = append(e.Spec.Steps, &phoenixv1.ExperimentStep{Weight: w})
		}
	}
	judged := func(e *phoenixv1.Experiment) *phoenixv1.ExperimentFidelity {
		e.Spec.Fidelity = &phoenixv1.ExperimentFidelity{Queries: []*phoenixv1.ExperimentQuery{{Name: "q", Expr: "sum(up)"}}}
		return e.Spec.Fidelity
	}
	// Weights out of range, or not rising
	f(func(e *phoenixv1.Experiment) { split(e, 0) }, "experiment.spec.steps[0].weight: must be between 1 and 100, got 0")
	f(func(e *phoenixv1.Experiment) { split(e, 50, 101) }, "experiment.spec.steps[1].weight: must be between 1 and 100, got 101")
	f(func(e *phoenixv1.Experiment) { split(e, 50, 50) }, "experiment.spec.steps[1].weight: must be more than that of the step before, 50, got 50")
	f(func(e *phoenixv1.Experiment) { e.Spec.Steps = []*phoenixv1.ExperimentStep{{Weight: 5}} },
		"experiment.spec.steps: must not be given with mode: mirror, where both arms see every point")
	// A candidate that equals the baseline
	f(func(e *phoenixv1.Experiment) { e.Spec.Rules[0].Attributes = nil }, "experiment.spec.rules: no rule changes anything: the candidate equals the baseline")
	f(func(e *phoenixv1.Experiment) { e.Spec.Rules = nil }, "experiment.spec.rules: must have between 1 and 100 entries, got 0")
	// Queries that do not parse
	f(func(e *phoenixv1.Experiment) { judged(e).Queries[0].Expr = "sum(up" },
		`experiment.spec.fidelity.queries[0].expr: does not parse: 1:7: parse error: unclosed left parenthesis`)
	// Tolerance
	f(func(e *phoenixv1.Experiment) { judged(e).Tolerance = new(0.0) }, "experiment.spec.fidelity.tolerance: must be above 0 and below 1, got 0",
		"experiment.spec.fidelity.mean_tolerance: must be above 0 and below 1, got 0")
	f(func(e *phoenixv1.Experiment) {
		judged(e).Tolerance, e.Spec.Fidelity.MeanTolerance = new(-0.1), new(0.001)
	},
		"experiment.spec.fidelity.tolerance: must be above 0 and below 1, got -0.1",
		"experiment.spec.fidelity.mean_tolerance: must not be more than tolerance, -0.1, got 0.001")
	f(func(e *phoenixv1.Experiment) { judged(e).MinJudged = new(math.NaN()) }, "experiment.spec.fidelity.min_judged: must be between 0 and 1, got NaN")
	f(func(e *phoenixv1.Experiment) { e.Spec.Fidelity = &phoenixv1.ExperimentFidelity{} },
		"experiment.spec.fidelity: rule_files, dashboards or queries must be given")
	f(func(e *phoenixv1.Experiment) { judged(e); split(e) },
		"experiment.spec.fidelity: must not be given: queries are judged in mode: mirror with signal: metrics, where both arms see every point")
	// The rest of what can be wrong about names and sizes
	long := strings.Repeat("x", 64)
	f(func(e *phoenixv1.Experiment) { e.Name = "" }, "experiment.name: must not be empty")
	f(func(e *phoenixv1.Experiment) { e.Name = long },
		`experiment.name: must consist of at most 63 small letters, digits, - . and _, and begin and end with a letter or digit, got "`+long+`"`)
	f(func(e *phoenixv1.Experiment) { e.Namespace = "*" }, `experiment.namespace: "*" stands for all namespaces and names none`)
	f(func(e *phoenixv1.Experiment) { e.Spec = nil }, "experiment.spec: must be given")
	f(func(e *phoenixv1.Experiment) { e.Spec.Scope = nil }, "experiment.spec.scope: must have between 1 and 16 entries, got 0")
	f(func(e *phoenixv1.Experiment) { e.Spec.Description = strings.Repeat("x", 2_000_000) }, "experiment.spec: must not be longer than 983040 bytes as JSON")
	f(func(e *phoenixv1.Experiment) { e.Spec.Description = strings.Repeat("x", 4097) }, "experiment.spec.description: must not be longer than 4096 bytes, got 4097")
	f(func(e *phoenixv1.Experiment) {
		judged(e).Dashboards = []*phoenixv1.ExperimentDocument{{Name: "d", Text: `{"panels":[{"title":"t","targets":[{"expr":"up"}]}],"x":"` + strings.Repeat("x", 983_040) + `"}`}}
	}, "experiment.spec: must not be longer than 983040 bytes as JSON, got 983419")
	// A promotion could not make its policy
	f(func(e *phoenixv1.Experiment) {
		m := &phoenixv1.ValueMap{Attribute: "route"}
		for i := range 66 {
			m.Paths = append(m.Paths, fmt.Sprintf("/%d/%s", i, strings.Repeat("x", 1000)))
		}
		e.Spec.Rules[0].Attributes.Map = []*phoenixv1.ValueMap{m}
	}, "experiment.spec.rules: must not be longer than 65536 bytes as the policy that a promotion makes, got 66656")
	f(func(e *phoenixv1.Experiment) {
		for range 64 {
			e.Spec.Rules = append(e.Spec.Rules, e.Spec.Rules[0])
		}
	}, "experiment.spec.rules: must not have more than 64 entries, got 65: a promotion makes a policy of them")
}

// A namespace that is tied to telemetry by an attribute keeps to it.
func TestTheScopeKeepsToTheNamespace(t *testing.T) {
	r := newRig(t, func(s *experiments.Settings) { s.NamespaceAttribute = "k8s.namespace.name" })
	f := func(namespace string, scope map[string]string, want ...string) {
		t.Helper()
		e := wire(namespace, "a", "checkout")
		e.Spec.Scope = scope
		_, err := r.CreateExperiment(as("admin"), &phoenixv1.CreateExperimentRequest{Experiment: e, ValidateOnly: true})
		if len(want) == 0 {
			require.NoError(t, err)
			return
		}
		assert.Equal(t, want, violations(refusal(t, err, fault.Invalid)))
	}
	mistake := `experiment.spec.scope: must have "resource.k8s.namespace.name": "shop", which keeps the experiment to its namespace`
	f("shop", map[string]string{"service.name": "checkout"}, mistake)
	f("shop", map[string]string{"k8s.namespace.name": "bank"}, mistake)
	f("shop", map[string]string{"point.k8s.namespace.name": "shop"}, mistake)
	f("shop", map[string]string{"k8s.namespace.name": "shop"})
	f("shop", map[string]string{"resource.k8s.namespace.name": "shop", "service.name": "checkout"})
	f("default", map[string]string{"service.name": "checkout"})
}

// The server parses the queries, and what it fills in decides the minimum run.
func TestQueriesSayHowFarTheyLookBack(t *testing.T) {
	r := newRig(t)
	e := wire("shop", "a", "checkout")
	e.Spec.Fidelity = &phoenixv1.ExperimentFidelity{
		RuleFiles: []*phoenixv1.ExperimentDocument{{Name: "alerts.yaml", Text: "groups:\n- name: g\n  rules:\n" +
			"  - {alert: Down, expr: 'rate(http_server_requests_total[7m]) == 0', for: 2m}\n"}},
		LongestRange: "1h", CriticalAlerts: []string{"Down"},
	}
	created, err := r.CreateExperiment(as("admin"), &phoenixv1.CreateExperimentRequest{Experiment: e})
	require.NoError(t, err)
	assert.Equal(t, "7m0s", created.GetSpec().GetFidelity().GetLongestRange(), "what a client says of it does not count")
	assert.Equal(t, "2m0s", created.GetSpec().GetFidelity().GetLongestFor())
	assert.Equal(t, "7m0s", created.GetStatus().GetMinimumRun())
	assert.Equal(t, "no query was judged yet", created.GetStatus().GetQueries())
	assert.Contains(t, created.GetSpec().GetFidelity().GetRuleFiles()[0].GetText(), "Down")

	list, err := r.ListExperiments(as("admin"), &phoenixv1.ListExperimentsRequest{})
	require.NoError(t, err)
	file := list.GetExperiments()[0].GetSpec().GetFidelity().GetRuleFiles()[0]
	assert.Equal(t, "alerts.yaml", file.GetName())
	assert.Empty(t, file.GetText(), "lists leave texts out")

	e.Spec.Fidelity.RuleFiles[0].Text = "groups:\n- name: g\n  rules:\n  - {alert: Down, expr: 'up ==', for: soon}\n"
	_, err = r.UpdateExperiment(as("admin"), &phoenixv1.UpdateExperimentRequest{Experiment: e})
	assert.Equal(t, "experiment.spec.fidelity.rule_files[0].text", refusal(t, err, fault.Invalid).Violations[0].Field)
}

// What is read can be changed and sent back, whatever the server set in it.
func TestAnExperimentComesBackAsItWasGiven(t *testing.T) {
	r := newRig(t)
	given := wire("shop", "a", "checkout")
	given.Spec.Description, given.Spec.Metrics = `"<&> ü`, []string{"http.server.requests"}
	given.Spec.Schedule = &phoenixv1.ExperimentSchedule{NotBefore: timestamppb.New(timestamppb.Now().AsTime().Truncate(1000))}
	given.Spec.Guardrails = []*phoenixv1.ExperimentGuardrail{{Name: "q", Query: "up", Direction: "decrease", AllowedChange: new(0.0), FailureLimit: 2}}
	given.Spec.Approval = &phoenixv1.ExperimentApproval{Promote: true}
	created, err := r.CreateExperiment(as("admin"), &phoenixv1.CreateExperimentRequest{Experiment: given})
	require.NoError(t, err)
	assert.True(t, proto.Equal(given.GetSpec(), created.GetSpec()), "%v", created.GetSpec())
	read := r.get(t, "a")
	assert.True(t, proto.Equal(created, read), "%v\n%v", created, read)
	again, err := r.UpdateExperiment(as("admin", ifMatch(read.GetEtag())), &phoenixv1.UpdateExperimentRequest{Experiment: read})
	require.NoError(t, err)
	assert.Equal(t, read.GetEtag(), again.GetEtag(), "nothing changed")
	assert.Equal(t, read.GetSpecSha256(), again.GetSpecSha256())
	assert.Len(t, r.audit(t), 1)
}

// Who sends back what they got means that state; If-Match goes before.
func TestEtags(t *testing.T) {
	r := newRig(t)
	_, err := r.CreateExperiment(as("admin", ifMatch(`"1"`)), create("a"))
	refused(t, err, fault.PreconditionFailed)
	_, err = r.CreateExperiment(as("admin", ifMatch("*")), create("a"))
	require.NoError(t, err)
	update := func(etag, text string, only bool, change ...func(*call.Call)) (*phoenixv1.Experiment, error) {
		e := wire("shop", "a", "a")
		e.Etag, e.Spec.Description = etag, text
		return r.UpdateExperiment(as("admin", change...), &phoenixv1.UpdateExperimentRequest{Experiment: e, ValidateOnly: only})
	}
	present := r.get(t, "a").GetEtag()
	for _, bad := range []string{`"77"`, `W/"1"`, `"x"`, `"01"`} {
		for _, only := range []bool{false, true} {
			_, err := update(bad, "no", only)
			refused(t, err, fault.PreconditionFailed)
		}
		for _, one := range rpcs() {
			if one.changes {
				refused(t, one.do(as("admin", ifMatch(bad)), r.Service, key("shop", "a")), fault.PreconditionFailed)
			}
		}
	}
	assert.Equal(t, present, r.get(t, "a").GetEtag())
	looked, err := update(present, "one", true)
	require.NoError(t, err)
	assert.Equal(t, "one", looked.GetSpec().GetDescription())
	assert.Empty(t, r.get(t, "a").GetSpec().GetDescription())
	e, err := update(present, "one", false)
	require.NoError(t, err)
	assert.NotEqual(t, present, e.GetEtag())
	_, err = update(present, "two", false)
	refused(t, err, fault.PreconditionFailed)
	e, err = update(present, "two", false, ifMatch(e.GetEtag()))
	require.NoError(t, err, "by If-Match")
	e, err = r.StartExperiment(as("admin", ifMatch(e.GetEtag())), &phoenixv1.StartExperimentRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	assert.Equal(t, "Running", e.GetStatus().GetPhase())
	assert.Equal(t, r.get(t, "a").GetEtag(), e.GetEtag())
}

func TestOfTwoUpdatesOfOneRevisionOneWins(t *testing.T) {
	r := newRig(t)
	e := r.created(t, "a")
	for round := range 5 {
		const rivals = 4
		var all sync.WaitGroup
		errs := make([]error, rivals)
		for i := range rivals {
			all.Go(func() {
				changed := wire("shop", "a", "a")
				changed.Spec.Description = fmt.Sprintf("%d.%d", round, i)
				_, errs[i] = r.UpdateExperiment(as("admin", ifMatch(e.GetEtag())), &phoenixv1.UpdateExperimentRequest{Experiment: changed})
			})
		}
		all.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			refused(t, err, fault.PreconditionFailed)
		}
		require.Equal(t, 1, won)
		e = r.get(t, "a")
	}
}

func TestOnlyLooking(t *testing.T) {
	r := newRig(t)
	look := create("a")
	look.ValidateOnly = true
	e, err := r.CreateExperiment(as("admin", idempotent("k")), look)
	require.NoError(t, err)
	assert.Equal(t, "Draft", e.GetStatus().GetPhase())
	assert.Empty(t, e.GetEtag())
	assert.Len(t, e.GetSpecSha256(), 64)
	assert.Empty(t, r.audit(t))
	_, err = r.GetExperiment(as("admin"), &phoenixv1.GetExperimentRequest{Namespace: "shop", Name: "a"})
	refused(t, err, fault.NotFound)
	r.created(t, "a")
	_, err = r.CreateExperiment(as("admin"), look)
	refused(t, err, fault.Exists)
}

// A promotion makes a policy of the name of the experiment.
func TestANameThatAPolicyHas(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.store.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: store.PolicyKey{Namespace: "shop", Name: "a"}, Spec: []byte(`{}`)},
			store.Entry{Principal: "test", Action: "fill"})
		return err
	}))
	for _, only := range []bool{true, false} {
		request := create("a")
		request.ValidateOnly = only
		_, err := r.CreateExperiment(as("admin"), request)
		f := refusal(t, err, fault.Conflict)
		assert.Equal(t, "there is a policy shop/a, and a promotion makes one of that name: choose another name", f.Detail)
		assert.Equal(t, 409, f.HTTPStatus())
	}
}

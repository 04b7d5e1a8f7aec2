package policies_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/policies"
)

func violations(f *fault.Fault) []string {
	var list []string
	for _, v := range f.Violations {
		list = append(list, v.Field+": "+v.Description)
	}
	return list
}

func TestEveryMistakeAtOnce(t *testing.T) {
	r := newRig(t)
	p := wire("Shop.", "Drop Pod", "", "/(/", "ok")
	p.Spec.Priority = 1001
	p.Spec.Rules[0].Attributes.Keep = &structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue("a"), structpb.NewNumberValue(1), {}}}
	p.Spec.Rules[1].Limit = &phoenixv1.Limit{Fold: structpb.NewNumberValue(3)}
	p.Spec.Rules[2].Name = "rule-1"
	p.Spec.Rules[2].Buckets = &phoenixv1.Buckets{KeepBounds: []float64{1, math.Inf(1)}}
	p.Spec.Rules[2].Attributes.Map = []*phoenixv1.ValueMap{{Attribute: "a", Ranges: []*phoenixv1.Range{{From: new(math.NaN()), As: "x"}}}}
	p.Spec.Rules[2].Experiment = &phoenixv1.RuleExperiment{Id: "e"}
	_, err := r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: p})
	assert.Equal(t, []string{
		`policy.namespace: must consist of at most 63 letters, digits, - . and _, and begin and end with a letter or digit, got "Shop."`,
		`policy.name: must consist of at most 63 small letters, digits, - . and _, and begin and end with a letter or digit, got "Drop Pod"`,
		"policy.spec.priority: must be between -1000 and 1000, got 1001",
		"policy.spec.rules[0].attributes.keep[1]: must be a text",
		"policy.spec.rules[0].attributes.keep[2]: must be a text",
		"policy.spec.rules[1].limit.fold: must be auto or a list of attributes",
		"policy.spec.rules[0].match.metric: must not be empty",
		`policy.spec.rules[0].attributes.drop[0]: drop and keep must not both govern point attributes: beside keep, drop takes resource.… and scope.…, got "pod"`,
		"policy.spec.rules[1].match.metric: \"/(/\": error parsing regexp: missing closing ): `(`",
		"policy.spec.rules[1].limit.max_series: must be positive, got 0",
		"policy.spec.rules[2].attributes.map[0].ranges[0]: bounds must be finite; leave one out for none on that side",
		"policy.spec.rules[2].buckets.keep_bounds[1]: must be finite, got +Inf; the +Inf bucket always stays",
		`policy.spec.rules[2].experiment: needs role: candidate, got "common"`,
		"policy.spec.rules[2].experiment.scope: must name at least one attribute and its value",
		`policy.spec.rules[2].name: "rule-1" is the name of rules[0] already`,
	}, violations(refusal(t, err, fault.Invalid)))
	assert.Empty(t, r.audit(t), "a mistake is no refusal")
}

func TestBoundsOfAPolicy(t *testing.T) {
	r := newRig(t)
	f := func(change func(*phoenixv1.Policy), want ...string) {
		t.Helper()
		p := wire("shop", "a", "m")
		change(p)
		_, err := r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: p})
		assert.Equal(t, want, violations(refusal(t, err, fault.Invalid)))
		_, err = r.UpdatePolicy(as("admin"), &phoenixv1.UpdatePolicyRequest{Policy: p})
		assert.Equal(t, want, violations(refusal(t, err, fault.Invalid)))
	}
	long := strings.Repeat("x", 64)
	f(func(p *phoenixv1.Policy) { p.Name = "" }, "policy.name: must not be empty")
	f(func(p *phoenixv1.Policy) { p.Namespace = "*" }, `policy.namespace: "*" stands for all namespaces and names none`)
	f(func(p *phoenixv1.Policy) { p.Name = long },
		`policy.name: must consist of at most 63 small letters, digits, - . and _, and begin and end with a letter or digit, got "`+long+`"`)
	f(func(p *phoenixv1.Policy) { p.Spec = nil }, "policy.spec: must be given")
	f(func(p *phoenixv1.Policy) { p.Spec.Rules = nil }, "policy.spec.rules: must have 1 to 64 entries, together with sampling, got 0")
	f(func(p *phoenixv1.Policy) { p.Spec.Rules = wire("", "", make([]string, 65)...).Spec.Rules }, "policy.spec.rules: must have 1 to 64 entries, together with sampling, got 65")
	f(func(p *phoenixv1.Policy) { p.Spec.Description = strings.Repeat("x", 65536) },
		fmt.Sprintf("policy.spec: must not be longer than 65536 bytes as JSON, got %d", 65536+len(`{"description":"","rules":[{"name":"","match":{"metric":"m"},"attributes":{"drop":["pod"]}}]}`)))
	f(func(p *phoenixv1.Policy) { p.Spec.Description = strings.Repeat("x", 200_000) }, "policy.spec: must not be longer than 65536 bytes as JSON")
	f(func(p *phoenixv1.Policy) { p.Spec.Rules[0].Name = strings.Repeat("x", 128) },
		`policy.spec.rules[0].name: must not be longer than 128 bytes together with namespace and policy, got "shop/a/`+strings.Repeat("x", 128)+`"`)
	f(func(p *phoenixv1.Policy) { p.Spec.Rules[0].Match = nil; p.Spec.Rules[0].Attributes = nil },
		"policy.spec.rules[0].match.metric: must not be empty")

	var m []string
	for range 64 {
		m = append(m, "")
	}
	p := wire("shop", "a", m...)
	for _, rule := range p.GetSpec().GetRules() {
		rule.Gauge = strings.Repeat("x", 900)
	}
	_, err := r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: p})
	found := refusal(t, err, fault.Invalid)
	assert.Len(t, found.Violations, 100)
	assert.Contains(t, found.Detail, "28 more mistakes are not listed")
	for _, v := range found.Violations {
		assert.LessOrEqual(t, len(v.Description), 520)
	}
}

// What is read can be changed and sent back, whatever the server set in it; and
// all of a rule is kept.
func TestAPolicyComesBackAsItWasGiven(t *testing.T) {
	r := newRig(t)
	p := wire("shop", "a", "http.*")
	p.Spec.Description, p.Spec.Priority = `"<&> ü`, -7
	p.Spec.Rules = []*phoenixv1.Rule{{
		Name: "all",
		Match: &phoenixv1.Match{
			Metric: "http.*", Types: []string{"histogram", "gauge", "summary"},
			Resource: []*phoenixv1.Condition{{Attribute: "service.name", Value: "a*"}, {Attribute: "x", Present: new(false)}},
			Point:    []*phoenixv1.Condition{{Attribute: "y", Present: new(true)}},
		},
		Attributes: &phoenixv1.Attributes{
			Drop: []string{"resource.pod"}, Keep: &structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue("route"), structpb.NewStringValue("code"), structpb.NewStringValue("user")}},
			Map: []*phoenixv1.ValueMap{
				{Attribute: "code", Ranges: []*phoenixv1.Range{{From: new(400.0), To: new(500.0), As: "4xx"}, {To: new(300.0), As: "ok"}}, Other: "?"},
				{Attribute: "route", Paths: []string{"/users/{id}"}},
				{Attribute: "route", Regex: "a(.*)", Template: "$1"},
			},
			HashBuckets: []*phoenixv1.HashBuckets{{Attribute: "user", Buckets: 16}},
			TopK:        &phoenixv1.TopK{Attribute: "route", K: 10, Other: "rest"},
		},
		Limit:   &phoenixv1.Limit{MaxSeries: 1000, Fold: structpb.NewStringValue("auto")},
		Buckets: &phoenixv1.Buckets{KeepBounds: []float64{0.1, 1, 10}},
		Scope:   "drop", Gauge: "sum", Summary: "merge_count_sum", Role: "candidate",
		Experiment: &phoenixv1.RuleExperiment{Id: "e", Scope: map[string]string{"resource.service.name": "a"}},
	}, {
		Match: &phoenixv1.Match{Metric: "/x+/"}, Attributes: &phoenixv1.Attributes{Keep: &structpb.ListValue{}},
		Limit: &phoenixv1.Limit{MaxSeries: 5},
	}}
	created, err := r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: p})
	require.NoError(t, err)
	assert.True(t, proto.Equal(p.GetSpec(), created.GetSpec()), "%v", created.GetSpec())
	read := r.get(t, "shop", "a")
	assert.True(t, proto.Equal(p.GetSpec(), read.GetSpec()))
	again, err := r.UpdatePolicy(as("admin", ifMatch(read.GetEtag())), &phoenixv1.UpdatePolicyRequest{Policy: read})
	require.NoError(t, err)
	assert.Equal(t, read.GetRevision(), again.GetRevision(), "nothing changed")
	assert.Equal(t, read.GetSpecSha256(), again.GetSpecSha256())
	_, err = r.PreviewPolicy(as("admin"), &phoenixv1.PreviewPolicyRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	assert.Equal(t, []string{"shop/a/all preview", "shop/a/rule-2 preview"}, r.rules())
}

// Who sends back what they got means that state; If-Match goes before.
func TestEtagInTheBody(t *testing.T) {
	r := newRig(t)
	_, err := r.CreatePolicy(as("admin"), create("a", "m"))
	require.NoError(t, err)
	update := func(etag, text string, only bool, change ...func(*call.Call)) (*phoenixv1.Policy, error) {
		p := wire("shop", "a", "m")
		p.Etag, p.Spec.Description = etag, text
		return r.UpdatePolicy(as("admin", change...), &phoenixv1.UpdatePolicyRequest{Policy: p, ValidateOnly: only})
	}
	for _, bad := range []string{`"2"`, `W/"1"`, `"x"`, "*", " ", `"01"`} {
		for _, only := range []bool{false, true} {
			_, err := update(bad, "no", only)
			refused(t, err, fault.PreconditionFailed)
		}
		_, err := update(bad, "no", false, ifMatch(" "))
		refused(t, err, fault.PreconditionFailed)
	}
	assert.EqualValues(t, 1, r.get(t, "shop", "a").GetRevision())
	p, err := update(`"1"`, "one", false)
	require.NoError(t, err)
	assert.Equal(t, `"2"`, p.GetEtag())
	_, err = update(`"1"`, "two", false)
	refused(t, err, fault.PreconditionFailed)
	p, err = update(`"1"`, "two", false, ifMatch(`"2"`))
	require.NoError(t, err, "by If-Match")
	assert.Equal(t, `"3"`, p.GetEtag())
	_, err = update(`"3"`, "three", false, ifMatch(`"2"`))
	refused(t, err, fault.PreconditionFailed)
	_, err = update("", "three", false)
	require.NoError(t, err)
}

func TestIfMatch(t *testing.T) {
	r := newRig(t)
	_, err := r.CreatePolicy(as("admin", ifMatch(`"1"`)), create("a", "m"))
	refused(t, err, fault.PreconditionFailed)
	_, err = r.CreatePolicy(as("admin", ifMatch("*")), create("a", "m"))
	require.NoError(t, err)
	for _, bad := range []string{`"2"`, `W/"1"`, `"x"`, `"1`, `"01"`, `"-1"`, `"0"`} {
		for _, one := range rpcs()[3:] {
			k := policyKey("shop", "a")
			err := one.do(as("admin", ifMatch(bad)), r.Service, k)
			refused(t, err, fault.PreconditionFailed)
		}
	}
	assert.EqualValues(t, 1, r.get(t, "shop", "a").GetRevision())
	p, err := r.PreviewPolicy(as("admin", ifMatch(`"1"`)), &phoenixv1.PreviewPolicyRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	assert.Equal(t, `"2"`, p.GetEtag())
	_, err = r.DeletePolicy(as("admin", ifMatch("2")), &phoenixv1.DeletePolicyRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	_, err = r.RollbackPolicy(as("admin", ifMatch(`"3"`)), &phoenixv1.RollbackPolicyRequest{Namespace: "shop", Name: "a", Revision: 1})
	refused(t, err, fault.NotFound) // there is nothing that could match
}

func TestOfTwoUpdatesOfOneRevisionOneWins(t *testing.T) {
	r := newRig(t)
	p, err := r.CreatePolicy(as("admin"), create("a", "m"))
	require.NoError(t, err)
	for round := range 20 {
		const rivals = 4
		var all sync.WaitGroup
		errs := make([]error, rivals)
		for i := range rivals {
			all.Go(func() {
				_, errs[i] = r.UpdatePolicy(as("admin", ifMatch(p.GetEtag())),
					&phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "a", fmt.Sprintf("m%d.%d", round, i))})
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
		before := p.GetRevision()
		p = r.get(t, "shop", "a")
		require.Equal(t, before+1, p.GetRevision())
	}
}

func TestACreationIsDoneOnce(t *testing.T) {
	r := newRig(t)
	watcher := r.watch(t)
	first, err := r.CreatePolicy(as("shop-editor", idempotent), preview("shop", "a", "m"))
	require.NoError(t, err)
	again, err := r.CreatePolicy(as("shop-editor", idempotent), preview("shop", "a", "m"))
	require.NoError(t, err)
	assert.Equal(t, first.GetEtag(), again.GetEtag())
	assert.Equal(t, first.GetCreatedAt().AsTime(), again.GetCreatedAt().AsTime())
	_, err = r.CreatePolicy(as("shop-editor", idempotent), preview("shop", "a", "n"))
	refused(t, err, fault.KeyReused)
	_, err = r.CreatePolicy(as("shop-admin", idempotent), preview("shop", "a", "m"))
	refused(t, err, fault.Exists) // the key of somebody else is another one
	_, err = r.CreatePolicy(as("shop-editor"), preview("shop", "a", "m"))
	refused(t, err, fault.Exists)
	assert.Len(t, r.told(t, watcher), 1)
	assert.Len(t, r.audit(t), 1)
}

func TestOnlyLooking(t *testing.T) {
	r := newRig(t)
	p, err := r.CreatePolicy(as("admin", idempotent), &phoenixv1.CreatePolicyRequest{Policy: wire("shop", "a", "m"), Preview: true, ValidateOnly: true})
	require.NoError(t, err)
	assert.Equal(t, "preview", p.GetState())
	assert.Zero(t, p.GetRevision())
	assert.NotEmpty(t, p.GetSpecSha256())
	_, err = r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: wire("shop", "a"), ValidateOnly: true})
	refused(t, err, fault.Invalid)
	assert.Empty(t, r.audit(t))

	_, err = r.CreatePolicy(as("admin"), preview("shop", "a", "m"))
	require.NoError(t, err)
	_, err = r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: wire("shop", "a", "m"), ValidateOnly: true})
	refused(t, err, fault.Exists)
	p, err = r.UpdatePolicy(as("admin"), &phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "a", "n"), ValidateOnly: true})
	require.NoError(t, err)
	assert.Equal(t, "n", p.GetSpec().GetRules()[0].GetMatch().GetMetric())
	assert.EqualValues(t, 1, p.GetRevision())
	_, err = r.UpdatePolicy(as("admin", ifMatch(`"7"`)), &phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "a", "n"), ValidateOnly: true})
	refused(t, err, fault.PreconditionFailed)
	assert.Equal(t, "m", r.get(t, "shop", "a").GetSpec().GetRules()[0].GetMatch().GetMetric())
	assert.Len(t, r.audit(t), 1)
	assert.Equal(t, "m", r.publisher.Policy().Rules[0].Match.Metric)
}

// The condition that ties a namespace to its telemetry counts among those of the
// rule.
func TestRulesAreCheckedAsTheyArePublished(t *testing.T) {
	r := newRig(t, func(s *policies.Settings) { s.NamespaceAttribute = "k8s.namespace.name" })
	full := func(namespace string) *phoenixv1.CreatePolicyRequest {
		p := wire(namespace, "a", "m")
		for i := range 1000 {
			p.Spec.Rules[0].Match.Resource = append(p.Spec.Rules[0].Match.Resource, &phoenixv1.Condition{Attribute: fmt.Sprintf("a%d", i), Value: "b"})
		}
		return &phoenixv1.CreatePolicyRequest{Policy: p, Preview: true}
	}
	_, err := r.CreatePolicy(as("admin"), full("shop"))
	assert.Equal(t, []string{"policy.spec.rules[0].match.resource: must not have more than 1000 entries, got 1001"},
		violations(refusal(t, err, fault.Invalid)))
	_, err = r.CreatePolicy(as("admin"), full("default"))
	require.NoError(t, err)
	_, err = r.CreatePolicy(as("admin"), preview("shop", "b", "m"))
	require.NoError(t, err)
	for _, rule := range r.publisher.Policy().Rules {
		own := len(rule.Match.Resource) == 1 && rule.Match.Resource[0].Value == "shop"
		assert.Equal(t, strings.HasPrefix(rule.Name, "shop/"), own)
	}
}

package policies_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/policies"
	"github.com/phoenix-platform/phoenix/control/store"
)

// samplersPath is the part of the data path that samples.
type samplersPath struct {
	mu   sync.Mutex
	list []report.Sampling
}

func (d *samplersPath) Sampling(context.Context) []report.Sampling {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.list)
}

func (d *samplersPath) set(list ...report.Sampling) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = list
}

// newSamplingRig has samplers beside the consolidation, and prices by the sample.
func newSamplingRig(t *testing.T) (*rig, *samplersPath) {
	t.Helper()
	samplers := &samplersPath{}
	r := newRig(t, func(s *policies.Settings) {
		s.Sampling, s.PreviewWindow = samplers.Sampling, func() time.Duration { return time.Minute }
		s.Processors = func() []policies.Processor {
			var list []policies.Processor
			for _, one := range samplers.Sampling(context.Background()) {
				list = append(list, policies.Processor{Component: one.Component, Role: policies.RoleSampler, PolicyVersion: one.PolicyVersion})
			}
			return list
		}
	})
	return r, samplers
}

func (r *rig) prices(t *testing.T, kind cost.Kind) {
	t.Helper()
	m := cost.Model{Name: "mine", Currency: "EUR", Components: []cost.Component{{Name: "c", Kind: kind, Price: new(cost.Money(100_000)), Per: 1_000_000}}}
	require.NoError(t, r.publisher.SetPrices(t.Context(), cost.NewPointPrices(m, report.Cardinality{}, cost.Usage{})))
}

func sampling(rules ...*phoenixv1.SamplingRule) *phoenixv1.Policy {
	return &phoenixv1.Policy{Namespace: "shop", Name: "sample", Spec: &phoenixv1.PolicySpec{Sampling: rules}}
}

func band(metric string) *phoenixv1.SamplingRule {
	return &phoenixv1.SamplingRule{DeadBand: &phoenixv1.DeadBand{
		Match: &phoenixv1.Match{Metric: metric}, Tolerance: &phoenixv1.Tolerance{Relative: 0.01},
	}}
}

func money(amount float64) *phoenixv1.SamplingRule {
	return &phoenixv1.SamplingRule{Name: "money", Budget: &phoenixv1.Budget{Signal: "metrics", MonthlyCost: amount}}
}

func TestMistakesInSampling(t *testing.T) {
	r, _ := newSamplingRig(t)
	bad := band("")
	bad.DeadBand.Heartbeat, bad.DeadBand.Predictor = "soon", "cubic"
	p := sampling(bad, &phoenixv1.SamplingRule{Name: "x"}, &phoenixv1.SamplingRule{Name: "x", Series: &phoenixv1.SeriesSample{}})
	_, err := r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: p})
	assert.Equal(t, []string{
		"policy.spec.sampling[0].dead_band.match.metric: must not be empty",
		"policy.spec.sampling[0].dead_band.heartbeat: must be a duration such as 60s or 5m",
		`policy.spec.sampling[0].dead_band.predictor: must be hold or linear, got "cubic"`,
		"policy.spec.sampling[1]: exactly one of dead_band, series and budget must be given, got 0",
		"policy.spec.sampling[2].series.match.metric: must not be empty",
		"policy.spec.sampling[2].series.ratio: must be above 0 (at least 2^-56) and at most 1, got 0",
		`policy.spec.sampling[2].name: "x" is the name of sampling[1] already`,
	}, violations(refusal(t, err, fault.Invalid)))
	_, err = r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: sampling(slices.Repeat([]*phoenixv1.SamplingRule{band("a")}, 65)...)})
	assert.Equal(t, []string{"policy.spec.rules: must have 1 to 64 entries, together with sampling, got 65"}, violations(refusal(t, err, fault.Invalid)))
}

func TestMoneyNeedsAPrice(t *testing.T) {
	r, _ := newSamplingRig(t)
	request := &phoenixv1.CreatePolicyRequest{Policy: sampling(band("cpu"), money(26.28)), Preview: true}
	f := func(want string) {
		t.Helper()
		_, err := r.CreatePolicy(as("shop-editor"), request)
		assert.Equal(t, []string{"policy.spec.sampling[1].budget.monthly_cost: " + want}, violations(refusal(t, err, fault.Invalid)))
	}
	f("the prices are not known yet")
	r.prices(t, cost.KindActiveSeries)
	f(`the active price model "mine" bills neither samples nor ingested bytes, so that points have no price`)
	r.prices(t, cost.KindSamples)
	p, err := r.CreatePolicy(as("shop-editor"), request)
	require.NoError(t, err)
	assert.InEpsilon(t, 26.28, p.GetSpec().GetSampling()[1].GetBudget().GetMonthlyCost(), 1e-9, "what the author wrote stays")
	published := r.publisher.Policy().Sampling
	require.Len(t, published, 2)
	assert.InEpsilon(t, 100, published[1].Budget.PointsPerSecond, 2e-5)

	// Another model makes another budget, and one without a price none.
	r.prices(t, cost.KindActiveSeries)
	assert.Len(t, r.publisher.Policy().Sampling, 1)
	assertWarning(t, r.get(t, "shop", "sample"),
		`not in force: sampling[1].budget.monthly_cost: the active price model "mine" bills neither samples nor ingested bytes, so that points have no price`)
}

// A policy that only samples waits for adaptive_sampler processors, and for no
// others.
func TestAPolicyThatSamplesIsForSamplers(t *testing.T) {
	r, samplers := newSamplingRig(t)
	r.prices(t, cost.KindSamples)
	p, err := r.CreatePolicy(as("shop-editor"), &phoenixv1.CreatePolicyRequest{Policy: sampling(band("cpu")), Preview: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"no adaptive_sampler processor takes policies from this control plane: set its option control"}, p.GetStatus().GetWarnings())
	r.clock.forward(time.Hour)
	enforce := func() (*phoenixv1.Policy, error) {
		return r.EnforcePolicy(as("shop-operator"), &phoenixv1.EnforcePolicyRequest{Namespace: "shop", Name: "sample"})
	}
	_, err = enforce()
	assert.Contains(t, refusal(t, err, fault.NotPreviewed).Detail, "no processor measures the policy")
	samplers.set(report.Sampling{Component: "adaptive_sampler"})
	_, err = enforce()
	refused(t, err, fault.NotPreviewed) // it is there and has nothing yet

	began := r.clock.Now()
	reported := report.Sampling{
		Component: "adaptive_sampler", PolicyVersion: r.publisher.Policy().Version, At: began.Add(100 * time.Second),
		Rules: []report.SampledRule{{Name: "shop/sample/sampling-1", Kind: "dead_band", Mode: "preview", In: 20_000, Kept: 5_000, Since: began}},
	}
	samplers.set(reported)
	eventually(t, func() bool { return r.get(t, "shop", "sample").GetStatus().GetSampling() != nil })
	status := r.get(t, "shop", "sample").GetStatus()
	assert.True(t, status.GetApplied())
	assert.Empty(t, status.GetWarnings())
	assertStatus(t, `{"rule":"sampling-1","kind":"dead_band","in":20000,"kept":5000,"since":"2026-03-14T16:00:00Z",
		"leftOutPerSecond":150,"monthSaved":"39.42","currency":"EUR"}`, status.GetSampling()[0])
	enforced, err := enforce()
	require.NoError(t, err)
	assert.Equal(t, "enforced", enforced.GetState())
	assert.Equal(t, policy.ModeEnforce, r.publisher.Policy().Sampling[0].Mode)
	assert.Empty(t, enforced.GetStatus().GetSampling(), "what the preview counted is not what it does now")

	// A policy of both kinds needs processors of both.
	both := sampling(band("disk"))
	both.Name, both.Spec.Rules = "both", wire("", "", "m").GetSpec().GetRules()
	_, err = r.CreatePolicy(as("shop-editor"), &phoenixv1.CreatePolicyRequest{Policy: both, Preview: true})
	require.NoError(t, err)
	r.clock.forward(time.Hour)
	reported.PolicyVersion = r.publisher.Policy().Version
	samplers.set(reported)
	_, err = r.EnforcePolicy(as("shop-operator"), &phoenixv1.EnforcePolicyRequest{Namespace: "shop", Name: "both"})
	assert.Contains(t, refusal(t, err, fault.NotPreviewed).Detail, "no processor measures the policy")
}

func TestBudgetsOfManyProcessorsAddUp(t *testing.T) {
	r, samplers := newSamplingRig(t)
	r.prices(t, cost.KindSamples)
	budget := func(component string, in, out, level float64, floor bool) report.Sampling {
		return report.Sampling{
			Component: component, Problems: []string{`rule "shop/sample/money": no`, "else"},
			Budgets: []report.SampledBudget{
				{Name: "shop/sample/money", Signal: "metrics", Unit: "points", Target: 100, In: in, Out: out, Level: level, FloorReached: floor},
				{Name: "shop/sample/money", Static: true, In: 1e9},
				{Name: "traces.target", In: 1e9},
			},
		}
	}
	samplers.set(budget("a", 300, 100, 0.5, false), budget("b", 50, 60, 0.2, true))
	_, err := r.CreatePolicy(as("shop-editor"), &phoenixv1.CreatePolicyRequest{Policy: sampling(money(26.28)), Preview: true})
	require.NoError(t, err)
	status := r.get(t, "shop", "sample").GetStatus()
	assertStatus(t, `{"rule":"money","kind":"budget","unit":"points","targetPerSecond":200,"leftOutPerSecond":200,"level":0.2,"floorReached":true,
		"monthSaved":"52.56","currency":"EUR"}`, status.GetSampling()[0])
	assert.Contains(t, status.GetWarnings(), `a: rule "shop/sample/money": no`)
}

func assertStatus(t *testing.T, want string, got *phoenixv1.SamplingStatus) {
	t.Helper()
	text, err := protojson.Marshal(got)
	require.NoError(t, err)
	assert.JSONEq(t, want, string(text))
}

func TestSamplingRulesThatMeetAndWhatIsLikelyNotMeant(t *testing.T) {
	r, samplers := newSamplingRig(t)
	samplers.set(report.Sampling{Component: "a"})
	_, err := r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: sampling(band("http*")), Preview: true})
	require.NoError(t, err)
	slow := band("http.duration")
	slow.Name, slow.DeadBand.Heartbeat = "slow", "10m"
	second := sampling(slow, &phoenixv1.SamplingRule{Series: &phoenixv1.SeriesSample{Match: &phoenixv1.Match{Metric: "http*"}, Ratio: 0.5}})
	second.Name = "other"
	p, err := r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: second})
	require.NoError(t, err)
	assert.Equal(t, []string{
		`rule "slow": a heartbeat of 10m0s is not below 5m0s, after which Prometheus takes a silent series for gone: instant queries find gaps`,
		`rule "shop/other/slow" matches no points but those of "shop/sample/sampling-1", which is in force: it never applies, unless its policy has the higher priority`,
	}, p.GetStatus().GetWarnings())
	previewed, err := r.PreviewPolicy(as("admin"), &phoenixv1.PreviewPolicyRequest{Namespace: "shop", Name: "other"})
	require.NoError(t, err)
	assert.Subset(t, previewed.GetStatus().GetWarnings(), p.GetStatus().GetWarnings())
}

// Rules of an enforced policy change only with a preview or by force: also those
// that sample.
func TestSamplingOfAnEnforcedPolicyIsGuarded(t *testing.T) {
	r, _ := newSamplingRig(t)
	created, err := r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{Policy: sampling(band("cpu"))})
	require.NoError(t, err)
	_, err = r.EnforcePolicy(as("admin"), &phoenixv1.EnforcePolicyRequest{Namespace: "shop", Name: "sample", Force: true})
	require.NoError(t, err)
	changed := sampling(band("*"))
	_, err = r.UpdatePolicy(as("shop-operator"), &phoenixv1.UpdatePolicyRequest{Policy: changed})
	refused(t, err, fault.NotPreviewed)
	same := sampling(band("cpu"))
	same.Spec.Description = "why"
	p, err := r.UpdatePolicy(as("shop-operator"), &phoenixv1.UpdatePolicyRequest{Policy: same})
	require.NoError(t, err)
	assert.EqualValues(t, 3, p.GetRevision())
	back, err := r.RollbackPolicy(as("shop-operator"), &phoenixv1.RollbackPolicyRequest{Namespace: "shop", Name: "sample", Revision: created.GetRevision()})
	require.NoError(t, err)
	assert.Equal(t, "draft", back.GetState())
	assert.Empty(t, r.publisher.Policy().Sampling)
	list, err := r.ListPolicyRevisions(as("admin"), &phoenixv1.ListPolicyRevisionsRequest{Namespace: "shop", Name: "sample"})
	require.NoError(t, err)
	require.Len(t, list.GetRevisions(), 4)
	for _, v := range list.GetRevisions() {
		assert.Equal(t, "cpu", v.GetSpec().GetSampling()[0].GetDeadBand().GetMatch().GetMetric())
	}
}

// What another version stored without sampling is read, and shown, as it was.
func TestASpecificationOfBeforeSampling(t *testing.T) {
	r, _ := newSamplingRig(t)
	text := []byte(`{"rules":[{"name":"","match":{"metric":"m"},"attributes":{"drop":["pod"]}}]}`)
	require.NoError(t, r.store.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: policyKey("shop", "old"), Spec: text, State: store.StatePreview}, store.Entry{Principal: "x", Action: "y"})
		return err
	}))
	require.NoError(t, r.publisher.Refresh(t.Context()))
	p := r.get(t, "shop", "old")
	assert.True(t, proto.Equal(wire("", "", "m").GetSpec(), p.GetSpec()))
	assert.Empty(t, p.GetStatus().GetSampling())
}

// Any valid sampling rule goes through the API and the store and is the same.
func TestValidSamplingRulesSurviveTheAPI(t *testing.T) {
	r, _ := newSamplingRig(t)
	r.prices(t, cost.KindSamples)
	patterns := rapid.SampledFrom([]string{"*", "http*", "/x+/", "cpu"})
	conditions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.Condition {
		if rapid.Bool().Draw(t, "value") {
			return policy.Condition{Attribute: "a", Value: patterns.Draw(t, "pattern")}
		}
		return policy.Condition{Attribute: "b.c", Present: new(rapid.Bool().Draw(t, "present"))}
	}), 0, 2)
	some := func(t *rapid.T, label string) []policy.Condition {
		return append([]policy.Condition(nil), conditions.Draw(t, label)...) // none is nil
	}
	spans := rapid.Custom(func(t *rapid.T) policy.Duration {
		return policy.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "span"))
	})
	matches := rapid.Custom(func(t *rapid.T) policy.Match {
		return policy.Match{
			Metric: patterns.Draw(t, "metric"), Types: rapid.SliceOfNDistinct(rapid.SampledFrom(policy.MetricTypes), 0, 2, rapid.ID).Draw(t, "types"),
			Resource: some(t, "resource"), Point: some(t, "point"),
		}
	})
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		var rule policy.SamplingRule
		rule.Name = rapid.SampledFrom([]string{"", "x", "a-b"}).Draw(t, "name")
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			rule.DeadBand = &policy.DeadBand{
				Match: matches.Draw(t, "match"), Tolerance: policy.Tolerance{
					Relative: rapid.Float64Range(0, 0.99).Draw(t, "relative"), Absolute: rapid.Float64Range(0, 1e300).Draw(t, "absolute"),
				}, Heartbeat: spans.Draw(t, "heartbeat"), Range: spans.Draw(t, "range"),
				Predictor: rapid.SampledFrom([]policy.Predictor{"", "hold", "linear"}).Draw(t, "predictor"),
				Corners:   rapid.Ptr(rapid.Bool(), true).Draw(t, "corners"),
			}
		case 1:
			rule.Series = &policy.SeriesSample{
				Match: matches.Draw(t, "match"), Ratio: rapid.Float64Range(0x1p-56, 1).Draw(t, "ratio"),
				Weigh:     rapid.SampledFrom([]policy.Weigh{"", "attribute", "multiply"}).Draw(t, "weigh"),
				Attribute: rapid.SampledFrom([]string{"", "w"}).Draw(t, "attribute"), Seed: uint64(rapid.Uint32().Draw(t, "seed")),
			}
		default:
			b := &policy.Budget{Signal: rapid.SampledFrom([]string{"metrics", "traces", "logs"}).Draw(t, "signal")}
			b.Match.Resource = some(t, "resource")
			if b.Signal == policy.SignalMetrics {
				b.Match.Metric = rapid.SampledFrom([]string{"", "*", "/x+/"}).Draw(t, "metric")
			}
			amount := rapid.SampledFrom([]*float64{&b.PointsPerSecond, &b.BytesPerSecond, &b.MonthlyCost}).Draw(t, "amount")
			*amount = rapid.Float64Range(1, 1e9).Draw(t, "a second")
			b.Floor = rapid.Float64Range(0, 1).Draw(t, "floor")
			rule.Budget = b
		}
		if b := rule.Budget; policy.ValidateSamplingRules([]policy.SamplingRule{named(rule)}) != nil || b != nil && b.MonthlyCost > 0 && b.Signal != policy.SignalMetrics {
			return
		}
		valid++
		text, err := publish.EncodeSpec(publish.Spec{Rules: []policy.Rule{}, Sampling: []policy.SamplingRule{rule}})
		require.NoError(t, err)
		sent := &phoenixv1.PolicySpec{}
		require.NoError(t, protojson.Unmarshal(text, sent))
		answer, err := r.CreatePolicy(as("admin"), &phoenixv1.CreatePolicyRequest{
			Policy: &phoenixv1.Policy{Namespace: "shop", Name: "round", Spec: sent}, ValidateOnly: true,
		})
		require.NoError(t, err)
		require.True(t, proto.Equal(sent, answer.GetSpec()), "%s became %s", sent, answer.GetSpec())
		require.Equal(t, store.SumSHA256(text).String(), answer.GetSpecSha256(), "it is stored in the one form: %s", text)
	})
	assert.Greater(t, valid, 20)
}

func named(r policy.SamplingRule) policy.SamplingRule {
	if r.Name == "" {
		r.Name = "sampling-1"
	}
	return r
}

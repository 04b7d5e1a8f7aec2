package publish_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
)

// sampling is a specification with a dead band, and with a budget that is money.
func sampling(amount float64) publish.Spec {
	return publish.Spec{Sampling: []policy.SamplingRule{
		{DeadBand: &policy.DeadBand{Match: policy.Match{Metric: "cpu"}, Tolerance: policy.Tolerance{Relative: 0.01}}},
		{Name: "money", Budget: &policy.Budget{Signal: policy.SignalMetrics, MonthlyCost: amount}},
	}}
}

// prices are those of a backend that bills samples by the million.
func prices(price cost.Money) *cost.PointPrices {
	return cost.NewPointPrices(cost.Model{
		Name: "samples", Currency: "EUR", Components: []cost.Component{{Name: "s", Kind: cost.KindSamples, Price: &price, Per: 1_000_000}},
	}, report.Cardinality{}, cost.Usage{})
}

func TestSamplingRulesArePublishedInOrder(t *testing.T) {
	s := newStore(t)
	p := publish.New(publish.Settings{Store: s, NamespaceAttribute: "team"})
	require.NoError(t, p.SetPrices(t.Context(), prices(100_000)))
	put(t, s, "shop", "b", store.StateEnforced, sampling(26.28))
	first := sampling(26.28)
	first.Priority, first.Rules = 5, spec(0, "m").Rules
	put(t, s, "default", "z", store.StatePreview, first)
	require.NoError(t, p.Refresh(t.Context()))
	var got []string
	for _, r := range p.Policy().Sampling {
		got = append(got, r.Name+" "+string(r.Mode))
	}
	assert.Equal(t, []string{
		"default/z/sampling-1 preview", "default/z/money preview", "shop/b/sampling-1 enforce", "shop/b/money enforce",
	}, got)
	assert.Equal(t, []string{"default/z/rule-1?"}, names(p.Policy()))
	assert.Empty(t, p.Policy().Sampling[0].DeadBand.Match.Resource)
	own := []policy.Condition{{Attribute: "team", Value: "shop"}}
	assert.Equal(t, own, p.Policy().Sampling[2].DeadBand.Match.Resource)
	budget := p.Policy().Sampling[3].Budget
	assert.Equal(t, own, budget.Match.Resource)
	assert.Zero(t, budget.MonthlyCost)
	assert.InEpsilon(t, 100, budget.PointsPerSecond, 2e-5)
	assert.Equal(t, 4, p.Status().Sampling)
	assert.Equal(t, p.Policy().Sampling, p.Sampling())
}

func TestTheKillSwitchTurnsSamplingOff(t *testing.T) {
	s := newStore(t)
	p := publish.New(publish.Settings{Store: s})
	put(t, s, "shop", "a", store.StateEnforced, publish.Spec{Sampling: sampling(1).Sampling[:1]})
	require.NoError(t, p.Refresh(t.Context()))
	require.Len(t, p.Policy().Sampling, 1)
	held := p.Hold(publish.Hold{Reason: "a test"})
	assert.Empty(t, p.Policy().Sampling)
	assert.True(t, p.Policy().Urgent)
	assert.Zero(t, p.Status().Sampling)
	assert.Len(t, p.Sampling(), 1, "what is in force when it is released")
	p.Unhold(held)
	assert.Len(t, p.Policy().Sampling, 1)
	assert.False(t, p.Policy().Urgent)
}

func TestOnlyABudgetWithoutAPriceIsLeftOut(t *testing.T) {
	s := newStore(t)
	p := publish.New(publish.Settings{Store: s})
	mixed := sampling(26.28)
	mixed.Rules = spec(0, "m").Rules
	created := put(t, s, "shop", "a", store.StateEnforced, mixed)
	require.NoError(t, p.Refresh(t.Context()))
	f := func(rules int, problem string) {
		t.Helper()
		assert.Len(t, p.Policy().Sampling, rules)
		assert.Equal(t, []string{"shop/a/rule-1"}, names(p.Policy()))
		assert.Empty(t, p.Status().LeftOut)
		if problem == "" {
			assert.Empty(t, p.Status().Unpriced)
			return
		}
		assert.Equal(t, []publish.LeftOut{{PolicyKey: created.PolicyKey, Revision: 1, Problem: problem}}, p.Status().Unpriced)
	}
	f(1, "sampling[1].budget.monthly_cost: the prices are not known yet")
	before := p.Policy().Version
	require.NoError(t, p.SetPrices(t.Context(), cost.NewPointPrices(cost.Custom(), report.Cardinality{}, cost.Usage{})))
	f(1, `sampling[1].budget.monthly_cost: the active price model "custom" bills neither samples nor ingested bytes, so that points have no price`)
	require.NoError(t, p.SetPrices(t.Context(), prices(100_000)))
	f(2, "")
	assert.Greater(t, p.Policy().Version, before)
	assert.InEpsilon(t, 100, p.Policy().Sampling[1].Budget.PointsPerSecond, 2e-5)

	before = p.Policy().Version
	require.NoError(t, p.SetPrices(t.Context(), prices(100_000)))
	assert.Equal(t, before, p.Policy().Version, "the same prices make no new snapshot")
	require.NoError(t, p.SetPrices(t.Context(), prices(50_000)))
	assert.Greater(t, p.Policy().Version, before)
	assert.InEpsilon(t, 200, p.Policy().Sampling[1].Budget.PointsPerSecond, 2e-5)
	assert.True(t, p.Includes(p.Policy().Version, created.Version))
}

func TestOnePolicyWithSamplingIsPublishedByItself(t *testing.T) {
	s := newStore(t)
	p := publish.New(publish.Settings{Store: s})
	require.NoError(t, p.SetPrices(t.Context(), prices(100_000)))
	require.NoError(t, p.Refresh(t.Context()))
	created := put(t, s, "shop", "a", store.StatePreview, sampling(26.28))
	require.NoError(t, p.Changed(t.Context(), created))
	require.Len(t, p.Policy().Sampling, 2)
	created.State, created.Version = store.StateDeleted, created.Version+1
	require.NoError(t, p.Changed(t.Context(), created))
	assert.Empty(t, p.Policy().Sampling)
}

// A policy that another version stored keeps its digest.
func TestDigestsWithoutSamplingAreAsBefore(t *testing.T) {
	s := spec(3, "a", "b")
	text, err := json.Marshal(s.Rules)
	require.NoError(t, err)
	assert.Equal(t, store.SumSHA256(text), s.RulesDigest())
	read, err := publish.DecodeSpec([]byte(`{"rules":[{"match":{"metric":"a"},"attributes":{"drop":["pod"]}},{"match":{"metric":"b"},"attributes":{"drop":["pod"]}}]}`))
	require.NoError(t, err)
	assert.Equal(t, s.RulesDigest(), read.RulesDigest())

	with, other := s, s
	with.Sampling, other.Sampling = sampling(1).Sampling, sampling(2).Sampling
	assert.NotEqual(t, s.RulesDigest(), with.RulesDigest())
	assert.NotEqual(t, with.RulesDigest(), other.RulesDigest())
	assert.NotEqual(t, with.EffectDigest(), other.EffectDigest())
	none, empty := sampling(1), sampling(1)
	empty.Rules = []policy.Rule{}
	assert.Equal(t, none.RulesDigest(), empty.RulesDigest())
}

func TestMistakesInSamplingLeaveThePolicyOut(t *testing.T) {
	_, leftOut, err := publish.Compile(store.PolicySet{Policies: []store.Policy{
		storedText("a", "mode", store.StateEnforced, `{"rules":[],"sampling":[{"mode":"enforce"}]}`),
		storedText("a", "newer", store.StateEnforced, `{"rules":[],"sampling":[{"budget":{"signal":"metrics","spans":1}}]}`),
		storedText("a", "wrong", store.StateEnforced,
			`{"rules":[],"sampling":[{"budget":{"signal":"metrics","monthly_cost":5}},{"series":{"match":{"metric":"a"},"ratio":2}}]}`),
	}}, "")
	require.NoError(t, err)
	require.Len(t, leftOut, 3)
	assert.Contains(t, leftOut[0].Problem, "sampling[0].mode: the state of the policy says it")
	assert.Contains(t, leftOut[1].Problem, `unknown field "spans"`)
	assert.Equal(t, "sampling[1].series.ratio: must be above 0 (at least 2^-56) and at most 1, got 2", leftOut[2].Problem)
}

func TestCompileSharesNoSamplingRule(t *testing.T) {
	s := sampling(26.28)
	c, err := publish.Compiler{NamespaceAttribute: "team", Prices: prices(100_000)}.Compile(store.PolicyKey{Namespace: "shop", Name: "x"}, store.StateEnforced, s)
	require.NoError(t, err)
	assert.Equal(t, 2, c.Len())
	assert.Equal(t, sampling(26.28), s)
}

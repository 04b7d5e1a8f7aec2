package publish_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// trial returns the rule and the route of an experiment.
func trial(id string, weight int) (policy.Rule, policy.Route) {
	scope := map[string]string{"resource.service.name": id}
	rule := policy.Rule{
		Name: id + "/rule-1", Role: policy.RoleCandidate, Mode: policy.ModeEnforce, Match: policy.Match{Metric: "m"},
		Attributes: policy.Attributes{Drop: []string{"pod"}}, Experiment: &policy.Experiment{ID: id, Scope: scope},
	}
	return rule, policy.Route{
		Experiment: id, Epoch: 1, Signal: "metrics", Mode: "split", Unit: "resource", Weight: weight, Scope: scope, Lease: &policy.Lease{},
	}
}

// trials returns experiments of weight 5.
func trials(ids ...string) (e publish.Experiments) {
	for _, id := range ids {
		rule, route := trial(id, 5)
		e.Rules, e.Routes = append(e.Rules, rule), append(e.Routes, route)
	}
	return e
}

func routes(s *policy.Snapshot) []string {
	list := []string{}
	for _, r := range s.Routes {
		list = append(list, r.Experiment)
	}
	return list
}

func opened(tb testing.TB, s publish.Settings) *publish.Publisher {
	tb.Helper()
	p := publish.New(s)
	require.NoError(tb, p.Refresh(tb.Context()))
	return p
}

func TestExperimentsComeAfterPoliciesAndLeasesStayTheSame(t *testing.T) {
	s := newStore(t)
	put(t, s, "z", "z", store.StateEnforced, spec(0, "a"))
	p := opened(t, publish.Settings{Store: s})
	e := trials("b/x", "a/y", "a/x")
	require.NoError(t, p.SetExperiments(t.Context(), e))
	first := p.Policy()
	assert.Equal(t, []string{"z/z/rule-1", "a/x/rule-1", "a/y/rule-1", "b/x/rule-1"}, names(first))
	assert.Equal(t, []string{"a/x", "a/y", "b/x"}, routes(first))
	assert.Equal(t, []int{4, 3}, []int{p.Status().Rules, p.Status().Routes})
	assert.Len(t, p.Rules(), 1, "those of policies only")
	require.NoError(t, policy.ValidateRules(first.Rules))

	require.NoError(t, p.SetExperiments(t.Context(), e))
	other := trials("b/x", "a/y", "a/x") // the same in other memory
	for i := range other.Routes {
		other.Routes[i].Lease = e.Routes[i].Lease
	}
	require.NoError(t, p.SetExperiments(t.Context(), other))
	assert.Same(t, first, p.Policy(), "nothing changed")

	e.Routes[0].Weight = 25
	require.NoError(t, p.SetExperiments(t.Context(), e))
	second := p.Policy()
	assert.Equal(t, first.Version+1, second.Version)
	assert.Equal(t, []int{5, 25}, []int{first.Routes[2].Weight, second.Routes[2].Weight})
	put(t, s, "z", "y", store.StateEnforced, spec(0, "b"))
	require.NoError(t, p.Refresh(t.Context()))
	third := p.Policy()
	require.Len(t, third.Rules, 5)
	now := time.Now()
	assert.False(t, third.Routes[2].Lease.Held(now))
	e.Routes[0].Lease.Renew(now.Add(time.Minute))
	assert.True(t, third.Routes[2].Lease.Held(now), "a lease that is renewed needs no new snapshot")
	assert.True(t, first.Routes[2].Lease.Held(now))

	e.Rules[0].Name, e.Routes[0].Experiment = "overwritten", "overwritten" // the caller's own list
	e.Routes[0].Scope["resource.service.name"] = "overwritten"
	assert.Equal(t, "b/x", third.Routes[2].Scope["resource.service.name"])
	assert.Equal(t, "b/x/rule-1", third.Rules[4].Name)
	again := trials("b/x")
	again.Routes[0].Lease = &policy.Lease{}
	require.NoError(t, p.SetExperiments(t.Context(), again))
	assert.Equal(t, []string{"b/x"}, routes(p.Policy()))
	assert.Same(t, again.Routes[0].Lease, p.Policy().Routes[0].Lease, "another lease is another experiment")
	require.NoError(t, p.SetExperiments(t.Context(), publish.Experiments{}))
	assert.Nil(t, p.Policy().Routes)
	assert.Len(t, p.Policy().Rules, 2)
	assert.False(t, p.Policy().Urgent)
}

func TestTheKillSwitchTurnsExperimentsOff(t *testing.T) {
	s := newStore(t)
	put(t, s, "z", "z", store.StateEnforced, spec(0, "a"))
	p := opened(t, publish.Settings{Store: s})
	require.NoError(t, p.SetExperiments(t.Context(), trials("a/x")))
	kill := func(on bool) {
		write(t, s, func(ctx context.Context, tx store.Tx) error {
			_, err := tx.SetKillSwitch(ctx, store.KillSwitchUpdate{On: on}, entry)
			return err
		})
		require.NoError(t, p.Refresh(t.Context()))
	}
	kill(true)
	off := p.Policy()
	assert.Equal(t, &policy.Snapshot{Version: off.Version, Rules: []policy.Rule{}, Urgent: true}, off)
	require.NoError(t, p.SetExperiments(t.Context(), trials("a/y")))
	assert.Same(t, off, p.Policy(), "while all is off nothing else makes a difference")
	kill(false)
	assert.Equal(t, []string{"a/y"}, routes(p.Policy()))
	assert.Len(t, p.Policy().Rules, 2)

	held := p.Hold(publish.Hold{Reason: "at once"})
	assert.Empty(t, p.Policy().Routes)
	assert.Empty(t, p.Policy().Rules)
	assert.True(t, p.Policy().Urgent)
	p.Unhold(held)
	assert.Equal(t, []string{"a/y"}, routes(p.Policy()))
}

func TestExperimentsWaitForThePolicies(t *testing.T) {
	s := newStore(t)
	p := publish.New(publish.Settings{Store: s})
	require.NoError(t, p.SetExperiments(t.Context(), trials("a/x")))
	assert.Zero(t, p.Policy().Version, "processors may still have the policies of before the restart")
	require.NoError(t, p.Refresh(t.Context()))
	assert.Equal(t, []string{"a/x"}, routes(p.Policy()))

	p = publish.New(publish.Settings{Store: s})
	thePolicy := put(t, s, "a", "x", store.StateEnforced, spec(0, "a"))
	require.NoError(t, p.SetExperiments(t.Context(), trials("a/y"), thePolicy))
	assert.Equal(t, []string{"a/x/rule-1", "a/y/rule-1"}, names(p.Policy()), "with policies the store is read")
}

func TestAnExperimentThatIsRefusedIsLeftOutAsAWhole(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	p := opened(t, publish.Settings{Store: newStore(t), Logger: zap.New(core)})
	e := trials("a/good", "a/broken", "a/common", "a/named", "none", "a/b/c", "a/twice")
	e.Rules[1].Match.Metric = "/(/"
	e.Rules[2].Role = policy.RoleCommon
	e.Rules[3].Name = "other/rule"
	e.Rules = append(e.Rules, policy.Rule{Name: "stray"})
	e.Routes = append(e.Routes, e.Routes[6])
	for range 2 {
		err := p.SetExperiments(t.Context(), e)
		for _, want := range []string{
			`experiment "a/broken": rules[0].match.metric: "/(/"`, `experiment "a/common": the role of rule "a/common/rule-1" is "common"`,
			`experiment "a/named": the name of rule "other/rule" does not begin with "a/named/"`,
			`experiment "none": its id is not a namespace and a name`, `experiment "a/b/c": its id is not`,
			`experiment "": rule "stray" belongs to no experiment`, `experiment "a/twice": it has two routes`,
		} {
			require.ErrorContains(t, err, want)
		}
	}
	assert.Equal(t, []string{"a/good/rule-1"}, names(p.Policy()))
	assert.Equal(t, []string{"a/good"}, routes(p.Policy()))
	assert.Len(t, p.Status().ExperimentsLeftOut, 7)
	assert.Equal(t, 7, logs.Len(), "once, not for each call")
	require.NoError(t, p.SetExperiments(t.Context(), trials("a/good")))
	assert.Empty(t, p.Status().ExperimentsLeftOut)
}

// An experiment whose rules are together with those of others in no order, and
// one without rules, such as one on traces, are published, too.
func TestRulesNeedNotBeSorted(t *testing.T) {
	p := opened(t, publish.Settings{Store: newStore(t)})
	e := trials("a/x", "a/y", "a/x", "a/traces")
	e.Rules[2].Name = "a/x/rule-2"
	e.Rules, e.Routes = e.Rules[:3], slices.Delete(e.Routes, 2, 3)
	require.NoError(t, p.SetExperiments(t.Context(), e))
	assert.Equal(t, []string{"a/x/rule-1", "a/x/rule-2", "a/y/rule-1"}, names(p.Policy()))
	assert.Equal(t, []string{"a/traces", "a/x", "a/y"}, routes(p.Policy()))
	assert.Equal(t, "a/x", e.Rules[0].Experiment.ID)
}

// TestAPromotionIsCompleteOrHasNotBegun promotes while others poll as fast as
// they can: in no snapshot of any of them the metric has neither the candidate's
// rule nor the policy, or both.
func TestAPromotionIsCompleteOrHasNotBegun(t *testing.T) {
	s := newStore(t)
	mine := opened(t, publish.Settings{Store: s, Poll: 100 * time.Microsecond})
	replica := opened(t, publish.Settings{Store: s, Poll: 100 * time.Microsecond}) // hears of promotions by the store
	rounds := 60
	if raceEnabled {
		rounds = 20
	}
	var ids []string
	for i := range rounds {
		ids = append(ids, fmt.Sprintf("a/x%02d", i))
	}
	for _, p := range []*publish.Publisher{mine, replica} {
		require.NoError(t, p.SetExperiments(t.Context(), trials(ids...)))
		run(t, p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	for _, p := range []*publish.Publisher{mine, replica} {
		watching.Go(func() { watchPromotions(ctx, t, p, rounds) })
	}
	for i := range rounds {
		name := strings.TrimPrefix(ids[i], "a/")
		thePolicy := put(t, s, "a", name, store.StateEnforced, spec(0, "m"))
		if i%3 == 0 { // time for the poll
			within(t, 5*time.Second, "the poll", func() bool { return mine.Status().StoreVersion == thePolicy.Version })
		}
		require.NoError(t, mine.SetExperiments(t.Context(), trials(ids[i+1:]...), thePolicy))
		assert.True(t, mine.Includes(mine.Policy().Version, thePolicy.Version))
		assert.Len(t, mine.Policy().Routes, rounds-i-1)
	}
	within(t, 5*time.Second, "the replica", func() bool { return len(replica.Policy().Routes) == 0 })
	cancel()
	watching.Wait()
	assert.Len(t, replica.Status().ExperimentsLeftOut, rounds, "until its own control hears of it")
	assert.Equal(t, names(mine.Policy()), names(replica.Policy()))
}

func watchPromotions(ctx context.Context, t *testing.T, p *publish.Publisher, want int) {
	t.Helper()
	var last uint64
	for ctx.Err() == nil {
		s := p.Policy()
		if s.Version == last {
			continue
		}
		last = s.Version
		rules, routed := map[string]int{}, map[string]bool{}
		for _, r := range s.Routes {
			routed[r.Experiment] = true
		}
		for _, r := range s.Rules {
			id := strings.TrimSuffix(r.Name, "/rule-1")
			rules[id]++
			if (r.Role == policy.RoleCandidate) != routed[id] {
				t.Errorf("version %d: rule %s of role %s, and a route: %t", s.Version, r.Name, r.Role, routed[id])
			}
		}
		if len(rules) != want || len(s.Rules) != want {
			t.Errorf("version %d: %d rules of %d experiments, want %d", s.Version, len(s.Rules), len(rules), want)
		}
	}
}

// Somebody else changed policies, too: the promotion does not wait for what they
// did.
func TestAPromotionGoesWithChangesOfOthers(t *testing.T) {
	s := newStore(t)
	p := opened(t, publish.Settings{Store: s})
	require.NoError(t, p.SetExperiments(t.Context(), trials("a/x", "a/y")))
	put(t, s, "z", "z", store.StateEnforced, spec(0, "a"))
	first := put(t, s, "a", "x", store.StateEnforced, spec(0, "m"))
	require.NoError(t, p.SetExperiments(t.Context(), trials("a/y"), first))
	assert.Equal(t, []string{"a/x/rule-1", "a/y/rule-1"}, names(p.Policy()))
	assert.Less(t, p.Status().StoreVersion, first.Version, "what others did is not known")
	require.NoError(t, p.Refresh(t.Context()))
	assert.Equal(t, []string{"a/x/rule-1", "z/z/rule-1", "a/y/rule-1"}, names(p.Policy()))

	later := put(t, s, "a", "x", store.StateDisabled, spec(0, "m"))
	require.NoError(t, p.Refresh(t.Context()))
	require.NoError(t, p.SetExperiments(t.Context(), publish.Experiments{}, first))
	assert.Equal(t, []string{"z/z/rule-1"}, names(p.Policy()), "an old state of a policy does not come back")
	assert.Equal(t, later.Version, p.Status().StoreVersion)
}

// waiting is a store that does not answer until it may.
type waiting struct {
	store.PolicyReader
	asked, answer chan struct{}
}

func (h *waiting) PolicyVersion(ctx context.Context) (uint64, error) {
	close(h.asked)
	select {
	case <-h.answer:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return h.PolicyReader.PolicyVersion(ctx)
}

func TestARollbackDoesNotWaitForAStoreThatHangs(t *testing.T) {
	s := newStore(t)
	swap := &swappable{PolicyReader: s}
	p := opened(t, publish.Settings{Store: swap})
	require.NoError(t, p.SetExperiments(t.Context(), trials("a/x")))
	h := &waiting{s, make(chan struct{}), make(chan struct{})}
	swap.PolicyReader = h
	refreshed := make(chan error)
	go func() { refreshed <- p.Refresh(context.WithoutCancel(t.Context())) }()
	<-h.asked
	require.NoError(t, p.SetExperiments(t.Context(), publish.Experiments{}))
	assert.Empty(t, p.Policy().Routes)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.SetExperiments(ctx, trials("a/y"), store.Policy{}), context.DeadlineExceeded)
	assert.Empty(t, p.Policy().Routes, "what was not done was not begun")
	close(h.answer)
	require.NoError(t, <-refreshed)
}

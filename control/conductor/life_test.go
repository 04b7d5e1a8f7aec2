package conductor_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
)

func TestAGoodCandidateIsPromoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("good", "cart"))
		require.True(t, r.open(k), "it is routed when the command returns")
		rules := r.publisher.Policy().For(policy.RoleCandidate)
		require.Len(t, rules, 1)
		require.Equal(t, "shop/good/drop-pod", rules[0].Name)

		r.reach(k, experiment.PhasePromoted, 30*time.Minute)
		snapshot := r.publisher.Policy()
		require.Empty(t, snapshot.For(policy.RoleCandidate))
		common := snapshot.For(policy.RoleCommon)
		require.Len(t, common, 1)
		assert.Equal(t, "shop/good/drop-pod", common[0].Name, "the rule keeps its name")
		assert.Equal(t, policy.ModeEnforce, common[0].Mode)
		assert.Equal(t, []policy.Condition{{Attribute: "service.name", Value: "cart"}}, common[0].Match.Resource)
		assert.Nil(t, r.route(k))

		e, s := r.stored(k)
		assert.Equal(t, "Promoted", e.Phase)
		assert.False(t, e.Active)
		assert.Equal(t, "policies/shop/good", e.PromotedPolicy)
		assert.Equal(t, experiment.PhasePromoted, s.Phase)
		p, err := r.store.GetPolicy(t.Context(), store.PolicyKey{Namespace: "shop", Name: "good"})
		require.NoError(t, err)
		assert.Equal(t, store.StateEnforced, p.State)
		assert.Equal(t, []string{"experiment.phase Running", "experiment.phase Promoted"}, r.told(k))
		_, there := r.conductor.View(k)
		assert.False(t, there, "it is only in the store")
	})
}

func TestARouterThatBreachesIsRecordedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("bad", "cart"))
		time.Sleep(13 * time.Second)
		r.world.Set(func() { r.world.Breach["shop/bad"] = "12 of 20 batches failed" })
		took := r.reach(k, experiment.PhaseRolledBack, time.Minute)
		assert.LessOrEqual(t, took, time.Second)
		e, s := r.stored(k)
		assert.Equal(t, "RolledBack", e.Phase)
		assert.Equal(t, experiment.ReasonRouter, s.Reasons[0].Code)
		assert.Empty(t, r.publisher.Policy().Rules)
		assert.Nil(t, r.route(k), "a mirror has no units to bring back")
		assert.Equal(t, []string{"experiment.phase Running", "experiment.phase RolledBack"}, r.told(k))
	})
}

func TestWeightsRiseStepByStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(splitSpec("steps", "cart"))
		var weights []int
		began := time.Now()
		for time.Since(began) < 20*time.Minute && r.phase(k) == experiment.PhaseRunning {
			route := r.route(k)
			if route != nil && (len(weights) == 0 || weights[len(weights)-1] != route.Weight) {
				if len(weights) > 0 {
					assert.Equal(t, weights[len(weights)-1], route.Before)
				}
				assert.WithinDuration(t, time.Now(), route.ChangedAt, 300*time.Millisecond)
				weights = append(weights, route.Weight)
			}
			time.Sleep(100 * time.Millisecond)
		}
		assert.Equal(t, []int{10, 50, 100}, weights)
		assert.Equal(t, experiment.PhasePromoted, r.phase(k))
		assert.Contains(t, r.told(k), "experiment.weight")
	})
}

func TestAnAbortedSplitBringsItsUnitsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(splitSpec("back", "cart"))
		time.Sleep(30 * time.Second)
		e, err := r.command(k, experiment.CommandAbort)
		require.NoError(t, err)
		assert.Equal(t, "RolledBack", e.Phase)
		route := r.route(k)
		require.NotNil(t, route, "routers tell the candidate which units it lost")
		assert.Equal(t, []int{0, 10}, []int{route.Weight, route.Before})
		assert.WithinDuration(t, time.Now(), route.ChangedAt, time.Second)
		assert.Empty(t, r.publisher.Policy().Rules)
		time.Sleep(6 * time.Minute)
		assert.Nil(t, r.route(k))
	})
}

func TestAnotherOneTakesTheScopeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		first := r.start(splitSpec("first", "cart"))
		second := r.create(splitSpec("second", "cart"))
		_, err := r.command(second, experiment.CommandStart)
		var refusal *experiment.Refusal
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, experiment.RefusedConflict, refusal.Code)
		assert.Contains(t, err.Error(), `"shop/first"`)
		r.start(splitSpec("elsewhere", "checkout"))

		_, err = r.command(first, experiment.CommandAbort)
		require.NoError(t, err)
		_, err = r.command(second, experiment.CommandStart)
		require.NoError(t, err)
		assert.Nil(t, r.route(first), "one that is over does not stand in the way")
		assert.True(t, r.open(second))
	})
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("pause", "cart"))
		time.Sleep(25 * time.Second)
		first := r.route(k)
		_, err := r.command(k, experiment.CommandPause)
		require.NoError(t, err)
		assert.False(t, first.Lease.Held(time.Now()), "it acts on snapshots that are out, too")
		route := r.route(k)
		require.NotNil(t, route)
		assert.False(t, route.Mirror)
		assert.Len(t, r.publisher.Policy().For(policy.RoleCandidate), 1)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, experiment.PhasePaused, r.phase(k))
		_, err = r.command(k, experiment.CommandResume)
		require.NoError(t, err)
		assert.True(t, r.open(k))
		assert.Equal(t, uint64(2), r.route(k).Epoch)
		r.reach(k, experiment.PhasePromoted, 30*time.Minute)
	})
}

func TestASilentCandidateIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("silent", "cart"))
		time.Sleep(time.Minute)
		r.world.Set(func() { r.world.Silent["shop/silent"] = true })
		r.reach(k, experiment.PhasePaused, 10*time.Minute)
		_, s := r.stored(k)
		assert.Equal(t, experiment.ReasonBlind, s.Reasons[0].Code)
		assert.False(t, r.open(k))
	})
}

func TestCandidatesThatFailAreRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("fails", "cart", func(s *experiment.Spec) { s.MinDuration = experiment.Duration(10 * time.Minute) }))
		r.world.Set(func() { r.world.Fails = 0.3 })
		r.reach(k, experiment.PhaseRolledBack, 10*time.Minute)
		_, s := r.stored(k)
		assert.Equal(t, "candidate_errors", s.Reasons[0].Subject)
	})
}

func TestRefusedRulesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.world.Set(func() { r.world.Refused = []string{"shop/refused/drop-pod"} })
		k := r.start(mirrorSpec("refused", "cart"))
		r.reach(k, experiment.PhaseFailed, 10*time.Second)
		_, s := r.stored(k)
		assert.Equal(t, `tag_consolidation/candidate refuses the rule shop/refused/drop-pod: rules["shop/refused/drop-pod"]: is refused here`, s.Reasons[0].Text)
	})
}

func TestASchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("later", "cart", func(s *experiment.Spec) { s.Schedule.NotBefore = time.Now().Add(time.Hour) }))
		assert.Equal(t, experiment.PhaseScheduled, r.phase(k))
		assert.Nil(t, r.route(k))
		r = r.again(time.Minute)
		assert.Equal(t, experiment.PhaseScheduled, r.phase(k))
		took := r.reach(k, experiment.PhaseRunning, time.Hour)
		assert.Greater(t, took, 58*time.Minute)
		assert.True(t, r.open(k))
		e, _ := r.stored(k)
		assert.Equal(t, "Running", e.Phase)
	})
}

func TestWatchAndWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.world.Set(func() { r.world.NoArms, r.world.NoRouter, r.world.NoCandidate = true, true, true })
		k := r.create(mirrorSpec("watched", "cart"))
		news, cancel := r.conductor.Watch(k)
		defer cancel()
		_, err := r.command(k, experiment.CommandStart)
		require.NoError(t, err)
		select {
		case <-news:
		default:
			assert.Fail(t, "nothing was told")
		}
		v, there := r.conductor.View(k)
		require.True(t, there)
		assert.Equal(t, []string{
			"no ab_router of metrics has registered: give one the option control",
			"nobody measures the baseline: put a cardinality processor with arm: baseline at the end of its pipeline",
			"nobody measures the candidate: put a cardinality processor with arm: candidate at the end of its pipeline",
			"no tag_consolidation of the role candidate has registered: the candidate's rules have no effect",
		}, v.Warnings)
		r.reach(k, experiment.PhasePaused, 2*time.Minute)
	})
}

package conductor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/conductor/conductortest"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// long keeps an experiment from being promoted.
func long(s *experiment.Spec) { s.MinDuration = experiment.Duration(12 * time.Hour) }

// takeAway takes the database of the store away until back is called.
func (r *rig) takeAway() (back func()) {
	r.t.Helper()
	away := filepath.Join(filepath.Dir(r.path), "away.db")
	require.NoError(r.t, os.Rename(r.path, away))
	return func() { require.NoError(r.t, os.Rename(away, r.path)) }
}

func TestWithoutAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		goes := r.start(mirrorSpec("goes", "cart", long))
		breaks := r.start(mirrorSpec("breaks", "checkout", long))
		draft := r.create(mirrorSpec("draft", "web"))
		time.Sleep(15 * time.Second)
		back := r.takeAway()
		time.Sleep(5 * time.Minute)
		assert.Equal(t, experiment.PhaseRunning, r.phase(goes), "it goes on")
		assert.True(t, r.open(goes))
		v, _ := r.conductor.View(goes)
		assert.Greater(t, v.State.History.Total, uint64(20))
		assert.Contains(t, v.Warnings, "its present state is not stored, because the store does not answer")

		for _, k := range []store.ExperimentKey{goes, draft} {
			_, err := r.command(k, experiment.CommandAbort)
			require.ErrorIs(t, err, store.ErrUnavailable)
		}
		assert.Equal(t, experiment.PhaseRunning, r.phase(goes), "a command that is not stored is not done")

		r.world.Set(func() { r.world.Breach["shop/breaks"] = "12 of 20 batches failed" })
		time.Sleep(time.Second)
		v, there := r.conductor.View(breaks)
		require.True(t, there, "it is kept until it is stored")
		assert.Equal(t, experiment.PhaseRolledBack, v.State.Phase)
		assert.Len(t, r.publisher.Policy().For(policy.RoleCandidate), 1)
		assert.False(t, r.open(breaks))
		assert.Contains(t, r.told(breaks), "experiment.phase RolledBack")

		back()
		time.Sleep(5 * time.Second)
		e, s := r.stored(breaks)
		assert.Equal(t, "RolledBack", e.Phase)
		assert.False(t, e.Active)
		assert.Equal(t, experiment.ReasonRouter, s.Reasons[0].Code)
		_, there = r.conductor.View(breaks)
		assert.False(t, there)
		_, s = r.stored(goes)
		assert.Greater(t, s.History.Total, uint64(20), "what was found meanwhile is stored")
		assert.Equal(t, experiment.PhaseRunning, s.Phase)
		_, err := r.store.VerifyAudit(t.Context(), store.AuditRange{})
		require.NoError(t, err)
	})
}

func TestPromotionWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("waits", "cart"))
		back := r.takeAway()
		time.Sleep(10 * time.Minute)
		assert.Equal(t, experiment.PhaseRunning, r.phase(k))
		assert.True(t, r.open(k))
		assert.Empty(t, r.publisher.Policy().For(policy.RoleCommon))
		back()
		r.reach(k, experiment.PhasePromoted, time.Minute)
		assert.Len(t, r.publisher.Policy().For(policy.RoleCommon), 1)
	})
}

func TestTheKillSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("killed", "cart"))
		draft := r.create(mirrorSpec("draft", "web"))
		time.Sleep(5 * time.Second)
		lease := r.route(k).Lease
		hold := r.publisher.Hold(publish.Hold{Reason: "it burns", By: "bob"})
		assert.Empty(t, r.publisher.Policy().Routes, "at once")
		r.reach(k, experiment.PhasePaused, time.Second)
		assert.False(t, lease.Held(time.Now()))
		_, s := r.stored(k)
		assert.Equal(t, "bob", s.Reasons[0].Subject)
		assert.Contains(t, s.Reasons[0].Text, "the kill switch is engaged: it burns")
		for _, begin := range []struct {
			key  store.ExperimentKey
			kind experiment.CommandKind
		}{{draft, experiment.CommandStart}, {k, experiment.CommandResume}} {
			_, err := r.command(begin.key, begin.kind)
			var f *fault.Fault
			require.ErrorAs(t, err, &f)
			assert.Equal(t, fault.Conflict, f.Reason)
		}
		r.publisher.Unhold(hold)
		time.Sleep(time.Second)
		assert.Equal(t, experiment.PhasePaused, r.phase(k), "somebody has to say that it may go on")
		_, err := r.command(k, experiment.CommandResume)
		require.NoError(t, err)
		assert.True(t, r.open(k))
	})
}

func TestARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(splitSpec("split", "cart", long))
		paused := r.start(mirrorSpec("paused", "web", long))
		_, err := r.command(paused, experiment.CommandPause)
		require.NoError(t, err)
		time.Sleep(3 * time.Minute)
		v, _ := r.conductor.View(k)
		looks, weight := v.State.History.Total, v.State.Weights.Candidate
		require.Greater(t, weight, 10)

		r = r.again(20 * time.Second)
		assert.Equal(t, experiment.PhaseRunning, r.phase(k))
		assert.True(t, r.open(k), "before anything else is asked")
		assert.Equal(t, weight, r.route(k).Weight)
		assert.Equal(t, uint64(1), r.route(k).Epoch)
		assert.Equal(t, experiment.PhasePaused, r.phase(paused))
		require.NotNil(t, r.route(paused))
		assert.False(t, r.open(paused))
		time.Sleep(2 * time.Minute)
		v, _ = r.conductor.View(k)
		assert.Equal(t, experiment.PhaseRunning, v.State.Phase)
		assert.Greater(t, v.State.History.Total, looks, "its history goes on")

		r = r.again(2 * time.Minute)
		assert.Equal(t, experiment.PhasePaused, r.phase(k))
		v, _ = r.conductor.View(k)
		assert.Equal(t, experiment.ReasonLeaseLost, v.State.Reasons[0].Code)
		assert.False(t, r.open(k))
		_, err = r.command(k, experiment.CommandResume)
		require.NoError(t, err)
		assert.True(t, r.open(k))
		assert.Equal(t, uint64(2), r.route(k).Epoch)
	})
}

func TestALeaseEndsWithTheConductor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("lease", "cart", long))
		time.Sleep(45 * time.Second)
		assert.True(t, r.open(k), "it is renewed")
		r.close()
		time.Sleep(40 * time.Second)
		assert.True(t, r.open(k), "routers have it for a minute")
		time.Sleep(21 * time.Second)
		assert.False(t, r.open(k))
	})
}

func TestAClockThatJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		r := newRig(t, func(s *conductor.Settings) {
			conductor.SetWall(s, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
		})
		k := r.start(mirrorSpec("jump", "cart", long))
		time.Sleep(30 * time.Second)
		for _, jump := range []time.Duration{-2 * time.Hour, 2 * time.Hour, 48 * time.Hour} {
			ahead.Store(int64(jump))
			time.Sleep(2 * time.Minute)
			v, _ := r.conductor.View(k)
			assert.Equal(t, experiment.PhaseRunning, v.State.Phase, "after %s", jump)
			assert.True(t, r.open(k))
			assert.Less(t, v.State.Ran.Std(), 10*time.Minute, "a jump makes no run longer")
		}
	})
}

func TestOnlyOneConducts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := func(name string) func(*conductor.Settings) {
			return func(s *conductor.Settings) { s.Exclusive, s.Instance = false, name }
		}
		first := newRig(t, shared("first"))
		k := first.start(mirrorSpec("shared", "cart", long))
		second := openRig(t, first.path, conductortest.New(), shared("second"))
		assert.Nil(t, second.route(k))
		_, err := second.command(k, experiment.CommandPause)
		var f *fault.Fault
		require.ErrorAs(t, err, &f)
		assert.Equal(t, fault.Unavailable, f.Reason)
		assert.Contains(t, f.Error(), `"first"`)
		time.Sleep(20 * time.Minute)
		assert.Nil(t, second.route(k), "the first one is heard of")
		assert.True(t, first.open(k))

		log, err := first.store.ListAudit(t.Context(), store.AuditQuery{})
		require.NoError(t, err)
		conducts := 0
		for _, e := range log.Items {
			if e.Action == "experiments.conduct" {
				conducts++
			}
		}
		assert.Equal(t, 1, conducts, "a heartbeat is no entry")

		first.close()
		time.Sleep(15 * time.Second)
		assert.NotNil(t, second.route(k), "it left its seat, so the next one sits")
		assert.Equal(t, experiment.PhaseRunning, second.phase(k))
		time.Sleep(time.Minute)
		assert.True(t, second.open(k))
	})
}

func TestASeatThatWasNotLeftIsFreeAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := func(s *conductor.Settings) { s.Exclusive, s.Instance = false, "second" }
		first := newRig(t, func(s *conductor.Settings) { s.Exclusive, s.Instance = false, "first" })
		k := first.start(mirrorSpec("shared", "cart", long))
		time.Sleep(5 * time.Minute)
		second := openRig(t, first.path, conductortest.New(), shared)
		first.kill()
		time.Sleep(40 * time.Second)
		assert.Nil(t, second.route(k))
		time.Sleep(40 * time.Second)
		require.NotNil(t, second.route(k))
		assert.Equal(t, experiment.PhasePaused, second.phase(k), "its lease is over")
	})
}

func TestWhatStandsInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		text, err := publish.EncodeSpec(publish.Spec{Rules: []policy.Rule{{Match: policy.Match{Metric: "x"}, Attributes: policy.Attributes{Drop: []string{"y"}}}}})
		require.NoError(t, err)
		policyOf := func(name string) {
			require.NoError(t, r.store.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
				_, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: store.PolicyKey{Namespace: "shop", Name: name}, Spec: text, State: store.StateDraft}, testEntry)
				return err
			}))
		}
		policyOf("taken")
		k := r.create(mirrorSpec("taken", "cart"))
		_, err = r.command(k, experiment.CommandStart)
		var f *fault.Fault
		require.ErrorAs(t, err, &f)
		assert.Equal(t, fault.Conflict, f.Reason)
		assert.Contains(t, f.Error(), "policies/shop/taken")

		late := r.start(mirrorSpec("late", "web"))
		policyOf("late")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, experiment.PhaseRunning, r.phase(late))
		v, _ := r.conductor.View(late)
		assert.Contains(t, v.Warnings, "it cannot be promoted: there is a policy of its name already; delete that first")
		require.NoError(t, r.store.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
			return tx.DeletePolicy(ctx, store.PolicyKey{Namespace: "shop", Name: "late"}, store.Any, testEntry)
		}))
		r.reach(late, experiment.PhasePromoted, time.Minute)
	})
}

func TestChecksAndTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.create(mirrorSpec("checked", "cart"))
		start := experiment.Command{Kind: experiment.CommandStart, By: "ann"}
		wrong := errors.New("another revision")
		_, err := r.conductor.Command(t.Context(), k, start, conductor.Commit{Entry: testEntry, Check: func(store.Experiment) error { return wrong }})
		require.ErrorIs(t, err, wrong)
		full := errors.New("no room for the answer")
		_, err = r.conductor.Command(t.Context(), k, start, conductor.Commit{
			Entry: testEntry, Also: func(context.Context, store.Tx, store.Experiment) error { return full },
		})
		require.ErrorIs(t, err, full)
		assert.Equal(t, experiment.PhaseDraft, r.phase(k))
		assert.Nil(t, r.route(k))
		assert.Empty(t, r.told(k))

		var after store.Experiment
		e, err := r.conductor.Command(t.Context(), k, start, conductor.Commit{
			Entry: testEntry, Also: func(_ context.Context, _ store.Tx, e store.Experiment) error { after = e; return nil },
		})
		require.NoError(t, err)
		assert.Equal(t, e, after)
		assert.Equal(t, "Running", e.Phase)
		assert.True(t, e.Active)
		_, err = r.conductor.Command(t.Context(), key("nobody"), start, conductor.Commit{Entry: testEntry})
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

func TestTwoPromotesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := r.start(mirrorSpec("twice", "cart", func(s *experiment.Spec) { s.Success[0].AtLeast = 0.9 }))
		time.Sleep(25 * time.Second)
		errs := make(chan error, 2)
		for range cap(errs) {
			go func() {
				_, err := r.command(k, experiment.CommandPromote)
				errs <- err
			}()
		}
		first, second := <-errs, <-errs
		if first != nil {
			first, second = second, first
		}
		require.NoError(t, first)
		var refusal *experiment.Refusal
		require.ErrorAs(t, second, &refusal)
		assert.Equal(t, experiment.RefusedEnded, refusal.Code)
		assert.Len(t, r.publisher.Policy().Rules, 1)
	})
}

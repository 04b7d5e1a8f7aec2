package experiments_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/store"
)

func (r *rig) do(ctx context.Context, t require.TestingT, command, name string) error {
	for _, one := range rpcs() {
		if one.name == command {
			return one.do(ctx, r.Service, key("shop", name))
		}
	}
	require.Fail(t, "there is no "+command)
	return nil
}

// TestTheLifeOfAnExperiment is what a user does from the draft to the policy.
func TestTheLifeOfAnExperiment(t *testing.T) {
	r := newRig(t)
	admin, events := as("admin"), r.watch(t)
	e := r.created(t, "a")
	assert.Equal(t, "Draft", e.GetStatus().GetPhase())
	assert.Equal(t, "2s", e.GetStatus().GetMinimumRun())
	assert.Len(t, e.GetSpecSha256(), 64)
	assert.Equal(t, "certificate:admin", e.GetCreatedBy())
	refused(t, r.do(admin, t, "pause", "a"), fault.WrongPhase)

	e, err := r.StartExperiment(admin, &phoenixv1.StartExperimentRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	assert.Equal(t, "Running", e.GetStatus().GetPhase())
	assert.True(t, e.GetStatus().GetMirror())
	require.Len(t, r.publisher.Policy().Routes, 1)
	assert.Equal(t, "shop/a", r.publisher.Policy().Routes[0].Experiment)

	_, err = r.PauseExperiment(admin, &phoenixv1.PauseExperimentRequest{Namespace: "shop", Name: "a", Reason: "lunch\n break"})
	require.NoError(t, err)
	e = r.get(t, "a")
	assert.Equal(t, "Paused", e.GetStatus().GetPhase())
	assert.Equal(t, "Paused: pause was commanded: lunch break", e.GetStatus().GetVerdict())
	assert.False(t, e.GetStatus().GetMirror())
	require.NoError(t, r.do(admin, t, "resume", "a"))
	r.ready(t, "a")
	if r.get(t, "a").GetStatus().GetPhase() == "Running" {
		require.NoError(t, r.do(admin, t, "promote", "a"))
	}
	e = r.get(t, "a")
	assert.Equal(t, "Promoted", e.GetStatus().GetPhase())
	assert.Equal(t, "policies/shop/a", e.GetStatus().GetPromotedPolicy())
	p, err := r.store.GetPolicy(context.Background(), store.PolicyKey{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	assert.Equal(t, store.StateEnforced, p.State)
	require.Len(t, r.publisher.Policy().Rules, 1)
	assert.Equal(t, "shop/a/rule-1", r.publisher.Policy().Rules[0].Name)
	assert.Empty(t, r.publisher.Policy().Routes)

	_, err = r.DeleteExperiment(admin, &phoenixv1.DeleteExperimentRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	_, err = r.GetExperiment(admin, &phoenixv1.GetExperimentRequest{Namespace: "shop", Name: "a"})
	refused(t, err, fault.NotFound)
	assert.Len(t, r.publisher.Policy().Rules, 1, "what it promoted stays")
	told := r.told(t, events)
	assert.Equal(t, "experiment.created", told[0])
	assert.Equal(t, "experiment.deleted", told[len(told)-1])
	assert.Contains(t, told, "experiment.phase")
	records := r.audit(t)
	assert.Equal(t, "experiments.create", records[0].Action)
	var paused store.AuditRecord
	for _, record := range records {
		assert.Equal(t, "experiments/shop/a", record.Resource)
		if record.Action == "experiments.pause" {
			paused = record
		}
	}
	assert.Equal(t, "certificate:admin", paused.Principal)
	assert.Equal(t, "lunch break", paused.Detail["reason"])
	assert.Equal(t, "192.0.2.7:1234", paused.Origin)
}

// Each of the ten refusals of a command has a reason and a status of its own; that
// of an unknown command is TestRefusalsAreCalledAlike.
func TestCommandsThatAreRefused(t *testing.T) {
	r := newRig(t)
	admin := as("admin")
	f := func(name, command string, reason fault.Reason, detail string) {
		t.Helper()
		got := refusal(t, r.do(admin, t, command, name), reason)
		assert.Equal(t, detail, got.Detail)
		assert.Equal(t, 409, got.HTTPStatus())
	}
	// start before create
	refused(t, r.do(admin, t, "start", "none"), fault.NotFound)
	r.created(t, "draft")
	f("draft", "resume", fault.WrongPhase, `resume experiment "shop/draft": it is Draft; start it first`)
	f("draft", "promote", fault.WrongPhase, `promote experiment "shop/draft": it is Draft; start it first`)
	f("draft", "approve", fault.NothingToApprove, `approve experiment "shop/draft": nothing waits for an approval`)
	// an approval
	careful := create("careful")
	careful.Experiment.Spec.Approval = &phoenixv1.ExperimentApproval{Start: true}
	_, err := r.CreateExperiment(admin, careful)
	require.NoError(t, err)
	f("careful", "start", fault.NotApproved, `start experiment "shop/careful": nobody has approved the start`)
	require.NoError(t, r.do(admin, t, "approve", "careful"))
	careful.Experiment.Spec.Description = "another one"
	_, err = r.UpdateExperiment(admin, &phoenixv1.UpdateExperimentRequest{Experiment: careful.GetExperiment()})
	require.NoError(t, err)
	f("careful", "start", fault.NotApproved, `start experiment "shop/careful": nobody has approved the start`) // the approval was for another specification
	// a schedule that is over
	late := create("late")
	late.Experiment.Spec.Schedule = &phoenixv1.ExperimentSchedule{NotAfter: timestamppb.New(time.Now().Add(-time.Hour).Truncate(time.Second).UTC())}
	_, err = r.CreateExperiment(admin, late)
	require.NoError(t, err)
	assert.Contains(t, refusal(t, r.do(admin, t, "start", "late"), fault.TooLate).Detail, `start experiment "shop/late": `)
	// while it runs: edits, another one on its scope, promotion before its time
	r.started(t, "runs")
	f("runs", "start", fault.WrongPhase, `start experiment "shop/runs": it is Running`)
	f("runs", "update", fault.WrongPhase, "the experiment shop/runs is Running; a specification stays as it is once the experiment is started: create another experiment")
	f("runs", "delete", fault.WrongPhase, "the experiment shop/runs is Running; abort it first")
	assert.Contains(t, refusal(t, r.do(admin, t, "promote", "runs"), fault.NotReady).Detail, `promote experiment "shop/runs": `)
	second := create("second")
	second.Experiment.Spec.Scope = map[string]string{"service.name": "runs"}
	e, err := r.CreateExperiment(admin, second)
	require.NoError(t, err)
	assert.Equal(t, []string{"the experiment shop/runs holds the scope, so that this one cannot be started before it is over: " +
		"both are on resource.service.name=runs, with all metrics"}, e.GetStatus().GetWarnings())
	f("second", "start", fault.Conflict, `start experiment "shop/second": experiment "shop/runs" holds the scope: both are on resource.service.name=runs, with all metrics`)
	// when it is over
	require.NoError(t, r.do(admin, t, "abort", "runs"))
	f("runs", "abort", fault.Ended, `abort experiment "shop/runs": it has ended: RolledBack`)
	require.NoError(t, r.do(admin, t, "start", "second"))
	// a reason that is too long
	_, err = r.AbortExperiment(admin, &phoenixv1.AbortExperimentRequest{Namespace: "shop", Name: "second", Reason: strings.Repeat("x", 1025)})
	assert.Equal(t, []string{"reason: must not be longer than 1024 bytes, got 1025"}, violations(refusal(t, err, fault.Invalid)))
}

// A specification that another version wrote is not started by this one.
func TestASpecificationWithMistakesIsNotStarted(t *testing.T) {
	r := newRig(t)
	r.created(t, "a")
	require.NoError(t, r.store.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.UpdateExperiment(ctx, store.ExperimentUpdate{
			ExperimentKey: key("shop", "a"), If: store.Any, Spec: []byte(`{"id":"shop/a","mode":"both","scope":{"a":"b"},"success":[]}`),
		}, store.Entry{Principal: "test", Action: "spoil"})
		return err
	}))
	f := refusal(t, r.do(as("admin"), t, "start", "a"), fault.Invalid)
	assert.Contains(t, violations(f), `spec.mode: must be mirror or split, got "both"`)
	assert.Equal(t, 400, f.HTTPStatus())
}

func TestOfTwoPromotesTheSecondIsTooLate(t *testing.T) {
	r := newRig(t)
	r.started(t, "a")
	r.ready(t, "a")
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() { errs[i] = r.do(as("admin"), t, "promote", "a") })
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		assert.Equal(t, `promote experiment "shop/a": it is Promoted already`, refusal(t, err, fault.Ended).Detail)
	}
	assert.LessOrEqual(t, won, 1)
	assert.Equal(t, "Promoted", r.get(t, "a").GetStatus().GetPhase())
	page, err := r.store.ListPolicies(context.Background(), store.PolicyQuery{})
	require.NoError(t, err)
	assert.Len(t, page.Items, 1)
}

// A request that comes again is answered as before, and done once.
func TestWhatComesAgainIsDoneOnce(t *testing.T) {
	r := newRig(t)
	events := r.watch(t)
	first, err := r.CreateExperiment(as("shop-operator", idempotent("c")), create("a"))
	require.NoError(t, err)
	again, err := r.CreateExperiment(as("shop-operator", idempotent("c")), create("a"))
	require.NoError(t, err)
	assert.Equal(t, first.GetEtag(), again.GetEtag())
	_, err = r.CreateExperiment(as("shop-operator", idempotent("c")), create("b"))
	refused(t, err, fault.KeyReused)
	_, err = r.CreateExperiment(as("shop-operator"), create("a"))
	refused(t, err, fault.Exists)
	assert.Equal(t, []string{"experiment.created"}, r.told(t, events))

	start := func(who, key string) (*phoenixv1.Experiment, error) {
		return r.StartExperiment(as(who, idempotent(key)), &phoenixv1.StartExperimentRequest{Namespace: "shop", Name: "a"})
	}
	started, err := start("shop-operator", "s")
	require.NoError(t, err)
	again, err = start("shop-operator", "s")
	require.NoError(t, err)
	assert.True(t, proto.Equal(started, again), "%v\n%v", started, again)
	_, err = start("shop-operator", "other")
	refused(t, err, fault.WrongPhase)
	_, err = start("shop-admin", "s")
	refused(t, err, fault.WrongPhase) // the key of somebody else is another one
	_, err = start("shop-operator", "c")
	refused(t, err, fault.KeyReused)
	_, err = start("shop-operator", "bad\x00")
	refused(t, err, fault.Invalid)
	// Also when both come at once
	var all sync.WaitGroup
	answers := make([]*phoenixv1.Experiment, 8)
	for i := range answers {
		all.Go(func() {
			e, err := r.AbortExperiment(as("shop-operator", idempotent("a")), &phoenixv1.AbortExperimentRequest{Namespace: "shop", Name: "a", Reason: "enough"})
			if assert.NoError(t, err) {
				answers[i] = e
			}
		})
	}
	all.Wait()
	for _, a := range answers {
		assert.True(t, proto.Equal(answers[0], a))
	}
	assert.Equal(t, "RolledBack", answers[0].GetStatus().GetPhase())
	aborts := 0
	for _, record := range r.audit(t) {
		if record.Action == "experiments.rollback" {
			aborts++
		}
	}
	assert.Equal(t, 1, aborts)
}

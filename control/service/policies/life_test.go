package policies_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/service/policies"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

// A policy from its first preview to its end, and what everybody sees of it.
func TestLifeOfAPolicy(t *testing.T) {
	r := newRig(t)
	r.data.set(processor("tag_consolidation", "common"))
	watcher := r.watch(t)
	op := as("shop-operator")

	p, err := r.CreatePolicy(op, preview("shop", "drop-pod", "http.*"))
	require.NoError(t, err)
	assert.Equal(t, "preview", p.GetState())
	assert.Equal(t, `"1"`, p.GetEtag())
	assert.EqualValues(t, 1, p.GetRevision())
	assert.Equal(t, r.clock.Now(), p.GetPreviewedSince().AsTime())
	assert.Equal(t, "certificate:shop-operator", p.GetCreatedBy())
	assert.False(t, p.GetStatus().GetApplied())
	assert.Empty(t, p.GetStatus().GetWarnings())
	assert.Equal(t, []string{"shop/drop-pod/rule-1 preview"}, r.rules(), "it is published before the answer")

	r.settle()
	assert.True(t, r.get(t, "shop", "drop-pod").GetStatus().GetApplied())

	r.clock.forward(4 * time.Minute)
	enforce := &phoenixv1.EnforcePolicyRequest{Namespace: "shop", Name: "drop-pod"}
	_, err = r.EnforcePolicy(op, enforce)
	assert.Equal(t, "the policy is in preview with these rules since 2026-03-14T15:00:00Z: enforce it in 6m1s, when that is 10m0s; "+
		"an administrator may use force", refusal(t, err, fault.NotPreviewed).Detail)

	r.clock.forward(6 * time.Minute)
	p, err = r.EnforcePolicy(op, enforce)
	require.NoError(t, err)
	assert.Equal(t, "enforced", p.GetState())
	assert.Nil(t, p.GetPreviewedSince())
	assert.Equal(t, []string{"shop/drop-pod/rule-1 enforce"}, r.rules())

	p, err = r.DisablePolicy(op, &phoenixv1.DisablePolicyRequest{Namespace: "shop", Name: "drop-pod"})
	require.NoError(t, err)
	assert.Equal(t, "disabled", p.GetState())
	assert.Empty(t, r.rules())

	p, err = r.RollbackPolicy(op, &phoenixv1.RollbackPolicyRequest{Namespace: "shop", Name: "drop-pod", Revision: 2})
	require.NoError(t, err)
	assert.Equal(t, "enforced", p.GetState(), "it ran before")
	assert.EqualValues(t, 4, p.GetRevision())

	_, err = r.DeletePolicy(op, &phoenixv1.DeletePolicyRequest{Namespace: "shop", Name: "drop-pod"})
	require.NoError(t, err)
	assert.Empty(t, r.rules())
	_, err = r.GetPolicy(op, &phoenixv1.GetPolicyRequest{Namespace: "shop", Name: "drop-pod"})
	refused(t, err, fault.NotFound)

	p, err = r.RollbackPolicy(op, &phoenixv1.RollbackPolicyRequest{Namespace: "shop", Name: "drop-pod", Revision: 1})
	require.NoError(t, err)
	assert.Equal(t, "preview", p.GetState())
	assert.EqualValues(t, 6, p.GetRevision())
	assert.Equal(t, []string{"shop/drop-pod/rule-1 preview"}, r.rules())

	assertHistory(t, r)
	var events, actions []string
	for _, e := range r.told(t, watcher) {
		assert.Equal(t, "policies/shop/drop-pod", e.Resource)
		assert.Equal(t, "shop", e.Namespace)
		assert.Equal(t, "certificate:shop-operator", e.Principal)
		events = append(events, e.Type+" "+e.Detail["revision"]+" "+e.Detail["state"])
	}
	assert.Equal(t, []string{
		"policy.created 1 preview", "policy.enforced 2 enforced", "policy.disabled 3 disabled", "policy.rolled_back 4 enforced",
		"policy.deleted 5 deleted", "policy.rolled_back 6 preview",
	}, events)
	for _, a := range r.audit(t) {
		actions = append(actions, a.Action+" "+string(a.Outcome)+" "+a.Detail["rolled_back_to"])
		assert.Equal(t, "policies/shop/drop-pod", a.Resource)
		assert.Equal(t, "192.0.2.7:1234", a.Origin)
	}
	assert.Equal(t, []string{
		"policies.create done ", "policies.enforce refused ", "policies.enforce done ", "policies.disable done ",
		"policies.rollback done 2", "policies.delete done ", "policies.rollback done 1",
	}, actions)
}

func assertHistory(t *testing.T, r *rig) {
	t.Helper()
	list, err := r.ListPolicyRevisions(as("shop-viewer"), &phoenixv1.ListPolicyRevisionsRequest{Namespace: "shop", Name: "drop-pod", PageSize: 4})
	require.NoError(t, err)
	more, err := r.ListPolicyRevisions(as("shop-viewer"), &phoenixv1.ListPolicyRevisionsRequest{
		Namespace: "shop", Name: "drop-pod", PageToken: list.GetNextPageToken(),
	})
	require.NoError(t, err)
	var states []string
	for _, v := range append(list.GetRevisions(), more.GetRevisions()...) {
		states = append(states, v.GetState())
		assert.Equal(t, v.GetState() == "deleted", v.GetSpec() == nil)
	}
	assert.Equal(t, []string{"preview", "deleted", "enforced", "disabled", "enforced", "preview"}, states)
	four, err := r.GetPolicyRevision(as("shop-viewer"), &phoenixv1.GetPolicyRevisionRequest{Namespace: "shop", Name: "drop-pod", Revision: 4})
	require.NoError(t, err)
	assert.EqualValues(t, 2, four.GetRolledBackTo())
	six, err := r.GetPolicyRevision(as("shop-viewer"), &phoenixv1.GetPolicyRevisionRequest{Namespace: "shop", Name: "drop-pod", Revision: 6})
	require.NoError(t, err)
	assert.EqualValues(t, 1, six.GetRolledBackTo(), "also after a deletion")
	assert.Equal(t, "http.*", four.GetSpec().GetRules()[0].GetMatch().GetMetric())
	_, err = r.GetPolicyRevision(as("shop-viewer"), &phoenixv1.GetPolicyRevisionRequest{Namespace: "shop", Name: "drop-pod", Revision: 99})
	refused(t, err, fault.NotFound)
	_, err = r.RollbackPolicy(as("shop-operator"), &phoenixv1.RollbackPolicyRequest{Namespace: "shop", Name: "drop-pod", Revision: 5})
	assert.Equal(t, "revision 5 is a deletion, which has no content to go back to", refusal(t, err, fault.Invalid).Violations[0].Description)
	_, err = r.RollbackPolicy(as("shop-operator"), &phoenixv1.RollbackPolicyRequest{Namespace: "shop", Name: "drop-pod"})
	assert.Equal(t, "revision", refusal(t, err, fault.Invalid).Violations[0].Field)
}

func TestEnforcingWithoutAPreviewNeedsForce(t *testing.T) {
	r := newRig(t, func(s *policies.Settings) { s.PreviewWindow = func() time.Duration { return time.Minute } })
	_, err := r.CreatePolicy(as("shop-editor"), create("a", "http.*"))
	require.NoError(t, err)
	enforce := func(who string, force bool) (*phoenixv1.Policy, error) {
		return r.EnforcePolicy(as(who), &phoenixv1.EnforcePolicyRequest{Namespace: "shop", Name: "a", Force: force})
	}
	_, err = enforce("shop-operator", false)
	assert.Contains(t, refusal(t, err, fault.NotPreviewed).Detail, "the policy is not in preview: preview it for 1m0s")

	_, err = r.PreviewPolicy(as("shop-editor"), &phoenixv1.PreviewPolicyRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	r.clock.forward(time.Hour)
	_, err = enforce("shop-operator", false)
	assert.Contains(t, refusal(t, err, fault.NotPreviewed).Detail, "no processor measures the policy", "nobody saw it")

	r.data.set(processor("tag_consolidation", "common"), processor("other", "candidate"))
	_, err = enforce("shop-operator", false)
	refused(t, err, fault.NotPreviewed) // it is there and has nothing yet

	// An engaged kill switch means that nobody measures.
	require.NoError(t, os.WriteFile(r.kill, nil, 0o600))
	r.run(t)
	require.Eventually(t, func() bool { return r.publisher.Status().Kill.Engaged }, 5*time.Second, time.Millisecond)
	r.settle()
	_, err = enforce("shop-operator", false)
	refused(t, err, fault.NotPreviewed)
	require.NoError(t, os.Remove(r.kill))
	require.Eventually(t, func() bool { return !r.publisher.Status().Kill.Engaged }, 5*time.Second, time.Millisecond)
	r.settle()

	_, err = enforce("shop-operator", true)
	refused(t, err, fault.Forbidden) // force is for administrators
	p, err := enforce("shop-admin", true)
	require.NoError(t, err)
	assert.Equal(t, "enforced", p.GetState())
	records := r.audit(t)
	last := records[len(records)-1]
	assert.Equal(t, "policies.enforce", last.Action)
	assert.Equal(t, "true", last.Detail["force"])
	assert.Equal(t, "preview", last.Detail["state_before"])

	_, err = enforce("shop-operator", false)
	require.NoError(t, err, "what is enforced is enforced")
	assert.EqualValues(t, 3, r.get(t, "shop", "a").GetRevision())
}

// Another description is the same preview; other rules are not, nor is a policy
// that was away meanwhile.
func TestAPreviewIsOfRules(t *testing.T) {
	r := newRig(t)
	ctx := as("admin")
	began := r.clock.Now()
	_, err := r.CreatePolicy(ctx, create("a", "m"))
	require.NoError(t, err)
	since := func(want time.Duration) {
		t.Helper()
		p, err := r.GetPolicy(ctx, &phoenixv1.GetPolicyRequest{Namespace: "shop", Name: "a"})
		require.NoError(t, err)
		list, err := r.ListPolicies(ctx, &phoenixv1.ListPoliciesRequest{})
		require.NoError(t, err)
		assert.Equal(t, p.GetPreviewedSince(), list.GetPolicies()[0].GetPreviewedSince())
		assert.Equal(t, want, p.GetPreviewedSince().AsTime().Sub(began))
	}
	step := func(change func() error) {
		t.Helper()
		r.clock.forward(time.Minute)
		require.NoError(t, change())
	}
	update := func(p *phoenixv1.Policy, description string, priority int32) func() error {
		p.Spec.Description, p.Spec.Priority = description, priority
		return func() error {
			_, err := r.UpdatePolicy(ctx, &phoenixv1.UpdatePolicyRequest{Policy: p})
			return err
		}
	}
	state := func(s string) func() error {
		return func() (err error) {
			switch s {
			case "preview":
				_, err = r.PreviewPolicy(ctx, &phoenixv1.PreviewPolicyRequest{Namespace: "shop", Name: "a"})
			case "disabled":
				_, err = r.DisablePolicy(ctx, &phoenixv1.DisablePolicyRequest{Namespace: "shop", Name: "a"})
			}
			return err
		}
	}
	step(state("preview")) // 1m
	since(time.Minute)
	for i := range 30 { // more than a page of revisions
		step(update(wire("shop", "a", "m"), "why", int32(i)))
	}
	since(time.Minute)
	step(update(wire("shop", "a", "n"), "why", 3)) // 32m
	since(32 * time.Minute)
	step(update(wire("shop", "a", "m"), "why", 3)) // the rules of before, but not all the time
	since(33 * time.Minute)
	step(state("disabled"))
	p, err := r.GetPolicy(ctx, &phoenixv1.GetPolicyRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	assert.Nil(t, p.GetPreviewedSince())
	step(state("preview"))
	since(35 * time.Minute)
}

// New rules of an enforced policy would act unseen.
func TestUpdatingAnEnforcedPolicy(t *testing.T) {
	r := newRig(t)
	_, err := r.CreatePolicy(as("admin"), create("a", "m"))
	require.NoError(t, err)
	_, err = r.EnforcePolicy(as("admin"), &phoenixv1.EnforcePolicyRequest{Namespace: "shop", Name: "a", Force: true})
	require.NoError(t, err)
	described := wire("shop", "a", "m")
	described.Spec.Description = "why"

	_, err = r.UpdatePolicy(as("shop-editor"), &phoenixv1.UpdatePolicyRequest{Policy: described})
	refused(t, err, fault.Forbidden) // what is in force is for operators
	p, err := r.UpdatePolicy(as("shop-operator"), &phoenixv1.UpdatePolicyRequest{Policy: described})
	require.NoError(t, err)
	assert.Equal(t, "enforced", p.GetState())

	first := &phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "a", "m")}
	first.Policy.Spec.Priority = 7
	_, err = r.UpdatePolicy(as("shop-operator"), first)
	assert.Contains(t, refusal(t, err, fault.NotPreviewed).Detail, "another priority changes which rules apply")
	first.ValidateOnly = true
	_, err = r.UpdatePolicy(as("shop-operator"), first)
	refused(t, err, fault.NotPreviewed)
	first.ValidateOnly, first.Force = false, true
	_, err = r.UpdatePolicy(as("shop-operator"), first)
	refused(t, err, fault.Forbidden)
	p, err = r.UpdatePolicy(as("shop-admin"), first)
	require.NoError(t, err)
	assert.EqualValues(t, 7, p.GetSpec().GetPriority())

	request := &phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "a", "n")}
	_, err = r.UpdatePolicy(as("shop-operator"), request)
	assert.Contains(t, refusal(t, err, fault.NotPreviewed).Detail, "create a policy of another name with them")
	request.Force = true
	_, err = r.UpdatePolicy(as("shop-operator"), request)
	refused(t, err, fault.Forbidden)
	_, err = r.UpdatePolicy(as("shop-admin"), request)
	require.NoError(t, err)
	assert.Equal(t, "n", r.publisher.Policy().Rules[0].Match.Metric)
}

func TestFromAnAcceptedRequestToTheDataPathIsLessThanASecond(t *testing.T) {
	dir := t.TempDir()
	r := newRigIn(t, dir)
	other, err := sqlite.Open(t.Context(), sqlite.Settings{Path: filepath.Join(dir, "phoenix.db")})
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	replica := publish.New(publish.Settings{Store: other})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		replica.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	for i, metric := range []string{"a", "b", "c"} {
		began := time.Now()
		_, err := r.CreatePolicy(as("admin"), preview("shop", metric, metric))
		require.NoError(t, err)
		assert.Less(t, time.Since(began), time.Second)
		require.Len(t, r.publisher.Policy().Rules, i+1, "the replica that made the change has it before it answers")
		require.Eventually(t, func() bool { return len(replica.Policy().Rules) == i+1 }, time.Second, time.Millisecond, "the other one polls")
	}
}

func TestWithoutTheStore(t *testing.T) {
	r := newRig(t)
	r.run(t)
	_, err := r.CreatePolicy(as("admin"), preview("shop", "a", "m"))
	require.NoError(t, err)
	before := r.publisher.Policy()
	require.Len(t, before.Rules, 1)

	require.NoError(t, os.Rename(r.file, r.file+".away"))
	ctx := as("admin")
	calls := map[string]func() error{
		"get": func() error {
			_, err := r.GetPolicy(ctx, &phoenixv1.GetPolicyRequest{Namespace: "shop", Name: "a"})
			return err
		},
		"list": func() error { _, err := r.ListPolicies(ctx, &phoenixv1.ListPoliciesRequest{}); return err },
		"filtered": func() error {
			_, err := r.ListPolicies(ctx, &phoenixv1.ListPoliciesRequest{Filter: `name : "a"`})
			return err
		},
		"create": func() error { _, err := r.CreatePolicy(ctx, preview("shop", "b", "m")); return err },
		"create once": func() error {
			_, err := r.CreatePolicy(as("admin", idempotent), preview("shop", "b", "m"))
			return err
		},
		"only look": func() error {
			_, err := r.CreatePolicy(ctx, &phoenixv1.CreatePolicyRequest{Policy: wire("shop", "b", "m"), ValidateOnly: true})
			return err
		},
		"update": func() error {
			_, err := r.UpdatePolicy(ctx, &phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "a", "n")})
			return err
		},
		"delete": func() error {
			_, err := r.DeletePolicy(ctx, &phoenixv1.DeletePolicyRequest{Namespace: "shop", Name: "a"})
			return err
		},
		"disable": func() error {
			_, err := r.DisablePolicy(ctx, &phoenixv1.DisablePolicyRequest{Namespace: "shop", Name: "a"})
			return err
		},
		"rollback": func() error {
			_, err := r.RollbackPolicy(ctx, &phoenixv1.RollbackPolicyRequest{Namespace: "shop", Name: "a", Revision: 1})
			return err
		},
		"revisions": func() error {
			_, err := r.ListPolicyRevisions(ctx, &phoenixv1.ListPolicyRevisionsRequest{Namespace: "shop", Name: "a"})
			return err
		},
		"revision": func() error {
			_, err := r.GetPolicyRevision(ctx, &phoenixv1.GetPolicyRevisionRequest{Namespace: "shop", Name: "a", Revision: 1})
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) { refused(t, call(), fault.Unavailable) })
	}
	_, err = r.GetPolicy(as("bank-operator"), &phoenixv1.GetPolicyRequest{Namespace: "shop", Name: "a"})
	refused(t, err, fault.NotFound) // who may not look does not learn that the store is gone
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("A refusal could not be audited").Len())
	assert.Same(t, before, r.publisher.Policy(), "the data path has what it had")

	require.NoError(t, os.Rename(r.file+".away", r.file))
	_, err = r.CreatePolicy(ctx, preview("shop", "c", "m"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(r.publisher.Policy().Rules) == 2 }, 5*time.Second, time.Millisecond)
	_, err = r.store.GetPolicy(t.Context(), store.PolicyKey{Namespace: "shop", Name: "b"})
	require.ErrorIs(t, err, store.ErrNotFound, "what was refused did not happen")
}

package policies_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/policies"
	"github.com/phoenix-platform/phoenix/control/store"
)

func TestStatusSaysWhatStandsInTheWay(t *testing.T) {
	r := newRig(t, func(s *policies.Settings) { s.Processors = nil }) // Consolidation tells
	p, err := r.CreatePolicy(as("admin"), preview("shop", "a", "m"))
	require.NoError(t, err)
	assert.Equal(t, []string{"no tag_consolidation processor of role common takes policies from this control plane: set its option control"},
		p.GetStatus().GetWarnings())
	draft, err := r.CreatePolicy(as("admin"), create("draft", "x"))
	require.NoError(t, err)
	assert.Empty(t, draft.GetStatus().GetWarnings(), "nothing has to happen")

	r.data.set(
		processor("common/1", "common"), processor("common/2", "common", "static rules with those of version 3: bank/a/rule-1 and x"),
		processor("common/3", "common", "rule \"shop/a/rule-1\": attribute pod is in never_touch\nrule \"bank/b/rule-1\": no\nworkshop/shop/a/x: no"),
		processor("candidate", "candidate", "about shop/a/rule-1"),
	)
	eventually(t, func() bool { return len(r.get(t, "shop", "a").GetStatus().GetWarnings()) == 2 })
	p = r.get(t, "shop", "a")
	assert.False(t, p.GetStatus().GetApplied())
	assert.Equal(t, []string{
		"common/2 refuses the newest policies because of another one: ask an operator to look at its problems in the system information",
		`common/3: rule "shop/a/rule-1": attribute pod is in never_touch`,
	}, p.GetStatus().GetWarnings(), "what is said of others is not for everybody")

	r.data.set(processor("common/1", "common"), processor("common/2", "common"))
	r.settle()
	eventually(t, func() bool { return r.get(t, "shop", "a").GetStatus().GetApplied() })
	assert.Empty(t, r.get(t, "shop", "a").GetStatus().GetWarnings())

	require.NoError(t, os.WriteFile(r.kill, nil, 0o600))
	r.run(t)
	eventually(t, func() bool { return r.publisher.Status().Kill.Engaged })
	r.settle()
	p = r.get(t, "shop", "a")
	assert.False(t, p.GetStatus().GetApplied())
	assert.Equal(t, []string{"the kill switch is engaged (file), no policy is applied"}, p.GetStatus().GetWarnings())
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 5*time.Millisecond)
}

// Another version wrote rules that this one does not know: they are shown as far
// as they are known, are left out, and cannot be put in force.
func TestAPolicyOfAnotherVersion(t *testing.T) {
	r := newRig(t)
	r.data.set(processor("tag_consolidation", "common"))
	for name, state := range map[string]store.PolicyState{"a": store.StateEnforced, "b": store.StateDraft} {
		require.NoError(t, r.store.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
			_, err := tx.CreatePolicy(ctx, store.NewPolicy{
				PolicyKey: policyKey("shop", name), State: state, Spec: []byte(`{"rules":[{"match":{"metric":"m"},"sample":0.5}]}`),
			}, store.Entry{Principal: "newer", Action: "policies.create"})
			return err
		}))
	}
	require.NoError(t, r.publisher.Refresh(t.Context()))
	r.settle()
	p := r.get(t, "shop", "a")
	assert.Equal(t, "m", p.GetSpec().GetRules()[0].GetMatch().GetMetric())
	assert.False(t, p.GetStatus().GetApplied())
	require.Len(t, p.GetStatus().GetWarnings(), 1)
	assert.Contains(t, p.GetStatus().GetWarnings()[0], `leaves it out, update or disable it: read the specification of a policy: json: unknown field "sample"`)

	_, err := r.PreviewPolicy(as("admin"), &phoenixv1.PreviewPolicyRequest{Namespace: "shop", Name: "b"})
	assert.Contains(t, refusal(t, err, fault.Conflict).Detail, "this version of Phoenix refuses the rules")
	_, err = r.EnforcePolicy(as("admin"), &phoenixv1.EnforcePolicyRequest{Namespace: "shop", Name: "b", Force: true})
	refused(t, err, fault.Conflict)
	_, err = r.DisablePolicy(as("admin"), &phoenixv1.DisablePolicyRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	_, err = r.RollbackPolicy(as("admin"), &phoenixv1.RollbackPolicyRequest{Namespace: "shop", Name: "a", Revision: 1})
	refused(t, err, fault.Conflict)
	_, err = r.UpdatePolicy(as("admin"), &phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "a", "m")})
	require.NoError(t, err)
	_, err = r.PreviewPolicy(as("admin"), &phoenixv1.PreviewPolicyRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
}

func TestOverlapsAreToldToWhoMaySeeThem(t *testing.T) {
	r := newRig(t)
	r.data.set(processor("tag_consolidation", "common"))
	for _, p := range []*phoenixv1.CreatePolicyRequest{
		preview("bank", "b", "http.*"), preview("shop", "s", "http.server.*"), preview("shop", "other", "rpc.*"), create("draft", "http.*"),
	} {
		_, err := r.CreatePolicy(as("admin"), p)
		require.NoError(t, err)
	}
	const shadowed = `rule "shop/new/rule-1" matches no points but those of "shop/s/rule-1", which is in force: it never applies, unless its policy has the higher priority`
	p, err := r.CreatePolicy(as("shop-editor"), &phoenixv1.CreatePolicyRequest{Policy: wire("shop", "new", "http.server.duration"), ValidateOnly: true})
	require.NoError(t, err)
	assert.Equal(t, []string{shadowed}, p.GetStatus().GetWarnings())

	p, err = r.CreatePolicy(as("admin"), create("new", "http.server.duration", "db.*"))
	require.NoError(t, err)
	assert.Len(t, p.GetStatus().GetWarnings(), 2)
	assertWarning(t, p, shadowed)
	p, err = r.UpdatePolicy(as("shop-editor"), &phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "new", "db.*", "/http[.](server|client)[.].+/", "*.size")})
	require.NoError(t, err)
	assert.Equal(t, []string{
		`rules "shop/new/rule-2" and "shop/s/rule-1", which is in force, may match the same points, which the policy with the higher priority would take`,
		`rules "shop/new/rule-3" and "shop/other/rule-1", which is in force, match the same points: the policy with the higher priority takes them`,
		`rules "shop/new/rule-3" and "shop/s/rule-1", which is in force, match the same points: the policy with the higher priority takes them`,
	}, p.GetStatus().GetWarnings())
	p, err = r.PreviewPolicy(as("shop-editor"), &phoenixv1.PreviewPolicyRequest{Namespace: "shop", Name: "new"})
	require.NoError(t, err)
	assert.Len(t, p.GetStatus().GetWarnings(), 3)
	assert.Empty(t, r.get(t, "shop", "new").GetStatus().GetWarnings(), "those who only look are spared")
}

func TestOverlapsAreBounded(t *testing.T) {
	r := newRig(t)
	r.data.set(processor("tag_consolidation", "common"))
	for i := range 12 {
		_, err := r.CreatePolicy(as("admin"), preview("shop", fmt.Sprintf("p%d", i), "http.*"))
		require.NoError(t, err)
	}
	p, err := r.CreatePolicy(as("admin"), create("new", "*"))
	require.NoError(t, err)
	assert.Len(t, p.GetStatus().GetWarnings(), 6)
	assert.Equal(t, "more rules overlap, or may, than are listed", p.GetStatus().GetWarnings()[5])
}

func TestAppliedIsToldWhenAllHaveIt(t *testing.T) {
	r := newRig(t)
	r.data.set(processor("one", "common"), processor("two", "common"), processor("three", "candidate"))
	watcher := r.watch(t)
	r.run(t)
	_, err := r.CreatePolicy(as("admin"), create("draft", "m"))
	require.NoError(t, err)
	_, err = r.CreatePolicy(as("admin"), preview("shop", "a", "m"))
	require.NoError(t, err)
	r.data.set(
		processor("one", "common"), processor("three", "candidate"))
	r.settle()
	e := await(t, watcher, "policy.applied")
	assert.Equal(t, "policies/shop/a", e.Resource)
	assert.Equal(t, "shop", e.Namespace)
	assert.Equal(t, map[string]string{"revision": "1", "state": "preview"}, e.Detail)
	assert.Empty(t, e.Principal)

	_, err = r.DeletePolicy(as("admin"), &phoenixv1.DeletePolicyRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	r.settle()
	e = await(t, watcher, "policy.applied")
	assert.Equal(t, map[string]string{"revision": "2", "state": "deleted"}, e.Detail)
	assert.True(t, strings.HasPrefix(e.Message, "Every processor has revision 2 of the policy shop/a"))
}

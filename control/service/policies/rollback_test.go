package policies_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/policies"
)

// alike says that two states are the same in force.
func (s state) alike(other state) bool {
	return s.state == other.state && s.metric == other.metric && s.priority == other.priority
}

// proven says that a state of the history was in force for a window, or came
// from a preview that lasted one.
func (m *model) proven(history []state, i int) bool {
	began, ended := i, i
	for began > 0 && history[began-1].alike(history[i]) {
		began--
	}
	for ended < len(history) && history[ended].alike(history[i]) {
		ended++
	}
	end := m.now
	if ended < len(history) {
		end = history[ended].at
	}
	first := began
	for first > 0 && history[first-1].state == "preview" && history[first-1].metric == history[i].metric {
		first--
	}
	return end.Sub(history[began].at) >= window || history[began].at.Sub(history[first].at) >= window
}

// A rollback is no way around the preview, whatever was done before it.
func TestRollingBackToEnforcedNeedsAPreview(t *testing.T) {
	r := newRig(t, func(s *policies.Settings) { s.PreviewWindow = func() time.Duration { return window } })
	op, admin := as("shop-operator"), as("shop-admin")
	ok := func(_ *phoenixv1.Policy, err error) {
		t.Helper()
		require.NoError(t, err)
	}
	back := func(name string, to uint32) (*phoenixv1.Policy, error) {
		return r.RollbackPolicy(op, &phoenixv1.RollbackPolicyRequest{Namespace: "shop", Name: name, Revision: to})
	}
	enforce := func(name string) {
		t.Helper()
		ok(r.EnforcePolicy(admin, &phoenixv1.EnforcePolicyRequest{Namespace: "shop", Name: name, Force: true}))
	}
	disable := func(name string) {
		t.Helper()
		ok(r.DisablePolicy(op, &phoenixv1.DisablePolicyRequest{Namespace: "shop", Name: name}))
	}
	ok(r.CreatePolicy(op, preview("shop", "w1", "m")))
	enforce("w1")
	ok(back("w1", 2)) // it is in force as it is
	_, err := r.DeletePolicy(op, &phoenixv1.DeletePolicyRequest{Namespace: "shop", Name: "w1"})
	require.NoError(t, err)
	r.clock.forward(2 * window) // to be away proves nothing
	_, err = back("w1", 2)
	assert.Equal(t, "revision 2 was not enforced for 10m0s, nor were its rules in preview for so long before: "+
		"roll back to a revision in preview, or to a draft and preview it, and enforce it then", refusal(t, err, fault.NotPreviewed).Detail)
	assert.Empty(t, r.rules())
	records := r.audit(t)
	last := records[len(records)-1]
	assert.Equal(t, []any{"policies.rollback", "refused", "policies/shop/w1", "certificate:shop-operator"},
		[]any{last.Action, string(last.Outcome), last.Resource, last.Principal})
	ok(back("w1", 1))
	_, err = back("w1", 2)
	refused(t, err, fault.NotPreviewed) // nor of one that is there

	// In force for a window.
	ok(r.CreatePolicy(op, create("ran", "m")))
	enforce("ran")
	r.clock.forward(window / 2)
	described := wire("shop", "ran", "m")
	described.Spec.Description = "why" // the same in force
	ok(r.UpdatePolicy(op, &phoenixv1.UpdatePolicyRequest{Policy: described}))
	r.clock.forward(window / 2)
	disable("ran")
	for _, to := range []uint32{2, 3} {
		ok(back("ran", to))
		disable("ran")
	}
	ok(back("ran", 4))

	// In preview for a window, but with the rules of now only.
	ok(r.CreatePolicy(op, preview("shop", "seen", "n")))
	r.clock.forward(window - time.Second)
	ok(r.UpdatePolicy(op, &phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "seen", "m")}))
	r.clock.forward(window - time.Second)
	enforce("seen")
	disable("seen")
	_, err = back("seen", 3)
	refused(t, err, fault.NotPreviewed)
	ok(back("seen", 2))
	r.clock.forward(window)
	enforce("seen")
	disable("seen")
	ok(back("seen", 6))

	// Another priority is not what was in force.
	first := wire("shop", "seen", "m")
	first.Spec.Priority = 9
	ok(r.UpdatePolicy(admin, &phoenixv1.UpdatePolicyRequest{Policy: first, Force: true}))
	ok(back("seen", 6))
	_, err = back("seen", 9)
	refused(t, err, fault.NotPreviewed)
}

package policies_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/policies"
	"github.com/phoenix-platform/phoenix/control/store"
)

// rpc is each call about one policy that is there or not.
type rpc struct {
	name string
	do   func(context.Context, *policies.Service, store.PolicyKey) error
}

func rpcs() []rpc {
	policy := func(k store.PolicyKey) *phoenixv1.Policy { return wire(k.Namespace, k.Name, "m") }
	return []rpc{
		{"get", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.GetPolicy(ctx, &phoenixv1.GetPolicyRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"revisions", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.ListPolicyRevisions(ctx, &phoenixv1.ListPolicyRevisionsRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"revision", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.GetPolicyRevision(ctx, &phoenixv1.GetPolicyRevisionRequest{Namespace: k.Namespace, Name: k.Name, Revision: 1})
			return err
		}},
		{"update", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.UpdatePolicy(ctx, &phoenixv1.UpdatePolicyRequest{Policy: policy(k)})
			return err
		}},
		{"only look", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.UpdatePolicy(ctx, &phoenixv1.UpdatePolicyRequest{Policy: policy(k), ValidateOnly: true})
			return err
		}},
		{"update by force", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.UpdatePolicy(ctx, &phoenixv1.UpdatePolicyRequest{Policy: policy(k), Force: true})
			return err
		}},
		{"preview", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.PreviewPolicy(ctx, &phoenixv1.PreviewPolicyRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"enforce by force", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.EnforcePolicy(ctx, &phoenixv1.EnforcePolicyRequest{Namespace: k.Namespace, Name: k.Name, Force: true})
			return err
		}},
		{"enforce", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.EnforcePolicy(ctx, &phoenixv1.EnforcePolicyRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"disable", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.DisablePolicy(ctx, &phoenixv1.DisablePolicyRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"rollback", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.RollbackPolicy(ctx, &phoenixv1.RollbackPolicyRequest{Namespace: k.Namespace, Name: k.Name, Revision: 1})
			return err
		}},
		{"delete", func(ctx context.Context, s *policies.Service, k store.PolicyKey) error {
			_, err := s.DeletePolicy(ctx, &phoenixv1.DeletePolicyRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	// What each may do to an enforced policy of the namespace shop.
	may := map[string]string{
		"admin":         "get, revisions, revision, update, only look, update by force, preview, enforce by force, enforce, disable, rollback, delete",
		"operator":      "get, revisions, revision, update, only look, preview, enforce, disable, rollback, delete",
		"shop-admin":    "get, revisions, revision, update, only look, update by force, preview, enforce by force, enforce, disable, rollback, delete",
		"shop-operator": "get, revisions, revision, update, only look, preview, enforce, disable, rollback, delete",
		"shop-editor":   "get, revisions, revision",
		"shop-viewer":   "get, revisions, revision",
	}
	// And to one that is not in force.
	mayDraft := map[string]string{
		"shop-editor":   "get, revisions, revision, update, only look, preview, delete",
		"shop-operator": "get, revisions, revision, update, only look, preview, disable, rollback, delete", // to enforce it would need a preview
	}
	check := func(state, who, allowed string) {
		for _, one := range rpcs() {
			t.Run(fmt.Sprintf("%s %s %s", state, who, one.name), func(t *testing.T) {
				r := newRig(t)
				_, err := r.CreatePolicy(as("admin"), create("a", "m"))
				require.NoError(t, err)
				if state == "enforced" {
					_, err = r.EnforcePolicy(as("admin"), &phoenixv1.EnforcePolicyRequest{Namespace: "shop", Name: "a", Force: true})
					require.NoError(t, err)
				}
				before := len(r.audit(t))
				err = one.do(as(who), r.Service, store.PolicyKey{Namespace: "shop", Name: "a"})
				if slices.Contains(strings.Split(allowed, ", "), one.name) {
					require.NoError(t, err)
					return
				}
				want := fault.Forbidden
				if one.name == "enforce" && state == "draft" && who != "shop-editor" {
					want = fault.NotPreviewed
				}
				refused(t, err, want)
				records := r.audit(t)
				require.Len(t, records, before+1, "each refusal is in the audit log")
				assert.Equal(t, store.OutcomeRefused, records[before].Outcome)
				assert.Equal(t, "certificate:"+who, records[before].Principal)
				assert.Equal(t, state, r.get(t, "shop", "a").GetState())
			})
		}
	}
	for who, allowed := range may {
		check("enforced", who, allowed)
	}
	for who, allowed := range mayDraft {
		check("draft", who, allowed)
	}
}

// A policy that is not there, one that cannot be, and one that the caller does
// not see are answered alike.
func TestWhatIsNotSeenIsNotThere(t *testing.T) {
	r := newRig(t)
	_, err := r.CreatePolicy(as("admin"), create("a", "m"))
	require.NoError(t, err)
	for _, one := range rpcs() {
		t.Run(one.name, func(t *testing.T) {
			var answers []string
			for _, c := range []struct {
				who string
				key store.PolicyKey
			}{
				{"bank-operator", store.PolicyKey{Namespace: "shop", Name: "a"}},
				{"bank-operator", store.PolicyKey{Namespace: "nowhere", Name: "a"}},
				{"admin", store.PolicyKey{Namespace: "shop", Name: "none"}},
				{"admin", store.PolicyKey{Namespace: "nowhere", Name: "a"}},
			} {
				f := refusal(t, one.do(as(c.who), r.Service, c.key), fault.NotFound)
				answers = append(answers, fmt.Sprintf("%s %q %v %v", f.Reason, f.Detail, f.Violations, f.Suggestions))
			}
			for _, a := range answers {
				assert.Equal(t, answers[0], a)
			}
		})
	}
	for _, k := range []store.PolicyKey{{Namespace: "shop", Name: "a/b"}, {Namespace: "shop", Name: "a\x00"}, {Namespace: "shop"}} {
		_, err := r.GetPolicy(as("admin"), &phoenixv1.GetPolicyRequest{Namespace: k.Namespace, Name: k.Name})
		refused(t, err, fault.NotFound)
		_, err = r.ListPolicyRevisions(as("admin"), &phoenixv1.ListPolicyRevisionsRequest{Namespace: k.Namespace, Name: k.Name})
		refused(t, err, fault.NotFound)
		_, err = r.RollbackPolicy(as("admin"), &phoenixv1.RollbackPolicyRequest{Namespace: k.Namespace, Name: k.Name, Revision: 1})
		refused(t, err, fault.NotFound)
	}
	_, err = r.CreatePolicy(as("bank-operator"), create("a", "m"))
	refused(t, err, fault.NotFound) // not: it exists already
	_, err = r.CreatePolicy(context.Background(), create("a", "m"))
	refused(t, err, fault.Unauthenticated)
	_, err = r.ListPolicies(as("nobody"), &phoenixv1.ListPoliciesRequest{})
	refused(t, err, fault.Forbidden)
}

func TestToCreateInPreviewIsForEditors(t *testing.T) {
	r := newRig(t)
	_, err := r.CreatePolicy(as("shop-viewer"), create("a", "m"))
	refused(t, err, fault.Forbidden)
	_, err = r.CreatePolicy(as("shop-editor"), preview("shop", "a", "m"))
	require.NoError(t, err)
	_, err = r.CreatePolicy(as("shop-editor"), preview("", "a", "m"))
	refused(t, err, fault.NotFound) // that is the namespace default
	p, err := r.CreatePolicy(as("admin"), preview("", "a", "m"))
	require.NoError(t, err)
	assert.Equal(t, "default", p.GetNamespace())
	assert.Equal(t, "a", r.get(t, "", "a").GetName())
}

package policies_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// fill stores policies of all states in three namespaces at once.
func fill(t require.TestingT, r *rig, n int) (all []store.Policy) {
	states := []store.PolicyState{store.StateDraft, store.StatePreview, store.StateEnforced, store.StateDisabled, store.StatePreview}
	namespaces := []string{"bank", "default", "shop"}
	require.NoError(t, r.store.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
		for i := range n {
			text, err := publish.EncodeSpec(bigSpec(i))
			if err != nil {
				return err
			}
			p, err := tx.CreatePolicy(ctx, store.NewPolicy{
				PolicyKey: policyKey(namespaces[i%3], fmt.Sprintf("p-%05d-%s", i, []string{"pod", "node"}[i/3%2])), Spec: text, State: states[i%5],
			}, store.Entry{Principal: "test", Action: "fill"})
			if err != nil {
				return err
			}
			all = append(all, p)
		}
		return nil
	}))
	require.NoError(t, r.publisher.Refresh(context.Background()))
	slices.SortFunc(all, func(a, b store.Policy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return all
}

// Whatever is asked for, the pages together are what a look at every policy
// finds, each once and in order.
func TestPagesAreWhatWasAskedFor(t *testing.T) {
	r := newRig(t)
	n := 1300
	if raceEnabled {
		n = 100 // the database is many times slower there
	}
	all := fill(t, r, n)
	sees := map[string][]string{
		"admin": {"bank", "default", "shop"}, "shop-viewer": {"shop"}, "bank-operator": {"bank"},
	}
	rapid.Check(t, func(t *rapid.T) {
		who := rapid.SampledFrom([]string{"admin", "shop-viewer", "bank-operator"}).Draw(t, "who")
		var conditions []string
		keep := func(store.Policy) bool { return true }
		also := func(text string, holds func(store.Policy) bool) {
			before := keep
			conditions, keep = append(conditions, text), func(p store.Policy) bool { return before(p) && holds(p) }
		}
		if rapid.Bool().Draw(t, "by state") {
			state := rapid.SampledFrom([]string{"preview", "enforced", "none"}).Draw(t, "state")
			if rapid.Bool().Draw(t, "not") {
				also(fmt.Sprintf("state != %q", state), func(p store.Policy) bool { return string(p.State) != state })
			} else {
				also(fmt.Sprintf("state = %q", state), func(p store.Policy) bool { return string(p.State) == state })
			}
		}
		switch rapid.IntRange(0, 5).Draw(t, "by name") {
		case 1:
			also(`name = "p-001*"`, func(p store.Policy) bool { return strings.HasPrefix(p.Name, "p-001") })
		case 2:
			also(`name = "*-pod"`, func(p store.Policy) bool { return strings.HasSuffix(p.Name, "-pod") })
		case 3:
			also(`name : "11"`, func(p store.Policy) bool { return strings.Contains(p.Name, "11") })
		case 4:
			also(`name = "p-00017-node"`, func(p store.Policy) bool { return p.Name == "p-00017-node" })
		case 5:
			also(`name = "p-0*-node"`, func(p store.Policy) bool {
				return strings.HasPrefix(p.Name, "p-0") && strings.HasSuffix(p.Name, "-node")
			})
		}
		if rapid.Bool().Draw(t, "by namespace") {
			also(`namespace = "shop"`, func(p store.Policy) bool { return p.Namespace == "shop" })
		} else if rapid.Bool().Draw(t, "not the namespace") {
			also(`namespace != "sh*"`, func(p store.Policy) bool { return p.Namespace != "shop" })
		}
		request := &phoenixv1.ListPoliciesRequest{
			Filter: strings.Join(conditions, " AND "), PageSize: uint32(rapid.SampledFrom([]int{0, 1, 7, 100, 1000}).Draw(t, "size")),
		}
		if who == "admin" && rapid.Bool().Draw(t, "in one") {
			request.Namespace = "bank"
			also("", func(p store.Policy) bool { return p.Namespace == "bank" })
		}
		var want, got []string
		for _, p := range all {
			if slices.Contains(sees[who], p.Namespace) && keep(p) {
				want = append(want, p.Namespace+"/"+p.Name)
			}
		}
		for range 2000 {
			page, err := r.ListPolicies(as(who), request)
			require.NoError(t, err, request.GetFilter())
			limit := int(request.GetPageSize())
			if limit == 0 {
				limit = 50
			}
			require.LessOrEqual(t, len(page.GetPolicies()), limit)
			for _, p := range page.GetPolicies() {
				got = append(got, p.GetNamespace()+"/"+p.GetName())
			}
			if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
				break
			}
		}
		require.Equal(t, want, got, request.GetFilter())
	})
}

func TestListsThatAreRefused(t *testing.T) {
	r := newRig(t)
	f := func(request *phoenixv1.ListPoliciesRequest, field string) {
		t.Helper()
		_, err := r.ListPolicies(as("admin"), request)
		assert.Equal(t, field, refusal(t, err, fault.Invalid).Violations[0].Field)
	}
	f(&phoenixv1.ListPoliciesRequest{PageSize: 1001}, "page_size")
	f(&phoenixv1.ListPoliciesRequest{PageToken: "x"}, "page_token")
	f(&phoenixv1.ListPoliciesRequest{Filter: "state ="}, "filter")
	f(&phoenixv1.ListPoliciesRequest{Filter: `spec = "a"`}, "filter")
	f(&phoenixv1.ListPoliciesRequest{Filter: `state = "a" OR name = "b"`}, "filter")
	_, err := r.ListPolicies(as("shop-viewer"), &phoenixv1.ListPoliciesRequest{Namespace: "bank"})
	refused(t, err, fault.NotFound)
	_, err = r.ListPolicyRevisions(as("admin"), &phoenixv1.ListPolicyRevisionsRequest{Name: "a", PageSize: 2000})
	refused(t, err, fault.Invalid)

	fill(t, r, 10)
	for _, none := range []string{"*", "nowhere"} {
		list, err := r.ListPolicies(as("admin"), &phoenixv1.ListPoliciesRequest{Namespace: none})
		require.NoError(t, err)
		assert.Empty(t, list.GetPolicies())
	}
	list, err := r.ListPolicies(as("shop-viewer"), &phoenixv1.ListPoliciesRequest{Filter: `namespace = "bank"`})
	require.NoError(t, err)
	assert.Empty(t, list.GetPolicies())
}

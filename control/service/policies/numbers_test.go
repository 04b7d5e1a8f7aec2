package policies_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
)

func bigSpec(i int) publish.Spec {
	return publish.Spec{
		Description: "Nobody looks at single pods of this service; the dashboards sum over them.",
		Priority:    i % 7,
		Rules: []policy.Rule{{
			Name: "drop-pod",
			Match: policy.Match{
				Metric: fmt.Sprintf("http.server.request.duration.%d", i), Types: []policy.MetricType{policy.TypeHistogram},
				Resource: []policy.Condition{{Attribute: "service.name", Value: fmt.Sprintf("service-%d-*", i)}},
			},
			Attributes: policy.Attributes{Drop: []string{"pod", "resource.k8s.pod.name", "resource.k8s.pod.uid"}},
		}},
	}
}

// BenchmarkPolicies is what the service takes with 10,000 policies, of which
// 6,000 are in force, without the transport.
func BenchmarkPolicies(b *testing.B) {
	r := newRigIn(b, b.TempDir())
	r.data.set(processor("tag_consolidation", "common"))
	fill(b, r, 10_000)
	r.settle()
	ctx := as("admin")
	list := func(filter string) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := r.ListPolicies(ctx, &phoenixv1.ListPoliciesRequest{Filter: filter})
				require.NoError(b, err)
			}
		}
	}
	b.Run("list", list(""))
	b.Run("list by state", list(`state = "enforced"`))
	b.Run("list by prefix", list(`name = "p-099*"`))
	b.Run("list by search", list(`name : "9999"`))
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := r.GetPolicy(ctx, &phoenixv1.GetPolicyRequest{Namespace: "shop", Name: "p-00002-pod"})
			require.NoError(b, err)
		}
	})
	b.Run("create in preview", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, err := r.CreatePolicy(ctx, preview("shop", fmt.Sprintf("new-%d-%d", b.N, i), fmt.Sprintf("rpc.%d.%d", b.N, i)))
			require.NoError(b, err)
		}
	})
	b.Run("update", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, err := r.UpdatePolicy(ctx, &phoenixv1.UpdatePolicyRequest{Policy: wire("shop", "p-00011-node", fmt.Sprintf("rpc.%d.%d", b.N, i))})
			require.NoError(b, err)
		}
	})
	b.Run("validate all metrics", func(b *testing.B) { // the most rules to compare with
		b.ReportAllocs()
		for b.Loop() {
			_, err := r.CreatePolicy(ctx, &phoenixv1.CreatePolicyRequest{Policy: wire("shop", "all", "/x+/", "/y+/"), ValidateOnly: true})
			require.NoError(b, err)
		}
	})
}

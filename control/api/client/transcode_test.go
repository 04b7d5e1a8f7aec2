package client

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func TestRequests(t *testing.T) {
	f := func(method string, m proto.Message, want, body string) {
		t.Helper()
		r, err := routeOf(method)
		require.NoError(t, err)
		c, err := r.encode(m)
		require.NoError(t, err)
		text := c.method + " " + c.path
		if query := c.query.Encode(); query != "" {
			text += "?" + query
		}
		assert.Equal(t, want, text)
		if body == "" {
			assert.Nil(t, c.body)
			return
		}
		assert.JSONEq(t, body, string(c.body))
	}
	f(phoenixv1.Policies_ListPolicies_FullMethodName, &phoenixv1.ListPoliciesRequest{}, "GET /api/v1/policies", "")
	f(phoenixv1.Policies_ListPolicies_FullMethodName, &phoenixv1.ListPoliciesRequest{Filter: `name = "a*" AND state = "x"`, PageSize: 7},
		"GET /api/v1/policies?filter=name+%3D+%22a%2A%22+AND+state+%3D+%22x%22&page_size=7", "")
	f(phoenixv1.Policies_CreatePolicy_FullMethodName, &phoenixv1.CreatePolicyRequest{Policy: &phoenixv1.Policy{Name: "n", SpecSha256: "s"}, Preview: true},
		"POST /api/v1/policies?preview=true", `{"name": "n", "spec_sha256": "s"}`)
	f(phoenixv1.Policies_UpdatePolicy_FullMethodName, &phoenixv1.UpdatePolicyRequest{Policy: &phoenixv1.Policy{Namespace: "a", Name: "n"}, Force: true},
		"PUT /api/v1/policies/a/n?force=true", `{"namespace": "a", "name": "n"}`)
	f(phoenixv1.Policies_EnforcePolicy_FullMethodName, &phoenixv1.EnforcePolicyRequest{Namespace: "a", Name: "n.b", Force: true},
		"POST /api/v1/policies/a/n%2Eb:enforce", `{"force": true}`)
	f(phoenixv1.Policies_PreviewPolicy_FullMethodName, &phoenixv1.PreviewPolicyRequest{Namespace: "a", Name: "n"},
		"POST /api/v1/policies/a/n:preview", `{}`)
	f(phoenixv1.Policies_GetPolicyRevision_FullMethodName, &phoenixv1.GetPolicyRevisionRequest{Namespace: "a", Name: "n", Revision: 3},
		"GET /api/v1/policies/a/n/revisions/3", "")
	f(phoenixv1.Policies_DeletePolicy_FullMethodName, &phoenixv1.DeletePolicyRequest{Namespace: "../x", Name: "a:b c"},
		"DELETE /api/v1/policies/%2E%2E%2Fx/a%3Ab%20c", "")
	f(phoenixv1.Cardinality_GetCardinality_FullMethodName, &phoenixv1.GetCardinalityRequest{Metric: "process.runtime/heap?x", Since: "5m0s"},
		"GET /api/v1/cardinality/process%2Eruntime%2Fheap%3Fx?since=5m0s", "")
	f(phoenixv1.Costs_GetHistory_FullMethodName, &phoenixv1.GetHistoryRequest{Kind: "series", From: &timestamppb.Timestamp{Seconds: 1, Nanos: 5e8}},
		"GET /api/v1/history/series?from=1970-01-01T00%3A00%3A01.5Z", "")
	f(phoenixv1.Audit_VerifyAudit_FullMethodName, &phoenixv1.VerifyAuditRequest{First: 1.5e6}, "GET /api/v1/audit:verify?first=1.5e%2B06", "")
	f(phoenixv1.PriceModels_PutPriceModel_FullMethodName, &phoenixv1.PutPriceModelRequest{PriceModel: &phoenixv1.PriceModel{Name: "n"}},
		"PUT /api/v1/priceModels/n", `{"name": "n"}`)

	r, err := routeOf(phoenixv1.Policies_GetPolicy_FullMethodName)
	require.NoError(t, err)
	_, err = r.encode(&phoenixv1.GetPolicyRequest{Namespace: "a"})
	require.EqualError(t, err, "name: must not be empty")
	_, err = routeOf("/phoenix.v1.Policies/Nothing")
	require.Error(t, err)
}

// An RPC without a route, or with one that this package cannot fill, would fail
// only when somebody calls it.
func TestEveryRPCHasARoute(t *testing.T) {
	for _, service := range []grpc.ServiceDesc{
		phoenixv1.Policies_ServiceDesc, phoenixv1.Cardinality_ServiceDesc, phoenixv1.Costs_ServiceDesc, phoenixv1.Savings_ServiceDesc,
		phoenixv1.PriceModels_ServiceDesc, phoenixv1.APIKeys_ServiceDesc, phoenixv1.Audit_ServiceDesc, phoenixv1.System_ServiceDesc,
		phoenixv1.Events_ServiceDesc,
	} {
		for _, m := range service.Methods {
			_, err := routeOf("/" + service.ServiceName + "/" + m.MethodName)
			require.NoError(t, err)
		}
		for _, s := range service.Streams {
			_, err := routeOf("/" + service.ServiceName + "/" + s.StreamName)
			require.NoError(t, err)
		}
	}
}

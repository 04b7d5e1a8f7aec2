package control_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/access"
	v1 "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/controltest"
)

// reach says what a request is about.
type reach int

const (
	inNamespace reach = iota // an object of a namespace
	visible                  // whatever the caller sees
	everybody                // what has no namespace
	keyOf                    // an API key that holds a grant in a namespace
	newKey                   // one to be made
	free                     // anybody who is somebody
)

// question is a request, what it takes, and what it is about.
type question struct {
	resource access.Resource
	verb     access.Verb
	reach    reach
	request  func(w *world, namespace string) proto.Message
}

// questions has each RPC at least once.
var questions = map[string][]question{
	"Policies/ListPolicies": {
		{access.Policies, access.List, inNamespace, func(_ *world, n string) proto.Message { return &v1.ListPoliciesRequest{Namespace: n} }},
		{access.Policies, access.List, visible, func(*world, string) proto.Message { return &v1.ListPoliciesRequest{} }},
	},
	"Policies/GetPolicy": {{access.Policies, access.Get, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.GetPolicyRequest{Namespace: n, Name: "p"}
	}}},
	"Policies/CreatePolicy": {
		{access.Policies, access.Create, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.CreatePolicyRequest{Policy: drop(n, "p")} // exists
		}},
		{access.Policies, access.Preview, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.CreatePolicyRequest{Policy: drop(n, "p"), Preview: true}
		}},
	},
	"Policies/UpdatePolicy": {
		{access.Policies, access.Update, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.UpdatePolicyRequest{Policy: drop(n, "p")}
		}},
		{access.Policies, access.Enforce, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.UpdatePolicyRequest{Policy: drop(n, "in-force")}
		}},
		{access.Policies, access.Force, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.UpdatePolicyRequest{Policy: drop(n, "in-force"), Force: true}
		}},
	},
	"Policies/DeletePolicy": {
		{access.Policies, access.Delete, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.DeletePolicyRequest{Namespace: n, Name: "p"}
		}},
		{access.Policies, access.Disable, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.DeletePolicyRequest{Namespace: n, Name: "in-force"}
		}},
	},
	"Policies/PreviewPolicy": {
		{access.Policies, access.Preview, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.PreviewPolicyRequest{Namespace: n, Name: "p"}
		}},
		{access.Policies, access.Disable, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.PreviewPolicyRequest{Namespace: n, Name: "in-force"}
		}},
	},
	"Policies/EnforcePolicy": {
		{access.Policies, access.Enforce, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.EnforcePolicyRequest{Namespace: n, Name: "p"}
		}},
		{access.Policies, access.Force, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.EnforcePolicyRequest{Namespace: n, Name: "p", Force: true}
		}},
	},
	"Policies/DisablePolicy": {{access.Policies, access.Disable, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.DisablePolicyRequest{Namespace: n, Name: "p"}
	}}},
	"Policies/RollbackPolicy": {{access.Policies, access.Rollback, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.RollbackPolicyRequest{Namespace: n, Name: "p", Revision: 1}
	}}},
	"Policies/ListPolicyRevisions": {{access.Policies, access.List, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.ListPolicyRevisionsRequest{Namespace: n, Name: "p"}
	}}},
	"Policies/GetPolicyRevision": {{access.Policies, access.Get, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.GetPolicyRevisionRequest{Namespace: n, Name: "p", Revision: 1}
	}}},

	"Experiments/ListExperiments": {
		{access.Experiments, access.List, inNamespace, func(_ *world, n string) proto.Message { return &v1.ListExperimentsRequest{Namespace: n} }},
		{access.Experiments, access.List, visible, func(*world, string) proto.Message { return &v1.ListExperimentsRequest{} }},
	},
	"Experiments/GetExperiment": {{access.Experiments, access.Get, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.GetExperimentRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/CreateExperiment": {{access.Experiments, access.Create, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.CreateExperimentRequest{Experiment: mirrored(n, "e")} // exists
	}}},
	"Experiments/UpdateExperiment": {{access.Experiments, access.Update, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.UpdateExperimentRequest{Experiment: mirrored(n, "e")}
	}}},
	"Experiments/DeleteExperiment": {{access.Experiments, access.Delete, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.DeleteExperimentRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/StartExperiment": {{access.Experiments, access.Start, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.StartExperimentRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/PauseExperiment": {{access.Experiments, access.Pause, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.PauseExperimentRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/ResumeExperiment": {{access.Experiments, access.Start, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.ResumeExperimentRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/PromoteExperiment": {{access.Experiments, access.Promote, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.PromoteExperimentRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/AbortExperiment": {{access.Experiments, access.Rollback, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.AbortExperimentRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/ApproveExperiment": {{access.Experiments, access.Promote, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.ApproveExperimentRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/GetExperimentReport": {{access.Experiments, access.Get, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.GetExperimentReportRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/GetExperimentAnalysis": {{access.Experiments, access.Get, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.GetExperimentAnalysisRequest{Namespace: n, Name: "e"}
	}}},
	"Experiments/WatchExperiment": {{access.Experiments, access.Get, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.WatchExperimentRequest{Namespace: n, Name: "e"}
	}}},

	"Cardinality/ListCardinality": {{access.Cardinality, access.List, visible, func(*world, string) proto.Message { return &v1.ListCardinalityRequest{} }}},
	"Cardinality/GetCardinality": {{access.Cardinality, access.Get, visible, func(*world, string) proto.Message {
		return &v1.GetCardinalityRequest{Metric: "up"}
	}}},
	"Costs/GetCosts":  {{access.Costs, access.Get, visible, func(*world, string) proto.Message { return &v1.GetCostsRequest{} }}},
	"Costs/ListCosts": {{access.Costs, access.List, visible, func(*world, string) proto.Message { return &v1.ListCostsRequest{} }}},
	"Costs/GetHistory": {
		{access.Costs, access.Get, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.GetHistoryRequest{Kind: "policy_saving_series", Key: n + "/p"}
		}},
	},
	"Savings/ListSavings": {
		{access.Savings, access.List, inNamespace, func(_ *world, n string) proto.Message { return &v1.ListSavingsRequest{Namespace: n} }},
		{access.Savings, access.List, visible, func(*world, string) proto.Message { return &v1.ListSavingsRequest{} }},
	},
	"Savings/GetSaving": {{access.Savings, access.Get, inNamespace, func(_ *world, n string) proto.Message {
		return &v1.GetSavingRequest{Namespace: n, Name: "p"}
	}}},
	"Savings/EstimateSaving": {{access.Savings, access.Get, visible, func(*world, string) proto.Message {
		return &v1.EstimateSavingRequest{Rules: drop("", "").GetSpec().GetRules()}
	}}},
	"PriceModels/ListPriceModels": {{access.PriceModels, access.List, everybody, func(*world, string) proto.Message { return &v1.ListPriceModelsRequest{} }}},
	"PriceModels/GetPriceModel": {{access.PriceModels, access.Get, everybody, func(*world, string) proto.Message {
		return &v1.GetPriceModelRequest{Name: "mine"}
	}}},
	"PriceModels/PutPriceModel": {{access.PriceModels, access.Update, everybody, func(*world, string) proto.Message {
		return &v1.PutPriceModelRequest{PriceModel: mine()}
	}}},
	"PriceModels/DeletePriceModel": {{access.PriceModels, access.Delete, everybody, func(*world, string) proto.Message {
		return &v1.DeletePriceModelRequest{Name: "mine"}
	}}},
	"PriceModels/ActivatePriceModel": {{access.PriceModels, access.Update, everybody, func(*world, string) proto.Message {
		return &v1.ActivatePriceModelRequest{Name: "mine"}
	}}},

	"APIKeys/ListAPIKeys": {{access.APIKeys, access.List, visible, func(*world, string) proto.Message { return &v1.ListAPIKeysRequest{} }}},
	"APIKeys/GetAPIKey": {{access.APIKeys, access.Get, keyOf, func(w *world, n string) proto.Message {
		return &v1.GetAPIKeyRequest{Id: w.keys[n]}
	}}},
	"APIKeys/CreateAPIKey": {{access.APIKeys, access.Create, newKey, func(_ *world, n string) proto.Message {
		return &v1.CreateAPIKeyRequest{Name: "x", Grants: []string{"viewer:" + n}}
	}}},
	"APIKeys/RevokeAPIKey": {{access.APIKeys, access.Revoke, keyOf, func(w *world, n string) proto.Message {
		return &v1.RevokeAPIKeyRequest{Id: w.keys[n]}
	}}},
	"Audit/ListAudit": {
		{access.Audit, access.List, inNamespace, func(_ *world, n string) proto.Message {
			return &v1.ListAuditRequest{Filter: fmt.Sprintf("namespace = %q", n)}
		}},
		{access.Audit, access.List, visible, func(*world, string) proto.Message { return &v1.ListAuditRequest{} }},
	},
	"Audit/VerifyAudit": {{access.Audit, access.Verify, everybody, func(*world, string) proto.Message { return &v1.VerifyAuditRequest{} }}},
	"Events/WatchEvents": {
		{access.Events, access.Watch, inNamespace, func(_ *world, n string) proto.Message { return &v1.WatchEventsRequest{Namespace: n, After: "1"} }},
		{access.Events, access.Watch, visible, func(*world, string) proto.Message { return &v1.WatchEventsRequest{After: "1"} }},
	},
	"Samplers/ListSamplers": {{access.Samplers, access.List, visible, func(*world, string) proto.Message { return &v1.ListSamplersRequest{} }}},
	"System/GetSystem":      {{access.System, access.Get, everybody, func(*world, string) proto.Message { return &v1.GetSystemRequest{} }}},
	"System/WhoAmI":         {{"", "", free, func(*world, string) proto.Message { return &v1.WhoAmIRequest{} }}},
	"System/GetKillSwitch":  {{access.KillSwitch, access.Get, everybody, func(*world, string) proto.Message { return &v1.GetKillSwitchRequest{} }}},
	"System/EngageKillSwitch": {{access.KillSwitch, access.Engage, everybody, func(*world, string) proto.Message {
		return &v1.EngageKillSwitchRequest{Reason: "a test"}
	}}},
	"System/ReleaseKillSwitch": {{access.KillSwitch, access.Release, everybody, func(*world, string) proto.Message { return &v1.ReleaseKillSwitchRequest{} }}},
	"System/Backup":            {{access.Backup, access.Create, everybody, func(*world, string) proto.Message { return &v1.BackupRequest{} }}},
}

func drop(namespace, name string) *v1.Policy {
	return &v1.Policy{Namespace: namespace, Name: name, Spec: &v1.PolicySpec{Rules: []*v1.Rule{{
		Match: &v1.Match{Metric: "http_*"}, Attributes: &v1.Attributes{Drop: []string{"pod"}},
	}}}}
}

// mirrored is an experiment on a service of its namespace.
func mirrored(namespace, name string) *v1.Experiment {
	return &v1.Experiment{Namespace: namespace, Name: name, Spec: &v1.ExperimentSpec{
		Mode: "mirror", Scope: map[string]string{"service.name": namespace}, Rules: drop("", "").GetSpec().GetRules(),
		Success: []*v1.ExperimentCriterion{{Measure: "series", AtLeast: 0.1}},
	}}
}

// world is a plane with people in it.
type world struct {
	conn *grpc.ClientConn
	// secrets are API keys by role and namespace, keys the ids of viewers' keys by
	// namespace.
	secrets map[string]string
	keys    map[string]string
}

// unlimited is the default without limits of how often.
func unlimited() *access.Config {
	config := access.DefaultConfig()
	config.RateLimits = access.RateLimitsConfig{MaxPrincipals: 1000}
	return &config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, plane := controltest.ServePlane(t, control.Settings{Access: unlimited()})
	controltest.Register(t, plane, controltest.Ingest())
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(server.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	w := &world{conn: conn, secrets: map[string]string{}, keys: map[string]string{}}
	for _, role := range access.Roles() {
		for _, namespace := range []string{"shop", "*"} {
			_, w.secrets[string(role)+":"+namespace] = w.newKey(t, string(role)+":"+namespace)
		}
	}
	return w
}

// local does something as whoever is on this machine, who may everything.
func (w *world) local(t *testing.T, method string, request, answer proto.Message) {
	t.Helper()
	require.NoError(t, w.conn.Invoke(t.Context(), "/phoenix.v1."+method, request, answer), method)
}

func (w *world) newKey(t *testing.T, grant string) (id, secret string) {
	t.Helper()
	var answer v1.CreateAPIKeyResponse
	w.local(t, "APIKeys/CreateAPIKey", &v1.CreateAPIKeyRequest{Name: grant, Grants: []string{grant}}, &answer)
	return answer.GetApiKey().GetId(), answer.GetSecret()
}

// furnish makes all that the questions are about, as it was.
func (w *world) furnish(t *testing.T) {
	t.Helper()
	for _, namespace := range []string{"shop", "bank"} {
		for _, name := range []string{"p", "in-force"} {
			_ = w.conn.Invoke(t.Context(), "/phoenix.v1.Policies/DeletePolicy", &v1.DeletePolicyRequest{Namespace: namespace, Name: name}, &v1.DeletePolicyResponse{})
			w.local(t, "Policies/CreatePolicy", &v1.CreatePolicyRequest{Policy: drop(namespace, name)}, &v1.Policy{})
		}
		w.local(t, "Policies/EnforcePolicy", &v1.EnforcePolicyRequest{Namespace: namespace, Name: "in-force", Force: true}, &v1.Policy{})
		experiment := "/phoenix.v1.Experiments/"
		_ = w.conn.Invoke(t.Context(), experiment+"AbortExperiment", &v1.AbortExperimentRequest{Namespace: namespace, Name: "e"}, &v1.Experiment{})
		_ = w.conn.Invoke(t.Context(), experiment+"DeleteExperiment", &v1.DeleteExperimentRequest{Namespace: namespace, Name: "e"}, &v1.DeleteExperimentResponse{})
		w.local(t, "Experiments/CreateExperiment", &v1.CreateExperimentRequest{Experiment: mirrored(namespace, "e")}, &v1.Experiment{})
		w.keys[namespace], _ = w.newKey(t, "viewer:"+namespace)
	}
}

// ask returns the reason of the refusal, empty if the caller may.
func (w *world) ask(t *testing.T, method protoreflect.MethodDescriptor, full, secret string, request proto.Message) string {
	t.Helper()
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+secret))
	defer cancel()
	output, err := protoregistry.GlobalTypes.FindMessageByName(method.Output().FullName())
	require.NoError(t, err)
	answer := output.New().Interface()
	if method.IsStreamingServer() {
		var stream grpc.ClientStream
		stream, err = w.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, full)
		require.NoError(t, err)
		require.NoError(t, stream.SendMsg(request))
		require.NoError(t, stream.CloseSend())
		err = stream.RecvMsg(answer)
	} else {
		err = w.conn.Invoke(ctx, full, request, answer)
	}
	if err == nil {
		return ""
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return err.Error()
}

// permissions reads the table: resource, verb and role give own, any, all or -.
func permissions(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open("access/testdata/permissions.txt")
	require.NoError(t, err)
	defer file.Close()
	table := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 6 || f[0] == "#" || f[0] == "resource" {
			continue
		}
		for i, role := range access.Roles() {
			table[f[0]+" "+f[1]+" "+string(role)] = f[2+i]
		}
	}
	require.NotEmpty(t, table)
	return table
}

// expected is what the table says about a role that is held in the namespace
// shop (own) or in all.
func (q question) expected(cell string, everywhere bool, namespace string) string {
	switch {
	case q.reach == free:
		return ""
	case q.reach == inNamespace && !everywhere && namespace != "shop":
		return "NOT_FOUND"
	case cell == "-":
		return "FORBIDDEN"
	case everywhere, q.reach == visible, q.reach == everybody && cell == "any":
		return ""
	case q.reach == everybody:
		return "FORBIDDEN"
	case namespace == "shop":
		return ""
	case q.reach == newKey:
		return "FORBIDDEN"
	}
	return "NOT_FOUND"
}

// TestWhoMayDoWhat asks every RPC as every role, and compares with the table of
// permissions. A refusal of another kind, such as that a policy was not
// previewed, shows that the caller may.
func TestWhoMayDoWhat(t *testing.T) {
	w, table := newWorld(t), permissions(t)
	asked := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("phoenix.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				short := string(service.Name()) + "/" + string(method.Name())
				list := questions[short]
				require.NotEmpty(t, list, "no question about %s", short)
				for _, q := range list {
					asked += w.everybodyAsks(t, table, method, short, q)
				}
			}
		}
		return true
	})
	if raceEnabled {
		assert.Greater(t, asked, 100)
		return
	}
	assert.Greater(t, asked, 500)
}

func (w *world) everybodyAsks(t *testing.T, table map[string]string, method protoreflect.MethodDescriptor, short string, q question) (asked int) {
	t.Helper()
	namespaces := []string{""}
	if q.reach == inNamespace || q.reach == keyOf || q.reach == newKey {
		namespaces = []string{"shop", "bank"}
	}
	refusals := []string{"FORBIDDEN", "NOT_FOUND", "UNAUTHENTICATED"}
	for _, namespace := range namespaces {
		for grant, secret := range w.secrets {
			role, held, _ := strings.Cut(grant, ":")
			if raceEnabled && role != "editor" {
				continue // one role is as many goroutines as all, in a fifth of the time
			}
			if !q.verb.ReadOnly() || q.reach == keyOf {
				w.furnish(t)
			}
			if strings.HasPrefix(short, "PriceModels/") {
				w.local(t, "PriceModels/PutPriceModel", &v1.PutPriceModelRequest{PriceModel: mine()}, &v1.PriceModel{})
			} else if len(w.keys) == 0 {
				w.furnish(t)
			}
			got := w.ask(t, method, "/phoenix.v1."+short, secret, q.request(w, namespace))
			want := q.expected(table[string(q.resource)+" "+string(q.verb)+" "+role], held == "*", namespace)
			if want == "" {
				assert.NotContains(t, refusals, got, "%s of %q as %s", short, namespace, grant)
			} else {
				assert.Equal(t, want, got, "%s of %q as %s", short, namespace, grant)
			}
			asked++
		}
	}
	return asked
}

// mine is a price model with a name of its own.
func mine() *v1.PriceModel {
	return &v1.PriceModel{Name: "mine", Currency: "EUR", Effective: "2026-03-01", Components: []*v1.PriceComponent{
		{Name: "series", Kind: "active_series", Price: new("8"), Per: 1000},
	}}
}

// TestNobodyWithoutCredentialsIsLetIn asks every path of the description that
// the API itself serves.
func TestNobodyWithoutCredentialsIsLetIn(t *testing.T) {
	plane := controltest.Open(t, control.Settings{Exposure: access.ExposureAuthenticated, Access: unlimited()})
	open := []string{"/healthz", "/readyz", "/api/v1/openapi.json"}
	description := send(t, plane.Handler(), http.MethodGet, "/api/v1/openapi.json", "")
	require.Equal(t, http.StatusOK, description.status)
	paths, ok := description.field(t, "paths").(map[string]any)
	require.True(t, ok)
	require.Greater(t, len(paths), 25)
	for path, operations := range paths {
		for method := range operations.(map[string]any) {
			if slices.Contains(open, path) || method == "parameters" {
				continue
			}
			a := send(t, plane.Handler(), strings.ToUpper(method), strings.NewReplacer("{", "", "}", "").Replace(path), "")
			assert.Equal(t, http.StatusUnauthorized, a.status, "%s %s", method, path)
		}
	}
	records := send(t, plane.Handler(), http.MethodGet, "/api/v1/audit", "")
	assert.Equal(t, http.StatusUnauthorized, records.status)
}

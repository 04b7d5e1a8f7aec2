package api_test

import (
	"context"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// policies answers with fixed messages, or with what answer says.
type policies struct {
	phoenixv1.UnimplementedPoliciesServer
	mu     sync.Mutex
	calls  []call.Call
	answer func(ctx context.Context) error
	update *phoenixv1.UpdatePolicyRequest
	list   *phoenixv1.ListPoliciesRequest
}

func (p *policies) called(ctx context.Context) error {
	p.mu.Lock()
	p.calls = append(p.calls, *call.From(ctx))
	answer := p.answer
	p.mu.Unlock()
	if answer != nil {
		return answer(ctx)
	}
	return nil
}

func (p *policies) lastCall() call.Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[len(p.calls)-1]
}

func (p *policies) set(answer func(context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func policy(namespace, name string) *phoenixv1.Policy {
	return &phoenixv1.Policy{
		Namespace: namespace, Name: name, State: "draft", Revision: 7, Etag: `"7"`,
		Spec: &phoenixv1.PolicySpec{Rules: []*phoenixv1.Rule{{Name: "rule-1", Match: &phoenixv1.Match{Metric: "http_*"}}}},
	}
}

func (p *policies) GetPolicy(ctx context.Context, r *phoenixv1.GetPolicyRequest) (*phoenixv1.Policy, error) {
	return policy(r.GetNamespace(), r.GetName()), p.called(ctx)
}

func (p *policies) ListPolicies(ctx context.Context, r *phoenixv1.ListPoliciesRequest) (*phoenixv1.ListPoliciesResponse, error) {
	p.mu.Lock()
	p.list = r
	p.mu.Unlock()
	return &phoenixv1.ListPoliciesResponse{Policies: []*phoenixv1.Policy{policy("shop", "a")}}, p.called(ctx)
}

func (p *policies) CreatePolicy(ctx context.Context, r *phoenixv1.CreatePolicyRequest) (*phoenixv1.Policy, error) {
	created := r.GetPolicy()
	if created == nil {
		created = &phoenixv1.Policy{}
	}
	created.Etag = `"1"`
	if r.GetPreview() {
		created.State = "preview"
	}
	return created, p.called(ctx)
}

func (p *policies) UpdatePolicy(ctx context.Context, r *phoenixv1.UpdatePolicyRequest) (*phoenixv1.Policy, error) {
	p.mu.Lock()
	p.update = r
	p.mu.Unlock()
	return r.GetPolicy(), p.called(ctx)
}

func (p *policies) DeletePolicy(ctx context.Context, _ *phoenixv1.DeletePolicyRequest) (*phoenixv1.DeletePolicyResponse, error) {
	return &phoenixv1.DeletePolicyResponse{}, p.called(ctx)
}

func (p *policies) PreviewPolicy(ctx context.Context, r *phoenixv1.PreviewPolicyRequest) (*phoenixv1.Policy, error) {
	return policy(r.GetNamespace(), r.GetName()), p.called(ctx)
}

func (p *policies) EnforcePolicy(ctx context.Context, r *phoenixv1.EnforcePolicyRequest) (*phoenixv1.Policy, error) {
	return policy(r.GetNamespace(), r.GetName()), p.called(ctx)
}

func (p *policies) DisablePolicy(ctx context.Context, r *phoenixv1.DisablePolicyRequest) (*phoenixv1.Policy, error) {
	return policy(r.GetNamespace(), r.GetName()), p.called(ctx)
}

func (p *policies) RollbackPolicy(ctx context.Context, r *phoenixv1.RollbackPolicyRequest) (*phoenixv1.Policy, error) {
	return policy(r.GetNamespace(), r.GetName()), p.called(ctx)
}

func (p *policies) ListPolicyRevisions(ctx context.Context, _ *phoenixv1.ListPolicyRevisionsRequest) (*phoenixv1.ListPolicyRevisionsResponse, error) {
	return &phoenixv1.ListPolicyRevisionsResponse{}, p.called(ctx)
}

func (p *policies) GetPolicyRevision(ctx context.Context, r *phoenixv1.GetPolicyRevisionRequest) (*phoenixv1.PolicyRevision, error) {
	return &phoenixv1.PolicyRevision{Revision: r.GetRevision()}, p.called(ctx)
}

type cardinality struct {
	phoenixv1.UnimplementedCardinalityServer
}

func (cardinality) ListCardinality(context.Context, *phoenixv1.ListCardinalityRequest) (*phoenixv1.ListCardinalityResponse, error) {
	return &phoenixv1.ListCardinalityResponse{}, nil
}

func (cardinality) GetCardinality(_ context.Context, r *phoenixv1.GetCardinalityRequest) (*phoenixv1.MetricCardinality, error) {
	return &phoenixv1.MetricCardinality{Metric: r.GetMetric()}, nil
}

type costs struct {
	phoenixv1.UnimplementedCostsServer
}

func (costs) GetCosts(context.Context, *phoenixv1.GetCostsRequest) (*phoenixv1.CostReport, error) {
	return &phoenixv1.CostReport{Currency: "USD"}, nil
}

func (costs) ListCosts(context.Context, *phoenixv1.ListCostsRequest) (*phoenixv1.ListCostsResponse, error) {
	return &phoenixv1.ListCostsResponse{}, nil
}

func (costs) GetHistory(context.Context, *phoenixv1.GetHistoryRequest) (*phoenixv1.History, error) {
	return &phoenixv1.History{}, nil
}

type savings struct {
	phoenixv1.UnimplementedSavingsServer
}

func (savings) ListSavings(context.Context, *phoenixv1.ListSavingsRequest) (*phoenixv1.ListSavingsResponse, error) {
	return &phoenixv1.ListSavingsResponse{}, nil
}

func (savings) GetSaving(context.Context, *phoenixv1.GetSavingRequest) (*phoenixv1.PolicySaving, error) {
	return &phoenixv1.PolicySaving{}, nil
}

func (savings) EstimateSaving(context.Context, *phoenixv1.EstimateSavingRequest) (*phoenixv1.SavingEstimate, error) {
	return &phoenixv1.SavingEstimate{}, nil
}

type samplers struct {
	phoenixv1.UnimplementedSamplersServer
}

func (samplers) ListSamplers(context.Context, *phoenixv1.ListSamplersRequest) (*phoenixv1.ListSamplersResponse, error) {
	return &phoenixv1.ListSamplersResponse{Samplers: []*phoenixv1.Sampler{{Component: "adaptive_sampler"}}}, nil
}

type priceModels struct {
	phoenixv1.UnimplementedPriceModelsServer
}

func (priceModels) ListPriceModels(context.Context, *phoenixv1.ListPriceModelsRequest) (*phoenixv1.ListPriceModelsResponse, error) {
	return &phoenixv1.ListPriceModelsResponse{}, nil
}

func (priceModels) GetPriceModel(_ context.Context, r *phoenixv1.GetPriceModelRequest) (*phoenixv1.PriceModel, error) {
	return &phoenixv1.PriceModel{Name: r.GetName(), Etag: `"3"`}, nil
}

func (priceModels) PutPriceModel(_ context.Context, r *phoenixv1.PutPriceModelRequest) (*phoenixv1.PriceModel, error) {
	return r.GetPriceModel(), nil
}

func (priceModels) DeletePriceModel(context.Context, *phoenixv1.DeletePriceModelRequest) (*phoenixv1.DeletePriceModelResponse, error) {
	return &phoenixv1.DeletePriceModelResponse{}, nil
}

func (priceModels) ActivatePriceModel(_ context.Context, r *phoenixv1.ActivatePriceModelRequest) (*phoenixv1.PriceModel, error) {
	return &phoenixv1.PriceModel{Name: r.GetName()}, nil
}

type apiKeys struct {
	phoenixv1.UnimplementedAPIKeysServer
}

func (apiKeys) ListAPIKeys(context.Context, *phoenixv1.ListAPIKeysRequest) (*phoenixv1.ListAPIKeysResponse, error) {
	return &phoenixv1.ListAPIKeysResponse{}, nil
}

func (apiKeys) GetAPIKey(_ context.Context, r *phoenixv1.GetAPIKeyRequest) (*phoenixv1.APIKey, error) {
	return &phoenixv1.APIKey{Id: r.GetId()}, nil
}

func (apiKeys) CreateAPIKey(context.Context, *phoenixv1.CreateAPIKeyRequest) (*phoenixv1.CreateAPIKeyResponse, error) {
	return &phoenixv1.CreateAPIKeyResponse{ApiKey: &phoenixv1.APIKey{Id: "abc/../x"}}, nil
}

func (apiKeys) RevokeAPIKey(_ context.Context, r *phoenixv1.RevokeAPIKeyRequest) (*phoenixv1.APIKey, error) {
	return &phoenixv1.APIKey{Id: r.GetId()}, nil
}

type audit struct {
	phoenixv1.UnimplementedAuditServer
}

func (audit) ListAudit(_ context.Context, r *phoenixv1.ListAuditRequest) (*phoenixv1.ListAuditResponse, error) {
	return &phoenixv1.ListAuditResponse{Records: []*phoenixv1.AuditRecord{{Seq: 9_007_199_254_740_991, Time: r.GetFrom()}}}, nil
}

func (audit) VerifyAudit(context.Context, *phoenixv1.VerifyAuditRequest) (*phoenixv1.VerifyAuditResponse, error) {
	return &phoenixv1.VerifyAuditResponse{Intact: true}, nil
}

// events sends what run says, or one event and then nothing until the client goes.
type events struct {
	phoenixv1.UnimplementedEventsServer
	mu  sync.Mutex
	run func(*phoenixv1.WatchEventsRequest, grpc.ServerStreamingServer[phoenixv1.Event]) error
}

func (e *events) set(run func(*phoenixv1.WatchEventsRequest, grpc.ServerStreamingServer[phoenixv1.Event]) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.run = run
}

func event(id string) *phoenixv1.Event {
	return &phoenixv1.Event{Id: id, Type: "policy.enforced", Message: "first\nsecond", Time: timestamppb.New(time.Unix(1, 0))}
}

func (e *events) WatchEvents(r *phoenixv1.WatchEventsRequest, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
	e.mu.Lock()
	run := e.run
	e.mu.Unlock()
	if run != nil {
		return run(r, stream)
	}
	if err := stream.Send(event("1")); err != nil {
		return err
	}
	<-stream.Context().Done()
	return context.Cause(stream.Context())
}

type system struct {
	phoenixv1.UnimplementedSystemServer
	mu     sync.Mutex
	backup func(grpc.ServerStreamingServer[httpbody.HttpBody]) error
}

func (*system) GetSystem(context.Context, *phoenixv1.GetSystemRequest) (*phoenixv1.SystemInfo, error) {
	return &phoenixv1.SystemInfo{Name: "phoenix"}, nil
}

func (*system) WhoAmI(ctx context.Context, _ *phoenixv1.WhoAmIRequest) (*phoenixv1.Identity, error) {
	who := call.From(ctx).Principal
	return &phoenixv1.Identity{Principal: who.Name(), Kind: string(who.Kind)}, nil
}

func (*system) GetKillSwitch(context.Context, *phoenixv1.GetKillSwitchRequest) (*phoenixv1.KillSwitch, error) {
	return &phoenixv1.KillSwitch{}, nil
}

func (*system) EngageKillSwitch(_ context.Context, r *phoenixv1.EngageKillSwitchRequest) (*phoenixv1.KillSwitch, error) {
	return &phoenixv1.KillSwitch{Engaged: true, Reason: r.GetReason()}, nil
}

func (*system) ReleaseKillSwitch(context.Context, *phoenixv1.ReleaseKillSwitchRequest) (*phoenixv1.KillSwitch, error) {
	return &phoenixv1.KillSwitch{}, nil
}

func (s *system) Backup(_ *phoenixv1.BackupRequest, stream grpc.ServerStreamingServer[httpbody.HttpBody]) error {
	s.mu.Lock()
	run := s.backup
	s.mu.Unlock()
	if run != nil {
		return run(stream)
	}
	for _, part := range []string{"one ", "two"} {
		if err := stream.Send(&httpbody.HttpBody{ContentType: "application/octet-stream", Data: []byte(part)}); err != nil {
			return err
		}
	}
	return nil
}

// Package policies implements the service Policies of the API: it keeps the
// policies in the store, decides who may change what is in force, demands a
// preview before rules are enforced, and publishes what was committed.
package policies

import (
	"context"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Publisher brings policies to the data path. *publish.Publisher implements it.
type Publisher interface {
	// Changed publishes one policy as a committed write left it.
	Changed(context.Context, store.Policy) error
	// Rules are those of all policies in force, also while the kill switch is
	// engaged.
	Rules() []policy.Rule
	// Sampling are the sampling rules, alike.
	Sampling() []policy.SamplingRule
	Status() publish.Status
	// Prices are those by which budgets that are money are published, nil if they
	// are not known.
	Prices() *cost.PointPrices
	// Includes says whether the snapshot of a version has a state of the store.
	Includes(version, storeVersion uint64) bool
}

var _ Publisher = (*publish.Publisher)(nil)

// RoleSampler is the role of adaptive_sampler processors among those that ask for
// policies.
const RoleSampler = "sampler"

// Processor is a processor that asks for policies.
type Processor struct {
	// Component is its id. Role is common or candidate if it is a tag_consolidation
	// processor, and RoleSampler if it is an adaptive_sampler.
	Component, Role string
	// PolicyVersion is that of the snapshot that it took over.
	PolicyVersion uint64
}

// Settings is what New needs.
type Settings struct {
	// Core and Publisher are required.
	Core      *service.Core
	Publisher Publisher
	// Consolidation asks all processors what their rules do. It is asked at most
	// once a second. Default: there is no processor.
	Consolidation func(context.Context) []report.Consolidation
	// Sampling asks all adaptive_sampler processors, alike. Default: there is none.
	Sampling func(context.Context) []report.Sampling
	// Processors lists the processors of both kinds and which version each has; it
	// must cost next to nothing. Default: asks Consolidation and Sampling.
	Processors func() []Processor
	// PreviewWindow is how long a policy is previewed before it may be enforced.
	// Default, also if it returns 0: the longest staleness of a processor, or 5m.
	PreviewWindow func() time.Duration
	// NamespaceAttribute is that of the publisher.
	NamespaceAttribute string
}

const (
	// defaultWindow is for PreviewWindow while no processor reports.
	defaultWindow = 5 * time.Minute
	// publishTime bounds how long an answer waits for the snapshot to be made; the
	// change is committed, and the publisher repeats what failed.
	publishTime = time.Second
	// sinceKept bounds the policies of which it is remembered since when they are
	// in preview.
	sinceKept = 16384
)

// Service implements phoenixv1.PoliciesServer.
type Service struct {
	phoenixv1.UnimplementedPoliciesServer
	settings Settings
	core     *service.Core
	reports  reports[report.Consolidation]
	samples  reports[report.Sampling]
	since    *lru.Cache[revision, time.Time]

	mu      sync.Mutex
	pending map[store.PolicyKey]waiting
}

var _ phoenixv1.PoliciesServer = (*Service)(nil)

// New returns the service. Run tells when policies are applied.
func New(s Settings) (*Service, error) {
	if s.Core == nil || s.Publisher == nil {
		return nil, errors.New("policies: Core and Publisher are required")
	}
	if s.Consolidation == nil {
		s.Consolidation = func(context.Context) []report.Consolidation { return nil }
	}
	if s.Sampling == nil {
		s.Sampling = func(context.Context) []report.Sampling { return nil }
	}
	if s.PreviewWindow == nil {
		s.PreviewWindow = func() time.Duration { return 0 }
	}
	since, err := lru.New[revision, time.Time](sinceKept)
	if err != nil {
		return nil, err
	}
	return &Service{
		settings: s, core: s.Core, since: since, pending: map[store.PolicyKey]waiting{},
		reports: reports[report.Consolidation]{ask: s.Consolidation}, samples: reports[report.Sampling]{ask: s.Sampling},
	}, nil
}

// key names a policy; the namespace default need not be said.
func key(namespace, name string) store.PolicyKey {
	if namespace == "" {
		namespace = publish.DefaultNamespace
	}
	return store.PolicyKey{Namespace: namespace, Name: name}
}

// GetPolicy returns one policy.
func (s *Service) GetPolicy(ctx context.Context, req *phoenixv1.GetPolicyRequest) (*phoenixv1.Policy, error) {
	k := key(req.GetNamespace(), req.GetName())
	if err := s.core.Authorize(ctx, access.Get, access.Policies, k.Namespace); err != nil {
		return nil, err
	}
	p, err := get(ctx, s.core.Store, k)
	if err != nil {
		return nil, service.Fault(err)
	}
	return s.present(ctx, p)
}

// get looks a policy up. One that cannot have such a name is not there.
func get(ctx context.Context, from store.PolicyReader, k store.PolicyKey) (store.Policy, error) {
	if k.Check() != nil {
		return store.Policy{}, store.ErrNotFound
	}
	return from.GetPolicy(ctx, k)
}

// present is the answer that shows a policy as it is now.
func (s *Service) present(ctx context.Context, p store.Policy) (*phoenixv1.Policy, error) {
	list, err := s.presentAll(ctx, []store.Policy{p})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func (s *Service) presentAll(ctx context.Context, list []store.Policy) ([]*phoenixv1.Policy, error) {
	view := s.view(ctx)
	answer := make([]*phoenixv1.Policy, 0, len(list))
	for _, p := range list {
		since, err := s.previewedSince(ctx, p)
		if err != nil {
			return nil, service.Fault(err)
		}
		wire := wirePolicy(p, since)
		wire.Status = view.status(p, rolesOf(wire.GetSpec()))
		wire.Status.Sampling = view.sampling(p)
		answer = append(answer, wire)
	}
	return answer, nil
}

// publish makes the snapshot current after a commit.
func (s *Service) publish(ctx context.Context, p store.Policy) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTime)
	defer cancel()
	if err := s.settings.Publisher.Changed(ctx, p); err != nil {
		s.core.Logger.Warn("A change of a policy is stored and not published yet; this is tried again",
			zap.String("policy", p.Resource()), zap.Error(err), zap.String("request_id", call.From(ctx).RequestID))
	}
}

// tell publishes an event about a policy.
func (s *Service) tell(ctx context.Context, event, message string, p store.Policy, detail map[string]string) {
	s.core.Events.Publish(bus.Event{
		Time: s.core.Now(), Type: event, Namespace: p.Namespace, Resource: p.Resource(), Message: message,
		Principal: call.From(ctx).Principal.Name(), Detail: detail,
	})
}

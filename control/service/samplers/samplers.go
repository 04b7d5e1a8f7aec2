// Package samplers implements the service Samplers of the API: what
// adaptive_sampler processors leave out, as they report it, as far as the caller
// may see it.
package samplers

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service"
)

// Settings is what New needs. All is required.
type Settings struct {
	Core *service.Core
	// Sampling asks all processors, sorted by component. What could be asked is
	// returned beside an error, which joins one for each that could not.
	Sampling func(context.Context) ([]report.Sampling, error)
}

// Service implements phoenixv1.SamplersServer.
type Service struct {
	phoenixv1.UnimplementedSamplersServer
	settings Settings
}

var _ phoenixv1.SamplersServer = (*Service)(nil)

// New returns the service.
func New(s Settings) (*Service, error) {
	if s.Core == nil || s.Sampling == nil {
		return nil, errors.New("samplers: Core and Sampling are required")
	}
	return &Service{settings: s}, nil
}

// ListSamplers implements phoenixv1.SamplersServer.
func (s *Service) ListSamplers(ctx context.Context, r *phoenixv1.ListSamplersRequest) (*phoenixv1.ListSamplersResponse, error) {
	if err := s.settings.Core.Authorize(ctx, access.List, access.Samplers, ""); err != nil {
		return nil, err
	}
	list, err := s.settings.Sampling(ctx)
	if ctx.Err() != nil {
		return nil, service.Fault(context.Cause(ctx))
	}
	visible := s.settings.Core.Guard.Visible(call.From(ctx).Principal, access.List, access.Samplers)
	answer := &phoenixv1.ListSamplersResponse{Warnings: warnings(err)}
	var known []string
	for i := range list {
		known = append(known, text(list[i].Component))
		if r.GetComponent() == "" || list[i].Component == r.GetComponent() {
			answer.Samplers = append(answer.Samplers, wireSampler(&list[i], visible))
		}
	}
	if r.GetComponent() != "" && len(answer.GetSamplers()) == 0 {
		detail := "there is no adaptive_sampler of that id; known are " + strings.Join(slices.Compact(known), ", ")
		if len(known) == 0 {
			detail = "there is no adaptive_sampler: give one the option `control`"
		}
		return nil, fault.New(fault.NotFound, detail)
	}
	return answer, nil
}

// warnings has a line for each processor that could not be asked.
func warnings(err error) []string {
	if err == nil {
		return nil
	}
	var list []string
	for line := range strings.Lines(err.Error()) {
		list = append(list, text(strings.TrimSpace(line)))
	}
	return list
}

// sees says whether a caller sees a rule or a budget: of single namespaces those
// of their policies.
func sees(visible access.Namespaces, name string, static bool) bool {
	namespace, _, _ := strings.Cut(name, "/")
	return visible.All() || !static && visible.Contains(namespace)
}

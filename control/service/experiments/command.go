package experiments

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// request is what the requests of all commands have.
type request interface {
	proto.Message
	GetNamespace() string
	GetName() string
}

// order is a command as somebody sent it.
type order struct {
	verb    access.Verb
	kind    experiment.CommandKind
	request request
	// method is the full name of the RPC, reason what the caller says.
	method, reason string
}

// StartExperiment starts a Draft.
func (s *Service) StartExperiment(ctx context.Context, req *phoenixv1.StartExperimentRequest) (*phoenixv1.Experiment, error) {
	return s.command(ctx, order{access.Start, experiment.CommandStart, req, phoenixv1.Experiments_StartExperiment_FullMethodName, ""})
}

// PauseExperiment takes the candidate's weight away.
func (s *Service) PauseExperiment(ctx context.Context, req *phoenixv1.PauseExperimentRequest) (*phoenixv1.Experiment, error) {
	return s.command(ctx, order{access.Pause, experiment.CommandPause, req, phoenixv1.Experiments_PauseExperiment_FullMethodName, req.GetReason()})
}

// ResumeExperiment gives it back.
func (s *Service) ResumeExperiment(ctx context.Context, req *phoenixv1.ResumeExperimentRequest) (*phoenixv1.Experiment, error) {
	return s.command(ctx, order{access.Start, experiment.CommandResume, req, phoenixv1.Experiments_ResumeExperiment_FullMethodName, ""})
}

// PromoteExperiment promotes the candidate though criteria are undecided.
func (s *Service) PromoteExperiment(ctx context.Context, req *phoenixv1.PromoteExperimentRequest) (*phoenixv1.Experiment, error) {
	return s.command(ctx, order{access.Promote, experiment.CommandPromote, req, phoenixv1.Experiments_PromoteExperiment_FullMethodName, req.GetReason()})
}

// AbortExperiment rolls the candidate back.
func (s *Service) AbortExperiment(ctx context.Context, req *phoenixv1.AbortExperimentRequest) (*phoenixv1.Experiment, error) {
	return s.command(ctx, order{access.Rollback, experiment.CommandAbort, req, phoenixv1.Experiments_AbortExperiment_FullMethodName, req.GetReason()})
}

// ApproveExperiment approves the start or the promotion that waits for it.
func (s *Service) ApproveExperiment(ctx context.Context, req *phoenixv1.ApproveExperimentRequest) (*phoenixv1.Experiment, error) {
	return s.command(ctx, order{access.Promote, experiment.CommandApprove, req, phoenixv1.Experiments_ApproveExperiment_FullMethodName, req.GetReason()})
}

// command hands an order to the conductor, which commits what follows from it
// together with the answer, if the call may come again.
func (s *Service) command(ctx context.Context, o order) (*phoenixv1.Experiment, error) {
	k := keyOf(o.request.GetNamespace(), o.request.GetName())
	if err := s.core.Authorize(ctx, o.verb, access.Experiments, k.Namespace); err != nil {
		return nil, err
	}
	condition, err := service.Condition(ctx)
	if err != nil {
		return nil, err
	}
	if len(o.reason) > maxReason {
		return nil, fault.Violated("reason", fmt.Sprintf("must not be longer than %d bytes, got %d", maxReason, len(o.reason)))
	}
	if k.Check() != nil {
		return nil, service.Fault(store.ErrNotFound)
	}
	r, err := s.repetition(ctx, o)
	if err != nil {
		return nil, err
	}
	if earlier, err := r.earlier(ctx); err != nil || earlier != nil {
		return earlier, service.Fault(err)
	}
	entry := s.core.Entry(ctx, access.Action(access.Experiments, o.verb))
	entry.Detail = map[string]string{"command": string(o.kind)}
	note := strings.Join(strings.Fields(o.reason), " ")
	if note != "" {
		entry.Detail["reason"] = note
	}
	var answer *phoenixv1.Experiment
	_, err = s.settings.Conductor.Command(ctx, k, experiment.Command{Kind: o.kind, By: entry.Principal, Note: note}, conductor.Commit{
		Entry: entry,
		Check: func(e store.Experiment) error { return matches(e, condition) },
		Also: func(ctx context.Context, tx store.Tx, after store.Experiment) error {
			answer = s.wire(stored(after))
			return r.keep(ctx, tx, answer)
		},
	})
	if err != nil {
		return r.orEarlier(ctx, err)
	}
	if v, runs := s.settings.Conductor.View(k); runs {
		answer.Status.Warnings = v.Warnings
	}
	return answer, nil
}

// orEarlier is the answer to a command that could not be: another request with
// the same key was quicker, or it is refused.
func (r *repetition) orEarlier(ctx context.Context, refusal error) (*phoenixv1.Experiment, error) {
	if r == nil || errors.Is(refusal, store.ErrUnavailable) {
		return nil, faultOf(refusal)
	}
	if earlier, err := r.earlier(ctx); err == nil && earlier != nil {
		return earlier, nil
	}
	return nil, faultOf(refusal)
}

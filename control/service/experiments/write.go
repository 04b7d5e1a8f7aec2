package experiments

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// CreateExperiment creates an experiment as a Draft.
func (s *Service) CreateExperiment(ctx context.Context, req *phoenixv1.CreateExperimentRequest) (*phoenixv1.Experiment, error) {
	k := keyOf(req.GetExperiment().GetNamespace(), req.GetExperiment().GetName())
	if err := s.core.Authorize(ctx, access.Create, access.Experiments, k.Namespace); err != nil {
		return nil, err
	}
	condition, err := service.Condition(ctx)
	if err != nil {
		return nil, err
	}
	if condition != store.Any {
		return nil, fault.New(fault.PreconditionFailed, "an experiment that is yet to be created has no etag: leave If-Match out")
	}
	d, err := s.check(req.GetExperiment())
	if err != nil {
		return nil, service.Fault(err)
	}
	state, err := experiment.EncodeState(experiment.NewState(s.core.Now()))
	if err != nil {
		return nil, service.Fault(err)
	}
	fresh := store.NewExperiment{ExperimentKey: k, Spec: d.text, State: state, Phase: string(experiment.PhaseDraft)}
	if req.GetValidateOnly() {
		return s.wouldCreate(ctx, d, fresh)
	}
	answer, repeated, err := service.Once(ctx, s.core, phoenixv1.Experiments_CreateExperiment_FullMethodName, req, itself,
		func(ctx context.Context, tx store.Tx) (*phoenixv1.Experiment, error) {
			if err := noPolicy(ctx, tx, k); err != nil {
				return nil, err
			}
			e, err := tx.CreateExperiment(ctx, fresh, s.core.Entry(ctx, access.Action(access.Experiments, access.Create)))
			if err != nil {
				return nil, err
			}
			return s.wire(stored(e)), nil
		})
	if err != nil || repeated {
		return answer, err
	}
	s.tell(ctx, "experiment.created", described(k)+" was created", k)
	answer.Status.Warnings = append(answer.Status.Warnings, s.overlaps(d)...)
	return answer, nil
}

// itself is what may be stored of an answer that has no secrets.
func itself(e *phoenixv1.Experiment) *phoenixv1.Experiment { return e }

// noPolicy refuses a name under which a promotion could not make its policy.
func noPolicy(ctx context.Context, from store.PolicyReader, k store.ExperimentKey) error {
	p, err := from.GetPolicy(ctx, store.PolicyKey(k))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return fault.New(fault.Conflict, fmt.Sprintf("there is a policy %s/%s, and a promotion makes one of that name: choose another name", p.Namespace, p.Name))
}

// wouldCreate is the answer if nothing is to be stored.
func (s *Service) wouldCreate(ctx context.Context, d draft, fresh store.NewExperiment) (*phoenixv1.Experiment, error) {
	_, err := s.core.Store.GetExperiment(ctx, d.key)
	switch {
	case err == nil:
		return nil, service.Fault(store.ErrExists)
	case !errors.Is(err, store.ErrNotFound):
		return nil, service.Fault(err)
	}
	if err := noPolicy(ctx, s.core.Store, d.key); err != nil {
		return nil, service.Fault(err)
	}
	answer := s.wire(stored(store.Experiment{ExperimentKey: d.key, Spec: d.text, State: fresh.State, Phase: fresh.Phase}))
	answer.Etag = ""
	answer.Status.Warnings = append(answer.Status.Warnings, s.overlaps(d)...)
	return answer, nil
}

// overlaps warns of experiments that would keep this one from being started now.
func (s *Service) overlaps(d draft) []string {
	var list []string
	for _, other := range s.settings.Conductor.Near(d.spec) {
		overlap, why := experiment.Overlap(d.spec, other.Spec)
		switch {
		case !overlap || other.ID == d.spec.ID:
		case len(list) == maxOverlaps:
			return append(list, "more experiments that run overlap with it")
		default:
			list = append(list, clip(fmt.Sprintf("the experiment %s holds the scope, so that this one cannot be started before it is over: %s", other.ID, why)))
		}
	}
	return list
}

// maxOverlaps bounds how many warnings name another experiment.
const maxOverlaps = 5

// UpdateExperiment replaces the specification of a Draft.
func (s *Service) UpdateExperiment(ctx context.Context, req *phoenixv1.UpdateExperimentRequest) (*phoenixv1.Experiment, error) {
	k := keyOf(req.GetExperiment().GetNamespace(), req.GetExperiment().GetName())
	// The mistakes of a request are told to those only who may make it.
	if err := s.core.Authorize(ctx, access.Update, access.Experiments, k.Namespace); err != nil {
		return nil, err
	}
	condition, err := service.ConditionOr(ctx, req.GetExperiment().GetEtag())
	if err != nil {
		return nil, err
	}
	d, err := s.check(req.GetExperiment())
	if err != nil {
		return nil, service.Fault(err)
	}
	// An approval was for what the specification said.
	state, err := experiment.EncodeState(experiment.NewState(s.core.Now()))
	if err != nil {
		return nil, service.Fault(err)
	}
	var before, after store.Experiment
	err = s.core.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		if before, err = s.changeable(ctx, tx, k, condition); err != nil {
			return err
		}
		if before.Phase != string(experiment.PhaseDraft) {
			return wrongPhase(before, "a specification stays as it is once the experiment is started: create another experiment")
		}
		after = before
		if bytes.Equal(before.Spec, d.text) {
			return errOnlyLooked
		}
		if req.GetValidateOnly() {
			after.Spec, after.State = d.text, state
			return errOnlyLooked
		}
		after, err = tx.UpdateExperiment(ctx, store.ExperimentUpdate{ExperimentKey: k, If: before.Revision, Spec: d.text, State: state},
			s.core.Entry(ctx, access.Action(access.Experiments, access.Update)))
		return err
	})
	if err != nil && !errors.Is(err, errOnlyLooked) {
		return nil, service.Fault(err)
	}
	if after.Revision != before.Revision {
		s.tell(ctx, "experiment.updated", described(k)+" was updated", k)
	}
	answer := s.wire(stored(after))
	answer.Status.Warnings = append(answer.Status.Warnings, s.overlaps(d)...)
	return answer, nil
}

// errOnlyLooked ends a transaction that must not write.
var errOnlyLooked = errors.New("nothing is to be written")

// changeable is an experiment that has the revision that a request demands.
func (*Service) changeable(ctx context.Context, tx store.Tx, k store.ExperimentKey, condition store.Revision) (store.Experiment, error) {
	e, err := get(ctx, tx, k)
	if err == nil {
		err = matches(e, condition)
	}
	return e, err
}

// matches says whether an experiment has the revision that a request demands.
func matches(e store.Experiment, condition store.Revision) error {
	if condition != store.Any && condition != e.Revision {
		return &store.ConflictError{Resource: e.Resource(), Present: e.Revision}
	}
	return nil
}

func wrongPhase(e store.Experiment, cure string) error {
	return fault.New(fault.WrongPhase, fmt.Sprintf("the experiment %s is %s; %s", idOf(e.ExperimentKey), e.Phase, cure))
}

// DeleteExperiment deletes an experiment that is a Draft or over.
func (s *Service) DeleteExperiment(ctx context.Context, req *phoenixv1.DeleteExperimentRequest) (*phoenixv1.DeleteExperimentResponse, error) {
	k := keyOf(req.GetNamespace(), req.GetName())
	if err := s.core.Authorize(ctx, access.Delete, access.Experiments, k.Namespace); err != nil {
		return nil, err
	}
	condition, err := service.Condition(ctx)
	if err != nil {
		return nil, err
	}
	err = s.core.Change(ctx, func(ctx context.Context, tx store.Tx) error {
		before, err := s.changeable(ctx, tx, k, condition)
		if err != nil {
			return err
		}
		if phase := experiment.Phase(before.Phase); phase != experiment.PhaseDraft && !phase.Final() {
			return wrongPhase(before, "abort it first")
		}
		return tx.DeleteExperiment(ctx, k, before.Revision, s.core.Entry(ctx, access.Action(access.Experiments, access.Delete)))
	})
	if err != nil {
		return nil, err
	}
	s.tell(ctx, "experiment.deleted", described(k)+" was deleted", k)
	return &phoenixv1.DeleteExperimentResponse{}, nil
}

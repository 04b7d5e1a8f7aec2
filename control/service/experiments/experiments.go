// Package experiments implements the service Experiments of the API: it checks
// specifications, keeps drafts in the store, hands commands to the conductor,
// which runs what was started, and shows what has become of them.
package experiments

import (
	"context"
	"errors"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Conductor runs experiments. *conductor.Conductor implements it.
type Conductor interface {
	// Command commits what follows from a command and carries it out.
	Command(context.Context, store.ExperimentKey, experiment.Command, conductor.Commit) (store.Experiment, error)
	// View is an experiment as of the newest look. Those that have not been started
	// or are over have none.
	View(store.ExperimentKey) (conductor.View, bool)
	// Near are those that hold a scope which a specification may overlap.
	Near(experiment.Spec) []experiment.Active
	// Watch tells when a view changes, until it is cancelled.
	Watch(store.ExperimentKey) (changed <-chan struct{}, cancel func())
}

var _ Conductor = (*conductor.Conductor)(nil)

// Settings is what New needs.
type Settings struct {
	// Core and Conductor are required.
	Core      *service.Core
	Conductor Conductor
	// NamespaceAttribute is that of the publisher.
	NamespaceAttribute string
	// Active says whether a caller may go on: it is asked again and again while a
	// stream lasts. Default: always.
	Active func(context.Context, access.Principal) error
	// Done ends streams. Default: nothing does.
	Done <-chan struct{}
}

// Service implements phoenixv1.ExperimentsServer.
type Service struct {
	phoenixv1.UnimplementedExperimentsServer
	settings Settings
	core     *service.Core
}

var _ phoenixv1.ExperimentsServer = (*Service)(nil)

// New returns the service.
func New(s Settings) (*Service, error) {
	if s.Core == nil || s.Conductor == nil {
		return nil, errors.New("experiments: Core and Conductor are required")
	}
	if s.Active == nil {
		s.Active = func(context.Context, access.Principal) error { return nil }
	}
	return &Service{settings: s, core: s.Core}, nil
}

// keyOf names an experiment; the namespace default need not be said.
func keyOf(namespace, name string) store.ExperimentKey {
	if namespace == "" {
		namespace = publish.DefaultNamespace
	}
	return store.ExperimentKey{Namespace: namespace, Name: name}
}

// idOf is how the router and the audit of rules call an experiment.
func idOf(k store.ExperimentKey) string { return k.Namespace + "/" + k.Name }

// reader is what both the store and a transaction have.
type reader interface {
	GetExperiment(context.Context, store.ExperimentKey) (store.Experiment, error)
}

// get looks an experiment up. One that cannot have such a name is not there.
func get(ctx context.Context, from reader, k store.ExperimentKey) (store.Experiment, error) {
	if k.Check() != nil {
		return store.Experiment{}, store.ErrNotFound
	}
	return from.GetExperiment(ctx, k)
}

// seen is get for somebody who may.
func (s *Service) seen(ctx context.Context, k store.ExperimentKey) (store.Experiment, error) {
	if err := s.core.Authorize(ctx, access.Get, access.Experiments, k.Namespace); err != nil {
		return store.Experiment{}, err
	}
	e, err := get(ctx, s.core.Store, k)
	return e, service.Fault(err)
}

// GetExperiment returns one experiment.
func (s *Service) GetExperiment(ctx context.Context, req *phoenixv1.GetExperimentRequest) (*phoenixv1.Experiment, error) {
	e, err := s.seen(ctx, keyOf(req.GetNamespace(), req.GetName()))
	if err != nil {
		return nil, err
	}
	return s.wire(s.present(e)), nil
}

// tell publishes an event about a draft; the conductor tells the rest.
func (s *Service) tell(ctx context.Context, event, message string, k store.ExperimentKey) {
	s.core.Events.Publish(bus.Event{
		Time: s.core.Now(), Type: event, Namespace: k.Namespace, Resource: k.Resource(), Message: message,
		Principal: call.From(ctx).Principal.Name(),
	})
}

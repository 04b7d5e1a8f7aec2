package experiments

import (
	"encoding/json"
	"fmt"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/store"
)

// present is an experiment as it is now: what the store has, and what the
// conductor knows better.
type present struct {
	store.Experiment

	spec     experiment.Spec
	state    experiment.State
	warnings []string
}

// present takes the view of the conductor for one that runs: the store gets the
// state of a look now and then only.
func (s *Service) present(e store.Experiment) present {
	if e.Active {
		if v, runs := s.settings.Conductor.View(e.ExperimentKey); runs {
			return present{Experiment: e, spec: v.Spec, state: v.State, warnings: v.Warnings}
		}
	}
	return stored(e)
}

// stored is an experiment as the store has it.
func stored(e store.Experiment) present {
	p := present{Experiment: e}
	// What another version wrote is shown as far as this one knows it.
	if err := json.Unmarshal(e.Spec, &p.spec); err != nil {
		p.warnings = append(p.warnings, "this version of Phoenix cannot read the specification: "+clip(err.Error()))
	}
	p.spec.ID = idOf(e.ExperimentKey)
	state, err := experiment.DecodeState(e.State)
	if err != nil {
		state = experiment.State{Phase: experiment.Phase(e.Phase)}
		p.warnings = append(p.warnings, "this version of Phoenix cannot read the state: "+clip(err.Error()))
	}
	p.state = state
	return p
}

// hash is that of the specification with its defaults.
func (p *present) hash() string {
	if p.state.SpecHash != "" {
		return p.state.SpecHash // nothing changed since it was started
	}
	return p.spec.Hash()
}

// described is how messages and events call an experiment.
func described(k store.ExperimentKey) string {
	return fmt.Sprintf("The experiment %s/%s", k.Namespace, k.Name)
}

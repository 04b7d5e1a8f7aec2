package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phoenix-platform/phoenix/control/autopilot"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
)

// composeAutopilot makes what turns recommendations into experiments.
func (p *Plane) composeAutopilot() error {
	pilot, err := autopilot.New(autopilot.Settings{
		Config: p.settings.AutoOptimize, Experiments: p.experiments, Store: p.store,
		Active: p.activeExperiments,
		State: func(key store.ExperimentKey) (experiment.State, bool) {
			view, known := p.conductor.View(key)
			return view.State, known
		},
		Cardinality: p.billed, Rules: p.publisher.Rules, Engaged: func() bool { return p.publisher.Status().Kill.Engaged },
		Logger: p.logger, Now: p.settings.Now,
	})
	if err != nil {
		return fmt.Errorf("auto_optimize: %w", err)
	}
	p.autopilot = pilot
	return nil
}

// activeTime bounds how long the store may take to list what runs.
const activeTime = 5 * time.Second

// activeExperiments lists those that hold a scope.
func (p *Plane) activeExperiments(ctx context.Context) ([]experiment.Active, error) {
	ctx, cancel := context.WithTimeout(ctx, activeTime)
	defer cancel()
	stored, err := p.store.ActiveExperiments(ctx)
	if err != nil {
		return nil, err
	}
	var list []experiment.Active
	for _, e := range stored {
		if view, known := p.conductor.View(e.ExperimentKey); known {
			list = append(list, experiment.Active{ID: view.Spec.ID, Spec: view.Spec})
		}
	}
	return list, nil
}

// billed is what the measuring point counts that is billed.
func (p *Plane) billed(ctx context.Context) (report.Cardinality, error) {
	o, err := p.insight.Observe(ctx, 0)
	if err == nil && o.At.IsZero() {
		err = errNothingBilled
	}
	return o.Billed, err
}

var errNothingBilled = errors.New("no measuring point counts what is billed")

package conductor

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/store"
)

// isLoaded says whether the experiments were read, and whether one may be in the
// store that is not in memory.
func (c *Conductor) isLoaded() (loaded, reload bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loaded, c.reload
}

// loadAgain is load for a loop: not more often than once a second.
func (c *Conductor) loadAgain(ctx context.Context) {
	if now := time.Now(); now.Sub(c.loadTried) >= time.Second {
		c.loadTried = now
		if err := c.load(ctx); err != nil && ctx.Err() == nil {
			c.logger.Warn("The experiments cannot be read; it is tried again", zap.Error(err))
		}
	}
}

// load takes over what the store has, decides what goes on, and publishes it.
func (c *Conductor) load(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, 6*writeTime)
	defer cancel()
	list, err := c.settings.Store.ActiveExperiments(ask)
	c.noteStore(err)
	if err != nil {
		return err
	}
	var outcomes []*outcome
	for _, stored := range list {
		r, err := newRun(stored)
		if err != nil {
			c.logger.Error("An experiment cannot be read and is left as it is; delete it, or repair the database",
				zap.String("experiment", stored.Resource()), zap.Error(err))
			continue
		}
		if o := c.takeOver(r); o != nil {
			outcomes = append(outcomes, o)
		}
	}
	c.mu.Lock()
	c.loaded, c.reload = true, false
	c.change++
	c.mu.Unlock()
	c.settle(ctx, outcomes)
	if err := c.publish(ctx); err != nil {
		return err
	}
	if len(list) > 0 {
		c.logger.Info("Experiments are taken over", zap.Int("experiments", len(list)))
	}
	return nil
}

// takeOver puts an experiment into memory and lets it go on: a lease lasts for
// what the store knows is left of it, and what lost its lease is paused.
func (c *Conductor) takeOver(r *run) *outcome {
	now, wall := c.settings.Now(), c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs[r.key] != nil {
		return nil // it is known: this is not the first load
	}
	c.insert(r)
	r.saved = now
	r.plan(now, false)
	r.due.look = now.Add(r.offset())
	r.route.weight, r.route.before = r.state.Weights.Candidate, r.state.Weights.Candidate
	r.route.at = now
	if r.state.Phase != experiment.PhaseRunning {
		return nil
	}
	// What Reconcile asks for follows from the state when it is published.
	o := &outcome{run: r}
	o.after, o.actions, o.events = experiment.Step(r.spec, r.state, experiment.Observation{Failure: r.fails()}, wall)
	if o.after.Phase == experiment.PhaseRunning {
		left := experiment.LeaseDuration - wall.Round(0).Sub(o.after.Lease.RenewedAt)
		r.lease.Renew(now.Add(max(0, min(left, experiment.LeaseDuration))))
	}
	return o
}

// standDown lets go of everything: another control plane conducts.
func (c *Conductor) standDown(ctx context.Context) {
	c.mu.Lock()
	if !c.loaded {
		c.mu.Unlock()
		return
	}
	runs := c.sorted
	c.loaded, c.runs, c.sorted, c.scopes, c.tails = false, map[store.ExperimentKey]*run{}, nil, scopes{}, nil
	for _, r := range runs {
		r.lease.End()
		c.deafen(r)
		c.tellWatchers(r.key)
	}
	c.change++
	c.mu.Unlock()
	c.logger.Warn("Another control plane conducts the experiments; this one has let go of them")
	c.publishNow(ctx)
}

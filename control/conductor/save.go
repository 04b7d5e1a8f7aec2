package conductor

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/store"
)

// maxSave is how many states are stored in one transaction.
const maxSave = 1000

// save stores what is not stored yet, until ctx ends.
func (c *Conductor) save(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.store(ctx, false)
		}
	}
}

// store stores what is not stored yet: changes that were published before they
// were stored first.
func (c *Conductor) store(ctx context.Context, all bool) {
	c.storeOwed(ctx)
	for list := c.unsaved(all); len(list) > 0 && ctx.Err() == nil; {
		n := min(maxSave, len(list))
		if !c.saveStates(ctx, list[:n]) {
			return
		}
		list = list[n:]
	}
}

// unsavedState is a state that the store does not have.
type unsavedState struct {
	run      *run
	state    experiment.State
	revision store.Revision
	evidence []byte
}

// unsaved lists those whose state changed. A lease that was renewed is no reason
// by itself to store a state each ten seconds.
func (c *Conductor) unsaved(all bool) []unsavedState {
	now := c.settings.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []unsavedState
	for _, r := range c.runs {
		due := r.unstored != nil || now.Sub(r.saved) >= leaseStored || now.Before(r.saved) || all
		if r.changed && due && !r.unsure && len(r.owed) == 0 {
			list = append(list, unsavedState{r, r.state, r.revision, r.unstored})
		}
	}
	return list
}

func (c *Conductor) saveStates(ctx context.Context, list []unsavedState) bool {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	states := make([]store.ExperimentState, 0, len(list))
	for _, u := range list {
		text, err := experiment.EncodeState(u.state)
		if err != nil {
			c.logger.Error("The state of an experiment cannot be stored", zap.String("experiment", u.run.spec.ID), zap.Error(err))
			continue
		}
		states = append(states, store.ExperimentState{ExperimentKey: u.run.key, If: u.revision, State: text, Evidence: u.evidence})
	}
	began := time.Now()
	stale, err := c.settings.Store.SaveExperimentStates(ctx, states)
	c.noteStore(err)
	c.settings.Observer.Saved(time.Since(began), len(states), err)
	if err != nil {
		c.saving.note(err != nil && !errors.Is(err, context.Canceled), func() {
			c.logger.Warn("The states of experiments cannot be stored; they go on, and are stored when the store answers", zap.Error(err))
		})
		return false
	}
	c.saving.note(false, nil)
	c.saved(list, stale)
	return true
}

func (c *Conductor) saved(list []unsavedState, stale []store.ExperimentKey) {
	now := c.settings.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range list {
		r := u.run
		if r.revision != u.revision {
			continue // stored by other means meanwhile
		}
		if slices.Contains(stale, r.key) {
			r.unsure = true
			continue
		}
		r.saved = now
		if r.state.SteppedAt.Equal(u.state.SteppedAt) && r.state.LastSeq == u.state.LastSeq {
			r.changed = false
		}
		if len(r.unstored) > 0 && len(u.evidence) > 0 && &r.unstored[0] == &u.evidence[0] {
			r.unstored = nil
		}
	}
}

// storeOwed stores changes that were published first, and finds out about those
// of which it is not known whether the store has them.
func (c *Conductor) storeOwed(ctx context.Context) {
	c.mu.Lock()
	var owing []*run
	for key, r := range c.runs {
		if (r.unsure || len(r.owed) > 0) && c.tryClaim(key) {
			owing = append(owing, r)
		}
	}
	c.mu.Unlock()
	for _, r := range owing {
		if ctx.Err() == nil {
			c.settleDebt(ctx, r)
		}
		c.release(r.key)
	}
}

// settleDebt brings one experiment and the store together.
func (c *Conductor) settleDebt(ctx context.Context, r *run) {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	if r.unsure {
		if err := c.compare(ctx, r); err != nil {
			c.noteStore(err)
			return
		}
	}
	c.mu.Lock()
	owed, state, evidence := r.owed, r.state, r.unstored
	c.mu.Unlock()
	if len(owed) == 0 {
		c.forget(r)
		return
	}
	var stored store.Experiment
	err := c.settings.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		change, err := update(r, state, evidence)
		if err != nil {
			return err
		}
		for _, e := range owed[:len(owed)-1] {
			e.Resource, e.Namespace = r.key.Resource(), r.key.Namespace
			if _, err := tx.AppendAudit(ctx, e); err != nil {
				return err
			}
		}
		stored, err = tx.UpdateExperiment(ctx, change, owed[len(owed)-1])
		return err
	})
	c.noteStore(err)
	c.mu.Lock()
	switch {
	case err == nil:
		r.revision, r.owed, r.changed, r.unstored, r.saved = stored.Revision, nil, false, nil, c.settings.Now()
	case errors.Is(err, store.ErrUncertain), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		r.unsure = true
	}
	c.mu.Unlock()
	c.forget(r)
}

// compare finds out what the store has. Somebody else's change counts, unless
// this process has taken the weight away since: that stays.
func (c *Conductor) compare(ctx context.Context, r *run) error {
	stored, err := c.settings.Store.GetExperiment(ctx, r.key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	gone := err != nil
	var there *run
	if !gone {
		if there, err = newRun(stored); err != nil {
			c.logger.Error("An experiment cannot be read any more; it is let go", zap.String("experiment", r.spec.ID), zap.Error(err))
			gone = true
		}
	}
	var promoted []store.Policy
	if !gone && stored.PromotedPolicy != "" {
		made, err := c.settings.Store.GetPolicy(ctx, policyKey(r.key))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			promoted = append(promoted, made)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r.unsure = false
	c.promoted = append(c.promoted, promoted...)
	switch {
	case gone, !isActive(there.state.Phase) && len(r.owed) == 0, there != nil && there.hash != r.hash:
		r.owed = nil
		r.lease.End()
		c.remove(r)
	case stored.Revision == r.revision:
	case len(r.owed) > 0:
		if r.revision = stored.Revision; there.state.Phase == r.state.Phase {
			r.owed, r.changed = nil, true
		}
	default:
		before := r.state
		r.state, r.revision, r.changed = there.state, stored.Revision, false
		c.hold(r, before, c.settings.Now())
	}
	c.tellWatchers(r.key)
	return nil
}

// trouble remembers whether something fails, so that it is told once.
type trouble struct{ failing bool }

func (t *trouble) note(failing bool, tell func()) {
	if failing && !t.failing {
		tell()
	}
	t.failing = failing
}

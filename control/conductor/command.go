package conductor

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Commit is how a command is stored.
type Commit struct {
	// Entry is that of the audit log; what the command does is added to its Detail.
	Entry store.Entry
	// Check may refuse by what is stored, such as by an If-Match. Also runs in the
	// same transaction, with the experiment as it is after the command. Default:
	// nothing.
	Check func(store.Experiment) error
	Also  func(context.Context, store.Tx, store.Experiment) error
}

// Command carries out a command. The error is an *experiment.Refusal, a
// *fault.Fault if this control plane takes no commands or the kill switch or a
// policy stands in the way, the error of Check or Also, or that of the store; then
// nothing was done.
func (c *Conductor) Command(ctx context.Context, key store.ExperimentKey, command experiment.Command, how Commit) (store.Experiment, error) {
	if err := c.ready(command); err != nil {
		return store.Experiment{}, err
	}
	if err := c.claim(ctx, key); err != nil {
		return store.Experiment{}, err
	}
	defer c.release(key)
	if command.Kind == experiment.CommandStart || command.Kind == experiment.CommandResume {
		select {
		case c.beginning <- struct{}{}:
			defer func() { <-c.beginning }()
		case <-ctx.Done():
			return store.Experiment{}, context.Cause(ctx)
		}
	}
	o, w, err := c.obey(ctx, key, command, how)
	c.noteStore(err)
	if err != nil {
		c.doubt(key, err)
		return store.Experiment{}, err
	}
	c.mu.Lock()
	known := c.runs[key] == o.run
	if !known && isActive(o.after.Phase) {
		c.insert(o.run)
		known = true
	}
	c.mu.Unlock()
	if known {
		c.adopt(o, &w)
		c.publishNow(context.WithoutCancel(ctx))
	}
	c.announce(o)
	c.forget(o.run)
	return w.stored, nil
}

// ready says why no command is taken.
func (c *Conductor) ready(command experiment.Command) error {
	switch holder, err := c.seat.who(); {
	case err != nil:
		return err
	case holder != "":
		return fault.New(fault.Unavailable, fmt.Sprintf("experiments are conducted by %q: send the command there", holder))
	}
	if loaded, _ := c.isLoaded(); !loaded {
		return fault.New(fault.Unavailable, "the experiments are not read yet: try again")
	}
	begins := command.Kind == experiment.CommandStart || command.Kind == experiment.CommandResume
	if kill := c.settings.Publisher.Status().Kill; kill.Engaged && begins {
		return fault.New(fault.Conflict, "the kill switch is engaged: release it first")
	}
	return nil
}

// obey applies a command and stores what follows in one transaction.
func (c *Conductor) obey(ctx context.Context, key store.ExperimentKey, command experiment.Command, how Commit) (*outcome, writing, error) {
	var (
		o outcome
		w writing
	)
	err := c.settings.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		stored, err := tx.GetExperiment(ctx, key)
		if err != nil {
			return err
		}
		if how.Check != nil {
			if err := how.Check(stored); err != nil {
				return err
			}
		}
		r, err := c.present(stored)
		if err != nil {
			return err
		}
		if o, err = c.apply(r, command, how); err != nil {
			return err
		}
		if begins := r.state.Phase == experiment.PhaseDraft && isActive(o.after.Phase); begins {
			if err := free(ctx, tx, key); err != nil {
				return err
			}
		}
		change, err := update(r, o.after, c.unstored(&o))
		if err != nil {
			return err
		}
		if w, err = commit(ctx, tx, &o, change, entryOf(&o)); err != nil || how.Also == nil {
			return err
		}
		return how.Also(ctx, tx, w.stored)
	})
	return &o, w, err
}

// present is the experiment as it is now: in memory its state may be newer.
func (c *Conductor) present(stored store.Experiment) (*run, error) {
	c.mu.Lock()
	r := c.runs[stored.ExperimentKey]
	c.mu.Unlock()
	switch {
	case r == nil:
		return newRun(stored)
	case r.revision != stored.Revision || len(r.owed) > 0:
		return nil, fault.New(fault.Unavailable, "the experiment has changed and that is not stored yet: try again")
	}
	return r, nil
}

func (c *Conductor) apply(r *run, command experiment.Command, how Commit) (outcome, error) {
	if command.Kind == experiment.CommandStart || command.Kind == experiment.CommandResume {
		command.Active = append(c.Near(r.spec), command.Active...)
	}
	entry := how.Entry
	entry.Detail = maps.Clone(entry.Detail)
	o := outcome{run: r, entry: &entry}
	var err error
	o.after, o.actions, o.events, err = experiment.Apply(r.spec, r.state, command, c.wall())
	return o, err
}

// free refuses to begin what could not be promoted: its rules would have the
// names of those of a policy.
func free(ctx context.Context, tx store.Tx, key store.ExperimentKey) error {
	_, err := tx.GetPolicy(ctx, policyKey(key))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return fault.New(fault.Conflict, "there is a policy of the name of the experiment: "+policyKey(key).Resource()+"; a promotion makes one")
}

// doubt notes that it is not known what the store has.
func (c *Conductor) doubt(key store.ExperimentKey, err error) {
	if !errors.Is(err, store.ErrUncertain) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.runs[key]; r != nil {
		r.unsure = true
		return
	}
	c.reload = true // it may have begun
}

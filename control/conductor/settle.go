package conductor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// principal is who does what nobody commanded.
const principal = "conductor"

// settle carries out what follows from steps. What takes weight away comes first
// and does not wait for a store that does not answer; what gives weight is not so
// before it is stored.
func (c *Conductor) settle(ctx context.Context, outcomes []*outcome) {
	var takes, gives []*outcome
	for _, o := range outcomes {
		switch {
		case !o.loud():
			c.adopt(o, nil)
			c.announce(o)
		case o.takes():
			takes = append(takes, o)
		default:
			gives = append(gives, o)
		}
	}
	if len(takes) > 0 {
		c.settleTakes(ctx, takes)
	}
	if len(gives) > 0 {
		c.settleGives(ctx, gives)
	}
}

func (c *Conductor) settleTakes(ctx context.Context, list []*outcome) {
	ctx = context.WithoutCancel(ctx) // weight is taken away also while the plane ends
	written := make([]writing, len(list))
	if c.storeDown.Load() {
		for i := range written {
			written[i].err = store.ErrUnavailable
		}
	} else {
		written = c.write(ctx, list, firstPublish)
	}
	for i, o := range list {
		if err := written[i].err; err != nil {
			c.owe(o, err)
		}
		c.adopt(o, &written[i])
	}
	c.publishNow(ctx)
	for i, o := range list {
		c.announce(o)
		if written[i].err == nil {
			c.forget(o.run)
		}
	}
}

func (c *Conductor) settleGives(ctx context.Context, list []*outcome) {
	var done []*outcome
	for i, w := range c.write(ctx, list, writeTime) {
		o := list[i]
		if w.err != nil {
			c.keep(o, w.err)
			continue
		}
		c.adopt(o, &w)
		done = append(done, o)
	}
	if len(done) == 0 {
		return
	}
	c.publishNow(context.WithoutCancel(ctx))
	for _, o := range done {
		c.announce(o)
		c.forget(o.run)
	}
}

// keep leaves an experiment as it is because what follows could not be stored:
// its lease goes on, and the next look decides again.
func (c *Conductor) keep(o *outcome, err error) {
	c.mu.Lock()
	r := o.run
	r.plan(c.settings.Now(), o.looked)
	r.unsure = r.unsure || errors.Is(err, store.ErrUncertain) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)
	known := r.blocked != ""
	if o.promotes() && errors.Is(err, store.ErrExists) {
		r.blocked = "it cannot be promoted: there is a policy of its name already; delete that first"
	}
	running := r.state.Phase == experiment.PhaseRunning
	if o.after.Blind == 0 {
		r.state.Blind = 0 // there was a look with data, though nothing came of it
	}
	c.mu.Unlock()
	if !known {
		c.logger.Warn("What follows from a look cannot be stored; the experiment stays as it is until it can",
			zap.String("experiment", r.spec.ID), zap.String("phase", string(o.after.Phase)), zap.Error(err))
	}
	if !running {
		return
	}
	if again := c.step(task{run: r, routes: o.routes}, sight{}); !again.loud() {
		again.evidence = o.evidence
		c.adopt(again, nil)
	}
}

// owe notes what the store has to be told when it answers.
func (c *Conductor) owe(o *outcome, err error) {
	c.logger.Warn("An experiment lost its weight before that could be stored; it is stored when the store answers",
		zap.String("experiment", o.run.spec.ID), zap.String("phase", string(o.after.Phase)), zap.Error(err))
	c.mu.Lock()
	defer c.mu.Unlock()
	o.run.owed = append(o.run.owed, entryOf(o))
	o.run.unsure = o.run.unsure || errors.Is(err, store.ErrUncertain) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)
}

// writing is what came of storing an outcome.
type writing struct {
	stored   store.Experiment
	promoted *store.Policy
	err      error
}

// write stores outcomes in one transaction or, if that fails for something that
// only some of them have, each by itself.
func (c *Conductor) write(ctx context.Context, list []*outcome, limit time.Duration) []writing {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	written, err := c.transact(ctx, list)
	if err == nil || len(list) == 1 || errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
		for i := range written {
			written[i].err = err
		}
		return written
	}
	for i, o := range list {
		one, err := c.transact(ctx, []*outcome{o})
		written[i] = one[0]
		written[i].err = err
	}
	return written
}

func (c *Conductor) transact(ctx context.Context, list []*outcome) ([]writing, error) {
	began := time.Now()
	written := make([]writing, len(list))
	err := c.settings.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		for i, o := range list {
			change, err := update(o.run, o.after, c.unstored(o))
			if err == nil {
				written[i], err = commit(ctx, tx, o, change, entryOf(o))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	c.noteStore(err)
	c.settings.Observer.Saved(time.Since(began), len(list), err)
	return written, err
}

// unstored is the newest evidence of a run that the store may not have.
func (c *Conductor) unstored(o *outcome) []byte {
	if o.evidence != nil {
		return o.evidence
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return o.run.unstored
}

// noteStore remembers whether the store answers.
func (c *Conductor) noteStore(err error) {
	switch {
	case err == nil, errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrNotFound):
		c.storeDown.Store(false)
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		c.storeDown.Store(true)
	}
}

// commit stores one outcome within a transaction: a promotion makes its policy
// in the same one.
func commit(ctx context.Context, tx store.Tx, o *outcome, update store.ExperimentUpdate, entry store.Entry) (w writing, err error) {
	if o.promotes() && len(o.run.spec.Rules) > 0 {
		promoted, err := promote(ctx, tx, o.run, entry)
		if err != nil {
			return w, err
		}
		w.promoted, update.PromotedPolicy = &promoted, promoted.Resource()
	}
	w.stored, err = tx.UpdateExperiment(ctx, update, entry)
	return w, err
}

// promote makes the enforced policy that the candidate's rules become. Its name
// is that of the experiment, so that its rules keep their names.
func promote(ctx context.Context, tx store.Tx, r *run, entry store.Entry) (store.Policy, error) {
	rules := r.spec.PromotedRules()
	for i := range rules {
		rules[i].Name = strings.TrimPrefix(rules[i].Name, r.spec.ID+"/")
		rules[i].Mode = "" // the state of the policy says it
	}
	text, err := publish.EncodeSpec(publish.Spec{
		Description: fmt.Sprintf("Promoted by experiment %s, specification %s", r.spec.ID, r.hash), Rules: rules,
	})
	if err != nil {
		return store.Policy{}, err
	}
	entry.Action, entry.Detail = "policies.enforce", map[string]string{"experiment": r.spec.ID, "spec_sha256": r.hash}
	return tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: policyKey(r.key), Spec: text, State: store.StateEnforced}, entry)
}

func policyKey(key store.ExperimentKey) store.PolicyKey {
	return store.PolicyKey(key)
}

// update is what the store gets of a state. Evidence that is nil stays.
func update(r *run, s experiment.State, evidence []byte) (store.ExperimentUpdate, error) {
	state, err := experiment.EncodeState(s)
	if err != nil {
		return store.ExperimentUpdate{}, err
	}
	return store.ExperimentUpdate{
		ExperimentKey: r.key, If: r.revision, State: state, Evidence: evidence, Phase: string(s.Phase), Active: new(isActive(s.Phase)),
	}, nil
}

// isActive says whether an experiment in the phase is kept in memory.
func isActive(p experiment.Phase) bool { return p.Holds() || p == experiment.PhaseScheduled }

// adopt makes a state the present one. written is nil if it was not to be stored
// at once.
func (c *Conductor) adopt(o *outcome, written *writing) {
	now := c.settings.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	r, before := o.run, o.run.state
	r.state = o.after
	r.plan(now, o.looked)
	if o.evidence != nil {
		r.unstored = o.evidence
	}
	switch {
	case written == nil:
		r.changed = true
	case written.err == nil:
		r.revision, r.changed, r.unstored, r.saved = written.stored.Revision, false, nil, now
		if written.promoted != nil {
			c.promoted = append(c.promoted, *written.promoted)
			r.promoted = written.stored.PromotedPolicy
		}
	}
	c.hold(r, before, now)
	for _, a := range o.actions {
		if a.Kind == experiment.ActionRenewLease && r.state.Phase == experiment.PhaseRunning {
			r.lease.Renew(now.Add(a.Lease.Std()))
		}
	}
	c.tellWatchers(r.key)
}

// hold notes what a new state makes of the scope, the lease and the route. The
// caller has mu.
func (c *Conductor) hold(r *run, before experiment.State, now time.Time) {
	if r.state.Phase != experiment.PhaseRunning {
		if r.state.Phase != experiment.PhasePromoted { // whose data goes where it went until the common rules are in force
			r.lease.End()
		}
		r.gathered = gathered{running: r.gathered.running}
	}
	if r.state.Phase != before.Phase {
		c.scopes.set(r, r.state.Phase.Holds())
		r.due.look = now.Add(r.spec.Interval.Std())
		r.route.at, r.confirmed = now, false
		if r.state.Phase != experiment.PhaseRunning {
			r.listening = false
			c.deafen(r)
		}
		if r.state.Phase.Holds() {
			c.dropTails(r)
		}
	}
	if r.state.Phase != before.Phase || r.state.Weights != before.Weights || r.state.Mirror != before.Mirror || r.state.Lease.Epoch != before.Lease.Epoch {
		c.change++
	}
}

// forget lets go of an experiment that is over and stored.
func (c *Conductor) forget(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !r.state.Phase.Final() || len(r.owed) > 0 || c.runs[r.key] != r {
		return
	}
	c.remove(r)
	if t, late := tailOf(r, c.settings.Now()); late {
		c.tails = append(c.tails, t)
	}
}

// publishNow publishes; what fails is tried again by the loop.
func (c *Conductor) publishNow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	if err := c.publish(ctx); err != nil {
		c.logger.Warn("The experiments cannot be published; it is tried again", zap.Error(err))
	}
}

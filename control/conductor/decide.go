package conductor

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/verdict"
)

// task is a run that its holder has claimed, and what is to be done with it.
type task struct {
	run    *run
	look   bool
	routes []report.RouteReport
	// kill is why the kill switch pauses it; empty if it does not.
	kill, killedBy string
}

// outcome is what follows from a step, and is not so yet.
type outcome struct {
	run     *run
	after   experiment.State
	actions []experiment.Action
	events  []experiment.Event
	looked  bool
	// evidence is the encoded judge; nil if it judged nothing.
	evidence []byte
	routes   []report.RouteReport
	// entry is that of a command; nil if nobody commanded it.
	entry *store.Entry
}

// loud says whether it must be stored before anything else, with an entry in the
// audit log.
func (o *outcome) loud() bool {
	for _, e := range o.events {
		if e.Kind != experiment.EventLate && e.Kind != experiment.EventWaiting {
			return true
		}
	}
	return false
}

// takes says whether it takes the candidate's weight away.
func (o *outcome) takes() bool {
	return o.after.Phase != experiment.PhaseRunning && o.after.Phase != experiment.PhasePromoted && o.loud()
}

// promotes says whether it ends in promotion.
func (o *outcome) promotes() bool {
	return o.after.Phase == experiment.PhasePromoted && o.run.state.Phase != experiment.PhasePromoted
}

// work decides on some runs and carries out what follows.
func (c *Conductor) work(ctx context.Context, tasks []task) {
	began := time.Now()
	ask, cancel := context.WithTimeout(ctx, askTime)
	ends, looks := c.askArms(ask, tasks), 0
	prices := c.currentPrices(ask)
	cancel()
	outcomes := make([]*outcome, 0, len(tasks))
	for _, t := range tasks {
		if t.look {
			looks++
		}
		outcomes = append(outcomes, c.step(t, sight{routes: t.routes, arms: ends[t.run.spec.ID], prices: prices}))
	}
	if looks > 0 {
		c.settings.Observer.Looked(time.Since(began), looks)
	}
	c.settle(ctx, outcomes)
	for _, t := range tasks {
		c.release(t.run.key)
	}
}

// step lets a run go on by what was seen.
func (c *Conductor) step(t task, in sight) *outcome {
	r, now := t.run, c.wall()
	o := &outcome{run: r, looked: t.look, routes: t.routes}
	if t.kill != "" {
		if c.pauseByKill(o, t, now) {
			return o
		}
	}
	observed := experiment.Observation{
		Seq: r.state.LastSeq + 1, At: now, SpecHash: r.state.SpecHash, Router: routerReport(t.routes, r.state.Lease.Epoch), Failure: c.failing(r),
	}
	if r.state.Phase == experiment.PhaseScheduled {
		observed.Active = c.Near(r.spec)
	}
	if t.look && r.state.Phase == experiment.PhaseRunning {
		o.evidence = c.observe(r, &observed, in, c.settings.Now())
	}
	o.after, o.actions, o.events = experiment.Step(r.spec, r.state, observed, now)
	return o
}

// pauseByKill pauses a running experiment whose route the kill switch took away.
func (c *Conductor) pauseByKill(o *outcome, t task, now time.Time) bool {
	var err error
	o.after, o.actions, o.events, err = experiment.Apply(t.run.spec, t.run.state,
		experiment.Command{Kind: experiment.CommandPause, By: t.killedBy, Note: t.kill}, now)
	if err != nil {
		c.logger.Warn("The kill switch is engaged and an experiment cannot be paused; its route is gone all the same",
			zap.String("experiment", t.run.spec.ID), zap.Error(err))
	}
	return err == nil
}

// fails says why the experiment cannot go on. The caller has the conductor's mu.
func (r *run) fails() string {
	if r.problem != "" {
		return "its rules cannot be published: " + r.problem
	}
	return r.failure
}

func (c *Conductor) failing(r *run) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.fails()
}

// observe fills in what a look found, and returns the evidence if there is more
// of it.
func (c *Conductor) observe(r *run, o *experiment.Observation, in sight, now time.Time) (evidence []byte) {
	if r.count.epoch != r.state.Lease.Epoch {
		r.evidence = verdict.Evidence{} // what was so before a pause need not be so after it
	}
	look, seen := r.count.look(r.spec, r.state, in, now)
	if look != nil {
		look.Seq = o.Seq
		r.evidence = r.judge.Look(*look)
		var err error
		if evidence, err = r.judge.Encode(); err != nil {
			c.logger.Error("The evidence of an experiment cannot be stored", zap.String("experiment", r.spec.ID), zap.Error(err))
		}
	}
	o.Baseline, o.Candidate = seen[baseline], seen[candidate]
	o.Guardrails, o.Criteria, o.SampleRatio = r.evidence.Guardrails, r.evidence.Criteria, r.evidence.SampleRatio
	if g := c.takeGathered(r); g.done {
		o.Fidelity, o.Answers = g.fidelity, g.answers
	}
	return evidence
}

// routerReport is what all routers of an experiment say of its present lease. A
// breach of an earlier one is history.
func routerReport(routes []report.RouteReport, epoch uint64) experiment.RouterReport {
	var said experiment.RouterReport
	for _, r := range routes {
		if r.Epoch != epoch {
			continue
		}
		said.Epoch = epoch
		if said.Breach == "" {
			said.Breach = r.Breach
		}
		switch {
		case !r.Held:
			said.Lease = experiment.LeaseExpired
		case said.Lease == "":
			said.Lease = experiment.LeaseHeld
		}
	}
	return said
}

// askArms asks who measures the arms about those that are looked at.
func (c *Conductor) askArms(ctx context.Context, tasks []task) map[string][]report.ArmReport {
	var ids []string
	for _, t := range tasks {
		if t.look && t.run.spec.Signal == experiment.SignalMetrics {
			ids = append(ids, t.run.spec.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found := make(map[string][]report.ArmReport, len(ids))
	for _, source := range c.armSources() {
		list, err := source.Source.Arms(ctx, ids)
		if err != nil {
			c.logger.Debug("The end of an arm could not be asked", zap.String("component", source.Component), zap.Error(err))
			continue
		}
		for _, a := range list {
			a.Component, a.Point, a.Arm = source.Component, source.Point, source.Arm
			found[a.Experiment] = append(found[a.Experiment], a)
		}
	}
	return found
}

// armSources lists who measures arms, each source once: instances of a component
// share one.
func (c *Conductor) armSources() []report.ArmRegistration {
	var list []report.ArmRegistration
	for _, r := range c.settings.Sources.Arms() {
		known := false
		for _, other := range list {
			known = known || same(other.Source, r.Source)
		}
		if !known {
			list = append(list, r)
		}
	}
	return list
}

// askRouters asks all routers about everything, by experiment.
func (c *Conductor) askRouters(ctx context.Context) map[string][]report.RouteReport {
	found := map[string][]report.RouteReport{}
	var asked []report.RouterSource
	for _, registered := range c.settings.Sources.Routers() {
		known := false
		for _, other := range asked {
			known = known || same(other, registered.Source)
		}
		if known {
			continue
		}
		asked = append(asked, registered.Source)
		list, err := registered.Source.Routes(ctx, nil)
		if err != nil {
			c.logger.Debug("A router could not be asked", zap.String("component", registered.Component), zap.Error(err))
			continue
		}
		for _, r := range list {
			r.Component, r.Signal = registered.Component, registered.Signal
			found[r.Experiment] = append(found[r.Experiment], r)
		}
	}
	return found
}

// claim waits until nobody else decides on an experiment.
func (c *Conductor) claim(ctx context.Context, key store.ExperimentKey) error {
	for {
		c.mu.Lock()
		others, taken := c.busy[key]
		if !taken {
			c.busy[key] = make(chan struct{})
		}
		c.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-others:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tryClaim claims an experiment unless somebody has it. The caller has mu.
func (c *Conductor) tryClaim(key store.ExperimentKey) bool {
	if _, taken := c.busy[key]; taken {
		return false
	}
	c.busy[key] = make(chan struct{})
	return true
}

func (c *Conductor) release(key store.ExperimentKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.busy[key])
	delete(c.busy, key)
}

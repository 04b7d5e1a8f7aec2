package conductor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
)

// tailTime is how long the route of an experiment that is over stays without
// weight: routers tell the arm that units have left, for two of their input
// intervals.
const tailTime = 5 * time.Minute

// routed is what routers were told last.
type routed struct {
	weight, before int
	changedAt      time.Time
	epoch          uint64
	mirror         bool
	// version is the first snapshot that says so, 0 while none does, and at is since
	// when they ought to know.
	version uint64
	at      time.Time
}

// tail is the route of an experiment that is over.
type tail struct {
	spec  experiment.Spec
	route policy.Route
	until time.Time
}

// publishing makes snapshots one after the other.
type publishing struct {
	turn chan struct{}
	// done is the change that was published last. Only who has turn writes it.
	done uint64
}

// publish brings what changed to the data path. Those who come while another one
// publishes find that done, or do it together.
func (c *Conductor) publish(ctx context.Context) error {
	c.mu.Lock()
	wanted := c.change
	c.mu.Unlock()
	select {
	case c.publishing.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.publishing.turn }()
	if c.publishing.done >= wanted {
		return nil
	}
	c.mu.Lock()
	at, promoted := c.change, slices.Clone(c.promoted)
	e := c.experiments()
	c.mu.Unlock()
	err := c.settings.Publisher.SetExperiments(ctx, e, promoted...)
	if err != nil && (len(promoted) > 0 || ctx.Err() != nil) {
		return err
	}
	c.publishing.done = at
	c.published(len(promoted), c.settings.Publisher.Status())
	return nil
}

// published notes what the data path was told, and which experiments it could
// not be told of: they fail.
func (c *Conductor) published(promoted int, status publish.Status) {
	refused := map[string]string{}
	for _, l := range status.ExperimentsLeftOut {
		refused[l.ID] = l.Problem
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.promoted = slices.Delete(c.promoted, 0, promoted)
	for _, r := range c.sorted {
		if r.route.version == 0 {
			r.route.version = status.Version
		}
		if problem := refused[r.spec.ID]; problem != "" && r.state.Phase.Holds() {
			r.failure = "it cannot be published: " + problem
		}
	}
}

// experiments are the rules and routes of all, by id. The caller has mu.
func (c *Conductor) experiments() publish.Experiments {
	now := c.settings.Now()
	e := publish.Experiments{Routes: make([]policy.Route, 0, len(c.sorted)+len(c.tails))}
	for _, r := range c.sorted {
		if route, there := r.routeNow(now); there {
			e.Routes = append(e.Routes, route)
		}
		if r.state.Phase.Holds() && r.problem == "" {
			e.Rules = append(e.Rules, r.rules...)
		}
	}
	if len(c.tails) > 0 {
		for _, t := range c.tails {
			e.Routes = append(e.Routes, t.route)
		}
		slices.SortFunc(e.Routes, func(a, b policy.Route) int { return strings.Compare(a.Experiment, b.Experiment) })
	}
	return e
}

// routeNow is the route that follows from the state. One that is over keeps it
// while units come back. The caller has mu.
func (r *run) routeNow(now time.Time) (policy.Route, bool) {
	comesBack := r.spec.Mode == experiment.ModeSplit && r.state.Phase.Final() && r.state.Phase != experiment.PhasePromoted &&
		!r.route.changedAt.IsZero()
	if !r.state.Phase.Holds() && !comesBack {
		return policy.Route{}, false
	}
	if r.route.epoch != r.state.Lease.Epoch || r.route.mirror != r.state.Mirror {
		r.route.epoch, r.route.mirror, r.route.version = r.state.Lease.Epoch, r.state.Mirror, 0
	}
	if weight := r.state.Weights.Candidate; r.spec.Mode == experiment.ModeSplit && weight != r.route.weight {
		r.route.before, r.route.weight, r.route.changedAt, r.route.version = r.route.weight, weight, now, 0
	}
	return policy.Route{
		Experiment: r.spec.ID, Epoch: r.state.Lease.Epoch, Signal: string(r.spec.Signal), Mode: string(r.spec.Mode),
		Scope: r.scope, Metrics: r.spec.Metrics, Unit: string(r.spec.Unit.Kind), Attribute: r.spec.Unit.Attribute,
		Weight: r.route.weight, Before: r.route.before, ChangedAt: r.route.changedAt, Mirror: r.state.Mirror,
		MaxErrorRatio: r.maxErrorRatio(), Lease: r.lease,
	}, true
}

// maxErrorRatio is the part of the candidate's batches that may fail: what the
// guardrail allows, if it may roll back.
func (r *run) maxErrorRatio() float64 {
	for _, g := range r.spec.Guardrails {
		if g.Measure == experiment.MeasureErrors && g.Critical && !g.DryRun {
			return min(*g.AllowedChange, 1)
		}
	}
	return 0
}

// tailOf is what stays of the route of a split that is over: the weight that its
// units come back from.
func tailOf(r *run, now time.Time) (tail, bool) {
	route, there := r.routeNow(now)
	if !there {
		return tail{}, false
	}
	return tail{spec: r.spec, route: route, until: now.Add(tailTime)}, true
}

// dropTails makes room for an experiment. The caller has mu.
func (c *Conductor) dropTails(r *run) {
	before := len(c.tails)
	c.tails = slices.DeleteFunc(c.tails, func(t tail) bool {
		overlap, _ := experiment.Overlap(t.spec, r.spec)
		return overlap || t.spec.ID == r.spec.ID
	})
	if len(c.tails) != before {
		c.change++
	}
}

// trimTails drops tails whose time is over.
func (c *Conductor) trimTails() {
	now := c.settings.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.tails)
	c.tails = slices.DeleteFunc(c.tails, func(t tail) bool { return !now.Before(t.until) })
	if len(c.tails) != before {
		c.change++
	}
}

func byID(r, other *run) int { return cmp.Compare(r.spec.ID, other.spec.ID) }

// insert adds an experiment. The caller has mu.
func (c *Conductor) insert(r *run) {
	if old := c.runs[r.key]; old != nil {
		c.remove(old)
	}
	c.runs[r.key] = r
	at, _ := slices.BinarySearchFunc(c.sorted, r, byID)
	c.sorted = slices.Insert(c.sorted, at, r)
	c.scopes.set(r, r.state.Phase.Holds())
	c.change++
}

// remove lets go of an experiment. The caller has mu.
func (c *Conductor) remove(r *run) {
	if c.runs[r.key] != r {
		return
	}
	delete(c.runs, r.key)
	if at, found := slices.BinarySearchFunc(c.sorted, r, byID); found {
		c.sorted = slices.Delete(c.sorted, at, at+1)
	}
	c.scopes.set(r, false)
	c.tellWatchers(r.key)
	c.change++
}

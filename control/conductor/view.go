package conductor

import (
	"fmt"
	"slices"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
)

// View is an experiment as it is in memory, which is newer than what is stored.
// Nobody may change what it refers to.
type View struct {
	// Spec has its defaults.
	Spec  experiment.Spec
	State experiment.State
	// Warnings say what of the pipelines the experiment needs and does not find.
	Warnings []string
	// PromotedPolicy is the policy that it became, such as policies/shop/drop-pod.
	PromotedPolicy string
}

// patience is how long the data path may take before a warning says so.
const patience = 5 * time.Second

// View returns an experiment that is scheduled, running or paused. All others are
// only in the store.
func (c *Conductor) View(key store.ExperimentKey) (View, bool) {
	c.mu.Lock()
	r := c.runs[key]
	if r == nil {
		c.mu.Unlock()
		return View{}, false
	}
	v := View{Spec: r.spec, State: r.state, PromotedPolicy: r.promoted}
	v.Warnings = r.ownWarnings(c.settings.Now())
	version, at, holds := r.route.version, r.route.at, r.state.Phase.Holds()
	c.mu.Unlock()
	v.Warnings = append(v.Warnings, c.Warnings(r.spec)...)
	if holds && version > 0 && c.settings.Now().Sub(at) > patience {
		v.Warnings = append(v.Warnings, c.behind(r.spec.Signal, version)...)
	}
	return v, true
}

// ownWarnings are those about the experiment itself. The caller has mu.
func (r *run) ownWarnings(now time.Time) []string {
	var list []string
	if problem := r.fails(); problem != "" {
		list = append(list, problem)
	}
	if r.queryProblem != "" {
		list = append(list, r.queryProblem)
	}
	if r.blocked != "" {
		list = append(list, r.blocked)
	}
	if len(r.owed) > 0 || r.unsure || r.changed && now.Sub(r.saved) > experiment.LeaseDuration {
		list = append(list, "its present state is not stored, because the store does not answer")
	}
	return list
}

// Warnings says what an experiment needs and the pipelines do not have.
func (c *Conductor) Warnings(spec experiment.Spec) []string {
	spec = spec.WithDefaults()
	var list []string
	routed := false
	for _, r := range c.settings.Sources.Routers() {
		routed = routed || r.Signal == string(spec.Signal)
	}
	if !routed {
		list = append(list, fmt.Sprintf("no ab_router of %s has registered: give one the option control", spec.Signal))
	}
	if spec.Signal != experiment.SignalMetrics {
		return list
	}
	ends := c.settings.Sources.Arms()
	for _, arm := range armNames {
		if !slices.ContainsFunc(ends, func(r report.ArmRegistration) bool { return r.Arm == string(arm) }) {
			list = append(list, fmt.Sprintf("nobody measures the %s: put a cardinality processor with arm: %s at the end of its pipeline", arm, arm))
		}
	}
	applied := false
	for _, r := range c.settings.Sources.Candidates() {
		applied = applied || r.Role == string(policy.RoleCandidate)
	}
	if !applied {
		list = append(list, "no tag_consolidation of the role candidate has registered: the candidate's rules have no effect")
	}
	return list
}

// behind names the routers that have not taken over a snapshot.
func (c *Conductor) behind(signal experiment.Signal, version uint64) []string {
	var list []string
	for _, r := range c.settings.Sources.Routers() {
		if has := r.Source.PolicyVersion(); r.Signal == string(signal) && has < version {
			list = append(list, fmt.Sprintf("the router %s has version %d of the policies, and not yet %d", r.Component, has, version))
		}
	}
	return list
}

// Watch tells of changes of an experiment from now on, of many at once only
// once, until it is cancelled. What changed is in View, or in the store if it is
// over.
func (c *Conductor) Watch(key store.ExperimentKey) (changed <-chan struct{}, cancel func()) {
	news := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watchers[key] == nil {
		c.watchers[key] = map[chan struct{}]struct{}{}
	}
	c.watchers[key][news] = struct{}{}
	return news, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if delete(c.watchers[key], news); len(c.watchers[key]) == 0 {
			delete(c.watchers, key)
		}
	}
}

// tellWatchers tells who watches that something changed. The caller has mu.
func (c *Conductor) tellWatchers(key store.ExperimentKey) {
	for news := range c.watchers[key] {
		select {
		case news <- struct{}{}:
		default: // it has not been read yet
		}
	}
}

// Stats counts for metrics.
type Stats struct {
	// Phases counts the experiments in memory by phase.
	Phases map[experiment.Phase]int
	// Unstored counts those whose newest state the store does not have, Behind is
	// for how long the oldest of them has not been stored.
	Unstored int
	Behind   time.Duration
	// QueryBytes is the memory for judging queries.
	QueryBytes int64
	// Conducts says whether this control plane does.
	Conducts bool
}

// Stats counts.
func (c *Conductor) Stats() Stats {
	s := Stats{Phases: map[experiment.Phase]int{}, Conducts: c.seat.held()}
	now := c.settings.Now()
	var judges []Queries
	c.mu.Lock()
	for _, r := range c.sorted {
		s.Phases[r.state.Phase]++
		if r.changed || len(r.owed) > 0 {
			s.Unstored++
			s.Behind = max(s.Behind, now.Sub(r.saved))
		}
		if r.queries != nil {
			judges = append(judges, r.queries)
		}
	}
	c.mu.Unlock()
	for _, q := range judges {
		s.QueryBytes += q.MemoryBytes()
	}
	return s
}

// Near are those that hold a scope which a specification may overlap, by id.
func (c *Conductor) Near(spec experiment.Spec) []experiment.Active {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scopes.near(spec)
}

package abrouterconnector

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

// compiler makes views, one after the other. It is used by one goroutine.
type compiler struct {
	config    *Config
	signal    string
	startedAt time.Time
	static    []policy.Route
	// last is the newest view's routes by experiment, those that leave among them;
	// gone is when such a route is dropped for good.
	last       map[string]*route
	table      *routing.Table
	made       []entry // what table was made of
	gone       map[string]time.Time
	generation uint64
}

// maySplit says whether there is, or control may send, an experiment that splits.
func (c *compiler) maySplit() bool {
	return c.config.Control != nil || slices.ContainsFunc(c.static, func(r policy.Route) bool { return r.Mode == modeSplit })
}

// The ranks by which routes win whose scopes overlap. Control starts nothing where
// another experiment is, but routers keep those that have ended for a while.
const (
	rankStatic = iota
	rankPromoted
	rankControl
	rankLeaving
)

// compile makes the view of a snapshot, which is nil without control. Routes that
// cannot be routed are left out and counted; the error, if any, joins what is
// wrong with them.
func (c *compiler) compile(s *policy.Snapshot, now time.Time) (*view, int, error) {
	c.generation++
	entries := c.entries(s, now)
	table, err := c.tableOf(entries)
	if err != nil { // the conditions of a scope are unique, and so are ids here
		return nil, len(entries), err
	}
	v := &view{snapshot: s, table: table, routes: make([]*route, 0, len(entries))}
	next := make(map[string]*route, len(entries))
	var errs []error
	for i := range entries {
		e := &entries[i]
		if e.err != nil {
			errs = append(errs, fmt.Errorf("experiment %q: %w", e.route.Experiment, e.err))
			continue
		}
		rt := &route{Route: *e.route, state: c.state(e.route, now), generation: c.generation, leaves: e.leaves}
		next[rt.Experiment] = rt
		v.routes = append(v.routes, rt)
		v.splits = v.splits || rt.Mode == modeSplit
		v.mirrors = v.mirrors || rt.Mode == modeMirror
	}
	c.table, c.made, c.last = table, entries, next
	return v, len(errs), errors.Join(errs...)
}

// entry is a route on its way into a table.
type entry struct {
	route  *policy.Route
	rank   int
	leaves *leaving
	// experiment is what the table has of it, unless err says why it cannot.
	experiment routing.Experiment
	err        error
}

// entries are the routes that are to be in force. A static one goes before one
// of control with the same id. What cannot be routed counts as not sent.
func (c *compiler) entries(s *policy.Snapshot, now time.Time) []entry {
	list := make([]entry, 0, len(c.made)+1)
	there := make(map[string]struct{}, len(c.made)+1)
	add := func(e entry) {
		if _, twice := there[e.route.Experiment]; twice {
			return
		}
		if at := len(list); at < len(c.made) && alike(&e, &c.made[at]) {
			e.experiment, e.err = c.made[at].experiment, c.made[at].err
		} else {
			e.experiment, e.err = experimentOf(e.route)
		}
		if e.err == nil {
			there[e.route.Experiment] = struct{}{}
		}
		list = append(list, e)
	}
	for i := range c.static {
		add(entry{route: &c.static[i], rank: rankStatic})
	}
	if s != nil {
		for i := range s.Routes {
			if s.Routes[i].Signal == c.signal {
				add(entry{route: &s.Routes[i], rank: rankControl})
			}
		}
	}
	for _, rt := range c.leaving(s, there, now) {
		rank := rankLeaving
		if rt.leaves.promoted {
			rank = rankPromoted
		}
		add(entry{route: &rt.Route, rank: rank, leaves: rt.leaves})
	}
	return list
}

// tableOf makes a table of what is right of the entries. Most new policies change
// weights only: then the table is the one that there is (BenchmarkCompile).
func (c *compiler) tableOf(entries []entry) (*routing.Table, error) {
	if c.table != nil && slices.EqualFunc(entries, c.made, func(a, b entry) bool { return alike(&a, &b) }) {
		return c.table, nil
	}
	list := make([]routing.Experiment, 0, len(entries))
	for i := range entries {
		if e := &entries[i]; e.err == nil {
			e.experiment.Rank, e.experiment.Tag = e.rank, len(list)
			list = append(list, e.experiment)
		}
	}
	return routing.Compile(list)
}

// alike says whether a table has the same of both.
func alike(a, b *entry) bool {
	x, y := a.route, b.route
	return a.rank == b.rank && x.Experiment == y.Experiment && x.Mode == y.Mode && x.Unit == y.Unit && x.Attribute == y.Attribute &&
		validWeight(x) == validWeight(y) && maps.Equal(x.Scope, y.Scope) && slices.Equal(x.Metrics, y.Metrics)
}

// state is that of the route's epoch.
func (c *compiler) state(r *policy.Route, now time.Time) *routeState {
	old := c.last[r.Experiment]
	if old != nil && old.state.epoch == r.Epoch {
		return old.state
	}
	s := &routeState{experiment: r.Experiment, epoch: r.Epoch, since: now}
	switch {
	case old != nil: // the assignment goes on
		s.assigned.Store(old.state.assigned.Load())
	case !r.ChangedAt.IsZero() && r.ChangedAt.Before(c.startedAt): // it changed before this process saw it
		s.assigned.Store(&assignment{weight: r.Weight, before: r.Before, changedAt: r.ChangedAt, generation: c.generation})
	case r.ChangedAt.IsZero(): // static, or never changed
		s.assigned.Store(&assignment{weight: r.Weight, before: r.Weight, generation: c.generation})
	default:
		s.assigned.Store(&assignment{weight: r.Before, before: r.Before, live: true, generation: c.generation})
	}
	return s
}

// leaving are the routes that control sends no more and that are needed: those of
// splits, as long as streams have to be taken from their candidates, and those of
// promoted experiments, until the common processor has taken over from the
// candidate's what it saw to the last point.
func (c *compiler) leaving(s *policy.Snapshot, next map[string]struct{}, now time.Time) (list []*route) {
	phase := phases * c.config.InputInterval
	for id, old := range c.last {
		_, there := next[id]
		if there || old.isMirror() && old.leaves == nil && !promoted(s, id) {
			delete(c.gone, id)
			continue
		}
		rt := *old
		if rt.leaves == nil {
			rt.leaves = &leaving{promoted: promoted(s, id), until: now}
			if rt.leaves.promoted {
				rt.leaves.until = now.Add(c.config.PromotionHold)
			}
			if c.gone == nil {
				c.gone = map[string]time.Time{}
			}
			if c.gone[id] = rt.leaves.until; !old.isMirror() {
				c.gone[id] = rt.leaves.until.Add(phase)
			}
		}
		if now.Before(c.gone[id]) {
			list = append(list, &rt)
		} else {
			delete(c.gone, id)
		}
	}
	slices.SortFunc(list, func(a, b *route) int { return strings.Compare(a.Experiment, b.Experiment) })
	return list
}

// due says whether a view has to be made because the time of a route is over.
func (c *compiler) due(now time.Time) bool {
	for _, until := range c.gone {
		if !now.Before(until) {
			return true
		}
	}
	return false
}

// promoted says whether rules of the experiment are in force for all.
func promoted(s *policy.Snapshot, experiment string) bool {
	return s != nil && slices.ContainsFunc(s.Rules, func(r policy.Rule) bool {
		return r.Role == policy.RoleCommon && r.Mode != policy.ModePreview && strings.HasPrefix(r.Name, experiment+"/")
	})
}

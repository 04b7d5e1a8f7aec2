package abrouterconnector

import (
	"errors"
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
	gone       map[string]time.Time
	generation uint64
}

// compile makes the view of a snapshot, which is nil without control. Routes that
// cannot be routed are left out; the error, if any, joins what is wrong with
// them.
func (c *compiler) compile(s *policy.Snapshot, now time.Time) (*view, int, error) {
	c.generation++
	v := &view{snapshot: s}
	next := map[string]*route{}
	var list []routing.Experiment
	var errs []error
	add := func(r policy.Route, rank int, leaves *leaving) {
		if _, twice := next[r.Experiment]; twice {
			return // a static one goes before one of control
		}
		e, err := experimentOf(&r, rank, len(v.routes))
		if err != nil {
			errs = append(errs, errors.New(r.Experiment+": "+err.Error()))
			return
		}
		rt := &route{Route: r, state: c.state(&r, now), generation: c.generation, leaves: leaves}
		next[r.Experiment] = rt
		v.routes, list = append(v.routes, rt), append(list, e)
		v.splits = v.splits || r.Mode == modeSplit
		v.mirrors = v.mirrors || r.Mode == modeMirror
	}
	for _, r := range c.static {
		add(r, 0, nil)
	}
	if s != nil {
		for _, r := range s.Routes {
			if r.Signal == c.signal {
				add(r, 1, nil)
			}
		}
	}
	for _, rt := range c.leaving(s, next, now) {
		add(rt.Route, 1, rt.leaves)
	}
	table, err := routing.Compile(list)
	if err != nil { // the conditions of a scope are unique, and so are ids here
		return nil, len(list), err
	}
	v.table, c.last = table, next
	return v, len(errs), errors.Join(errs...)
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
func (c *compiler) leaving(s *policy.Snapshot, next map[string]*route, now time.Time) (list []*route) {
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

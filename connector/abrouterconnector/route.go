package abrouterconnector

import (
	"time"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

// side is one arm of an experiment.
type side uint8

const (
	toBaseline side = iota
	toCandidate
	sides
)

// view is what a batch is divided by. It is not written to after it was made, but
// for the state of its routes.
type view struct {
	// snapshot is the policy that it was made of, nil without control.
	snapshot *policy.Snapshot
	table    *routing.Table
	// routes are by routing.Experiment.Tag.
	routes []*route
	// splits and mirrors say whether there are routes of either mode.
	splits, mirrors bool
}

// route is an experiment in a view. What lasts from view to view is in state.
type route struct {
	policy.Route
	state *routeState
	// generation numbers the views, so that a batch that still has an old one
	// changes nothing that a newer one decided.
	generation uint64
	// leaves is set when control sends the route no more.
	leaves *leaving
}

// leaving says how long a route is kept that control sends no more: its streams
// are taken from the candidate, or, after a promotion, stay until the common
// processor has taken them over.
type leaving struct {
	promoted bool
	until    time.Time
}

func (rt *route) isMirror() bool { return rt.Mode == modeMirror }

const (
	modeMirror = "mirror"
	modeSplit  = "split"
)

// candidateOpen says whether the candidate may have anything: the lease is held,
// the router itself saw no breach, and the experiment gives it weight or a
// mirror. It costs two atomic loads.
func (rt *route) candidateOpen(now time.Time) bool {
	if rt.Weight == 0 && !rt.Mirror || rt.state.breach.Load() != nil {
		return false
	}
	if rt.leaves != nil {
		return rt.leaves.promoted && now.Before(rt.leaves.until)
	}
	return rt.Lease.Held(now)
}

// weight is the candidate's share now, in percent: 0 unless it is open.
func (rt *route) weight(now time.Time) int {
	if rt.isMirror() || !rt.candidateOpen(now) {
		return 0
	}
	return rt.Weight
}

// assignment returns which units are the candidate's now, and which were before.
// It notices when that changes: because the weight is another, the lease ended,
// the router saw a breach, the experiment ended. Only with split.
func (rt *route) assignment(now time.Time) *assignment {
	weight := rt.weight(now)
	for {
		a := rt.state.assigned.Load()
		if a.weight == weight || a.generation > rt.generation {
			return a
		}
		next := &assignment{weight: weight, before: a.weight, changedAt: now, live: true, generation: rt.generation}
		if rt.leaves != nil && rt.leaves.promoted {
			// What goes to the baseline now are the outputs of the common processor:
			// the same series, which go on.
			next.before = weight
		} else {
			next.moved.follows(a)
		}
		if rt.state.assigned.CompareAndSwap(a, next) {
			return next
		}
	}
}

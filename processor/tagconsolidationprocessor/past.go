package tagconsolidationprocessor

import (
	"slices"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// past is what sets of rules were in force before the present one: an input that
// was let go counts on by another rule if none of its points can have passed in
// between.
type past struct {
	sets []pastSet // from the earliest to the latest
	// since is from when on none is missing.
	since uint64
}

type pastSet struct {
	*ruleset
	until uint64 // when it was replaced
}

// maxPast bounds the sets. Inputs that were let go before the earliest of them
// begin anew.
const maxPast = 16

// followedBy is the past of the set that replaces one at a time.
func (p *past) followedBy(set *ruleset, now uint64) past {
	was := *set
	was.past = past{}
	next := past{sets: append(slices.Clone(p.sets), pastSet{&was, now}), since: p.since}
	if n := len(next.sets) - maxPast; n > 0 {
		next.since = next.sets[n-1].until
		next.sets = next.sets[n:]
	}
	return next
}

var _ consolidation.Coverer = (*feeder)(nil)

// Covered says whether the sets that were in force since a time take the current
// point.
func (f *feeder) Covered(since uint64) bool {
	p := &f.set.past
	return p.since <= since && !slices.ContainsFunc(p.sets, func(s pastSet) bool { return s.until > since && !s.takes(f) })
}

// takes says whether a rule of the set takes the current point of a feeder.
func (s *ruleset) takes(f *feeder) bool {
	d := s.decide(f.metric.Name(), f.metric.Type(), s.tenancy(nil, f.resource))
	for _, i := range d.enforce {
		r := s.rules[i]
		if r.matchesResource(f.resource) && r.matchesPoint(f.attributes) && r.inExperiment(f.resource, f.scope.Attributes(), f.attributes) {
			_, pass := r.passes(f.kind)
			return !pass
		}
	}
	return false
}

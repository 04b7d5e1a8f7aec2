package conductor

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/verdict"
)

// run is an experiment that is scheduled, running or paused, or that is over and
// not stored as such yet.
type run struct {
	key store.ExperimentKey
	// spec is the specification with its defaults. It is not written to.
	spec experiment.Spec
	hash string
	// rules are the candidate's, problem says why they cannot be published.
	rules   []policy.Rule
	problem string
	// scope is that of the route.
	scope map[string]string
	lease *policy.Lease

	// The conductor's mu guards what follows. Only who has claimed the experiment
	// writes it.
	state    experiment.State
	revision store.Revision
	route    routed
	due      due
	// changed is set while the store has an older state, saved is when it last got
	// one, and unstored the evidence that it has not got yet.
	changed  bool
	saved    time.Time
	unstored []byte
	// owed are entries of the audit log for changes that were published before the
	// store had them.
	owed []store.Entry
	// unsure is set while it is not known whether the last change was stored.
	unsure bool
	// failure says why the experiment cannot go on, blocked why its promotion
	// cannot be stored; promoted is the policy that it became.
	failure, blocked, promoted string
	// confirmed is set when the processors were seen to have the rules.
	confirmed bool
	gathered  gathered
	// queries judge the user's queries, nil if they cannot; then queryProblem may
	// say why. listening is set once that was tried since the candidate began.
	queries      Queries
	queryProblem string
	listening    bool

	// What follows belongs to whoever has claimed the experiment.
	judge    *verdict.Judge
	evidence verdict.Evidence // of the last look that was judged
	count    counters
}

// due is when something is to be done for a run.
type due struct {
	look, step time.Time
}

// idOf is the id of an experiment in specifications, routes and rules.
func idOf(key store.ExperimentKey) string { return key.Namespace + "/" + key.Name }

// newRun reads what the store has.
func newRun(stored store.Experiment) (*run, error) {
	spec, err := decodeSpec(stored)
	if err != nil {
		return nil, err
	}
	state, err := experiment.DecodeState(stored.State)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stored.Resource(), err)
	}
	r := &run{
		key: stored.ExperimentKey, spec: spec.WithDefaults(), hash: spec.Hash(),
		rules: spec.CandidateRules(), lease: &policy.Lease{}, state: state, revision: stored.Revision, promoted: stored.PromotedPolicy,
	}
	if _, err := policy.Check(r.rules); err != nil {
		r.problem = err.Error()
	}
	if len(r.rules) > 0 {
		r.scope = r.rules[0].Experiment.Scope // with the levels of the attributes
	} else {
		r.scope = scopeOf(spec)
	}
	if r.judge, err = verdict.Decode(r.spec, stored.Evidence); err != nil || len(stored.Evidence) == 0 {
		r.judge = verdict.New(r.spec)
	}
	return r, nil
}

var errSpecID = errors.New("the specification is that of another experiment")

func decodeSpec(stored store.Experiment) (experiment.Spec, error) {
	var spec experiment.Spec
	if err := json.Unmarshal(stored.Spec, &spec); err != nil {
		return experiment.Spec{}, fmt.Errorf("read the specification of %s: %w", stored.Resource(), err)
	}
	if spec.ID != idOf(stored.ExperimentKey) {
		return experiment.Spec{}, fmt.Errorf("read the specification of %s: %w: %q", stored.Resource(), errSpecID, spec.ID)
	}
	return spec, nil
}

// slowSources says whether a look needs more than the data path's own counts.
func (r *run) slowSources() bool {
	if r.spec.Fidelity != nil {
		return true
	}
	for _, g := range r.spec.Guardrails {
		if g.Query != "" {
			return true
		}
	}
	return false
}

// offset spreads looks over the interval, the same way after each start.
func (r *run) offset() time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.spec.ID)) // it never fails
	return time.Duration(float64(r.spec.Interval) * float64(h.Sum32()%1024) / 1024)
}

// plan says when the experiment is looked at next.
func (r *run) plan(now time.Time, looked bool) {
	interval := r.spec.Interval.Std()
	every := min(experiment.LeaseRenewal, interval)
	if r.state.Phase == experiment.PhaseScheduled {
		every = min(every, time.Second)
	}
	r.due.step = now.Add(every)
	switch {
	case looked && now.Sub(r.due.look) < interval:
		r.due.look = r.due.look.Add(interval) // keeps its place
	case looked, r.due.look.IsZero():
		r.due.look = now.Add(interval)
	}
}

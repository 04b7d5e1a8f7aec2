package publish

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Experiments are all experiments that the data path has to know of. Nobody
// changes what they refer to, but for the leases of the routes.
type Experiments struct {
	// Rules are those of the candidates. Each has the role candidate, an
	// Experiment, and a name that begins with the experiment's id and a slash.
	Rules []policy.Rule
	// Routes are in any order, as rules are; sorted by id costs least. An id is the namespace and the name of the
	// experiment, with a slash between them.
	Routes []policy.Route
}

// ExperimentLeftOut is an experiment that is not in the snapshot.
type ExperimentLeftOut struct {
	// ID is the experiment's id, Problem says why.
	ID, Problem string
}

// SetExperiments publishes the experiments, in place of those before, and the
// policies that committed writes left with them, in one snapshot: a promotion is
// complete or has not begun. Rules of experiments come after those of policies.
//
// Without policies it waits neither for the store nor for others who do, so that
// it takes effect when the store hangs. Before the store was read once the
// experiments wait for the policies. Who calls it makes one call at a time.
//
// An experiment that cannot be published is left out as a whole, its route, too,
// and the error says why; the others are published all the same. So is, without
// an error, one whose namespace and name are those of a policy in force: that is
// what a promotion looks like to a process that reads the policy before it hears
// of the experiment.
func (p *Publisher) SetExperiments(ctx context.Context, e Experiments, changed ...store.Policy) error {
	if len(changed) == 0 {
		p.mu.Lock()
		before := p.trials
		p.mu.Unlock()
		next, err := newTrials(e, before)
		p.mu.Lock()
		differs := !next.does(p.trials)
		p.trials = next
		status, fresh := p.publish(p.content.known && differs)
		p.mu.Unlock()
		p.warnTrials(before, next)
		p.tell(fresh, status)
		return err
	}
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	return p.promote(ctx, e, changed)
}

// promote publishes experiments and policies. The caller has turn.
func (p *Publisher) promote(ctx context.Context, e Experiments, changed []store.Policy) error {
	p.mu.Lock()
	before := p.trials
	p.mu.Unlock()
	next, err := newTrials(e, before)
	if !p.read {
		p.swapTrials(next)
		return errors.Join(err, p.refresh(ctx))
	}
	slices.SortFunc(changed, func(a, b store.Policy) int { return cmp.Compare(a.Version, b.Version) })
	differs := false
	for _, c := range changed {
		if c.Version <= p.storeVersion {
			continue // it was read meanwhile, or something newer was
		}
		if c.Version == p.storeVersion+1 {
			p.storeVersion = c.Version
		} else {
			p.Wake() // there are other changes to know of
		}
		differs = p.catalogue.set(c) || differs
	}
	took := p.took(differs, p.content.kill, next)
	p.warnTrials(before, next)
	return errors.Join(err, took)
}

func (p *Publisher) swapTrials(next *trials) {
	p.mu.Lock()
	p.trials = next
	p.mu.Unlock()
}

// warnTrials logs the experiments that are refused since now.
func (p *Publisher) warnTrials(before, after *trials) {
	for _, l := range after.refused {
		if !slices.Contains(before.refused, l) {
			p.settings.Logger.Warn("An experiment is left out because this version refuses it; abort it, or correct it and start it again",
				zap.String("experiment", l.ID), zap.String("problem", l.Problem))
		}
	}
}

// trials are the experiments, checked and sorted by id. They are not written to.
type trials struct {
	list    []*trial
	refused []ExperimentLeftOut
}

// trial is an experiment that can be published.
type trial struct {
	id string
	// given are the rules as the caller gave them, rules the checked copies.
	given, rules []policy.Rule
	// routed says that there is a route, asked is it as the caller gave it.
	routed       bool
	asked, route policy.Route
}

// newTrials checks the experiments that are not as they were before.
func newTrials(e Experiments, before *trials) (*trials, error) {
	t := &trials{list: make([]*trial, 0, len(e.Routes))}
	var errs error
	refuse := func(id string, err error) {
		t.refused = append(t.refused, ExperimentLeftOut{id, err.Error()})
		errs = errors.Join(errs, fmt.Errorf("experiment %q: %w", id, err))
	}
	old := before.list
	each(e, func(x *trial, err error) {
		for len(old) > 0 && old[0].id < x.id {
			old = old[1:]
		}
		if err == nil && len(old) > 0 && old[0].gave(x) {
			t.list = append(t.list, old[0])
			return
		}
		var checked *trial
		if err == nil {
			checked, err = x.check()
		}
		if err != nil {
			refuse(x.id, err)
			return
		}
		t.list = append(t.list, checked)
	})
	return t, errs
}

// each brings rules and routes together and calls use for each experiment, sorted
// by id. What use gets is valid until it returns.
func each(e Experiments, use func(*trial, error)) {
	rules := sorted(e.Rules, func(r *policy.Rule) string {
		if r.Experiment == nil {
			return ""
		}
		return r.Experiment.ID
	})
	routes := sorted(e.Routes, func(r *policy.Route) string { return r.Experiment })
	var x trial // one for all
	for rules.more() || routes.more() {
		x = trial{}
		if x.id = rules.id(); !rules.more() || routes.more() && routes.id() < x.id {
			x.id = routes.id()
		}
		x.given = rules.take(x.id)
		var err error
		if list := routes.take(x.id); len(list) > 0 {
			x.routed, x.asked = true, list[0]
			if len(list) > 1 {
				err = errors.New("it has two routes")
			}
		}
		use(&x, err)
	}
}

// queue is a list that is sorted by id.
type queue[T any] struct {
	list []T
	of   func(*T) string
}

// sorted returns a list by id, as a copy unless it is sorted already. Those of one
// id stay in their order.
func sorted[T any](list []T, id func(*T) string) *queue[T] {
	inOrder := true
	for i := 1; i < len(list) && inOrder; i++ {
		inOrder = id(&list[i-1]) <= id(&list[i])
	}
	if inOrder {
		return &queue[T]{list, id}
	}
	type place struct { // small, where T is large
		id string
		at int
	}
	places := make([]place, len(list))
	for i := range list {
		places[i] = place{id(&list[i]), i}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(strings.Compare(a.id, b.id), cmp.Compare(a.at, b.at)) })
	copied := make([]T, len(list))
	for i, p := range places {
		copied[i] = list[p.at]
	}
	return &queue[T]{copied, id}
}

func (q *queue[T]) more() bool { return len(q.list) > 0 }

// id is that of the next one, empty if there is none.
func (q *queue[T]) id() string {
	if len(q.list) == 0 {
		return ""
	}
	return q.of(&q.list[0])
}

// take takes those with this id off.
func (q *queue[T]) take(id string) []T {
	n := 0
	for n < len(q.list) && q.of(&q.list[n]) == id {
		n++
	}
	taken := q.list[:n:n]
	q.list = q.list[n:]
	return taken
}

// check checks an experiment and copies it with what it refers to.
func (x *trial) check() (*trial, error) {
	if x.id == "" && len(x.given) > 0 {
		return nil, fmt.Errorf("rule %q belongs to no experiment", x.given[0].Name)
	}
	if namespace, name, ok := strings.Cut(x.id, "/"); !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, errors.New("its id is not a namespace and a name with a slash between them")
	}
	for i := range x.given {
		r := &x.given[i]
		if r.Role != policy.RoleCandidate {
			return nil, fmt.Errorf("the role of rule %q is %q", r.Name, r.Role)
		}
		if !strings.HasPrefix(r.Name, x.id+"/") {
			return nil, fmt.Errorf("the name of rule %q does not begin with %q", r.Name, x.id+"/")
		}
	}
	checked, err := policy.Check(x.given)
	if err != nil {
		return nil, err
	}
	s, err := policy.Assemble(0, []policy.Checked{checked})
	if err != nil {
		return nil, err
	}
	copied := *x
	copied.given, copied.rules, copied.route = slices.Clone(x.given), s.Rules, x.asked
	copied.route.Scope, copied.route.Metrics = maps.Clone(x.asked.Scope), slices.Clone(x.asked.Metrics)
	return &copied, nil
}

// gave says whether x was made of the same as other.
func (x *trial) gave(other *trial) bool {
	if x.id != other.id || x.routed != other.routed || len(x.given) != len(other.given) || x.asked.Lease != other.asked.Lease {
		return false
	}
	for i := range x.given {
		if !equal(&x.given[i], &other.given[i]) {
			return false
		}
	}
	if same(&x.asked, &other.asked) {
		return true
	}
	a, b := x.asked, other.asked
	a.Lease, b.Lease = nil, nil // of which only the pointer counts
	return reflect.DeepEqual(a, b)
}

// equal compares two values that nobody changes.
func equal[T any](a, b *T) bool { return same(a, b) || reflect.DeepEqual(a, b) }

// same says whether two values have the same bytes, so that they also refer to
// the same. It spares following what 10,000 rules refer to: BenchmarkExperiments,
// one changed against in other memory.
func same[T any](a, b *T) bool {
	bytesOf := func(v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) } //nolint:gosec // it is that large
	return bytes.Equal(bytesOf(a), bytesOf(b))
}

// does says whether two sets of experiments are published as the same.
func (t *trials) does(other *trials) bool {
	return slices.Equal(t.list, other.list) && slices.Equal(t.refused, other.refused)
}

// appendTo adds rules and routes to a snapshot, but for the experiments whose ids
// are taken, and returns those.
func (t *trials) appendTo(s *policy.Snapshot, taken map[string]bool) (leftOut []ExperimentLeftOut) {
	rules := 0
	for _, x := range t.list {
		rules += len(x.rules)
	}
	if len(t.list) > 0 {
		s.Rules = slices.Grow(slices.Clip(s.Rules), rules)
		s.Routes = make([]policy.Route, 0, len(t.list))
	}
	for _, x := range t.list {
		if taken[x.id] {
			leftOut = append(leftOut, ExperimentLeftOut{x.id, "a policy in force has its namespace and name"})
			continue
		}
		s.Rules = append(s.Rules, x.rules...)
		if x.routed {
			s.Routes = append(s.Routes, x.route)
		}
	}
	return slices.Concat(t.refused, leftOut)
}

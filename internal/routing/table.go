package routing

import (
	"errors"
	"fmt"
	"slices"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Table finds experiments. It is immutable; nil finds none.
type Table struct {
	experiments []Experiment
	resources   index[*node]
}

// node holds the experiments whose conditions on the resource are the same.
type node struct {
	all      leaf             // those for all metrics
	byMetric map[string]*leaf // those that name their metrics
}

// leaf holds the experiments that are told apart by the point only.
type leaf struct {
	always *Experiment // without a condition on the point; the others never win
	points index[*Experiment]
}

// Compile makes a table. It reports all mistakes at once.
func Compile(experiments []Experiment) (*Table, error) {
	t := &Table{experiments: slices.Clone(experiments)}
	slices.SortStableFunc(t.experiments, before)
	var errs error
	ids := make(map[string]struct{}, len(t.experiments))
	for i := range t.experiments {
		e := &t.experiments[i]
		e.order, e.salt = i, xxh3.HashStringSeed(e.ID, seedExperiment)
		e.Resource, e.Point = sorted(e.Resource), sorted(e.Point)
		if _, twice := ids[e.ID]; twice {
			errs = errors.Join(errs, fmt.Errorf("experiment %q: is given twice", e.ID))
		}
		ids[e.ID] = struct{}{}
		errs = errors.Join(errs, e.check())
	}
	if errs != nil {
		return nil, errs
	}
	for i := range t.experiments {
		t.add(&t.experiments[i])
	}
	t.resources.finish()
	t.resources.all(func(n *node) {
		n.all.points.finish()
		for _, l := range n.byMetric {
			l.points.finish()
		}
	})
	return t, nil
}

func (t *Table) add(e *Experiment) {
	at := t.resources.put(e.Resource)
	if *at == nil {
		*at = &node{}
	}
	n := *at
	if len(e.Metrics) == 0 {
		n.all.add(e)
		return
	}
	if n.byMetric == nil {
		n.byMetric = make(map[string]*leaf, len(e.Metrics))
	}
	for _, name := range e.Metrics {
		l := n.byMetric[name]
		if l == nil {
			l = &leaf{}
			n.byMetric[name] = l
		}
		l.add(e)
	}
}

// add is called in the order in which experiments win.
func (l *leaf) add(e *Experiment) {
	if len(e.Point) == 0 {
		if l.always == nil {
			l.always = e
		}
		return
	}
	if at := l.points.put(e.Point); *at == nil {
		*at = e
	}
}

// Len is the number of experiments.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return len(t.experiments)
}

// Resource finds the experiments whose conditions on a resource hold.
func (t *Table) Resource(attributes pcommon.Map) (m Match) {
	if t != nil {
		t.resources.find(attributes, &m.nodes)
	}
	return m
}

// Match are the experiments that a resource may belong to. It allocates only if
// the conditions on more than three sets of keys hold at once.
type Match struct{ nodes few[*node] }

// None says that no experiment can hold.
func (m *Match) None() bool { return m.nodes.n == 0 }

// Whole returns the experiment, if any, that all of the resource belongs to. ok
// is false if metrics or points have to be looked at.
func (m *Match) Whole() (e *Experiment, ok bool) {
	for i := range m.nodes.n {
		n := m.nodes.at(i)
		if n.byMetric != nil || !n.all.points.empty() {
			return nil, false
		}
		e = first(e, n.all.always)
	}
	return e, true
}

// Metric narrows the match down to a metric.
func (m *Match) Metric(name string) (p Points) {
	for i := range m.nodes.n {
		n := m.nodes.at(i)
		if l := n.byMetric[name]; l != nil {
			p.leaves.add(l)
		}
		if n.all.always != nil || !n.all.points.empty() {
			p.leaves.add(&n.all)
		}
	}
	return p
}

// Point finds the experiment of a span or a log record, or nil. Experiments that
// name metrics have neither.
func (m *Match) Point(attributes pcommon.Map) (e *Experiment) {
	for i := range m.nodes.n {
		e = first(e, m.nodes.at(i).all.find(attributes))
	}
	return e
}

// Points are the experiments that the points of a metric may belong to.
type Points struct{ leaves few[*leaf] }

// None says that no experiment can hold.
func (p *Points) None() bool { return p.leaves.n == 0 }

// Whole returns the experiment, if any, that all points belong to. ok is false if
// they have to be looked at.
func (p *Points) Whole() (e *Experiment, ok bool) {
	for i := range p.leaves.n {
		l := p.leaves.at(i)
		if !l.points.empty() {
			return nil, false
		}
		e = first(e, l.always)
	}
	return e, true
}

// Point finds the experiment of a point, or nil.
func (p *Points) Point(attributes pcommon.Map) (e *Experiment) {
	for i := range p.leaves.n {
		e = first(e, p.leaves.at(i).find(attributes))
	}
	return e
}

func (l *leaf) find(attributes pcommon.Map) *Experiment {
	if l.points.empty() {
		return l.always
	}
	var found few[*Experiment]
	l.points.find(attributes, &found)
	e := l.always
	for i := range found.n {
		e = first(e, found.at(i))
	}
	return e
}

// first returns the experiment that wins. Either may be nil.
func first(a, b *Experiment) *Experiment {
	if a == nil || b != nil && b.order < a.order {
		return b
	}
	return a
}

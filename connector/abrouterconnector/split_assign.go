package abrouterconnector

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// assigner decides about one batch. It looks and counts; move acts. It is used
// by one goroutine, and again for later batches.
type assigner struct {
	s        *splitter
	view     *view
	now      time.Time
	tally    *tally
	division division

	// verdicts are those on resources; codes has one for each point of those
	// that are divided, in the order of the batch.
	verdicts []verdict
	codes    []code

	of      participant
	place   place
	matched routing.Match
}

// reset forgets the batch and keeps the memory.
func (a *assigner) reset() {
	*a = assigner{s: a.s, verdicts: a.verdicts[:0], codes: a.codes[:0]}
}

// participant is the experiment that points were last found to belong to.
type participant struct {
	experiment *routing.Experiment
	route      *route
	assignment *assignment
	// moving is the assignment, or an earlier one, whose moved streams still have
	// to be told from others. Nil: none.
	moving *assignment
	// splits: units are told apart. Otherwise all is the baseline's.
	splits bool
}

// participant looks up an experiment once, as long as it stays the same.
func (a *assigner) participant(e *routing.Experiment) *participant {
	p := &a.of
	if p.experiment == e {
		return p
	}
	*p = participant{experiment: e, route: a.view.routes[e.Tag]}
	if p.route.isMirror() {
		return p
	}
	p.assignment = p.route.assignment(a.now)
	p.moving = p.assignment.within(a.now, a.s.overlaps.phase)
	p.splits = p.assignment.weight > 0 || p.moving != nil
	return p
}

// count counts points that are given to an arm.
func (a *assigner) count(p *participant, to side, points int) {
	if !p.route.isMirror() {
		a.tally.add(a.view, p.experiment.Tag, to, points)
	}
}

// resource decides about a resource.
func (a *assigner) resource(rm pmetric.ResourceMetrics) verdict {
	attributes := rm.Resource().Attributes()
	a.matched = a.view.table.Resource(attributes)
	if a.matched.None() {
		return stays
	}
	a.place = place{resource: attributes}
	if e, ok := a.matched.Whole(); ok {
		if e == nil {
			return stays
		}
		p := a.participant(e)
		if !p.splits {
			a.count(p, toBaseline, pointsOf(rm))
			return stays
		}
		if unit, has, ok := a.unitOfResource(p); ok {
			to := p.assign(unit, has)
			if !has || a.left(p, unit, to) == nil {
				a.count(p, to, pointsOf(rm))
				return verdict(to)
			}
		}
	}
	return a.points(rm)
}

// points decides about each point of a resource. What has no point stays with the
// baseline unless all of the resource goes.
func (a *assigner) points(rm pmetric.ResourceMetrics) verdict {
	from := len(a.codes)
	for _, sm := range rm.ScopeMetrics().All() {
		a.place.enter(sm.Scope())
		for _, m := range sm.Metrics().All() {
			a.metric(m)
		}
	}
	codes := a.codes[from:]
	all := code(0)
	candidates := 0
	for _, c := range codes {
		all |= c
		candidates += int(c & codeCandidate)
	}
	switch {
	case all&codeMarks != 0:
		return divided
	case candidates == 0:
		a.codes = a.codes[:from]
		return stays
	case candidates == len(codes):
		a.codes = a.codes[:from]
		return goes
	}
	return divided
}

// metric decides about the points of a metric.
func (a *assigner) metric(m pmetric.Metric) {
	points, ok := walk.Of(m)
	if !ok {
		return
	}
	a.place.metric, a.place.points = m, points
	a.place.hash.metric.known = false
	found := a.matched.Metric(m.Name())
	e, whole := found.Whole()
	if whole && e == nil {
		a.fill(points.Len(), 0)
		return
	}
	if whole {
		a.run(e, points.Len())
		return
	}
	for i := range points.Len() {
		if e := found.Point(points.Attributes(i)); e != nil {
			a.point(a.participant(e), i)
		} else {
			a.codes = append(a.codes, 0)
		}
	}
}

// run decides about all points of a metric, which belong to one experiment.
func (a *assigner) run(e *routing.Experiment, n int) {
	p := a.participant(e)
	if !p.splits {
		a.count(p, toBaseline, n)
		a.fill(n, 0)
		return
	}
	if unit, has, ok := a.unitOfResource(p); ok {
		to := p.assign(unit, has)
		if !has || a.left(p, unit, to) == nil {
			a.count(p, to, n)
			a.fill(n, code(to))
			return
		}
	}
	for i := range n {
		a.point(p, i)
	}
}

func (a *assigner) fill(n int, c code) {
	for range n {
		a.codes = append(a.codes, c)
	}
}

// point decides about a point of an experiment.
func (a *assigner) point(p *participant, i int) {
	if !p.splits {
		a.count(p, toBaseline, 1)
		a.codes = append(a.codes, 0)
		return
	}
	unit, has := a.unit(p, i)
	to := p.assign(unit, has)
	a.count(p, to, 1)
	c := code(to)
	if has && p.moving != nil {
		c |= a.marks(p, unit, to, i)
	}
	a.codes = append(a.codes, c)
}

// assign returns the arm of a unit. What has no unit is the baseline's.
func (p *participant) assign(unit uint64, has bool) side {
	if !has {
		return toBaseline
	}
	to := armOf(unit, p.assignment.weight)
	p.assignment.units[to].add(unit)
	return to
}

// armOf is the arm of a unit at a weight.
func armOf(unit uint64, weight int) side {
	if routing.Candidate(unit, weight) {
		return toCandidate
	}
	return toBaseline
}

// unitOfResource is the unit of all points of the resource, if has. ok is false if
// points of one resource may be of several units.
func (a *assigner) unitOfResource(p *participant) (unit uint64, has, ok bool) {
	e := p.experiment
	switch {
	case e.Unit == routing.UnitResource:
		return e.ResourceUnit(a.place.resourceHash()), true, true
	case e.Unit == routing.UnitAttribute && e.UnitAttribute.Level == routing.LevelResource:
		value, has := a.place.resource.Get(e.UnitAttribute.Key)
		if has {
			unit = e.AttributeUnit(value)
		}
		return unit, has, true
	}
	return 0, false, false
}

// unit is that of a point.
func (a *assigner) unit(p *participant, i int) (unit uint64, has bool) {
	e := p.experiment
	switch e.Unit {
	case routing.UnitSeries:
		return e.SeriesUnit(a.place.seriesHash(i)), true
	case routing.UnitAttribute:
		value, ok := e.UnitValue(a.place.resource, a.place.scope.Attributes(), a.place.points.Attributes(i))
		if !ok {
			return 0, false
		}
		return e.AttributeUnit(value), true
	case routing.UnitResource:
		return e.ResourceUnit(a.place.resourceHash()), true
	case routing.UnitNone, routing.UnitTrace: // metrics have no such units
	}
	return 0, false
}

// place is where in the batch the assigner is. Hashes are computed when they are
// asked for, and once.
type place struct {
	resource pcommon.Map
	scope    pcommon.InstrumentationScope
	metric   pmetric.Metric
	points   walk.Points
	hash     struct{ resource, scope, metric partHash }
}

type partHash struct {
	sum   uint64
	known bool
}

// enter goes to another scope.
func (p *place) enter(scope pcommon.InstrumentationScope) {
	p.scope = scope
	p.hash.scope.known, p.hash.metric.known = false, false
}

func (p *place) resourceHash() uint64 {
	if h := &p.hash.resource; !h.known {
		h.sum, h.known = routing.ResourceHash(p.resource), true
	}
	return p.hash.resource.sum
}

// seriesHash is that of the series of a point of the metric.
func (p *place) seriesHash(i int) uint64 {
	h := &p.hash
	if !h.scope.known {
		h.scope.sum, h.scope.known = p.resourceHash()+routing.ScopeHash(p.scope), true
	}
	if !h.metric.known {
		h.metric.sum, h.metric.known = h.scope.sum+routing.MetricHash(p.metric.Name(), p.metric.Unit(), &p.points), true
	}
	return h.metric.sum + routing.PointHash(p.points.Attributes(i))
}

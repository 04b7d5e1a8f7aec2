package abrouterconnector

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/routing"
)

// itemDivider divides spans or log records. Every one of them stands for itself,
// so that nothing needs to be seen off when the weight changes.
type itemDivider struct {
	view  *view
	now   time.Time
	tally *tally
}

// assignment is that of an experiment that splits; nil if it does not.
func (d *itemDivider) assignment(e *routing.Experiment) *assignment {
	if e == nil || d.view.routes[e.Tag].isMirror() {
		return nil
	}
	return d.view.routes[e.Tag].assignment(d.now)
}

// whole says where all of a resource goes, if that does not depend on the item.
func (d *itemDivider) whole(e *routing.Experiment, resource pcommon.Map) (to side, all bool) {
	a := d.assignment(e)
	if a == nil || a.weight == 0 {
		return toBaseline, true
	}
	var unit uint64
	switch {
	case e.Unit == routing.UnitResource:
		unit = e.ResourceUnit(routing.ResourceHash(resource))
	case e.Unit == routing.UnitAttribute && e.UnitAttribute.Level == routing.LevelResource:
		value, there := resource.Get(e.UnitAttribute.Key)
		if !there {
			return toBaseline, true
		}
		unit = e.AttributeUnit(value)
	default:
		return toBaseline, false
	}
	return d.assign(a, unit), true
}

// assign counts a unit and says in which arm it is.
func (d *itemDivider) assign(a *assignment, unit uint64) side {
	to := toBaseline
	if routing.Candidate(unit, a.weight) {
		to = toCandidate
	}
	a.units[to].add(unit)
	return to
}

// item says where an item goes, and counts it.
func (d *itemDivider) item(e *routing.Experiment, resource, scope, own pcommon.Map, trace pcommon.TraceID) side {
	a := d.assignment(e)
	if a == nil {
		return toBaseline
	}
	to := toBaseline
	if a.weight > 0 {
		if unit, has := unitOfItem(e, resource, scope, own, trace); has {
			to = d.assign(a, unit)
		}
	}
	d.count(e, to, 1)
	return to
}

// unitOfItem is the unit that an item is of; what has none stays with the
// baseline.
func unitOfItem(e *routing.Experiment, resource, scope, own pcommon.Map, trace pcommon.TraceID) (uint64, bool) {
	switch e.Unit {
	case routing.UnitResource:
		return e.ResourceUnit(routing.ResourceHash(resource)), true
	case routing.UnitTrace:
		return e.TraceUnit(trace)
	case routing.UnitAttribute:
		if value, there := e.UnitValue(resource, scope, own); there {
			return e.AttributeUnit(value), true
		}
	case routing.UnitNone, routing.UnitSeries:
	}
	return 0, false
}

// count counts items of an experiment that splits.
func (d *itemDivider) count(e *routing.Experiment, to side, items int) {
	if e != nil && !d.view.routes[e.Tag].isMirror() {
		d.tally.add(d.view, e.Tag, to, items)
	}
}

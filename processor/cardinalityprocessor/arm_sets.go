package cardinalityprocessor

import (
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

const (
	// firstSlots and maxSlots bound the slots of a set that is exact, at 8 bytes; at
	// most three quarters are used.
	firstSlots, maxSlots = 16, 4096
	// leastPrecision is that of sketches when there is no memory for better ones:
	// 1 KiB, 3.25 % standard error.
	leastPrecision = 10
)

// seriesSet are series of the backend that were seen in one sub-window.
type seriesSet struct {
	sketch.Distinct
	slots int // that were taken of the budget
	bytes int
}

// add adds a series. A set that has no room goes on as a sketch.
func (s *seriesSet) add(c *armCounter, hash uint64) {
	if s.slots == 0 {
		s.slots = firstSlots // part of armCounterBytes
	}
	for !s.Sketched() && s.Full(s.slots) {
		if s.slots >= maxSlots || !c.take(8*s.slots) {
			s.toSketch(c)
			break
		}
		s.bytes += 8 * s.slots
		s.slots *= 2
	}
	s.Add(hash, s.slots, c.precision)
}

// toSketch takes memory for a sketch. All of one experiment have the precision of
// the first.
func (s *seriesSet) toSketch(c *armCounter) {
	if c.precision == 0 {
		c.precision = leastPrecision
		if bytes := armWindow * sketch.HLLBytes(c.wanted); c.take(bytes) {
			c.take(-bytes)
			c.precision = c.wanted
		}
	}
	bytes := sketch.HLLBytes(c.precision)
	if !c.take(bytes - s.bytes) { // so much the bound is passed by, once an experiment
		return
	}
	s.bytes = bytes
}

func (s *seriesSet) drop(c *armCounter) { c.take(-s.bytes) }

const (
	// maxUnits is how many units of an experiment are told apart.
	maxUnits = 4096
	// unitBytes is what a unit takes in the list and in the map.
	unitBytes = 72
)

// armUnits counts by unit.
type armUnits struct {
	place map[uint64]int32
	list  []armUnit
	// leftOut counts the points of units that have no room.
	leftOut uint64
}

// armUnit counts one unit.
type armUnit struct {
	unit          uint64
	points, bytes uint64
	// present and last count the series that were seen in the running sub-window
	// and in the one before, fresh those of present that are not among last.
	present, last, fresh uint32
	// quiet counts the sub-windows since the last point.
	quiet uint32
}

// saw counts series of a stream that was not seen before in the running
// sub-window; fresh: nor in the one before. u may be nil.
func (u *armUnit) saw(series int, fresh bool) {
	if u == nil {
		return
	}
	u.present += uint32(series) //nolint:gosec // the buckets of a histogram
	if fresh {
		u.fresh += uint32(series) //nolint:gosec // as above
	}
}

// of counts a point to its unit and returns that, nil if it has none or there is
// no room.
func (a *armUnits) of(c *armCounter, p *armPoint) *armUnit {
	if !p.inUnit {
		return nil
	}
	i, there := a.place[p.unit]
	if !there {
		if !a.add(c, p.unit) {
			a.leftOut++
			return nil
		}
		i = int32(len(a.list) - 1) //nolint:gosec // below maxUnits
	}
	u := &a.list[i]
	u.points++
	u.bytes += uint64(p.size) //nolint:gosec // a size
	u.quiet = 0
	return u
}

// add makes a place for a unit, if need be that of one that is gone.
func (a *armUnits) add(c *armCounter, unit uint64) bool {
	if len(a.list) >= maxUnits && !a.forget(c) || !c.take(unitBytes) {
		return false
	}
	if a.place == nil {
		a.place = map[uint64]int32{}
	}
	a.place[unit] = int32(len(a.list)) //nolint:gosec // at most maxUnits
	a.list = append(a.list, armUnit{unit: unit})
	return true
}

// forget removes the units that were quiet for the whole window. One that returns
// begins anew. It says whether there is room.
func (a *armUnits) forget(c *armCounter) bool {
	kept := a.list[:0]
	for _, u := range a.list {
		if u.quiet >= armWindow {
			delete(a.place, u.unit)
			c.take(-unitBytes)
			continue
		}
		a.place[u.unit] = int32(len(kept)) //nolint:gosec // at most maxUnits
		kept = append(kept, u)
	}
	a.list = kept
	return len(kept) < maxUnits
}

// turn goes on to the next sub-window.
func (a *armUnits) turn() {
	for i := range a.list {
		u := &a.list[i]
		u.last, u.present, u.fresh = u.present, 0, 0
		u.quiet++
	}
}

func (a *armUnits) report() []report.UnitReport {
	if len(a.list) == 0 {
		return nil
	}
	list := make([]report.UnitReport, 0, len(a.list))
	for i := range a.list {
		u := &a.list[i]
		list = append(list, report.UnitReport{Unit: u.unit, Points: u.points, Bytes: u.bytes, Series: uint64(u.last) + uint64(u.fresh)})
	}
	return list
}

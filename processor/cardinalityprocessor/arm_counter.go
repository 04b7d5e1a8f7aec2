package cardinalityprocessor

import (
	"math"
	"sync"
	"time"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// Bounds of what is kept of an experiment. Series are counted exactly up to three
// quarters of the slots, 8 bytes each, and by a sketch of 2^precision bytes
// beyond.
const (
	maxArmSlots   = 8192
	maxUnitSlots  = 256
	armPrecision  = 14
	unitPrecision = 10
	maxUnits      = 4096
)

// armCounter counts what leaves one arm of one experiment.
type armCounter struct {
	experiment string
	epoch      uint64
	unit       routing.Unit
	since      time.Time
	// generation is how long one lasts. Its edges are those of the wall clock, so
	// that the counters of both arms, in whatever process, turn at once.
	generation time.Duration

	began int64 // the generation in which counting began

	mu      sync.Mutex
	at      int64 // the present one
	total   armTotal
	units   map[uint64]*armTotal
	leftOut uint64
}

// armTotal counts points, bytes and series.
type armTotal struct {
	points, bytes uint64
	// present and last are the streams of the two newest generations, by how many
	// series one makes. There are as many weights as layouts of histograms.
	present, last map[int]*sketch.Distinct
}

func newArmCounter(experiment string, epoch uint64, unit routing.Unit, generation time.Duration, now time.Time) *armCounter {
	at := now.UnixNano() / int64(generation)
	return &armCounter{experiment: experiment, epoch: epoch, unit: unit, since: now, generation: generation, began: at, at: at}
}

// settled is after how many generations series are told: two whole ones have
// passed since that in which counting began. What was under way then, and what
// passed before the rules of the candidate came into force, is not the arm's.
const settled = 3


// turn goes on to the generation of now. A clock that is set back stays where it
// was.
func (c *armCounter) turn(now time.Time) {
	at := now.UnixNano() / int64(c.generation)
	if at <= c.at {
		return
	}
	next := at == c.at+1
	c.at = at
	c.total.turn(next)
	for unit, u := range c.units {
		if u.turn(next); u.silent() && len(c.units) >= maxUnits {
			delete(c.units, unit) // makes room; its counts begin anew if it returns
		}
	}
}

// turn begins a generation; next says that it follows the one before.
func (t *armTotal) turn(next bool) {
	t.last, t.present = t.present, nil
	if !next {
		t.last = nil
	}
}

func (t *armTotal) silent() bool { return len(t.present) == 0 && len(t.last) == 0 }

// unitOf is the counter of a unit, nil if there is none or no room.
func (c *armCounter) unitOf(unit uint64, has bool) *armTotal {
	if !has {
		return nil
	}
	if u := c.units[unit]; u != nil {
		return u
	}
	if len(c.units) >= maxUnits {
		c.leftOut++
		return nil
	}
	if c.units == nil {
		c.units = map[uint64]*armTotal{}
	}
	u := &armTotal{}
	c.units[unit] = u
	return u
}

// add counts a point. A stale marker is a point that is paid for, and no series.
func (t *armTotal) add(stream uint64, weight, size int, stale bool, slots int) {
	t.points++
	t.bytes += uint64(size) //nolint:gosec // not negative
	if stale {
		return
	}
	d := t.present[weight]
	if d == nil {
		if t.present == nil {
			t.present = map[int]*sketch.Distinct{}
		}
		d = &sketch.Distinct{}
		t.present[weight] = d
	}
	d.Add(stream, slots, precisionOf(slots))
}

func precisionOf(slots int) uint8 {
	if slots == maxUnitSlots {
		return unitPrecision
	}
	return armPrecision
}

// series counts the series of the two newest generations, and returns the
// standard error as a fraction.
func (t *armTotal) series(slots int) (count uint64, relative float64) {
	variance := 0.0
	add := func(weight int, a, b *sketch.Distinct) {
		n, e := sketch.CountEither(a, b, precisionOf(slots))
		n *= uint64(weight) //nolint:gosec // not negative
		count += n
		variance += (e * float64(n)) * (e * float64(n))
	}
	var none sketch.Distinct
	for weight, d := range t.present {
		other := t.last[weight]
		if other == nil {
			other = &none
		}
		add(weight, d, other)
	}
	for weight, d := range t.last {
		if t.present[weight] == nil {
			add(weight, d, &none)
		}
	}
	if count == 0 {
		return 0, 0
	}
	return count, math.Sqrt(variance) / float64(count)
}

// report says what was counted.
func (c *armCounter) report(now time.Time) report.ArmReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(now)
	answer := report.ArmReport{
		Experiment: c.experiment, Since: c.since, At: now, Points: c.total.points, Bytes: c.total.bytes,
		UnitsLeftOut: c.leftOut,
	}
	if c.at < c.began+settled {
		return answer
	}
	answer.Series, answer.RelativeError = c.total.series(maxArmSlots)
	if len(c.units) > 0 {
		answer.Units = make([]report.UnitReport, 0, len(c.units))
	}
	for unit, u := range c.units {
		count, _ := u.series(maxUnitSlots)
		answer.Units = append(answer.Units, report.UnitReport{Unit: unit, Points: u.points, Bytes: u.bytes, Series: count})
	}
	return answer
}

package budget

import (
	"errors"
	"fmt"
	"math"
)

// Policy is the budget of a group.
type Policy struct {
	// Target is what may go out a second: points, or bytes.
	Target float64
	// Floor and Ceiling bound the level. Below the floor data is worth more than
	// the budget; a ceiling of 1 means at most what is configured.
	Floor, Ceiling float64
}

// Validate reports everything that is wrong with p.
func (p Policy) Validate() error {
	var errs error
	if !(p.Target > 0 && p.Target <= math.MaxFloat64) {
		errs = errors.Join(errs, fmt.Errorf("target: must be positive, got %g", p.Target))
	}
	if !(p.Floor > 0 && p.Floor <= math.MaxFloat64) {
		errs = errors.Join(errs, fmt.Errorf("floor: must be positive, got %g", p.Floor))
	}
	if !(p.Ceiling >= p.Floor && p.Ceiling <= math.MaxFloat64) {
		errs = errors.Join(errs, fmt.Errorf("ceiling: must be at least the floor, got %g", p.Ceiling))
	}
	return errs
}

// Reading is what happened in a group within one interval.
type Reading struct {
	// In is what came, Out what went on, in the unit of the target.
	In, Out float64
	// Seconds is how long the interval was.
	Seconds float64
}

// Happened says what changed with a step.
type Happened uint8

// The events. All but Nothing come once, when the state begins or ends.
const (
	Nothing Happened = iota
	// FloorReached means that the budget is exceeded and the level is at the floor.
	FloorReached
	// FloorLeft means that the budget is kept again.
	FloorLeft
)

// String returns the event as lower_snake_case.
func (h Happened) String() string {
	switch h {
	case FloorReached:
		return "budget_exceeded_floor_reached"
	case FloorLeft:
		return "budget_kept_again"
	default:
		return "nothing"
	}
}

// Decision is what holds for a group from now on.
type Decision struct {
	Level float64
	// Error is how far the last interval was from the target, as a share of it:
	// 0.5 is half as much again.
	Error    float64
	Happened Happened
}

// State is what is remembered of a group. It is plain data, to be kept over a
// restart.
type State struct {
	Level, Elasticity, Gain float64
	// LastIn and LastOut are rates of the last interval; 0 if there was none.
	LastIn, LastOut, LastLevel float64
	// TooMuch is a level that exceeded the budget, at TooMuchIn coming in; it is
	// avoided for Avoid more intervals.
	TooMuch, TooMuchIn float64
	Avoid              int
	// LastError is the log of out/target of the last interval that was not quiet.
	LastError float64
	Exceeded  bool
}

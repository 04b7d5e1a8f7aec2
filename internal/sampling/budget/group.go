package budget

import "math"

const (
	// slack is how far below the target nothing moves. The middle of it is aimed
	// at, so that what stays still stays within the budget.
	slack = 0.05
	// fast and slow are the shares of an error that one step corrects.
	fast, slow = 0.95, 0.25
	// whole is the error that is corrected fast.
	whole = 0.25
	// longest bounds one step: a factor of 100, so that a reading that is
	// nonsense cannot do everything at once.
	longest = 4.6
	// avoidance is for how many intervals a level that was too much is avoided.
	avoidance = 30
	// steady is by how much the load may change and still not explain an error.
	steady = 0.5
	// learned is the smallest move that says something about the elasticity.
	learned = 0.1
)

// begin is the state of a group of which nothing is known. A level of 1 is
// where ratios and tolerances are as configured.
func begin(p Policy) State {
	return State{Level: clamp(1, p.Floor, p.Ceiling), Elasticity: 1, Gain: 1}
}

func clamp(v, low, high float64) float64 { return min(max(v, low), high) }

// Step returns the state that follows s, and what holds from now on. It is pure.
func Step(p Policy, s State, r Reading) (State, Decision) {
	s = s.sound(p)
	in, out := r.In/r.Seconds, r.Out/r.Seconds
	if !(r.Seconds > 0 && in > 0 && out >= 0 && max(in, out) <= math.MaxFloat64) {
		return s, Decision{Level: s.Level} // nothing came: nothing is known
	}
	off := clamp(math.Log(out/(p.Target*(1-slack/2))), -longest, longest)
	s = s.learn(in, out)
	s = s.damp(off, math.Abs(math.Log(in/s.LastIn)) < steady)
	raised := s.LastLevel > 0 && s.Level > s.LastLevel
	s.LastIn, s.LastOut, s.LastLevel = in, out, s.Level
	if s.Avoid > 0 {
		s.Avoid--
	}
	if off > slack/2 && raised { // else the load grew, or the answer to a lower level is late
		s.TooMuch, s.TooMuchIn, s.Avoid = s.Level, in, avoidance
	}
	if math.Abs(off) > slack/2 {
		s = s.move(p, off, in)
	}
	d := Decision{Level: s.Level, Error: out/p.Target - 1}
	switch {
	case out > p.Target && s.LastLevel <= p.Floor && !s.Exceeded:
		s.Exceeded, d.Happened = true, FloorReached
	case s.Exceeded && out < p.Target*(1-slack):
		s.Exceeded, d.Happened = false, FloorLeft
	}
	return s, d
}

// sound makes a state fit a policy, whatever it was restored from.
func (s State) sound(p Policy) State {
	all := s.Level + s.LastIn + s.LastOut + s.LastLevel + s.TooMuch + s.TooMuchIn + s.LastError
	if all-all != 0 || min(s.LastIn, s.LastOut, s.LastLevel, s.TooMuch, s.TooMuchIn) < 0 || !(s.Level > 0) || !(s.Elasticity >= 0.1 && s.Elasticity <= 10) || !(s.Gain > 0 && s.Gain <= 1) {
		return begin(p)
	}
	s.Level, s.Avoid = clamp(s.Level, p.Floor, p.Ceiling), min(max(s.Avoid, 0), avoidance)
	return s
}

// learn updates the elasticity from what the last move did to out/in.
func (s State) learn(in, out float64) State {
	if !(s.LastIn > 0 && s.LastOut > 0 && out > 0 && s.LastLevel > 0) {
		return s
	}
	moved := math.Log(s.Level / s.LastLevel)
	if math.Abs(moved) < learned {
		return s
	}
	seen := math.Log(out/in*s.LastIn/s.LastOut) / moved
	if seen != seen {
		return s
	}
	// Half of it in logarithms: one interval may have been a burst.
	s.Elasticity = math.Sqrt(s.Elasticity * clamp(seen, 0.25, 4))
	return s
}

// damp makes the next moves smaller after one that went too far. A load that
// jumps is another case: what was learned from moves before does not hold it up.
func (s State) damp(off float64, steadyLoad bool) State {
	quiet := math.Abs(off) <= slack/2
	switch {
	case !steadyLoad:
		s.Gain = 1
	case !quiet && off*s.LastError < 0:
		s.Gain = max(0.25, s.Gain/2)
	default:
		s.Gain = min(1, s.Gain*1.25)
	}
	if !quiet {
		s.LastError = off
	}
	return s
}

// move changes the level to correct a share of the error.
func (s State) move(p Policy, off, in float64) State {
	share := clamp(math.Abs(off)/whole, slow, fast) * s.Gain
	next := s.Level * math.Exp(-clamp(share*off/s.Elasticity, -longest, longest))
	if s.Avoid > 0 && next > s.Level && in > s.TooMuchIn*0.9 {
		// Halfway to what was too much, and never there: it may be an edge.
		next = min(next, max(s.Level, math.Sqrt(s.Level*s.TooMuch)))
	}
	s.Level = clamp(next, p.Floor, p.Ceiling)
	return s
}

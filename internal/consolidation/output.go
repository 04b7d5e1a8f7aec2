package consolidation

import (
	"math"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// output is one stream that stays.
type output struct {
	key     Key
	variant uint64
	rule    RuleID // the one that made it, and with which it ends
	owner   any

	used       bool // free ones are zero
	kind       Kind
	policy     spatial.Policy
	touched    bool   // something came since the last emission
	shown      bool   // something was emitted
	keepBounds bool   // a rule named the bounds
	ends       bool   // at this edge
	begins     bool   // it was taken over and is still to be shown: see Begin
	hosts      bool   // there was a guest
	grace      uint32 // seconds until which a restart keeps it without inputs
	// live inputs have not ended. credit is points in minus values out: what a
	// heartbeat is paid from.
	live, credit uint32

	start   uint64 // of a cumulative output
	emitted uint64 // the time of the last emission, or at which a former life ended
	first   uint64 // the earliest start of the deltas of this interval

	total       spatial.Total
	last        spatial.Number // the last value of a cumulative sum
	level       *spatial.Level
	histogram   *spatial.Histogram
	exponential *spatial.Exponential
	floor       *floor
}

// secondsOf rounds down to what inputs remember of their last arrival.
func secondsOf(now uint64) uint32 {
	return uint32(min(max(now/1e9, 1), math.MaxUint32/2))
}

// open makes the accumulator of an output.
func (o *output) open(d *Description, buckets int) {
	o.owner = d.Owner
	switch o.kind.form() {
	case level:
		o.level = new(spatial.Level)
	case histogram:
		o.histogram = new(spatial.Histogram)
		if d.KeepBounds {
			o.histogram, o.keepBounds = spatial.NewHistogram(d.Bounds), true
		}
	case exponential:
		o.exponential = spatial.NewExponential(buckets)
	default:
	}
}

// arrived notes a point in; fresh ones change what the output shows.
func (o *output) arrived(fresh bool) {
	if o.credit < math.MaxUint32 {
		o.credit++
	}
	o.touched = o.touched || fresh
}

// began takes the start of a delta into that of the interval.
func (o *output) began(start uint64) {
	o.first = spatial.Span{Start: o.first}.Union(spatial.Span{Start: start}).Start
}

// action is what happens to an output at an edge.
type action uint8

const (
	rest action = iota
	show
	repeat // show again what is known
	finish // emit the stale marker and forget
	forget // without a marker: nobody saw it
)

// due decides what happens at an edge.
func (o *output) due(edge, heartbeat uint64) action {
	if edge < o.emitted+step || !o.kind.Delta() && edge <= o.start {
		return rest // one point a time, and start = time would mean an unknown start
	}
	switch {
	case o.touched && o.hasValue():
		return show
	case o.live == 0 && secondsOf(edge) >= o.grace:
		if o.shown {
			return finish
		}
		return forget
	case o.shown && o.credit > 0 && !o.kind.Delta() && o.hasValue() && edge-o.emitted >= heartbeat:
		return repeat
	}
	return rest
}

func (o *output) hasValue() bool { return o.level == nil || o.level.Count() > 0 }

// emission describes a point at a time; its value is filled in by value.
func (o *output) emission(time uint64) Emission {
	return Emission{
		Output: o.key, Variant: o.variant, Rule: o.rule, Owner: o.owner, Kind: o.kind, Policy: o.policy,
		Start: o.start, Time: time,
	}
}

// deltaStart returns the start of the deltas of the interval that ends at edge and
// began at the latest flush. It never lies before the last emission: the
// windows of one stream do not overlap.
func (o *output) deltaStart(latest, edge uint64) uint64 {
	start := max(o.first, o.emitted)
	if start == 0 || start >= edge {
		start = max(latest, o.emitted)
	}
	if start == 0 || start >= edge {
		return edge
	}
	return start
}

// drained forgets the deltas that were emitted.
func (o *output) drained() {
	o.first = 0
	o.total = spatial.Total{}
	if o.histogram != nil {
		o.histogram.Reset()
	}
	if o.exponential != nil {
		o.exponential.Reset()
	}
}

package checkpoint

import (
	"math"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// What an entry of a part begins with. Inputs, which are many, have the flags
// in the same byte.
const (
	edgeEntry = 1 + iota
	watchEntry
	outputEntry
	inputGoneEntry
	outputGoneEntry
	forgottenEntry
	crashEntry

	inputEntry = 0x80
)

// Flags of an input, beside its class in the lowest three bits.
const (
	inputClass = 1<<3 - 1

	inputEnded    = 1 << 3
	inputOverflow = 1 << 4
	inputFeeds    = 1 << 5 // an output follows
	inputDouble   = 1 << 6
)

// stored are the kinds under which inputs are remembered: see
// consolidation.InputState.
var stored = [...]consolidation.Kind{
	consolidation.DeltaSum, consolidation.CumulativeSum, consolidation.Gauge,
	consolidation.CumulativeHistogram, consolidation.CumulativeExponential,
}

func classOf(k consolidation.Kind) byte {
	for i, s := range stored {
		if s == k {
			return byte(i)
		}
	}
	return inputClass
}

func (e *encoder) input(in *consolidation.InputState) {
	e.entries++
	flags := inputEntry | classOf(in.Kind)
	if in.Ended {
		flags |= inputEnded
	}
	if in.Overflow {
		flags |= inputOverflow
	}
	if in.Sum.Value.IsDouble() {
		flags |= inputDouble
	}
	to := reference{in.Output, in.Variant, in.Rule}
	if to != (reference{}) {
		flags |= inputFeeds
	}
	e.buf = append(e.buf, flags)
	e.key(in.Key)
	if flags&inputFeeds != 0 {
		e.reference(to)
	}
	e.buf = appendAfter(e.buf, uint64(in.Seen), &e.seen)
	switch in.Kind {
	case consolidation.CumulativeHistogram:
		e.span(in.Histogram.Span)
		e.histogram(in.Histogram)
	case consolidation.CumulativeExponential:
		e.span(in.Exponential.Span)
		e.exponential(in.Exponential)
	case consolidation.DeltaSum:
		e.span(in.Sum.Span)
	default:
		e.span(in.Sum.Span)
		e.buf = appendNumber(e.buf, in.Sum.Value)
	}
}

func (d *decoder) input(flags byte) (in consolidation.InputState) {
	class := flags & inputClass
	if int(class) >= len(stored) {
		d.fail("an unknown kind of input")
		return in
	}
	in.Kind, in.Ended, in.Overflow = stored[class], flags&inputEnded != 0, flags&inputOverflow != 0
	in.Key = d.key()
	if flags&inputFeeds != 0 {
		to := d.reference()
		if to.there && !fits(&in, to.kind) {
			d.fail("an input that feeds an output of another kind")
		}
		in.Output, in.Variant, in.Rule = to.key, to.variant, to.rule
	}
	seen := d.after(&d.seen)
	if seen > math.MaxUint32/2 { // so that seen and a duration can be added
		d.fail("an input that was seen after the year 2038")
	}
	in.Seen = uint32(seen) //nolint:gosec // just checked
	switch in.Kind {
	case consolidation.CumulativeHistogram:
		in.Histogram = &spatial.HistogramPoint{Span: d.span()}
		d.histogram(in.Histogram)
	case consolidation.CumulativeExponential:
		in.Exponential = &spatial.ExponentialPoint{Span: d.span()}
		d.exponential(in.Exponential)
	case consolidation.DeltaSum:
		in.Sum.Span = d.span()
	default:
		in.Sum.Span = d.span()
		in.Sum.Value = d.number(flags&inputDouble != 0)
	}
	return in
}

// Flags of an output.
const (
	outputTouched = 1 << iota
	outputShown
	outputKeepBounds
	outputBehind
	outputVariant
	outputDouble     // Sum is one
	outputLastDouble // Last is one
)

func outputFlags(o *consolidation.OutputState) (flags byte) {
	for i, set := range [...]bool{
		o.Touched, o.Shown, o.KeepBounds, o.Behind, o.Variant != 0, o.Sum.IsDouble(), o.Last.IsDouble(),
	} {
		if set {
			flags |= 1 << i
		}
	}
	return flags
}

// output writes an output whose owner is s.
func (e *encoder) output(o *consolidation.OutputState, s *stream.Stream) {
	e.entries++
	to := reference{o.Key, o.Variant, o.Rule}
	e.define(to.id())
	flags := outputFlags(o)
	e.buf = append(e.buf, outputEntry, flags, byte(o.Kind), byte(o.Policy))
	e.key(o.Key)
	if flags&outputVariant != 0 {
		e.buf = appendFixed64(e.buf, o.Variant)
	}
	e.rule(o.Rule)
	e.stream(s)
	e.buf = appendUvarint(e.buf, uint64(o.Credit))
	e.buf = appendAfter(e.buf, o.Start, &e.start)
	e.buf = appendAfter(e.buf, o.Emitted, &e.time)
	e.buf = appendAfter(e.buf, o.First, &e.first)
	e.buf = appendNumber(e.buf, o.Sum)
	e.buf = appendNumber(e.buf, o.Last)
	switch shapeOf(o.Kind) {
	case histogram:
		e.histogram(&o.Histogram)
		if o.Behind {
			e.histogram(&o.HistogramFloor)
		}
	case exponential:
		e.exponential(&o.Exponential)
		if o.Behind {
			e.exponential(&o.ExponentialFloor)
		}
	default:
	}
}

func (d *decoder) output() (o consolidation.OutputState) {
	flags := d.byte()
	o.Kind, o.Policy = d.kind(), d.policy()
	o.Touched, o.Shown, o.KeepBounds, o.Behind = flags&outputTouched != 0, flags&outputShown != 0, flags&outputKeepBounds != 0, flags&outputBehind != 0
	o.Key = d.key()
	if flags&outputVariant != 0 {
		o.Variant = d.fixed64()
	}
	o.Rule = d.rule()
	d.outputs = append(d.outputs, target{reference{o.Key, o.Variant, o.Rule}, o.Kind, true})
	o.Owner = d.streamOf(o.Kind)
	credit := d.uvarint()
	if credit > math.MaxUint32 {
		d.fail("more credit than 32 bits hold")
	}
	o.Credit = uint32(credit) //nolint:gosec // just checked
	o.Start, o.Emitted, o.First = d.instant(&d.start), d.instant(&d.time), d.instant(&d.first)
	o.Sum = d.sum(flags&outputDouble != 0, o.Kind)
	o.Last = d.sum(flags&outputLastDouble != 0, o.Kind)
	switch shapeOf(o.Kind) {
	case histogram:
		d.histogram(&o.Histogram)
		if o.Behind {
			d.histogram(&o.HistogramFloor)
		}
	case exponential:
		d.exponential(&o.Exponential)
		if o.Behind {
			d.exponential(&o.ExponentialFloor)
		}
	default:
	}
	return o
}

// streamOf reads the stream of an output, whose metric says of what kind it is.
func (d *decoder) streamOf(k consolidation.Kind) *stream.Stream {
	s := d.stream()
	if d.err == nil && s.Metric.Kind != k {
		d.fail("an output of another kind than its metric")
	}
	return s
}

func (d *decoder) policy() spatial.Policy {
	p := spatial.Policy(d.byte())
	if p > spatial.PolicyCount {
		d.fail("an unknown policy of a gauge")
		return 0
	}
	return p
}

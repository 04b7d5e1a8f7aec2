package checkpoint

import (
	"math"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// What an entry of a journal begins with. Emissions, which are many, have the
// flags in the same byte, beside their kind in the lowest four bits.
const (
	endEntry  = 1 // the flush is complete
	baseEntry = 2

	emissionEntry   = 0x80
	emissionKind    = 1<<4 - 1
	emissionStale   = 1 << 4
	emissionStream  = 1 << 5 // the stream follows
	emissionVariant = 1 << 6
)

// remembered reports whether the value of an emission is of use after a
// restart. A delta is gone once it was sent, and a level is built anew from its
// inputs.
func remembered(k consolidation.Kind) bool {
	return !k.Delta() && k != consolidation.Gauge && k != consolidation.CumulativeUpDown
}

// emission writes what an output shows. s is nil where the storage has the
// stream already.
func (e *encoder) emission(m *consolidation.Emission, s *stream.Stream) {
	e.entries++
	flags := emissionEntry | byte(m.Kind)
	if m.Stale {
		flags |= emissionStale
	}
	if s != nil {
		flags |= emissionStream
	}
	if m.Variant != 0 {
		flags |= emissionVariant
	}
	e.buf = append(e.buf, flags)
	e.key(m.Output)
	if m.Variant != 0 {
		e.buf = appendFixed64(e.buf, m.Variant)
	}
	e.rule(m.Rule)
	e.buf = appendAfter(e.buf, m.Time, &e.time)
	if s != nil {
		e.stream(s)
	}
	if m.Stale {
		return
	}
	if m.Kind == consolidation.Gauge {
		e.buf = append(e.buf, byte(m.Policy))
	}
	if !m.Kind.Delta() {
		e.buf = appendAfter(e.buf, m.Start, &e.start)
	}
	if !remembered(m.Kind) {
		return
	}
	switch shapeOf(m.Kind) {
	case histogram:
		e.histogram(m.Histogram)
	case exponential:
		e.exponential(m.Exponential)
	default:
		double := byte(0)
		if m.Number.IsDouble() {
			double = 1
		}
		e.buf = appendNumber(append(e.buf, double), m.Number)
	}
}

// emission reads what emission wrote; values that are not remembered are zero.
// The owner is nil where the stream is elsewhere.
func (d *decoder) emission(flags byte) (m consolidation.Emission) {
	m.Kind, m.Stale = consolidation.Kind(flags&emissionKind), flags&emissionStale != 0
	if m.Kind > consolidation.Summary {
		d.fail("an unknown kind of stream")
		return m
	}
	m.Output = d.key()
	if flags&emissionVariant != 0 {
		m.Variant = d.fixed64()
	}
	m.Rule, m.Time = d.rule(), d.instant(&d.time)
	if flags&emissionStream != 0 {
		m.Owner = d.streamOf(m.Kind)
	}
	if m.Stale {
		return m
	}
	if m.Kind == consolidation.Gauge {
		m.Policy = d.policy()
	}
	if !m.Kind.Delta() {
		m.Start = d.instant(&d.start)
	}
	if remembered(m.Kind) {
		d.remembered(&m)
	}
	return m
}

func (d *decoder) remembered(m *consolidation.Emission) {
	switch shapeOf(m.Kind) {
	case histogram:
		m.Histogram = new(spatial.HistogramPoint)
		d.histogram(m.Histogram)
	case exponential:
		m.Exponential = new(spatial.ExponentialPoint)
		d.exponential(m.Exponential)
	default:
		double := d.byte()
		if double > 1 {
			d.fail("a number of an unknown type")
		}
		m.Number = d.sum(double == 1, m.Kind)
	}
}

// base writes the base line of an input.
func (e *encoder) base(b *consolidation.Base) {
	e.buf = appendAfter(append(e.buf, baseEntry), b.Since, &e.first)
	e.input(&b.Input)
}

func (d *decoder) base() (b consolidation.Base) {
	b.Since = d.instant(&d.first)
	flags := d.byte()
	if flags&inputEntry == 0 {
		d.fail("a base line of no input")
		return b
	}
	b.Input = d.input(flags)
	return b
}

// visitor gets what a page holds, which is lent. Any of it may be nil.
type visitor struct {
	emission func(*consolidation.Emission)
	base     func(*consolidation.Base)
}

// page is one record of the journal.
type page struct {
	after uint64 // the checksum of the record before, or of the head
	edge  uint64
	ends  bool // the flush was complete
}

// page reads a record of kind journal. If something is wrong the visits before
// do not count.
func (d *decoder) page(visit visitor) (page, error) {
	p := page{after: d.fixed64(), edge: d.fixed64()}
	if p.edge > math.MaxInt64 {
		d.fail("a flush past the year 2262")
	}
	d.time = p.edge
	for d.left() > 0 {
		switch entry := d.byte(); {
		case entry&emissionEntry != 0:
			if m := d.emission(entry); d.err == nil && visit.emission != nil {
				visit.emission(&m)
			}
		case entry == baseEntry:
			if b := d.base(); d.err == nil && visit.base != nil {
				visit.base(&b)
			}
		case entry == endEntry:
			p.ends = true
		default:
			d.fail("an unknown entry")
		}
	}
	return p, d.err
}

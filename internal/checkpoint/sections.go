package checkpoint

import (
	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// edge, watch and the rest are what a part has beside outputs and inputs.

func (e *encoder) edge(edge uint64) {
	if edge == 0 {
		return
	}
	e.entries++
	e.buf = appendAfter(append(e.buf, edgeEntry), edge, &e.time)
}

func (e *encoder) watch(rule consolidation.RuleID, since uint64) {
	e.entries++
	e.buf = append(e.buf, watchEntry)
	e.rule(rule)
	e.buf = appendAfter(e.buf, since, &e.start)
}

// gone writes the tombstone of an input or of an output.
func (e *encoder) gone(entry byte, t consolidation.Tombstone) {
	e.entries++
	e.buf = appendFixed64(append(e.buf, entry), t.Mark)
	e.buf = appendAfter(e.buf, t.Time, &e.time)
}

func (d *decoder) gone() consolidation.Tombstone {
	t := consolidation.Tombstone{Mark: d.fixed64(), Time: d.instant(&d.time)}
	if t.Mark == 0 { // it would be an empty place
		d.fail("a tombstone of nobody")
	}
	return t
}

func (e *encoder) forgotten(inputs, outputs uint64) {
	if inputs == 0 && outputs == 0 {
		return
	}
	e.entries++
	e.buf = append(e.buf, forgottenEntry)
	e.buf = appendAfter(e.buf, inputs, &e.time)
	e.buf = appendAfter(e.buf, outputs, &e.time)
}

func (e *encoder) crash(crash, complete uint64) {
	if crash == 0 {
		return
	}
	e.entries++
	e.buf = append(e.buf, crashEntry)
	e.buf = appendAfter(e.buf, crash, &e.time)
	e.buf = appendAfter(e.buf, complete, &e.time)
}

// part reads a record of kind part. The next call with the same share takes the
// result over: most of the work would be to allocate it.
func (d *decoder) part() (*consolidation.Part, error) {
	p := &d.share.part
	clear(p.Outputs)
	clear(p.Inputs)
	*p = consolidation.Part{
		Rules: map[consolidation.RuleID]uint64{}, Outputs: p.Outputs[:0], Inputs: p.Inputs[:0],
		InputsGone: p.InputsGone[:0], OutputsGone: p.OutputsGone[:0],
	}
	for d.left() > 0 {
		switch entry := d.byte(); {
		case entry&inputEntry != 0:
			p.Inputs = append(p.Inputs, d.input(entry))
		case entry == outputEntry:
			p.Outputs = append(p.Outputs, d.output())
		case entry == inputGoneEntry:
			p.InputsGone = append(p.InputsGone, d.gone())
		case entry == outputGoneEntry:
			p.OutputsGone = append(p.OutputsGone, d.gone())
		case entry == edgeEntry:
			p.Edge = max(p.Edge, d.instant(&d.time))
		case entry == watchEntry:
			rule := d.rule()
			p.Rules[rule] = d.instant(&d.start)
		case entry == forgottenEntry:
			p.InputsForgotten = max(p.InputsForgotten, d.instant(&d.time))
			p.OutputsForgotten = max(p.OutputsForgotten, d.instant(&d.time))
		case entry == crashEntry:
			p.Crash, p.Complete = d.instant(&d.time), d.instant(&d.time)
		default:
			d.fail("an unknown entry")
		}
	}
	return p, d.err
}

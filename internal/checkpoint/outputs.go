package checkpoint

import "github.com/phoenix-platform/phoenix/internal/consolidation"

// reference names an output.
type reference struct {
	key     consolidation.Key
	variant uint64
	rule    consolidation.RuleID
}

// outputID is a reference in 128 bits. Variant and rule each permute one half
// of the key, so two outputs of one key never meet, and others as rarely as
// their keys do.
type outputID struct {
	a, b uint64
}

// Odd, so that multiplication is a permutation.
const (
	mixVariant = 0x9e3779b97f4a7c15
	mixRule    = 0xbf58476d1ce4e5b9
)

func (r reference) id() outputID {
	return outputID{r.key.A ^ r.variant*mixVariant, r.key.B ^ uint64(r.rule)*mixRule}
}

// define gives an output the next number of the record.
func (e *encoder) define(id outputID) {
	e.numbers[id.a] = len(e.outputs)
	e.outputs = append(e.outputs, id)
}

// reference writes which output an input feeds. The map has half of the
// identity, because maps are fastest with such keys; if two share it the later
// one is defined again where the earlier would be named. BenchmarkCheckpoint:
// 20 instead of 50 ns an input.
func (e *encoder) reference(to reference) {
	id := to.id()
	if i, known := e.numbers[id.a]; known && e.outputs[i] == id {
		e.buf = appendUvarint(e.buf, uint64(i)) //nolint:gosec // not negative
		return
	}
	e.buf = appendUvarint(e.buf, uint64(len(e.outputs)))
	e.define(id)
	e.key(to.key)
	e.buf = appendFixed64(e.buf, to.variant)
	e.rule(to.rule)
}

// target is an output that inputs feed.
type target struct {
	reference
	kind  consolidation.Kind
	there bool // or else nothing is known of it, and kind has no meaning
}

func (d *decoder) reference() target {
	i, follows := d.index(len(d.outputs))
	if follows {
		to := target{reference: reference{d.key(), d.fixed64(), d.rule()}}
		if d.share.kind != nil {
			to.kind, to.there = d.share.kind(to.id())
		}
		d.outputs = append(d.outputs, to)
	}
	if i < 0 {
		return target{}
	}
	return d.outputs[i]
}

// fits reports whether an input that is remembered as one kind may feed an
// output of another. An ended one names whatever took the place of its output,
// and the one that stands for all without room is remembered as a delta.
func fits(in *consolidation.InputState, to consolidation.Kind) bool {
	if in.Ended {
		return true
	}
	switch in.Kind {
	case consolidation.DeltaSum:
		return to.Delta() || in.Overflow
	case consolidation.Gauge:
		return to == consolidation.Gauge || to == consolidation.CumulativeUpDown
	case consolidation.CumulativeHistogram:
		return to == consolidation.CumulativeHistogram || to == consolidation.Summary
	default:
		return to == in.Kind
	}
}

// known says of which outputs the storage has the stream, so that the journal
// need not repeat it: 17 bytes each, and the slack of a map.
type known map[outputID]mark

// mark is the kind of an output and where its stream is.
type mark uint8

const (
	markKind    mark = 1<<4 - 1
	markCurrent mark = 1 << 4 // in the valid checkpoint or its journal
	markNext    mark = 1 << 5 // in the checkpoint that is being written
)

func (k known) has(id outputID) bool { return k[id]&markCurrent != 0 }

func (k known) kind(id outputID) (consolidation.Kind, bool) {
	m := k[id]
	return consolidation.Kind(m & markKind), m&markCurrent != 0
}

func (k known) add(id outputID, kind consolidation.Kind, where mark) {
	k[id] |= mark(kind) | where // the identity includes the kind, so it is always the same
}

func (k known) remove(id outputID, where mark) {
	m, there := k[id]
	if !there {
		return
	}
	if m &^= where; m&(markCurrent|markNext) == 0 {
		delete(k, id)
		return
	}
	k[id] = m
}

// commit makes the next checkpoint the valid one.
func (k known) commit() {
	for id, m := range k {
		if m&markNext == 0 {
			delete(k, id)
			continue
		}
		k[id] = m&markKind | markCurrent
	}
}

// abort forgets the next checkpoint.
func (k known) abort() {
	for id := range k {
		k.remove(id, markNext)
	}
}

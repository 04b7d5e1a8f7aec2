package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// State is what an earlier process left. It reads from the storage when it is
// restored, with the context of Load, and is good until the next checkpoint.
type State struct {
	Identity Identity
	// Taken is when the checkpoint was taken, in nanoseconds of Unix time.
	Taken uint64
	// Extra is what was given to Begin.
	Extra []byte
	// Damage, if not nil, says what is wrong with the end of the journal. What
	// comes before is used; it wraps ErrDamaged, ErrForeign or ErrNewerVersion.
	Damage error

	ctx    context.Context //nolint:containedctx // of the call of Load, which Restore completes
	store  *Store
	head   head
	latest map[outputID]latest
	pages  uint32 // records of the journal
	bases  int    // base lines in them
	edge   uint64 // of the latest flush that was complete
	done   int    // entries up to its end
	orphan int    // entries of which nothing says what stream they are
}

// latest is the last entry of an output in the journal.
type latest struct {
	entry  int // which one, from 0
	kind   consolidation.Kind
	stream *stream.Stream
}

// seen is what scan notes of an emission until its page is known to be sound.
type seen struct {
	id    outputID
	kind  consolidation.Kind
	stale bool
	named bool
}

// scan goes through the journal and notes the last entry of each output.
func (st *State) scan(ctx context.Context, with *share) error {
	s := st.store
	var list []seen
	bases := 0
	visit := visitor{
		emission: func(m *consolidation.Emission) {
			list = append(list, seen{emissionID(m), m.Kind, m.Stale, m.Owner != nil})
		},
		base: func(*consolidation.Base) { bases++ },
	}
	for entry := 0; ; entry += len(list) {
		list, bases = list[:0], 0
		p, sum, err := s.page(ctx, &st.head, s.next, s.after, with, visit)
		switch {
		case errors.Is(err, errEnd):
			return nil
		case unusable(err):
			st.Damage = err
			return nil
		case err != nil:
			return err
		}
		s.next, s.after = s.next+1, sum
		st.pages, st.bases = s.next, st.bases+bases
		for i := range list {
			st.note(entry+i, &list[i])
		}
		if p.ends {
			st.edge, st.done = max(st.edge, p.edge), entry+len(list)
		}
	}
}

// note enters an emission, of which the next one of the same output takes the
// place.
func (st *State) note(entry int, m *seen) {
	known := st.store.known
	kind, there := known.kind(m.id)
	switch {
	case m.stale:
		known.remove(m.id, markCurrent)
	case there && kind != m.kind, !there && !m.named:
		st.orphan++
		return
	default:
		known.add(m.id, m.kind, markCurrent)
	}
	st.latest[m.id] = latest{entry: entry, kind: m.kind}
}

func emissionID(m *consolidation.Emission) outputID {
	return reference{m.Output, m.Variant, m.Rule}.id()
}

// Restored says what Restore did.
type Restored struct {
	// Edge is that of the latest flush that was complete; 0 if there was none.
	Edge uint64
	// Rules are those that watched.
	Rules []consolidation.RuleID
	// Inputs and Outputs were in the checkpoint. Refused are inputs without room
	// now, and those that were there twice because they moved meanwhile.
	Inputs, Outputs, Refused int
	// Shown are outputs whose last point was later than the checkpoint.
	// Interrupted are those of them that a flush was about to hand on when the
	// process ended: nobody knows whether it did. What delta outputs among them
	// held is taken for sent.
	Shown, Interrupted int
	// Bases are inputs that came after the checkpoint and count on from their
	// base lines.
	Bases int
	// Unknown are entries of the journal that were left out, because nothing
	// says what stream they are.
	Unknown int
}

// Restore feeds an engine that is empty: the parts, the edge of the latest
// flush, the last point of each output since, and the base lines of new inputs.
// After an error the engine holds a part of the state and must not be used.
func (st *State) Restore(e *consolidation.Engine, table *stream.Table, now uint64) (Restored, error) {
	r := Restored{Unknown: st.orphan}
	with := &share{table: table, bounds: e.Bounds}
	rules := map[consolidation.RuleID]uint64{}
	for i := range st.head.parts {
		part, err := st.store.part(st.ctx, &st.head, i, with)
		if err != nil {
			return r, err
		}
		for j := range part.Outputs {
			st.name(&part.Outputs[j])
		}
		maps.Copy(rules, part.Rules)
		r.Inputs, r.Outputs, r.Edge = r.Inputs+len(part.Inputs), r.Outputs+len(part.Outputs), max(r.Edge, part.Edge)
		r.Refused += e.Restore(part, now)
	}
	r.Rules = slices.Sorted(maps.Keys(rules))
	r.Edge = max(r.Edge, st.edge)
	e.RestoreEdge(st.edge)
	err := st.replay(with, visitor{emission: st.lastOnly(&r, func(m *consolidation.Emission) { e.RestoreEmitted(m, now) })})
	if err == nil && st.bases > 0 { // they come when all outputs are there
		err = st.replay(with, visitor{base: func(b *consolidation.Base) { st.restoreBase(e, b, now, &r) }})
	}
	return r, err
}

func (st *State) restoreBase(e *consolidation.Engine, b *consolidation.Base, now uint64, r *Restored) {
	id := reference{b.Input.Output, b.Input.Variant, b.Input.Rule}.id()
	if kind, there := st.store.known.kind(id); there && !fits(&b.Input, kind) {
		r.Unknown++
		return
	}
	if e.RestoreBase(b, now) {
		r.Bases++
	}
}

// name keeps the stream of an output of the checkpoint that the journal knows
// something later of.
func (st *State) name(o *consolidation.OutputState) {
	id := reference{o.Key, o.Variant, o.Rule}.id()
	if last, there := st.latest[id]; there {
		last.stream, _ = o.Owner.(*stream.Stream)
		st.latest[id] = last
	}
}

// lastOnly lets the last entry of each output through, with its stream.
func (st *State) lastOnly(r *Restored, visit func(*consolidation.Emission)) func(*consolidation.Emission) {
	next := 0
	return func(m *consolidation.Emission) {
		entry := next
		next++
		id := emissionID(m)
		last, there := st.latest[id]
		if !there {
			return
		}
		if s, named := m.Owner.(*stream.Stream); named && m.Kind == last.kind {
			last.stream = s
			st.latest[id] = last
		}
		switch {
		case last.entry != entry:
			return
		case last.stream == nil && !m.Stale:
			r.Unknown++
			return
		case last.stream != nil:
			m.Owner = last.stream
		}
		r.Shown++
		if entry >= st.done {
			r.Interrupted++
		}
		visit(m)
	}
}

// replay reads the journal again.
func (st *State) replay(with *share, visit visitor) error {
	after := st.head.sum
	for i := range st.pages {
		_, sum, err := st.store.page(st.ctx, &st.head, i, after, with, visit)
		if err != nil {
			return fmt.Errorf("read the journal again: %w", err)
		}
		after = sum
	}
	return nil
}

package consolidation

// Handover is what an engine knows of rules that go on in another one. It is the
// caller's, who may rename what is in it before it is taken over.
type Handover struct {
	// Since says since when the rules watched.
	Since   map[RuleID]uint64
	Outputs []OutputState
	Inputs  []InputState
	// Those that are forgotten, of all rules: see Part.
	InputsGone, OutputsGone           []Tombstone
	InputsForgotten, OutputsForgotten uint64
}

// Rename adds what forgotten streams are called without a part of their identity.
// Of a tombstone that part's lowest bit is not known, so there may be two; the one
// that is nobody's does no harm.
func (h *Handover) Rename(part Key) {
	without := func(list []Tombstone) []Tombstone {
		for _, t := range list {
			mark := t.Mark - part.B*mix
			list = append(list, Tombstone{mark | 1, t.Time}, Tombstone{(mark - 1) | 1, t.Time})
		}
		return list
	}
	h.InputsGone, h.OutputsGone = without(h.InputsGone), without(h.OutputsGone)
}

// Release takes rules out of the engine with all that they know. Nothing is
// emitted: what was shown goes on elsewhere. What the caller wants to be shown
// here it flushes before. Points that come later are not counted, and their
// Outcome says RuleMoved, until the rule is watched again.
//
// What is released is consistent: an increment is in an output if and only if
// the last value of its input includes it.
func (e *Engine) Release(rules []RuleID) *Handover {
	chosen := make(map[RuleID]struct{}, len(rules))
	for _, rule := range rules {
		chosen[rule] = struct{}{}
	}
	h := &Handover{}
	var to uint32
	h.Since, to = e.watches.move(chosen)
	for i := range e.directory { // whoever did not see that is done
		d := &e.directory[i]
		d.mu.Lock()
		gone, forgotten := d.gone.list()
		d.mu.Unlock()
		h.InputsGone, h.InputsForgotten = append(h.InputsGone, gone...), max(h.InputsForgotten, forgotten)
	}
	for i := range e.shards {
		from := len(h.Inputs)
		e.shards[i].release(chosen, to, h)
		for j := from; j < len(h.Inputs); j++ {
			e.remove(i, &h.Inputs[j], to)
		}
	}
	e.watches.emptied(chosen)
	return h
}

// release takes the outputs of rules out of a shard and lets go of their inputs,
// in one step.
func (s *shard) release(rules map[RuleID]struct{}, to uint32, h *Handover) {
	s.mu.Lock()
	defer s.mu.Unlock()
	chosen := func(rule RuleID) bool { _, is := rules[rule]; return is }
	ended, forgotten := s.gone.list()
	h.OutputsGone, h.OutputsForgotten = append(h.OutputsGone, ended...), max(h.OutputsForgotten, forgotten)
	s.eachInput(func(c *cursor) {
		o := s.target(*c.to)
		if rule := s.inputRule(c, o); !chosen(rule) {
			if o != nil && chosen(o.rule) { // a guest, whose rule stays
				*c.to = *c.to&flags | s.watches.wait(rule)
			}
			return
		}
		in := s.stateOf(c)
		in.Awaited, in.Passed = *c.to&restored != 0, *c.to&taken != 0
		h.Inputs = append(h.Inputs, in)
		if o != nil && !chosen(o.rule) {
			s.left(*c.to)
		}
		*c.to = *c.to&flags | to
	})
	var gone []uint32
	s.outputs.all(func(ref uint32, o *output) {
		if !o.used || !chosen(o.rule) {
			return
		}
		st := o.state()
		whole := *o
		st.whole = &whole
		h.Outputs = append(h.Outputs, st)
		s.gone.bury(o.key.variant(o.variant), o.emitted+step)
		gone = append(gone, ref)
	})
	for _, ref := range gone {
		s.removeOutput(ref, s.outputs.at(ref))
	}
	kept := s.bases[:0]
	for _, b := range s.bases {
		if !chosen(b.Input.Rule) {
			kept = append(kept, b)
		}
	}
	s.bases = kept
}

// inputRule returns by which rule an input goes, 0 if by none.
func (s *shard) inputRule(c *cursor, o *output) RuleID {
	if o != nil {
		return s.ruleOf(c.key, o)
	}
	r, _ := s.watches.released(*c.to)
	return r.rule
}

// remove forgets an input that was let go, unless another rule took it up.
func (e *Engine) remove(shard int, in *InputState, to uint32) {
	s, dir := &e.shards[shard], &e.directory[e.part(in.Key)]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	at, remove := s.find(in.Kind.class(), in.Key)
	if remove == nil || *at.to&refMask != to {
		return
	}
	dir.places.remove(in.Key.tag(), shard)
	e.release(*at.to)
	remove()
}

// IsInput says whether an input is known.
func (e *Engine) IsInput(kind Kind, key Key) bool {
	dir := &e.directory[e.part(key)]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	return e.visit(dir, kind.class(), key, func(*shard, *cursor) {})
}

// IsOutput says whether an output is known.
func (e *Engine) IsOutput(key Key) bool {
	s := &e.shards[e.part(key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	_, o := s.findOutput(key, 0)
	return o != nil
}

// move notes that rules go on in another engine, and returns since when they
// watched and what takes the place of the outputs of their inputs meanwhile.
func (w *watches) move(rules map[RuleID]struct{}) (since map[RuleID]uint64, to uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since = make(map[RuleID]uint64, len(rules))
	if w.moved == nil {
		w.moved = make(map[RuleID]struct{}, len(rules))
	}
	for rule := range rules {
		since[rule] = w.since[rule]
		w.moved[rule] = struct{}{}
		delete(w.since, rule)
	}
	return since, limbo | w.add(release{until: 1})
}

// emptied forgets what was noted of rules that have no inputs any more.
func (w *watches) emptied(rules map[RuleID]struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rule := range rules {
		delete(w.waiting, rule)
		delete(w.strays, rule)
	}
}

// hasMoved says whether a rule went on in another engine.
func (w *watches) hasMoved(rule RuleID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, moved := w.moved[rule]
	return moved
}

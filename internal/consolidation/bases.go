package consolidation

// Base is the base line of a new input: its first point, from which it counts.
// Without a start time, or with one before the rule watched, nobody else knows
// it. It is small and for a journal: an input that came after the last
// checkpoint counts on from its base line after a crash, because what it added
// since is in no checkpoint either.
type Base struct {
	// Input is the state after the first point.
	Input InputState
	// Since is the start of the output then. If it began again later, what the
	// input counted is in the former one, and the base line means nothing.
	Since uint64
}

// noteBase notes the base line of the input of a point that was just placed.
func (s *shard) noteBase(p *Point) {
	at, known := s.find(p.Kind.class(), p.Input)
	if known == nil || !at.class.cumulative() {
		return
	}
	base := Base{Input: s.stateOf(&at)}
	if o := s.target(*at.to); o != nil {
		base.Since = o.start
	}
	s.bases = append(s.bases, base)
}

// Bases hands over the base lines that were noted since the last call: see
// Settings.Bases. It is called at an edge, before or after Flush.
func (e *Engine) Bases(visit func(*Base)) {
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		list := s.bases
		s.bases = nil
		s.mu.Unlock()
		for j := range list {
			visit(&list[j])
		}
	}
}

// RestoreBase takes up the base line of an input that came after the snapshot,
// once all outputs are restored. It returns whether it could be used.
func (e *Engine) RestoreBase(b *Base, now uint64) bool {
	if e.knows(&b.Input) { // the snapshot is later
		return false
	}
	s := &e.shards[e.part(b.Input.Output)]
	s.mu.Lock()
	_, o := s.findOutput(b.Input.Output, b.Input.Variant)
	ended := s.gone.until(b.Input.Output.variant(b.Input.Variant))
	s.mu.Unlock()
	if o != nil && o.start != b.Since || o == nil && ended > b.Since {
		e.drop(&b.Input, now)
		return false
	}
	return e.adopt(&b.Input, restored, secondsOf(now))
}

// knows says whether an input is there, in this state or a later one.
func (e *Engine) knows(in *InputState) bool {
	dir := &e.directory[e.part(in.Key)]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	later := false
	dir.places.find(in.Key.tag(), func(shard int) bool {
		s := &e.shards[shard]
		s.mu.Lock()
		defer s.mu.Unlock()
		at, remove := s.find(in.Kind.class(), in.Key)
		later = remove != nil && at.time() >= in.time()
		return remove != nil
	})
	return later
}

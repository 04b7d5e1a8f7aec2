package consolidation

// guest is an input that feeds an output which another rule made: see findOutput.
// Its rule may end, or go and return, while that output stays.
type guest struct {
	class class
	rule  RuleID
}

// entertain notes by which rule an input goes that feeds an output.
func (s *shard) entertain(o *output, p *Point) {
	g, is := s.guests[p.Input]
	switch {
	case o.rule == p.Rule:
		if is {
			delete(s.guests, p.Input)
		}
	case !is || g.rule != p.Rule:
		if s.guests == nil {
			s.guests = map[Key]guest{}
		}
		s.guests[p.Input], o.hosts = guest{p.Kind.class(), p.Rule}, true
	}
}

// ruleOf returns by which rule an input of an output goes.
func (s *shard) ruleOf(key Key, o *output) RuleID {
	if g, is := s.guests[key]; is {
		return g.rule
	}
	return o.rule
}

// eachGuest visits the guests that are still there, and forgets others.
func (s *shard) eachGuest(visit func(g guest, at *cursor)) {
	for key, g := range s.guests {
		at, known := s.find(g.class, key)
		if known == nil || s.target(*at.to) == nil {
			delete(s.guests, key)
			continue
		}
		visit(g, &at)
	}
}

package deadband

import "math"

// Observe decides about a point under a valid rule. If the outcome says so, the
// point in before is to be sent first. It does not allocate for a known series,
// unless the layout of a histogram changes.
func (b *Band) Observe(p *Point, r *Rule, before *Before) Outcome {
	if p.Kind >= Histogram {
		return b.observeBuckets(p, r, before, nil)
	}
	return b.observeNumber(p, r, before, nil)
}

// ObserveIn is Observe for a point of a batch that may be refused: see Refused.
// The point to be sent first is in the Batch.
func (b *Band) ObserveIn(x *Batch, p *Point, r *Rule) Outcome {
	x.now = max(x.now, secondsOf(p.Now))
	if p.Kind >= Histogram {
		return b.observeBuckets(p, r, &x.Before, x)
	}
	return b.observeNumber(p, r, &x.Before, x)
}

func (b *Band) observeNumber(p *Point, r *Rule, before *Before, x *Batch) Outcome {
	if t := p.Sum.Time; !p.Stale && (t == 0 || t > math.MaxInt64) {
		return Outcome{Reason: NoTime}
	}
	s := b.shard(p.Series)
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, e := s.numbers.find(p.Series)
	if e == nil {
		o, last := b.firstNumber(s, p, r)
		if x != nil && o.notes() {
			x.numbers = append(x.numbers, numberNote{key: p.Series, time: p.Sum.Time, after: last, passes: o.Reason.Passes(), before: o.Before})
		}
		return o
	}
	if x == nil {
		o, _ := b.knownNumber(s, ref, e, p, r, before)
		return o
	}
	last, start, rule, kind, f := e.last, e.start, e.rule, e.kind, e.flags
	o, after := b.knownNumber(s, ref, e, p, r, before)
	if o.notes() {
		x.numbers = append(x.numbers, numberNote{
			key: p.Series, last: last, start: start, rule: rule, kind: kind, flags: f,
			time: p.Sum.Time, after: after, known: true, passes: o.Reason.Passes(), before: o.Before,
		})
	} else if o.Reason == Within {
		x.leftNumbers = append(x.leftNumbers, omission{p.Series, p.Sum.Time})
	}
	x.settle(s)
	return o
}

// firstNumber also returns the time of the series afterwards, as knownNumber does.
func (b *Band) firstNumber(s *shard, p *Point, r *Rule) (o Outcome, last uint64) {
	if p.Stale {
		return Outcome{Reason: Ended}, 0
	}
	now := secondsOf(p.Now)
	if !b.room(s, now) {
		return Outcome{Reason: NoRoom}, 0
	}
	_, e := s.numbers.insert(p.Series)
	e.key, e.seen = p.Series, now
	e.begin(p, r)
	b.own(0, e.rule)
	return Outcome{Reason: First}, e.last.time
}

func (b *Band) knownNumber(s *shard, ref uint32, e *number, p *Point, r *Rule, before *Before) (o Outcome, last uint64) {
	switch {
	case p.Stale:
		o = Outcome{Ended, e.recall(before)}
		if e.flags.has(holed) {
			s.numbers.pay(e.key, &o, before)
		}
		forget(b, &s.numbers, ref, e)
		return o, 0
	case e.flags.has(holed):
		o = s.numbers.mend(e, p.Sum.Time, before, func() Outcome { return e.next(p, r, before) })
	default:
		o = e.next(p, r, before)
	}
	e.seen = secondsOf(p.Now)
	if e.rule != r.Owner {
		b.own(e.rule, r.Owner)
		e.rule = r.Owner
	}
	return o, e.last.time
}

func (b *Band) observeBuckets(p *Point, r *Rule, before *Before, x *Batch) Outcome {
	s := b.shard(p.Series)
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, e := s.buckets.find(p.Series)
	if e == nil {
		o, last := b.firstBuckets(s, p, r)
		if x != nil && o.notes() {
			x.buckets = append(x.buckets, noteOf(&buckets{}, p, false, last, o))
		}
		return o
	}
	if x == nil {
		o, _ := b.knownBuckets(s, ref, e, p, r, before)
		return o
	}
	was := *e
	s.counts = append(s.counts[:0], e.counts...)
	o, last := b.knownBuckets(s, ref, e, p, r, before)
	if o.notes() {
		was.counts = append(x.buffer(), s.counts...)
		x.buckets = append(x.buckets, noteOf(&was, p, true, last, o))
	} else if o.Reason == Within {
		x.leftBuckets = append(x.leftBuckets, omission{p.Series, s.shot.span.Time})
	}
	x.settle(s)
	return o
}

// read takes a histogram into the scratch of the shard. It returns Within, or why
// the point is not compared with any other.
func (s *shard) read(p *Point) Reason {
	if p.Stale {
		return Ended
	}
	bad := s.shot.take(p)
	if t := s.shot.span.Time; bad == Within && (t == 0 || t > math.MaxInt64) {
		return NoTime
	}
	return bad
}

func (b *Band) firstBuckets(s *shard, p *Point, r *Rule) (o Outcome, last uint64) {
	if bad := s.read(p); bad != Within {
		return Outcome{Reason: bad}, 0
	}
	now := secondsOf(p.Now)
	if !b.room(s, now) {
		return Outcome{Reason: NoRoom}, 0
	}
	_, e := s.buckets.insert(p.Series)
	e.key, e.seen = p.Series, now
	e.begin(p, &s.shot, r)
	b.own(0, e.rule)
	return Outcome{Reason: First}, e.last
}

func (b *Band) knownBuckets(s *shard, ref uint32, e *buckets, p *Point, r *Rule, before *Before) (o Outcome, last uint64) {
	switch bad := s.read(p); {
	case bad == NoTime:
		return Outcome{Reason: NoTime}, e.last
	case bad != Within:
		// It cannot be compared with anything, and nothing with it.
		o = Outcome{bad, e.recall(before)}
		if e.flags.has(holed) {
			s.buckets.pay(e.key, &o, before)
		}
		forget(b, &s.buckets, ref, e)
		return o, 0
	case e.flags.has(holed):
		o = s.buckets.mend(e, s.shot.span.Time, before, func() Outcome { return e.next(p, &s.shot, r, before, &s.last) })
	default:
		o = e.next(p, &s.shot, r, before, &s.last)
	}
	e.seen = secondsOf(p.Now)
	if e.rule != r.Owner {
		b.own(e.rule, r.Owner)
		e.rule = r.Owner
	}
	return o, e.last
}

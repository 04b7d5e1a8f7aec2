package deadband

// Batch is what the points of one batch share: the Before that is lent, and what
// was sent, so that it can be taken back if the next component refuses the batch.
// The zero value is an empty one. It belongs to one goroutine at a time.
type Batch struct {
	// Before is the point that is to be sent first, if an Outcome says so.
	Before Before

	now                      uint32 // of the last point
	numbers                  []numberNote
	buckets                  []note[buckets]
	leftNumbers, leftBuckets []omission
	spare                    [][]uint64 // buffers of notes
	debts                    []debt
}

// debt is a point that was owed and was sent: it is owed again if it is refused.
type debt struct {
	shard *shard
	repay func()
}

// omission is one point that was left out.
type omission struct {
	key Key
	at  uint64
}

// numberNote is one point of a number that was sent, in a cache line. A note of the
// whole series instead was half as dear as the decision itself.
type numberNote struct {
	key   Key
	last  reading // of the series before it, as are start, rule, kind and flags
	start uint64
	// after is the time of the series after it, 0 if it ended.
	time, after           uint64
	rule                  uint16
	kind                  Kind
	flags                 flags
	known, passes, before bool
}

// note is the same with the series. What had been sent before does not count, since
// the next point passes.
func (n *numberNote) note() note[number] {
	w := note[number]{
		key: n.key, known: n.known, last: n.after, time: n.time, before: n.before,
		was: number{key: n.key, sent: n.last, last: n.last, door: open, start: n.start, rule: n.rule, kind: n.kind, flags: n.flags},
	}
	if n.passes {
		w.at = n.time
	}
	return w
}

// note is one point that was sent.
type note[T any] struct {
	key   Key
	was   T // the series before it, if it was known
	known bool
	// last is the time of the series after it, 0 if it ended. time is its own, at
	// too, but 0 if only the point before it was sent.
	last, time, at uint64
	before         bool
}

// What a Batch keeps for the next one: notes, buffers of notes, and counts a
// buffer. It is some 20 MB at most.
const maxNotes, maxSpare, maxCounts = 1 << 16, 1 << 10, 1 << 10

// Reset begins another batch.
func (x *Batch) Reset() {
	for i := range x.buckets {
		if c := x.buckets[i].was.counts; len(x.spare) < maxSpare && cap(c) > 0 && cap(c) <= maxCounts {
			x.spare = append(x.spare, c)
		}
	}
	clear(x.buckets)
	clear(x.debts)
	x.numbers, x.buckets = emptied(x.numbers), emptied(x.buckets)
	x.leftNumbers, x.leftBuckets, x.debts = emptied(x.leftNumbers), emptied(x.leftBuckets), emptied(x.debts)
	x.now = 0
}

func emptied[T any](list []T) []T {
	if cap(list) > maxNotes {
		return nil
	}
	return list[:0]
}

// settle notes what was paid with the last point.
func (x *Batch) settle(s *shard) {
	if repay := x.Before.repay; repay != nil {
		x.Before.repay = nil
		x.debts = append(x.debts, debt{s, repay})
	}
}

// buffer returns one to copy into.
func (x *Batch) buffer() []uint64 {
	n := len(x.spare)
	if n == 0 {
		return nil
	}
	b := x.spare[n-1]
	x.spare = x.spare[:n-1]
	return b[:0]
}

func noteOf[T any](was *T, p *Point, known bool, last uint64, o Outcome) note[T] {
	n := note[T]{key: p.Series, was: *was, known: known, last: last, time: p.time(), before: o.Before}
	if o.Reason.Passes() {
		n.at = n.time
	}
	return n
}

// notes reports whether an outcome has to be noted: something was sent, and the
// series knows of it.
func (o Outcome) notes() bool {
	return (o.Reason.Passes() || o.Before) && o.Reason != NoRoom && o.Reason != NoTime && o.Reason != Retried
}

// Refused takes back what was sent of a batch, because the next component did not
// take it. The next point of each of these series passes, what was left out before
// it too; points of the batch that come again pass also after it, in any order.
// Points of it that had been left out remain so. What other batches brought
// meanwhile stays.
func (b *Band) Refused(x *Batch) {
	for i := len(x.numbers) - 1; i >= 0; i-- {
		n := x.numbers[i].note()
		s := b.shard(n.key)
		s.mu.Lock()
		takeBack(b, s, &s.numbers, &n, x.now)
		s.mu.Unlock()
	}
	for i := len(x.buckets) - 1; i >= 0; i-- {
		n := &x.buckets[i]
		s := b.shard(n.key)
		s.mu.Lock()
		takeBack(b, s, &s.buckets, n, x.now)
		s.mu.Unlock()
	}
	for _, d := range x.debts {
		d.shard.mu.Lock()
		d.repay()
		d.shard.mu.Unlock()
	}
	for _, m := range x.leftNumbers {
		s := b.shard(m.key)
		s.mu.Lock()
		s.numbers.await(m, x.now)
		s.mu.Unlock()
	}
	for _, m := range x.leftBuckets {
		s := b.shard(m.key)
		s.mu.Lock()
		s.buckets.await(m, x.now)
		s.mu.Unlock()
	}
}

// await makes known that a point that was left out may come again.
func (t *table[T, P]) await(m omission, now uint32) {
	if _, e := t.find(m.key); e != nil {
		e.open()
		h := t.hole(m.key, now)
		h.since = min(h.since, m.at)
	}
}

func takeBack[T any, P element[T]](b *Band, s *shard, t *table[T, P], n *note[T], now uint32) {
	was := P(&n.was)
	_, e := t.find(n.key)
	from := uint64(0)
	if n.known {
		from = was.latest()
	}
	if e != nil && e.latest() != n.last {
		// Another batch came meanwhile, or points of this one that were left out.
		h := t.hole(n.key, now)
		h.refused(n.time)
		if h.add(window{from, n.at + 1}); n.before {
			h.owe(was.copied())
			h.add(window{from - 1, from + 1})
		}
		e.refuse()
		return
	}
	switch {
	case e == nil && (!n.known || !b.room(s, now)):
		return // the next point is the first one
	case e == nil:
		_, e = t.insert(n.key)
		e.resume(was)
		b.own(0, e.owner())
	case n.known:
		owner := e.owner()
		e.resume(was)
		b.own(owner, e.owner())
	default:
		e.unsend()
	}
	e.refuse()
	h := t.hole(n.key, now)
	h.refused(n.time)
	h.add(window{from, always})
}

package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// Report says what a flush or a retirement did.
type Report struct {
	// Values are the emitted points, Repeated those of them that a heartbeat
	// was due for. Ended are the stale markers.
	Values, Repeated, Ended int
	// Evicted inputs sent nothing for the staleness. Lost are those of them that
	// sent nothing since a restart: what they counted after the checkpoint is
	// not known.
	Evicted, Lost int
	// Behind are outputs that show what they did before a restart, because
	// their inputs have not caught up.
	Behind int
	// PastInteger are levels whose integer sum became a double.
	PastInteger int
}

// batch is what one shard emits. It is filled under the lock and emitted
// without.
type batch struct {
	list         []Emission
	histograms   []spatial.HistogramPoint
	exponentials []spatial.ExponentialPoint
	counts       []uint64
	gone         []uint32
}

func (b *batch) reset() {
	clear(b.list)
	clear(b.histograms)
	clear(b.exponentials)
	b.list, b.histograms, b.exponentials = b.list[:0], b.histograms[:0], b.exponentials[:0]
	b.counts, b.gone = b.counts[:0], b.gone[:0]
}

func (b *batch) copied(counts []uint64) []uint64 {
	from := len(b.counts)
	b.counts = append(b.counts, counts...)
	return b.counts[from:len(b.counts):len(b.counts)]
}

// Flush ends the interval at edge and emits what is due, stamped with the edge.
// Shard by shard, what is to be emitted is taken under the lock, at one
// watermark, and emitted without; other shards go on all the time.
//
// Outputs that were made when their rule was gone end first: see Feed.
func (e *Engine) Flush(edge uint64, emit func(*Emission)) Report {
	r := e.RetireAll(e.watches.strayed(), edge, emit)
	e.Settle()
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		s.eachGuest(func(guest, *cursor) {})
		s.watermark(edge, e.staleness, nil, &r)
		s.collect(edge, e.edge, uint64(e.settings.Heartbeat), &r) //nolint:gosec // positive
		s.mu.Unlock()
		for j := range s.batch.list {
			emit(&s.batch.list[j])
		}
		s.batch.reset()
		e.evict(i, edge, &r)
	}
	e.watches.sweep()
	e.edge = edge
	return r
}

// watermark ends the inputs that went stale and computes the levels of the
// others; of the outputs that are chosen, or of all if choose is nil.
func (s *shard) watermark(edge uint64, staleness uint32, choose func(*output) bool, r *Report) {
	s.outputs.all(func(_ uint32, o *output) {
		if o.level != nil {
			o.level.Reset()
		}
	})
	now := secondsOf(edge)
	s.eachInput(func(c *cursor) {
		if *c.to&refMask >= limbo {
			s.watches.use(*c.to)
		}
		if choose != nil {
			if o := s.target(*c.to); o == nil || !choose(o) {
				return
			}
		}
		if *c.seen+staleness < now {
			s.left(*c.to)
			*c.to |= ended
			s.expired[c.class] = append(s.expired[c.class], c.key)
			return
		}
		if c.class != levels || *c.to&ended != 0 {
			return
		}
		o := s.target(*c.to)
		if o == nil {
			return
		}
		if last := c.level.Last(); o.level.Observe(last.Value, last.Time) {
			r.PastInteger++
		}
	})
}

// collect decides about every output.
func (s *shard) collect(edge, latest, heartbeat uint64, r *Report) {
	s.outputs.all(func(ref uint32, o *output) {
		if !o.used {
			return
		}
		switch o.due(edge, heartbeat) {
		case repeat:
			r.Repeated++
			fallthrough
		case show:
			s.show(o, edge, latest, r)
		case finish:
			s.finish(o, edge, r)
			fallthrough
		case forget:
			o.ends = true
			s.batch.gone = append(s.batch.gone, ref)
		case rest:
		}
	})
	if len(s.batch.gone) == 0 {
		return
	}
	s.eachInput(func(c *cursor) {
		if o := s.target(*c.to); o != nil && o.ends {
			*c.to = *c.to&flags | s.watches.wait(s.ruleOf(c.key, o))
		}
	})
	for _, ref := range s.batch.gone {
		s.removeOutput(ref, s.outputs.at(ref))
	}
}

// show puts the value of an output into the batch.
func (s *shard) show(o *output, time, latest uint64, r *Report) {
	r.Values++
	b := &s.batch
	out := o.emission(time)
	if o.kind.Delta() {
		out.Start = o.deltaStart(latest, time)
	}
	switch o.kind.form() {
	case number:
		out.Number = o.total.Value()
		if o.kind == CumulativeSum {
			if out.Number.Compare(o.last) < 0 {
				r.Behind++
			}
			out.Number = spatial.Max(out.Number, o.last)
			o.last = out.Number
		}
	case level:
		policy := spatial.PolicySum
		if o.kind == Gauge {
			policy = o.policy
		}
		out.Number, _ = o.level.Value(policy)
	case histogram:
		p := o.histogram.Point()
		if o.floor != nil {
			p = o.floor.raise(o, p, r)
		}
		p.Counts, p.Span = b.copied(p.Counts), spatial.Span{Start: out.Start, Time: time}
		b.histograms = append(b.histograms, p)
		out.Histogram = &b.histograms[len(b.histograms)-1]
	case exponential:
		p := o.exponential.Point()
		if o.floor != nil {
			p = o.floor.raiseExponential(o, p, r)
		}
		p.Positive.Counts, p.Negative.Counts = b.copied(p.Positive.Counts), b.copied(p.Negative.Counts)
		p.Span = spatial.Span{Start: out.Start, Time: time}
		b.exponentials = append(b.exponentials, p)
		out.Exponential = &b.exponentials[len(b.exponentials)-1]
	}
	b.list = append(b.list, out)
	o.emitted, o.shown, o.touched = time, true, false
	if o.credit > 0 {
		o.credit--
	}
	if o.kind.Delta() {
		o.drained()
	}
}

// finish puts the stale marker of an output into the batch and remembers when
// it ended.
func (s *shard) finish(o *output, time uint64, r *Report) {
	r.Ended++
	out := o.emission(time)
	out.Stale = true
	s.batch.list = append(s.batch.list, out)
	s.gone.bury(o.key.variant(o.variant), time)
}

// evict forgets the inputs that went stale. Each is looked at again under both
// locks: a point may have come since.
func (e *Engine) evict(shard int, edge uint64, r *Report) {
	s := &e.shards[shard]
	for c := range classes {
		for _, key := range s.expired[c] {
			e.forget(shard, c, key, edge, r)
		}
		s.expired[c] = s.expired[c][:0]
	}
}

func (e *Engine) forget(shard int, c class, key Key, edge uint64, r *Report) {
	s, dir := &e.shards[shard], &e.directory[e.part(key)]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	in, remove := s.find(c, key)
	if remove == nil || *in.to&ended == 0 || *in.seen+e.staleness >= secondsOf(edge) {
		return
	}
	if c.cumulative() {
		dir.gone.bury(key.mark(), in.time())
	}
	if *in.to&restored != 0 {
		r.Lost++
	}
	dir.places.remove(key.tag(), shard)
	e.release(*in.to)
	remove()
	r.Evicted++
}

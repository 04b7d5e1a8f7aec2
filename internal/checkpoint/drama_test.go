package checkpoint_test

import (
	"context"
	"maps"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/checkpoint"
	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// batchSize is how many points a process sends at once: few, so that a flush has several batches.
const batchSize = 4

// process is what a processor does with an engine and its storage, without the Collector around it.
type process struct {
	engine *c.Engine
	table  *stream.Table
	store  *checkpoint.Store
}

// start begins a process over a storage, as the processor does: what is there is taken up, the rule watches, others end, and a
// checkpoint makes the state that of this process.
func start(
	ctx context.Context, kv checkpoint.KV, rule c.RuleID, now uint64, send func(shown),
) (*process, checkpoint.Restored, *checkpoint.State, error) {
	p := &process{engine: c.New(patient), table: &stream.Table{}, store: checkpoint.Open(kv)}
	var counts checkpoint.Restored
	st, err := p.store.Load(ctx)
	if err != nil {
		return nil, counts, nil, err
	}
	if st != nil {
		if st.Damage != nil {
			return nil, counts, nil, st.Damage
		}
		if counts, err = st.Restore(p.engine, p.table, now); err != nil {
			return nil, counts, nil, err
		}
	}
	for _, r := range counts.Rules {
		if r == rule {
			continue
		}
		err = p.emit(ctx, counts.Edge, send, func(emit func(*c.Emission)) { p.engine.Retire(r, counts.Edge, emit) })
		if err != nil {
			return nil, counts, st, err
		}
	}
	p.engine.Watch(rule, now)
	_, err = write(ctx, p.store, p.engine, now)
	return p, counts, st, err
}

// flush sends what the engine emits: each batch is in the journal before it is sent.
func (p *process) flush(ctx context.Context, edge uint64, send func(shown)) error {
	return p.emit(ctx, edge, send, func(emit func(*c.Emission)) { p.engine.Flush(edge, emit) })
}

func (p *process) emit(ctx context.Context, edge uint64, send func(shown), run func(func(*c.Emission))) error {
	j := p.store.Journal(edge)
	p.engine.Bases(j.AddBase)
	var batch []shown
	var failed error
	hand := func() {
		if failed == nil {
			_, failed = j.Write(ctx)
		}
		if failed == nil { // a process that was killed sends nothing
			for i := range batch {
				send(batch[i])
			}
		}
		batch = batch[:0]
	}
	run(func(m *c.Emission) {
		j.Add(m)
		if batch = append(batch, shownBy(m)); len(batch) == batchSize {
			hand()
		}
	})
	hand()
	if failed == nil {
		failed = j.End(ctx)
	}
	return failed
}

// reader is a database that gets what is sent.
type reader struct {
	t    require.TestingT
	last map[string]shown
	sent map[string]spatial.Number // of delta sums, added up
	n    int
}

func newReader(t require.TestingT) *reader {
	return &reader{t: t, last: map[string]shown{}, sent: map[string]spatial.Number{}}
}

// take fails if a cumulative output falls without a new start time, if two points have one time, or windows overlap.
func (r *reader) take(s shown) {
	r.n++
	before, known := r.last[s.output]
	r.last[s.output] = s
	if s.kind == c.DeltaSum && !s.stale {
		total, _ := spatial.Add(r.sent[s.output], s.number)
		r.sent[s.output] = total
	}
	if !known {
		return
	}
	require.Greater(r.t, s.time, before.time, s.output)
	if before.stale || s.stale {
		return
	}
	switch {
	case s.kind.Delta():
		require.GreaterOrEqual(r.t, s.start, before.time, "%s: windows overlap", s.output)
	case s.start != before.start:
		require.GreaterOrEqual(r.t, s.start, before.start, s.output)
	case s.kind == c.CumulativeSum:
		require.GreaterOrEqual(r.t, s.number.Compare(before.number), 0, "%s fell from %v to %v", s.output, before.number, s.number)
	case len(s.counts) == len(before.counts):
		for i := range s.counts {
			require.GreaterOrEqual(r.t, s.counts[i], before.counts[i], "%s fell from %v to %v", s.output, before.counts, s.counts)
		}
	}
}

// drama is a history that two processes live through: one lives, the other is killed and started again.
type drama struct {
	t       require.TestingT
	ctx     context.Context
	kv      *memory
	lives   *process
	dies    *process
	sources []*source
	now     uint64
	edge    uint64
	good    *reader // of the one that lives
	bad     *reader
	// acked are the delta sums that were taken by the process that dies; saved what the latest checkpoint has of them and
	// what was sent until then.
	acked, saved, sentAtSave map[string]int64
	lost                     map[string]int64 // what may be missing at most
	kills                    int
	interrupted              bool // a flush was, and nobody knows what of it was sent
	rule                     c.RuleID
	inexact                  map[string]bool // outputs of which inputs ended
	reopen                   func()          // the storage, if it is a file
}

func newDrama(ctx context.Context, t require.TestingT, kv *memory, kinds []c.Kind) *drama {
	d := &drama{
		t: t, ctx: ctx, kv: kv, now: zero + second, edge: zero, good: newReader(t), bad: newReader(t),
		acked: map[string]int64{}, saved: map[string]int64{}, sentAtSave: map[string]int64{}, lost: map[string]int64{},
		rule: 1, inexact: map[string]bool{},
	}
	for i, kind := range kinds {
		s := program(i, kind)
		s.start, s.double = zero+second, false
		d.sources = append(d.sources, s)
	}
	lives, _, _, err := start(ctx, newMemory(), 1, zero, nil)
	require.NoError(t, err)
	d.lives = lives
	return d
}

// begin starts the process that dies; false if it is killed meanwhile.
func (d *drama) begin() bool {
	watching := zero
	if d.kills > 0 {
		watching = d.now
	}
	p, counts, st, err := start(d.ctx, d.kv, d.rule, watching, d.bad.take)
	d.interrupted = d.interrupted || counts.Interrupted > 0
	if d.dead(err) {
		return false
	}
	for output := range d.acked {
		missing := d.acked[output] - d.saved[output]
		if d.interrupted {
			missing += d.saved[output] - d.sentAtSave[output]
		}
		if st == nil {
			missing = d.acked[output] - d.sent(output)
		}
		d.lost[output] += missing
		d.acked[output] -= missing // nobody expects it any more
	}
	d.dies, d.interrupted = p, false
	d.remember()
	return true
}

func (d *drama) sent(output string) int64 { return d.bad.sent[output].Int() }

// remember notes what a checkpoint has.
func (d *drama) remember() {
	d.saved = maps.Clone(d.acked)
	for output := range d.acked {
		d.sentAtSave[output] = d.sent(output)
	}
}

// dead reports whether the process was killed; nothing else may fail.
func (d *drama) dead(err error) bool {
	if err == nil {
		return false
	}
	require.ErrorIs(d.t, err, errDead)
	return true
}

func (d *drama) feed(s *source, n int64) {
	s.rule = d.rule
	p := s.next(d.now, n)
	q := *p
	s.feedTo(d.lives.engine, d.lives.table, p)
	if d.dies == nil {
		return // it was refused: the sender would send it again, but cumulative ones go on anyway
	}
	s.feedTo(d.dies.engine, d.dies.table, &q)
	if s.kind == c.DeltaSum {
		d.acked[s.kind.String()+" "+s.output] += n
	}
}

// finish ends a program: the stale marker comes, and then nothing.
func (d *drama) finish(i int) {
	s := d.sources[i]
	d.sources = slices.Delete(d.sources, i, i+1)
	p := s.next(d.now, 0)
	p.Stale = true
	s.feedTo(d.lives.engine, d.lives.table, p)
	s.feedTo(d.dies.engine, d.dies.table, p)
	d.inexact[s.kind.String()+" "+s.output] = true
}

// replace ends the rule and puts another in force. A checkpoint has to follow, for the journal does not know rules.
func (d *drama) replace() (survived bool) {
	for _, s := range d.sources { // what was not heard of since a restart is not known to have been counted by the old rule
		d.now++
		d.feed(s, 1)
	}
	swap := func(p *process, r *reader) error {
		err := p.emit(d.ctx, d.edge, r.take, func(emit func(*c.Emission)) { p.engine.Retire(d.rule, d.edge, emit) })
		p.engine.Watch(d.rule+1, d.now)
		return err
	}
	require.NoError(d.t, swap(d.lives, d.good))
	survived = !d.dead(swap(d.dies, d.bad))
	d.rule++
	return survived && d.checkpoint()
}

func (d *drama) flush() (survived bool) {
	d.edge += interval
	d.now = max(d.now, d.edge)
	require.NoError(d.t, d.lives.flush(d.ctx, d.edge, d.good.take))
	return !d.dead(d.dies.flush(d.ctx, d.edge, d.bad.take))
}

func (d *drama) checkpoint() (survived bool) {
	_, err := write(d.ctx, d.dies.store, d.dies.engine, d.now)
	if d.dead(err) {
		return false
	}
	d.remember()
	return true
}

// revive starts the killed process again, over a storage that works.
func (d *drama) revive() {
	d.kv.dead, d.kv.left, d.kv.torn = false, -1, false
	d.kills++
	if d.reopen != nil {
		d.reopen()
	}
	require.True(d.t, d.begin())
}

// end lets all sources report twice and compares.
func (d *drama) end(exact bool) {
	for range 2 {
		for _, s := range d.sources {
			d.now += second / 8
			d.feed(s, 3)
		}
		require.True(d.t, d.flush())
	}
	for output, want := range d.good.last {
		got, there := d.bad.last[output]
		require.True(d.t, there || d.inexact[output], output)
		if !want.kind.Delta() && exact && !d.inexact[output] {
			if d.rule > 1 { // the marker of the last rule's output may have come some milliseconds earlier
				require.InDelta(d.t, want.start, got.start, 1e7)
				got.start = want.start
			}
			require.Equal(d.t, want, got)
		}
	}
	for output, total := range d.good.sent {
		sent, most := d.sent(output), total.Int()
		require.LessOrEqual(d.t, sent, most, "%s: counted twice", output)
		require.GreaterOrEqual(d.t, sent, most-d.lost[output], "%s: lost more than came since the checkpoint", output)
	}
	require.True(d.t, d.checkpoint())
	n := 0
	for _, key := range d.kv.keys() {
		if key != "head" && key[:4] != "part" {
			require.Failf(d.t, "left behind", "%v", d.kv.keys())
		}
		n++
	}
	require.Equal(d.t, 2, n, "the head and one part: %v", d.kv.keys())
}

package checkpoint_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/checkpoint"
	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

var errFull = errors.New("no space left")

// TestAFailedCheckpointLeavesTheLastOneValid, wherever it fails, and nothing of itself; the next one is written.
func TestAFailedCheckpointLeavesTheLastOneValid(t *testing.T) {
	for operation, want := range map[string]string{
		"set part": "write part/0/0: no space left",
		"set head": "write head: no space left",
	} {
		kv := smallState(t)
		before := clone(kv).data
		store := checkpoint.Open(kv)
		st, err := store.Load(t.Context())
		require.NoError(t, err)
		e := c.New(patient)
		_, err = st.Restore(e, &stream.Table{}, zero+3*interval)
		require.NoError(t, err)

		kv.fail = map[string]error{operation: errFull}
		_, err = write(t.Context(), store, e, zero+3*interval)
		require.EqualError(t, err, want)
		require.Equal(t, before, kv.data)
		kv.fail = nil
		require.NoError(t, store.Journal(zero+4*interval).End(t.Context()), "the journal goes on")
		_, err = write(t.Context(), store, e, zero+5*interval)
		require.NoError(t, err)
		require.Equal(t, []string{"head", "part/0/0"}, kv.keys())
	}
}

// TestAHeadThatIsThereThoughTheStorageFailedIsValid: to go on with the journal of the checkpoint before would lose it.
func TestAHeadThatIsThereThoughTheStorageFailedIsValid(t *testing.T) {
	kv := smallState(t)
	store := checkpoint.Open(kv)
	st, err := store.Load(t.Context())
	require.NoError(t, err)
	e := c.New(patient)
	_, err = st.Restore(e, &stream.Table{}, zero+3*interval)
	require.NoError(t, err)

	// The head is set, and the connection breaks before the answer; then nothing can be asked for a while.
	kv.left, kv.torn = 1, true
	w := store.Begin(identity, nil, zero+3*interval)
	for part := range e.Snapshot() {
		require.NoError(t, w.Part(t.Context(), part))
	}
	_, err = w.Commit(t.Context())
	require.ErrorIs(t, err, errDead)
	w.Abort(t.Context())
	j := store.Journal(zero + 3*interval)
	require.ErrorIs(t, j.End(t.Context()), errDead, "nobody knows where it belongs")
	require.Contains(t, kv.data, "part/0/0", "the head may name it")

	kv.dead, kv.left, kv.torn = false, -1, false
	require.NoError(t, j.End(t.Context()))
	require.Equal(t, []string{"head", "journal/0/0", "part/0/0"}, kv.keys())
	st, err = checkpoint.Open(kv).Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.Damage)
	counts, err := st.Restore(c.New(patient), &stream.Table{}, zero+3*interval)
	require.NoError(t, err)
	require.Equal(t, zero+3*interval, counts.Edge)
}

// TestAHeadThatIsNotThereIsNot is the other outcome.
func TestAHeadThatIsNotThereIsNot(t *testing.T) {
	kv := smallState(t)
	store := checkpoint.Open(kv)
	_, err := store.Load(t.Context())
	require.NoError(t, err)
	kv.left = 1
	w := store.Begin(identity, nil, zero+3*interval)
	e := c.New(patient)
	s := program(1, c.CumulativeSum)
	s.feedTo(e, &stream.Table{}, s.next(zero+second, 1))
	for part := range e.Snapshot() {
		require.NoError(t, w.Part(t.Context(), part))
	}
	_, err = w.Commit(t.Context())
	require.ErrorIs(t, err, errDead)
	kv.dead, kv.left = false, -1
	again := store.Begin(identity, nil, zero+4*interval) // without Abort
	require.NoError(t, again.Part(t.Context(), &c.Part{}))
	require.ErrorContains(t, w.Part(t.Context(), &c.Part{}), "write head: the process was killed")
	again.Abort(t.Context())
	require.NoError(t, store.Journal(zero+4*interval).End(t.Context()))
	require.Equal(t, []string{"head", "journal/1/0", "journal/1/1", "journal/1/2", "journal/1/3", "journal/1/4", "part/1/0"}, kv.keys())
}

// TestAFailedWriteCanBeTriedAgain: no emission is lost, and a stream that did not arrive is written again.
func TestAFailedWriteCanBeTriedAgain(t *testing.T) {
	for _, again := range []string{"by End", "by Write", "not"} {
		kv := newMemory()
		p, _, _, err := start(t.Context(), kv, 1, zero, nil)
		require.NoError(t, err)
		s := program(1, c.CumulativeSum)
		s.double = false
		var shows *c.Emission
		flush := func(edge uint64, j *checkpoint.Journal) {
			s.feedTo(p.engine, p.table, s.next(edge-second, 5))
			p.engine.Flush(edge, func(m *c.Emission) {
				last := *m
				shows = &last
				j.Add(m)
			})
		}
		j := p.store.Journal(zero + interval)
		flush(zero+interval, j)
		kv.fail = map[string]error{"set journal": errFull}
		_, err = j.Write(t.Context())
		require.EqualError(t, err, "write journal/0/0: no space left")
		kv.fail = nil
		switch again {
		case "by Write":
			size, err := j.Write(t.Context())
			require.NoError(t, err)
			require.Len(t, kv.data["journal/0/0"], size)
			fallthrough
		case "by End":
			require.NoError(t, j.End(t.Context()))
			require.NoError(t, j.End(t.Context()), "twice is once")
		}
		j = p.store.Journal(zero + 2*interval)
		flush(zero+2*interval, j)
		_, err = j.Write(t.Context())
		require.NoError(t, err)

		st, err := checkpoint.Open(kv).Load(t.Context())
		require.NoError(t, err)
		e := c.New(patient)
		counts, err := st.Restore(e, &stream.Table{}, zero+3*interval)
		require.NoError(t, err)
		require.Equal(t, []int{1, 1, 0}, []int{counts.Shown, counts.Interrupted, counts.Unknown}, again)
		snapshot := snapshotOf(e)
		require.Len(t, snapshot.outputs, 1)
		require.Contains(t, snapshot.outputs[0], "out1", "its stream is known")
		for part := range e.Snapshot() {
			for i := range part.Outputs {
				require.Equal(t, shows.Number, part.Outputs[i].Last)
				require.Equal(t, shows.Time, part.Outputs[i].Emitted)
			}
		}
	}
}

// TestAnOutputThatOnlyAnAbortedCheckpointHasIsNotKnown: its stream has to be in the journal.
func TestAnOutputThatOnlyAnAbortedCheckpointHasIsNotKnown(t *testing.T) {
	kv := newMemory()
	p, _, _, err := start(t.Context(), kv, 1, zero, nil)
	require.NoError(t, err)
	s := program(1, c.CumulativeSum)
	s.feedTo(p.engine, p.table, s.next(zero+second, 1))
	w := p.store.Begin(identity, nil, zero+second)
	for part := range p.engine.Snapshot() {
		require.NoError(t, w.Part(t.Context(), part))
	}
	w.Abort(t.Context())
	require.NoError(t, p.flush(t.Context(), zero+interval, func(shown) {}))
	st, err := checkpoint.Open(kv).Load(t.Context())
	require.NoError(t, err)
	e := c.New(patient)
	counts, err := st.Restore(e, &stream.Table{}, zero+interval)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 0}, []int{counts.Outputs, counts.Shown, counts.Unknown})
	require.Equal(t, zero+interval, counts.Edge)
	require.Equal(t, counts.Edge, snapshotOf(e).edge)
	require.Equal(t, []c.RuleID{1}, counts.Rules)
}

// TestAnOutputThatEndsAndReturns within one journal goes on from its second life.
func TestAnOutputThatEndsAndReturns(t *testing.T) {
	kv := newMemory()
	p, _, _, err := start(t.Context(), kv, 1, zero, nil)
	require.NoError(t, err)
	s := program(1, c.CumulativeSum)
	var last shown
	send := func(m shown) { last = m }
	for i, step := range []string{"report", "checkpoint", "end", "report", "report"} {
		now := zero + uint64(i+1)*interval
		point := s.next(now-second, 2)
		switch step {
		case "checkpoint":
			_, err = write(t.Context(), p.store, p.engine, now)
			require.NoError(t, err)
			continue
		case "end":
			point.Stale = true
		}
		s.feedTo(p.engine, p.table, point)
		require.NoError(t, p.flush(t.Context(), now, send))
		require.Equal(t, step == "end", last.stale)
	}
	st, err := checkpoint.Open(kv).Load(t.Context())
	require.NoError(t, err)
	e := c.New(patient)
	counts, err := st.Restore(e, &stream.Table{}, zero+6*interval)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{counts.Shown, counts.Unknown})
	for part := range e.Snapshot() {
		for i := range part.Outputs {
			require.Equal(t, []uint64{last.start, last.time}, []uint64{part.Outputs[i].Start, part.Outputs[i].Emitted})
			require.Equal(t, last.number, part.Outputs[i].Last)
		}
	}
	require.Equal(t, 1, e.Stats().Outputs)
}

// TestTheJournalContinuesACheckpoint, so there has to be one, and it has to be known.
func TestTheJournalContinuesACheckpoint(t *testing.T) {
	kv := newMemory()
	store := checkpoint.Open(kv)
	require.EqualError(t, store.Journal(zero).End(t.Context()), "the state was not loaded yet")
	w := store.Begin(identity, nil, zero)
	require.EqualError(t, w.Part(t.Context(), &c.Part{}), "the state was not loaded yet")
	w.Abort(t.Context())
	_, err := store.Load(t.Context())
	require.NoError(t, err)
	require.EqualError(t, store.Journal(zero).End(t.Context()), "a journal continues a checkpoint, and there is none yet")
	w = store.Begin(identity, nil, zero)
	require.EqualError(t, store.Journal(zero).End(t.Context()), "a checkpoint is being written")
	_, err = w.Commit(t.Context())
	require.NoError(t, err)
	require.EqualError(t, w.Part(t.Context(), &c.Part{}), "the checkpoint was committed, aborted or replaced by another")
	w.Abort(t.Context()) // does nothing
	size, err := store.Journal(zero).Write(t.Context())
	require.NoError(t, err)
	require.Zero(t, size, "nothing was added")
	require.NoError(t, store.Journal(zero).End(t.Context()))
	require.Equal(t, []string{"head", "journal/0/0"}, kv.keys())
}

// TestOwnersAreStreams: what nobody could read again is not written.
func TestOwnersAreStreams(t *testing.T) {
	kv := newMemory()
	p, _, _, err := start(t.Context(), kv, 1, zero, nil)
	require.NoError(t, err)
	gauge := &stream.Stream{Metric: &stream.Metric{Kind: c.Gauge}}
	for _, owner := range []any{nil, "text", (*stream.Stream)(nil), gauge} {
		j := p.store.Journal(zero + interval)
		j.Add(&c.Emission{Kind: c.CumulativeSum, Output: c.Key{A: 1, B: 0xff}, Owner: owner})
		_, err = j.Write(t.Context())
		require.EqualError(t, err, "output {1 ff} of kind cumulative_sum: the owner of an output is not a stream of its kind")
		w := p.store.Begin(identity, nil, zero)
		err = w.Part(t.Context(), &c.Part{Outputs: []c.OutputState{{Key: c.Key{A: 1, B: 0xff}, Kind: c.CumulativeSum, Owner: owner}}})
		require.EqualError(t, err, "output {1 ff} of kind cumulative_sum: the owner of an output is not a stream of its kind")
		_, again := w.Commit(t.Context())
		require.Equal(t, err, again, "it stays so")
		w.Abort(t.Context())
	}
	require.Equal(t, []string{"head", "part/0/0"}, kv.keys())
}

// TestAStorageThatCannotBeReadIsNotAnEmptyOne.
func TestAStorageThatCannotBeReadIsNotAnEmptyOne(t *testing.T) {
	broken := errors.New("i/o timeout")
	for _, key := range []string{"head", "part/1/0", "part/1/1", "part/0/0", "journal/1/0", "journal/1/5", "journal/0/0"} {
		kv := smallState(t)
		before := clone(kv).data
		kv.fail = map[string]error{"get " + key: broken}
		store := checkpoint.Open(kv)
		st, err := store.Load(t.Context())
		require.Nil(t, st)
		require.EqualError(t, err, "read "+key+": i/o timeout")
		require.Equal(t, before, kv.data)
		require.EqualError(t, store.Journal(zero).End(t.Context()), "the state was not loaded yet")
		kv.fail = nil
		st, err = store.Load(t.Context())
		require.NoError(t, err, "it may be asked again")
		require.NoError(t, st.Damage)
		for _, key := range []string{"part/1/0", "journal/1/0"} {
			kv.fail = map[string]error{"get " + key: broken}
			_, err = st.Restore(c.New(patient), &stream.Table{}, zero)
			require.ErrorIs(t, err, broken)
		}
	}
}

// TestOrphansGo: what a process left that was killed while it wrote or deleted.
func TestOrphansGo(t *testing.T) {
	kv := smallState(t)
	keys := kv.keys()
	for _, key := range []string{"part/0/0", "part/0/1", "part/1/1", "journal/0/0", "journal/0/1"} {
		kv.data[key] = []byte("left behind")
	}
	kv.fail = map[string]error{"delete part/0/0": errFull}
	store := checkpoint.Open(kv)
	_, err := store.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, append(keys, "part/0/0"), append(kv.keys()[:5:5], "part/1/0", "part/0/0"), "what could not be deleted stays")
	kv.fail = nil
	_, err = write(t.Context(), store, c.New(patient), zero+interval)
	require.NoError(t, err)
	require.Equal(t, []string{"head"}, kv.keys(), "and goes the next time")
}

// TestLargeStatesAreCut: no record is much larger than a mebibyte, and together they are the whole.
func TestLargeStatesAreCut(t *testing.T) {
	kv := newMemory()
	p, _, _, err := start(t.Context(), kv, 1, zero, nil)
	require.NoError(t, err)
	e := c.New(c.Settings{Shards: 1})
	e.Watch(1, zero)
	for i := range 60_000 {
		s := program(i, c.CumulativeSum)
		s.start = zero
		s.feedTo(e, p.table, s.next(zero+second, int64(i)))
	}
	p.engine = e
	_, err = write(t.Context(), p.store, e, zero+second)
	require.NoError(t, err)
	require.NoError(t, p.flush(t.Context(), zero+interval, func(shown) {}))
	require.Contains(t, kv.keys(), "part/1/1")
	for key, value := range kv.data {
		require.Less(t, len(value), 1<<20+1000, key)
	}
	st, err := checkpoint.Open(kv).Load(t.Context())
	require.NoError(t, err)
	got := c.New(patient)
	counts, err := st.Restore(got, &stream.Table{}, zero+interval)
	require.NoError(t, err)
	require.Equal(t, []int{60_000, 3, 3, 0}, []int{counts.Inputs, counts.Outputs, counts.Shown, counts.Interrupted})
	require.Equal(t, 60_000, got.Stats().Inputs)
}

// TestALargeJournalIsCut and its outputs, which no checkpoint has, come back.
func TestALargeJournalIsCut(t *testing.T) {
	kv := newMemory()
	p, _, _, err := start(t.Context(), kv, 1, zero, nil)
	require.NoError(t, err)
	j := p.store.Journal(zero + interval)
	s := program(0, c.CumulativeSum)
	s.table = p.table
	owner := s.Describe().Owner
	const n = 50_000
	for i := range uint64(n) {
		j.Add(&c.Emission{
			Output: c.Key{A: i << 48, B: i * 0x9e3779b97f4a7c15}, Rule: 1, Kind: c.CumulativeSum, Owner: owner, Start: zero, Time: zero + interval,
		})
	}
	require.NoError(t, j.End(t.Context()))
	require.Contains(t, kv.keys(), "journal/0/1")
	for key, value := range kv.data {
		require.Less(t, len(value), 1<<20+1000, key)
	}
	st, err := checkpoint.Open(kv).Load(t.Context())
	require.NoError(t, err)
	e := c.New(patient)
	counts, err := st.Restore(e, &stream.Table{}, zero+interval)
	require.NoError(t, err)
	require.Equal(t, []int{n, 0}, []int{counts.Shown, counts.Interrupted})
	require.Equal(t, n, e.Stats().Outputs)
}

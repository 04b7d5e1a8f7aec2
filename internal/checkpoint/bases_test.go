package checkpoint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/checkpoint"
	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// TestBaseLinesComeBack: an input without a start time that came after the checkpoint is caught up from its first point.
func TestBaseLinesComeBack(t *testing.T) {
	for _, kind := range []c.Kind{c.CumulativeSum, c.CumulativeHistogram, c.CumulativeExponential, c.Summary} {
		kv := newMemory()
		p, _, _, err := start(t.Context(), kv, 1, zero, nil)
		require.NoError(t, err)
		s := program(1, kind)
		s.start, s.double = 0, false
		var last shown
		send := func(m shown) { last = m }
		feed := func(now uint64, n int64) { s.feedTo(p.engine, p.table, s.next(now, n)) }

		feed(zero+second, 10) // the base line
		feed(zero+2*second, 5)
		require.NoError(t, p.flush(t.Context(), zero+interval, send))
		feed(zero+16*second, 5) // nobody remembers this
		p, counts, _, err := start(t.Context(), kv, 1, zero+20*second, nil)
		require.NoError(t, err)
		require.Equal(t, 1, counts.Bases, kind.String())
		feed(zero+21*second, 5)
		require.NoError(t, p.flush(t.Context(), zero+2*interval, send))
		if kind == c.CumulativeSum {
			require.EqualValues(t, 15, last.number.Int())
			continue
		}
		total := uint64(0)
		for i, n := range last.counts {
			if kind == c.CumulativeExponential || i > 0 { // the first is the count of a classic histogram
				total += n
			}
		}
		require.EqualValues(t, 15, total, "%s: %v", kind, last.counts)
	}
}

// TestABaseLineOfAnotherKindIsLeftOut: it would be fed to what its output is not.
func TestABaseLineOfAnotherKindIsLeftOut(t *testing.T) {
	kv := newMemory()
	p, _, _, err := start(t.Context(), kv, 1, zero, nil)
	require.NoError(t, err)
	s := program(1, c.CumulativeSum)
	p.table = &stream.Table{}
	s.feedTo(p.engine, p.table, s.next(zero+second, 1))
	j := p.store.Journal(zero + interval)
	// In one record, and before the output: what is known when it is read does not show it.
	j.AddBase(&c.Base{Input: c.InputState{
		Key: c.Key{A: 1, B: 2}, Kind: c.Gauge, Output: c.Key(hash(s.kind.String() + s.output)), Rule: 1, Seen: 1, Sum: s.next(zero+second, 1).Sum,
	}})
	p.engine.Flush(zero+interval, j.Add)
	require.NoError(t, j.End(t.Context()))
	st, err := checkpoint.Open(kv).Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.Damage)
	e := c.New(patient)
	counts, err := st.Restore(e, &stream.Table{}, zero+interval)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0, 1}, []int{counts.Shown, counts.Bases, counts.Unknown})
	require.Zero(t, e.Stats().Inputs)
}

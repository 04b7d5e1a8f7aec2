package checkpoint_test

import (
	"flag"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/checkpoint"
	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// check runs a property so many times; in the long form so many more.
func check(t *testing.T, short, long int, property func(*rapid.T)) {
	t.Helper()
	n := short
	switch {
	case os.Getenv("PHOENIX_LONG") != "":
		n = long
	case raceDetector:
		n = max(1, short/10)
	}
	before := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(n)))
	defer func() { require.NoError(t, flag.Set("rapid.checks", before)) }()
	rapid.Check(t, property)
}

// past is what an engine was restored from once.
type past struct {
	parts   []*c.Part
	emitted []c.Emission
}

// emit notes an emission of the engine since the parts were taken.
func (p *past) emit(m *c.Emission) {
	one := *m
	if h := m.Histogram; h != nil {
		copied := *h
		copied.Counts = slices.Clone(h.Counts)
		one.Histogram = &copied
	}
	if x := m.Exponential; x != nil {
		copied := *x
		copied.Positive.Counts, copied.Negative.Counts = slices.Clone(x.Positive.Counts), slices.Clone(x.Negative.Counts)
		one.Exponential = &copied
	}
	p.emitted = append(p.emitted, one)
}

// history makes an engine with a random past: all kinds of streams, stale markers, evictions, rules that end, histograms that
// share no bounds, more inputs than there is room for, and a restart after which outputs are behind what they showed.
func history(t *rapid.T) (e *c.Engine, now uint64) {
	limits := settings
	limits.MaxStreams = rapid.SampledFrom([]int{4, 8, 1000}).Draw(t, "max streams")
	limits.MaxTombstones = rapid.SampledFrom([]int{8, 1000}).Draw(t, "max tombstones")
	e = c.New(limits)
	table := &stream.Table{}
	e.Watch(1, zero)
	e.Watch(2, zero+second)
	var sources []*source
	for i := range rapid.IntRange(1, 14).Draw(t, "sources") {
		s := program(i, c.Kind(rapid.Uint8Range(0, uint8(c.Summary)).Draw(t, "kind")))
		if rapid.Bool().Draw(t, "coarse") {
			s.bounds = []float64{1, 4, 16}
		} else if rapid.IntRange(0, 3).Draw(t, "apart") == 0 {
			s.bounds = []float64{7}
		}
		sources = append(sources, s)
	}
	now = zero + 5*second
	rule, edge := c.RuleID(1), zero
	before := past{parts: slices.Collect(e.Snapshot())}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		s := rapid.SampledFrom(sources).Draw(t, "source")
		s.rule = rule
		now += second
		switch rapid.IntRange(0, 15).Draw(t, "step") {
		case 0, 1:
			edge = max(edge+interval, now-now%interval)
			now = max(now, edge)
			e.Flush(edge, before.emit)
		case 2:
			p := s.next(now, 0)
			p.Stale = true
			s.feedTo(e, table, p)
		case 3:
			s.start, s.value, s.counts, s.time = now, 0, nil, now
		case 4:
			now += 60 * second
		case 5:
			e.Retire(rule, edge, before.emit)
			rule = 3 - rule
			e.Watch(rule, now)
		case 6:
			before = past{parts: slices.Collect(e.Snapshot())}
		case 7:
			e = c.New(limits)
			for _, part := range before.parts {
				e.Restore(part, now)
			}
			for i := range before.emitted {
				e.RestoreEmitted(&before.emitted[i], now)
			}
			e.Watch(rule, now)
		default:
			s.feedTo(e, table, s.next(now, rapid.Int64Range(0, 40).Draw(t, "n")))
		}
	}
	return e, now
}

// TestWhatIsReadIsWhatWasWritten: an engine that is restored from the storage is the one that is restored from the parts
// themselves, to the last field, and goes on alike.
func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	kinds, behind := map[c.Kind]int{}, map[c.Kind]int{}
	check(t, 1500, 60_000, func(t *rapid.T) {
		e, now := history(t)
		kv := newMemory()
		store := checkpoint.Open(kv)
		st, err := store.Load(t.Context())
		require.NoError(t, err)
		require.Nil(t, st)
		size, err := write(t.Context(), store, e, now)
		require.NoError(t, err)
		require.Equal(t, len(kv.data["head"])+len(kv.data["part/0/0"]), size)

		want := c.New(c.Settings{Staleness: settings.Staleness, Shards: 16})
		inputs, outputs, refused := 0, 0, 0
		for part := range e.Snapshot() {
			refused += want.Restore(part, now)
			inputs, outputs = inputs+len(part.Inputs), outputs+len(part.Outputs)
			for i := range part.Outputs {
				kinds[part.Outputs[i].Kind]++
				if part.Outputs[i].Behind {
					behind[part.Outputs[i].Kind]++
				}
			}
		}
		st, err = checkpoint.Open(kv).Load(t.Context())
		require.NoError(t, err)
		require.NoError(t, st.Damage)
		require.Equal(t, now, st.Taken)
		require.Equal(t, "extra", string(st.Extra))
		require.Equal(t, identity, st.Identity)
		got := c.New(c.Settings{Staleness: settings.Staleness, Shards: 16})
		table := &stream.Table{}
		counts, err := st.Restore(got, table, now)
		require.NoError(t, err)
		require.Equal(t, []int{inputs, outputs, refused}, []int{counts.Inputs, counts.Outputs, counts.Refused})
		require.Equal(t, snapshotOf(want), snapshotOf(got))
		a, b := flushed(want, now+interval), flushed(got, now+interval)
		require.Equal(t, a, b)
		resources, _, _ := table.Len()
		require.LessOrEqual(t, resources, 2, "streams share their resources again")
	})
	t.Logf("outputs by kind: %v; of them behind: %v", kinds, behind)
	if raceDetector {
		return // too few cases to meet everything
	}
	for k := range c.Summary + 1 {
		require.Positive(t, kinds[k], k.String())
	}
	require.Positive(t, behind[c.CumulativeHistogram])
	require.Positive(t, behind[c.CumulativeExponential])
}

func flushed(e *c.Engine, edge uint64) map[string][]shown {
	all := map[string][]shown{}
	e.Flush(edge, func(m *c.Emission) {
		s := shownBy(m)
		all[s.output] = append(all[s.output], s)
	})
	return all
}

package consistent_test

import (
	"math/rand/v2"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	c "github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

type attributes map[string]any

func (a attributes) toMap(t *testing.T) pcommon.Map {
	t.Helper()
	m := pcommon.NewMap()
	require.NoError(t, m.FromRaw(a))
	return m
}

// own is what a caller gives to records that have no randomness.
var own = c.FromHash(0xf1 << 56)

func TestRecords(t *testing.T) {
	const th, rnd = c.ThresholdAttribute, c.RandomnessAttribute
	for _, tt := range []struct {
		name    string
		in      attributes
		id      pcommon.TraceID
		problem c.Problem
		keep    bool
		out     attributes // of what is kept by 25 % of ours
		kept    attributes // what goes on if a condition keeps it
		erased  attributes
	}{
		{name: "trace id", id: high, keep: true, out: attributes{th: "c"}, kept: attributes{th: "0"}},
		{name: "trace id, left out", id: low, kept: attributes{th: "0"}},
		{name: "attribute", in: attributes{rnd: "f0000000000000"}, id: low, keep: true, out: attributes{rnd: "f0000000000000", th: "c"}, kept: attributes{rnd: "f0000000000000", th: "0"}, erased: attributes{rnd: "f0000000000000"}},
		{name: "threshold is raised", in: attributes{th: "8"}, id: high, keep: true, out: attributes{th: "c"}, kept: attributes{th: "8"}},
		{name: "threshold is never lowered", in: attributes{th: "e", "a": int64(1)}, id: high, keep: true, out: attributes{th: "e", "a": int64(1)}, kept: attributes{th: "e", "a": int64(1)}, erased: attributes{"a": int64(1)}},
		{name: "inconsistent", in: attributes{th: "8"}, id: low, problem: c.InconsistentThreshold, kept: attributes{th: "0"}},
		{name: "threshold of 15 digits", in: attributes{th: "800000000000000"}, id: high, problem: c.MalformedAttributes, keep: true, out: attributes{th: "c"}, kept: attributes{th: "0"}},
		{name: "threshold is a number", in: attributes{th: int64(8)}, id: high, problem: c.MalformedAttributes, keep: true, out: attributes{th: "c"}, kept: attributes{th: "0"}},
		{name: "threshold is empty", in: attributes{th: ""}, id: low, problem: c.MalformedAttributes, kept: attributes{th: "0"}},
		{name: "malformed randomness", in: attributes{rnd: "f", th: "8"}, id: high, problem: c.MalformedAttributes, keep: true, out: attributes{th: "c"}, kept: attributes{th: "0"}},
		{name: "nothing", problem: c.NoRandomness, keep: true},
		{name: "nothing but a threshold", in: attributes{th: "8"}, problem: c.NoRandomness, keep: true, out: attributes{th: "8"}, kept: attributes{th: "8"}},
		{name: "nothing but what is malformed", in: attributes{th: "x"}, problem: c.NoRandomness, keep: true, out: attributes{th: "x"}, kept: attributes{th: "x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r c.Reader
			if tt.in == nil {
				tt.in = attributes{}
			}
			written := func(decide func(c.Incoming) c.Decision) (attributes, bool) {
				m := tt.in.toMap(t)
				in := r.ReadRecord(m, tt.id)
				require.Equal(t, tt.problem, in.Problem)
				d := decide(in)
				r.WriteRecord(m, in, d)
				return m.AsRaw(), d.Keep
			}
			out, keep := written(func(in c.Incoming) c.Decision { return c.Decide(in, threshold(t, "c")) })
			require.Equal(t, tt.keep, keep)
			if keep {
				require.Len(t, out, len(tt.out))
				require.Subset(t, out, tt.out)
			}
			kept, _ := written(c.Keep)
			require.Len(t, kept, len(tt.kept))
			require.Subset(t, kept, tt.kept)
			m := tt.in.toMap(t)
			r.EraseRecord(m, r.ReadRecord(m, tt.id))
			require.Equal(t, len(tt.erased), m.Len())
			require.Subset(t, m.AsRaw(), tt.erased)
		})
	}
}

// What the caller gives decides and is written, so that the next stage decides by
// the same though it knows nothing of it.
func TestRandomnessOfTheCaller(t *testing.T) {
	var r c.Reader
	m := attributes{"session": "s1"}.toMap(t)
	in := r.ReadRecord(m, zero).WithRandomness(own)
	require.Equal(t, c.NoProblem, in.Problem)
	d := c.Decide(in, threshold(t, "c"))
	require.True(t, d.Keep)
	r.WriteRecord(m, in, d)
	require.Equal(t, map[string]any{"session": "s1", c.ThresholdAttribute: "c", c.RandomnessAttribute: own.RValue()}, m.AsRaw())

	next := r.ReadRecord(m, zero)
	require.True(t, next.HasRandomness)
	require.Equal(t, own, next.Randomness)
	require.Equal(t, next, next.WithRandomness(c.FromHash(1)), "it stays")
	require.False(t, c.Decide(next, threshold(t, "f2")).Keep)
	require.True(t, c.Decide(next, threshold(t, "f1")).Keep)

	in = r.ReadRecord(attributes{c.ThresholdAttribute: "x", c.RandomnessAttribute: "y"}.toMap(t), zero).WithRandomness(own)
	require.Equal(t, c.MalformedAttributes, in.Problem)
	m = attributes{c.ThresholdAttribute: "x", c.RandomnessAttribute: "y"}.toMap(t)
	r.WriteRecord(m, in, c.Keep(in))
	require.Equal(t, map[string]any{c.ThresholdAttribute: "0", c.RandomnessAttribute: own.RValue()}, m.AsRaw())
}

// Scaled randomness never contradicts the threshold, keeps its order, and stays in
// range.
func TestRandomnessIsScaledToWhatIsLeft(t *testing.T) {
	var r c.Reader
	for _, text := range []string{"0", "8", "c", "e666", "ffffffffffffff"} {
		m := attributes{c.ThresholdAttribute: text}.toMap(t)
		last := uint64(0)
		for _, unsigned := range []uint64{0, 1, 1 << 20, 1 << 54, 1 << 55, 1<<56 - 1} {
			rnd, err := sampling.UnsignedToRandomness(unsigned)
			require.NoError(t, err)
			in := r.ReadRecord(m, zero).WithRandomness(rnd)
			require.True(t, in.Known, "%s, %x", text, unsigned)
			require.True(t, threshold(t, text).ShouldSample(in.Randomness))
			require.GreaterOrEqual(t, in.Randomness.Unsigned(), last)
			require.Less(t, in.Randomness.Unsigned(), sampling.MaxAdjustedCount)
			last = in.Randomness.Unsigned()
		}
		if text == "0" {
			require.Equal(t, uint64(1<<56-1), last, "without a threshold it is what it was")
		}
	}
}

// sources are the ways in which records that a first stage has kept come by
// randomness.
var sources = []struct {
	name   string
	record func(rnd c.Randomness, rng *rand.Rand) (attributes, pcommon.TraceID)
	wrong  bool
}{
	{name: "trace", record: func(rnd c.Randomness, rng *rand.Rand) (attributes, pcommon.TraceID) {
		return attributes{}, spanWith(rnd, c.Threshold{}, false, false, rng).id
	}},
	{name: "attribute", record: func(rnd c.Randomness, _ *rand.Rand) (attributes, pcommon.TraceID) {
		return attributes{c.RandomnessAttribute: rnd.RValue()}, zero
	}},
	{name: "lost", record: func(c.Randomness, *rand.Rand) (attributes, pcommon.TraceID) { return attributes{}, zero }},
	{name: "lost, replaced as it is", wrong: true, record: func(_ c.Randomness, rng *rand.Rand) (attributes, pcommon.TraceID) {
		return attributes{c.RandomnessAttribute: c.FromHash(rng.Uint64()).RValue()}, zero
	}},
}

// Adjusted counts of records are unbiased, wherever their randomness comes from,
// and would not be if lost randomness were replaced as it is.
func TestRecordsAreUnbiased(t *testing.T) {
	n := 4000
	if long {
		n *= 50
	}
	for _, source := range sources {
		var sum tally
		for i, was := range []string{"", "0", "54", "8", "e666"} {
			for j, ours := range []string{"0", "8", "c", "fd70a"} {
				var r c.Reader
				rng := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				first, second := c.Threshold{}, threshold(t, ours)
				if was != "" {
					first = threshold(t, was)
				}
				p := min(first.Probability(), second.Probability())
				for range n {
					sum.truth[0]++
					sum.variance[0] += (1 - p) / p
					rnd := c.FromHash(rng.Uint64())
					if !first.ShouldSample(rnd) {
						continue
					}
					raw, id := source.record(rnd, rng)
					if was != "" {
						raw[c.ThresholdAttribute] = was
					}
					m := raw.toMap(t)
					in := r.ReadRecord(m, id).WithRandomness(c.FromHash(rng.Uint64()))
					d := c.Decide(in, second)
					r.WriteRecord(m, in, d)
					if d.Keep {
						sum.estimate[0] += recordCount(t, m)
					}
				}
			}
		}
		t.Logf("%s: off by %.2f standard errors", source.name, sum.off(0))
		if source.wrong {
			require.Greater(t, sum.off(0), 10.0, source.name)
			continue
		}
		require.LessOrEqual(t, sum.off(0), 3.0, source.name)
	}
}

// recordCount is what a reader of a record makes of it.
func recordCount(t *testing.T, m pcommon.Map) float64 {
	t.Helper()
	v, ok := m.Get(c.ThresholdAttribute)
	if !ok {
		return 1
	}
	return threshold(t, v.Str()).AdjustedCount()
}

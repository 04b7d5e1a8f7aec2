package consistent_test

import (
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	c "github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

func any56(unsigned uint64) c.Threshold {
	if unsigned %= sampling.MaxAdjustedCount + 1; unsigned == sampling.MaxAdjustedCount {
		return sampling.NeverSampleThreshold
	}
	t, _ := sampling.UnsignedToThreshold(unsigned) // in range
	return t
}

// othersOf splits a trace state as its grammar says, without looking into it.
func othersOf(state string) []string {
	var list []string
	for member := range strings.SplitSeq(state, ",") {
		if member = strings.Trim(member, " \t"); member != "" && !strings.HasPrefix(member, "ot=") {
			list = append(list, member)
		}
	}
	return list
}

// requireWellFormed checks what W3C Trace Context says about lengths, and that
// pkg/sampling reads what was written.
func requireWellFormed(t *testing.T, state string) sampling.W3CTraceState {
	t.Helper()
	require.LessOrEqual(t, len(state), 1024)
	if members := strings.Split(state, ","); state != "" {
		require.LessOrEqual(t, len(members), 32)
		for _, member := range members {
			key, value, found := strings.Cut(member, "=")
			require.True(t, found)
			require.LessOrEqual(t, len(key), 256)
			require.LessOrEqual(t, len(value), 256)
		}
	}
	w3c, err := sampling.NewW3CTraceState(state)
	require.NoError(t, err, "%q", state)
	return w3c
}

func FuzzTraceState(f *testing.F) {
	for _, tt := range traceStates {
		f.Add(tt.in, tt.id[:], uint64(0xc0000000000000))
	}
	f.Add(members(31, 4), high[:], uint64(1<<56))
	f.Add(members(30, 4)+",ot=x:y", low[:], uint64(0))
	f.Add(members(4, 254)+"vv", high[:], uint64(0xfd70a400000000))
	f.Add("a=1,ot=x:"+strings.Repeat("y", 250), high[:], uint64(1))
	f.Fuzz(func(t *testing.T, state string, idBytes []byte, unsigned uint64) {
		var id pcommon.TraceID
		copy(id[:], idBytes)
		ours := any56(unsigned)
		var r c.Reader
		in := r.Read(state, id)
		require.Equal(t, in, r.Read(state, id), "from the cache")
		for _, d := range []c.Decision{c.Decide(in, ours), c.Keep(in)} {
			require.False(t, in.Known && sampling.ThresholdLessThan(d.Threshold, in.Threshold), "a threshold is lowered")
			if !d.Keep {
				continue
			}
			before := r.Lost()
			out := apply(&r, state, d)
			if !d.Changed {
				require.Equal(t, state, out)
				continue
			}
			w3c := requireWellFormed(t, out)
			require.Equal(t, d.Threshold.TValue(), w3c.OTelValue().TValue())
			if r.Lost() == before {
				require.Equal(t, othersOf(state), othersOf(out))
			} else {
				require.Subset(t, othersOf(state), othersOf(out))
			}
			require.Equal(t, out, apply(&r, state, d), "from the cache")
			again := r.Read(out, id)
			require.Equal(t, c.NoProblem, again.Problem)
			require.Equal(t, in.Randomness, again.Randomness)
			require.Equal(t, c.Decision{Threshold: d.Threshold, Keep: true}, c.Decide(again, d.Threshold))
		}
		erased := r.Erase(state)
		if w3c, err := sampling.NewW3CTraceState(erased); err == nil {
			require.Empty(t, w3c.OTelValue().TValue())
			require.Equal(t, othersOf(state), othersOf(erased))
		} else {
			require.Equal(t, state, erased)
		}
	})
}

func FuzzRecord(f *testing.F) {
	for _, text := range []string{"", "0", "8", "f1", "E", "x", "800000000000000", "f0000000000000", "0000000000000"} {
		f.Add(text, "f0000000000000", high[:], uint64(0xc0000000000000), uint64(1))
		f.Add("8", text, low[:], uint64(1<<56), uint64(1<<63))
		f.Add(text, "", zero[:], uint64(0), uint64(1<<63))
	}
	f.Fuzz(func(t *testing.T, th, rnd string, idBytes []byte, unsigned, hash uint64) {
		var id pcommon.TraceID
		copy(id[:], idBytes)
		attrs := pcommon.NewMap()
		attrs.PutStr("a", "1")
		if th != "" {
			attrs.PutStr(c.ThresholdAttribute, th)
		}
		if rnd != "" {
			attrs.PutStr(c.RandomnessAttribute, rnd)
		}
		var r c.Reader
		in := r.ReadRecord(attrs, id).WithRandomness(c.FromHash(hash))
		require.True(t, in.HasRandomness)
		d := c.Decide(in, any56(unsigned))
		require.False(t, in.Known && sampling.ThresholdLessThan(d.Threshold, in.Threshold), "a threshold is lowered")
		r.WriteRecord(attrs, in, d)
		if !d.Keep {
			return
		}
		v, ok := attrs.Get(c.ThresholdAttribute)
		require.True(t, ok)
		back, err := sampling.TValueToThreshold(v.Str())
		require.NoError(t, err)
		require.Equal(t, d.Threshold, back)
		again := r.ReadRecord(attrs, id)
		if again.HasRandomness {
			require.Equal(t, c.NoProblem, again.Problem)
			require.Equal(t, in.Randomness, again.Randomness)
		} else {
			require.False(t, d.Changed, "then nothing was decided by the caller's")
		}
		require.Equal(t, "1", attrs.AsRaw()["a"])
	})
}

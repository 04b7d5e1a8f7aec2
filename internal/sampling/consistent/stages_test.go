package consistent_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"

	c "github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

var (
	vendors = rapid.StringMatching(`[a-z][a-z0-9_*/-]{0,5}(@[a-z][a-z0-9]{0,3})?=[!-+\--<>-~]{1,12}`)
	extras  = rapid.StringMatching(`[a-q][a-z0-9]{0,3}:[A-Za-z0-9._-]{0,6}`)
	broken  = rapid.SampledFrom([]string{
		"ot=th:", "ot=th:g", "ot=th:123456789012345", "ot=rv:1;th:8", "ot=TH:8", "ot=;", "ot=x", "OT=th:8", "=", "a=b=c", "ot=th:8,ot=th:8", "\x00",
	})
)

// check looks at n random cases, fifty times as many in the long form.
func check(t *testing.T, n int, property func(*rapid.T)) {
	t.Helper()
	switch {
	case long:
		n *= 50
	case raceDetector:
		n /= 10
	}
	before := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(n)))
	defer func() { require.NoError(t, flag.Set("rapid.checks", before)) }()
	rapid.Check(t, property)
}

// uniform is a number below 2^56 that rapid does not draw small.
func uniform(t *rapid.T, label string) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], rapid.Uint64().Draw(t, label))
	return xxh3.Hash(b[:]) >> 8
}

// A threshold is drawn by its leading digits, so that equal and close ones come
// up.
func drawThreshold(t *rapid.T) c.Threshold {
	digits := rapid.IntRange(1, sampling.NumHexDigits).Draw(t, "digits")
	shift := 4 * (sampling.NumHexDigits - digits)
	unsigned := uniform(t, "threshold") >> shift << shift
	th, err := sampling.UnsignedToThreshold(unsigned)
	require.NoError(t, err)
	return th
}

func drawID(t *rapid.T) (id pcommon.TraceID) {
	if rapid.IntRange(0, 9).Draw(t, "zero") > 0 {
		binary.BigEndian.PutUint64(id[:8], uniform(t, "high"))
		binary.BigEndian.PutUint64(id[8:], uniform(t, "low"))
	}
	return id
}

// drawState draws a trace state that pkg/sampling reads, with or without rv and th
// that agree or not.
func drawState(t *rapid.T) string {
	members := rapid.SliceOfN(vendors, 0, 4).Draw(t, "vendors")
	var fields []string
	if rapid.Bool().Draw(t, "rv") {
		fields = append(fields, fmt.Sprintf("rv:%014x", uniform(t, "R")))
	}
	if rapid.Bool().Draw(t, "th") {
		fields = append(fields, "th:"+drawThreshold(t).TValue())
	}
	fields = append(fields, rapid.SliceOfN(extras, 0, 2).Draw(t, "extras")...)
	if len(fields) > 0 {
		at := rapid.IntRange(0, len(members)).Draw(t, "at")
		ot := "ot=" + strings.Join(rapid.Permutation(fields).Draw(t, "fields"), ";")
		members = append(members[:at:at], append([]string{ot}, members[at:]...)...)
	}
	return strings.Join(members, rapid.SampledFrom([]string{",", ", ", " ,\t", ",,"}).Draw(t, "comma"))
}

// drawAny draws any trace state, one in four broken.
func drawAny(t *rapid.T) string {
	state := drawState(t)
	if rapid.IntRange(0, 3).Draw(t, "broken") == 0 {
		state = strings.Trim(state+","+broken.Draw(t, "what"), ",")
	}
	return state
}

// stageOf is one collector.
func stageOf(state string, id pcommon.TraceID, ours c.Threshold) (out string, kept bool) {
	var r c.Reader
	return sample(&r, span{id, state}, ours)
}

// Two stages keep what the stricter of them keeps alone, with the same thresholds
// in the same trace states.
func TestTwoStagesAreOne(t *testing.T) {
	check(t, 2000, func(rt *rapid.T) {
		state, id := drawAny(rt), drawID(rt)
		first, second := drawThreshold(rt), drawThreshold(rt)
		stricter := first
		if sampling.ThresholdGreater(second, first) {
			stricter = second
		}
		one, kept := stageOf(state, id, stricter)
		two, keptTwice := stageOf(state, id, first)
		if keptTwice {
			two, keptTwice = stageOf(two, id, second)
		}
		require.Equal(rt, kept, keptTwice)
		if kept {
			require.Equal(rt, one, two)
		}
	})
}

// What a condition keeps at both stages goes on as if there were one, and what the
// first samples the second can keep as it is.
func TestConditionsAtTwoStages(t *testing.T) {
	check(t, 2000, func(rt *rapid.T) {
		state, id, ours := drawAny(rt), drawID(rt), drawThreshold(rt)
		var r c.Reader
		once := apply(&r, state, c.Keep(r.Read(state, id)))
		require.Equal(rt, once, apply(&r, once, c.Keep(r.Read(once, id))))
		if sampled, kept := stageOf(state, id, ours); kept {
			require.Equal(rt, sampled, apply(&r, sampled, c.Keep(r.Read(sampled, id))))
		}
	})
}

// Collectors that do not know one another keep the same spans at equal
// probabilities and nested ones at different ones, whatever else they have seen.
func TestReplicasNest(t *testing.T) {
	check(t, 2000, func(rt *rapid.T) {
		var a, b c.Reader
		low, high := drawThreshold(rt), drawThreshold(rt)
		if sampling.ThresholdGreater(low, high) {
			low, high = high, low
		}
		for range rapid.IntRange(0, 20).Draw(rt, "history") {
			sample(&b, span{drawID(rt), drawAny(rt)}, drawThreshold(rt))
		}
		for range rapid.IntRange(1, 20).Draw(rt, "spans") {
			s := span{drawID(rt), drawAny(rt)}
			outA, keptA := sample(&a, s, low)
			outB, keptB := sample(&b, s, low)
			require.Equal(rt, outA, outB)
			require.Equal(rt, keptA, keptB)
			if _, kept := sample(&b, s, high); kept {
				require.True(rt, keptA, "kept at %g, but not at %g", high.Probability(), low.Probability())
			}
		}
	})
}

// Spans of a trace are kept or left out together if they come alike, and what
// spans of a trace with different thresholds keep is nested.
func TestTracesAreWhole(t *testing.T) {
	check(t, 2000, func(rt *rapid.T) {
		id, ours := drawID(rt), drawThreshold(rt)
		rnd := sampling.TraceIDToRandomness(id)
		for range 5 {
			was := drawThreshold(rt)
			if id.IsEmpty() || !was.ShouldSample(rnd) {
				continue
			}
			_, kept := stageOf("ot=th:"+was.TValue(), id, ours)
			greater := sampling.ThresholdGreater(was, ours) // then it came and goes
			require.Equal(rt, greater || ours.ShouldSample(rnd), kept)
		}
	})
}

// Every bit of randomness counts.
func TestEachBitOfRandomnessCounts(t *testing.T) {
	for bit := range 56 {
		rnd := c.FromHash(1 << (bit + 8))
		require.Equal(t, bit, bits.TrailingZeros64(rnd.Unsigned()))
		at, err := sampling.UnsignedToThreshold(1 << bit)
		require.NoError(t, err)
		above, err := sampling.UnsignedToThreshold(1<<bit + 1)
		require.NoError(t, err)
		in := c.Incoming{Randomness: rnd, Status: c.Status{HasRandomness: true}}
		require.True(t, c.Decide(in, at).Keep)
		require.False(t, c.Decide(in, above).Keep)
	}
}

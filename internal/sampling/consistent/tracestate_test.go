package consistent_test

import (
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	c "github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

var (
	high = pcommon.TraceID{0: 1, 9: 0xf0} // R = f0000000000000
	low  = pcommon.TraceID{0: 1, 9: 0x10} // R = 10000000000000
	zero = pcommon.TraceID{}
)

// What comes, what is decided with 25 % of ours (c), and what goes on. An empty
// reason is NoProblem.
var traceStates = []struct {
	name, in string
	id       pcommon.TraceID
	problem  c.Problem
	keep     bool
	out      string // of what is kept; for what is not, unused
	kept     string // what goes on if a condition keeps it
	erased   string
}{
	{name: "none", id: high, keep: true, out: "ot=th:c", kept: "ot=th:0"},
	{name: "none, left out", id: low, kept: "ot=th:0"},
	{name: "th is raised", in: "ot=th:8", id: high, keep: true, out: "ot=th:c", kept: "ot=th:8"},
	{name: "th is equal", in: "ot=th:c", id: high, keep: true, out: "ot=th:c", kept: "ot=th:c"},
	{name: "th is never lowered", in: "ot=th:e", id: high, keep: true, out: "ot=th:e", kept: "ot=th:e"},
	{name: "th of zeros", in: "ot=th:0", id: low, kept: "ot=th:0"},
	{name: "rv decides, not the trace id", in: "ot=rv:f0000000000000", id: low, keep: true, out: "ot=rv:f0000000000000;th:c", kept: "ot=rv:f0000000000000;th:0", erased: "ot=rv:f0000000000000"},
	{name: "rv leaves out", in: "ot=rv:10000000000000;th:0", id: high, kept: "ot=rv:10000000000000;th:0", erased: "ot=rv:10000000000000"},
	{name: "rv instead of a trace id", in: "ot=rv:f0000000000000", keep: true, out: "ot=rv:f0000000000000;th:c", kept: "ot=rv:f0000000000000;th:0", erased: "ot=rv:f0000000000000"},
	{name: "others stay, ours goes to the front", in: "rojo=1, congo=t61 , ot=th:8;x:y", id: high, keep: true, out: "ot=th:c;x:y,rojo=1,congo=t61", kept: "rojo=1, congo=t61 , ot=th:8;x:y", erased: "ot=x:y,rojo=1,congo=t61"},
	{name: "empty members", in: ",,a=1,,ot=th:8,", id: high, keep: true, out: "ot=th:c,a=1", kept: ",,a=1,,ot=th:8,", erased: "a=1"},
	{name: "only empty members", in: " , ,", id: high, keep: true, out: "ot=th:c", kept: "ot=th:0"},
	{name: "th of 14 digits", in: "ot=th:e0000000000001", id: high, keep: true, out: "ot=th:e0000000000001", kept: "ot=th:e0000000000001"},
	{name: "upper-case digits count", in: "ot=th:E", id: high, keep: true, out: "ot=th:E", kept: "ot=th:E"},
	{name: "the last of several th counts", in: "ot=th:8;th:e", id: high, keep: true, out: "ot=th:8;th:e", kept: "ot=th:8;th:e"},
	{name: "a key that ends in ot", in: "foot=th:e,b@ot=1", id: high, keep: true, out: "ot=th:c,foot=th:e,b@ot=1", kept: "ot=th:0,foot=th:e,b@ot=1", erased: "foot=th:e,b@ot=1"},

	{name: "th excludes R", in: "ot=th:8;x:y,a=1", id: low, problem: c.InconsistentThreshold, kept: "ot=th:0;x:y,a=1", erased: "ot=x:y,a=1"},
	{name: "th excludes R that is above ours", in: "ot=th:f1", id: high, problem: c.InconsistentThreshold, keep: true, out: "ot=th:c", kept: "ot=th:0"},
	{name: "th excludes rv", in: "ot=rv:10000000000000;th:8", id: high, problem: c.InconsistentThreshold, kept: "ot=rv:10000000000000;th:0", erased: "ot=rv:10000000000000"},

	{name: "th of 15 digits", in: "ot=th:800000000000000,a=1", id: high, problem: c.MalformedTraceState, keep: true, out: "ot=th:c,a=1", kept: "ot=th:0,a=1", erased: "a=1"},
	{name: "th without digits", in: "ot=th:", id: high, problem: c.MalformedTraceState, keep: true, out: "ot=th:c", kept: "ot=th:0"},
	{name: "th is no number", in: "ot=th:8g", id: high, problem: c.MalformedTraceState, keep: true, out: "ot=th:c", kept: "ot=th:0"},
	{name: "rv of 13 digits", in: "ot=rv:f000000000000;th:e", id: low, problem: c.MalformedTraceState, kept: "ot=th:0"},
	{name: "rv of 15 digits", in: "a=1,ot=rv:f00000000000000", id: high, problem: c.MalformedTraceState, keep: true, out: "ot=th:c,a=1", kept: "ot=th:0,a=1", erased: "a=1"},
	{name: "upper-case key in ot", in: "ot=TH:8", id: high, problem: c.MalformedTraceState, keep: true, out: "ot=th:c", kept: "ot=th:0"},
	{name: "ot ends in a semicolon", in: "ot=th:8;,a=1", id: high, problem: c.MalformedTraceState, keep: true, out: "ot=th:c,a=1", kept: "ot=th:0,a=1", erased: "a=1"},
	{name: "several ot members", in: "ot=th:8,a=1, ot=th:e", id: high, problem: c.MalformedTraceState, keep: true, out: "ot=th:c,a=1", kept: "ot=th:0,a=1", erased: "a=1"},
	{name: "several ot members, one malformed", in: "ot=th:8,ot=;", id: high, problem: c.MalformedTraceState, keep: true, out: "ot=th:c", kept: "ot=th:0"},

	{name: "upper-case ot", in: "OT=th:8", id: high, problem: c.UnreadableTraceState, keep: true, out: "OT=th:8", kept: "OT=th:8", erased: "OT=th:8"},
	{name: "no key", in: "ot=th:8,=1", id: low, problem: c.UnreadableTraceState, kept: "ot=th:8,=1", erased: "ot=th:8,=1"},
	{name: "ot without a value", in: "ot=", id: high, problem: c.UnreadableTraceState, keep: true, out: "ot=", kept: "ot=", erased: "ot="},
	{name: "not text", in: "a=\x00\xff", id: high, problem: c.UnreadableTraceState, keep: true, out: "a=\x00\xff", kept: "a=\x00\xff", erased: "a=\x00\xff"},
	{name: "too long", in: "ot=th:e,a=" + strings.Repeat("1", 1024), id: high, problem: c.UnreadableTraceState, keep: true, out: "ot=th:e,a=" + strings.Repeat("1", 1024), kept: "ot=th:e,a=" + strings.Repeat("1", 1024), erased: "ot=th:e,a=" + strings.Repeat("1", 1024)},
	{name: "too many members", in: "ot=th:e" + strings.Repeat(",a=1", 31), id: high, problem: c.UnreadableTraceState, keep: true, out: "ot=th:e" + strings.Repeat(",a=1", 31), kept: "ot=th:e" + strings.Repeat(",a=1", 31), erased: "ot=th:e" + strings.Repeat(",a=1", 31)},
	{name: "too long a key", in: "ot=th:8," + strings.Repeat("k", 257) + "=1", id: low, problem: c.UnreadableTraceState, kept: "ot=th:8," + strings.Repeat("k", 257) + "=1", erased: "ot=th:8," + strings.Repeat("k", 257) + "=1"},

	{name: "zero trace id", id: zero, problem: c.NoRandomness, keep: true},
	{name: "zero trace id with th", in: "a=1,ot=th:8", id: zero, problem: c.NoRandomness, keep: true, out: "a=1,ot=th:8", kept: "a=1,ot=th:8", erased: "a=1"},
	{name: "zero trace id with malformed ot", in: "ot=th:x", id: zero, problem: c.NoRandomness, keep: true, out: "ot=th:x", kept: "ot=th:x"},
	{name: "zero trace id, unreadable", in: "=", id: zero, problem: c.NoRandomness, keep: true, out: "=", kept: "=", erased: "="},
}

func apply(r *c.Reader, in string, d c.Decision) string {
	if d.Changed {
		return r.Write(in, d.Threshold)
	}
	return in
}

func TestTraceStates(t *testing.T) {
	var shared c.Reader // a second look finds it in the cache
	for range 2 {
		for _, tt := range traceStates {
			t.Run(tt.name, func(t *testing.T) {
				in := shared.Read(tt.in, tt.id)
				require.Equal(t, tt.problem, in.Problem, "problem")
				d := c.Decide(in, threshold(t, "c"))
				require.Equal(t, tt.keep, d.Keep, "keep")
				if d.Keep {
					require.Equal(t, tt.out, apply(&shared, tt.in, d), "goes on")
				}
				require.True(t, c.Keep(in).Keep)
				require.Equal(t, tt.kept, apply(&shared, tt.in, c.Keep(in)), "goes on by a condition")
				require.Equal(t, tt.erased, shared.Erase(tt.in), "erased")
			})
		}
	}
	require.Zero(t, shared.Lost())
}

func TestProblemsHaveTheNamesOfTelemetry(t *testing.T) {
	var names []string
	for p := range c.Problems {
		names = append(names, p.String())
	}
	require.Equal(t, []string{"", "inconsistent_threshold", "malformed_tracestate", "malformed_attributes", "malformed_tracestate", "no_randomness"}, names)
	require.Empty(t, c.Problems.String())
}

func TestRepresented(t *testing.T) {
	var r c.Reader
	for state, want := range map[string]float64{"": 1, "ot=th:0": 1, "ot=th:8": 2, "ot=th:c": 4, "ot=th:f8": 1, "ot=th:x": 1} {
		require.Equal(t, want, c.Represented(r.Read(state, high)), state) // th:f8 excludes R
	}
	require.Equal(t, 4.0, c.Represented(r.Read("ot=th:c", zero)), "without randomness a threshold is believed")
}

// members gives a trace state of n members of others, of so many bytes each with
// the comma.
func members(n, bytes int) string {
	one := "k=" + strings.Repeat("v", bytes-3)
	return strings.Repeat(one+",", n-1) + one
}

func TestRoomForTheThreshold(t *testing.T) {
	long := "k=" + strings.Repeat("v", 200)
	for _, tt := range []struct {
		name, in string
		lost     int
		out      string
	}{
		{"30 members and ours", members(30, 4), 0, "ot=th:c," + members(30, 4)},
		{"31 members", members(31, 4), 1, "ot=th:c," + members(30, 4)},
		{"31 members with ours among them", members(30, 4) + ",ot=x:y", 0, "ot=th:c;x:y," + members(30, 4)},
		{"1,016 bytes", members(4, 254) + "v", 0, "ot=th:c," + members(4, 254) + "v"},
		{"1,017 bytes", members(4, 254) + "vv", 1, "ot=th:c," + members(3, 254)},
		{"long members go first", "a=1," + long + "," + long + "," + long + "," + long + "," + members(6, 34), 1, "ot=th:c,a=1," + long + "," + long + "," + long + "," + members(6, 34)},
		{"short ones go from the end", members(10, 100) + "," + members(1, 25), 1, "ot=th:c," + members(10, 100)},
		{"ot of 256 bytes", "a=1,ot=x:" + strings.Repeat("y", 249), 0, "ot=th:c;x:" + strings.Repeat("y", 249) + ",a=1"},
		{"ot of 257 bytes", "a=1,ot=x:" + strings.Repeat("y", 250), 1, "ot=th:c,a=1"},
		{"ot of 257 bytes with rv", "ot=rv:f0000000000000;x:1;y:" + strings.Repeat("z", 228), 2, "ot=rv:f0000000000000;th:c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r c.Reader
			for i := range 2 { // the second comes from the cache and counts too
				require.Equal(t, c.NoProblem, r.Read(tt.in, high).Problem)
				require.Equal(t, tt.out, r.Write(tt.in, threshold(t, "c")))
				require.Equal(t, (i+1)*tt.lost, r.Lost())
			}
			back, err := sampling.NewW3CTraceState(tt.out)
			require.NoError(t, err)
			require.Equal(t, "c", back.OTelValue().TValue())
		})
	}
}

func TestErasingNeedsNoRoom(t *testing.T) {
	full := members(4, 256) + "v"
	require.Len(t, full, 1024)
	var r c.Reader
	require.Equal(t, full, r.Erase(full))
	require.Equal(t, members(31, 4), r.Erase(members(31, 4)))
	require.Zero(t, r.Lost())
}

// Thousands of trace states and thresholds push one another out of the cache.
func TestTheCacheOnlyRemembers(t *testing.T) {
	var shared c.Reader
	for i := range 20_000 {
		state := traceStates[i%len(traceStates)].in
		if i%3 == 0 {
			state = kinds[5].state(i, uint64(i/2)*0x123456789ab&(1<<56-1))
		}
		var fresh c.Reader
		require.Equal(t, fresh.Read(state, high), shared.Read(state, high))
		ours := c.FromProbability(1 - float64(i%900)/1000)
		require.Equal(t, fresh.Write(state, ours), shared.Write(state, ours))
	}
}

func threshold(t *testing.T, text string) c.Threshold {
	t.Helper()
	th, err := sampling.TValueToThreshold(text)
	require.NoError(t, err)
	return th
}

func serialized(w3c *sampling.W3CTraceState) string {
	var b strings.Builder
	_ = w3c.Serialize(&b) // a strings.Builder does not fail
	return b.String()
}

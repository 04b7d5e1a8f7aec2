package tagconsolidationprocessor

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// nightly lets properties run for long.
var nightly = os.Getenv("PHOENIX_LONG") != ""

// checkProperty runs a property on so many random histories, on more at night
// and on fewer under the race detector.
func checkProperty(t *testing.T, histories, atNight int, property func(*rapid.T)) (n int) {
	t.Helper()
	switch n = histories; {
	case nightly:
		n = atNight
	case raceDetector:
		n = max(1, histories/20)
	}
	before := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(n)))
	defer func() { require.NoError(t, flag.Set("rapid.checks", before)) }()
	rapid.Check(t, property)
	return n
}

// propertyFaults are what may happen in a step; the first is nothing.
var propertyFaults = []string{
	"none", "reset_by_start", "reset_by_value", "start_unknown", "start_is_time", "start_jitter", "duplicate", "late", "reordered",
	"gap", "evicted", "stale_marker", "malformed", "future", "huge", "other_shape",
	"rules_change", "rules_go_and_return", "checkpoint", "restart", "crash", "crash_in_turn", "crash_in_checkpoint",
}

// rare says how often a fault is chosen, of 100.
var propertyWeights = map[string]int{"none": 24, "rules_change": 4, "rules_go_and_return": 9, "checkpoint": 4, "restart": 3, "crash": 2, "crash_in_turn": 2, "crash_in_checkpoint": 2}

func drawFault(t *rapid.T) string {
	var all []string
	for _, fault := range propertyFaults {
		weight := propertyWeights[fault]
		if weight == 0 {
			weight = 4
		}
		all = append(all, slices.Repeat([]string{fault}, weight)...)
	}
	return rapid.SampledFrom(all).Draw(t, "fault")
}

// step is one moment of a history.
func (w *world) step() {
	w.wait(rapid.Uint64Range(1, 5000).Draw(w.t, "wait") * 1e6)
	p := w.programs[rapid.IntRange(0, len(w.programs)-1).Draw(w.t, "program")]
	fault := drawFault(w.t)
	switch fault {
	case "gap":
		w.wait(25e9)
	case "evicted":
		w.wait(rapid.Uint64Range(55, 100).Draw(w.t, "away") * 1e9)
	case "rules_change":
		w.change(fault)
	case "rules_go_and_return":
		w.goAndReturn(fault)
	case "checkpoint":
		w.checkpoint()
	case "restart":
		w.restart()
	case "crash", "crash_in_turn", "crash_in_checkpoint":
		w.crash(fault)
	}
	b := newPropertyBatch(rapid.Bool().Draw(w.t, "sharing"))
	if w.happensTo(p, fault, b) {
		w.faults[p.kind.String()+" "+fault] = true
		if p.skew != 0 {
			w.faults[p.kind.String()+" clock_skew"] = true
		}
	}
	for _, other := range w.programs {
		if other != p && rapid.IntRange(0, 2).Draw(w.t, "with") == 0 {
			b.add(other.report(w.t, w.now))
		}
	}
	w.send(b)
}

// happensTo lets a program report with a fault, and says whether that was
// possible.
func (w *world) happensTo(p *program, fault string, b *batch) bool {
	if w.before(p, fault, b) {
		return true
	}
	former := p.last
	r := p.report(w.t, w.now)
	switch fault {
	case "start_unknown":
		r.start = 0
	case "start_is_time":
		r.start = r.time
	case "start_jitter":
		r.start = min(r.time, r.start+rapid.Uint64Range(1, 3000).Draw(w.t, "jitter")*1e6)
	case "malformed":
		r.malform(rapid.IntRange(0, 4).Draw(w.t, "way"))
		p.last = former
	case "future":
		r.time += 700e9
		p.last = former
	case "reordered":
		w.pauseWithin(2000)
		second := p.report(w.t, w.now)
		b.add(second)
	case "duplicate", "late":
		b.add(r)
		return false // there is nothing yet to send again
	}
	b.add(r)
	return true
}

// before does what precedes a report, or takes its place.
func (w *world) before(p *program, fault string, b *batch) (instead bool) {
	switch fault {
	case "reset_by_start":
		w.pauseWithin(1000)
		p.begin(max(p.time, p.clock(w.now)))
		w.wait(1e9)
	case "reset_by_value":
		p.forget()
	case "huge":
		p.whole += 1 << 62
		p.real += 1e300
		if p.whole < 0 {
			p.whole = 0
		}
	case "other_shape":
		p.double = !p.double
		p.bounds = rapid.SampledFrom(boundsPool).Draw(w.t, "bounds")
		p.scale = rapid.IntRange(0, 4).Draw(w.t, "scale")
		p.threshold = rapid.SampledFrom([]float64{0, 0.001, 1, 1.3}).Draw(w.t, "threshold")
	case "duplicate":
		if p.last != nil {
			again := *p.last
			b.add(&again)
			return true
		}
	case "late":
		if p.last != nil {
			again := *p.last
			again.time -= rapid.Uint64Range(1, 20_000).Draw(w.t, "late") * 1e6
			again.start = min(again.start, again.time)
			b.add(&again)
			return true
		}
	case "stale_marker":
		p.time = max(p.time, p.clock(w.now)-1e9)
		b.add(&reading{program: p, time: p.time, stale: true})
		return true
	}
	return false
}

// pauseWithin lets time go on, up to some milliseconds, but not over an edge.
func (w *world) pauseWithin(most uint64) {
	d := rapid.Uint64Range(1, most).Draw(w.t, "pause") * 1e6
	if w.now+d < w.edge+w.lag {
		w.now += d
	}
}

// drain lets everything go stale.
func (w *world) drain() {
	w.wait(uint64(w.config.Staleness) + 4*uint64(propertyInterval))
	stats := w.c.engine.Stats()
	require.Zero(w.t, stats.Inputs, "inputs")
	require.Zero(w.t, stats.Outputs, "outputs")
}

// census counts histories by the kinds of streams and the faults in them.
type census map[string]int

func (c census) add(faults map[string]bool) {
	seen := map[string]bool{}
	for both := range faults {
		kind, fault, _ := strings.Cut(both, " ")
		for _, key := range []string{both, kind + " any", "any " + fault, "any any"} {
			seen[key] = true
		}
	}
	for key := range seen {
		c[key]++
	}
}

// demand prints the table and demands that each kind and each fault are in at
// least 5 % of the histories.
func (c census) demand(t *testing.T, histories int) {
	t.Helper()
	columns := append(slices.Clone(propertyFaults), "clock_skew", "any")
	var rows []string
	for k := consolidation.DeltaSum; k <= consolidation.Summary; k++ {
		rows = append(rows, k.String())
	}
	var text strings.Builder
	for i, fault := range columns {
		fmt.Fprintf(&text, "\n%2d %s: %d", i, fault, c["any "+fault])
		require.GreaterOrEqual(t, c["any "+fault]*20, histories, "histories with %s", fault)
	}
	fmt.Fprintf(&text, "\n%-24s", "")
	for i := range columns {
		fmt.Fprintf(&text, "%7d", i)
	}
	for _, kind := range rows {
		fmt.Fprintf(&text, "\n%-24s", kind)
		for _, fault := range columns {
			fmt.Fprintf(&text, "%7d", c[kind+" "+fault])
		}
		require.GreaterOrEqual(t, c[kind+" any"]*20, histories, "histories with %s", kind)
	}
	t.Log(text.String())
}

// TestProcessorAndModelAgree is the proof: whatever happens, what passes, what
// is emitted and when are what the model finds in all the raw points; and no
// database would refuse any of it.
func TestProcessorAndModelAgree(t *testing.T) {
	counts := census{}
	n := checkProperty(t, 10_000, 1_000_000, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			w.step()
		}
		w.drain()
		w.c.telemetry.Shutdown()
		j := newJudge(t, w.config)
		for i := range w.log {
			t.Log(&w.log[i])
			j.happened(&w.log[i])
		}
		counts.add(w.faults)
	})
	counts.demand(t, n)
}

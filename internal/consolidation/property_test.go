package consolidation_test

import (
	"flag"
	"fmt"
	"math"
	"math/big"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

var long = os.Getenv("PHOENIX_LONG") != ""

// checks is the number of random histories a property.
func checks(short, many int) int {
	switch {
	case long:
		return many
	case raceDetector:
		return max(1, short/10)
	}
	return short
}

func check(t *testing.T, n int, property func(*rapid.T)) {
	t.Helper()
	before := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(n)))
	defer func() { require.NoError(t, flag.Set("rapid.checks", before)) }()
	rapid.Check(t, property)
}

var boundsOf = [][]float64{{1, 4}, {1, 2, 4}, {1, 4, 8}, {0.5, 1, 2, 4, 8}}

var policies = []spatial.Policy{
	spatial.PolicySum, spatial.PolicyMean, spatial.PolicyMin, spatial.PolicyMax, spatial.PolicyLast, spatial.PolicyCount,
}

// source is a program that sends one stream.
type source struct {
	name   string
	kind   c.Kind
	policy spatial.Policy
	double bool
	bounds []float64
	scale  int32
	group  int
	slot   int // of the rule that it goes by
	start  uint64
	time   uint64
	total  cells
	last   *raw
}

// world is one random history: programs, an engine and a model beside it.
type world struct {
	t       *rapid.T
	now     uint64
	edge    uint64
	rules   [2]c.RuleID // in force; 0: none
	before  [2]c.RuleID // the latest one
	newest  c.RuleID
	share   bool // rules make the same outputs
	engine  *c.Engine
	model   *model
	sources []*source
	in, out map[string]int
	counts  map[[2]string]int
}

var settings = c.Settings{Staleness: 60 * time.Second, Heartbeat: 30 * time.Second, Shards: 4}

func newWorld(t *rapid.T, counts map[[2]string]int) *world {
	w := &world{
		t: t, now: zero + second, edge: zero, engine: c.New(settings), in: map[string]int{}, out: map[string]int{}, counts: counts,
		model: &model{staleness: 60 * second, heartbeat: 30 * second},
	}
	w.share = rapid.Bool().Draw(t, "share")
	w.watch(0, 1, zero)
	w.watch(1, 2, zero)
	w.edge += interval
	kind := c.Kind(rapid.Uint8Range(0, uint8(c.Summary)).Draw(t, "kind"))
	for i := range rapid.IntRange(1, 5).Draw(t, "sources") {
		if i > 0 && rapid.IntRange(0, 3).Draw(t, "other") == 0 {
			kind = c.Kind(rapid.Uint8Range(0, uint8(c.Summary)).Draw(t, "kind"))
		}
		s := &source{
			name: fmt.Sprintf("s%d", i), kind: kind, group: i, slot: rapid.IntRange(0, 3).Draw(t, "slot") / 3,
			double: rapid.Bool().Draw(t, "double"), start: zero + rapid.Uint64Range(0, 3).Draw(t, "born")*second/2, total: cells{},
		}
		s.bounds = boundsOf[rapid.IntRange(0, 3).Draw(t, "bounds")]
		s.scale = rapid.Int32Range(0, 3).Draw(t, "scale")
		if kind == c.Summary {
			s.bounds = nil
		}
		w.sources = append(w.sources, s)
	}
	policy := rapid.SampledFrom(policies).Draw(t, "policy")
	for _, s := range w.sources {
		s.policy = policy
	}
	return w
}

// output is where the rule in force lets a stream go.
func (w *world) output(s *source) string {
	if w.share {
		return fmt.Sprintf("%s-%d", s.kind, s.group%2)
	}
	return fmt.Sprintf("%s-%d-%d", s.kind, s.slot, s.group%(1+int(w.rules[s.slot])%3))
}

// measure lets the program go on by one report.
func (s *source) measure(t *rapid.T) cells {
	grown := cells{}
	switch {
	case levelled(s.kind) || s.kind == c.DeltaUpDown:
		s.total = cells{"value": s.draw(t, -50, 50)}
		return s.total
	case s.kind == c.DeltaSum || s.kind == c.CumulativeSum:
		grown["value"] = s.draw(t, 0, 50)
	case s.kind == c.DeltaExponential || s.kind == c.CumulativeExponential:
		s.measureExponential(t, grown)
	default:
		s.measureHistogram(t, grown)
	}
	if isDelta(s.kind) {
		return grown
	}
	total := cells{}
	total.add(s.total)
	total.add(grown)
	for k, v := range total { // a program sends doubles
		f, _ := v.Float64()
		total[k] = num(f)
	}
	s.total = total
	return total
}

func (s *source) draw(t *rapid.T, low, high int) *big.Float {
	n := rapid.IntRange(low, high).Draw(t, "value")
	if s.double {
		return num(float64(n) / 10)
	}
	return num(float64(n))
}

func (s *source) measureHistogram(t *rapid.T, grown cells) {
	grown["sum"] = num(0)
	one := func(v float64) {
		edge := math.Inf(1)
		for _, b := range s.bounds {
			if v <= b {
				edge = b
				break
			}
		}
		grown.add(cells{bucket(edge): num(1), "sum": num(v)})
	}
	for range rapid.IntRange(0, 4).Draw(t, "n") {
		one(rapid.SampledFrom([]float64{0.25, 0.75, 1.5, 3, 6, 10}).Draw(t, "v"))
	}
}

func (s *source) measureExponential(t *rapid.T, grown cells) {
	grown["sum"] = num(0)
	for range rapid.IntRange(0, 4).Draw(t, "n") {
		j := rapid.IntRange(-30, 30).Draw(t, "v")
		if j == 0 {
			grown.add(cells{"zero": num(1)})
			continue
		}
		grown.add(cells{index(s.scale, j>>(3-s.scale)): num(1), "sum": num(float64(j + 40))})
	}
}

// tick moves time on; edges that pass are flushed.
func (w *world) tick(d uint64) {
	w.now += d
	for w.edge <= w.now {
		w.flush()
	}
}

func (w *world) flush() {
	var got []emitted
	w.model.log = append(w.model.log, event{flush: w.edge})
	w.engine.Flush(w.edge, keep(&got))
	want, _ := w.model.expect()
	agree(w.t, want, got)
	w.tally(got)
	w.edge += interval
}

func (w *world) tally(got []emitted) {
	for i := range got {
		if !got[i].Stale {
			w.out[got[i].name]++
			require.LessOrEqual(w.t, w.out[got[i].name], w.in[got[i].name], "more samples out than in: %s", got[i].name)
		}
	}
}

func (w *world) feed(s *source, r *raw, fault string) {
	if !r.stale {
		s.last = r
	}
	if w.rules[s.slot] == 0 { // it passes
		w.counts[[2]string{s.kind.String(), "passes"}]++
		return
	}
	r.input, r.output, r.rule, r.kind, r.policy, r.now = s.name, w.output(s), w.rules[s.slot], s.kind, s.policy, w.now
	r.bounds, r.scale, r.double = s.bounds, s.scale, s.double
	w.in[r.output]++
	w.model.log = append(w.model.log, event{raw: r})
	_, want := w.model.expect()
	got := w.engine.Feed(r.point(), owner(r.output))
	require.Equal(w.t, want.String(), got.Verdict.String(), "verdict of %+v", *r)
	w.counts[[2]string{s.kind.String(), fault}]++
}

func (w *world) report(s *source, fault string) {
	start := s.start
	s.time = max(s.time+1, w.now-rapid.Uint64Range(0, second).Draw(w.t, "lag"))
	if isDelta(s.kind) && s.last != nil {
		start = min(s.last.time, s.time)
	}
	r := &raw{start: start, time: s.time, value: s.measure(w.t)}
	switch fault {
	case "start_0":
		r.start = 0
	case "start_is_time":
		r.start = r.time
	case "jitter":
		r.start += rapid.Uint64Range(0, second).Draw(w.t, "jitter")
		r.start = min(r.start, r.time)
	case "malformed":
		r.start = r.time + 1
	}
	w.feed(s, r, fault)
}

var faults = []string{
	"none", "none", "none", "reset_start", "reset_value", "start_0", "start_is_time", "jitter", "duplicate", "late", "gap", "marker", "malformed",
	"restart", "retire", "long_gap", "withdraw", "withdraw", "return", "return", "return",
}

func (w *world) step() {
	s := rapid.SampledFrom(w.sources).Draw(w.t, "source")
	fault := rapid.SampledFrom(faults).Draw(w.t, "fault")
	w.tick(rapid.Uint64Range(1, 9).Draw(w.t, "tick") * second)
	switch fault {
	case "reset_start":
		s.start, s.total = w.now-second/2, cells{}
		w.tick(second)
	case "reset_value":
		s.total = cells{}
	case "duplicate":
		if s.last != nil {
			again := *s.last
			w.feed(s, &again, fault)
			return
		}
	case "late":
		if s.last != nil {
			r := *s.last
			r.time = max(r.start, r.time-min(rapid.Uint64Range(1, 20).Draw(w.t, "late")*second/3, r.time))
			if r.time > r.start {
				kept := s.last
				w.feed(s, &r, fault)
				s.last = kept
				return
			}
		}
	case "gap":
		w.tick(40 * second)
	case "long_gap":
		w.tick(rapid.Uint64Range(50, 100).Draw(w.t, "gap") * second)
	case "marker":
		s.time = max(s.time, w.now-second)
		w.feed(s, &raw{time: s.time, stale: true}, fault)
		return
	case "restart":
		w.restart()
	case "retire":
		if w.rules[s.slot] != 0 {
			w.retire(s.slot)
			w.newest++
			w.watch(s.slot, w.newest, w.edge-interval)
		}
	case "withdraw":
		if w.rules[s.slot] != 0 {
			w.retire(s.slot)
		}
	case "return":
		w.comeBack(s.slot)
	}
	w.report(s, fault)
}

func (w *world) restart() {
	next := c.New(c.Settings{Staleness: settings.Staleness, Heartbeat: settings.Heartbeat, Shards: rapid.SampledFrom([]int{1, 4, 16}).Draw(w.t, "shards")})
	for part := range w.engine.Snapshot() {
		require.Zero(w.t, next.Restore(part, w.now))
	}
	w.engine = next
	w.model.log = append(w.model.log, event{restart: w.now})
}

func (w *world) retire(slot int) {
	at := w.edge - interval
	var got []emitted
	w.model.log = append(w.model.log, event{retire: w.rules[slot], at: at})
	w.engine.Retire(w.rules[slot], at, keep(&got))
	want, _ := w.model.expect()
	agree(w.t, want, got)
	w.tally(got)
	w.rules[slot] = 0
}

func (w *world) watch(slot int, rule c.RuleID, now uint64) {
	w.rules[slot], w.before[slot], w.newest = rule, rule, max(w.newest, rule)
	w.model.log = append(w.model.log, event{watch: rule, at: w.engine.Watch(rule, now)})
}

// comeBack puts a rule in force at an edge after one where none was: the one before or another, by a clock that may have been
// set back.
func (w *world) comeBack(slot int) {
	if w.rules[slot] != 0 {
		return
	}
	w.tick(w.edge - w.now)
	rule, now := w.before[slot], w.now
	if rapid.IntRange(0, 3).Draw(w.t, "other rule") == 0 {
		rule = w.newest + 1
	}
	if rapid.IntRange(0, 7).Draw(w.t, "set back") == 0 {
		now -= 3 * interval
	}
	w.watch(slot, rule, now)
}

// drain lets everything go stale.
func (w *world) drain() {
	for range 12 {
		w.flush()
	}
	stats := w.engine.Stats()
	require.Zero(w.t, stats.Inputs)
	require.Zero(w.t, stats.Outputs)
}

// TestModelAndEngineAgree is the proof: whatever happens, every emission and every verdict is what going through all raw points
// says, and no output has more samples than came in.
func TestModelAndEngineAgree(t *testing.T) {
	counts := map[[2]string]int{}
	check(t, checks(2500, 40_000), func(t *rapid.T) {
		w := newWorld(t, counts)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			w.step()
		}
		w.drain()
	})
	table(t, counts)
}

package tagconsolidationprocessor

import (
	"maps"
	"math/big"
	"slices"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// ledger is the model at one time. It goes through a history from its first
// event to its last; see property_world_test.go for who writes the history.
type ledger struct {
	staleness, heartbeat uint64
	rules                clearRules
	pending              []*knownRule // in force from the next edge on
	hasPending           bool
	activation           map[string]uint64 // since when rules watch, by their keys
	began                map[string]int    // in which turn they did
	raw                  map[string]rawRule
	turns                int
	past                 []pastRules
	knows                int // the turn since which past is complete
	// latest is when the last rule began, changed the latest of the moments at which
	// rules ended or had begun then, over that of earlier turns: who begins later
	// does so after it.
	latest, changed, over uint64
	held                  []*expected // what ended outputs of an earlier process show

	inputs map[string]*memory
	lives  map[string]*life
	gone   map[string]uint64 // when outputs ended
	// arrived are the points that fed outputs; no crash takes them back.
	arrived map[string]int

	flushed uint64 // the latest edge
	restart uint64 // when a process took up what one had shown that crashed
	// complete is until when that knew who ended: the edge before it was saved.
	complete uint64
	saved    *ledger
	journal  []*expected // since saved
	bases    []*baseLine // of new inputs, not journaled yet
	based    []*baseLine // journaled since saved
}

// rawRule is a rule that began while data flowed: what it takes may have passed
// until then, and is seen for some time.
type rawRule struct{ since, until uint64 }

// seenFor is how long databases show the last value of a series.
const seenFor = 300e9

// pastRules were in force until a turn.
type pastRules struct {
	clearRules
	until int
}

// baseLine is the first point of an input, from which it counts. Nobody else
// knows it.
type baseLine struct {
	input string
	point *clearPoint
	rule  string
	out   *life // as it was then
	since uint64
	turn  *happening // whose journal has it
}

// memory is an input.
type memory struct {
	last    *clearPoint // nil: never seen, or forgotten
	until   uint64      // the time of the last point, or of the stale marker
	seen    uint64      // when it came, in seconds
	ended   bool
	out     *life
	counted uint64 // until when it was counted, if it is forgotten
	rule    string // by which it went last
	freed   int    // in which turn that rule ended; 0: it did not
	passed  bool   // points of it passed since
}

// life is one life of an output.
type life struct {
	name, variant string
	rule          *knownRule
	kind          consolidation.Kind
	start         uint64
	emitted       uint64 // or when a former life ended
	shown         bool
	touched       bool
	credit        int // points in, less points out
	first         uint64
	grace         uint64 // in seconds
	number        *big.Float
	double        bool
	gains         gains
	shaped        bool // bounds are known
	bounds        []float64
	classic       classic
	exponents     *exponents
	floor         *amount // shown before a crash
}

func (o *life) key() string { return lifeKey(o.name, o.variant) }

// lifeKey is the series alone: rules that make the same one share it.
func lifeKey(name, variant string) string { return name + "#" + variant }

// expected is what an output should show.
type expected struct {
	name, variant string
	rule          *knownRule
	kind          consolidation.Kind
	stale         bool
	start, time   uint64
	value         amount
	actual        *output // what was emitted
}

func (e *expected) key() string { return lifeKey(e.name, e.variant) }

func seconds(t uint64) uint64 { return t / 1e9 }

func isDelta(k consolidation.Kind) bool { return k.Delta() }

func isLevel(k consolidation.Kind) bool {
	return k == consolidation.Gauge || k == consolidation.CumulativeUpDown
}

func isCumulative(k consolidation.Kind) bool { return !isDelta(k) && !isLevel(k) }

func (l *ledger) input(p *clearPoint) *memory {
	name := seriesOf(p.labels, p.scope, p)
	if l.inputs[name] == nil {
		l.inputs[name] = &memory{}
	}
	return l.inputs[name]
}

// maxAheadOfNow is how far the time of a point may lie after now.
const maxAheadOfNow = 600e9

// take says whether a rule takes a point, and lets it count. If it is the first one
// of a series that was seen until then, it goes on as the end of it, at a time.
func (l *ledger) take(p *clearPoint) (taken bool, end uint64) {
	rule := l.rules.of(p)
	if rule == nil {
		// A rule that lets summaries pass is not told apart from none.
		if in := l.input(p); in.last != nil && !p.unspecified && !p.stale && p.kind != consolidation.Summary {
			in.passed = true
		}
		return false, 0
	}
	unusable := p.time > p.now+maxAheadOfNow || !p.stale && (p.noValue || p.offFrame)
	switch {
	case unusable:
	case p.stale:
		known := l.input(p).last != nil
		l.end(p)
		return known || p.now >= l.raw[rule.key].until || p.time == 0 || p.start > p.time, 0
	default:
		if l.feed(rule, p) && l.seen(rule, p) {
			const interval = uint64(propertyInterval)
			return true, max(p.time, (p.now/interval+1)*interval)
		}
	}
	return true, 0
}

// seen says whether points of a series may have been seen before its rule began.
func (l *ledger) seen(rule *knownRule, p *clearPoint) bool {
	raw := l.raw[rule.key]
	began := p.start != 0 && p.start < p.time && p.start >= raw.since
	return p.now < raw.until && !began
}

// end takes a stale marker: the input counts no more, and is remembered.
func (l *ledger) end(p *clearPoint) {
	in := l.input(p)
	if in.last == nil || p.time == 0 || p.start > p.time {
		return
	}
	if !in.ended && l.feeds(in) {
		l.arrives(in.out)
	}
	if in.ended || p.time < in.until {
		return
	}
	l.leave(in)
	in.ended, in.seen = true, max(in.seen, seconds(p.now))
	if !isCumulative(p.kind) {
		in.until = p.time
	}
}

// arrives notes a point of an input.
func (l *ledger) arrives(o *life) {
	o.credit++
	l.arrived[o.name]++
}

// feeds says whether the output of an input is still there.
func (l *ledger) feeds(in *memory) bool { return in.out != nil && l.lives[in.out.key()] == in.out }

// leave takes an input from its output. A level is another one then.
func (l *ledger) leave(in *memory) {
	if !in.ended && l.feeds(in) && isLevel(in.out.kind) && in.out.credit > 0 {
		in.out.touched = true
	}
}

// feed lets a point count, and says whether it is the first one of its input.
func (l *ledger) feed(rule *knownRule, p *clearPoint) (first bool) {
	in := l.input(p)
	if l.interrupted(rule, in, p) && !isDelta(p.kind) && !l.renew(in, p) {
		return false
	}
	if in.last == nil && !p.wellFormed() {
		return false
	}
	first = in.last == nil
	in.rule, in.freed, in.passed = rule.key, 0, false
	name := l.rules.output(rule, p)
	if !l.feeds(in) || in.out.name != name {
		l.leave(in)
		in.out = l.output(name, rule, p)
	}
	grown, verdict := l.growth(rule, in, p)
	if verdict == refused {
		return false
	}
	fresh := verdict != duplicate && verdict != late || verdict == late && isDelta(p.kind)
	if fresh {
		l.add(in, p, grown, verdict)
	}
	in.seen = max(in.seen, seconds(p.now))
	l.arrives(in.out)
	in.out.touched = in.out.touched || fresh
	if verdict == duplicate || verdict == late {
		return first
	}
	if in.last == nil && verdict == baseline {
		name := seriesOf(p.labels, p.scope, p)
		l.bases = append(l.bases, &baseLine{input: name, point: p, rule: rule.key, out: in.out, since: in.out.start})
	}
	in.ended = false
	in.last, in.until = p, p.time
	return first
}

// interrupted says whether what an input counted since its last point was, or may
// have been, seen as it is: its rule ended, the one that takes it now did not
// follow at once, and nobody knows that others took it meanwhile.
func (l *ledger) interrupted(rule *knownRule, in *memory, p *clearPoint) bool {
	if in.last == nil || in.passed {
		return in.last != nil
	}
	if in.freed == 0 || l.began[rule.key] <= in.freed {
		return false
	}
	return l.knows > in.freed || slices.ContainsFunc(l.past, func(r pastRules) bool { return r.until > in.freed && r.of(p) == nil })
}

// renew lets an input begin anew, unless the point is not usable or not later than
// what was counted.
func (l *ledger) renew(in *memory, p *clearPoint) bool {
	if !p.wellFormed() {
		return false
	}
	in.seen = max(in.seen, seconds(p.now))
	if p.time <= in.until {
		return false
	}
	*in = memory{seen: in.seen, counted: max(in.counted, in.last.time)}
	return true
}

// output is the life of an output that a point feeds; it may begin here.
func (l *ledger) output(name string, rule *knownRule, p *clearPoint) *life {
	key := lifeKey(name, "")
	if l.lives[key] == nil {
		since, watched := l.activation[rule.key]
		if !watched {
			since = p.now
		}
		l.lives[key] = l.begin(name, "", rule, p.kind, since)
		if classicKind(p.kind) && rule.Buckets != nil {
			l.lives[key].keep(p.value.classic.bounds(), rule.Buckets.KeepBounds)
		}
	}
	return l.lives[key]
}

func (l *ledger) begin(name, variant string, rule *knownRule, kind consolidation.Kind, since uint64) *life {
	o := &life{name: name, variant: variant, rule: rule, kind: kind, emitted: l.gone[lifeKey(name, variant)], exponents: emptyExponents(), classic: classic{}}
	if kind != consolidation.Gauge && !isDelta(kind) {
		o.start = max(since, o.emitted)
	}
	return o
}

func classicKind(k consolidation.Kind) bool {
	return k == consolidation.DeltaHistogram || k == consolidation.CumulativeHistogram
}

// keep lets a rule name the bounds, of those that there are.
func (o *life) keep(bounds, named []float64) {
	kept, some := shared(bounds, named)
	if some && len(bounds) > 0 {
		o.shaped, o.bounds = true, kept
		o.classic = classic{}.over(kept)
	}
}

// apply lets rules be in force from the next edge on.
func (l *ledger) apply(rules []*knownRule) { l.pending, l.hasPending = rules, true }

// writeBases puts base lines into the journal of a flush.
func (l *ledger) writeBases(h *happening) {
	for _, b := range l.bases {
		b.turn = h
	}
	l.based, l.bases = append(l.based, l.bases...), nil
}

// turn is the edge of an interval.
func (l *ledger) turn(edge, now uint64) []*expected {
	var out []*expected
	l.turns++
	l.over = l.changed
	if edge > l.flushed {
		out = append(out, l.flush(edge)...)
	}
	if l.hasPending {
		before := l.rules.rules
		l.past = append(slices.Clone(l.past), pastRules{l.rules, l.turns})
		if n := len(l.past) - maxPast; n > 0 {
			l.knows, l.past = l.past[n-1].until, l.past[n:]
		}
		l.rules.rules, l.pending, l.hasPending = l.pending, nil, false
		l.watch(now)
		for _, r := range l.rules.rules {
			if r.Mode != policy.ModePreview && !(&clearRules{rules: before}).enforced(r.key) {
				l.raw[r.key] = rawRule{now, now + seenFor}
			}
		}
		for _, r := range before {
			if !l.rules.enforced(r.key) {
				out = append(out, l.retire(r.key, edge)...)
			}
		}
	}
	l.journal = append(l.journal, out...)
	out = append(out, l.held...) // a checkpoint came after them
	l.held = nil
	return out
}

// watch notes since when the rules in force watch.
func (l *ledger) watch(now uint64) {
	for _, r := range l.rules.rules {
		if _, known := l.activation[r.key]; !known && l.rules.enforced(r.key) {
			l.activation[r.key], l.began[r.key] = now, l.turns
			if l.over > 0 {
				l.activation[r.key] = max(now, l.over+1)
			}
			l.latest = max(l.latest, l.activation[r.key])
		}
	}
}

// save is a checkpoint.
func (l *ledger) save() {
	l.journal, l.based = nil, nil
	l.saved = l.copied()
}

func (l *ledger) copied() *ledger {
	out := *l
	out.saved, out.journal, out.held, out.bases, out.based = nil, nil, nil, nil, nil
	out.activation, out.began, out.gone = maps.Clone(l.activation), maps.Clone(l.began), maps.Clone(l.gone)
	out.inputs, out.lives, out.raw = map[string]*memory{}, map[string]*life{}, map[string]rawRule{}
	moved := map[*life]*life{}
	for key, o := range l.lives {
		c := *o
		c.classic, c.bounds = maps.Clone(o.classic), slices.Clone(o.bounds)
		out.lives[key], moved[o] = &c, &c
	}
	for name, in := range l.inputs {
		c := *in
		c.out = moved[in.out]
		out.inputs[name] = &c
	}
	return &out
}

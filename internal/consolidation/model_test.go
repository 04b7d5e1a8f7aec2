package consolidation_test

import (
	"math/big"
	"slices"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// The model is what the engine should do, written for the reader: it keeps every raw point for ever, works in big numbers and
// database cells (a number, or a bucket by its upper bound), and answers each flush by going through the history again. It uses
// nothing of package spatial but its types.

// cells are the parts of a value as a database would store them.
type cells map[string]*big.Float

func num(v float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(v) }

func (x cells) add(o cells) {
	for k, v := range o {
		if x[k] == nil {
			x[k] = num(0)
		}
		x[k].Add(x[k], v)
	}
}

func minus(a, b cells) cells {
	out := cells{}
	for k, v := range a {
		out[k] = new(big.Float).SetPrec(300).Set(v)
		if b[k] != nil {
			out[k].Sub(v, b[k])
		}
	}
	return out
}

// fell reports whether any part but the sum of a histogram is less than before.
func fell(now, before cells) bool {
	for k, v := range before {
		if k == "sum" {
			continue
		}
		if n := now[k]; n == nil && v.Sign() > 0 || n != nil && n.Cmp(v) < 0 {
			return true
		}
	}
	return false
}

// raw is one raw point.
type raw struct {
	input, output string
	rule          c.RuleID
	kind          c.Kind
	policy        spatial.Policy
	stale         bool
	start, time   uint64
	now           uint64
	value         cells
	bounds        []float64 // of a histogram
	scale         int32     // of an exponential histogram
	double        bool
}

func (r *raw) number() *big.Float { return r.value["value"] }

// event is a raw point, or a flush, a rule that begins or ends, a restart. Points that pass because no rule is in force are none:
// nobody shows them to the engine.
type event struct {
	raw     *raw
	flush   uint64
	restart uint64
	watch   c.RuleID
	retire  c.RuleID
	at      uint64 // of watch and retire
}

// shown is what an output should show.
type shown struct {
	kind        c.Kind
	rule        c.RuleID
	stale       bool
	start, time uint64
	value       cells
	bounds      []float64
	scale       int32
	double      bool
	float       *big.Float // of a level
}

type model struct {
	staleness, heartbeat uint64
	log                  []event
}

// seconds is the resolution at which arrivals are remembered.
func seconds(t uint64) uint64 { return t / 1e9 }

// memory is what going through the history keeps of an input.
type memory struct {
	last    *raw // nil: forgotten or never seen
	out     *life
	ended   bool
	seen    uint64
	counted uint64 // until when a forgotten input was counted
	until   uint64 // the time of the stale marker
	rule    c.RuleID
	free    bool // its rule was retired
	freed   int  // in which turn
}

// life is one life of an output.
type life struct {
	name    string
	rule    c.RuleID
	kind    c.Kind
	policy  spatial.Policy
	start   uint64
	emitted uint64
	shown   bool
	touched bool
	in, out int
	first   uint64
	grown   cells
	bounds  []float64
	scale   int32
	double  bool
	grace   uint64
}

type replay struct {
	m          *model
	activation map[c.RuleID]uint64
	began      map[c.RuleID]int // in which turn
	turn       int              // how many flushes and restarts there were
	inputs     map[string]*memory
	lives      map[string]*life
	gone       map[string]uint64
	latest     uint64
	result     map[string][]shown
}

// expect returns what the last event should emit, by output, and the verdict if it is a point.
func (m *model) expect() (map[string][]shown, spatial.Verdict) {
	r := &replay{
		m: m, activation: map[c.RuleID]uint64{}, began: map[c.RuleID]int{},
		inputs: map[string]*memory{}, lives: map[string]*life{}, gone: map[string]uint64{},
	}
	verdict := spatial.Accepted
	for _, e := range m.log {
		r.result = map[string][]shown{}
		switch {
		case e.raw != nil:
			verdict = r.point(e.raw)
		case e.flush != 0:
			r.flush(e.flush)
			r.turn++
		case e.watch != 0:
			r.activation[e.watch], r.began[e.watch] = e.at, r.turn
		case e.retire != 0:
			r.retire(e.retire, e.at)
		case e.restart != 0:
			r.turn++
			for _, in := range r.inputs {
				in.seen = seconds(e.restart)
			}
			for _, l := range r.lives {
				l.grace = seconds(e.restart) + seconds(m.staleness)
			}
		}
	}
	return r.result, verdict
}

func (r *replay) input(name string) *memory {
	if r.inputs[name] == nil {
		r.inputs[name] = &memory{}
	}
	return r.inputs[name]
}

func (r *replay) point(p *raw) spatial.Verdict {
	in := r.input(p.input)
	if p.stale {
		return r.marker(in, p)
	}
	if r.interrupted(in, p) {
		if v := r.renew(in, p); v != spatial.Accepted {
			return v
		}
	}
	if in.last == nil {
		if v := wellFormed(p); v != spatial.Accepted {
			return v
		}
	}
	in.rule = p.rule
	l := r.lives[p.output]
	if l == nil {
		l = &life{name: p.output, rule: p.rule, kind: p.kind, policy: p.policy, grown: cells{}, scale: spatial.MaxScale}
		l.emitted = r.gone[p.output]
		l.start = max(r.activation[p.rule], l.emitted)
		r.lives[p.output] = l
	}
	if in.out != l {
		if in.out != nil && levelled(in.out.kind) && in.out.in > in.out.out && !in.ended {
			in.out.touched = true
		}
		in.out, in.free = l, false
	}
	grown, v := r.growth(in, p)
	if v.Refused() {
		return v
	}
	in.seen = max(in.seen, seconds(p.now))
	l.in++
	if v.Ignored() {
		return v
	}
	late := isDelta(p.kind) && in.last != nil && p.time <= in.until
	if !late {
		in.ended = false
	}
	l.touched = true
	l.take(p, grown, v)
	if in.last == nil || p.time > in.until {
		in.last, in.until = p, p.time
	}
	return v
}

// interrupted says whether an input may have passed while no rule took it. Rules that follow at once go on with it.
func (r *replay) interrupted(in *memory, p *raw) bool {
	return in.last != nil && in.free && r.began[p.rule] > in.freed && !isDelta(p.kind)
}

// renew lets an input begin anew: what it counted meanwhile was seen. Points from before its last one say nothing about it.
func (r *replay) renew(in *memory, p *raw) spatial.Verdict {
	v := wellFormed(p)
	switch {
	case v != spatial.Accepted:
		return v
	case p.time < in.until:
		v = spatial.Late
	case p.time == in.until:
		v = spatial.Duplicate
	}
	if in.seen = max(in.seen, seconds(p.now)); v == spatial.Accepted {
		*in = memory{seen: in.seen, counted: in.last.time}
	}
	return v
}

// take adds what an input grew by.
func (l *life) take(p *raw, grown cells, v spatial.Verdict) {
	if l.bounds == nil {
		l.bounds = p.bounds
	}
	l.bounds = slices.DeleteFunc(slices.Clone(l.bounds), func(b float64) bool { return !slices.Contains(p.bounds, b) })
	l.double = l.double || p.double
	if v.Counted() {
		if !isDelta(p.kind) && grown["sum"] != nil && !counts(grown) {
			grown = cells{} // a sum that moved without a measurement is none
		}
		l.grown.add(grown)
		nothing := true
		for k, n := range grown {
			nothing = nothing && (n.Sign() == 0 || k == "sum" || k == "zero")
		}
		if p.kind.String() == "delta_exponential" || p.kind.String() == "cumulative_exponential" {
			if !nothing {
				l.scale = min(l.scale, p.scale)
			}
		}
	}
	if isDelta(p.kind) && p.start != 0 && (l.first == 0 || p.start < l.first) {
		l.first = p.start
	}
}

func counts(x cells) bool {
	for k, v := range x {
		if k != "sum" && v.Sign() > 0 {
			return true
		}
	}
	return false
}

func (r *replay) marker(in *memory, p *raw) spatial.Verdict {
	if in.last == nil {
		return spatial.Accepted
	}
	if !in.ended && in.out != nil {
		in.out.in++
	}
	switch {
	case in.ended:
		return spatial.Duplicate
	case p.time < in.until:
		return spatial.Late
	}
	in.ended, in.seen = true, max(in.seen, seconds(p.now))
	if isDelta(p.kind) || levelled(p.kind) {
		in.until = p.time
	}
	if in.out != nil && levelled(p.kind) {
		in.out.touched = true
	}
	return spatial.Accepted
}

func isDelta(k c.Kind) bool {
	return k == c.DeltaSum || k == c.DeltaUpDown || k == c.DeltaHistogram || k == c.DeltaExponential
}

func levelled(k c.Kind) bool { return k == c.Gauge || k == c.CumulativeUpDown }

func wellFormed(p *raw) spatial.Verdict {
	switch {
	case p.time == 0:
		return spatial.NoTime
	case p.start > p.time:
		return spatial.StartAfterTime
	case (p.kind == c.CumulativeSum || p.kind == c.DeltaSum) && p.number().Sign() < 0:
		return spatial.Negative
	}
	return spatial.Accepted
}

// growth says by how much the point makes its output grow.
func (r *replay) growth(in *memory, p *raw) (cells, spatial.Verdict) {
	if v := wellFormed(p); v != spatial.Accepted && v != spatial.Negative {
		return nil, v
	}
	switch {
	case isDelta(p.kind):
		if wellFormed(p) == spatial.Negative {
			return nil, spatial.Negative
		}
		if in.last != nil && p.time == in.until && p.start == in.last.start {
			return nil, spatial.Duplicate
		}
		return p.value, spatial.Accepted
	case levelled(p.kind):
		switch {
		case in.last == nil || p.time > in.until:
			return p.value, spatial.Accepted
		case p.time == in.until:
			return nil, spatial.Duplicate
		}
		return nil, spatial.Late
	case in.last == nil:
		switch {
		case p.start == 0 || p.start == p.time:
			return nil, spatial.BaselineUnknownStart
		case p.start < r.activation[p.rule]:
			return nil, spatial.BaselineOldStart
		case p.start <= in.counted:
			return nil, spatial.BaselineMaybeEvicted
		}
		return p.value, spatial.First
	}
	last := in.last
	switch {
	case p.time < last.time:
		return nil, spatial.Late
	case p.time == last.time:
		return nil, spatial.Duplicate
	case wellFormed(p) != spatial.Accepted:
		return nil, wellFormed(p)
	case p.start > last.time && p.start < p.time:
		return p.value, spatial.ResetByStart
	case fell(p.value, last.value):
		return p.value, spatial.ResetByValue
	case p.start != last.start:
		return minus(p.value, last.value), spatial.StartShift
	}
	return minus(p.value, last.value), spatial.Increased
}

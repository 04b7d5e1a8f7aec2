package adaptivesamplerprocessor

import (
	"context"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
)

// What RemoveIf wants.
const keepIt, removeIt = false, true

// manyRates is how many keys a batch may have for its memory to be used again.
const manyRates = 4096

// spanBatch is what is needed while a batch is sampled. It belongs to one
// goroutine, from begin to end, and is used again by other batches.
type spanBatch struct {
	t      *traces
	reader consistent.Reader
	states stateParts
	rules  *spanRules
	sizer  ptrace.ProtoMarshaler
	lost   int // members of others that the reader had lost before

	// A key has one threshold for the whole batch, whenever intervals end.
	byID  map[uint64]int32
	rates []spanRate

	// The methods as values, made once.
	removeResource func(ptrace.ResourceSpans) bool
	removeScope    func(ptrace.ScopeSpans) bool
	removeSpan     func(ptrace.Span) bool

	at    atResource
	rate  *spanRate // of the span at hand
	tally spanTally
}

// spanRate is a key within a batch.
type spanRate struct {
	key  *keyrate.Key
	id   uint64
	ours sampling.Threshold // by the targets
	// enforced and preview are ours at the level of the budgets of that number; of
	// -1 ours.
	enforced, preview leveled

	came, kept  int
	represented float64
}

type leveled struct {
	budget    int
	threshold sampling.Threshold
}

// atResource is what is known of the resource at hand.
type atResource struct {
	attributes        pcommon.Map
	service           string
	id                uint64 // its part of the keys
	missing           bool   // an attribute of the key
	enforced, preview int    // budgets; -1: none
	bounded           bool   // by a target or an enforced budget
	kept              bool   // by an attribute of the resource
	class             int    // of tally.classes
}

func newSpanBatch(t *traces) *spanBatch {
	b := &spanBatch{t: t, byID: map[uint64]int32{}}
	b.removeResource, b.removeScope, b.removeSpan = b.resource, b.scope, b.span
	return b
}

func (b *spanBatch) begin() {
	b.rules = b.t.budgets.inForce.Load()
	b.tally.begin(len(b.rules.budgets))
}

// end counts the batch and forgets it. It returns how many spans are kept.
func (b *spanBatch) end(ctx context.Context) int {
	for i := range b.rates {
		r := &b.rates[i]
		r.key.Count(r.came, r.represented, r.kept)
		b.offer(r, r.enforced.budget)
		b.offer(r, r.preview.budget)
	}
	kept := b.tally.end(ctx, b.t, b.rules)
	if len(b.rates) > manyRates {
		b.byID, b.rates = map[uint64]int32{}, nil
	}
	clear(b.byID)
	clear(b.rates)
	b.rates, b.rate, b.rules, b.at = b.rates[:0], nil, nil, atResource{}
	b.states.reset()
	return kept
}

// offer tells a budget what targets leave it of a key. Budgets are of resources,
// keys mostly too: of several budgets the last one is told.
func (b *spanBatch) offer(r *spanRate, budget int) {
	if budget >= 0 && b.t.targets {
		b.rules.budgets[budget].flow.offers.add(r.key, r.ours, r.came)
	}
}

func (b *spanBatch) resource(rs ptrace.ResourceSpans) bool {
	b.enter(rs.Resource().Attributes())
	if !b.rules.sizes || b.at.enforced < 0 && b.at.preview < 0 {
		rs.ScopeSpans().RemoveIf(b.removeScope)
		return rs.ScopeSpans().Len() == 0
	}
	before, came := b.sizer.ResourceSpansSize(rs), b.tally.came
	preview := b.tally.flow(b.at.preview)
	rs.ScopeSpans().RemoveIf(b.removeScope)
	empty, after := rs.ScopeSpans().Len() == 0, 0
	if !empty {
		after = b.sizer.ResourceSpansSize(rs)
	}
	if b.tally.came > came {
		b.tally.measureBytes(b.at.enforced, before, after)
		// What would be left out is of average size.
		now := b.tally.flow(b.at.preview)
		b.tally.measureBytes(b.at.preview, before, int(float64(before)*float64(now.out-preview.out)/float64(max(1, now.in-preview.in))))
	}
	return empty
}

func (b *spanBatch) scope(ss ptrace.ScopeSpans) bool {
	ss.Spans().RemoveIf(b.removeSpan)
	return ss.Spans().Len() == 0
}

// enter looks at what all spans of a resource have in common.
func (b *spanBatch) enter(attributes pcommon.Map) {
	at := &b.at
	at.attributes, at.service = attributes, text(attributes, serviceName)
	at.enforced, at.preview = b.rules.find(attributes)
	at.bounded = at.enforced >= 0 || b.t.bounded(at.service)
	at.kept = b.t.keep.keepsResource(attributes)
	at.id, at.missing = b.t.plan.resource(attributes)
	at.class = b.tally.class(at.service)
	b.rate = nil
}

// span samples one span.
func (b *spanBatch) span(s ptrace.Span) bool {
	b.tally.came++
	at := &b.at
	if !at.bounded && at.preview < 0 {
		b.tally.represented++ // what it came with does not matter, so it is not read
		b.tally.kept[keptPassed]++
		return keepIt
	}
	b.find(s)
	r := b.rate
	raw := s.TraceState().AsRaw()
	in := b.reader.Read(raw, s.TraceID())
	if in.Problem != consistent.NoProblem {
		b.tally.problem(in.Problem)
	}
	represented := consistent.Represented(in)
	r.came++
	r.represented += represented
	b.tally.represented += represented
	why, kept := b.condition(s)
	switch {
	case kept:
		return b.keep(s, raw, in, why)
	case !in.HasRandomness:
		r.kept++
		b.certain()
		b.tally.kept[keptPassed]++
		return keepIt
	}
	return b.decide(s, raw, in)
}

// keep lets a span go on with what it came with.
func (b *spanBatch) keep(s ptrace.Span, raw string, in consistent.Incoming, why int) bool {
	b.rate.kept++
	b.certain()
	b.tally.kept[why]++
	if b.at.bounded {
		b.write(s, raw, consistent.Keep(in))
	}
	return keepIt
}

// decide samples a span by its randomness.
func (b *spanBatch) decide(s ptrace.Span, raw string, in consistent.Incoming) bool {
	r, at := b.rate, &b.at
	targets := consistent.Decide(in, r.ours)
	if targets.Keep {
		r.kept++
	}
	if at.enforced < 0 && at.preview < 0 { // the usual case
		return b.act(s, raw, targets, targets.Keep)
	}
	d := targets
	if at.enforced >= 0 {
		d = consistent.Decide(in, b.leveled(&r.enforced, at.enforced))
	}
	preview := at.preview >= 0 && consistent.Decide(in, b.leveled(&r.preview, at.preview)).Keep
	b.measure(d.Keep, preview)
	if !at.bounded {
		b.tally.kept[previewOr(keptPassed, preview)]++
		return keepIt
	}
	if d.Keep && at.preview >= 0 && !preview {
		b.write(s, raw, d)
		b.tally.kept[keptPreview]++
		return keepIt
	}
	return b.act(s, raw, d, targets.Keep)
}

func previewOr(otherwise int, kept bool) int {
	if kept {
		return otherwise
	}
	return keptPreview
}

// act counts a decision, and carries it out.
func (b *spanBatch) act(s ptrace.Span, raw string, d consistent.Decision, targets bool) bool {
	if d.Keep {
		b.tally.kept[keptSampled]++
		b.write(s, raw, d)
		return keepIt
	}
	why := leftOutSampled
	if targets {
		why = leftOutBudget
	}
	b.tally.classes[b.at.class].leftOut[why]++
	return removeIt
}

func (b *spanBatch) write(s ptrace.Span, raw string, d consistent.Decision) {
	if !d.Changed {
		return
	}
	s.TraceState().FromRaw(b.reader.Write(raw, d.Threshold))
	if lost := b.reader.Lost(); lost != b.lost {
		b.lost = lost
		b.tally.irregular[irregularTrimmed]++
	}
}

// measure counts a span for the budgets of its resource.
func (b *spanBatch) measure(kept, preview bool) {
	b.tally.measure(b.at.enforced, kept)
	b.tally.measure(b.at.preview, preview)
}

// certain counts a span that is kept without chance.
func (b *spanBatch) certain() {
	b.measure(true, true)
	b.tally.certain(b.at.enforced)
	b.tally.certain(b.at.preview)
}

// leveled is the threshold of the key at hand under a budget.
func (b *spanBatch) leveled(l *leveled, budget int) sampling.Threshold {
	if l.budget != budget {
		l.budget, l.threshold = budget, b.t.atLevel(b.rate.ours, b.tally.level(budget, b.rules))
	}
	return l.threshold
}

// find finds the key of a span.
func (b *spanBatch) find(s ptrace.Span) {
	p := b.t.plan
	id, missing := b.at.id, b.at.missing
	if !p.onlyResource() {
		sum, none := p.span(s)
		id, missing = id+sum, missing || none
		if len(p.ofTraceState) > 0 {
			sum, none = p.traceState(s.TraceState().AsRaw(), &b.states)
			id, missing = id+sum, missing || none
		}
	}
	if missing {
		b.tally.irregular[irregularNoKey]++
	}
	if b.rate != nil && b.rate.id == id {
		return
	}
	i, known := b.byID[id]
	if !known {
		i = b.add(id, s)
	}
	b.rate = &b.rates[i]
}

// add remembers a key for the batch.
func (b *spanBatch) add(id uint64, s ptrace.Span) int32 {
	key := b.t.rates.Find(id)
	if key == nil {
		key = b.t.rates.Add(id, b.at.service, b.t.plan.label(b.at.attributes, s))
	}
	i := int32(len(b.rates)) //nolint:gosec // no more than there are spans
	ours := key.Threshold()
	b.rates = append(b.rates, spanRate{
		key: key, id: id, ours: ours, enforced: leveled{-1, ours}, preview: leveled{-1, ours},
	})
	b.byID[id] = i
	return i
}

// condition says which condition keeps a span, if one does.
func (b *spanBatch) condition(s ptrace.Span) (why int, kept bool) {
	p := b.t.keep
	slow, long := false, false
	if p.needsTime() {
		slow, long = b.latency(s)
	}
	switch {
	case p.keepsStatus(s):
		return keptStatus, true
	case long:
		return keptLatency, true
	case slow:
		return keptQuantile, true
	case b.at.kept || p.keepsSpan(s):
		return keptAttribute, true
	}
	return keptSampled, false
}

// latency says whether a span took longer than the quantile of its key, and than
// the limit.
func (b *spanBatch) latency(s ptrace.Span) (slow, long bool) {
	d, odd := duration(s)
	if odd != "" {
		i := irregularNoTime
		if odd == reasonTimeBackwards {
			i = irregularBackwards
		}
		b.tally.irregular[i]++
		return false, false
	}
	p := b.t.keep
	if p.quantile > 0 {
		slow = b.rate.key.Slow(d)
		b.rate.key.Took(d)
	}
	return slow, p.over > 0 && d > p.over
}

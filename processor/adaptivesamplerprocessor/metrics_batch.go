package adaptivesamplerprocessor

import (
	"context"
	"sync"

	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
)

// metricsBatch is what one batch did. It is kept until the next component has
// answered, because what that refuses was not sent.
type metricsBatch struct {
	set   *metricRules
	notes deadband.Batch

	in, out       int
	fates         [fates]int // of what goes on
	odd           [oddities]int
	tallies       []ruleTally // by rule
	spent         []spending
	contributions []contribution
}

// ruleTally counts the points that a rule matches in a batch.
type ruleTally struct {
	in, kept, notSampled int
	left                 [deadband.LeftOut]int // by deadband.Reason
}

// spending is what of a batch belongs to a budget, in its unit.
type spending struct {
	budget  *metricBudget
	in, out int
}

func (b *metricsBatch) begin(set *metricRules) {
	b.set = set
	if cap(b.tallies) < len(set.rules) {
		b.tallies = make([]ruleTally, len(set.rules))
	}
	b.tallies = b.tallies[:len(set.rules)]
}

func (b *metricsBatch) spend(budget *metricBudget, in, out int) {
	for i := range b.spent {
		if s := &b.spent[i]; s.budget == budget {
			s.in += in
			s.out += out
			return
		}
	}
	b.spent = append(b.spent, spending{budget, in, out})
}

// count adds what the batch did to telemetry.
func (b *metricsBatch) count(ctx context.Context, c *metricCounters) {
	c.received.add(ctx, b.in)
	for f, n := range &b.fates {
		if n > 0 {
			c.kept[f].add(ctx, n)
		}
	}
	for o, n := range b.odd {
		if n > 0 {
			c.odd[o].add(ctx, n)
		}
	}
	for i := range b.tallies {
		t := &b.tallies[i]
		if t.in == 0 || b.set.rules[i].preview {
			continue
		}
		name := b.set.rules[i].name
		if t.notSampled > 0 {
			c.tel.leftOut(fateReasons[fateNotSampled], name).add(ctx, t.notSampled)
		}
		for r, n := range t.left {
			if n > 0 {
				c.tel.leftOut(c.left[r], name).add(ctx, n)
			}
		}
	}
}

// taken counts what went on.
func (b *metricsBatch) taken() {
	for i := range b.tallies {
		if t := &b.tallies[i]; t.in > 0 {
			b.set.rules[i].counts.in.Add(uint64(t.in))
			b.set.rules[i].counts.kept.Add(uint64(t.kept)) //nolint:gosec // a count
		}
	}
	for _, s := range b.spent {
		s.budget.in.Add(uint64(s.in))   //nolint:gosec // a count
		s.budget.out.Add(uint64(s.out)) //nolint:gosec // a count
	}
	for from := 0; from < len(b.contributions); {
		to := from
		for to < len(b.contributions) && b.contributions[to].to == b.contributions[from].to {
			to++
		}
		b.contributions[from].to.add(b.contributions[from:to])
		from = to
	}
}

// maxContributions bounds what a batch keeps for the next one.
const maxContributions = 1 << 14

func (b *metricsBatch) reset() {
	clear(b.tallies)
	clear(b.spent)
	clear(b.contributions)
	if cap(b.contributions) > maxContributions {
		b.contributions = nil
	}
	b.notes.Reset()
	b.set, b.in, b.out, b.fates, b.odd = nil, 0, 0, [fates]int{}, [oddities]int{}
	b.spent, b.contributions = b.spent[:0], b.contributions[:0]
}

// metricCounters are made once, so that a batch adds to them without making
// attributes.
type metricCounters struct {
	tel      *telemetry
	received counter
	refused  counter
	kept     [fates]counter
	left     [deadband.LeftOut]reason
	odd      [oddities]counter
}

func newMetricCounters(t *telemetry) *metricCounters {
	c := &metricCounters{tel: t, received: t.received(), refused: t.refused()}
	for _, r := range deadband.Reasons() {
		if r.Passes() {
			c.kept[r] = t.kept(reason(r.String()))
		} else {
			c.left[r] = reason(r.String())
		}
	}
	for f := fatePassed; f < fateNotSampled; f++ {
		c.kept[f] = t.kept(fateReasons[f])
	}
	for o := range c.odd {
		c.odd[o] = t.irregular(oddReasons[o])
	}
	return c
}

// idle keeps what nobody uses now. A sync.Pool would lose it, and with it what it
// remembers.
type idle[T any] struct {
	mu    sync.Mutex
	list  []T
	limit int
	make  func() T
}

func (p *idle[T]) get() T {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.list)
	if n == 0 {
		return p.make()
	}
	x := p.list[n-1]
	p.list = p.list[:n-1]
	return x
}

func (p *idle[T]) put(x T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) < p.limit {
		p.list = append(p.list, x)
	}
}

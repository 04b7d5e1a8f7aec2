package abrouterconnector

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// breakerSlots divide the window of a breaker: what it remembers is between nine
// and ten tenths of a window.
const breakerSlots = 10

// breaker counts the batches of a candidate over a sliding window.
type breaker struct {
	mu     sync.Mutex
	origin time.Time // of slots; with it, a clock that is set changes nothing
	slots  [breakerSlots]struct{ batches, failed int }
	at     int64 // the newest slot
	// inARow are the failures since a batch was taken, failing since when the first
	// of them was under way.
	inARow  int
	failing time.Time
}

// judge counts a batch that was given to the candidate at began and says why it
// is to be closed; empty: it is not. Too many of the batches of a window fail, or
// it took none for as long: where there are few batches, or each takes long to
// fail, there are never many in a window.
func (b *breaker) judge(began, now time.Time, cfg *BreakerConfig, ratio float64, fails bool) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	batches, failed := b.count(now, cfg.Window, fails)
	if !fails {
		b.inARow = 0
		return ""
	}
	if b.inARow == 0 {
		b.failing = began
	}
	b.inARow++
	switch {
	case batches >= cfg.MinBatches && float64(failed) > ratio*float64(batches):
		return fmt.Sprintf("%d of %d batches of the last %s failed, at most %.3g %% may", failed, batches, cfg.Window, 100*ratio)
	case b.inARow > 1 && now.Sub(b.failing) >= cfg.Window:
		return fmt.Sprintf("it took none of %d batches for %s", b.inARow, cfg.Window)
	}
	return ""
}

// count adds a batch and counts those of the window.
func (b *breaker) count(now time.Time, window time.Duration, fails bool) (batches, failed int) {
	if b.origin.IsZero() {
		b.origin = now
	}
	at := int64(now.Sub(b.origin)) / (int64(window) / breakerSlots)
	switch {
	case at < b.at: // of a batch that was overtaken
		at = b.at
	case at-b.at >= breakerSlots:
		clear(b.slots[:])
	default:
		for i := b.at + 1; i <= at; i++ {
			b.slots[i%breakerSlots].batches, b.slots[i%breakerSlots].failed = 0, 0
		}
	}
	b.at = at
	slot := &b.slots[at%breakerSlots]
	if slot.batches++; fails {
		slot.failed++
	}
	for _, s := range b.slots {
		batches += s.batches
		failed += s.failed
	}
	return batches, failed
}

// candidateGave notes what became of a batch that the candidate was given, or
// should have been. It takes the weight away if too many fail.
func (r *router) candidateGave(ctx context.Context, rt *route, began time.Time, fails bool) {
	ratio := rt.MaxErrorRatio
	if ratio <= 0 {
		ratio = r.config.Breaker.MaxErrorRatio
	}
	r.close(ctx, rt, rt.state.breaker.judge(began, r.now(), &r.config.Breaker, ratio, fails))
}

// close takes the candidate's weight away, if there is a reason to.
func (r *router) close(ctx context.Context, rt *route, why string) {
	if why != "" && rt.state.breach.CompareAndSwap(nil, &why) {
		r.breached(ctx, rt, why)
	}
}

// overdueAfter is how long after its time was over a call may still take.
const overdueAfter = time.Second

// calls are those of the candidate that have not returned. Who heeds no context
// holds up its caller for ever, but no more than those who are under way.
type calls struct {
	mu   sync.Mutex
	open map[*call]struct{}
}

type call struct {
	began  time.Time
	routes []*route
}

func (c *calls) begin(began time.Time, routes []*route) *call {
	one := &call{began, routes}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*call]struct{}{}
	}
	c.open[one] = struct{}{}
	return one
}

func (c *calls) end(one *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, one)
}

// overdue returns the experiments of calls that should have returned long ago.
func (c *calls) overdue(now time.Time, timeout time.Duration) (routes []*route) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for one := range c.open {
		if now.Sub(one.began) >= timeout+overdueAfter {
			routes = append(routes, one.routes...)
		}
	}
	return routes
}

// closeOverdue takes the weight of candidates away that do not return.
func (r *router) closeOverdue(ctx context.Context) {
	timeout := r.config.CandidateTimeout
	if timeout <= 0 {
		return
	}
	for _, rt := range r.calls.overdue(r.now(), timeout) {
		r.close(ctx, rt, fmt.Sprintf("it has not returned from a batch for %s", timeout+overdueAfter))
	}
}

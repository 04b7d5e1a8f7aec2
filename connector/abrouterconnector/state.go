package abrouterconnector

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// routeState is what lasts of a route from view to view: one for each epoch.
type routeState struct {
	experiment string
	epoch      uint64
	since      time.Time
	assigned   atomic.Pointer[assignment]
	// breach says why the router took the candidate's weight away.
	breach  atomic.Pointer[string]
	breaker breaker
	counts  [sides]counts
}

// counts are what one arm of one experiment got.
type counts struct {
	points, batches, refused, failed, dropped, retried, failedBatches atomic.Uint64
	nanos                                                             atomic.Int64
}

// outcome is what became of a batch at an arm.
type outcome uint8

const (
	outcomeTaken outcome = iota
	outcomeRefused
	outcomeFailed
)

// record counts a batch that an arm was given.
func (c *counts) record(points int, took time.Duration, what outcome) {
	n := uint64(points) //nolint:gosec // counts of points are not negative
	c.points.Add(n)
	c.batches.Add(1)
	c.nanos.Add(int64(took))
	switch what {
	case outcomeTaken:
		return
	case outcomeRefused:
		c.refused.Add(n)
	case outcomeFailed:
		c.failed.Add(n)
	}
	c.failedBatches.Add(1)
}

// breakerSlots divide the window of a breaker: what it remembers is between nine
// and ten tenths of a window.
const breakerSlots = 10

// breaker counts the batches of a candidate over a sliding window.
type breaker struct {
	mu    sync.Mutex
	slots [breakerSlots]struct{ batches, failed int }
	at    int64 // the slot of the newest, counted from the beginning of time
}

// judge counts a batch and says why the candidate is to be closed; empty: it is
// not.
func (b *breaker) judge(now time.Time, cfg *BreakerConfig, ratio float64, fails bool) string {
	width := int64(cfg.Window) / breakerSlots
	at := now.UnixNano() / width
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case at < b.at: // the clock was set back
		at = b.at
	case at-b.at >= breakerSlots:
		b.slots = [breakerSlots]struct{ batches, failed int }{}
	default:
		for i := b.at + 1; i <= at; i++ {
			b.slots[i%breakerSlots] = struct{ batches, failed int }{}
		}
	}
	b.at = at
	b.slots[at%breakerSlots].batches++
	if fails {
		b.slots[at%breakerSlots].failed++
	}
	batches, failed := 0, 0
	for _, s := range b.slots {
		batches += s.batches
		failed += s.failed
	}
	if !fails || batches < cfg.MinBatches || float64(failed) <= ratio*float64(batches) {
		return ""
	}
	return fmt.Sprintf("%d of %d batches of the last %s failed, at most %.3g %% may", failed, batches, cfg.Window, 100*ratio)
}

// candidateGave notes what became of a batch that the candidate was given, or
// should have been. It takes the weight away if too many fail.
func (r *router) candidateGave(ctx context.Context, rt *route, now time.Time, fails bool) {
	ratio := rt.MaxErrorRatio
	if ratio <= 0 {
		ratio = r.config.Breaker.MaxErrorRatio
	}
	why := rt.state.breaker.judge(now, &r.config.Breaker, ratio, fails)
	if why != "" && rt.state.breach.CompareAndSwap(nil, &why) {
		r.breached(ctx, rt, why)
	}
}

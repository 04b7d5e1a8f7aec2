package tap

import (
	"context"
	"maps"
	"sync"

	"github.com/phoenix-platform/phoenix/control/report"
)

// Subscription is a bounded queue of what one consumer wants. All methods may
// be called by many goroutines.
type Subscription struct {
	hub       *Hub
	selection Selection
	metrics   map[string]struct{} // empty: all
	news      chan struct{}       // holds one element if the queue was filled or closed

	mu     sync.Mutex
	closed bool
	queue  []report.TapBatch
	bytes  int64
	lost   Loss
}

// Loss says what a subscription missed.
type Loss struct {
	// Offers counts the lost offers, Points their data points.
	Offers, Points uint64
	// Metrics counts the lost offers that touch a metric. It has entries for
	// wanted metrics only, so it is bounded by what was asked for; a subscription
	// to every metric has at most maxLostMetrics, and the rest under "".
	Metrics map[string]uint64
}

// maxLostMetrics bounds the names of Loss of a subscription to every metric.
const maxLostMetrics = 10_000

func newSubscription(h *Hub, s Selection) *Subscription {
	sub := &Subscription{hub: h, selection: s, metrics: map[string]struct{}{}, news: make(chan struct{}, 1)}
	for _, name := range s.Metrics {
		sub.metrics[name] = struct{}{}
	}
	return sub
}

// put takes a batch into the queue. It returns false if there is no room.
func (s *Subscription) put(b report.TapBatch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.wants(b.Metrics) {
		return true
	}
	n := int64(len(b.OTLP))
	if s.bytes+n > s.selection.MaxBytes {
		s.lose(b)
		return false
	}
	s.queue = append(s.queue, b)
	s.bytes += n
	s.hub.queued.Add(n)
	s.wake()
	return true
}

func (s *Subscription) wants(names []string) bool {
	if len(s.metrics) == 0 {
		return true
	}
	for _, name := range names {
		if _, wanted := s.metrics[name]; wanted {
			return true
		}
	}
	return false
}

func (s *Subscription) lose(b report.TapBatch) {
	s.lost.Offers++
	s.lost.Points += uint64(max(0, b.Points))
	if s.lost.Metrics == nil {
		s.lost.Metrics = map[string]uint64{}
	}
	for _, name := range b.Metrics {
		if _, wanted := s.metrics[name]; !wanted && len(s.metrics) > 0 {
			continue
		}
		if _, known := s.lost.Metrics[name]; !known && len(s.metrics) == 0 && len(s.lost.Metrics) >= maxLostMetrics {
			name = ""
		}
		s.lost.Metrics[name]++
	}
}

func (s *Subscription) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// Next returns the batches that wait, the oldest first, and waits for one if
// there is none. A batch may hold metrics that others want beside those that
// this subscription does. The error is that of the context, or ErrClosed.
func (s *Subscription) Next(ctx context.Context) ([]report.TapBatch, error) {
	for {
		batches, closed := s.drain()
		switch {
		case len(batches) > 0:
			return batches, nil
		case closed:
			s.wake() // others wait, too
			return nil, ErrClosed
		}
		select {
		case <-s.news:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *Subscription) drain() (batches []report.TapBatch, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batches = s.queue
	s.hub.queued.Add(-s.bytes)
	s.queue, s.bytes = nil, 0
	return batches, s.closed
}

// Lost says what was missed since the subscription began. The caller owns it.
func (s *Subscription) Lost() Loss {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lost
	l.Metrics = maps.Clone(l.Metrics)
	return l
}

// Close ends the subscription and lets go of what waits. It may be called twice.
func (s *Subscription) Close() {
	s.hub.forget(s) // first: nothing is offered any more
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_, _ = s.drain()
	s.wake()
}

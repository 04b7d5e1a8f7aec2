package tap

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/phoenix-platform/phoenix/control/report"
)

// Defaults of Settings and Selection.
const (
	DefaultMaxBytes          = 256 << 20
	DefaultSubscriptionBytes = 16 << 20
)

// Errors of Want.
var (
	// ErrFull says that the queues of all subscriptions together would be larger
	// than Settings.MaxBytes.
	ErrFull = errors.New("no room for another subscription to the tap")
	// ErrClosed says that the hub is closed.
	ErrClosed = errors.New("the tap is closed")
)

// Settings are the bounds of a Hub. What is 0 takes its default.
type Settings struct {
	// MaxBytes bounds the queues of all subscriptions together. Default: 256 MiB.
	MaxBytes int64
	// Observer is told what happens. Default: nobody.
	Observer Observer
}

// Observer counts. Its methods are called on the data path, by many goroutines,
// and must not wait.
type Observer interface {
	// TapOffered is called for each offer, with its bytes, and TapLost for each
	// subscription that had no room for it.
	TapOffered(point string, bytes int)
	TapLost(point string, bytes int)
}

// Hub hands what measuring points offer to those who want it. All methods may
// be called by many goroutines.
type Hub struct {
	settings Settings
	queued   atomic.Int64

	mu       sync.Mutex
	closed   bool
	reserved int64
	taps     map[string]*pointTap
	subs     map[*Subscription]struct{}
}

var _ report.TapSource = (*Hub)(nil)

// New returns a hub that nobody looks at.
func New(s Settings) *Hub {
	if s.MaxBytes <= 0 {
		s.MaxBytes = DefaultMaxBytes
	}
	return &Hub{settings: s, taps: map[string]*pointTap{}, subs: map[*Subscription]struct{}{}}
}

// Tap implements report.TapSource. The tap of a point is always the same one.
func (h *Hub) Tap(point string) report.Tap {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tap(point)
}

func (h *Hub) tap(point string) *pointTap {
	t := h.taps[point]
	if t == nil {
		t = &pointTap{hub: h, point: point}
		h.taps[point] = t
	}
	return t
}

// Selection says what a subscription wants.
type Selection struct {
	// Point is the measuring point.
	Point string
	// Metrics are exact OTLP names. None: every metric.
	Metrics []string
	// MaxBytes bounds the queue, in bytes of OTLP. Default: 16 MiB.
	MaxBytes int64
}

// Want begins a subscription, which the caller closes. A point that nobody
// registered yet is no error: what it offers later is delivered. The error wraps
// ErrFull or ErrClosed.
func (h *Hub) Want(s Selection) (*Subscription, error) {
	if s.MaxBytes <= 0 {
		s.MaxBytes = DefaultSubscriptionBytes
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	if h.reserved+s.MaxBytes > h.settings.MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes wanted, %d of %d are free", ErrFull, s.MaxBytes, h.settings.MaxBytes-h.reserved, h.settings.MaxBytes)
	}
	sub := newSubscription(h, s)
	h.subs[sub] = struct{}{}
	h.reserved += s.MaxBytes
	h.tap(s.Point).choose(h.subs)
	return sub, nil
}

// forget ends a subscription.
func (h *Hub) forget(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.subs[s]; !there {
		return
	}
	delete(h.subs, s)
	h.reserved -= s.selection.MaxBytes
	h.tap(s.selection.Point).choose(h.subs)
}

// Close ends all subscriptions; nothing is wanted any more.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	subs := slices.Collect(maps.Keys(h.subs))
	h.mu.Unlock()
	for _, s := range subs {
		s.Close()
	}
}

// Stats are the sizes of a hub.
type Stats struct {
	// Subscriptions is how many there are, QueuedBytes what waits in their queues:
	// a batch that waits in two counts twice.
	Subscriptions int
	QueuedBytes   int64
}

// Stats counts.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{Subscriptions: len(h.subs), QueuedBytes: h.queued.Load()}
}

// pointTap is the tap of one measuring point.
type pointTap struct {
	hub     *Hub
	point   string
	choices atomic.Pointer[choices] // nil: nothing is wanted
}

var _ report.Tap = (*pointTap)(nil)

// choices are what is wanted at a point. They are not written to once they are
// published.
type choices struct {
	all     bool // by at least one
	metrics map[string]struct{}
	subs    []*Subscription
}

// choose publishes what is wanted. The hub's lock is held.
func (t *pointTap) choose(subs map[*Subscription]struct{}) {
	c := &choices{metrics: map[string]struct{}{}}
	for s := range subs {
		if s.selection.Point != t.point {
			continue
		}
		c.subs = append(c.subs, s)
		c.all = c.all || len(s.metrics) == 0
		maps.Copy(c.metrics, s.metrics)
	}
	if len(c.subs) == 0 {
		c = nil
	}
	t.choices.Store(c)
}

// Wants implements report.Tap.
func (t *pointTap) Wants(metric string) bool {
	c := t.choices.Load()
	if c == nil {
		return false
	}
	if c.all || metric == "" {
		return true
	}
	_, wanted := c.metrics[metric]
	return wanted
}

// Offer implements report.Tap.
func (t *pointTap) Offer(b report.TapBatch) bool {
	c := t.choices.Load()
	if c == nil {
		return true // nobody misses it
	}
	observer := t.hub.settings.Observer
	if observer != nil {
		observer.TapOffered(t.point, len(b.OTLP))
	}
	taken := true
	for _, s := range c.subs {
		if s.put(b) {
			continue
		}
		taken = false
		if observer != nil {
			observer.TapLost(t.point, len(b.OTLP))
		}
	}
	return taken
}

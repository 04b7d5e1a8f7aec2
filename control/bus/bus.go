// Package bus carries events from whoever makes them to whoever watches. It
// keeps the last ones, so that a watcher who was away goes on where it left.
package bus

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Event is something that happened.
type Event struct {
	// ID rises by one with each event of this process. It begins at the time of
	// the first event in microseconds, so that it rises over restarts too. Publish
	// sets it, and Time if that is zero.
	ID   uint64
	Time time.Time
	// Type is such as policy.enforced.
	Type string
	// Namespace is that of the resource, empty if it has none and concerns those
	// who see all.
	Namespace string
	// Resource is such as policies/shop/drop-pod, Message a sentence.
	Resource, Message string
	// Principal is who did it, empty if it came by itself.
	Principal string
	// Detail is what else matters. It is not written to after Publish.
	Detail map[string]string
}

// ErrSlow ends a subscription that did not keep up. Subscribe again after the
// last event that came.
var ErrSlow = errors.New("the watcher did not keep up")

// Bounds of a Memory.
const (
	kept     = 1024 // events remembered for those who come back
	waiting  = 256  // events that wait for one watcher
	watchers = 1024 // at once
)

// ErrTooMany is returned while too many watch.
var ErrTooMany = errors.New("too many watchers")

// Memory is the bus of one process. Publish never waits. The zero value is ready.
type Memory struct {
	mu     sync.Mutex
	last   uint64  // the ID of the last event, or the one before the first
	recent []Event // the newest last
	subs   map[*Subscription]struct{}
	// published counts the events of this process.
	published uint64
}

// Subscription receives events until it is closed.
type Subscription struct {
	bus    *Memory
	events chan Event
	slow   bool
	// Missed says that events between the one asked for and the first one that
	// comes are forgotten, or are those of an earlier process.
	Missed bool
	// Before is the ID before that of the first event that comes.
	Before uint64
}

// begin chooses where IDs begin.
func (m *Memory) begin() {
	if m.last == 0 {
		m.last = uint64(max(1, time.Now().UnixMicro()))
	}
}

// Publish tells all watchers. It returns the event with its ID and time.
func (m *Memory) Publish(e Event) Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begin()
	m.last++
	m.published++
	e.ID = m.last
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if len(m.recent) == kept {
		m.recent = append(m.recent[:0], m.recent[1:]...)
	}
	m.recent = append(m.recent, e)
	for s := range m.subs {
		select {
		case s.events <- e:
		default:
			s.slow = true
			m.drop(s)
		}
	}
	return e
}

// Subscribe watches from now on, or goes on after an event of this process.
func (m *Memory) Subscribe(after *uint64) (*Subscription, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.subs) >= watchers {
		return nil, ErrTooMany
	}
	m.begin()
	var past []Event
	if after != nil {
		first := slices.IndexFunc(m.recent, func(e Event) bool { return e.ID > *after })
		if first >= 0 {
			past = m.recent[first:]
		}
	}
	s := &Subscription{bus: m, Before: m.last - uint64(len(past))}
	s.Missed = after != nil && *after != s.Before
	s.events = make(chan Event, waiting+len(past))
	for _, e := range past {
		s.events <- e
	}
	if m.subs == nil {
		m.subs = map[*Subscription]struct{}{}
	}
	m.subs[s] = struct{}{}
	return s, nil
}

// drop ends a subscription; what waits can still be read.
func (m *Memory) drop(s *Subscription) {
	if _, there := m.subs[s]; there {
		delete(m.subs, s)
		close(s.events)
	}
}

// Next returns the next event. It fails with ErrSlow if events were left out,
// with the error of ctx if that ends, and with context.Canceled after Close.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	select {
	case e, open := <-s.events:
		if open {
			return e, nil
		}
		s.bus.mu.Lock()
		defer s.bus.mu.Unlock()
		if s.slow {
			return Event{}, ErrSlow
		}
		return Event{}, context.Canceled
	case <-ctx.Done():
		return Event{}, context.Cause(ctx)
	}
}

// Close ends the subscription. It may be called twice.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.bus.drop(s)
}

// Watchers counts the subscriptions.
func (m *Memory) Watchers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.subs)
}

// Published counts the events.
func (m *Memory) Published() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.published
}

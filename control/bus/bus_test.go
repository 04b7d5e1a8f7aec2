package bus_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phoenix-platform/phoenix/control/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// types reads n events.
func types(t *testing.T, s *bus.Subscription, n int) []string {
	t.Helper()
	var list []string
	for range n {
		e, err := s.Next(t.Context())
		require.NoError(t, err)
		list = append(list, e.Type)
	}
	return list
}

func subscribe(t *testing.T, m *bus.Memory, after *uint64) *bus.Subscription {
	t.Helper()
	s, err := m.Subscribe(after)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func TestWatchersGetWhatIsPublishedFromThenOn(t *testing.T) {
	var m bus.Memory
	m.Publish(bus.Event{Type: "early"})
	s := subscribe(t, &m, nil)
	first := m.Publish(bus.Event{Type: "a"})
	second := m.Publish(bus.Event{Type: "b", Time: time.Unix(7, 0)})
	assert.Equal(t, []string{"a", "b"}, types(t, s, 2))
	assert.False(t, s.Missed)
	assert.Equal(t, first.ID-1, s.Before)
	assert.Equal(t, first.ID+1, second.ID)
	assert.WithinDuration(t, time.Now(), first.Time, time.Minute)
	assert.Equal(t, time.Unix(7, 0), second.Time)
	assert.Equal(t, uint64(3), m.Published())
}

func TestWhoWasAwayGoesOnWhereItLeft(t *testing.T) {
	var m bus.Memory
	seen := m.Publish(bus.Event{Type: "a"}).ID
	m.Publish(bus.Event{Type: "b"})
	m.Publish(bus.Event{Type: "c"})
	s := subscribe(t, &m, &seen)
	assert.False(t, s.Missed)
	m.Publish(bus.Event{Type: "d"})
	assert.Equal(t, []string{"b", "c", "d"}, types(t, s, 3))

	last := m.Publish(bus.Event{Type: "e"}).ID
	atTheEnd := subscribe(t, &m, &last)
	assert.False(t, atTheEnd.Missed)
	assert.Equal(t, last, atTheEnd.Before)
}

func TestForgottenEventsAreMissed(t *testing.T) {
	var m bus.Memory
	first := m.Publish(bus.Event{Type: "first"}).ID
	for range 1024 {
		m.Publish(bus.Event{Type: "later"})
	}
	all := subscribe(t, &m, &first)
	assert.False(t, all.Missed, "the 1024 after it are remembered")
	m.Publish(bus.Event{Type: "one too many"})
	s := subscribe(t, &m, &first)
	assert.True(t, s.Missed)
	assert.Equal(t, first+1, s.Before)
	e, err := s.Next(t.Context())
	require.NoError(t, err)
	assert.Equal(t, first+2, e.ID)
}

func TestEventsOfAnotherProcessAreMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var before bus.Memory
		id := before.Publish(bus.Event{}).ID
		time.Sleep(time.Second) // a restart takes longer than a microsecond an event
		var now bus.Memory
		s, err := now.Subscribe(&id)
		require.NoError(t, err)
		assert.True(t, s.Missed, "nothing has happened yet, but it is not known what happened before")
		first := now.Publish(bus.Event{}).ID
		assert.Greater(t, first, id)
		s, err = now.Subscribe(&id)
		require.NoError(t, err)
		assert.True(t, s.Missed)
		assert.Equal(t, first-1, s.Before)

		future := first + 1_000_000
		s, err = now.Subscribe(&future)
		require.NoError(t, err)
		assert.True(t, s.Missed, "a clock that was set back")
	})
}

func TestASlowWatcherIsEndedAndLosesNothing(t *testing.T) {
	var m bus.Memory
	slow, quick := subscribe(t, &m, nil), subscribe(t, &m, nil)
	for range 257 {
		m.Publish(bus.Event{})
		_, err := quick.Next(t.Context())
		require.NoError(t, err)
	}
	assert.Equal(t, 1, m.Watchers())
	var last uint64
	for range 256 {
		e, err := slow.Next(t.Context())
		require.NoError(t, err)
		last = e.ID
	}
	_, err := slow.Next(t.Context())
	require.ErrorIs(t, err, bus.ErrSlow)
	again := subscribe(t, &m, &last)
	assert.False(t, again.Missed)
	e, err := again.Next(t.Context())
	require.NoError(t, err)
	assert.Equal(t, last+1, e.ID)
}

func TestNextEndsWithItsContextAndAfterClose(t *testing.T) {
	var m bus.Memory
	s := subscribe(t, &m, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(assert.AnError)
	_, err := s.Next(ctx)
	require.ErrorIs(t, err, assert.AnError)
	s.Close()
	s.Close()
	_, err = s.Next(t.Context())
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, m.Watchers())
}

func TestTooManyWatchersAreRefused(t *testing.T) {
	var m bus.Memory
	for range 1024 {
		subscribe(t, &m, nil)
	}
	_, err := m.Subscribe(nil)
	require.ErrorIs(t, err, bus.ErrTooMany)
}

// TestManyPublishAndWatchAtOnce: everybody who keeps up gets every event once
// and in order, whenever they come back.
func TestManyPublishAndWatchAtOnce(t *testing.T) {
	const publishers, each, watchers = 4, 200, 8
	var (
		m       bus.Memory
		all     sync.WaitGroup
		origin  = m.Publish(bus.Event{}).ID
		missing sync.Map
	)
	for w := range watchers {
		all.Go(func() {
			after := origin
			for after < origin+publishers*each {
				s, err := m.Subscribe(&after)
				if err != nil || s.Missed {
					missing.Store(w, err)
					return
				}
				for range 50 { // then come back
					e, err := s.Next(t.Context())
					if err != nil {
						break
					}
					if e.ID != after+1 {
						missing.Store(w, e.ID)
					}
					if after = e.ID; after == origin+publishers*each {
						break
					}
				}
				s.Close()
			}
		})
	}
	for range publishers {
		all.Go(func() {
			for range each {
				m.Publish(bus.Event{})
			}
		})
	}
	all.Wait()
	missing.Range(func(w, id any) bool {
		t.Errorf("watcher %v missed something: %v", w, id)
		return true
	})
	assert.Zero(t, m.Watchers())
}

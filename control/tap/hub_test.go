package tap

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/report"
)

// counts is an Observer.
type counts struct {
	mu   sync.Mutex
	seen []string
}

func (c *counts) TapOffered(point string, bytes int) { c.note("offered", point, bytes) }
func (c *counts) TapLost(point string, bytes int)    { c.note("lost", point, bytes) }

func (c *counts) note(what, point string, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, fmt.Sprintf("%s %s %d", what, point, bytes))
}

func batch(seq uint64, bytes int, metrics ...string) report.TapBatch {
	return report.TapBatch{Point: "ingest", Seq: seq, Metrics: metrics, OTLP: make([]byte, bytes), Points: bytes / 10}
}

func want(t *testing.T, h *Hub, s Selection) *Subscription {
	t.Helper()
	sub, err := h.Want(s)
	require.NoError(t, err)
	t.Cleanup(sub.Close)
	return sub
}

func numbers(t *testing.T, s *Subscription) (list []uint64) {
	t.Helper()
	batches, err := s.Next(t.Context())
	require.NoError(t, err)
	for _, b := range batches {
		list = append(list, b.Seq)
	}
	return list
}

func TestOnlyWhatIsWantedIsWanted(t *testing.T) {
	h := New(Settings{})
	ingest, other := h.Tap("ingest"), h.Tap("other")
	assert.Same(t, ingest, h.Tap("ingest"))
	assert.False(t, ingest.Wants(""), "nobody looks")
	a := want(t, h, Selection{Point: "ingest", Metrics: []string{"a", "b"}})
	f := func(tap report.Tap, metric string, wanted bool) {
		t.Helper()
		assert.Equal(t, wanted, tap.Wants(metric), metric)
	}
	f(ingest, "", true)
	f(ingest, "a", true)
	f(ingest, "c", false)
	f(other, "", false)
	f(other, "a", false)
	all := want(t, h, Selection{Point: "ingest"})
	f(ingest, "c", true)
	all.Close()
	f(ingest, "c", false)
	f(ingest, "b", true)
	a.Close()
	f(ingest, "", false)
	assert.True(t, ingest.Offer(batch(1, 10, "a")), "nobody misses it")
	assert.Zero(t, h.Stats())
}

func TestEachGetsItsOwn(t *testing.T) {
	h := New(Settings{})
	a := want(t, h, Selection{Point: "ingest", Metrics: []string{"a"}})
	b := want(t, h, Selection{Point: "ingest", Metrics: []string{"b"}})
	tap := h.Tap("ingest")
	require.True(t, tap.Offer(batch(1, 10, "a")))
	require.True(t, tap.Offer(batch(2, 10, "b")))
	require.True(t, tap.Offer(batch(3, 10, "a", "b")))
	require.Equal(t, Stats{Subscriptions: 2, QueuedBytes: 40}, h.Stats())
	require.Equal(t, []uint64{1, 3}, numbers(t, a))
	require.Equal(t, []uint64{2, 3}, numbers(t, b))
	require.Equal(t, Stats{Subscriptions: 2}, h.Stats())
	require.Zero(t, a.Lost())
}

func TestWhatHasNoRoomIsLostAndSaid(t *testing.T) {
	seen := &counts{}
	h := New(Settings{Observer: seen})
	small := want(t, h, Selection{Point: "ingest", Metrics: []string{"a", "b"}, MaxBytes: 100})
	large := want(t, h, Selection{Point: "ingest", MaxBytes: 1000})
	tap := h.Tap("ingest")
	require.True(t, tap.Offer(batch(1, 60, "a")))
	require.False(t, tap.Offer(batch(2, 60, "a", "b", "c")), "the small one has no room")
	require.True(t, tap.Offer(batch(3, 40, "b")), "a smaller one fits")
	require.False(t, tap.Offer(batch(4, 1, "a")))
	require.Equal(t, Loss{Offers: 2, Points: 6, Metrics: map[string]uint64{"a": 2, "b": 1}}, small.Lost())
	require.Zero(t, large.Lost())
	require.Equal(t, []uint64{1, 3}, numbers(t, small))
	require.Equal(t, []uint64{1, 2, 3, 4}, numbers(t, large))
	require.True(t, tap.Offer(batch(5, 100, "a")), "there is room again")
	require.Equal(t, []string{
		"offered ingest 60", "offered ingest 60", "lost ingest 60", "offered ingest 40", "offered ingest 1", "lost ingest 1", "offered ingest 100",
	}, seen.seen)
}

func TestLossOfASubscriptionToAllIsBounded(t *testing.T) {
	h := New(Settings{})
	s := want(t, h, Selection{Point: "ingest", MaxBytes: 1})
	for i := range maxLostMetrics + 5 {
		require.False(t, h.Tap("ingest").Offer(batch(uint64(i), 2, strconv.Itoa(i))))
	}
	lost := s.Lost()
	require.Len(t, lost.Metrics, maxLostMetrics+1)
	require.Equal(t, uint64(5), lost.Metrics[""])
}

func TestQueuesTogetherAreBounded(t *testing.T) {
	h := New(Settings{MaxBytes: 100})
	a, err := h.Want(Selection{Point: "ingest", MaxBytes: 60})
	require.NoError(t, err)
	_, err = h.Want(Selection{Point: "other", MaxBytes: 60})
	require.ErrorIs(t, err, ErrFull)
	require.EqualError(t, err, "no room for another subscription to the tap: 60 bytes wanted, 40 of 100 are free")
	a.Close()
	a.Close()
	b, err := h.Want(Selection{Point: "other", MaxBytes: 60})
	require.NoError(t, err)
	h.Close()
	_, err = b.Next(t.Context())
	require.ErrorIs(t, err, ErrClosed)
	_, err = h.Want(Selection{Point: "other"})
	require.ErrorIs(t, err, ErrClosed)
}

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Settings{})
		s, err := h.Want(Selection{Point: "ingest"})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var got atomic.Int64
		var errs atomic.Int64
		for range 3 {
			go func() {
				batches, err := s.Next(ctx)
				got.Add(int64(len(batches)))
				if err != nil {
					errs.Add(1)
				}
			}()
		}
		synctest.Wait()
		require.Zero(t, got.Load())
		h.Tap("ingest").Offer(batch(1, 10, "a"))
		synctest.Wait()
		require.EqualValues(t, 1, got.Load())
		s.Close() // wakes everybody
		synctest.Wait()
		require.EqualValues(t, 2, errs.Load())
		cancel()
	})
}

func TestNextEndsWithItsContext(t *testing.T) {
	s := want(t, New(Settings{}), Selection{Point: "ingest"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// Every offer of many senders is delivered or counted as lost, while
// subscriptions come and go.
func TestNothingIsLostUnsaid(t *testing.T) {
	h := New(Settings{})
	s := want(t, h, Selection{Point: "ingest", MaxBytes: 500})
	const senders, offers = 4, 2000
	var refused, delivered atomic.Uint64
	var sending, others sync.WaitGroup
	done := make(chan struct{})
	others.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if sub, err := h.Want(Selection{Point: "ingest", Metrics: []string{"never"}}); err == nil {
					sub.Close()
				}
			}
		}
	})
	others.Go(func() {
		for {
			batches, err := s.Next(t.Context())
			if err != nil {
				return
			}
			delivered.Add(uint64(len(batches)))
		}
	})
	for range senders {
		sending.Go(func() {
			for i := range offers {
				if !h.Tap("ingest").Offer(batch(uint64(i), 10, "a")) {
					refused.Add(1)
				}
			}
		})
	}
	sending.Wait()
	close(done)
	lost := s.Lost().Offers
	require.Equal(t, refused.Load(), lost)
	require.Eventually(t, func() bool { return delivered.Load()+lost == senders*offers }, 10*time.Second, time.Millisecond)
	s.Close()
	others.Wait()
	require.Zero(t, h.Stats().QueuedBytes)
}

func BenchmarkWantsNothing(b *testing.B) {
	tap := New(Settings{}).Tap("ingest")
	for b.Loop() {
		_ = tap.Wants("")
	}
}

package admin_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/bus"
)

// wire is the client's end of a stream: what is sent waits until it is read.
type wire struct {
	grpc.ServerStream
	ctx    context.Context
	begun  chan struct{}
	events chan *phoenixv1.Event
	ended  chan error
	cancel context.CancelFunc
}

func (w *wire) Context() context.Context { return w.ctx }

func (w *wire) SendHeader(metadata.MD) error {
	close(w.begun)
	return nil
}

func (w *wire) Send(e *phoenixv1.Event) error {
	select {
	case w.events <- e:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// watch begins a stream and waits until it watches.
func (r *rig) watch(ctx context.Context, t *testing.T, req *phoenixv1.WatchEventsRequest) *wire {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	w := &wire{ctx: ctx, begun: make(chan struct{}), events: make(chan *phoenixv1.Event), ended: make(chan error, 1), cancel: cancel}
	go func() { w.ended <- r.Events.WatchEvents(req, w) }()
	t.Cleanup(func() {
		cancel()
		assert.Eventually(t, func() bool { return r.core.Events.Watchers() == 0 }, 10*time.Second, time.Millisecond)
	})
	select {
	case <-w.begun:
	case err := <-w.ended:
		w.ended <- err // for whoever asks
	}
	return w
}

func (w *wire) next(t *testing.T) *phoenixv1.Event {
	t.Helper()
	select {
	case e := <-w.events:
		return e
	case err := <-w.ended:
		require.FailNow(t, "the stream ended", "%v", err)
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no event came")
	}
	return nil
}

func (w *wire) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the stream goes on")
	}
	return nil
}

func TestAWatcherGetsWhatItMaySeeAndAskedFor(t *testing.T) {
	r := newRig(t, "")
	everything := r.watch(as(t, "viewer"), t, &phoenixv1.WatchEventsRequest{})
	shop := r.watch(as(t, "shop-operator"), t, &phoenixv1.WatchEventsRequest{})
	enforced := r.watch(as(t, "root"), t, &phoenixv1.WatchEventsRequest{Types: []string{"policy.e*", "kill*.engaged"}, Namespace: "bank"})
	for _, e := range []bus.Event{
		{Type: "policy.created", Namespace: "bank"},
		{Type: "policy.enforced", Namespace: "bank", Resource: "policies/bank/x", Message: "A sentence.", Principal: "local", Detail: map[string]string{"revision": "2"}},
		{Type: "killswitch.engaged"},
		{Type: "policy.enforced", Namespace: "shop"},
		{Type: "policy.enforced", Namespace: "bank"},
	} {
		r.core.Events.Publish(e)
	}
	var ids []string
	for range 5 {
		ids = append(ids, everything.next(t).GetId())
	}
	assert.IsIncreasing(t, ids)
	only := shop.next(t)
	assert.Equal(t, "policy.enforced", only.GetType())
	assert.Equal(t, ids[3], only.GetId())
	first := enforced.next(t)
	assert.Equal(t, ids[1], first.GetId())
	assert.Equal(t, "policies/bank/x", first.GetResource())
	assert.Equal(t, "A sentence.", first.GetMessage())
	assert.Equal(t, map[string]string{"revision": "2"}, first.GetDetail())
	assert.NotNil(t, first.GetTime())
	assert.Equal(t, ids[4], enforced.next(t).GetId())
}

func TestAWatcherGoesOnWhereItWas(t *testing.T) {
	r := newRig(t, "")
	first := r.core.Events.Publish(bus.Event{Type: "a"}).ID
	r.core.Events.Publish(bus.Event{Type: "b"})
	after := strconv.FormatUint(first, 10)
	assert.Equal(t, "b", r.watch(as(t, "root"), t, &phoenixv1.WatchEventsRequest{After: after}).next(t).GetType())
	byHeader := as(t, "root", func(c *call.Call) { c.LastEventID = after })
	assert.Equal(t, "b", r.watch(byHeader, t, &phoenixv1.WatchEventsRequest{}).next(t).GetType())

	// What is not remembered is said to be lost, whoever it concerned.
	w := r.watch(as(t, "shop-operator"), t, &phoenixv1.WatchEventsRequest{After: "1", Types: []string{"c"}})
	gone := w.next(t)
	assert.Equal(t, "events.lost", gone.GetType())
	assert.Equal(t, strconv.FormatUint(first-1, 10), gone.GetId(), "going on after it loses nothing more")
	r.core.Events.Publish(bus.Event{Type: "c", Namespace: "shop"})
	assert.Equal(t, "c", w.next(t).GetType())
}

func TestASlowWatcherLosesNothingThatIsRemembered(t *testing.T) {
	r := newRig(t, "")
	w := r.watch(as(t, "root"), t, &phoenixv1.WatchEventsRequest{})
	for range 900 {
		r.core.Events.Publish(bus.Event{Type: "x"})
	}
	var last uint64
	for i := range 900 {
		id, err := strconv.ParseUint(w.next(t).GetId(), 10, 64)
		require.NoError(t, err)
		if i > 0 {
			require.Equal(t, last+1, id)
		}
		last = id
	}
	for range 2000 {
		r.core.Events.Publish(bus.Event{Type: "x"})
	}
	lost := 0
	for {
		e := w.next(t)
		if e.GetType() == "events.lost" {
			lost++
		}
		if id, _ := strconv.ParseUint(e.GetId(), 10, 64); id == last+2000 {
			break
		}
	}
	assert.Equal(t, 1, lost)
}

func TestAStreamEndsWithItsRequestThePlaneAndTheKey(t *testing.T) {
	r := newRig(t, "")
	gone := r.watch(as(t, "root"), t, &phoenixv1.WatchEventsRequest{})
	gone.cancel()
	refused(t, gone.end(t), fault.Unavailable)

	created := r.create(as(t, "root"), t, "ci", "viewer:*")
	who, err := r.identify(t.Context(), created.GetSecret())
	require.NoError(t, err)
	byKey := r.watch(as(t, "", func(c *call.Call) { c.Principal = who }), t, &phoenixv1.WatchEventsRequest{Types: []string{"none"}})
	_, err = r.APIKeys.RevokeAPIKey(as(t, "root"), &phoenixv1.RevokeAPIKeyRequest{Id: created.GetApiKey().GetId()})
	require.NoError(t, err)
	began := time.Now()
	err = byKey.end(t)
	refused(t, err, fault.Unauthenticated)
	require.ErrorContains(t, err, "ended")
	assert.Less(t, time.Since(began), 3*time.Second)

	other := r.watch(as(t, "viewer"), t, &phoenixv1.WatchEventsRequest{})
	close(r.done)
	err = other.end(t)
	refused(t, err, fault.Unavailable)
	require.ErrorContains(t, err, "shutting down")
}

func TestWatchersThatMayNotOrAskForNonsense(t *testing.T) {
	r := newRig(t, "")
	end := func(who string, req *phoenixv1.WatchEventsRequest, change ...func(*call.Call)) error {
		return r.watch(as(t, who, change...), t, req).end(t)
	}
	refused(t, end("shop-operator", &phoenixv1.WatchEventsRequest{Namespace: "bank"}), fault.NotFound)
	refused(t, end("stranger", &phoenixv1.WatchEventsRequest{}), fault.Forbidden)
	violation(t, end("root", &phoenixv1.WatchEventsRequest{After: "x", Types: []string{"", "policy.created", "a b", strings.Repeat("a", 65)}}),
		"types[0]", "types[2]", "types[3]", "after")
	violation(t, end("root", &phoenixv1.WatchEventsRequest{Types: make([]string, 33)}), append([]string{"types"}, indexed("types", 33)...)...)
	violation(t, end("root", &phoenixv1.WatchEventsRequest{}, func(c *call.Call) { c.LastEventID = "-1" }), "Last-Event-ID")
	for range 1024 {
		s, err := r.core.Events.Subscribe(nil)
		require.NoError(t, err)
		t.Cleanup(s.Close)
	}
	err := r.Events.WatchEvents(&phoenixv1.WatchEventsRequest{}, &wire{ctx: as(t, "root")})
	refused(t, err, fault.Unavailable)
	assert.Positive(t, faultOf(t, err).RetryAfter)
	refused(t, r.Events.WatchEvents(&phoenixv1.WatchEventsRequest{}, &wire{ctx: as(t, "", func(c *call.Call) { c.Principal = access.Principal{} })}), fault.Unauthenticated)
}

func indexed(name string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, name+"["+strconv.Itoa(i)+"]")
	}
	return list
}

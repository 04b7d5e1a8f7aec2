package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// stream answers the nth request with the nth text, as server-sent events, and
// then cuts the connection.
func stream(t *testing.T, asked chan<- *http.Request, texts ...string) *Client {
	t.Helper()
	var n atomic.Int32
	c := newTestClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Clone(context.WithoutCancel(r.Context()))
		i := int(n.Add(1)) - 1
		if i >= len(texts) {
			problem(w, http.StatusForbidden, "forbidden")
			return
		}
		answer(w, http.StatusOK, "text/event-stream", texts[i])
	})
	return c
}

func event(id int) string {
	return fmt.Sprintf("id: %d\nevent: policy.created\ndata: {\"id\": \"%d\"}\n\n", id, id)
}

var errEnough = errors.New("enough")

func TestEventsGoOnAfterTheLastOne(t *testing.T) {
	asked := make(chan *http.Request, 10)
	c := stream(t, asked,
		": hello\n\n"+event(7)+event(8)+"id: 9\ndata: {\"id\":", // cut within an event
		"", // and at once
		"data: {\"id\":\ndata: \"9\",\ndata: \"new\": 1}\r\nid:9\r\n\r\n"+event(10))
	var (
		got  []string
		lost int
	)
	q := EventsQuery{Types: []string{"policy.*", "killswitch.*"}, Namespace: "shop", After: "6", Lost: func(error) { lost++ }}
	err := c.Events(t.Context(), q, func(e *phoenixv1.Event) error {
		got = append(got, e.GetId())
		if e.GetId() == "10" {
			return errEnough
		}
		return nil
	})
	require.ErrorIs(t, err, errEnough)
	assert.Equal(t, []string{"7", "8", "9", "10"}, got)
	assert.Equal(t, 2, lost)
	close(asked)
	var after []string
	for r := range asked {
		after = append(after, r.Header.Get("Last-Event-ID"))
		assert.Equal(t, "namespace=shop&types=policy.%2A&types=killswitch.%2A", r.URL.RawQuery)
	}
	assert.Equal(t, []string{"6", "8", "8"}, after)
}

func TestEventsEnd(t *testing.T) {
	f := func(q EventsQuery, want func(*testing.T, error), texts ...string) {
		t.Helper()
		asked := make(chan *http.Request, 10)
		want(t, stream(t, asked, texts...).Events(t.Context(), q, func(*phoenixv1.Event) error { return nil }))
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		var p *Problem
		require.ErrorAs(t, err, &p)
		assert.Equal(t, http.StatusForbidden, p.Status)
	}
	says := func(text string) func(*testing.T, error) {
		return func(t *testing.T, err error) { t.Helper(); require.ErrorContains(t, err, text) }
	}
	// Refused at once, and when the key was revoked meanwhile
	f(EventsQuery{}, refused)
	f(EventsQuery{}, refused, event(1), event(2))
	f(EventsQuery{Once: true}, says("ended"), event(1))
	f(EventsQuery{}, says("decode an event"), "data: {\n\n")
	f(EventsQuery{Once: true}, says("D"), "event: error\ndata: {\"status\": 503, \"detail\": \"D\"}\n\n")
	f(EventsQuery{Once: true}, says("too long"), "data: "+strings.Repeat("x", maxEventBytes+1)+"\n\n")
	f(EventsQuery{Once: true}, says("too long"), strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", maxEventBytes/1000+1))
}

func TestASilentStreamIsOpenedAgain(t *testing.T) {
	var n atomic.Int32
	c := newTestClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if n.Add(1) == 2 {
			_, _ = io.WriteString(w, event(1))
		}
		assert.NoError(t, http.NewResponseController(w).Flush())
		<-r.Context().Done()
	})
	c.conn.silence = 50 * time.Millisecond
	var why error
	err := c.Events(t.Context(), EventsQuery{Lost: func(err error) { why = err }}, func(*phoenixv1.Event) error { return errEnough })
	require.ErrorIs(t, err, errEnough)
	require.ErrorIs(t, why, errSilent)
}

func TestEventsEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newTestClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		assert.NoError(t, http.NewResponseController(w).Flush())
		<-r.Context().Done()
	})
	err := c.Events(ctx, EventsQuery{Opened: cancel}, func(*phoenixv1.Event) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
}

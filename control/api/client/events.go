package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// EventsQuery says which events to watch. The zero value is all, from now on.
type EventsQuery struct {
	// Types are patterns with *, such as policy.*. Default: all.
	Types []string
	// Namespace is the only one. Default: all that the caller sees.
	Namespace string
	// After is the id of the event to go on after, as far as it is remembered.
	// Default: begins now.
	After string
	// Once: an end of the stream is an error, instead of a reason to go on with
	// another one.
	Once bool
	// Opened, if given, is called whenever the stream stands, and Lost when it
	// breaks and will be opened again.
	Opened func()
	Lost   func(error)
}

// Events calls use for every event until ctx ends or use returns an error, which
// Events then returns. The first stream must open; one that breaks is opened again
// after the last event that came.
func (c *Client) Events(ctx context.Context, q EventsQuery, use func(*phoenixv1.Event) error) error {
	w := &watch{conn: c.conn, query: q, use: use}
	pause := c.conn.pause
	for {
		seen := w.after()
		err := w.run(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case w.stop != nil:
			return w.stop
		case q.Once, !w.opened, !broken(err):
			return err
		}
		if w.after() != seen {
			pause = c.conn.pause
		}
		if q.Lost != nil {
			q.Lost(err)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxReconnectPause)
	}
}

// watch is the state that goes from one stream to the next.
type watch struct {
	conn   *conn
	query  EventsQuery
	use    func(*phoenixv1.Event) error
	lastID string
	opened bool
	// stop is the error of use, or another that going on would not cure.
	stop error
}

func (w *watch) after() string {
	if w.lastID != "" {
		return w.lastID
	}
	return w.query.After
}

// run reads one stream to its end, which is always an error.
func (w *watch) run(ctx context.Context) error {
	request := &call{method: http.MethodGet, path: "/api/v1/events", header: http.Header{}, query: url.Values{}}
	if len(w.query.Types) > 0 {
		request.query["types"] = w.query.Types
	}
	if w.query.Namespace != "" {
		request.query.Set("namespace", w.query.Namespace)
	}
	if after := w.after(); after != "" {
		request.header.Set("Last-Event-ID", after)
	}
	return w.conn.stream(ctx, request, func() {
		w.opened = true
		if w.query.Opened != nil {
			w.query.Opened()
		}
	}, w.dispatch)
}

func (w *watch) dispatch(id, kind string, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if kind == "error" {
		return w.conn.streamProblem(data)
	}
	e := &phoenixv1.Event{}
	if err := fromJSON.Unmarshal(data, e); err != nil {
		w.stop = fmt.Errorf("decode an event of %s: %w", w.conn.address, err) // it would come again
		return w.stop
	}
	if id == "" {
		id = e.GetId()
	}
	if id != "" {
		w.lastID = id
	}
	w.stop = w.use(e)
	return w.stop
}

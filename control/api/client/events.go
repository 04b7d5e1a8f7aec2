package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const (
	// maxSilence is how long a stream may say nothing, not even the comment that
	// comes every 15 s.
	maxSilence = 50 * time.Second
	// maxEventBytes bounds one event.
	maxEventBytes = 1 << 20
	// maxReconnectPause bounds the pause between two attempts to go on.
	maxReconnectPause = 5 * time.Second
)

var (
	errSilent = errors.New("the stream of events went silent")
	errEnded  = errors.New("the stream of events ended")
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

// broken says whether opening the stream again may help.
func broken(err error) bool {
	var (
		problem  *Problem
		stranger *StrangerError
	)
	switch {
	case errors.As(err, &problem):
		return problem.Status == http.StatusTooManyRequests || problem.Status >= http.StatusInternalServerError
	default:
		return !errors.As(err, &stranger)
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
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := time.AfterFunc(w.conn.silence, func() { cancel(errSilent) })
	defer dog.Stop()

	request := &call{method: http.MethodGet, path: "/api/v1/events", accept: "text/event-stream", header: http.Header{}, query: url.Values{}}
	if len(w.query.Types) > 0 {
		request.query["types"] = w.query.Types
	}
	if w.query.Namespace != "" {
		request.query.Set("namespace", w.query.Namespace)
	}
	if after := w.after(); after != "" {
		request.header.Set("Last-Event-ID", after)
	}
	resp, err := w.conn.attempt(ctx, request)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return w.conn.refusal(resp)
	}
	w.opened = true
	if w.query.Opened != nil {
		w.query.Opened()
	}
	return causeOf(ctx, w.read(resp.Body, func() { dog.Reset(w.conn.silence) }))
}

// causeOf prefers the reason for which the context was cancelled.
func causeOf(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// read reads server-sent events as the HTML standard has them.
func (w *watch) read(body io.Reader, alive func()) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4<<10), maxEventBytes)
	var (
		id, kind string
		data     bytes.Buffer
	)
	for lines.Scan() {
		alive()
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if err := w.dispatch(id, kind, data.Bytes()); err != nil {
				return err
			}
			id, kind = "", ""
			data.Reset()
		case field == "id":
			id = value
		case field == "event":
			kind = value
		case field == "data":
			if data.Len() > 0 {
				data.WriteByte('\n')
			}
			data.WriteString(value)
		}
		if data.Len() > maxEventBytes {
			return bufio.ErrTooLong
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events from %s: %w", w.conn.address, err)
	}
	return errEnded
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

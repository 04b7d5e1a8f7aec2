package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// maxSilence is how long a stream may say nothing, not even the comment that
	// comes every 15 s.
	maxSilence = 50 * time.Second
	// maxEventBytes bounds one event: an experiment has 1 MiB at most.
	maxEventBytes = 2 << 20
	// maxReconnectPause bounds the pause between two attempts to go on.
	maxReconnectPause = 5 * time.Second
)

var (
	errSilent = errors.New("the stream of events went silent")
	errEnded  = errors.New("the stream of events ended")
)

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

// stream reads server-sent events to their end, which is always an error: errEnded
// if the server ended them. It calls opened when the stream stands, and use for
// each event.
func (c *conn) stream(ctx context.Context, request *call, opened func(), use func(id, kind string, data []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := time.AfterFunc(c.silence, func() { cancel(errSilent) })
	defer dog.Stop()
	request.accept = "text/event-stream"
	resp, err := c.attempt(ctx, request)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return c.refusal(resp)
	}
	opened()
	return causeOf(ctx, c.readEvents(resp.Body, func() { dog.Reset(c.silence) }, use))
}

// causeOf prefers the reason for which the context was cancelled.
func causeOf(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// readEvents reads server-sent events as the HTML standard has them.
func (c *conn) readEvents(body io.Reader, alive func(), use func(id, kind string, data []byte) error) error {
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
			if err := use(id, kind, data.Bytes()); err != nil {
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
		return fmt.Errorf("read events from %s: %w", c.address, err)
	}
	return errEnded
}

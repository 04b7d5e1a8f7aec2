package client

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	// maxAttempts bounds how often one request is sent.
	maxAttempts = 4
	// firstPause is doubled from attempt to attempt, unless the server says when
	// to come back; maxPause bounds both.
	firstPause = 200 * time.Millisecond
	maxPause   = 10 * time.Second
)

// repeatable says whether a request may be sent again when it is not known
// whether the server acted on it. With If-Match a repetition of a success would
// be refused.
func repeatable(r *call) bool {
	switch r.method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodPut:
		return r.header.Get("If-Match") == ""
	default:
		return r.header.Get("Idempotency-Key") != ""
	}
}

// do sends a request, and again after 429 or 503 as long as that is safe: 429
// says that nothing was done.
func (c *conn) do(ctx context.Context, r *call) (*http.Response, error) {
	pause := c.pause
	for attempt := 1; ; attempt++ {
		resp, err := c.attempt(ctx, r)
		if err != nil {
			return nil, err
		}
		again := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable && r.repeatable
		if !again || attempt == maxAttempts {
			return resp, nil
		}
		wait := retryAfter(resp.Header, time.Now())
		if wait == 0 {
			wait = pause/2 + rand.N(pause) // spread, so that clients do not come together
			pause *= 2
		}
		if wait > maxPause || !within(ctx, wait) {
			return resp, nil
		}
		drain(resp.Body)
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// within says whether ctx lasts longer than a pause.
func within(ctx context.Context, pause time.Duration) bool {
	end, bounded := ctx.Deadline()
	return !bounded || time.Until(end) > pause
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

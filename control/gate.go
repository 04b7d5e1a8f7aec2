package control

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/phoenix-platform/phoenix/control/api"
)

// requestGate knows the requests that run, so that Shutdown can wait for the
// handlers themselves: http.Server.Close closes connections and waits for none.
type requestGate struct {
	grace time.Duration

	mu     sync.Mutex
	closed bool
	// running has the cancel function of each request.
	running map[*http.Request]context.CancelCauseFunc
	idle    chan struct{} // closed when the gate is and nothing runs
}

func newRequestGate(grace time.Duration) *requestGate {
	return &requestGate{
		grace:   grace,
		running: map[*http.Request]context.CancelCauseFunc{},
		idle:    make(chan struct{}),
	}
}

// guard lets requests through to next until the gate closes.
func (g *requestGate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		r = r.WithContext(ctx)
		if !g.enter(r, cancel) {
			api.WriteProblem(w, r, api.ErrShuttingDown.Error(), http.StatusServiceUnavailable)
			return
		}
		defer g.leave(r)
		next.ServeHTTP(w, r)
	})
}

func (g *requestGate) enter(r *http.Request, cancel context.CancelCauseFunc) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.running[r] = cancel
	}
	return !g.closed
}

func (g *requestGate) leave(r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.running, r)
	if g.closed && len(g.running) == 0 {
		close(g.idle)
	}
}

// shut lets nobody in any more.
func (g *requestGate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed && len(g.running) == 0 {
		close(g.idle)
	}
	g.closed = true
}

// cancelAll tells the requests that still run to end.
func (g *requestGate) cancelAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, cancel := range g.running {
		cancel(api.ErrShuttingDown)
	}
}

// close shuts the gate and waits: for the grace time, then it cancels what
// still runs, then until ctx ends.
func (g *requestGate) close(ctx context.Context) error {
	g.shut()
	grace := time.NewTimer(g.grace)
	defer grace.Stop()
	select {
	case <-g.idle:
		return nil
	case <-grace.C:
	case <-ctx.Done():
	}
	g.cancelAll()
	select {
	case <-g.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for running requests: %w", context.Cause(ctx))
	}
}

package api

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// gate knows the requests that run, so that Shutdown can wait for the handlers
// themselves: http.Server.Close closes connections and waits for none.
type gate struct {
	grace time.Duration
	// ending is closed when the gate is: it ends streams.
	ending chan struct{}

	mu      sync.Mutex
	closed  bool
	running map[*exchange]context.CancelCauseFunc
	idle    chan struct{} // closed when the gate is and nothing runs
}

func newGate(grace time.Duration) *gate {
	return &gate{
		grace: grace, ending: make(chan struct{}), running: map[*exchange]context.CancelCauseFunc{}, idle: make(chan struct{}),
	}
}

// enter lets a request in, unless the gate is closed.
func (g *gate) enter(x *exchange, cancel context.CancelCauseFunc) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.running[x] = cancel
	}
	return !g.closed
}

func (g *gate) leave(x *exchange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.running, x)
	if g.closed && len(g.running) == 0 {
		close(g.idle)
	}
}

// shut lets nobody in any more.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	close(g.ending)
	if len(g.running) == 0 {
		close(g.idle)
	}
}

// cancelAll tells the requests that still run to end.
func (g *gate) cancelAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, cancel := range g.running {
		cancel(ErrShuttingDown)
	}
}

// close shuts the gate and waits: for the grace time, then it cancels what still
// runs, then until ctx ends.
func (g *gate) close(ctx context.Context) error {
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

package insight

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// timeShare is which part of the time may go into making one value anew.
	timeShare = 20
	// mostAge bounds how old a value gets because it takes long to make.
	mostAge = 30 * time.Second
	// served is how much longer a value is served while the next is made.
	served = 5 * time.Second
	// patience bounds the making of one value.
	patience = 30 * time.Second
)

var errClosed = errors.New("the control plane is shutting down")

// workers runs what outlives the request that began it.
type workers struct {
	logger *zap.Logger
	// ctx ends with close.
	ctx    context.Context //nolint:containedctx // of the goroutines, not of a call
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newWorkers(logger *zap.Logger) *workers {
	ctx, cancel := context.WithCancel(context.Background())
	return &workers{logger: logger, ctx: ctx, cancel: cancel}
}

// run starts a goroutine unless it is too late.
func (w *workers) run(f func(context.Context)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	w.wg.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, patience)
		defer cancel()
		f(ctx)
	})
	return nil
}

func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cancel()
	w.wg.Wait()
}

// fresh is a value that is made at most once at a time, and served while a newer
// one is made. The zero value is empty.
type fresh[T any] struct {
	// least is how long a value is new.
	least time.Duration

	mu     sync.Mutex
	value  T
	made   time.Time // when the making began, as the value is of then
	until  time.Time // while it is new
	used   time.Time
	flight *flight[T]
}

// flight is a value in the making.
type flight[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// get returns the value if it is new, or nearly so while the next is made.
// Otherwise it waits for that. What the request that waits is cancelled for does
// not cancel it for others.
func (f *fresh[T]) get(ctx context.Context, w *workers, produce func(context.Context) (T, error)) (T, error) {
	now := time.Now()
	f.mu.Lock()
	f.used = now
	value, known := f.value, !f.made.IsZero()
	if known && now.Before(f.until) {
		f.mu.Unlock()
		return value, nil
	}
	err := f.start(w, produce) //nolint:contextcheck // what is made outlives the request
	inFlight := f.flight
	stale := known && now.Before(f.until.Add(served))
	f.mu.Unlock()
	switch {
	case stale:
		return value, nil
	case err != nil:
		return value, err
	}
	select {
	case <-inFlight.done:
		return inFlight.value, inFlight.err
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}

// start begins to make the next value, unless that is done already. The caller
// holds the lock.
func (f *fresh[T]) start(w *workers, produce func(context.Context) (T, error)) error {
	if f.flight != nil {
		return nil
	}
	mine := &flight[T]{done: make(chan struct{})}
	err := w.run(func(ctx context.Context) { f.fly(ctx, w, mine, produce) })
	if err == nil {
		f.flight = mine
	}
	return err
}

func (f *fresh[T]) fly(ctx context.Context, w *workers, mine *flight[T], produce func(context.Context) (T, error)) {
	began := time.Now()
	mine.value, mine.err = guarded(ctx, w, produce)
	f.mu.Lock()
	defer f.mu.Unlock()
	close(mine.done)
	if f.flight != mine {
		return // forgotten meanwhile
	}
	f.flight = nil
	if mine.err == nil {
		f.value, f.made = mine.value, began
		f.until = time.Now().Add(min(max(f.least, timeShare*time.Since(began)), max(f.least, mostAge)))
	}
}

// guarded turns a panic into an error: nobody else would catch it here.
func guarded[T any](ctx context.Context, w *workers, produce func(context.Context) (T, error)) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			w.logger.Error("A report could not be made", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return produce(ctx)
}

// idle says whether nobody asked for so long.
func (f *fresh[T]) idle(since time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flight == nil && time.Since(f.used) > since
}

// forget makes the next get wait for a new value, also while one is being made
// that began before.
func (f *fresh[T]) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	var none T
	f.value, f.made, f.until, f.flight = none, time.Time{}, time.Time{}, nil
}

package abrouterconnector

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/phoenix-platform/phoenix/connector/abrouterconnector/internal/metadata"
)

const (
	// maxMessages bounds how many batches wait, whatever their size.
	maxMessages = 10_000
	// sizeEvery is how often the size of a batch is computed: it takes longer than
	// all else but a copy, and a tenth of that (BenchmarkPaired). In between it is
	// the number of points times their mean size in the last one that was.
	sizeEvery = 16
	// stopWithin is how long the candidate has at a shutdown for what waits, if the
	// service sets no time, as the Collector does.
	stopWithin = 10 * time.Second
	// stopGrace is how long a cancelled candidate may take to return.
	stopGrace = time.Second
)

// queue is what waits for the candidate. Nobody waits to put something there. One
// goroutine takes it out, so that the candidate gets what a source sends in
// order.
type queue[T carried] struct {
	f        *flow[T]
	messages chan *message[T]
	bytes    atomic.Int64
	// puts counts batches, pointBytes is the mean size of a point of one.
	puts       atomic.Uint64
	pointBytes atomic.Int64

	closing, ended chan struct{}   // nothing more is put; nothing more is taken
	life           context.Context //nolint:containedctx // of run
	end            context.CancelCauseFunc
}

func newQueue[T carried](f *flow[T]) *queue[T] {
	q := &queue[T]{f: f, messages: make(chan *message[T], maxMessages), closing: make(chan struct{}), ended: make(chan struct{})}
	q.life, q.end = context.WithCancelCause(context.Background())
	return q
}

// size is nearly the number of bytes of a batch as OTLP.
func (q *queue[T]) size(m *message[T]) int64 {
	n := int64(m.points)
	if q.puts.Add(1)%sizeEvery != 1 {
		if mean := q.pointBytes.Load(); mean > 0 {
			return mean * n
		}
	}
	size := int64(q.f.bytes(m.data))
	q.pointBytes.Store(size/max(n, 1) + 1)
	return size
}

// put hands a batch to the candidate, or drops it if too much waits.
func (q *queue[T]) put(ctx context.Context, m *message[T]) {
	m.bytes = q.size(m)
	if q.bytes.Add(m.bytes) > int64(q.f.config.Mirror.QueueBytes) {
		q.bytes.Add(-m.bytes)
		q.drop(ctx, m, reasonQueueFull)
		return
	}
	select {
	case q.messages <- m:
	default:
		q.bytes.Add(-m.bytes)
		q.drop(ctx, m, reasonQueueFull)
	}
}

// drop counts what the candidate does not get. A candidate that cannot keep up
// fails.
func (q *queue[T]) drop(ctx context.Context, m *message[T], reason metric.MeasurementOption) {
	q.f.telemetry.ConnectorAbRouterDroppedPoints.Add(ctx, int64(m.points), reason)
	now := q.f.now()
	for _, row := range m.rows {
		row.route.state.counts[toCandidate].dropped.Add(uint64(row.points)) //nolint:gosec // not negative
		if reason == reasonQueueFull {
			q.f.candidateGave(ctx, row.route, now, true)
		}
	}
	q.f.release(m)
}

// run gives the candidate one batch after the other until stop.
func (q *queue[T]) run() {
	defer close(q.ended)
	for {
		select {
		case m := <-q.messages:
			q.take(m)
		case <-q.closing:
			q.rest()
			return
		}
	}
}

// rest gives the candidate what is left, while there is time.
func (q *queue[T]) rest() {
	for {
		select {
		case m := <-q.messages:
			q.take(m)
		default:
			return
		}
	}
}

func (q *queue[T]) take(m *message[T]) {
	defer q.bytes.Add(-m.bytes)
	if q.life.Err() != nil {
		q.drop(m.ctx, m, reasonShutdown)
		return
	}
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	defer context.AfterFunc(q.life, func() { cancel(context.Cause(q.life)) })()
	m.ctx = ctx
	q.f.deliver(m)
}

// stop lets the candidate have what waits as long as ctx allows, and ten seconds
// at most. Then its call is cancelled and the rest is dropped.
func (q *queue[T]) stop(ctx context.Context) error {
	close(q.closing)
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	select {
	case <-q.ended:
		return nil
	case <-ctx.Done():
	}
	waiting := len(q.messages)
	q.end(context.Cause(ctx))
	select {
	case <-q.ended:
	case <-time.After(stopGrace): // it heeds no context
	}
	return fmt.Errorf("the candidate did not take in time what waited for it: %d batches: %w", waiting, context.Cause(ctx))
}

func (q *queue[T]) observe(t *metadata.TelemetryBuilder) error {
	return t.RegisterConnectorAbRouterQueueBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(q.bytes.Load())
		return nil
	})
}

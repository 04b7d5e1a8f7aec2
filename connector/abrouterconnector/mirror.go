package abrouterconnector

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/connector/abrouterconnector/internal/metadata"
)

// mirrorRow is what one experiment has of a mirrored batch.
type mirrorRow struct {
	route  *route
	points int
}

// addRow counts points of an experiment.
func addRow(rows []mirrorRow, rt *route, points int) []mirrorRow {
	for i := range rows {
		if rows[i].route == rt {
			rows[i].points += points
			return rows
		}
	}
	return append(rows, mirrorRow{rt, points})
}

// message is what waits for the candidate.
type message[T carried] struct {
	ctx    context.Context //nolint:containedctx // what the batch came with: client, baggage, trace
	data   T
	rows   []mirrorRow
	bytes  int64
	shared bool // with the baseline: nobody writes to it
}

// points counts what is mirrored.
func (m *message[T]) points() (n int) {
	if m == nil {
		return 0
	}
	for _, row := range m.rows {
		n += row.points
	}
	return n
}

// copyAside takes what candidates get beside the baseline, before the baseline
// may write to it. It is shared if nobody will.
func (f *flow[T]) copyAside(ctx context.Context, v *view, data T, now time.Time) *message[T] {
	copied, rows, whole := f.mirrored(v, data, now)
	if len(rows) == 0 {
		return nil
	}
	m := &message[T]{ctx: context.WithoutCancel(ctx), data: copied, rows: rows}
	switch {
	case !whole:
	case f.mark == nil && !f.arms[toBaseline].mutates && !f.arms[toCandidate].mutates && !v.splits:
		data.MarkReadOnly()
		f.ref(data) // a receiver may use the memory again as soon as the baseline returns
		m.data, m.shared = data, true
	default:
		m.data = f.clone(data)
	}
	if f.mark != nil {
		f.mark(m.data)
	}
	return m
}

// release lets go of what was not given to the candidate.
func (f *flow[T]) release(m *message[T]) {
	if m.shared {
		f.unref(m.data)
	}
}

const (
	// maxMessages bounds how many batches wait, whatever their size.
	maxMessages = 10_000
	// sizeEvery is how often the size of a batch is computed: it takes longer than
	// all else. In between it is the number of points times the mean size of one.
	sizeEvery = 16
)

// queue is what waits for the candidate. Nobody waits to put something there.
type queue[T carried] struct {
	f        *flow[T]
	messages chan *message[T]
	bytes    atomic.Int64
	// puts counts batches, pointBytes is the mean size of a point.
	puts       atomic.Uint64
	pointBytes atomic.Int64
	ended      chan struct{}
	// closing is closed when nothing more is put.
	closing chan struct{}
}

func newQueue[T carried](f *flow[T]) *queue[T] {
	return &queue[T]{f: f, messages: make(chan *message[T], maxMessages), ended: make(chan struct{}), closing: make(chan struct{})}
}

// size is about the number of bytes of a batch as OTLP.
func (q *queue[T]) size(m *message[T]) int64 {
	n := int64(m.points())
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
	q.f.telemetry.ConnectorAbRouterDroppedPoints.Add(ctx, int64(m.points()), reason)
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
			q.deliver(m)
		case <-q.closing:
			for {
				select {
				case m := <-q.messages:
					q.deliver(m)
				default:
					return
				}
			}
		}
	}
}

func (q *queue[T]) deliver(m *message[T]) {
	f, began := q.f, q.f.now()
	open := m.rows[:0:0]
	for _, row := range m.rows {
		if row.route.candidateOpen(began) {
			open = append(open, row)
		}
	}
	defer q.bytes.Add(-m.bytes)
	defer f.release(m)
	if len(open) == 0 {
		return // it was closed while this waited
	}
	err := f.toCandidate(m.ctx, m.data)
	now := f.now()
	if err != nil {
		f.candidateError(m.ctx, err)
	}
	f.telemetry.ConnectorAbRouterPoints.Add(m.ctx, int64(m.points()), sideOptions[toCandidate][classMirror])
	for _, row := range open {
		row.route.state.counts[toCandidate].record(row.points, now.Sub(began), outcomeOf(err))
		f.candidateGave(m.ctx, row.route, now, err != nil)
	}
}

// stop lets the candidate have what waits, as long as ctx allows.
func (q *queue[T]) stop(ctx context.Context) {
	close(q.closing)
	select {
	case <-q.ended:
		return
	case <-ctx.Done():
	}
	left := 0
	for {
		select {
		case m := <-q.messages:
			left++
			q.drop(ctx, m, reasonShutdown)
		default:
			q.f.logger.Warn("The candidate did not take in time what waited for it", zap.Int("batches", left))
			return
		}
	}
}

func (q *queue[T]) observe(t *metadata.TelemetryBuilder) error {
	return t.RegisterConnectorAbRouterQueueBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(q.bytes.Load())
		return nil
	})
}

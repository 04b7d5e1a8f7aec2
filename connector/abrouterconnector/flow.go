package abrouterconnector

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"
)

// carried is what the connector carries: pmetric.Metrics, ptrace.Traces, plog.Logs.
type carried interface{ MarkReadOnly() }

// parts are what a batch is divided into.
type parts[T carried] struct {
	data [sides]T
	has  [sides]bool
	// last is what the arms get, before data, of streams that have just left them.
	last       [sides]T
	lastPoints [sides]int
	// forget undoes that streams count as handed over; nil: none was.
	forget func()
	// markers, shared and withoutOverlap are counted.
	markers, shared, withoutOverlap int
}

// operations are what the frame has to know of a signal's data.
type operations[T carried] struct {
	items      func(T) int
	bytes      func(T) int
	clone      func(T) T
	ref, unref func(T)
	// divide moves what is the candidate's out of a batch.
	divide func(v *view, data T, now time.Time, t *tally) parts[T]
	// merge moves what is in from back to what it was taken of.
	merge func(from, into T)
	// mirrored finds what candidates get beside the baseline. whole says that it is
	// all of the batch, which is then not copied.
	mirrored func(v *view, data T, now time.Time) (copied T, rows []mirrorRow, whole bool)
	// mark marks a copy as the candidate's; nil: that is not wanted.
	mark func(T)
	// partial is an error that says which data has to come again.
	partial func(error, T) error
}

// arm is where one side's data goes.
type arm[T carried] struct {
	consume func(context.Context, T) error
	mutates bool
}

// flow carries one signal.
type flow[T carried] struct {
	*router
	operations[T]
	arms    [sides]arm[T]
	queue   *queue[T]
	tallies sync.Pool
}

func newFlow[T carried](r *router, o operations[T], arms [sides]arm[T]) (*flow[T], error) {
	f := &flow[T]{router: r, operations: o, arms: arms}
	f.tallies.New = func() any { return &tally{} }
	f.queue = newQueue(f)
	return f, f.queue.observe(r.telemetry)
}

// consume carries a batch.
func (f *flow[T]) consume(ctx context.Context, data T) error {
	v := f.view()
	if v.table.Len() == 0 {
		n := int64(f.items(data))
		err := f.arms[toBaseline].consume(ctx, data)
		f.telemetry.ConnectorAbRouterPoints.Add(ctx, n, sideOptions[toBaseline][classNone])
		return err
	}
	now := f.now()
	var beside *message[T]
	if v.mirrors {
		beside = f.copyAside(ctx, v, data, now)
	}
	var err error
	began := f.now()
	if v.splits {
		err = f.split(ctx, v, data, now)
	} else {
		n := int64(f.items(data)) - int64(beside.points())
		err = f.arms[toBaseline].consume(ctx, data)
		f.telemetry.ConnectorAbRouterPoints.Add(ctx, n, sideOptions[toBaseline][classNone])
	}
	if beside == nil {
		return err
	}
	f.telemetry.ConnectorAbRouterPoints.Add(ctx, int64(beside.points()), sideOptions[toBaseline][classMirror])
	took := f.now().Sub(began)
	for _, row := range beside.rows {
		row.route.state.counts[toBaseline].record(row.points, took, outcomeOf(err))
	}
	if err != nil { // it may come again, and the candidate shall not see it twice
		f.release(beside)
		return err
	}
	f.queue.put(ctx, beside)
	return nil
}

// outcomeOf says what an arm's answer means.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return outcomeTaken
	case consumererror.IsPermanent(err):
		return outcomeFailed
	}
	return outcomeRefused
}

// split divides a batch. The baseline comes first: if it does not take its part,
// nothing has been given away and all may come again.
func (f *flow[T]) split(ctx context.Context, v *view, data T, now time.Time) error {
	t, _ := f.tallies.Get().(*tally)
	defer func() {
		t.reset()
		f.tallies.Put(t)
	}()
	total := f.items(data)
	p := f.divide(v, data, now, t)
	f.count(ctx, &p, t, total)
	if p.lastPoints[toBaseline] > 0 {
		if err := f.arms[toBaseline].consume(ctx, p.last[toBaseline]); err != nil {
			f.undo(&p, data)
			return err
		}
	}
	if p.has[toBaseline] {
		began := f.now()
		err := f.arms[toBaseline].consume(ctx, p.data[toBaseline])
		f.recordRows(t, toBaseline, f.now().Sub(began), outcomeOf(err))
		if err != nil {
			f.undo(&p, data)
			return err
		}
	}
	if p.lastPoints[toCandidate] > 0 {
		if err := f.toCandidate(ctx, p.last[toCandidate]); err != nil {
			f.candidateError(ctx, err)
		}
	}
	if !p.has[toCandidate] {
		return nil
	}
	return f.give(ctx, &p, t, now)
}

// count counts where the points go.
func (f *flow[T]) count(ctx context.Context, p *parts[T], t *tally, total int) {
	for of := range sides {
		if n := t.total(of); n > 0 {
			f.telemetry.ConnectorAbRouterPoints.Add(ctx, int64(n), sideOptions[of][classSplit])
			total -= n
		}
		if n := p.lastPoints[of]; n > 0 {
			f.telemetry.ConnectorAbRouterMarkers.Add(ctx, int64(n), armOptions[of])
		}
	}
	if total > 0 {
		f.telemetry.ConnectorAbRouterPoints.Add(ctx, int64(total), sideOptions[toBaseline][classNone])
	}
	if p.withoutOverlap > 0 {
		f.telemetry.ConnectorAbRouterMovedWithoutOverlap.Add(ctx, int64(p.withoutOverlap))
	}
	if p.shared > 0 {
		f.telemetry.ConnectorAbRouterSharedPoints.Add(ctx, int64(p.shared))
	}
}

// undo brings a batch back to what it was, as far as somebody may send it again.
func (f *flow[T]) undo(p *parts[T], data T) {
	if p.forget != nil {
		p.forget()
	}
	if p.has[toCandidate] && p.has[toBaseline] {
		f.merge(p.data[toCandidate], data)
	}
}

// give gives the candidate its part, and the baseline what the candidate does not
// take.
func (f *flow[T]) give(ctx context.Context, p *parts[T], t *tally, now time.Time) error {
	part, again := p.data[toCandidate], p.data[toCandidate]
	retry := f.config.OnError == OnErrorBaseline
	switch {
	case retry && f.arms[toCandidate].mutates:
		again = f.clone(part) // nobody knows what the candidate did to what it refuses
	case retry:
		f.ref(part) // otherwise its memory is used again once the candidate returns
		defer f.unref(part)
	}
	began := f.now()
	err := f.toCandidate(ctx, part)
	f.recordRows(t, toCandidate, f.now().Sub(began), outcomeOf(err))
	for i := range t.rows {
		if row := &t.rows[i]; row.points[toCandidate] > 0 {
			f.candidateGave(ctx, row.route, now, err != nil)
		}
	}
	if err == nil {
		return nil
	}
	f.candidateError(ctx, err)
	if retry {
		n := int64(t.total(toCandidate))
		if err = f.arms[toBaseline].consume(ctx, again); err == nil {
			f.telemetry.ConnectorAbRouterRetriedPoints.Add(ctx, n)
			for i := range t.rows {
				t.rows[i].route.state.counts[toCandidate].retried.Add(uint64(t.rows[i].points[toCandidate])) //nolint:gosec // not negative
			}
			return nil
		}
	}
	if p.forget != nil {
		p.forget()
	}
	if consumererror.IsPermanent(err) || !p.has[toBaseline] {
		return err
	}
	return f.partial(err, again)
}

func (f *flow[T]) recordRows(t *tally, of side, took time.Duration, what outcome) {
	for i := range t.rows {
		if n := t.rows[i].points[of]; n > 0 {
			t.rows[i].route.state.counts[of].record(n, took, what)
		}
	}
}

// errPanic is wrapped by the error of a candidate that panicked.
var errPanic = errors.New("the candidate panicked")

// toCandidate calls the candidate, which may take its time only up to the
// timeout, and whose panic is an error.
func (f *flow[T]) toCandidate(ctx context.Context, data T) (err error) {
	if f.config.CandidateTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.config.CandidateTimeout)
		defer cancel()
	}
	defer func() {
		if what := recover(); what != nil {
			err = consumererror.NewPermanent(fmt.Errorf("%w: %v", errPanic, what))
			f.logger.Error("The candidate panicked", zap.Any("panic", what), zap.ByteString("stack", debug.Stack()))
		}
	}()
	return f.arms[toCandidate].consume(ctx, data)
}

// candidateError counts a batch that the candidate did not take.
func (f *flow[T]) candidateError(ctx context.Context, err error) {
	reason := reasonRefused
	switch {
	case errors.Is(err, errPanic):
		reason = reasonPanic
	case consumererror.IsPermanent(err):
		reason = reasonFailed
	}
	f.telemetry.ConnectorAbRouterCandidateErrors.Add(ctx, 1, reason)
	f.logger.Debug("The candidate did not take a batch", zap.Error(err))
}

package abrouterconnector

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
)

// carried is what the connector carries: pmetric.Metrics, ptrace.Traces, plog.Logs.
type carried interface {
	IsReadOnly() bool
	MarkReadOnly()
}

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

// again notes that the batch may come again.
func (p *parts[T]) again() {
	if p.forget != nil {
		p.forget()
	}
}

// operations are what the frame has to know of a signal's data.
type operations[T carried] struct {
	items      func(T) int
	bytes      func(T) int
	clone      func(T) T
	ref, unref func(T)
	// divide moves what is the candidate's out of a batch.
	divide func(v *view, data T, now time.Time, t *tally) parts[T]
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
		return f.pass(ctx, data, f.items(data))
	}
	now := f.now()
	if !v.mirrors {
		return f.split(ctx, v, data, now, 0)
	}
	beside := f.copyAside(ctx, v, data, now)
	if beside == nil {
		return f.split(ctx, v, data, now, 0)
	}
	f.telemetry.ConnectorAbRouterPoints.Add(ctx, int64(beside.points), sideOptions[toBaseline][classMirror])
	began := f.now()
	var err error
	if beside.whole {
		err = f.arms[toBaseline].consume(ctx, data)
	} else {
		err = f.split(ctx, v, data, now, beside.points)
	}
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

// pass gives the baseline what is in no experiment.
func (f *flow[T]) pass(ctx context.Context, data T, points int) error {
	err := f.arms[toBaseline].consume(ctx, data)
	f.telemetry.ConnectorAbRouterPoints.Add(ctx, int64(points), sideOptions[toBaseline][classNone])
	return err
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

// split divides a batch, of which so many points are counted already. The
// baseline comes first: if it does not take its part, nothing was given to the
// candidate, and all may come again.
func (f *flow[T]) split(ctx context.Context, v *view, data T, now time.Time, counted int) error {
	if !v.splits {
		return f.pass(ctx, data, f.items(data)-counted)
	}
	t, _ := f.tallies.Get().(*tally)
	defer func() {
		t.reset()
		f.tallies.Put(t)
	}()
	total := f.items(data) - counted
	p := f.divide(v, data, now, t)
	f.count(ctx, &p, t, total)
	if p.lastPoints[toBaseline] > 0 {
		if err := f.arms[toBaseline].consume(ctx, p.last[toBaseline]); err != nil {
			p.again()
			return err
		}
	}
	if p.has[toBaseline] {
		began := f.now()
		err := f.arms[toBaseline].consume(ctx, p.data[toBaseline])
		f.recordRows(t, toBaseline, f.now().Sub(began), outcomeOf(err))
		if err != nil {
			p.again()
			return err
		}
	}
	if p.lastPoints[toCandidate] > 0 {
		f.giveLast(ctx, &p, t)
	}
	if !p.has[toCandidate] {
		return nil
	}
	return f.give(ctx, &p, t)
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

// giveLast gives the candidate the last of what has left it. Nobody waits for a
// candidate that gets nothing else: it may have been closed because it hangs.
func (f *flow[T]) giveLast(ctx context.Context, p *parts[T], t *tally) {
	last := p.last[toCandidate]
	if !p.has[toCandidate] {
		f.queue.put(ctx, &message[T]{ctx: context.WithoutCancel(ctx), data: last, points: p.lastPoints[toCandidate], last: true})
		return
	}
	if err := f.toCandidate(ctx, last, t.candidates()); err != nil {
		f.candidateError(ctx, err)
	}
}

// give gives the candidate its part, and the baseline what the candidate does not
// take.
func (f *flow[T]) give(ctx context.Context, p *parts[T], t *tally) error {
	part, kept := p.data[toCandidate], p.data[toCandidate]
	retry, mutates := f.config.OnError == OnErrorBaseline, f.arms[toCandidate].mutates
	if retry && mutates {
		kept = f.clone(part) // nobody knows what a candidate did to what it refuses
	}
	f.ref(kept) // otherwise its memory is used again once an arm returns
	began := f.now()
	err := f.toCandidate(ctx, part, t.candidates())
	f.recordRows(t, toCandidate, f.now().Sub(began), outcomeOf(err))
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) { // else the caller went away, which says nothing of the candidate
		for i := range t.rows {
			if row := &t.rows[i]; row.points[toCandidate] > 0 {
				f.candidateGave(ctx, row.route, began, err != nil)
			}
		}
	}
	if err == nil {
		f.unref(kept)
		return nil
	}
	f.candidateError(ctx, err)
	if retry {
		if err = f.retry(ctx, kept, t); err == nil {
			f.unref(kept)
			return nil
		}
	}
	p.again()
	if consumererror.IsPermanent(err) || !p.has[toBaseline] || mutates && !retry {
		f.unref(kept)
		return err
	}
	// What the error holds is never unreferenced: its reader may keep it.
	return f.partial(err, kept)
}

// retry gives the baseline what the candidate did not take.
func (f *flow[T]) retry(ctx context.Context, kept T, t *tally) error {
	if f.arms[toBaseline].mutates {
		// It may come back in an error, and a part of a candidate may still read it.
		kept = f.clone(kept)
	}
	if err := f.arms[toBaseline].consume(ctx, kept); err != nil {
		return err
	}
	f.telemetry.ConnectorAbRouterRetriedPoints.Add(ctx, int64(t.total(toCandidate)))
	for i := range t.rows {
		t.rows[i].route.state.counts[toCandidate].retried.Add(uint64(t.rows[i].points[toCandidate])) //nolint:gosec // not negative
	}
	return nil
}

func (f *flow[T]) recordRows(t *tally, of side, took time.Duration, what outcome) {
	for i := range t.rows {
		if n := t.rows[i].points[of]; n > 0 {
			t.rows[i].route.state.counts[of].record(n, took, what)
		}
	}
}

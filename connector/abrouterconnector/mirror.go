package abrouterconnector

import (
	"context"
	"time"
)

// mirrorRow is what one experiment has of a mirrored batch.
type mirrorRow struct {
	route  *route
	points int
}

// addRow counts points of an experiment. Those that follow each other are mostly
// of one.
func addRow(rows []mirrorRow, rt *route, points int) []mirrorRow {
	for i := len(rows) - 1; i >= 0; i-- {
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
	points int
	bytes  int64
	// whole says that it is all of a batch, shared that the baseline has the same,
	// which nobody writes to.
	whole, shared bool
	// last says that it is what has left the candidate: markers, and no copies.
	last bool
}

// copyAside takes what candidates get beside the baseline, before the baseline
// may write to it. It is shared if the baseline will not.
func (f *flow[T]) copyAside(ctx context.Context, v *view, data T, now time.Time) *message[T] {
	copied, rows, whole := f.mirrored(v, data, now)
	if len(rows) == 0 {
		return nil
	}
	m := &message[T]{ctx: context.WithoutCancel(ctx), data: copied, rows: rows, whole: whole}
	for _, row := range rows {
		m.points += row.points
	}
	switch {
	case !whole:
	case f.arms[toBaseline].mutates:
		m.data = f.clone(data)
	default:
		if !data.IsReadOnly() {
			data.MarkReadOnly()
		}
		f.ref(data) // a receiver may use the memory again as soon as the baseline returns
		m.data, m.shared = data, true
	}
	return m
}

// release lets go of what is not given to the candidate.
func (f *flow[T]) release(m *message[T]) {
	if m.shared {
		f.unref(m.data)
	}
}

// deliver gives the candidate a batch. A copy that is needed only here, because
// the candidate writes to it or it is marked, takes no time of the baseline's.
func (f *flow[T]) deliver(m *message[T]) {
	began := f.now()
	routes := make([]*route, 0, len(m.rows))
	open := m.rows[:0:0]
	for _, row := range m.rows {
		if row.route.candidateOpen(began) {
			open, routes = append(open, row), append(routes, row.route)
		}
	}
	if len(open) == 0 && !m.last { // it was closed while this waited
		f.release(m)
		return
	}
	marks := f.mark != nil && !m.last
	data, shared := m.data, m.shared
	if shared && (marks || f.arms[toCandidate].mutates) {
		data, shared = f.clone(m.data), false
		f.unref(m.data)
	}
	if shared {
		defer f.unref(m.data)
	}
	if marks {
		f.mark(data)
	}
	err := f.toCandidate(m.ctx, data, routes)
	took := f.now().Sub(began)
	if err != nil {
		f.candidateError(m.ctx, err)
	}
	if !m.last {
		f.telemetry.ConnectorAbRouterPoints.Add(m.ctx, int64(m.points), sideOptions[toCandidate][classMirror])
	}
	for _, row := range open {
		row.route.state.counts[toCandidate].record(row.points, took, outcomeOf(err))
		f.candidateGave(m.ctx, row.route, began, err != nil)
	}
}

package abrouterconnector

import (
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"

	"github.com/phoenix-platform/phoenix/internal/routing"
)

// newTraces makes the flow of traces.
func newTraces(r *router, baseline, candidate consumer.Traces) (*flow[ptrace.Traces], error) {
	var sizes ptrace.ProtoMarshaler
	return newFlow(r, operations[ptrace.Traces]{
		items: ptrace.Traces.SpanCount,
		bytes: sizes.TracesSize,
		clone: func(data ptrace.Traces) ptrace.Traces {
			to := ptrace.NewTraces()
			data.CopyTo(to)
			return to
		},
		ref: pref.RefTraces, unref: pref.UnrefTraces,
		divide:   divideTraces,
		mirrored: mirroredTraces,
		partial:  consumererror.NewTraces,
	}, [sides]arm[ptrace.Traces]{
		toBaseline:  {baseline.ConsumeTraces, baseline.Capabilities().MutatesData},
		toCandidate: {candidate.ConsumeTraces, candidate.Capabilities().MutatesData},
	})
}

// divideTraces moves what is the candidate's out of a batch.
func divideTraces(v *view, data ptrace.Traces, now time.Time, t *tally) (p parts[ptrace.Traces]) {
	candidate := ptrace.NewTraces()
	data.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		match := v.table.Resource(rs.Resource().Attributes())
		if match.None() {
			return false
		}
		d := itemDivider{view: v, now: now, tally: t}
		resource := rs.Resource().Attributes()
		if e, known := match.Whole(); known {
			if to, all := d.whole(e, resource); all {
				d.count(e, to, countSpans(rs))
				if to == toCandidate {
					rs.MoveTo(candidate.ResourceSpans().AppendEmpty())
				}
				return to == toCandidate
			}
		}
		return divideResourceTraces(&d, &match, rs, candidate)
	})
	p.data = [sides]ptrace.Traces{toBaseline: data, toCandidate: candidate}
	p.has = [sides]bool{toBaseline: data.ResourceSpans().Len() > 0, toCandidate: candidate.ResourceSpans().Len() > 0}
	if !p.has[toCandidate] {
		p.has[toBaseline] = true // as it came, though it be empty
	}
	return p
}

// divideResourceTraces moves items of a resource. It returns whether nothing is left.
func divideResourceTraces(d *itemDivider, match *routing.Match, rs ptrace.ResourceSpans, candidate ptrace.Traces) bool {
	resource, to := rs.Resource().Attributes(), ptrace.NewResourceSpans()
	rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
		scope := ptrace.NewScopeSpans()
		ss.Spans().RemoveIf(func(s ptrace.Span) bool {
			e := match.Point(s.Attributes())
			goes := d.item(e, resource, ss.Scope().Attributes(), s.Attributes(), s.TraceID()) == toCandidate
			if goes {
				s.MoveTo(scope.Spans().AppendEmpty())
			}
			return goes
		})
		if scope.Spans().Len() == 0 {
			return false
		}
		ss.Scope().CopyTo(scope.Scope())
		scope.SetSchemaUrl(ss.SchemaUrl())
		scope.MoveTo(to.ScopeSpans().AppendEmpty())
		return ss.Spans().Len() == 0
	})
	if to.ScopeSpans().Len() == 0 {
		return false
	}
	rs.Resource().CopyTo(to.Resource())
	to.SetSchemaUrl(rs.SchemaUrl())
	to.MoveTo(candidate.ResourceSpans().AppendEmpty())
	return rs.ScopeSpans().Len() == 0
}

func countSpans(rs ptrace.ResourceSpans) (n int) {
	for _, ss := range rs.ScopeSpans().All() {
		n += ss.Spans().Len()
	}
	return n
}

// mirroredTraces finds what candidates get beside the baseline. If that is all of
// the batch nothing is copied.
func mirroredTraces(v *view, data ptrace.Traces, now time.Time) (copied ptrace.Traces, rows []mirrorRow, whole bool) {
	whole = true
	for _, rs := range data.ResourceSpans().All() {
		match := v.table.Resource(rs.Resource().Attributes())
		e, known := match.Whole()
		rt := v.mirrorOf(e, now)
		if !known || rt == nil {
			whole = false
			break
		}
		rows = addRow(rows, rt, countSpans(rs))
	}
	if whole {
		return copied, rows, true
	}
	rows, copied = rows[:0], ptrace.NewTraces()
	for _, rs := range data.ResourceSpans().All() {
		match := v.table.Resource(rs.Resource().Attributes())
		if match.None() {
			continue
		}
		e, known := match.Whole()
		if !known {
			rows = copyTraces(v, &match, rs, copied, now, rows)
		} else if rt := v.mirrorOf(e, now); rt != nil {
			rs.CopyTo(copied.ResourceSpans().AppendEmpty())
			rows = addRow(rows, rt, countSpans(rs))
		}
	}
	return copied, rows, false
}

// copyTraces copies those items of a resource that candidates get.
func copyTraces(v *view, match *routing.Match, rs ptrace.ResourceSpans, copied ptrace.Traces, now time.Time, rows []mirrorRow) []mirrorRow {
	to := ptrace.NewResourceSpans()
	for _, ss := range rs.ScopeSpans().All() {
		scope := ptrace.NewScopeSpans()
		for _, s := range ss.Spans().All() {
			if rt := v.mirrorOf(match.Point(s.Attributes()), now); rt != nil {
				s.CopyTo(scope.Spans().AppendEmpty())
				rows = addRow(rows, rt, 1)
			}
		}
		if scope.Spans().Len() > 0 {
			ss.Scope().CopyTo(scope.Scope())
			scope.SetSchemaUrl(ss.SchemaUrl())
			scope.MoveTo(to.ScopeSpans().AppendEmpty())
		}
	}
	if to.ScopeSpans().Len() > 0 {
		rs.Resource().CopyTo(to.Resource())
		to.SetSchemaUrl(rs.SchemaUrl())
		to.MoveTo(copied.ResourceSpans().AppendEmpty())
	}
	return rows
}

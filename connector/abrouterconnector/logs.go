package abrouterconnector

import (
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"

	"github.com/phoenix-platform/phoenix/internal/routing"
)

// newLogs makes the flow of logs.
func newLogs(r *router, baseline, candidate consumer.Logs) (*flow[plog.Logs], error) {
	var sizes plog.ProtoMarshaler
	return newFlow(r, operations[plog.Logs]{
		items: plog.Logs.LogRecordCount,
		bytes: sizes.LogsSize,
		clone: func(data plog.Logs) plog.Logs {
			to := plog.NewLogs()
			data.CopyTo(to)
			return to
		},
		ref: pref.RefLogs, unref: pref.UnrefLogs,
		divide:   divideLogs,
		mirrored: mirroredLogs,
		partial:  consumererror.NewLogs,
	}, [sides]arm[plog.Logs]{
		toBaseline:  {baseline.ConsumeLogs, baseline.Capabilities().MutatesData},
		toCandidate: {candidate.ConsumeLogs, candidate.Capabilities().MutatesData},
	})
}

// divideLogs moves what is the candidate's out of a batch.
func divideLogs(v *view, data plog.Logs, now time.Time, t *tally) (p parts[plog.Logs]) {
	candidate := plog.NewLogs()
	data.ResourceLogs().RemoveIf(func(rs plog.ResourceLogs) bool {
		match := v.table.Resource(rs.Resource().Attributes())
		if match.None() {
			return false
		}
		d := itemDivider{view: v, now: now, tally: t}
		resource := rs.Resource().Attributes()
		if e, known := match.Whole(); known {
			if to, all := d.whole(e, resource); all {
				d.count(e, to, countLogRecords(rs))
				if to == toCandidate {
					rs.MoveTo(candidate.ResourceLogs().AppendEmpty())
				}
				return to == toCandidate
			}
		}
		return divideResourceLogs(&d, &match, rs, candidate)
	})
	p.data = [sides]plog.Logs{toBaseline: data, toCandidate: candidate}
	p.has = [sides]bool{toBaseline: data.ResourceLogs().Len() > 0, toCandidate: candidate.ResourceLogs().Len() > 0}
	if !p.has[toCandidate] {
		p.has[toBaseline] = true // as it came, though it be empty
	}
	return p
}

// divideResourceLogs moves items of a resource. It returns whether nothing is left.
func divideResourceLogs(d *itemDivider, match *routing.Match, rs plog.ResourceLogs, candidate plog.Logs) bool {
	resource, to := rs.Resource().Attributes(), plog.NewResourceLogs()
	rs.ScopeLogs().RemoveIf(func(ss plog.ScopeLogs) bool {
		scope := plog.NewScopeLogs()
		ss.LogRecords().RemoveIf(func(s plog.LogRecord) bool {
			e := match.Point(s.Attributes())
			goes := d.item(e, resource, ss.Scope().Attributes(), s.Attributes(), s.TraceID()) == toCandidate
			if goes {
				s.MoveTo(scope.LogRecords().AppendEmpty())
			}
			return goes
		})
		if scope.LogRecords().Len() == 0 {
			return false
		}
		ss.Scope().CopyTo(scope.Scope())
		scope.SetSchemaUrl(ss.SchemaUrl())
		scope.MoveTo(to.ScopeLogs().AppendEmpty())
		return ss.LogRecords().Len() == 0
	})
	if to.ScopeLogs().Len() == 0 {
		return false
	}
	rs.Resource().CopyTo(to.Resource())
	to.SetSchemaUrl(rs.SchemaUrl())
	to.MoveTo(candidate.ResourceLogs().AppendEmpty())
	return rs.ScopeLogs().Len() == 0
}

func countLogRecords(rs plog.ResourceLogs) (n int) {
	for _, ss := range rs.ScopeLogs().All() {
		n += ss.LogRecords().Len()
	}
	return n
}

// mirroredLogs finds what candidates get beside the baseline. If that is all of
// the batch nothing is copied.
func mirroredLogs(v *view, data plog.Logs, now time.Time) (copied plog.Logs, rows []mirrorRow, whole bool) {
	whole = true
	for _, rs := range data.ResourceLogs().All() {
		match := v.table.Resource(rs.Resource().Attributes())
		e, known := match.Whole()
		rt := v.mirrorOf(e, now)
		if !known || rt == nil {
			whole = false
			break
		}
		rows = addRow(rows, rt, countLogRecords(rs))
	}
	if whole {
		return copied, rows, true
	}
	rows, copied = rows[:0], plog.NewLogs()
	for _, rs := range data.ResourceLogs().All() {
		match := v.table.Resource(rs.Resource().Attributes())
		if match.None() {
			continue
		}
		e, known := match.Whole()
		if !known {
			rows = copyLogs(v, &match, rs, copied, now, rows)
		} else if rt := v.mirrorOf(e, now); rt != nil {
			rs.CopyTo(copied.ResourceLogs().AppendEmpty())
			rows = addRow(rows, rt, countLogRecords(rs))
		}
	}
	return copied, rows, false
}

// copyLogs copies those items of a resource that candidates get.
func copyLogs(v *view, match *routing.Match, rs plog.ResourceLogs, copied plog.Logs, now time.Time, rows []mirrorRow) []mirrorRow {
	to := plog.NewResourceLogs()
	for _, ss := range rs.ScopeLogs().All() {
		scope := plog.NewScopeLogs()
		for _, s := range ss.LogRecords().All() {
			if rt := v.mirrorOf(match.Point(s.Attributes()), now); rt != nil {
				s.CopyTo(scope.LogRecords().AppendEmpty())
				rows = addRow(rows, rt, 1)
			}
		}
		if scope.LogRecords().Len() > 0 {
			ss.Scope().CopyTo(scope.Scope())
			scope.SetSchemaUrl(ss.SchemaUrl())
			scope.MoveTo(to.ScopeLogs().AppendEmpty())
		}
	}
	if to.ScopeLogs().Len() > 0 {
		rs.Resource().CopyTo(to.Resource())
		to.SetSchemaUrl(rs.SchemaUrl())
		to.MoveTo(copied.ResourceLogs().AppendEmpty())
	}
	return rows
}

package fidelity

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// query judges one query.
func (l *look) query(ctx context.Context, q *query, t *track) outcome {
	if t.ledger.mismatch != "" {
		return outcome{verdict: experiment.QueryDiffers, text: t.ledger.mismatch, finding: finding{detail: t.ledger.mismatch}}
	}
	if q.unable != "" || !l.complete(q, l.at) {
		return outcome{verdict: experiment.QueryNotJudged}
	}
	switch q.kind {
	case recording:
		return l.compare(ctx, q, q.expr, l.rules[base].answer(q.rule), l.rules[cand].answer(q.rule))
	case alert:
		return l.alert(ctx, q)
	case panel:
	}
	return l.ask(ctx, q, q.expr)
}

func (l *look) ask(ctx context.Context, q *query, expr string) outcome {
	return l.compare(ctx, q, expr, ask(ctx, l.engine, l.arms[base], expr, l.at), ask(ctx, l.engine, l.arms[cand], expr, l.at))
}

// alert compares what an alert compares, so that a wrong arm is found before
// anything fires. The worst of its operands decides; that one has no data does
// not matter if others have.
func (l *look) alert(ctx context.Context, q *query) outcome {
	for _, s := range l.rules {
		if a := s.answer(q.rule); a.err != nil {
			return l.failed(q.expr, l.rules[base].answer(q.rule), l.rules[cand].answer(q.rule))
		}
	}
	operands := q.operands
	if len(operands) == 0 {
		operands = []string{q.expr}
	}
	worst := outcome{verdict: experiment.QueryNoData}
	for _, expr := range operands {
		if o := l.ask(ctx, q, expr); rank(o) > rank(worst) {
			worst = o
		}
	}
	return worst
}

// rank orders outcomes: what differs counts before what is unknown.
func rank(o outcome) float64 {
	switch o.verdict {
	case experiment.QueryDiffers:
		return 4 + o.finding.severity()
	case experiment.QueryNotJudged:
		return 3
	case experiment.QueryWithin:
		return 2
	case experiment.QueryIdentical:
		return 1
	case experiment.QueryNoData:
	}
	return 0
}

// failed is the outcome if an arm gives no answer. What the bounds of the engine
// cut off is none; a query that fails on both arms, or on the baseline, cannot
// be compared.
func (l *look) failed(expr string, baseline, candidate answer) outcome {
	if baseline.err != nil || candidate.bounded() {
		return outcome{verdict: experiment.QueryNotJudged}
	}
	text := fmt.Sprintf("%s fails on the candidate only: %s", expr, candidate.err)
	return outcome{verdict: experiment.QueryDiffers, text: text, finding: finding{detail: text}}
}

// compare judges two answers. Only if they differ is it asked what consolidation
// may have done by its timing.
func (l *look) compare(ctx context.Context, q *query, expr string, baseline, candidate answer) outcome {
	if baseline.err != nil || candidate.err != nil {
		return l.failed(expr, baseline, candidate)
	}
	if len(baseline.vector) == 0 && len(candidate.vector) == 0 {
		return l.empty(ctx, q)
	}
	var r reference
	r.add(baseline.vector, exact)
	f := r.compare(candidate.vector)
	switch {
	case f.within(sameRatio, sameRatio):
		return outcome{verdict: experiment.QueryIdentical}
	case l.same(f):
		return outcome{verdict: experiment.QueryWithin, finding: f}
	}
	f, err := l.widen(ctx, q, expr, &r, candidate.vector)
	switch {
	case err != nil:
		return outcome{verdict: experiment.QueryNotJudged}
	case l.same(f):
		return outcome{verdict: experiment.QueryWithin, finding: f}
	}
	return outcome{verdict: experiment.QueryDiffers, finding: f, text: l.describe(q, expr, f)}
}

func (l *look) describe(q *query, expr string, f finding) string {
	if q.kind == panel {
		return f.text()
	}
	return expr + ": " + f.text()
}

// widenings is how many answers of the baseline the slack is divided into.
const widenings = 8

// widen joins to the baseline's answer which elements it had before, if they are
// in doubt, and what its answer is if it is emitted as the candidate is, until
// that is enough.
func (l *look) widen(ctx context.Context, q *query, expr string, r *reference, candidate promql.Vector) (f finding, err error) {
	f = r.compare(candidate)
	if f.detail != "" {
		step := (l.slack / widenings).Truncate(time.Millisecond)
		before, err := askRange(ctx, l.engine, l.arms[base], expr, l.at.Add(-widenings*step), l.at.Add(-step), step)
		if err != nil {
			return f, err
		}
		for _, v := range before {
			r.add(v, earlier)
		}
		f = r.compare(candidate)
	}
	if !l.emitted(q) {
		return f, nil
	}
	for _, inputs := range []inputs{asParts, asTheyAre, sinceActivation} {
		for _, late := range latenesses {
			if l.same(f) {
				return f, nil
			}
			a := ask(ctx, l.engine, resampled{look: l, inputs: inputs, late: late, half: q.reads.span / 2}, expr, l.at)
			if a.err != nil {
				return f, a.err
			}
			r.add(a.vector, emittedAs)
			f = r.compare(candidate)
		}
	}
	return f, nil
}

// same says whether a finding passes for the same.
func (l *look) same(f finding) bool {
	return f.within(*l.fidelity.Tolerance, *l.fidelity.MeanTolerance)
}

// emitted says whether the candidate emits at edges what a query reads.
func (l *look) emitted(q *query) bool {
	if q.reads.any {
		return len(l.emissions) > 0
	}
	for name := range q.reads.names {
		for _, family := range familiesOf(name) {
			if _, ok := l.emissions[family]; ok {
				return true
			}
		}
	}
	return false
}

// empty judges a query that has no answer on both arms. That is the same answer
// if both have the series that it selects.
func (l *look) empty(ctx context.Context, q *query) outcome {
	found := experiment.QueryNoData
	for _, s := range q.selectors {
		before, now, own := l.has(ctx, base, s, l.slack), l.has(ctx, base, s, 0), l.has(ctx, cand, s, 0)
		switch {
		case now && own:
			found = experiment.QueryIdentical
		case now && before && !own:
			text := s.text + " finds series on the baseline, and none on the candidate"
			return outcome{verdict: experiment.QueryDiffers, text: text, finding: finding{detail: text}}
		case own && !now && !before:
			text := s.text + " finds series on the candidate, and none on the baseline"
			return outcome{verdict: experiment.QueryDiffers, text: text, finding: finding{detail: text}}
		}
	}
	return outcome{verdict: found}
}

// has says whether a selector finds samples on an arm, so long before the
// instant.
func (l *look) has(ctx context.Context, arm int, s selector, before time.Duration) bool {
	type key struct {
		text         string
		from, before time.Duration
	}
	k := key{s.text, s.from<<8 + s.to, before}
	if found, ok := l.presences[arm].Load(k); ok {
		return found.(bool)
	}
	at := l.at.Add(-before)
	found := finds(ctx, l.arms[arm], s, at.Add(-max(s.from, s.to+lookback)), at.Add(-s.to))
	l.presences[arm].Store(k, found)
	return found
}

func finds(ctx context.Context, q storage.Queryable, s selector, from, to time.Time) bool {
	querier, err := q.Querier(from.UnixMilli(), to.UnixMilli())
	if err != nil {
		return false
	}
	defer func() { _ = querier.Close() }() // it only read
	set := querier.Select(ctx, false, nil, s.matchers...)
	for set.Next() {
		if it := set.At().Iterator(nil); it.Next() != 0 {
			return true
		}
	}
	return false
}

// noteAlert takes down on which arms an alert fires.
func (l *look) noteAlert(q *query, ledger *ledger, at time.Time) {
	for arm, s := range l.rules {
		if r, ok := s.rules[q.rule].(*rules.AlertingRule); ok {
			ledger.note(arm, r, q.volatile, at)
		}
	}
	due := at.Add(-l.slack)
	ledger.settle(due, l.slack, l.complete(q, due))
}

package fidelity

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// record evaluates recording rules at the instants at which the arms do, as they
// would be on an arm that emits at edges. Kept of the look before is nothing, so
// that only who asks pays.
func (q resampledQuerier) record(ctx context.Context, list []rule, hints *storage.SelectHints, ms []*labels.Matcher) storage.SeriesSet {
	step := q.timing.step.Milliseconds()
	until := min(q.maxt, q.at.UnixMilli())
	from := q.mint
	if hints != nil && hints.Range == 0 && hints.Step == 0 { // one instant
		from = until - step + 1
	}
	first, last := q.at.UnixMilli()-(q.at.UnixMilli()-from)/step*step, q.at.UnixMilli()-(q.at.UnixMilli()-until)/step*step
	var found []storage.Series
	for _, r := range list {
		answers, err := askRange(ctx, q.engine, q.resampled, r.expr.String(), time.UnixMilli(first), time.UnixMilli(last), q.timing.step)
		if err != nil {
			return storage.ErrSeriesSet(err)
		}
		found = append(found, recordedAs(r, answers, ms)...)
	}
	slices.SortFunc(found, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &listSet{list: found, at: -1}
}

// listSet is a set of series that are at hand.
type listSet struct {
	list []storage.Series
	at   int
}

// Next implements storage.SeriesSet.
func (s *listSet) Next() bool { s.at++; return s.at < len(s.list) }

// At implements storage.SeriesSet.
func (s *listSet) At() storage.Series { return s.list[s.at] }

// Err implements storage.SeriesSet.
func (*listSet) Err() error { return nil }

// Warnings implements storage.SeriesSet.
func (*listSet) Warnings() annotations.Annotations { return nil }

// recordedAs makes the series of a rule's answers, those that are selected.
func recordedAs(r rule, answers []promql.Vector, ms []*labels.Matcher) []storage.Series {
	samples := map[string][]emitted{}
	names := map[string]labels.Labels{}
	for _, v := range answers {
		for _, s := range v {
			b := labels.NewBuilder(s.Metric).Set(model.MetricNameLabel, r.record)
			r.labels.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
			ls := b.Labels()
			key := string(ls.Bytes(nil))
			names[key] = ls
			samples[key] = append(samples[key], emitted{t: s.T, value: value{v: s.F, fh: s.H}})
		}
	}
	var found []storage.Series
	for key, ls := range names {
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) }) {
			found = append(found, storage.NewListSeries(ls, samplesOf(samples[key])))
		}
	}
	return found
}

// nameOf is the one name that is selected, if there is one.
func nameOf(ms []*labels.Matcher) string {
	for _, m := range ms {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

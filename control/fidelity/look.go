package fidelity

import (
	"context"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// look is one evaluation of everything at one instant.
type look struct {
	*Judge

	at time.Time
	// slack is by how much the candidate may be late: the experiment's, or that of
	// the longest interval of its outputs.
	slack time.Duration
	// longest is the longest interval of the candidate's outputs.
	longest   time.Duration
	emissions map[string]emission
	presences [2]sync.Map
	outcomes  []outcome
}

// outcome is what became of a query.
type outcome struct {
	verdict experiment.QueryVerdict
	finding finding
	// text says how it differs.
	text string
}

// prepare fills the heads up to the instant, and drops what nobody reads any
// more.
func (l *look) prepare(ctx context.Context) bool {
	keep := l.at.Add(-time.Duration(l.plan.LongestRange()) - max(l.timing.slack, longestInterval) - lookback - 2*l.timing.interval)
	for _, a := range l.arms {
		err := a.settle(ctx, l.at.Add(l.timing.lateness))
		if err == nil {
			err = a.forget(keep)
		}
		if err != nil {
			l.settings.Logger.Error("Cannot keep what the arms send", zap.String("experiment", l.settings.Spec.ID), zap.Error(err))
			return false
		}
	}
	l.learnEmissions()
	return true
}

// learnEmissions finds out at which edges the candidate emits, and how late
// points arrive, which decides at which edge.
func (l *look) learnEmissions() {
	l.slack, l.emissions = l.timing.slack, map[string]emission{}
	for name, e := range l.arms[cand].emitted() {
		interval := e.interval
		late := l.arms[base].lateness(name)
		most := min(max(time.Duration(late.most)*time.Millisecond, 0)+queueTime, l.timing.lateness)
		least := min(time.Duration(late.least)*time.Millisecond-queueTime, most)
		e.least, e.most = least, most
		e.edges = e.complete(l.at)
		l.emissions[name] = e
		if interval <= longestInterval {
			l.longest = max(l.longest, interval)
		}
	}
	l.slack = max(l.slack, l.longest+l.timing.lateness)
	l.slack = (l.slack + l.timing.step - 1) / l.timing.step * l.timing.step
}

// queueTime is how much later than at the baseline's measuring point a point may be
// at the candidate's processors, through the router's queue, and how much later
// than its time an edge may come on a busy machine.
const queueTime = 500 * time.Millisecond

// emitted says which metrics were emitted at edges, and at which. An interval that
// is not known yet is longer than the longest.
func (a *arm) emitted() map[string]emission {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := map[string]emission{}
	for name, f := range a.families {
		if interval, known := f.interval(); interval > 0 || !known {
			found[name] = emission{interval: interval, edges: slices.Sorted(maps.Keys(f.edges))}
		}
	}
	return found
}

func (a *arm) lateness(family string) lag {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.families[family]
	if f == nil {
		return lag{}
	}
	return f.seen().late
}

// emission is how a series of the baseline is emitted by the candidate, and what
// is known of it.
func (l *look) emission(ls labels.Labels) (emission, *series) {
	a := l.arms[base]
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.find(ls)
	if s == nil || s.outside {
		return emission{}, nil
	}
	return l.emissions[s.family.name], s
}

// evaluateRules runs the rules of both arms at the instants since the last look,
// side by side, and notes which alerts fire.
func (l *look) evaluateRules(ctx context.Context) bool {
	for _, at := range l.timing.instants(l.last, l.at) {
		var both sync.WaitGroup
		for _, s := range l.rules {
			both.Go(func() { s.evaluate(ctx, at) })
		}
		both.Wait()
		if ctx.Err() != nil {
			return false
		}
		for i := range l.plan.queries {
			if l.plan.queries[i].kind == alert {
				l.noteAlert(&l.plan.queries[i], &l.tracks[i].ledger, at)
			}
		}
	}
	return true
}

// judge asks all queries.
func (l *look) judge(ctx context.Context) bool {
	l.outcomes = make([]outcome, len(l.plan.queries))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(l.outcomes) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				l.outcomes[i] = l.confirm(&l.tracks[i], l.query(ctx, &l.plan.queries[i], &l.tracks[i]))
			}
		})
	}
	workers.Wait()
	return ctx.Err() == nil
}

// confirmingLooks is how many looks in a row a query must differ, and as long as
// to see two edges: what an output shows that came at a bad moment is over with
// the next one.
const confirmingLooks = 2

func (l *look) confirm(t *track, o outcome) outcome {
	if o.verdict != experiment.QueryDiffers {
		t.suspected = 0
		return o
	}
	if t.suspected++; t.suspected == 1 {
		t.since = l.at
	}
	if (t.suspected < confirmingLooks || l.at.Sub(t.since) < l.longest) && t.ledger.mismatch == "" {
		o.verdict = experiment.QueryNotJudged
	}
	return o
}

// complete says whether all that a query reads at an instant, and as far back as
// outputs may be late, is in both heads.
func (l *look) complete(q *query, at time.Time) bool {
	from := at.Add(-q.reads.span - q.hold - l.slack)
	if !l.first.IsZero() && from.Before(l.first) || l.first.IsZero() {
		return false
	}
	start := max(l.arms[base].start(), l.arms[cand].start())
	if from.UnixMilli() < start || from.Before(l.lostAll) {
		return false
	}
	if q.reads.any {
		for _, lost := range l.lostAt {
			if from.Before(lost) {
				return false
			}
		}
		return true
	}
	for name := range q.reads.names {
		for _, family := range familiesOf(name) {
			first, seen := l.firstOf(family)
			if l.emissions[family].interval > longestInterval {
				return false
			}
			if from.Before(l.lostAt[family]) || seen && from.UnixMilli() < first {
				return false
			}
		}
	}
	return true
}

// familiesOf are the metrics whose types may make a series of this name.
func familiesOf(name string) []string {
	list := []string{name}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if family, ok := strings.CutSuffix(name, suffix); ok {
			list = append(list, family)
		}
	}
	return list
}

// firstOf is since when an arm has a metric: the later one, of those that have.
func (l *look) firstOf(family string) (first int64, seen bool) {
	for _, a := range l.arms {
		if t := a.firstOf(family); t != math.MaxInt64 {
			first, seen = max(first, t), true
		}
	}
	return first, seen
}

func (a *arm) firstOf(family string) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.families[family]; f != nil {
		return f.first
	}
	return math.MaxInt64
}

// start is since when there is something of the experiment.
func (a *arm) start() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.began
}

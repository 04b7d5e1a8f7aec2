package fidelity

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// Judge asks the queries of one experiment on both of its arms. It covers one run
// of the candidate without interruption: after a pause there must be a new one.
// Look is called by one goroutine at a time, the other methods by any.
type Judge struct {
	settings Settings
	fidelity experiment.Fidelity
	plan     *Plan
	timing   timing
	engine   *promql.Engine
	arms     [2]*arm
	rules    [2]*ruleset
	feeds    *feeds

	mu     sync.Mutex // held by Look and Close
	closed bool
	// first and last are the instants of the first and of the newest look, verdict
	// is the newest one.
	first, last time.Time
	verdict     *experiment.FidelityVerdict
	// lostAt is when part of a metric was last lost, lostAll of who knows which.
	lostAt  map[string]time.Time
	lostAll time.Time
	refused bool
	tracks  []track
}

// track is what is remembered of a query between looks.
type track struct {
	// suspected counts the looks in a row at which it differed, the first one at
	// since.
	suspected int
	since     time.Time
	ledger    ledger
}

// Open begins to keep what both arms send. The caller closes the Judge.
func Open(s Settings) (*Judge, error) {
	s = s.withDefaults()
	if err := s.check(); err != nil {
		return nil, err
	}
	c, err := newConverter(s.Spec, s.Backend)
	if err != nil {
		return nil, err
	}
	j := &Judge{
		settings: s, fidelity: *s.Spec.Fidelity, plan: s.Plan, engine: newEngine(),
		timing: newTiming(s.Spec.Interval.Std(), s.Lateness),
		lostAt: map[string]time.Time{}, tracks: make([]track, len(s.Plan.queries)),
	}
	for i, name := range armNames {
		if j.arms[i], err = newArm(name, s.Dir, j.fidelity.MaxSeries, j.fidelity.MaxMemoryMiB); err != nil {
			j.release()
			return nil, err
		}
		j.rules[i] = newRuleset(s.Plan, j.engine, j.arms[i])
	}
	j.feeds = newFeeds(s, c, j.arms[base], j.arms[cand])
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	if err := j.feeds.want(ctx); err != nil {
		j.Close()
		return nil, err
	}
	for _, warning := range s.Plan.Warnings() {
		s.Logger.Info("A query can never be judged", zap.String("experiment", s.Spec.ID), zap.String("query", warning))
	}
	return j, nil
}

// openTime bounds how long Open waits for names.
const openTime = 5 * time.Second

// Close ends the subscriptions and lets go of the heads. It may be called twice.
func (j *Judge) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.closed = true
	j.feeds.close()
	j.release()
}

func (j *Judge) release() {
	var errs []error
	for _, a := range j.arms {
		if a != nil {
			errs = append(errs, a.close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		j.settings.Logger.Warn("Cannot remove what was kept to judge queries", zap.Error(err))
	}
}

// MemoryBytes estimates what both heads take.
func (j *Judge) MemoryBytes() int64 {
	return j.arms[base].memoryBytes() + j.arms[cand].memoryBytes()
}

// Look asks all queries that can be judged at the newest instant at which both
// arms are complete. It returns nil while nothing was judged, and the verdict of
// the look before if no interval has passed since.
func (j *Judge) Look(ctx context.Context, now time.Time) *experiment.FidelityVerdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	at := j.timing.instant(now)
	if j.closed || !at.After(j.last) {
		return j.verdict
	}
	if err := j.feeds.want(ctx); err != nil {
		j.settings.Logger.Warn("Cannot find out which metrics the queries read; the known ones are judged",
			zap.String("experiment", j.settings.Spec.ID), zap.Error(err))
	}
	offers := j.noteLosses(now)
	l := &look{Judge: j, at: at}
	if !l.prepare(ctx) || !l.evaluateRules(ctx) || !l.judge(ctx) {
		return j.verdict // the caller has gone, or a head is broken, which was logged
	}
	if j.last = at; j.first.IsZero() {
		j.first = at
	}
	v := l.assemble(offers)
	if j.verdict != nil || v.All().Judged() > 0 {
		j.verdict = v
	}
	return j.verdict
}

// noteLosses takes down what is missing in a head, and how many offers the tap
// has lost in all.
func (j *Judge) noteLosses(now time.Time) uint64 {
	families, all, offers := j.feeds.lost()
	for name := range families {
		j.lostAt[name] = now
	}
	if all {
		j.lostAll = now
	}
	for _, a := range j.arms {
		names, unknown := a.takeRefused()
		for _, name := range names {
			j.lostAt[name] = now
		}
		if unknown {
			j.lostAll = now
		}
		if !j.refused && (unknown || len(names) > 0) {
			j.refused = true
			j.settings.Logger.Warn("Queries are not judged whose series have no room; raise fidelity.max_series or fidelity.max_memory_mib",
				zap.String("experiment", j.settings.Spec.ID), zap.String("arm", a.name), zap.Strings("metrics", names))
		}
	}
	return offers
}

// takeRefused returns the metrics of which samples had no room since it was last
// asked, and whether there were others.
func (a *arm) takeRefused() (names []string, unknown bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	unknown, a.unknown = a.unknown, false
	for name, f := range a.families {
		if f.refused {
			f.refused = false
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, unknown
}

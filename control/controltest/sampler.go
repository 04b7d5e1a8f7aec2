package controltest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// Sampler is a report.SamplerSource that has the policies of a plane, and has
// seen the same points for each rule.
type Sampler struct {
	plane *control.Plane

	mu      sync.Mutex
	since   map[string]time.Time
	now     func() time.Time
	lagging bool
	problem string
	err     error
	// exceeded are the budgets that are at their floor.
	exceeded map[string]bool
}

var _ report.SamplerSource = (*Sampler)(nil)

// RegisterSampler makes a Sampler known to the plane until the test ends.
func RegisterSampler(tb testing.TB, plane *control.Plane, component string, now func() time.Time) *Sampler {
	tb.Helper()
	s := &Sampler{plane: plane, now: now, since: map[string]time.Time{}, exceeded: map[string]bool{}}
	unregister, err := plane.RegisterSampler(report.SamplerRegistration{Component: component, Source: s})
	require.NoError(tb, err)
	tb.Cleanup(unregister)
	return s
}

// Lag makes the sampler stay with no policies, or follow again.
func (s *Sampler) Lag(lagging bool) { s.change(func() { s.lagging = lagging }) }

// Fail makes it answer with an error, or with none, and report a problem.
func (s *Sampler) Fail(problem string, err error) {
	s.change(func() { s.problem, s.err = problem, err })
}

// Exceed says that a budget is exceeded at its floor, or kept again.
func (s *Sampler) Exceed(budget string, exceeded bool) {
	s.change(func() { s.exceeded[budget] = exceeded })
}

func (s *Sampler) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// PolicyVersion implements report.SamplerSource.
func (s *Sampler) PolicyVersion() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version()
}

func (s *Sampler) version() uint64 {
	if s.lagging {
		return 0
	}
	return s.plane.Policy().Version
}

// Sampling implements report.SamplerSource. Each rule has kept a quarter of
// 40,000 points within 100 seconds.
func (s *Sampler) Sampling(context.Context) (report.Sampling, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return report.Sampling{}, s.err
	}
	now := s.now()
	answer := report.Sampling{
		PolicyVersion: s.version(), Since: now.Add(-time.Hour), At: now,
		Signals: []report.SampledSignal{
			{Signal: policy.SignalLogs, In: 5_000, Kept: 1_250, Represented: 5_000, Keys: 12},
			{Signal: policy.SignalMetrics, In: 400_000, Kept: 100_000, Represented: 400_000},
			{Signal: policy.SignalTraces, In: 90_000, Kept: 9_000, Represented: 180_000, Keys: 3, KeysEvicted: 1},
		},
		Budgets: []report.SampledBudget{{
			Name: "traces.target", Signal: policy.SignalTraces, Static: true, Unit: "points", Target: 10, In: 25, Out: 12.5,
			Level: 0.5, Floor: 0.01, Ceiling: 100, Error: 0.25,
		}},
		Keys: []report.SampledKey{{
			Signal: policy.SignalTraces, Key: "service.name=checkout", Group: "checkout", In: 60_000, Kept: 6_000, Represented: 120_000, Probability: 0.0625,
		}},
	}
	if s.problem != "" {
		answer.Problems = []string{s.problem}
	}
	if s.lagging {
		return answer, nil
	}
	for _, r := range s.plane.Policy().Sampling {
		s.add(&answer, r.WithDefaults(), now)
	}
	return answer, nil
}

func (s *Sampler) add(answer *report.Sampling, r policy.SamplingRule, now time.Time) {
	key := r.Name + string(r.Mode)
	if s.since[key].IsZero() {
		s.since[key] = now.Add(-100 * time.Second)
	}
	if b := r.Budget; b != nil {
		unit, target := "points", b.PointsPerSecond
		if b.BytesPerSecond > 0 {
			unit, target = "bytes", b.BytesPerSecond
		}
		one := report.SampledBudget{
			Name: r.Name, Signal: b.Signal, Unit: unit, Target: target, In: 4 * target, Out: target,
			Level: 0.25, Floor: b.Floor, Ceiling: b.Ceiling,
		}
		if s.exceeded[r.Name] {
			one.Level, one.Out, one.Error, one.FloorReached = b.Floor, 2*target, 1, true
		}
		answer.Budgets = append(answer.Budgets, one)
		return
	}
	rule := report.SampledRule{Name: r.Name, Kind: r.Kind(), Mode: string(r.Mode), In: 40_000, Kept: 10_000, Since: s.since[key]}
	if r.Series != nil {
		rule.Ratio = r.Series.Ratio
		rule.Totals = []report.SampledTotal{{
			Metric: "db.client.calls", From: now.Add(-time.Minute), To: now, Kept: 25, Series: 100, SeriesError: 17.3,
			Total: 5_000, Variance: 250_000, Low: 4_020, High: 5_980,
		}}
	} else {
		rule.Series = 2_500
	}
	answer.Rules = append(answer.Rules, rule)
}

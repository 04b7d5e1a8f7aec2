package adaptivesamplerprocessor

import (
	"encoding/json"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/sampling/budget"
)

const (
	// maxMetricBudgets bounds the budgets for metrics.
	maxMetricBudgets = 10_000
	// longestStep bounds the time between two steps of a budget.
	longestStep = 5 * time.Minute
)

// metricBudget bounds what goes on of the points that match. What is configured is
// immutable.
type metricBudget struct {
	name   string
	static bool
	// preview measures, and leaves the level at 1.
	preview bool
	bytes   bool
	limits  budget.Policy

	level   atomic.Uint64 // bits of a float64
	in, out atomic.Uint64 // since the last step, in points or bytes
	// heartbeat is the longest one of the dead bands that were met, in nanoseconds.
	heartbeat atomic.Int64

	// Below is under the lock of metrics.
	elapsed time.Duration // since the last step
	shown   report.SampledBudget
}

func newMetricBudget(r *ruleInForce) *metricBudget {
	c := r.Budget
	b := &metricBudget{name: r.Name, static: r.static, preview: r.Mode == policy.ModePreview, bytes: c.BytesPerSecond > 0}
	b.limits = budget.Policy{Target: c.PointsPerSecond, Floor: c.Floor, Ceiling: c.Ceiling}
	if b.bytes {
		b.limits.Target = c.BytesPerSecond
	}
	b.set(1)
	return b
}

func (b *metricBudget) current() float64  { return math.Float64frombits(b.level.Load()) }
func (b *metricBudget) set(level float64) { b.level.Store(math.Float64bits(level)) }

// group is the name of its state: a budget in another unit is another one.
func (b *metricBudget) group() string { return b.name + "/" + b.unit() }

func (b *metricBudget) unit() string {
	if b.bytes {
		return unitBytes
	}
	return unitPoints
}

// meet notes the heartbeat of a dead band that the budget is over.
func (b *metricBudget) meet(heartbeat uint64) {
	for {
		known := b.heartbeat.Load()
		if int64(heartbeat) <= known || b.heartbeat.CompareAndSwap(known, int64(heartbeat)) { //nolint:gosec // valid rules have one below 2^63
			return
		}
	}
}

// step is how long a reading has to be: a heartbeat, so that each series has sent
// once, or a shorter one would be taken for load. Where no dead band was met it is
// the default heartbeat, because sources send once a minute or more often. A level
// acts at once on what moves, and on heartbeats only one heartbeat later, so one
// that is longer than longestStep does not hold up the rest.
func (b *metricBudget) step(interval time.Duration) time.Duration {
	heartbeat := time.Duration(b.heartbeat.Load())
	if heartbeat == 0 {
		heartbeat = policy.DefaultHeartbeat.Std()
	}
	return max(interval, min(heartbeat, longestStep))
}

// setBudgets replaces the budgets. The lock is held.
func (m *metrics) setBudgets(budgets []*metricBudget) error {
	policies := make(map[string]budget.Policy, len(budgets))
	for _, b := range budgets {
		if !b.preview {
			policies[b.group()] = b.limits
		}
	}
	if err := m.controller.SetPolicies(policies); err != nil {
		return err
	}
	m.controller.Restore(m.remembered)
	for _, b := range budgets {
		if old := m.budgets[b.group()]; old != nil {
			b.in.Store(old.in.Load())
			b.out.Store(old.out.Load())
			b.heartbeat.Store(old.heartbeat.Load())
			b.elapsed, b.shown = old.elapsed, old.shown
		}
		m.take(b)
	}
	m.budgets = make(map[string]*metricBudget, len(budgets))
	for _, b := range budgets {
		m.budgets[b.group()] = b
	}
	return nil
}

// take makes a budget work at the level of its state. The lock is held.
func (m *metrics) take(b *metricBudget) {
	level, known := m.controller.Level(b.group())
	if !known { // it is in preview
		level = 1
		b.shown.FloorReached = false
	} else {
		delete(m.remembered, b.group())
		b.shown.FloorReached = m.controller.States()[b.group()].Exceeded
	}
	b.set(level)
}

// stepBudgets ends the intervals that are over. The lock is held.
func (m *metrics) stepBudgets(elapsed time.Duration) {
	for _, b := range m.budgets {
		if b.elapsed += elapsed; b.elapsed < b.step(m.core.cfg.Interval) || b.elapsed <= 0 {
			continue
		}
		r := budget.Reading{In: float64(b.in.Swap(0)), Out: float64(b.out.Swap(0)), Seconds: b.elapsed.Seconds()}
		b.elapsed = 0
		b.shown.In, b.shown.Out = r.In/r.Seconds, r.Out/r.Seconds
		if b.preview {
			b.shown.Error = b.shown.Out/b.limits.Target - 1
			continue
		}
		d, _ := m.controller.Step(b.group(), r)
		b.set(d.Level)
		b.shown.Error = d.Error
		switch d.Happened {
		case budget.FloorReached:
			b.shown.FloorReached = true
		case budget.FloorLeft:
			b.shown.FloorReached = false
		case budget.Nothing:
		}
	}
}

// report is what is shown of a budget. The lock of metrics is held.
func (b *metricBudget) report() report.SampledBudget {
	s := b.shown
	s.Name, s.Signal, s.Static, s.Unit = b.name, policy.SignalMetrics, b.static, b.unit()
	s.Target, s.Floor, s.Ceiling, s.Level = b.limits.Target, b.limits.Floor, b.limits.Ceiling, b.current()
	return s
}

// saveBudgets is what is kept of levels over a restart. The lock is held.
func (m *metrics) saveBudgets() ([]byte, error) {
	groups := m.controller.States()
	for name, state := range m.remembered { // of budgets that control has not sent yet
		if _, known := groups[name]; !known {
			groups[name] = state
		}
	}
	return json.Marshal(budgetsState{Version: budgetsVersion, Groups: groups})
}

// restoreBudgets takes up what saveBudgets wrote. The lock is held. Levels of
// budgets that control sends later wait for them.
func (m *metrics) restoreBudgets(saved []byte) error {
	if saved == nil {
		return nil
	}
	var s budgetsState
	if err := json.Unmarshal(saved, &s); err != nil {
		return fmt.Errorf("levels of budgets: %w", err)
	}
	if s.Version != budgetsVersion {
		return fmt.Errorf("levels of budgets: version %d, this program knows %d", s.Version, budgetsVersion)
	}
	if len(s.Groups) > maxMetricBudgets {
		return fmt.Errorf("levels of budgets: %d groups, the bound is %d", len(s.Groups), maxMetricBudgets)
	}
	m.remembered = s.Groups
	m.controller.Restore(s.Groups)
	for _, b := range m.budgets {
		m.take(b)
	}
	return nil
}

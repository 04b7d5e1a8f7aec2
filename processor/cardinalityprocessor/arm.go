package cardinalityprocessor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

const (
	// armLookEvery is how often new experiments are looked for.
	armLookEvery = 100 * time.Millisecond
	// maxArmSubWindow is the longest sub-window of the series of an arm: twice as
	// long is what a look has to wait for series that are gone to be forgotten.
	maxArmSubWindow = time.Minute

	metricsSignal = "metrics"
)

// armed measures what leaves one arm of experiments. All instances of one id
// share it.
type armed struct {
	measurement *measurement
	name        policy.Arm // empty: the end of no arm
	subWindow   time.Duration
	source      policy.Source
	budget      armBudget
	view        atomic.Pointer[armView] // nil: nothing is measured
	unregister  func()                  // nil: not registered
}

// armView is the experiments that are measured. It is not written to, but for
// what the counters count.
type armView struct {
	snapshot *policy.Snapshot
	table    *routing.Table
	counters []*armCounter // by routing.Experiment.Tag
}

var _ report.ArmSource = (*armed)(nil)

// init makes it ready. With the option `arm` half of the memory is for
// experiments.
func (a *armed) init(m *measurement) {
	a.measurement, a.name = m, policy.Arm(m.config.Arm)
	a.subWindow = min(m.config.Window/time.Duration(m.config.SubWindows), maxArmSubWindow)
	if a.name != "" {
		a.budget.bound = int64(m.config.MaxMemoryMiB) << 20 / 2
		a.budget.left.Store(a.budget.bound)
	}
}

// start finds the experiments and offers what is counted. Without the option
// `arm` it does nothing.
func (a *armed) start(host component.Host) error {
	if a.name == "" {
		return nil
	}
	m := a.measurement
	extension := host.GetExtensions()[*m.config.Control] // it is there: findControl
	source, knows := extension.(policy.Source)
	registry, judges := extension.(report.ArmRegistry)
	if !knows || !judges {
		return fmt.Errorf("arm: %s needs a control plane that runs experiments, but the extension %s (%T) does not", m.id, m.config.Control, extension)
	}
	a.source = source
	a.look(time.Now())
	unregister, err := registry.RegisterArm(report.ArmRegistration{
		Component: m.id.String(), Point: m.point, Arm: string(a.name), Source: a, Backend: report.ArmBackend(m.config.Backend.prometheus()),
	})
	if err != nil {
		return fmt.Errorf("register with %s: %w", m.config.Control, err)
	}
	a.unregister = unregister
	return nil
}

func (a *armed) shutdown() {
	if a.unregister != nil {
		a.unregister()
		a.unregister = nil
	}
}

// run takes over new experiments until ctx ends. What compiles takes no time of a
// batch.
func (a *armed) run(ctx context.Context) {
	tick := time.NewTicker(armLookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if a.source.Policy() != a.view.Load().snapshot {
				a.look(now)
			}
		}
	}
}

// look takes over the newest experiments. What was counted of those that stay is
// kept, as long as they run without an interruption.
func (a *armed) look(now time.Time) {
	snapshot, before := a.source.Policy(), a.view.Load()
	if before == nil {
		before = &armView{}
	}
	if before.measures(snapshot) { // a weight or a lease makes no other view
		a.view.Store(&armView{snapshot: snapshot, table: before.table, counters: before.counters})
		return
	}
	old := make(map[string]*armCounter, len(before.counters))
	for _, c := range before.counters {
		old[c.experiment()] = c
	}
	next := &armView{snapshot: snapshot}
	var list []routing.Experiment
	for i := range snapshot.Routes {
		r := &snapshot.Routes[i]
		if r.Signal != metricsSignal {
			continue
		}
		e, err := routedExperiment(r, len(next.counters))
		if err != nil {
			a.measurement.settings.Logger.Error("An experiment cannot be measured", zap.String("experiment", r.Experiment), zap.Error(err))
			continue
		}
		c := old[r.Experiment]
		if c != nil && c.measures(r) {
			delete(old, r.Experiment)
		} else {
			c = a.newCounter(r, e.Unit, now)
		}
		next.counters, list = append(next.counters, c), append(list, e)
	}
	var err error
	if next.table, err = routing.Compile(list); err != nil {
		a.measurement.settings.Logger.Error("Experiments cannot be measured", zap.Error(err))
	}
	a.view.Store(next)
	for _, c := range old {
		c.retire()
	}
}

// measures says whether the view has the experiments of a snapshot, in their order.
func (v *armView) measures(s *policy.Snapshot) bool {
	n := 0
	for i := range s.Routes {
		r := &s.Routes[i]
		if r.Signal != metricsSignal {
			continue
		}
		if n == len(v.counters) || v.counters[n].experiment() != r.Experiment || !v.counters[n].measures(r) {
			return false
		}
		n++
	}
	return n == len(v.counters)
}

// measures says whether the counter is of this route: what decides which points
// take part, and what its units are, is the same, and the candidate did not begin
// anew.
func (c *armCounter) measures(r *policy.Route) bool {
	own := &c.route
	return own.Epoch == r.Epoch && own.Mode == r.Mode && own.Unit == r.Unit && own.Attribute == r.Attribute &&
		maps.Equal(own.Scope, r.Scope) && slices.Equal(own.Metrics, r.Metrics)
}

// routedExperiment is what routing has to know of a route. Bare keys of a scope
// are of the resource, as control has it.
func routedExperiment(r *policy.Route, tag int) (routing.Experiment, error) {
	e := routing.Experiment{ID: r.Experiment, Metrics: r.Metrics, Tag: tag}
	for key, value := range r.Scope {
		ref, err := policy.ParseAttributeRef(key)
		if err != nil {
			return e, fmt.Errorf("scope: %w", err)
		}
		condition := routing.Attribute{Key: ref.Key, Value: value}
		if ref.Level == policy.LevelPoint {
			e.Point = append(e.Point, condition)
		} else {
			e.Resource = append(e.Resource, condition)
		}
	}
	if r.Mode != "split" {
		return e, nil
	}
	if e.Unit = routing.Unit(r.Unit); e.Unit == routing.UnitAttribute {
		ref, err := policy.ParseAttributeRef(r.Attribute)
		if err != nil {
			return e, fmt.Errorf("attribute: %w", err)
		}
		e.UnitAttribute = routing.AttributeRef{Level: routing.Level(ref.Level), Key: ref.Key}
	}
	return e, nil
}

// Arms implements report.ArmSource.
func (a *armed) Arms(ctx context.Context, experiments []string) ([]report.ArmReport, error) {
	wanted := make(map[string]struct{}, len(experiments))
	for _, id := range experiments {
		wanted[id] = struct{}{}
	}
	view := a.view.Load()
	list := make([]report.ArmReport, 0, min(len(view.counters), max(len(experiments), 1)))
	now := time.Now()
	for _, c := range view.counters {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, is := wanted[c.experiment()]; !is && len(wanted) > 0 {
			continue
		}
		r := c.report(now)
		r.Component, r.Point, r.Arm = a.measurement.id.String(), a.measurement.point, string(a.name)
		list = append(list, r)
	}
	return list, nil
}

// armBudget bounds the memory of all experiments.
type armBudget struct {
	bound int64
	left  atomic.Int64
}

// used is what experiments take.
func (b *armBudget) used() int64 { return b.bound - b.left.Load() }

// take takes bytes, or says that there are no more.
func (b *armBudget) take(bytes int) bool {
	if b.left.Add(int64(-bytes)) < 0 {
		b.left.Add(int64(bytes))
		return false
	}
	return true
}

func (b *armBudget) give(bytes int) { b.left.Add(int64(bytes)) }

package cardinalityprocessor

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

// armLookEvery is how often new experiments are looked for.
const armLookEvery = 100 * time.Millisecond

// armed measures what leaves one arm of experiments. All instances of one id
// share it.
type armed struct {
	measurement *measurement
	name        string // baseline or candidate; empty: the end of no arm
	source      policy.Source
	view        atomic.Pointer[armView]
	unregister  func()
}

// armView is the experiments that are looked for. It is not written to, but for
// what the counters count.
type armView struct {
	snapshot *policy.Snapshot
	table    *routing.Table
	counters []*armCounter // by routing.Experiment.Tag
}

var _ report.ArmSource = (*armed)(nil)

// startArm finds the experiments and offers what is counted. Without the option
// arm it does nothing.
func (m *measurement) startArm(host component.Host) error {
	a := &m.arm
	a.measurement, a.name, a.unregister = m, m.config.Arm, func() {}
	if a.name == "" {
		return nil
	}
	extension := host.GetExtensions()[*m.config.Control] // start has found it
	source, is := extension.(policy.Source)
	if !is {
		return fmt.Errorf("control: %s measures the arm %s, and %s knows no experiments", m.id, a.name, m.config.Control)
	}
	a.source = source
	a.view.Store(&armView{})
	a.look(time.Now())
	registry, is := extension.(report.ArmRegistry)
	if !is {
		return nil
	}
	unregister, err := registry.RegisterArm(report.ArmRegistration{Component: m.id.String(), Point: m.point, Arm: a.name, Source: a})
	if err != nil {
		return fmt.Errorf("register with %s: %w", m.config.Control, err)
	}
	a.unregister = unregister
	return nil
}

// run looks for new experiments until ctx ends.
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

// look takes over the newest experiments. What is known of those that stay is
// kept, as long as they run without an interruption.
func (a *armed) look(now time.Time) {
	snapshot := a.source.Policy()
	old := map[string]*armCounter{}
	for _, c := range a.view.Load().counters {
		old[c.experiment] = c
	}
	v := &armView{snapshot: snapshot}
	var list []routing.Experiment
	for i := range snapshot.Routes {
		r := &snapshot.Routes[i]
		if r.Signal != "metrics" {
			continue
		}
		e, err := routedExperiment(r, len(v.counters))
		if err != nil {
			a.measurement.settings.Logger.Error("An experiment cannot be measured", zap.String("experiment", r.Experiment), zap.Error(err))
			continue
		}
		c := old[r.Experiment]
		if c == nil || c.epoch != r.Epoch || c.unit != e.Unit {
			c = newArmCounter(r.Experiment, r.Epoch, e.Unit, a.measurement.subWindow(), now)
		}
		v.counters, list = append(v.counters, c), append(list, e)
	}
	table, err := routing.Compile(list)
	if err != nil {
		a.measurement.settings.Logger.Error("Experiments cannot be measured", zap.Error(err))
		v.counters = nil
	}
	v.table = table
	a.view.Store(v)
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

// count counts what a batch holds of experiments. Without the option arm it costs
// a comparison, without experiments an atomic load.
func (a *armed) count(md pmetric.Metrics) {
	if a.name == "" {
		return
	}
	v := a.view.Load()
	if v.table.Len() == 0 {
		return
	}
	f := armFeeder{measurement: a.measurement, view: v, now: time.Now()}
	for _, rm := range md.ResourceMetrics().All() {
		f.resource(rm)
	}
}

// Arms implements report.ArmSource.
func (a *armed) Arms(_ context.Context, experiments []string) ([]report.ArmReport, error) {
	wanted := make(map[string]struct{}, len(experiments))
	for _, id := range experiments {
		wanted[id] = struct{}{}
	}
	now := time.Now()
	var list []report.ArmReport
	for _, c := range a.view.Load().counters {
		if _, is := wanted[c.experiment]; !is && len(wanted) > 0 {
			continue
		}
		answer := c.report(now)
		answer.Component, answer.Point, answer.Arm = a.measurement.id.String(), a.measurement.point, a.name
		list = append(list, answer)
	}
	return list, nil
}

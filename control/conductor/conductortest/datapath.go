// Package conductortest gives tests a data path: it follows published snapshots
// as routers and processors do, and counts a stream that goes through both arms
// of every experiment.
package conductortest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

// DataPath is the data path of one collector. Its fields are changed through Set.
type DataPath struct {
	// Policies has the snapshots. Set it before the first question.
	Policies policy.Source

	mu sync.Mutex
	// Breach is what the router says of an experiment; the candidates of Silent
	// experiments send nothing.
	Breach map[string]string
	Silent map[string]bool
	// Saves is the part of the series and points that candidates leave out, Fails
	// the part of their batches that fail.
	Saves, Fails float64
	// Refused are rules that the processor of the candidates refuses.
	Refused []string
	// NoRouter, NoArms and NoCandidate are what Sources leaves out.
	NoRouter, NoArms, NoCandidate bool

	flows map[string]*flow
	units []uint64
}

// flow is the stream of one experiment.
type flow struct {
	first, since, at time.Time
	epoch            uint64
	router           [2]report.RouteArm
	points           [2]float64
	batches, failed  float64
	byUnit           [2]map[uint64]float64
}

// New returns a data path whose candidates save 60 %.
func New() *DataPath {
	w := &DataPath{flows: map[string]*flow{}, Breach: map[string]string{}, Silent: map[string]bool{}, Saves: 0.6}
	for i := range uint64(400) {
		w.units = append(w.units, (i+1)*0x9e3779b97f4a7c15)
	}
	return w
}

// Forget is what a restart of the process does to all counts.
func (w *DataPath) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flows = map[string]*flow{}
}

// Set changes the fields.
func (w *DataPath) Set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *DataPath) is(what *bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *what
}

// Sources are what has registered.
func (w *DataPath) Sources() conductor.Sources {
	return conductor.Sources{
		Routers: func() []report.RouterRegistration {
			if w.is(&w.NoRouter) {
				return nil
			}
			return []report.RouterRegistration{{Component: "ab_router", Signal: "metrics", Source: (*routerOf)(w)}}
		},
		Arms: func() []report.ArmRegistration {
			if w.is(&w.NoArms) {
				return nil
			}
			return []report.ArmRegistration{
				{Component: "cardinality/baseline", Point: "baseline", Arm: "baseline", Source: &armOf{w, 0}},
				{Component: "cardinality/candidate", Point: "candidate", Arm: "candidate", Source: &armOf{w, 1}},
			}
		},
		Candidates: func() []report.ConsolidationRegistration {
			if w.is(&w.NoCandidate) {
				return nil
			}
			return []report.ConsolidationRegistration{{Component: "tag_consolidation/candidate", Role: "candidate", Source: (*rulesOf)(w)}}
		},
	}
}

// Register makes all of it known to a control plane, until the returned function
// is called.
func (w *DataPath) Register(to Registries) (unregister func(), err error) {
	var undo []func()
	unregister = func() {
		for _, f := range undo {
			f()
		}
	}
	note := func(f func(), failed error) {
		if failed != nil {
			err = errors.Join(err, failed)
			return
		}
		undo = append(undo, f)
	}
	s := w.Sources()
	for _, r := range s.Routers() {
		note(to.RegisterRouter(r))
	}
	for _, r := range s.Arms() {
		note(to.RegisterArm(r))
	}
	for _, r := range s.Candidates() {
		note(to.RegisterConsolidation(r))
	}
	return unregister, err
}

// Registries are those of a control plane.
type Registries interface {
	report.RouterRegistry
	report.ArmRegistry
	report.ConsolidationRegistry
}

// pointsPerSecond is the stream of one experiment, unitsSeries the series of each
// unit.
const pointsPerSecond, unitSeries = 1000, 100

// flow brings the stream of a route up to now. The caller has mu.
func (w *DataPath) flow(r *policy.Route, now time.Time) *flow {
	f := w.flows[r.Experiment]
	if f == nil {
		f = &flow{first: now, at: now, byUnit: [2]map[uint64]float64{{}, {}}}
		w.flows[r.Experiment] = f
	}
	if f.epoch != r.Epoch {
		f.epoch, f.since, f.router, f.batches, f.failed = r.Epoch, now, [2]report.RouteArm{}, 0, 0
	}
	seconds := now.Sub(f.at).Seconds()
	f.at = now
	open := r.Lease.Held(now) && w.Breach[r.Experiment] == ""
	for _, unit := range w.units {
		points := pointsPerSecond * seconds / float64(len(w.units))
		candidate := open && r.Mode == "split" && routing.Candidate(unit, r.Weight)
		mirrored := open && r.Mode == "mirror" && r.Mirror
		if !candidate {
			f.points[0] += points
			f.byUnit[0][unit] += points
		}
		if (candidate || mirrored) && !w.Silent[r.Experiment] {
			f.points[1] += points * (1 - w.Saves)
			f.byUnit[1][unit] += points * (1 - w.Saves)
		}
	}
	f.router[0].Batches += uint64(seconds * 8)
	f.router[0].Time += time.Duration(seconds * 8 * float64(time.Millisecond))
	if open && (r.Mirror || r.Weight > 0) {
		f.batches += seconds * 8
		f.failed += seconds * 8 * w.Fails
		f.router[1].Batches, f.router[1].FailedBatches = uint64(f.batches), uint64(f.failed)
		f.router[1].Time = time.Duration(f.batches * float64(time.Millisecond))
	}
	return f
}

type routerOf DataPath

func (w *routerOf) PolicyVersion() uint64 { return w.Policies.Policy().Version }

func (w *routerOf) Routes(_ context.Context, experiments []string) ([]report.RouteReport, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	var list []report.RouteReport
	routes := w.Policies.Policy().Routes
	for i := range routes {
		r := &routes[i]
		if len(experiments) > 0 && !slices.Contains(experiments, r.Experiment) {
			continue
		}
		f := (*DataPath)(w).flow(r, now)
		said := report.RouteReport{
			Experiment: r.Experiment, Epoch: r.Epoch, Held: r.Lease.Held(now), Breach: w.Breach[r.Experiment], Since: f.since, At: now,
			Baseline: f.router[0], Candidate: f.router[1],
		}
		said.Baseline.Points, said.Candidate.Points = uint64(f.points[0]), uint64(f.points[1])
		if r.Mode == "split" {
			for _, unit := range w.units {
				if routing.Candidate(unit, r.Weight) {
					said.Candidate.Units++
				} else {
					said.Baseline.Units++
				}
			}
		}
		list = append(list, said)
	}
	return list, nil
}

type armOf struct {
	*DataPath
	arm int
}

func (a *armOf) Arms(_ context.Context, experiments []string) ([]report.ArmReport, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	var list []report.ArmReport
	routes := a.Policies.Policy().Routes
	for i := range routes {
		r := &routes[i]
		if len(experiments) > 0 && !slices.Contains(experiments, r.Experiment) {
			continue
		}
		f := a.flow(r, now)
		kept := [2]float64{1, 1 - a.Saves}[a.arm]
		said := report.ArmReport{Experiment: r.Experiment, Since: f.first, At: now, Points: uint64(f.points[a.arm]), Bytes: uint64(f.points[a.arm]) * 40, MemoryBytes: 1 << 20}
		for _, unit := range a.units {
			mine := r.Mode == "mirror" || routing.Candidate(unit, r.Weight) == (a.arm == 1)
			if mine && f.points[a.arm] > 0 {
				said.Series += uint64(unitSeries * kept)
			}
			if points := f.byUnit[a.arm][unit]; points > 0 && r.Mode == "split" {
				u := report.UnitReport{Unit: unit, Points: uint64(points), Bytes: uint64(points) * 40}
				if mine {
					u.Series = uint64(unitSeries * kept)
				}
				said.Units = append(said.Units, u)
			}
		}
		list = append(list, said)
	}
	return list, nil
}

type rulesOf DataPath

func (w *rulesOf) PolicyVersion() uint64 { return w.Policies.Policy().Version }

func (w *rulesOf) Consolidation(context.Context) (report.Consolidation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	snapshot := w.Policies.Policy()
	said := report.Consolidation{PolicyVersion: snapshot.Version}
	for _, r := range snapshot.For(policy.RoleCandidate) {
		if slices.Contains(w.Refused, r.Name) {
			said.Problems = append(said.Problems, `rules["`+r.Name+`"]: is refused here`)
			continue
		}
		said.Rules = append(said.Rules, report.RuleReport{Name: r.Name, Mode: "enforce"})
	}
	return said, nil
}

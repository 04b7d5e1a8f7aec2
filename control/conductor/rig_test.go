package conductor_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/conductor/conductortest"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a conductor over a real store and a real publisher.
type rig struct {
	t         testing.TB
	path      string
	store     store.Store
	publisher *publish.Publisher
	conductor *conductor.Conductor
	world     *conductortest.DataPath
	settings  conductor.Settings

	cancel func()
	loops  sync.WaitGroup

	mu     sync.Mutex
	events []bus.Event
}

// newRig opens one over a new store and runs it.
func newRig(tb testing.TB, change ...func(*conductor.Settings)) *rig {
	tb.Helper()
	return openRig(tb, filepath.Join(tb.TempDir(), "phoenix.db"), conductortest.New(), change...)
}

func openRig(tb testing.TB, path string, w *conductortest.DataPath, change ...func(*conductor.Settings)) *rig {
	tb.Helper()
	r := &rig{t: tb, path: path, world: w}
	opened, err := sqlite.Open(tb.Context(), sqlite.Settings{Path: path})
	require.NoError(tb, err)
	r.store = opened
	r.publisher = publish.New(publish.Settings{Store: r.store})
	w.Policies = r.publisher
	r.settings = conductor.Settings{
		Store: r.store, Publisher: r.publisher, Sources: w.Sources(), Exclusive: true, Instance: "one",
		Announce: func(e bus.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
		Logger: zap.NewNop(),
	}
	for _, c := range change {
		c(&r.settings)
	}
	r.conductor, err = conductor.New(r.settings)
	require.NoError(tb, err)
	require.NoError(tb, r.publisher.Open(tb.Context()))
	require.NoError(tb, r.conductor.Open(tb.Context()))
	r.run()
	tb.Cleanup(r.close)
	return r
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	r.cancel = cancel
	r.loops.Go(func() { r.publisher.Run(ctx) })
	r.loops.Go(func() { r.conductor.Run(ctx) })
}

// close ends it as a shutdown does.
func (r *rig) close() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.loops.Wait()
	r.cancel = nil
	require.NoError(r.t, r.store.Close())
}

// again is the rig after a restart, a time later.
func (r *rig) again(after time.Duration, change ...func(*conductor.Settings)) *rig {
	r.t.Helper()
	r.close()
	time.Sleep(after)
	r.world.Forget()
	return openRig(r.t, r.path, r.world, change...)
}

var testEntry = store.Entry{Principal: "ann", Action: "experiments.command"}

// key names an experiment of the namespace shop.
func key(name string) store.ExperimentKey { return store.ExperimentKey{Namespace: "shop", Name: name} }

// mirrorSpec is an experiment that drops pod from the metrics of a service.
func mirrorSpec(name, service string, change ...func(*experiment.Spec)) experiment.Spec {
	s := experiment.Spec{
		ID: "shop/" + name, Mode: experiment.ModeMirror, Scope: map[string]string{"service.name": service},
		Rules:    []policy.Rule{{Name: "drop-pod", Match: policy.Match{Metric: "http_*"}, Attributes: policy.Attributes{Drop: []string{"pod"}}}},
		Interval: experiment.Duration(10 * time.Second),
		Success:  []experiment.Criterion{{Measure: experiment.MeasureSeries, AtLeast: 0.3}},
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

// splitSpec is one that takes units step by step.
func splitSpec(name, service string, change ...func(*experiment.Spec)) experiment.Spec {
	s := mirrorSpec(name, service)
	s.Rules[0].Attributes.Drop = []string{"point.pod"}
	s.Mode, s.Unit = experiment.ModeSplit, experiment.Unit{Kind: experiment.UnitResource}
	s.Steps = []experiment.WeightStep{
		{Weight: 10, Dwell: experiment.Duration(time.Minute)}, {Weight: 50, Dwell: experiment.Duration(time.Minute)}, {Weight: 100, Dwell: experiment.Duration(time.Minute)},
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

// create stores a draft.
func (r *rig) create(spec experiment.Spec) store.ExperimentKey {
	r.t.Helper()
	require.NoError(r.t, spec.Validate())
	k := key(spec.ID[len("shop/"):])
	text, err := json.Marshal(spec)
	require.NoError(r.t, err)
	state, err := experiment.EncodeState(experiment.NewState(time.Now()))
	require.NoError(r.t, err)
	require.NoError(r.t, r.store.Write(r.t.Context(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.CreateExperiment(ctx, store.NewExperiment{ExperimentKey: k, Spec: text, State: state, Phase: string(experiment.PhaseDraft)}, testEntry)
		return err
	}))
	return k
}

func (r *rig) command(k store.ExperimentKey, kind experiment.CommandKind) (store.Experiment, error) {
	r.t.Helper()
	return r.conductor.Command(r.t.Context(), k, experiment.Command{Kind: kind, By: "ann"}, conductor.Commit{Entry: testEntry})
}

// start creates and starts an experiment.
func (r *rig) start(spec experiment.Spec) store.ExperimentKey {
	r.t.Helper()
	k := r.create(spec)
	_, err := r.command(k, experiment.CommandStart)
	require.NoError(r.t, err)
	return k
}

// stored is the phase and the state that the store has.
func (r *rig) stored(k store.ExperimentKey) (store.Experiment, experiment.State) {
	r.t.Helper()
	e, err := r.store.GetExperiment(r.t.Context(), k)
	require.NoError(r.t, err)
	s, err := experiment.DecodeState(e.State)
	require.NoError(r.t, err)
	return e, s
}

// phase is the present phase: in memory, or else in the store.
func (r *rig) phase(k store.ExperimentKey) experiment.Phase {
	r.t.Helper()
	if v, there := r.conductor.View(k); there {
		return v.State.Phase
	}
	_, s := r.stored(k)
	return s.Phase
}

// route is the published route of an experiment.
func (r *rig) route(k store.ExperimentKey) *policy.Route {
	routes := r.publisher.Policy().Routes
	i := slices.IndexFunc(routes, func(route policy.Route) bool { return route.Experiment == k.Namespace+"/"+k.Name })
	if i < 0 {
		return nil
	}
	return &routes[i]
}

// open says whether the router gives the candidate anything.
func (r *rig) open(k store.ExperimentKey) bool {
	route := r.route(k)
	return route != nil && (route.Mirror || route.Weight > 0) && route.Lease.Held(time.Now())
}

// told lists the types of the events of an experiment, with the phase where that
// changed.
func (r *rig) told(k store.ExperimentKey) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.events {
		if e.Resource != k.Resource() {
			continue
		}
		text := e.Type
		if e.Type == "experiment.phase" {
			text += " " + e.Detail["to"]
		}
		list = append(list, text)
	}
	return list
}

// reach waits until the experiment has a phase.
func (r *rig) reach(k store.ExperimentKey, want experiment.Phase, within time.Duration) time.Duration {
	r.t.Helper()
	began := time.Now()
	for time.Since(began) <= within {
		if r.phase(k) == want {
			return time.Since(began)
		}
		time.Sleep(50 * time.Millisecond)
	}
	v, _ := r.conductor.View(k)
	require.Equal(r.t, want, r.phase(k), "after %s: reasons %v, held %v, blockers %v, warnings %v", within, v.State.Reasons, v.State.Held,
		experiment.Blockers(v.Spec, v.State), v.Warnings)
	return 0
}

// kill ends it as a crash does: nothing is stored or left to others any more.
func (r *rig) kill() {
	require.NoError(r.t, r.store.Close())
	r.cancel()
	r.loops.Wait()
	r.cancel = nil
}

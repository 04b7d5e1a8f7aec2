package fidelity_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/fidelity"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/tap"
	"github.com/phoenix-platform/phoenix/internal/backend"
	"github.com/phoenix-platform/phoenix/internal/walk"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor"
)

// rig is an experiment in mirror mode in simulated time: a source, the real
// tag_consolidation as the candidate, the real tap, and a judge.
type rig struct {
	t   *testing.T
	hub *tap.Hub
	seq map[string]*uint64
	mu  sync.Mutex

	candidate processor.Metrics
	// after changes what the candidate emits: the fault that is to be found.
	after func(pmetric.Metrics)
	judge *fidelity.Judge
	spec  experiment.Spec
}

// settings of a rig.
type rigSettings struct {
	fidelity experiment.Fidelity
	// consolidation is the YAML of the candidate; none: it lets everything pass.
	consolidation string
	interval      time.Duration
	after         func(pmetric.Metrics)
	lateness      time.Duration
	// scope is that of the experiment. Default: the shop.
	scope map[string]string
	// queue bounds the subscriptions, in bytes.
	queue int64
	// backend says which attributes are labels. Default: none of the resource.
	backend backend.PrometheusSettings
}

func newRig(t *testing.T, s rigSettings) *rig {
	t.Helper()
	r := &rig{t: t, hub: tap.New(tap.Settings{}), seq: map[string]*uint64{}, after: s.after}
	if s.scope == nil {
		s.scope = map[string]string{"service.name": "shop"}
	}
	r.spec = experiment.Spec{
		ID: "team/shop", Mode: experiment.ModeMirror, Scope: s.scope,
		Interval: experiment.Duration(s.interval), Fidelity: &s.fidelity,
	}.WithDefaults()
	plan, err := fidelity.Parse(s.fidelity)
	require.NoError(t, err)
	r.judge, err = fidelity.Open(fidelity.Settings{
		Spec: r.spec, Plan: plan, Baseline: "baseline", Candidate: "candidate", Lateness: s.lateness, Dir: t.TempDir(), Backend: s.backend,
		Want: func(selection tap.Selection) (*tap.Subscription, error) {
			selection.MaxBytes = s.queue
			return r.hub.Want(selection)
		},
	})
	require.NoError(t, err)
	t.Cleanup(r.judge.Close)
	if s.consolidation != "" {
		r.candidate = startConsolidation(t, s.consolidation, r.offerCandidate)
	}
	return r
}

func startConsolidation(t *testing.T, yaml string, next func(pmetric.Metrics)) processor.Metrics {
	t.Helper()
	factory := tagconsolidationprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	set := processortest.NewNopSettings(factory.Type())
	set.ID = component.NewID(factory.Type())
	p, err := factory.CreateMetrics(t.Context(), set, cfg, sink(next))
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(t.Context())) })
	return p
}

func sink(next func(pmetric.Metrics)) consumer.Metrics {
	c, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		next(md)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return c
}

// send lets a batch into both arms.
func (r *rig) send(md pmetric.Metrics) {
	r.t.Helper()
	r.offer("baseline", md)
	mirrored := pmetric.NewMetrics()
	md.CopyTo(mirrored)
	mirrored.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		name, _ := rm.Resource().Attributes().Get("service.name")
		return name.Str() != r.spec.Scope["service.name"]
	})
	forPoints(mirrored, func(p walk.Points, i int) { p.Attributes(i).PutStr("phoenix_arm", "candidate") })
	if r.candidate == nil {
		r.offerCandidate(mirrored)
		return
	}
	require.NoError(r.t, r.candidate.ConsumeMetrics(r.t.Context(), mirrored))
}

func (r *rig) offerCandidate(md pmetric.Metrics) {
	if r.after != nil {
		r.after(md)
	}
	r.offer("candidate", md)
}

func (r *rig) offer(point string, md pmetric.Metrics) {
	if md.DataPointCount() == 0 {
		return
	}
	data, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(r.t, err)
	names := map[string]bool{}
	var list []string
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if !names[m.Name()] {
					names[m.Name()] = true
					list = append(list, m.Name())
				}
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq[point] == nil {
		r.seq[point] = new(uint64)
	}
	*r.seq[point]++
	r.hub.Tap(point).Offer(report.TapBatch{
		Point: point, Component: "cardinality", At: time.Now(), Seq: *r.seq[point], Metrics: list, OTLP: data, Points: md.DataPointCount(),
	})
}

// run plays a source until the end and looks at each interval; it returns all
// verdicts.
func (r *rig) run(duration time.Duration, source func(elapsed time.Duration) pmetric.Metrics) []*experiment.FidelityVerdict {
	r.t.Helper()
	var verdicts []*experiment.FidelityVerdict
	began := time.Now()
	for look := began.Add(r.spec.Interval.Std()); time.Since(began) < duration; time.Sleep(time.Second) {
		r.send(source(time.Since(began)))
		synctest.Wait()
		if !time.Now().Before(look) {
			look = look.Add(r.spec.Interval.Std())
			verdicts = append(verdicts, r.judge.Look(r.t.Context(), time.Now()))
		}
	}
	return verdicts
}

func forPoints(md pmetric.Metrics, visit func(walk.Points, int)) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if points, ok := walk.Of(m); ok {
					for i := range points.Len() {
						visit(points, i)
					}
				}
			}
		}
	}
}

// some are all of the cases, or the first of them under the race detector, which
// takes ten times as long and has nothing to find in the others: they differ in
// numbers only.
func some[T any](cases ...T) []T {
	if raceEnabled {
		return cases[:1]
	}
	return cases
}

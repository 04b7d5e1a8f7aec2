package abrouterconnector

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// consume gives the connector a batch of 40 resources, and returns how many of
// them the candidate got: data, no markers.
func (r *rig) consume(service string) (resources int) {
	r.t.Helper()
	before := len(r.candidate.got())
	require.NoError(r.t, r.connector.ConsumeMetrics(r.t.Context(), loads(service, 40)))
	for _, md := range r.candidate.got()[before:] {
		for _, rm := range md.ResourceMetrics().All() {
			if !rm.ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).Flags().NoRecordedValue() {
				resources++
			}
		}
	}
	return resources
}

// A lease that nobody renews ends by itself: control may be dead. One that is
// ended takes the weight away with the next batch.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start(nil)
		split := splitRoute("shop", 100)
		split.Lease = &policy.Lease{}
		r.publish(nil, split)
		require.Zero(t, r.consume("shop"))
		require.False(t, r.report("team/shop").Held)
		require.EqualValues(t, 1, r.counter("experiments", "state", "no_lease"))
		split.Lease.Renew(time.Now().Add(time.Minute))
		require.Equal(t, 40, r.consume("shop"))
		require.True(t, r.report("team/shop").Held)
		require.EqualValues(t, 1, r.counter("experiments", "state", "split"))

		r.plane.snapshot.Store(nil) // control is gone
		r.router().look()
		time.Sleep(59 * time.Second)
		require.Equal(t, 40, r.consume("shop"))
		time.Sleep(time.Second)
		require.Zero(t, r.consume("shop"))
		require.False(t, r.report("team/shop").Held)

		split.Lease.Renew(time.Now().Add(time.Minute))
		require.Equal(t, 40, r.consume("shop"))
		split.Lease.End()
		require.Zero(t, r.consume("shop"))
		require.NoError(t, r.connector.Shutdown(t.Context()))
		markers := markersIn(r.candidate.got()) + markersIn(r.baseline.got())
		require.Positive(t, markers)
		require.Equal(t, 6*400, r.baseline.points()+r.candidate.points()-markers)
	})
}

// markersIn counts stale markers.
func markersIn(list []pmetric.Metrics) (n int) {
	for _, md := range list {
		for _, rm := range md.ResourceMetrics().All() {
			for _, dp := range rm.ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().All() {
				if dp.Flags().NoRecordedValue() {
					n++
				}
			}
		}
	}
	return n
}

// A pause, a rollback and the kill switch act with the next batch after the
// router has seen them, which takes less than a second.
func TestWhatControlTakesAway(t *testing.T) {
	f := func(change func(r *rig, route policy.Route)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t).start(nil)
			route := splitRoute("shop", 100)
			r.publish(nil, route)
			require.Equal(t, 40, r.consume("shop"))
			change(r, route)
			time.Sleep(lookEvery)
			synctest.Wait()
			require.Zero(t, r.consume("shop"))
			require.NoError(t, r.connector.Shutdown(t.Context()))
			// What left the candidate is seen off there.
			require.Equal(t, 400, markersIn(r.candidate.got()))
		})
	}
	f(func(r *rig, route policy.Route) { // a pause
		route.Weight, route.Before, route.ChangedAt = 0, 100, time.Now()
		r.plane.publish(nil, route)
	})
	f(func(r *rig, _ policy.Route) { r.plane.publish(nil) })
	f(func(r *rig, _ policy.Route) { r.plane.publish(nil, splitRoute("cart", 100)) })
	f(func(r *rig, route policy.Route) { // refused
		route.Unit = "pod"
		r.plane.publish(nil, route)
	})
}

// Streams of an experiment that control sends no more are seen off for two
// intervals, and then it is forgotten.
func TestRoutesThatLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).start(nil)
		r.publish(nil, splitRoute("shop", 100))
		require.Equal(t, 40, r.consume("shop"))
		r.publish(nil)
		require.Zero(t, r.consume("shop"))
		require.EqualValues(t, 400, r.counter("markers", "arm", "candidate"))
		time.Sleep(2*time.Minute - time.Second)
		require.Zero(t, r.consume("shop"))
		require.EqualValues(t, 800, r.counter("markers", "arm", "candidate"))
		require.Equal(t, 1, r.router().view().table.Len())
		time.Sleep(time.Second + lookEvery)
		synctest.Wait()
		require.Zero(t, r.router().view().table.Len())
		require.Empty(t, r.router().compiler.gone)
		require.Zero(t, r.consume("shop"))
		require.EqualValues(t, 800, r.counter("markers", "arm", "candidate"))
	})
}

// An experiment that begins where another one has just ended has its data at once.
func TestAnExperimentAfterAnother(t *testing.T) {
	r := newRig(t).start(nil)
	r.publish(nil, splitRoute("shop", 100))
	require.Equal(t, 40, r.consume("shop"))
	r.publish(nil)
	next := splitRoute("shop", 100)
	next.Experiment = "zzz/next"
	r.publish(nil, next)
	require.Equal(t, 40, r.consume("shop"))
	require.EqualValues(t, 400, r.report("zzz/next").Candidate.Points)
}

// The data of a promoted experiment goes where it went until the common processor
// has taken over at an edge, with no lease and no marker.
func TestPromotion(t *testing.T) {
	f := func(route policy.Route) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t).start(nil)
			route.Lease = held()
			r.publish(nil, route)
			consume := func() {
				r.consume("shop")
				synctest.Wait()
			}
			consume()
			before := r.candidate.points()
			require.Equal(t, 400, before)
			rules := []policy.Rule{{Name: "team/shop/rule-1", Role: policy.RoleCommon}, {Name: "team/other/rule-1", Role: policy.RoleCommon}}
			r.publish(rules)
			route.Lease.End()
			time.Sleep(59 * time.Second)
			consume()
			require.Equal(t, before+400, r.candidate.points())
			time.Sleep(time.Second)
			consume()
			require.NoError(t, r.connector.Shutdown(t.Context()))
			require.Equal(t, before+400, r.candidate.points())
			require.Zero(t, markersIn(append(r.candidate.got(), r.baseline.got()...)), "the common processor's series go on")
		})
	}
	f(splitRoute("shop", 100))
	f(mirrorRoute("shop"))
}

// Version 0 says that control does not know: what is in force stays while its
// lease lasts.
func TestVersionZero(t *testing.T) {
	r := newRig(t).start(nil)
	r.publish(nil, splitRoute("shop", 100))
	r.plane.snapshot.Store(&policy.Snapshot{})
	require.Equal(t, 40, r.consume("shop"))
	require.Positive(t, r.router().PolicyVersion())
	r.plane.publish(nil, splitRoute("cart", 100)) // from another life, version 1
	eventually(t, func() bool { return r.consume("cart") == 40 })
}

// Static experiments need no control, and go before those of control.
func TestStaticExperiments(t *testing.T) {
	experiment := ExperimentConfig{ID: "team/shop", Mode: modeSplit, Unit: "resource", Weight: 100, Scope: map[string]string{"service.name": "shop"}}
	r := newRig(t).start(func(cfg *Config) { cfg.Experiments = []ExperimentConfig{experiment} })
	require.Equal(t, 40, r.consume("shop"))
	require.Empty(t, r.plane.routers)
	require.Zero(t, r.router().PolicyVersion())
	require.True(t, r.connector.Capabilities().MutatesData)

	r = newRig(t).start(func(cfg *Config) {
		cfg.Control = &controlID
		experiment.Weight = 0
		cfg.Experiments = []ExperimentConfig{experiment}
	})
	hot := splitRoute("shop", 100)
	hot.Experiment = "a/first"
	same := splitRoute("cart", 100)
	same.Experiment = "team/shop"
	r.publish(nil, hot, same, splitRoute("till", 100))
	require.Zero(t, r.consume("shop"))
	require.Zero(t, r.consume("cart")) // the id is the static one's
	require.Equal(t, 40, r.consume("till"))
	list, err := r.router().Routes(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, list, 2) // those of control

	r = newRig(t).start(func(cfg *Config) { cfg.Experiments = []ExperimentConfig{{ID: "all", Mode: modeMirror}} })
	require.False(t, r.connector.Capabilities().MutatesData)
	require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("any", 2)))
	eventually(t, func() bool { return r.candidate.points() == 20 })
}

// Routes that make no sense are left out and counted; the others are routed.
func TestRefusedRoutes(t *testing.T) {
	r := newRig(t).start(nil)
	change := func(service string, change func(*policy.Route)) policy.Route {
		route := splitRoute(service, 100)
		change(&route)
		return route
	}
	r.publish(nil,
		splitRoute("shop", 100),
		change("a", func(x *policy.Route) { x.Mode = "both" }),
		change("b", func(x *policy.Route) { x.Unit = "trace" }),
		change("c", func(x *policy.Route) { x.Weight = 101 }),
		change("d", func(x *policy.Route) { x.Scope = map[string]string{"scope.name": "x"} }),
		change("e", func(x *policy.Route) { x.Unit, x.Attribute = "attribute", "" }),
	)
	require.EqualValues(t, 5, r.counter("refused_routes"))
	require.Equal(t, 40, r.consume("shop"))
	for _, service := range []string{"a", "b", "c", "d", "e"} {
		require.Zero(t, r.consume(service))
	}
	require.EqualValues(t, r.router().PolicyVersion(), r.counter("policy_version"))
}

// A policy of 10,000 experiments is in force within a second of its publication,
// and so is the end of one of them.
func TestTenThousandRoutes(t *testing.T) {
	const n = 10_000
	r := newRig(t).start(nil)
	routes := make([]policy.Route, n)
	for i := range routes {
		routes[i] = splitRoute("service-"+strconv.Itoa(i), 100)
	}
	force := func(routed bool) {
		t.Helper()
		began := time.Now()
		r.plane.publish(nil, routes...)
		want := 0
		if routed {
			want = 40
		}
		for r.consume("service-9999") != want {
			require.Less(t, time.Since(began), time.Second)
		}
		t.Logf("in force after %s", time.Since(began))
	}
	force(true)
	routes[n-1].Weight = 0
	force(false)
	routes[n-1].Weight = 100
	force(true)
	routes = nil
	force(false)
}

// The plane knows the router while it is there.
func TestRegistration(t *testing.T) {
	r := newRig(t).start(nil)
	require.Len(t, r.plane.routers, 1)
	require.Equal(t, "ab_router", r.plane.routers[0].Component)
	require.Equal(t, signalMetrics, r.plane.routers[0].Signal)
	require.NoError(t, r.connector.Shutdown(t.Context()))
	require.NoError(t, r.connector.Shutdown(t.Context()))
	require.Empty(t, r.plane.routers)
}

// What the reports say is what was done: points and units of each arm since the
// present weight, time, and which lease it was.
func TestReport(t *testing.T) {
	r := newRig(t).start(nil)
	r.publish(nil, splitRoute("shop", 25), mirrorRoute("cart"), splitRoute("till", 0))
	for range 4 {
		r.consume("shop")
	}
	got := r.report("team/shop")
	require.Equal(t, "ab_router", got.Component)
	require.Equal(t, signalMetrics, got.Signal)
	require.EqualValues(t, 1600, got.Baseline.Points+got.Candidate.Points)
	require.EqualValues(t, 8, got.Baseline.Batches+got.Candidate.Batches)
	require.EqualValues(t, 40, got.Baseline.Units+got.Candidate.Units)
	require.Equal(t, 4*10*got.Candidate.Units, got.Candidate.Points)
	require.Positive(t, got.Baseline.Time)
	require.False(t, got.Since.IsZero())
	require.False(t, got.At.Before(got.Since))
	changed := splitRoute("shop", 50)
	r.publish(nil, changed)
	r.consume("shop")
	after := r.report("team/shop")
	require.EqualValues(t, 2000, after.Baseline.Points+after.Candidate.Points)
	require.EqualValues(t, 40, after.Baseline.Units+after.Candidate.Units)
	require.Greater(t, after.Candidate.Units, got.Candidate.Units)
	list, err := r.plane.routers[0].Source.Routes(t.Context(), []string{"team/none"})
	require.NoError(t, err)
	require.Empty(t, list)
}

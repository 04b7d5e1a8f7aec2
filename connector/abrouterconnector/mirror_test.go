package abrouterconnector

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/baggage"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what func() bool) {
	t.Helper()
	require.Eventually(t, what, 10*time.Second, time.Millisecond)
}

func unmarked(cfg *Config) { cfg.Mirror.Mark = false }

// withoutMark takes the mark of a candidate's copies away, and demands that it was
// there.
func withoutMark(t *testing.T, md pmetric.Metrics) pmetric.Metrics {
	t.Helper()
	to := copyOf(md)
	for _, rm := range to.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				for _, dp := range m.Gauge().DataPoints().All() {
					arm, there := dp.Attributes().Get(policy.ArmAttribute)
					require.True(t, there)
					require.Equal(t, "candidate", arm.Str())
					dp.Attributes().Remove(policy.ArmAttribute)
				}
			}
		}
	}
	return to
}

// What the baseline gets is, byte for byte, what it gets without an experiment,
// whatever the arms do to it; the candidate gets the same points.
func TestMirrorOfWholeBatches(t *testing.T) {
	f := func(baselineMutates, candidateMutates, mark bool) {
		t.Helper()
		r := newRig(t)
		r.baseline.mutates, r.candidate.mutates = baselineMutates, candidateMutates
		scribble := func(_ context.Context, md pmetric.Metrics) error {
			for _, rm := range md.ResourceMetrics().All() {
				rm.Resource().Attributes().PutStr("scribble", "x")
			}
			return nil
		}
		var seen []byte
		r.baseline.before = func(ctx context.Context, md pmetric.Metrics) error {
			seen = append(seen, bytesOf(t, md)...)
			if baselineMutates {
				return scribble(ctx, md)
			}
			return nil
		}
		var copied []pmetric.Metrics
		r.candidate.before = func(ctx context.Context, md pmetric.Metrics) error {
			copied = append(copied, copyOf(md))
			if candidateMutates {
				return scribble(ctx, md)
			}
			return nil
		}
		r.start(func(cfg *Config) { cfg.Mirror.Mark = mark })
		r.publish(nil, mirrorRoute("shop"))
		want := loads("shop", 3)
		require.NoError(t, r.connector.ConsumeMetrics(t.Context(), copyOf(want)))
		eventually(t, func() bool { return len(r.candidate.got()) == 1 })
		require.Equal(t, bytesOf(t, want), seen)
		if mark {
			copied[0] = withoutMark(t, copied[0])
		}
		require.Equal(t, bytesOf(t, want), bytesOf(t, copied[0]))
		shared := !baselineMutates && !candidateMutates && !mark
		require.Equal(t, shared, r.candidate.got()[0] == r.baseline.got()[0], "shared")
		eventually(t, func() bool { return r.report("team/shop").Candidate.Batches == 1 })
		got := r.report("team/shop")
		require.EqualValues(t, 30, got.Baseline.Points)
		require.EqualValues(t, 30, got.Candidate.Points)
		require.Zero(t, got.Candidate.Units+got.Baseline.Units+got.Candidate.FailedBatches)
		require.EqualValues(t, 30, r.counter("points", "arm", "baseline", "class", "mirror"))
		require.EqualValues(t, 30, r.counter("points", "arm", "candidate", "class", "mirror"))
		require.Zero(t, r.counter("points", "class", "none"))
		eventually(t, func() bool { return r.counter("queue_bytes") == 0 })
	}
	for _, baseline := range []bool{false, true} {
		for _, candidate := range []bool{false, true} {
			f(baseline, candidate, true)
			f(baseline, candidate, false)
		}
	}
}

// Only what is in the scope is mirrored: resources, metrics and points that are
// not stay with the baseline alone.
func TestMirrorOfParts(t *testing.T) {
	two := func() pmetric.Metrics {
		md := loads("shop", 2)
		other := loads("cart", 3)
		other.ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
		named := loads("shop", 1)
		named.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).SetName("temperature")
		named.ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
		return md
	}
	f := func(points int, change func(*policy.Route)) {
		t.Helper()
		r := newRig(t).start(nil)
		route := mirrorRoute("shop")
		if change != nil {
			change(&route)
		}
		r.publish(nil, route)
		want := two()
		require.NoError(t, r.connector.ConsumeMetrics(t.Context(), copyOf(want)))
		require.Equal(t, bytesOf(t, want), bytesOf(t, r.baseline.got()...))
		if points == 0 {
			require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 1)))
			require.Empty(t, r.candidate.got())
			return
		}
		eventually(t, func() bool { return r.candidate.points() == points })
		for _, md := range r.candidate.got() {
			withoutMark(t, md)
			for _, rm := range md.ResourceMetrics().All() {
				require.Equal(t, "shop", rm.Resource().Attributes().AsRaw()["service.name"])
			}
		}
		require.EqualValues(t, points, r.counter("points", "arm", "baseline", "class", "mirror"))
		require.EqualValues(t, want.DataPointCount()-points, r.counter("points", "arm", "baseline", "class", "none"))
	}
	f(30, nil)
	f(10, func(route *policy.Route) { route.Metrics = []string{"temperature"} })
	f(20, func(route *policy.Route) { route.Metrics = []string{"load"} })
	f(3, func(route *policy.Route) { route.Scope["point.cpu"] = "4" })
	f(2, func(route *policy.Route) { route.Scope["point.cpu"], route.Metrics = "4", []string{"load"} })
	f(0, func(route *policy.Route) { route.Mirror = false })
	f(0, func(route *policy.Route) { route.Lease = &policy.Lease{} })
	f(0, func(route *policy.Route) { route.Signal = signalLogs })
}

// The points of all types are marked, and selected by their attributes.
func TestMirrorOfEveryType(t *testing.T) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	metrics.AppendEmpty().SetName("empty")
	for _, route := range []string{"/cart", "/"} {
		put := func(attributes pcommon.Map) { attributes.PutStr("route", route) }
		put(metrics.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().Attributes())
		put(metrics.AppendEmpty().SetEmptySum().DataPoints().AppendEmpty().Attributes())
		put(metrics.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty().Attributes())
		put(metrics.AppendEmpty().SetEmptyExponentialHistogram().DataPoints().AppendEmpty().Attributes())
		put(metrics.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty().Attributes())
	}
	// A metric of each type with points of both kinds.
	for i := 1; i <= 5; i++ {
		from, to := metrics.At(i+5), metrics.AppendEmpty()
		metrics.At(i).CopyTo(to)
		appendPoint(from, to)
	}
	r := newRig(t).start(nil)
	route := mirrorRoute("shop")
	route.Scope["point.route"] = "/cart"
	r.publish(nil, route)
	require.NoError(t, r.connector.ConsumeMetrics(t.Context(), copyOf(md)))
	eventually(t, func() bool { return r.candidate.points() == 10 })
	types := map[pmetric.MetricType]int{}
	for _, m := range r.candidate.got()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		for _, p := range pointsAt(m) {
			types[m.Type()]++
			assert.Equal(t, map[string]any{"route": "/cart", policy.ArmAttribute: "candidate"}, p)
		}
	}
	for _, kind := range []pmetric.MetricType{
		pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeHistogram, pmetric.MetricTypeExponentialHistogram, pmetric.MetricTypeSummary,
	} {
		assert.Equal(t, 2, types[kind], kind)
	}
	require.Equal(t, bytesOf(t, md), bytesOf(t, r.baseline.got()...))
}

// A candidate that hangs holds up neither the baseline nor, once there is no time
// left, the shutdown. The queue is bounded, what has no room is counted.
func TestMirrorToACandidateThatHangs(t *testing.T) {
	r := newRig(t)
	hangs := make(chan struct{})
	r.candidate.before = func(ctx context.Context, _ pmetric.Metrics) error {
		close(hangs)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	r.start(func(cfg *Config) {
		cfg.CandidateTimeout = 0
		cfg.Mirror.QueueBytes = 3 * Bytes((&pmetric.ProtoMarshaler{}).MetricsSize(loads("shop", 1)))
		cfg.Breaker.MinBatches = 1000
	})
	r.publish(nil, mirrorRoute("shop"))
	const batches = 50
	for range batches {
		began := time.Now()
		require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 1)))
		require.Less(t, time.Since(began), time.Second)
	}
	<-hangs
	require.Len(t, r.baseline.got(), batches)
	dropped := r.counter("dropped_points", "reason", "queue_full")
	require.GreaterOrEqual(t, dropped, int64(10*(batches-5)))
	require.EqualValues(t, dropped, r.report("team/shop").Candidate.Dropped)
	waiting := r.counter("queue_bytes")
	require.Positive(t, waiting)
	require.LessOrEqual(t, waiting, int64(testBytes(r)))

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := r.connector.Shutdown(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "the candidate did not take in time what waited for it")
	require.Empty(t, r.candidate.got())
}

func testBytes(r *rig) Bytes { return r.router().config.Mirror.QueueBytes }

// A shutdown gives the candidate what waits.
func TestShutdownDrains(t *testing.T) {
	r := newRig(t)
	open := make(chan struct{})
	r.candidate.before = func(context.Context, pmetric.Metrics) error {
		<-open
		return nil
	}
	r.start(nil)
	r.publish(nil, mirrorRoute("shop"))
	for range 20 {
		require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 1)))
	}
	close(open)
	require.NoError(t, r.connector.Shutdown(t.Context()))
	require.Len(t, r.candidate.got(), 20)
}

// What a candidate does wrong is counted, and closes it; the baseline never sees
// any of it.
func TestMirrorToACandidateThatFails(t *testing.T) {
	f := func(fail func(i int64) error, reason, breach string) {
		t.Helper()
		r := newRig(t)
		var calls atomic.Int64
		r.candidate.before = func(context.Context, pmetric.Metrics) error { return fail(calls.Add(1)) }
		r.start(nil)
		r.publish(nil, mirrorRoute("shop"))
		for range 100 {
			require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 1)))
		}
		eventually(t, func() bool { return r.report("team/shop").Breach != "" })
		require.Contains(t, r.report("team/shop").Breach, breach)
		require.NoError(t, r.connector.Shutdown(t.Context()))
		require.Len(t, r.baseline.got(), 100)
		require.Equal(t, bytesOf(t, loads("shop", 1)), bytesOf(t, r.baseline.got()[99]))
		after := calls.Load()
		require.Less(t, after, int64(100))
		require.Positive(t, r.counter("candidate_errors", "reason", reason))
		require.EqualValues(t, 1, r.counter("breaches"))
	}
	f(func(int64) error { return errDown }, "refused", "20 of 20 batches of the last 10s failed, at most 10 % may")
	f(func(int64) error { return consumererror.NewPermanent(errDown) }, "failed", "20 of 20 batches")
	f(func(int64) error { panic("index out of range") }, "panic", "20 of 20 batches")
	f(func(i int64) error {
		if i%10 < 3 {
			return errDown
		}
		return nil
	}, "refused", "batches of the last 10s failed, at most 10 % may")
}

// What the baseline refuses comes again: the candidate must not see it twice.
func TestMirrorOfWhatTheBaselineRefuses(t *testing.T) {
	r := newRig(t)
	down := true
	r.baseline.before = func(context.Context, pmetric.Metrics) error {
		if down {
			return errDown
		}
		return nil
	}
	r.start(nil)
	r.publish(nil, mirrorRoute("shop"))
	require.ErrorIs(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 1)), errDown)
	down = false
	require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 1)))
	require.NoError(t, r.connector.Shutdown(t.Context()))
	require.Len(t, r.candidate.got(), 1)
	require.Len(t, r.baseline.got(), 1)
}

// The candidate's call has the client and the baggage of the batch, and not its
// deadline.
func TestMirrorContext(t *testing.T) {
	r := newRig(t)
	member, err := baggage.NewMember("user", "ada")
	require.NoError(t, err)
	bag, err := baggage.New(member)
	require.NoError(t, err)
	ctx := client.NewContext(t.Context(), client.Info{Metadata: client.NewMetadata(map[string][]string{"tenant": {"blue"}})})
	ctx, cancel := context.WithTimeout(baggage.ContextWithBaggage(ctx, bag), time.Hour)
	released := make(chan struct{})
	var mu sync.Mutex
	var problems []error
	r.candidate.before = func(ctx context.Context, _ pmetric.Metrics) error {
		<-released
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			problems = append(problems, ctx.Err())
		}
		if until, has := ctx.Deadline(); !has || time.Until(until) > 5*time.Second {
			problems = append(problems, errors.New("the deadline is not that of candidate_timeout"))
		}
		if got := client.FromContext(ctx).Metadata.Get("tenant"); len(got) != 1 || got[0] != "blue" {
			problems = append(problems, errors.New("no client metadata"))
		}
		if baggage.FromContext(ctx).Member("user").Value() != "ada" {
			problems = append(problems, errors.New("no baggage"))
		}
		return nil
	}
	r.start(unmarked)
	r.publish(nil, mirrorRoute("shop"))
	require.NoError(t, r.connector.ConsumeMetrics(ctx, loads("shop", 1)))
	cancel() // as a receiver does once it has answered
	close(released)
	require.NoError(t, r.connector.Shutdown(t.Context()))
	require.Empty(t, problems)
	require.Len(t, r.candidate.got(), 1)
}

package abrouterconnector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// instances are the resources of batches, by their attribute instance.
func instances(list ...pmetric.Metrics) map[int64]int {
	found := map[int64]int{}
	for _, md := range list {
		for _, rm := range md.ResourceMetrics().All() {
			i, _ := rm.Resource().Attributes().Get("instance")
			found[i.Int()]++
		}
	}
	return found
}

// everyOnce demands that each resource came once.
func everyOnce(t *testing.T, resources int, list ...pmetric.Metrics) {
	t.Helper()
	found := instances(list...)
	require.Len(t, found, resources)
	for i, n := range found {
		require.Equal(t, 1, n, "instance %d", i)
	}
}

// What the candidate does not take goes to the baseline, as it was, whatever the
// candidate did to it.
func TestSplitRetriesOnTheBaseline(t *testing.T) {
	f := func(fails func() error, baselineMutates, candidateMutates bool, reason string) {
		t.Helper()
		r := newRig(t)
		r.baseline.mutates, r.candidate.mutates = baselineMutates, candidateMutates
		r.candidate.before = func(_ context.Context, md pmetric.Metrics) error {
			if candidateMutates {
				md.ResourceMetrics().RemoveIf(func(pmetric.ResourceMetrics) bool { return true })
			}
			return fails()
		}
		r.start(nil)
		r.publish(nil, splitRoute("shop", 50))
		for range 5 {
			require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 40)))
		}
		got := r.report("team/shop")
		require.EqualValues(t, 5*400, got.Baseline.Points+got.Candidate.Points)
		require.Positive(t, got.Candidate.Points)
		require.Equal(t, got.Candidate.Points, got.Candidate.Retried)
		require.Equal(t, got.Candidate.Points, got.Candidate.Refused+got.Candidate.Failed)
		require.EqualValues(t, 5, got.Candidate.FailedBatches)
		require.Zero(t, got.Baseline.FailedBatches)
		require.EqualValues(t, 40, got.Baseline.Units+got.Candidate.Units)
		require.EqualValues(t, got.Candidate.Points, r.counter("retried_points"))
		require.EqualValues(t, 5, r.counter("candidate_errors", "reason", reason))
		all := r.baseline.got()
		require.Len(t, all, 10)
		for i := 0; i < len(all); i += 2 {
			everyOnce(t, 40, all[i], all[i+1])
			require.Equal(t, 400, all[i].DataPointCount()+all[i+1].DataPointCount())
		}
	}
	for _, baseline := range []bool{false, true} {
		for _, candidate := range []bool{false, true} {
			f(func() error { return errDown }, baseline, candidate, "refused")
			f(func() error { return consumererror.NewPermanent(errDown) }, baseline, candidate, "failed")
			f(func() error { panic("nil map") }, baseline, candidate, "panic")
		}
	}
}

// With on_error: fail the caller hears of it, and what part has to come again.
func TestSplitFails(t *testing.T) {
	f := func(err error, mutates, whole bool) {
		t.Helper()
		r := newRig(t)
		r.candidate.mutates = mutates
		r.candidate.before = func(context.Context, pmetric.Metrics) error { return err }
		r.start(func(cfg *Config) { cfg.OnError = OnErrorFail })
		weight := 50
		if whole {
			weight = 100
		}
		r.publish(nil, splitRoute("shop", weight))
		got := r.connector.ConsumeMetrics(t.Context(), loads("shop", 40))
		require.ErrorIs(t, got, errDown)
		require.Equal(t, consumererror.IsPermanent(err), consumererror.IsPermanent(got))
		var part consumererror.Metrics
		partial := errors.As(got, &part)
		require.Equal(t, !mutates && !whole && !consumererror.IsPermanent(err), partial)
		if partial {
			everyOnce(t, 40, append(r.baseline.got(), part.Data())...)
		}
		require.Zero(t, r.counter("retried_points"))
		require.EqualValues(t, 1, r.report("team/shop").Candidate.FailedBatches)
	}
	for _, mutates := range []bool{false, true} {
		for _, whole := range []bool{false, true} {
			f(errDown, mutates, whole)
			f(consumererror.NewPermanent(errDown), mutates, whole)
		}
	}
}

// When nobody takes the candidate's part, that part comes again, unwritten.
func TestSplitWhenBothAreDown(t *testing.T) {
	for _, baselineMutates := range []bool{false, true} {
		r := newRig(t)
		r.baseline.mutates, r.candidate.mutates = baselineMutates, true
		calls := 0
		r.baseline.before = func(_ context.Context, md pmetric.Metrics) error {
			if calls++; calls < 2 {
				return nil
			}
			if baselineMutates {
				md.ResourceMetrics().RemoveIf(func(pmetric.ResourceMetrics) bool { return true })
			}
			return errDown
		}
		r.candidate.before = func(context.Context, pmetric.Metrics) error { return errors.New("also down") }
		r.start(nil)
		r.publish(nil, splitRoute("shop", 50))
		err := r.connector.ConsumeMetrics(t.Context(), loads("shop", 40))
		require.ErrorIs(t, err, errDown)
		var part consumererror.Metrics
		require.ErrorAs(t, err, &part)
		everyOnce(t, 40, append(r.baseline.got(), part.Data())...)
	}
}

// If the baseline refuses its part nothing is given to the candidate.
func TestSplitWhenTheBaselineIsDown(t *testing.T) {
	r := newRig(t)
	r.baseline.before = func(context.Context, pmetric.Metrics) error { return errDown }
	r.start(nil)
	r.publish(nil, splitRoute("shop", 50))
	require.ErrorIs(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 40)), errDown)
	require.Empty(t, r.candidate.got())
	require.EqualValues(t, 1, r.report("team/shop").Baseline.FailedBatches)
	require.Empty(t, r.report("team/shop").Breach)
}

// A candidate that is down, or fails three times in ten, loses its weight in the
// router, with no help of control, and gets no more points; nothing is lost.
func TestBreach(t *testing.T) {
	f := func(fails func(i int64) bool, atMost int64, takesMarkers bool) {
		t.Helper()
		r := newRig(t)
		var calls atomic.Int64
		r.candidate.before = func(context.Context, pmetric.Metrics) error {
			if fails(calls.Add(1)) {
				return errDown
			}
			return nil
		}
		r.start(nil)
		r.publish(nil, splitRoute("shop", 50))
		const batches = 100
		for range batches {
			require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 40)))
		}
		require.NotEmpty(t, r.report("team/shop").Breach)
		require.LessOrEqual(t, r.report("team/shop").Candidate.Batches, uint64(atMost))
		require.EqualValues(t, 1, r.counter("breaches"))
		require.EqualValues(t, 1, r.counter("experiments", "state", "breached"))
		require.NoError(t, r.connector.Shutdown(t.Context()))
		markers := 0
		points := r.baseline.points()
		for _, md := range r.candidate.got() {
			for _, rm := range md.ResourceMetrics().All() {
				for _, dp := range rm.ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().All() {
					if dp.Flags().NoRecordedValue() {
						markers++
					} else {
						points++
					}
				}
			}
		}
		require.Equal(t, batches*400, points)
		require.Equal(t, takesMarkers, markers > 0)
	}
	f(func(int64) bool { return true }, 20, false)
	f(func(i int64) bool { return i%10 < 3 }, 25, true)
}

// A breach stays until the candidate begins anew.
func TestABreachIsOfAnEpoch(t *testing.T) {
	r := newRig(t)
	down := true
	r.candidate.before = func(context.Context, pmetric.Metrics) error {
		if down {
			return errDown
		}
		return nil
	}
	r.start(nil)
	route := splitRoute("shop", 100)
	r.publish(nil, route)
	for range 20 {
		require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 1)))
	}
	require.NotEmpty(t, r.report("team/shop").Breach)
	down = false
	route.Weight = 50
	r.publish(nil, route)
	require.NotEmpty(t, r.report("team/shop").Breach)
	route.Weight, route.Epoch, route.Lease = 100, 2, held()
	r.publish(nil, route)
	got := r.report("team/shop")
	require.Empty(t, got.Breach)
	require.EqualValues(t, 2, got.Epoch)
	require.Zero(t, got.Candidate.Points)
	require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 1)))
	require.EqualValues(t, 10, r.report("team/shop").Candidate.Points)
}

// The bound of an experiment goes before that of the configuration.
func TestMaxErrorRatioOfTheRoute(t *testing.T) {
	f := func(ratio float64, breached bool) {
		t.Helper()
		r := newRig(t)
		i := 0
		r.candidate.before = func(context.Context, pmetric.Metrics) error {
			if i++; i%4 == 0 {
				return errDown
			}
			return nil
		}
		r.start(nil)
		route := splitRoute("shop", 100)
		route.MaxErrorRatio = ratio
		r.publish(nil, route)
		for range 60 {
			require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 1)))
		}
		require.Equal(t, breached, r.report("team/shop").Breach != "")
	}
	f(0, true)
	f(0.2, true)
	f(0.3, false)
}

// A candidate that hangs in its context costs each batch the timeout, and is
// closed after a window though there are never many batches in one.
func TestSplitToASlowCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.candidate.before = func(ctx context.Context, _ pmetric.Metrics) error {
			<-ctx.Done()
			return ctx.Err()
		}
		r.start(nil)
		r.publish(nil, splitRoute("shop", 50))
		began, batches := time.Now(), 0
		for ; r.report("team/shop").Breach == ""; batches++ {
			require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 40)))
		}
		require.LessOrEqual(t, time.Since(began), 15*time.Second)
		require.Contains(t, r.report("team/shop").Breach, "it took none of 2 batches for 10s")
		require.EqualValues(t, batches, r.counter("candidate_errors", "reason", "timeout"))
		began = time.Now()
		for range 10 {
			require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 40)))
			batches++
		}
		require.Less(t, time.Since(began), time.Second)
		require.Equal(t, batches*400, r.baseline.points())
		// Markers still wait for it.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, r.connector.Shutdown(ctx), context.DeadlineExceeded)
	})
}

// A candidate that heeds no context holds up those callers that are in it, and is
// closed for all others.
func TestSplitToACandidateThatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		released := make(chan struct{})
		r.candidate.before = func(context.Context, pmetric.Metrics) error {
			<-released
			return nil
		}
		r.start(nil)
		r.publish(nil, splitRoute("shop", 50))
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				if err := r.connector.ConsumeMetrics(t.Context(), loads("shop", 40)); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(6500 * time.Millisecond)
		require.Contains(t, r.report("team/shop").Breach, "it has not returned from a batch for 6s")
		began := time.Now()
		for range 10 {
			require.NoError(t, r.connector.ConsumeMetrics(t.Context(), loads("shop", 40)))
		}
		require.Less(t, time.Since(began), time.Second)
		close(released)
		callers.Wait()
		require.NoError(t, r.connector.Shutdown(t.Context()))
	})
}

// A caller that goes away says nothing of the candidate; one whose time is over
// does.
func TestCallersThatGoAway(t *testing.T) {
	goes := context.WithCancel
	late := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, time.Nanosecond)
	}
	for breached, caller := range map[bool]func(context.Context) (context.Context, context.CancelFunc){false: goes, true: late} {
		r := newRig(t)
		ctx, cancel := caller(t.Context())
		r.candidate.before = func(ctx context.Context, _ pmetric.Metrics) error {
			if !breached {
				cancel()
			}
			<-ctx.Done()
			return ctx.Err()
		}
		r.start(func(cfg *Config) { cfg.CandidateTimeout = 10 * time.Millisecond })
		r.publish(nil, splitRoute("shop", 100))
		for range 30 {
			require.NoError(t, r.connector.ConsumeMetrics(ctx, loads("shop", 1)))
		}
		cancel()
		require.Equal(t, breached, r.report("team/shop").Breach != "")
		require.Equal(t, 300, r.baseline.points())
	}
}

// The breaker against a plain count, also when the clock is set.
func TestBreaker(t *testing.T) {
	cfg := BreakerConfig{Window: 10 * time.Second, MinBatches: 20, MaxErrorRatio: 0.1}
	start := time.Unix(1_700_000_000, 0)
	type event struct {
		at    time.Duration
		fails bool
	}
	f := func(want string, list ...event) {
		t.Helper()
		var b breaker
		why := ""
		for _, e := range list {
			now := start.Add(e.at)
			why = b.judge(now, now, &cfg, cfg.MaxErrorRatio, e.fails)
		}
		require.Equal(t, want, why)
	}
	repeat := func(n int, from, step time.Duration, fails func(i int) bool) (list []event) {
		for i := range n {
			list = append(list, event{from + time.Duration(i)*step, fails(i)})
		}
		return list
	}
	always, never := func(int) bool { return true }, func(int) bool { return false }
	f("", repeat(19, 0, 100*time.Millisecond, always)...)
	f("20 of 20 batches of the last 10s failed, at most 10 % may", repeat(20, 0, 100*time.Millisecond, always)...)
	f("3 of 21 batches of the last 10s failed, at most 10 % may", append(repeat(18, 0, 100*time.Millisecond, never), repeat(3, 2*time.Second, time.Millisecond, always)...)...)
	f("", append(repeat(38, 0, 100*time.Millisecond, never), repeat(2, 4*time.Second, time.Millisecond, always)...)...)
	f("", append(repeat(19, 0, 100*time.Millisecond, always), event{12 * time.Second, false}, event{12 * time.Second, true})...)
	f("", event{0, true}, event{9 * time.Second, true})
	f("it took none of 2 batches for 10s", event{0, true}, event{10 * time.Second, true})
	f("it took none of 2 batches for 10s", event{0, true}, event{time.Hour, true})
	f("", event{0, true}, event{time.Hour, false}, event{2 * time.Hour, true})
	f("", append(repeat(19, time.Hour, 0, never), event{0, true})...)
	f("4 of 23 batches of the last 10s failed, at most 10 % may", append(repeat(19, time.Hour, 0, never), repeat(4, 0, 0, always)...)...)
}

func ExampleBytes() {
	var b Bytes
	err := b.UnmarshalText([]byte("64MiB"))
	fmt.Println(int64(b), err)
	// Output: 67108864 <nil>
}

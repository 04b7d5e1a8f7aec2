package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/recorder"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 14, 12, 2, 30, 0, time.UTC)

// rig is a recorder over a real store, with a clock that a test moves.
type rig struct {
	*recorder.Recorder
	store store.Store
	logs  *observer.ObservedLogs
	alarm chan time.Duration // what After was asked for
	ring  chan time.Time

	mu       sync.Mutex
	now      time.Time
	seen     insight.Observation
	err      error
	observed int
	outcomes map[string]int
}

func newRig(t *testing.T, change func(*recorder.Settings)) *rig {
	t.Helper()
	r := &rig{now: noon, outcomes: map[string]int{}, alarm: make(chan time.Duration), ring: make(chan time.Time)}
	opened, err := sqlite.Open(t.Context(), sqlite.Settings{Path: filepath.Join(t.TempDir(), "phoenix.db"), Now: r.clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close()) })
	r.store = opened
	logging, logs := observer.New(zap.InfoLevel)
	r.logs = logs
	s := recorder.Settings{
		Store: r.store, Observe: r.observe, Logger: zap.New(logging), Now: r.clock,
		Done:  func(outcome string, n int) { r.mu.Lock(); r.outcomes[outcome] += n; r.mu.Unlock() },
		After: func(d time.Duration) <-chan time.Time { r.alarm <- d; return r.ring },
	}
	if change != nil {
		change(&s)
	}
	r.Recorder = recorder.New(s)
	return r
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) observe(context.Context, int) (insight.Observation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observed++
	return r.seen, r.err
}

func (r *rig) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// history is the values of a series, in order of time.
func history(t *testing.T, s store.Store, kind, key string) (values []float64) {
	t.Helper()
	points, err := s.GetHistory(t.Context(), store.HistoryQuery{Kind: kind, Key: key, Step: store.FineStep})
	require.NoError(t, err)
	for _, p := range points {
		values = append(values, p.Mean)
	}
	return values
}

func observation() insight.Observation {
	return insight.Observation{
		At: noon, PriceModel: "mine", Currency: "USD", Priced: true, NewPerMinute: 3, SavingMonth: 12,
		Total: insight.StreamObservation{Series: 100, SamplesPerSecond: 5, Sampled: true, Month: 7.5},
		Metrics: []insight.StreamObservation{
			{Metric: "total", Series: 60, SamplesPerSecond: 3, Sampled: true, Month: 5},
			{Metric: "up", Series: 40, SamplesPerSecond: 2, Sampled: true, Month: 2.5},
		},
		Policies: []insight.PolicyObservation{{PolicyKey: store.PolicyKey{Namespace: "shop", Name: "drop-pod"}, State: store.StatePreview, Series: 30, Month: 1.25}},
	}
}

func TestValuesAreWritten(t *testing.T) {
	r := newRig(t, nil)
	require.NoError(t, r.Record(t.Context()), "nothing is measured")
	r.set(func() { r.seen = observation() })
	require.NoError(t, r.Record(t.Context()))
	r.set(func() { r.now, r.seen.Total.Series = noon.Add(time.Minute), 101 })
	require.NoError(t, r.Record(t.Context()), "the same slot again")
	r.set(func() { r.now = noon.Add(5 * time.Minute) })
	require.NoError(t, r.Record(t.Context()))

	f := func(kind, key string, want ...float64) {
		t.Helper()
		assert.Equal(t, want, history(t, r.store, kind, key), "%s %s", kind, key)
	}
	f(insight.KindSeries, insight.TotalKey, 101, 101)
	f(insight.KindSamples, insight.TotalKey, 5, 5)
	f(insight.KindCostMonth, insight.TotalKey, 7.5, 7.5)
	f(insight.KindNewSeries, insight.TotalKey, 15, 15)
	f(insight.KindSeries, insight.MetricKey("total"), 60, 60) // a metric of that name is not the total
	f(insight.KindCostMonth, "up", 2.5, 2.5)
	f(insight.KindPolicySavingSeries, "shop/drop-pod", 30, 30)
	f(insight.KindPolicySavingMonth, "shop/drop-pod", 1.25, 1.25)
	assert.Equal(t, map[string]int{"kept": 36, "out_of_time": 0, "over_limit": 0}, r.outcomes)
}

func TestWhatIsNotKnownIsNotWritten(t *testing.T) {
	r := newRig(t, nil)
	o := observation()
	o.Priced, o.Total.Sampled, o.Metrics[0].Sampled, o.Metrics[1].Sampled = false, false, false, false
	o.NewPerMinute = math.Inf(1)
	o.Policies[0].Name = "a\x00b"
	r.set(func() { r.seen = o })
	require.NoError(t, r.Record(t.Context()))
	assert.Equal(t, []float64{100}, history(t, r.store, insight.KindSeries, insight.TotalKey))
	assert.Empty(t, history(t, r.store, insight.KindSamples, insight.TotalKey))
	assert.Empty(t, history(t, r.store, insight.KindCostMonth, insight.TotalKey))
	assert.Empty(t, history(t, r.store, insight.KindNewSeries, insight.TotalKey))
	assert.Equal(t, 3, r.outcomes["kept"])
}

// TestMetricsThatComeAndGoDoNotFillTheStore has other largest metrics each time:
// a history once begun goes on, and half as many again may begin.
func TestMetricsThatComeAndGoDoNotFillTheStore(t *testing.T) {
	r := newRig(t, func(s *recorder.Settings) { s.Top, s.Policies = 4, 2 })
	churn := func(from int) {
		o := observation()
		o.Metrics, o.Policies = nil, nil
		for i := range 4 {
			o.Metrics = append(o.Metrics, insight.StreamObservation{Metric: fmt.Sprintf("m-%d", from+i), Series: 1})
			o.Policies = append(o.Policies, insight.PolicyObservation{PolicyKey: store.PolicyKey{Namespace: "n", Name: fmt.Sprintf("p-%d", from+i)}})
		}
		r.set(func() { r.seen = o; r.now = r.now.Add(5 * time.Minute) })
		require.NoError(t, r.Record(t.Context()))
	}
	keys := func(kind string) []string {
		page, err := r.store.ListHistoryKeys(t.Context(), kind, store.PageRequest{})
		require.NoError(t, err)
		return page.Items
	}
	for from := range 20 {
		churn(from)
	}
	assert.Equal(t, []string{"m-0", "m-1", "m-2", "m-3", "m-4", "m-5", "total"}, keys(insight.KindSeries))
	assert.Equal(t, []string{"n/p-0", "n/p-1", "n/p-2"}, keys(insight.KindPolicySavingSeries))

	// A recorder that starts again knows who has a history.
	again := recorder.New(recorder.Settings{Store: r.store, Observe: r.observe, Now: r.clock, Top: 4, Policies: 2})
	r.Recorder = again
	churn(100)
	churn(0)
	assert.Len(t, keys(insight.KindSeries), 7)
	assert.Len(t, keys(insight.KindPolicySavingSeries), 3)
}

// TestTheDefaultsFitTheStore: what the roster may hold is less than the bound of
// the store.
func TestTheDefaultsFitTheStore(t *testing.T) {
	metrics, policies := recorder.DefaultTop*3/2, recorder.DefaultPolicies*3/2
	assert.LessOrEqual(t, 3*(metrics+1)+1+2*policies, 1000)
}

func TestRunWritesAtWholeMultiples(t *testing.T) {
	r := newRig(t, nil)
	r.set(func() { r.seen = observation() })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	assert.Equal(t, 150*time.Second, <-r.alarm, "until five past")
	assert.Empty(t, history(t, r.store, insight.KindSeries, insight.TotalKey), "the first look is for the rates")
	tick := func(to time.Time) {
		r.set(func() { r.now = to })
		r.ring <- to
	}
	tick(time.Date(2026, 3, 14, 12, 5, 0, 0, time.UTC))
	assert.Equal(t, 5*time.Minute, <-r.alarm)
	tick(time.Date(2026, 3, 14, 12, 10, 1, 0, time.UTC))
	assert.Equal(t, 299*time.Second, <-r.alarm)
	assert.Equal(t, []float64{100, 100}, history(t, r.store, insight.KindSeries, insight.TotalKey))

	// A store that fails is said once, and once that it is back.
	r.set(func() { r.err = errors.New("no") })
	for range 3 {
		tick(r.clock().Add(5 * time.Minute))
		<-r.alarm
	}
	r.set(func() { r.err = nil })
	tick(r.clock().Add(5 * time.Minute))
	<-r.alarm
	var said []string
	for _, l := range r.logs.All() {
		said = append(said, l.Message)
	}
	assert.Equal(t, []string{"The history of the stream cannot be written; it has a gap until it can", "The history of the stream is written again"}, said)
	assert.Equal(t, 7, r.observed)
	cancel()
	<-done
}

func TestAStoreThatFailsIsCounted(t *testing.T) {
	r := newRig(t, nil)
	r.set(func() { r.seen = observation() })
	require.NoError(t, r.Record(t.Context()))
	require.NoError(t, r.store.Close())
	require.ErrorIs(t, r.Record(t.Context()), store.ErrClosed)
	assert.Equal(t, 12, r.outcomes["failed"])
}

// TestFromTheDataPathToTheHistory joins the recorder with what really observes,
// for a quarter of an hour.
func TestFromTheDataPathToTheHistory(t *testing.T) {
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		opened, err := sqlite.Open(t.Context(), sqlite.Settings{Path: filepath.Join(directory, "phoenix.db")})
		require.NoError(t, err)
		defer func() { require.NoError(t, opened.Close()) }()
		guard, err := access.New(access.DefaultConfig())
		require.NoError(t, err)
		began := time.Now()
		services := insight.New(insight.Settings{
			Core:   &service.Core{Store: opened, Guard: guard, Events: &bus.Memory{}, Logger: zap.NewNop(), Now: time.Now},
			Points: func() []string { return []string{"ingest"} },
			Cardinality: func(_ context.Context, point string, _ report.CardinalityQuery) ([]report.Cardinality, error) {
				now := time.Now()
				return []report.Cardinality{{
					Point: point, Window: 10 * time.Minute, SubWindow: time.Minute, To: now, From: now.Add(-10 * time.Minute),
					Metrics: []report.MetricCardinality{{
						Name: "up", Type: "gauge", Series: 50, Streams: 50, Points: uint64(10 * now.Sub(began).Seconds()), Growth: report.Growth{NewPerMinute: 2},
					}},
				}}, nil
			},
			Consolidation: func(context.Context) ([]report.Consolidation, error) { return nil, nil },
			Engaged:       func() bool { return false },
		})
		defer services.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 16*time.Minute)
		defer cancel()
		recorder.New(recorder.Settings{Store: opened, Observe: services.Observe}).Run(ctx)
		assert.Equal(t, []float64{50, 50, 50}, history(t, opened, insight.KindSeries, "up"))
		assert.Equal(t, []float64{10, 10, 10}, history(t, opened, insight.KindNewSeries, insight.TotalKey))
		assert.Equal(t, []float64{10, 10, 10}, history(t, opened, insight.KindSamples, insight.TotalKey), "a second")
		assert.Empty(t, history(t, opened, insight.KindCostMonth, insight.TotalKey), "nothing has a price")
	})
}

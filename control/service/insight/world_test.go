package insight_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// namespaceAttribute is the attribute that divides telemetry among namespaces in
// the tests that do.
const namespaceAttribute = "k8s.namespace.name"

// world is the services over a real store, and a data path that says what a test
// wants it to say.
type world struct {
	*insight.Services
	store store.Store
	core  *service.Core
	logs  *observer.ObservedLogs

	mu            sync.Mutex
	now           time.Time
	points        map[string]report.Cardinality
	asked         map[string]int
	sick          error
	consolidation []report.Consolidation
	engaged       bool
}

var people = []access.Binding{
	binding("root", access.RoleAdmin, access.AllNamespaces),
	binding("viewer", access.RoleViewer, access.AllNamespaces),
	binding("shop", access.RoleEditor, "shop"),
	binding("shop-admin", access.RoleAdmin, "shop"),
	binding("bank", access.RoleViewer, "bank"),
	binding("both", access.RoleViewer, "bank", "shop"),
}

func binding(who string, role access.Role, namespaces ...string) access.Binding {
	return access.Binding{
		Name: who, Role: role, Namespaces: namespaces, Subjects: []access.Subject{{Kind: access.KindCertificate, ID: who}},
	}
}

// fast is so short a time that every question is asked anew after a step.
const fast = time.Nanosecond

func newWorld(tb testing.TB, change ...func(*insight.Settings)) *world {
	tb.Helper()
	w := &world{now: sampleTime, points: map[string]report.Cardinality{}, asked: map[string]int{}}
	opened, err := sqlite.Open(tb.Context(), sqlite.Settings{Path: filepath.Join(tb.TempDir(), "phoenix.db"), Now: w.clock})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, opened.Close()) })
	w.store = opened
	config := access.DefaultConfig()
	config.Bindings = people
	guard, err := access.New(config)
	require.NoError(tb, err)
	limiter, err := access.NewLimiter(config.RateLimits)
	require.NoError(tb, err)
	logging, logs := observer.New(zap.DebugLevel)
	w.logs = logs
	w.core = &service.Core{
		Store: w.store, Guard: guard, Limiter: limiter, Events: &bus.Memory{}, Logger: zap.New(logging), Now: w.clock, IdempotencyKept: time.Hour,
	}
	s := insight.Settings{
		Core: w.core, Points: w.names, Cardinality: w.cardinality, Consolidation: w.consolidations,
		Engaged: func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.engaged },
		MaxAge:  fast,
	}
	for _, f := range change {
		f(&s)
	}
	w.Services = insight.New(s)
	tb.Cleanup(w.Close)
	return w
}

func byNamespace(s *insight.Settings) { s.NamespaceAttribute = namespaceAttribute }

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) set(change func()) {
	w.mu.Lock()
	change()
	w.mu.Unlock()
	w.Forget()
}

func (w *world) measure(answers ...report.Cardinality) {
	w.set(func() {
		for _, a := range answers {
			w.points[a.Point] = a
		}
	})
}

// later lets the stream go on for a time, in which each metric gets so many
// points a second.
func (w *world) later(d time.Duration, pointsPerSecond func(report.MetricCardinality) float64) {
	w.set(func() {
		w.now = w.now.Add(d)
		for name, c := range w.points {
			c.To, c.From = c.To.Add(d), c.From.Add(d)
			c.Metrics = slices.Clone(c.Metrics)
			for i := range c.Metrics {
				c.Metrics[i].Points += uint64(pointsPerSecond(c.Metrics[i]) * d.Seconds())
			}
			w.points[name] = c
		}
	})
}

func (w *world) names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name := range w.points {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// cardinality answers as a cardinality processor would.
func (w *world) cardinality(ctx context.Context, point string, q report.CardinalityQuery) ([]report.Cardinality, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[point]++
	if err := errors.Join(ctx.Err(), w.sick); err != nil {
		return nil, err
	}
	answer, known := w.points[point]
	switch {
	case !known:
		return nil, insight.ErrUnknownPoint
	case q.Since > answer.Window:
		return nil, report.ErrSinceTooLong
	case q.Since > 0:
		answer.From = answer.To.Add(-q.Since)
	}
	if !q.Detail {
		answer.Metrics = slices.Clone(answer.Metrics)
		for i := range answer.Metrics {
			answer.Metrics[i].Attributes, answer.Metrics[i].Groups = nil, nil
		}
	}
	return []report.Cardinality{answer}, nil
}

func (w *world) consolidations(context.Context) ([]report.Consolidation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.consolidation, nil
}

// as is a request of somebody.
func as(tb testing.TB, who string, change ...func(*call.Call)) context.Context {
	tb.Helper()
	c := &call.Call{
		Principal: access.Principal{Kind: access.KindCertificate, ID: who},
		From:      netip.MustParseAddr("192.0.2.7"), Origin: "192.0.2.7:1234", RequestID: "r-1",
	}
	for _, f := range change {
		f(c)
	}
	return call.With(tb.Context(), c)
}

func ifMatch(etag string) func(*call.Call) { return func(c *call.Call) { c.IfMatch = etag } }

func requireRefused(tb testing.TB, err error, want fault.Reason) {
	tb.Helper()
	_ = refused(tb, err, want)
}

// refused asserts that an error is a fault of this reason and returns it.
func refused(tb testing.TB, err error, want fault.Reason) *fault.Fault {
	tb.Helper()
	var f *fault.Fault
	require.ErrorAs(tb, err, &f)
	require.Equal(tb, want, f.Reason, "%s %v", f.Detail, f.Cause)
	return f
}

package experiments_test

import (
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
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
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/experiments"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is the service over a real store, publisher and conductor. What is not real
// is the data path: a router and the ends of two arms that count as time goes on.
type rig struct {
	*experiments.Service
	store     store.Store
	core      *service.Core
	publisher *publish.Publisher
	conductor *conductor.Conductor
	data      *dataPath
	logs      *observer.ObservedLogs
	done      chan struct{}
}

// people are who the tests know: by certificate, so that each may hold roles.
var people = []access.Binding{
	binding("admin", access.RoleAdmin, access.AllNamespaces),
	binding("shop-admin", access.RoleAdmin, "shop"),
	binding("shop-operator", access.RoleOperator, "shop"),
	binding("shop-editor", access.RoleEditor, "shop"),
	binding("shop-viewer", access.RoleViewer, "shop"),
	binding("bank-operator", access.RoleOperator, "bank"),
}

func binding(who string, role access.Role, namespaces ...string) access.Binding {
	return access.Binding{
		Name: who, Role: role, Namespaces: namespaces, Subjects: []access.Subject{{Kind: access.KindCertificate, ID: who}},
	}
}

func newRig(t *testing.T, change ...func(*experiments.Settings)) *rig {
	t.Helper()
	opened, err := sqlite.Open(context.Background(), sqlite.Settings{Path: filepath.Join(t.TempDir(), "phoenix.db"), BusyTimeout: 2 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { _ = opened.Close() })
	logging, logs := observer.New(zap.DebugLevel)
	r := &rig{store: opened, logs: logs, done: make(chan struct{})}
	r.core = newCore(t, opened, zap.New(logging))
	r.conduct(t)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { r.conductor.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	s := experiments.Settings{Core: r.core, Conductor: r.conductor, Done: r.done}
	for _, f := range change {
		f(&s)
	}
	r.Service, err = experiments.New(s)
	require.NoError(t, err)
	return r
}

// conduct makes the publisher and a conductor that has read what there is.
func (r *rig) conduct(tb testing.TB) {
	tb.Helper()
	r.publisher = publish.New(publish.Settings{Store: r.store, Logger: r.core.Logger})
	require.NoError(tb, r.publisher.Refresh(context.Background()))
	r.data = &dataPath{publisher: r.publisher, since: map[string]time.Time{}}
	var err error
	r.conductor, err = conductor.New(conductor.Settings{
		Store: r.store, Publisher: r.publisher, Announce: func(e bus.Event) { r.core.Events.Publish(e) }, Logger: r.core.Logger, Instance: "test", Exclusive: true,
		Sources: conductor.Sources{Routers: r.data.routers, Arms: r.data.arms, Candidates: r.data.candidates},
	})
	require.NoError(tb, err)
	require.NoError(tb, r.conductor.Open(context.Background()))
}

// noKeys knows no API key.
type noKeys struct{}

// FindKey implements access.KeySource.
func (noKeys) FindKey(context.Context, string) (access.KeyRecord, error) {
	return access.KeyRecord{}, access.ErrUnknownKey
}

func newCore(tb testing.TB, s store.Store, logger *zap.Logger) *service.Core {
	tb.Helper()
	config := access.DefaultConfig()
	config.Bindings = people
	config.RateLimits.Refused = access.Rate{} // all refusals are audited
	guard, err := access.New(config)
	require.NoError(tb, err)
	limiter, err := access.NewLimiter(config.RateLimits)
	require.NoError(tb, err)
	return &service.Core{
		Store: s, Guard: guard, Limiter: limiter, Events: &bus.Memory{}, Logger: logger, Now: time.Now, IdempotencyKept: time.Hour,
	}
}

// dataPath does for each route that is published what a mirror does: both arms
// get a thousand points a second, of which the candidate passes on a tenth of
// the series.
type dataPath struct {
	publisher *publish.Publisher
	mu        sync.Mutex
	since     map[string]time.Time
}

func (d *dataPath) routers() []report.RouterRegistration {
	return []report.RouterRegistration{{Component: "ab_router", Signal: "metrics", Source: d}}
}

func (d *dataPath) arms() []report.ArmRegistration {
	return []report.ArmRegistration{
		{Component: "cardinality/baseline", Point: "baseline", Arm: string(policy.ArmBaseline), Source: arm{d, policy.ArmBaseline}},
		{Component: "cardinality/candidate", Point: "candidate", Arm: string(policy.ArmCandidate), Source: arm{d, policy.ArmCandidate}},
	}
}

func (d *dataPath) candidates() []report.ConsolidationRegistration {
	return []report.ConsolidationRegistration{{Component: "tag_consolidation/candidate", Role: string(policy.RoleCandidate), Source: consolidator{d}}}
}

// PolicyVersion implements report.RouterSource.
func (d *dataPath) PolicyVersion() uint64 { return d.publisher.Policy().Version }

// each calls for the routes that are asked for, with the time since the first
// one of this epoch was seen.
func (d *dataPath) each(names []string, use func(r policy.Route, since, now time.Time)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, r := range d.publisher.Policy().Routes {
		if len(names) > 0 && !slices.Contains(names, r.Experiment) {
			continue
		}
		if d.since[r.Experiment].IsZero() {
			d.since[r.Experiment] = now
		}
		use(r, d.since[r.Experiment], now)
	}
}

// Routes implements report.RouterSource.
func (d *dataPath) Routes(_ context.Context, names []string) (list []report.RouteReport, _ error) {
	d.each(names, func(r policy.Route, since, now time.Time) {
		n := uint64(now.Sub(since).Milliseconds())
		got := report.RouteArm{Points: n, Batches: n/100 + 1, Time: time.Duration(n) * time.Microsecond}
		list = append(list, report.RouteReport{
			Component: "ab_router", Signal: "metrics", Experiment: r.Experiment, Epoch: r.Epoch, Held: r.Lease.Held(now),
			Since: since, At: now, Baseline: got, Candidate: got,
		})
	})
	return list, nil
}

type arm struct {
	*dataPath
	side policy.Arm
}

// Arms implements report.ArmSource.
func (a arm) Arms(_ context.Context, names []string) (list []report.ArmReport, _ error) {
	a.each(names, func(r policy.Route, since, now time.Time) {
		n, series := uint64(now.Sub(since).Milliseconds()), uint64(1000)
		if a.side == policy.ArmCandidate {
			n, series = n/10, 100
		}
		list = append(list, report.ArmReport{
			Component: "cardinality/" + string(a.side), Point: string(a.side), Arm: string(a.side), Experiment: r.Experiment,
			Since: since, At: now, Series: series, Points: n, Bytes: 100 * n,
		})
	})
	return list, nil
}

// consolidator has the newest policies at once.
type consolidator struct{ *dataPath }

// Consolidation implements report.ConsolidationSource.
func (c consolidator) Consolidation(context.Context) (report.Consolidation, error) {
	snapshot := c.publisher.Policy()
	answer := report.Consolidation{Component: "tag_consolidation/candidate", Role: string(policy.RoleCandidate), PolicyVersion: snapshot.Version}
	for _, rule := range snapshot.For(policy.RoleCandidate) {
		answer.Rules = append(answer.Rules, report.RuleReport{Name: rule.Name, Mode: string(rule.Mode)})
	}
	return answer, nil
}

// as is a request of somebody.
func as(who string, change ...func(*call.Call)) context.Context {
	c := &call.Call{
		Principal: access.Principal{Kind: access.KindCertificate, ID: who},
		From:      netip.MustParseAddr("192.0.2.7"), Origin: "192.0.2.7:1234", RequestID: "r-1",
	}
	for _, f := range change {
		f(c)
	}
	return call.With(context.Background(), c)
}

func ifMatch(etag string) func(*call.Call) { return func(c *call.Call) { c.IfMatch = etag } }

func idempotent(key string) func(*call.Call) { return func(c *call.Call) { c.IdempotencyKey = key } }

// wire is an experiment that drops pods of a service and looks each second.
func wire(namespace, name, serviceName string) *phoenixv1.Experiment {
	return &phoenixv1.Experiment{Namespace: namespace, Name: name, Spec: &phoenixv1.ExperimentSpec{
		Mode: "mirror", Scope: map[string]string{"service.name": serviceName}, Interval: "1s",
		Rules:   []*phoenixv1.Rule{{Match: &phoenixv1.Match{Metric: "http.*"}, Attributes: &phoenixv1.Attributes{Drop: []string{"pod"}}}},
		Success: []*phoenixv1.ExperimentCriterion{{Measure: "series", AtLeast: 0.2}},
	}}
}

func create(name string) *phoenixv1.CreateExperimentRequest {
	return &phoenixv1.CreateExperimentRequest{Experiment: wire("shop", name, name)}
}

// created makes an experiment of the namespace shop on the service of its name.
func (r *rig) created(t require.TestingT, name string) *phoenixv1.Experiment {
	e, err := r.CreateExperiment(as("admin"), create(name))
	require.NoError(t, err)
	return e
}

// started is created, and started.
func (r *rig) started(t require.TestingT, name string) *phoenixv1.Experiment {
	r.created(t, name)
	e, err := r.StartExperiment(as("admin"), &phoenixv1.StartExperimentRequest{Namespace: "shop", Name: name})
	require.NoError(t, err)
	return e
}

func (r *rig) get(t require.TestingT, name string) *phoenixv1.Experiment {
	e, err := r.GetExperiment(as("admin"), &phoenixv1.GetExperimentRequest{Namespace: "shop", Name: name})
	require.NoError(t, err)
	return e
}

// await waits until an experiment is as it shall be.
func (r *rig) await(t *testing.T, name string, is func(*phoenixv1.Experiment) bool) {
	t.Helper()
	var last *phoenixv1.Experiment
	require.Eventually(t, func() bool {
		last = r.get(t, name)
		return is(last)
	}, 30*time.Second, 20*time.Millisecond, "%v", last)
}

// ready waits until nothing but criteria keeps a person from promoting.
func (r *rig) ready(t *testing.T, name string) {
	t.Helper()
	r.await(t, name, func(e *phoenixv1.Experiment) bool {
		return e.GetStatus().GetPhase() == string(experiment.PhasePromoted) || e.GetStatus().GetStartedAt() != nil &&
			!slices.ContainsFunc(e.GetStatus().GetBlockers(), func(b *phoenixv1.ExperimentReason) bool {
				return b.GetCode() != string(experiment.ReasonCriterionUndecided)
			})
	})
}

// refusal returns the fault that an error must be.
func refusal(t require.TestingT, err error, want fault.Reason) *fault.Fault {
	var f *fault.Fault
	require.ErrorAs(t, err, &f)
	require.Equal(t, want, f.Reason, "%s %v", err, f.Violations)
	return f
}

// refused asserts that an error is a fault of this reason.
func refused(t require.TestingT, err error, want fault.Reason) { _ = refusal(t, err, want) }

func violations(f *fault.Fault) []string {
	var list []string
	for _, v := range f.Violations {
		list = append(list, v.Field+": "+v.Description)
	}
	return list
}

// audit lists the records about experiments, the oldest first, and verifies the
// log.
func (r *rig) audit(t require.TestingT) []store.AuditRecord {
	var records []store.AuditRecord
	request := store.PageRequest{Size: store.MaxPageSize}
	for {
		page, err := r.store.ListAudit(context.Background(), store.AuditQuery{PageRequest: request})
		require.NoError(t, err)
		for _, record := range page.Items {
			if strings.HasPrefix(record.Action, "experiments.") {
				records = append(records, record)
			}
		}
		if page.Next == "" {
			break
		}
		request.Token = page.Next
	}
	slices.Reverse(records)
	_, err := r.store.VerifyAudit(context.Background(), store.AuditRange{})
	require.NoError(t, err)
	return records
}

func (r *rig) watch(tb testing.TB) *bus.Subscription {
	tb.Helper()
	s, err := r.core.Events.Subscribe(nil)
	require.NoError(tb, err)
	tb.Cleanup(s.Close)
	return s
}

// told returns the types of the events since a subscription.
func (r *rig) told(t require.TestingT, s *bus.Subscription) []string {
	r.core.Events.Publish(bus.Event{Type: "end"})
	var list []string
	for {
		e, err := s.Next(context.Background())
		require.NoError(t, err)
		if e.Type == "end" {
			return list
		}
		list = append(list, e.Type)
	}
}

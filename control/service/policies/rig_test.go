package policies_test

import (
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/policies"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 14, 15, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// dataPath takes snapshots over as a tag_consolidation processor does, when the
// test says so.
type dataPath struct {
	mu   sync.Mutex
	list []report.Consolidation
}

func (d *dataPath) Consolidation(context.Context) []report.Consolidation {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.list)
}

func (d *dataPath) processors() []policies.Processor {
	var list []policies.Processor
	for _, r := range d.Consolidation(context.Background()) {
		list = append(list, policies.Processor{Component: r.Component, Role: r.Role, PolicyVersion: r.PolicyVersion})
	}
	return list
}

// set replaces the processors.
func (d *dataPath) set(list ...report.Consolidation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = list
}

// takeOver lets all of them have a version.
func (d *dataPath) takeOver(version uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = slices.Clone(d.list)
	for i := range d.list {
		d.list[i].PolicyVersion = version
	}
}

// processor is one that has nothing yet.
func processor(component, role string, problems ...string) report.Consolidation {
	return report.Consolidation{Component: component, Role: role, Staleness: 10 * time.Minute, Problems: problems}
}

// rig is the service over a real store and a real publisher.
type rig struct {
	*policies.Service
	file      string
	kill      string
	clock     *clock
	store     store.Store
	core      *service.Core
	publisher *publish.Publisher
	data      *dataPath
	logs      *observer.ObservedLogs
}

// people are who the tests know: by certificate, so that each may hold roles.
var people = []access.Binding{
	binding("admin", access.RoleAdmin, access.AllNamespaces),
	binding("operator", access.RoleOperator, access.AllNamespaces),
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

func newRig(t *testing.T, change ...func(*policies.Settings)) *rig {
	t.Helper()
	return newRigIn(t, t.TempDir(), change...)
}

func newRigIn(tb testing.TB, dir string, change ...func(*policies.Settings)) *rig {
	tb.Helper()
	r := &rig{file: filepath.Join(dir, "phoenix.db"), kill: filepath.Join(dir, "kill-switch"), clock: newClock(), data: &dataPath{}}
	opened, err := sqlite.Open(context.Background(), sqlite.Settings{Path: r.file, Now: r.clock.Now, BusyTimeout: 200 * time.Millisecond})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = opened.Close() })
	r.store = opened
	r.core = newCore(tb, opened, r.clock.Now)
	logging, logs := observer.New(zap.DebugLevel)
	r.logs, r.core.Logger = logs, zap.New(logging)
	s := policies.Settings{Core: r.core, Consolidation: r.data.Consolidation, Processors: r.data.processors}
	for _, f := range change {
		f(&s)
	}
	r.publisher = publish.New(publish.Settings{
		Store: opened, Logger: r.core.Logger, KillFile: r.kill, Now: r.clock.Now, NamespaceAttribute: s.NamespaceAttribute,
	})
	require.NoError(tb, r.publisher.Refresh(context.Background()))
	s.Publisher = r.publisher
	r.Service, err = policies.New(s)
	require.NoError(tb, err)
	return r
}

func newCore(tb testing.TB, s store.Store, now func() time.Time) *service.Core {
	tb.Helper()
	config := access.DefaultConfig()
	config.Bindings = people
	config.RateLimits.Refused = access.Rate{} // all refusals are audited
	guard, err := access.New(config)
	require.NoError(tb, err)
	limiter, err := access.NewLimiter(config.RateLimits)
	require.NoError(tb, err)
	return &service.Core{
		Store: s, Guard: guard, Limiter: limiter, Events: &bus.Memory{}, Logger: zap.NewNop(), Now: now, IdempotencyKept: time.Hour,
	}
}

// run runs the publisher and the watcher until the test ends.
func (r *rig) run(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { r.publisher.Run(ctx) })
	all.Go(func() { r.Run(ctx) })
	tb.Cleanup(func() {
		cancel()
		all.Wait()
	})
}

// settle lets the data path take over what is published.
func (r *rig) settle() { r.data.takeOver(r.publisher.Policy().Version) }

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

func idempotent(c *call.Call) { c.IdempotencyKey = "k" }

// a policy that drops pods of some metrics.
func wire(namespace, name string, metrics ...string) *phoenixv1.Policy {
	p := &phoenixv1.Policy{Namespace: namespace, Name: name, Spec: &phoenixv1.PolicySpec{}}
	for _, m := range metrics {
		p.Spec.Rules = append(p.Spec.Rules, &phoenixv1.Rule{
			Match: &phoenixv1.Match{Metric: m}, Attributes: &phoenixv1.Attributes{Drop: []string{"pod"}},
		})
	}
	return p
}

func create(name string, metrics ...string) *phoenixv1.CreatePolicyRequest {
	return &phoenixv1.CreatePolicyRequest{Policy: wire("shop", name, metrics...)}
}

func preview(namespace, name string, metrics ...string) *phoenixv1.CreatePolicyRequest {
	return &phoenixv1.CreatePolicyRequest{Policy: wire(namespace, name, metrics...), Preview: true}
}

func (r *rig) get(tb testing.TB, namespace, name string) *phoenixv1.Policy {
	tb.Helper()
	admin := as("admin")
	p, err := r.GetPolicy(admin, &phoenixv1.GetPolicyRequest{Namespace: namespace, Name: name})
	require.NoError(tb, err)
	return p
}

func (r *rig) rules() []string {
	list := []string{}
	for _, rule := range r.publisher.Policy().Rules {
		list = append(list, rule.Name+" "+string(rule.Mode))
	}
	return list
}

// refusal returns the fault that an error must be.
func refusal(t require.TestingT, err error, want fault.Reason) *fault.Fault {
	var f *fault.Fault
	require.ErrorAs(t, err, &f)
	require.Equal(t, want, f.Reason, "%s", err)
	return f
}

// refused asserts that an error is a fault of this reason.
func refused(t require.TestingT, err error, want fault.Reason) { _ = refusal(t, err, want) }

// audit lists the records of the log, the oldest first, and verifies it.
func (r *rig) audit(t require.TestingT) []store.AuditRecord {
	var records []store.AuditRecord
	request := store.PageRequest{Size: store.MaxPageSize}
	for {
		page, err := r.store.ListAudit(context.Background(), store.AuditQuery{PageRequest: request})
		require.NoError(t, err)
		records = append(records, page.Items...)
		if page.Next == "" {
			break
		}
		request.Token = page.Next
	}
	slices.Reverse(records)
	proof, err := r.store.VerifyAudit(context.Background(), store.AuditRange{})
	require.NoError(t, err)
	require.EqualValues(t, len(records), proof.Last)
	return records
}

// told returns the events since a subscription.
func (r *rig) told(t require.TestingT, s *bus.Subscription) []bus.Event {
	r.core.Events.Publish(bus.Event{Type: "end"})
	var list []bus.Event
	for {
		e, err := s.Next(context.Background())
		require.NoError(t, err)
		if e.Type == "end" {
			return list
		}
		list = append(list, e)
	}
}

func (r *rig) watch(tb testing.TB) *bus.Subscription {
	tb.Helper()
	s, err := r.core.Events.Subscribe(nil)
	require.NoError(tb, err)
	tb.Cleanup(s.Close)
	return s
}

// await waits for an event.
func await(tb testing.TB, s *bus.Subscription, kind string) bus.Event {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		e, err := s.Next(ctx)
		require.NoError(tb, err, "waiting for "+kind)
		if e.Type == kind {
			return e
		}
	}
}

func assertWarning(t *testing.T, p *phoenixv1.Policy, want string) {
	t.Helper()
	for _, w := range p.GetStatus().GetWarnings() {
		if assert.ObjectsAreEqual(want, w) {
			return
		}
	}
	assert.Contains(t, p.GetStatus().GetWarnings(), want)
}

func policyKey(namespace, name string) store.PolicyKey {
	return store.PolicyKey{Namespace: namespace, Name: name}
}

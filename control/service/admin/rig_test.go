package admin_test

import (
	"context"
	"net/netip"
	"path/filepath"
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
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/admin"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

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

// rig has the services over a real store and publisher.
type rig struct {
	admin.Services
	path      string
	clock     *clock
	store     store.Store
	line      *line
	core      *service.Core
	keys      *admin.Keys
	publisher *publish.Publisher
	logs      *observer.ObservedLogs
	done      chan struct{}
}

// people are who the tests know: by certificate, so that each may hold roles.
var people = []access.Binding{
	binding("root", access.RoleAdmin, access.AllNamespaces),
	binding("shop-admin", access.RoleAdmin, "shop"),
	binding("shop-operator", access.RoleOperator, "shop"),
	binding("operator", access.RoleOperator, access.AllNamespaces),
	binding("viewer", access.RoleViewer, access.AllNamespaces),
	binding("bank-viewer", access.RoleViewer, "bank"),
}

func binding(who string, role access.Role, namespaces ...string) access.Binding {
	return access.Binding{
		Name: who, Role: role, Namespaces: namespaces, Subjects: []access.Subject{{Kind: access.KindCertificate, ID: who}},
	}
}

func newRig(t *testing.T, kill string) *rig {
	t.Helper()
	r := &rig{
		path: filepath.Join(t.TempDir(), "phoenix.db"), clock: &clock{now: time.Now().UTC().Truncate(time.Second)}, done: make(chan struct{}),
	}
	r.open(t, kill)
	return r
}

func (r *rig) open(t *testing.T, kill string) {
	t.Helper()
	opened, err := sqlite.Open(t.Context(), sqlite.Settings{Path: r.path, Now: r.clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close()) })
	r.store = opened
	config := access.DefaultConfig()
	config.Bindings = people
	config.RateLimits.Refused = access.Rate{}
	guard, err := access.New(config)
	require.NoError(t, err)
	limiter, err := access.NewLimiter(config.RateLimits)
	require.NoError(t, err)
	logging, logs := observer.New(zap.DebugLevel)
	r.logs = logs
	r.line = &line{Store: r.store}
	r.core = &service.Core{
		Store: r.line, Guard: guard, Limiter: limiter, Events: &bus.Memory{}, Logger: zap.New(logging), Now: r.clock.Now,
		IdempotencyKept: time.Hour,
	}
	r.keys, err = admin.NewKeys(r.line, r.clock.Now, r.core.Logger)
	require.NoError(t, err)
	r.publisher = publish.New(publish.Settings{Store: r.line, KillFile: kill, Now: r.clock.Now})
	require.NoError(t, r.publisher.Refresh(t.Context()))
	r.Services = admin.New(admin.Settings{
		Core: r.core, APIKeys: config.APIKeys, Keys: r.keys, Publisher: r.publisher, Done: r.done,
		System: admin.SystemSettings{
			Name: "phoenix-collector", Version: "1.2.3", Instance: "here", StartedAt: r.clock.Now(), Exposure: access.ExposureLoopback,
			ConfigSHA256: func() string { return "abc" }, Ready: func() bool { return true },
			Components: func(context.Context) []*phoenixv1.ComponentInfo { return nil },
		},
	})
	runs(t, r.KillSwitch.Run)
}

// runs runs something until the test ends.
func runs(t *testing.T, run func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

// as is a request of somebody.
func as(t *testing.T, who string, change ...func(*call.Call)) context.Context {
	t.Helper()
	c := &call.Call{
		Principal: access.Principal{Kind: access.KindCertificate, ID: who},
		From:      netip.MustParseAddr("192.0.2.7"), Origin: "192.0.2.7:1234", RequestID: "r-1",
	}
	for _, f := range change {
		f(c)
	}
	return call.With(t.Context(), c)
}

// idempotent gives a request an Idempotency-Key.
func idempotent(c *call.Call) { c.IdempotencyKey = "k1" }

// refused asserts that an error is a fault of this reason.
func refused(t *testing.T, err error, want fault.Reason) {
	t.Helper()
	require.Equal(t, want, faultOf(t, err).Reason, err.Error())
}

func faultOf(t *testing.T, err error) fault.Fault {
	t.Helper()
	var f *fault.Fault
	require.ErrorAs(t, err, &f)
	return *f
}

// violation asserts that a request has mistakes in just these fields.
func violation(t *testing.T, err error, fields ...string) {
	t.Helper()
	var found []string
	refused(t, err, fault.Invalid)
	for _, v := range faultOf(t, err).Violations {
		found = append(found, v.Field)
		assert.NotEmpty(t, v.Description)
	}
	assert.Equal(t, fields, found)
}

// audited returns the entries of the audit log, the newest first, as action and
// outcome.
func (r *rig) audited(t *testing.T) []string {
	t.Helper()
	page, err := r.store.ListAudit(t.Context(), store.AuditQuery{PageRequest: store.PageRequest{Size: store.MaxPageSize}})
	require.NoError(t, err)
	var list []string
	for _, rec := range page.Items {
		list = append(list, rec.Principal+" "+rec.Action+" "+string(rec.Outcome))
	}
	return list
}

// How long, and how often, a test looks for what must come.
const waitLong, waitStep = 10 * time.Second, 2 * time.Millisecond

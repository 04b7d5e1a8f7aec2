package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newCore returns a core over a real store, in which certificates have roles.
func newCore(t *testing.T, change ...func(*access.Config)) (*service.Core, *observer.ObservedLogs) {
	t.Helper()
	opened, err := sqlite.Open(t.Context(), sqlite.Settings{Path: filepath.Join(t.TempDir(), "phoenix.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close()) })
	config := access.DefaultConfig()
	for who, namespace := range map[string]string{"root": access.AllNamespaces, "shop": "shop"} {
		config.Bindings = append(config.Bindings, access.Binding{
			Name: who, Role: access.RoleAdmin, Namespaces: []string{namespace},
			Subjects: []access.Subject{{Kind: access.KindCertificate, ID: who}},
		})
	}
	for _, f := range change {
		f(&config)
	}
	guard, err := access.New(config)
	require.NoError(t, err)
	limiter, err := access.NewLimiter(config.RateLimits)
	require.NoError(t, err)
	logging, logs := observer.New(zap.DebugLevel)
	return &service.Core{
		Store: opened, Guard: guard, Limiter: limiter, Events: &bus.Memory{}, Logger: zap.New(logging), Now: time.Now, IdempotencyKept: time.Hour,
	}, logs
}

func as(ctx context.Context, who string, change ...func(*call.Call)) context.Context {
	c := &call.Call{
		Principal: access.Principal{Kind: access.KindCertificate, ID: who},
		From:      netip.MustParseAddr("192.0.2.7"), Origin: "192.0.2.7:1234", RequestID: "r-1",
	}
	for _, f := range change {
		f(c)
	}
	return call.With(ctx, c)
}

func log(t *testing.T, c *service.Core) []store.AuditRecord {
	t.Helper()
	page, err := c.Store.ListAudit(t.Context(), store.AuditQuery{PageRequest: store.PageRequest{Size: store.MaxPageSize}})
	require.NoError(t, err)
	return page.Items
}

func reason(t *testing.T, err error) fault.Reason {
	t.Helper()
	var f *fault.Fault
	require.ErrorAs(t, err, &f)
	return f.Reason
}

func TestARefusalIsAuditedWhenItReturns(t *testing.T) {
	c, _ := newCore(t)
	require.NoError(t, c.Authorize(as(t.Context(), "shop"), access.Enforce, access.Policies, "shop"))
	assert.Empty(t, log(t, c), "what is allowed is audited by what it does")

	assert.Equal(t, fault.NotFound, reason(t, c.Authorize(as(t.Context(), "shop"), access.Get, access.Policies, "bank")))
	assert.Equal(t, fault.Forbidden, reason(t, c.Authorize(as(t.Context(), "shop"), access.Engage, access.KillSwitch, "")))
	assert.Equal(t, fault.Unauthenticated, reason(t, c.Authorize(t.Context(), access.Get, access.System, "")))
	gone, cancel := context.WithCancel(as(t.Context(), "shop"))
	cancel()
	assert.Equal(t, fault.NotFound, reason(t, c.Authorize(gone, access.Delete, access.Policies, "bank")), "also if nobody waits for the answer")

	records := log(t, c)
	require.Len(t, records, 4)
	first := records[3]
	assert.Equal(t, "certificate:shop", first.Principal)
	assert.Equal(t, "policies.get", first.Action)
	assert.Equal(t, store.OutcomeRefused, first.Outcome)
	assert.Equal(t, "policies/bank", first.Resource)
	assert.Equal(t, "bank", first.Namespace)
	assert.Equal(t, "192.0.2.7:1234", first.Origin)
	assert.Equal(t, "r-1", first.RequestID)
	assert.Contains(t, first.Detail["reason"], `may not policies.get in namespace "bank"`)
	assert.Equal(t, "nobody", records[1].Principal)
	assert.Equal(t, "policies.delete", records[0].Action)
	_, err := c.Store.VerifyAudit(t.Context(), store.AuditRange{})
	require.NoError(t, err)
}

func TestTheFirstOfSeveralRefusalsIsTheAnswer(t *testing.T) {
	c, _ := newCore(t)
	require.NoError(t, c.AuthorizeEach(as(t.Context(), "root"), []access.Verb{access.Update, access.Force}, access.Policies, "x"))
	err := c.AuthorizeEach(as(t.Context(), "shop"), []access.Verb{access.Get, access.Restore, access.Create}, access.Backup, "")
	assert.Equal(t, fault.Forbidden, reason(t, err))
	require.Len(t, log(t, c), 1)
	assert.Equal(t, "backup.get", log(t, c)[0].Action)
}

func TestHostileNamesAreAudited(t *testing.T) {
	c, logs := newCore(t)
	for _, name := range []string{"\x00", "a\nb", "\xff\xfe", strings.Repeat("é", 2000), "\U0010FFFF", "../..", "'; --"} {
		who := as(t.Context(), name, func(k *call.Call) { k.RequestID, k.Origin = name, name })
		assert.Contains(t, []fault.Reason{fault.NotFound, fault.Forbidden}, reason(t, c.Authorize(who, access.Get, access.Policies, name)), name)
	}
	assert.Len(t, log(t, c), 7)
	assert.Zero(t, logs.Len())
}

func TestAnAddressCannotFillTheAuditLog(t *testing.T) {
	c, _ := newCore(t, func(c *access.Config) { c.RateLimits.Refused = access.Rate{PerSecond: 1, Burst: 3} })
	var lost atomic.Int64
	c.NotAudited = func(context.Context) { lost.Add(1) }
	now := time.Now()
	c.Now = func() time.Time { return now }
	ask := func(from string) {
		t.Helper()
		who := as(t.Context(), "stranger", func(k *call.Call) { k.From = netip.MustParseAddr(from) })
		assert.Equal(t, fault.Forbidden, reason(t, c.Authorize(who, access.Get, access.System, "")))
	}
	for range 10 {
		ask("192.0.2.1")
	}
	ask("192.0.2.2")
	assert.Len(t, log(t, c), 4)
	assert.Equal(t, int64(7), lost.Load())
	now = now.Add(time.Minute)
	ask("192.0.2.1")
	assert.Equal(t, "7", log(t, c)[0].Detail["unrecorded"], "the next one says how many are missing")
}

func TestARefusalThatTheStoreDoesNotTakeIsLogged(t *testing.T) {
	c, logs := newCore(t)
	require.NoError(t, c.Store.Close())
	assert.Equal(t, fault.Forbidden, reason(t, c.Authorize(as(t.Context(), "shop"), access.Engage, access.KillSwitch, "")))
	require.Equal(t, 1, logs.FilterMessage("A refusal could not be audited").Len())
}

func TestFaultsOfTheStore(t *testing.T) {
	f := func(err error, want fault.Reason, status int) {
		t.Helper()
		got := service.Fault(fmt.Errorf("while testing: %w", err))
		assert.Equal(t, want, reason(t, got), err)
		var f *fault.Fault
		require.ErrorAs(t, got, &f)
		assert.Equal(t, status, f.HTTPStatus())
		assert.NotContains(t, f.Detail, "while testing", "causes are for the log")
		if !errors.As(err, new(*fault.Fault)) && !errors.Is(err, store.ErrInvalid) {
			require.ErrorIs(t, got, err)
		}
	}
	f(store.ErrNotFound, fault.NotFound, http.StatusNotFound)
	f(store.ErrExists, fault.Exists, http.StatusConflict)
	f(&store.ConflictError{Resource: "x", Present: 3}, fault.PreconditionFailed, http.StatusPreconditionFailed)
	f(&store.InvalidError{Field: "spec", Reason: "is too long"}, fault.Invalid, http.StatusBadRequest)
	f(context.DeadlineExceeded, fault.Timeout, http.StatusServiceUnavailable)
	f(context.Canceled, fault.Unavailable, http.StatusServiceUnavailable)
	f(store.ErrUnavailable, fault.Unavailable, http.StatusServiceUnavailable)
	f(store.ErrClosed, fault.Unavailable, http.StatusServiceUnavailable)
	f(store.ErrCorrupt, fault.Internal, http.StatusInternalServerError)
	f(errors.New("a defect"), fault.Internal, http.StatusInternalServerError)
	f(fault.New(fault.KeyReused, "x"), fault.KeyReused, http.StatusUnprocessableEntity)
	uncertain := service.Fault(errors.Join(store.ErrUnavailable, store.ErrUncertain, context.DeadlineExceeded))
	assert.Equal(t, fault.Unavailable, reason(t, uncertain))
	assert.Contains(t, uncertain.Error(), "not known whether")
	require.NoError(t, service.Fault(nil))
	for refusal, want := range map[error]fault.Reason{
		access.ErrUnauthenticated: fault.Unauthenticated, access.ErrForbidden: fault.Forbidden, access.ErrNotFound: fault.NotFound,
		access.ErrRateLimited: fault.RateLimited,
	} {
		got := service.Fault(&access.Refusal{Kind: refusal, Caller: "for you", Audit: "for us", RetryAfter: time.Second})
		assert.Equal(t, want, reason(t, got))
		assert.Equal(t, "for you", got.Error())
	}
}

func TestConditions(t *testing.T) {
	f := func(header string, want store.Revision) {
		t.Helper()
		got, err := service.Condition(as(t.Context(), "root", func(k *call.Call) { k.IfMatch = header }))
		if want == 0 {
			assert.Equal(t, fault.PreconditionFailed, reason(t, err), header)
			return
		}
		require.NoError(t, err, header)
		assert.Equal(t, want, got, header)
	}
	f("", store.Any)
	f("*", store.Any)
	f(` "7" `, 7)
	f("7", 7)
	f(service.ETag(12), 12)
	for _, nothing := range []string{`W/"7"`, `"7", "8"`, "seven", `"0"`, "-1", `"`, `""`, "+7", "7.0", "99999999999999999999"} {
		f(nothing, 0)
	}
}

// create makes a policy once, and counts how often that was done.
func create(ctx context.Context, c *service.Core, done *atomic.Int64, name string) (*phoenixv1.Policy, bool, error) {
	const namespace = "shop"
	req := &phoenixv1.CreatePolicyRequest{Policy: &phoenixv1.Policy{Namespace: namespace, Name: name}}
	keep := func(p *phoenixv1.Policy) *phoenixv1.Policy {
		kept := proto.Clone(p).(*phoenixv1.Policy)
		kept.UpdatedBy = "" // the part that is a secret, for this test
		return kept
	}
	return service.Once(ctx, c, "/phoenix.v1.Policies/CreatePolicy", req, keep,
		func(ctx context.Context, tx store.Tx) (*phoenixv1.Policy, error) {
			done.Add(1)
			p, err := tx.CreatePolicy(ctx, store.NewPolicy{
				PolicyKey: store.PolicyKey{Namespace: namespace, Name: name}, Spec: []byte("{}"),
			}, c.Entry(ctx, "policies.create"))
			return &phoenixv1.Policy{Namespace: p.Namespace, Name: p.Name, Etag: service.ETag(p.Revision), UpdatedBy: "secret"}, err
		})
}

func TestARepeatedRequestIsDoneOnce(t *testing.T) {
	c, _ := newCore(t)
	var done atomic.Int64
	key := func(k string) func(*call.Call) { return func(c *call.Call) { c.IdempotencyKey = k } }
	first, repeated, err := create(as(t.Context(), "root", key("k")), c, &done, "a")
	require.NoError(t, err)
	assert.False(t, repeated)
	assert.Equal(t, "secret", first.GetUpdatedBy())
	again, repeated, err := create(as(t.Context(), "root", key("k")), c, &done, "a")
	require.NoError(t, err)
	assert.True(t, repeated)
	assert.Empty(t, again.GetUpdatedBy(), "what may not be stored is not repeated")
	assert.Equal(t, first.GetEtag(), again.GetEtag())
	assert.Equal(t, int64(1), done.Load())
	assert.Len(t, log(t, c), 1)

	_, _, err = create(as(t.Context(), "root", key("k")), c, &done, "b")
	assert.Equal(t, fault.KeyReused, reason(t, err))
	_, _, err = create(as(t.Context(), "shop", key("k")), c, &done, "a")
	assert.Equal(t, fault.Exists, reason(t, err), "another principal's key is another key")
	_, _, err = create(as(t.Context(), "shop", key("k")), c, &done, "c")
	require.NoError(t, err, "what failed is not remembered")
	_, _, err = create(as(t.Context(), "root"), c, &done, "a")
	assert.Equal(t, fault.Exists, reason(t, err), "without a key it is done again")
	for _, bad := range []string{strings.Repeat("k", 254), "a\nb", "\xff"} {
		_, _, err = create(as(t.Context(), "root", key(bad)), c, &done, "d")
		assert.Equal(t, fault.Invalid, reason(t, err))
	}
}

func TestOfManyAtOnceOneIsDone(t *testing.T) {
	c, _ := newCore(t)
	var done, fresh atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			ctx := as(t.Context(), "root", func(k *call.Call) { k.IdempotencyKey = "k" })
			answer, repeated, err := create(ctx, c, &done, "a")
			if err != nil || answer.GetEtag() != `"1"` {
				t.Error(answer, err)
			}
			if !repeated {
				fresh.Add(1)
			}
		})
	}
	all.Wait()
	assert.Equal(t, int64(1), done.Load())
	assert.Equal(t, int64(1), fresh.Load())
}

func TestAnAnswerIsForgottenInTime(t *testing.T) {
	c, _ := newCore(t)
	c.IdempotencyKept = time.Millisecond
	var done atomic.Int64
	ctx := as(t.Context(), "root", func(k *call.Call) { k.IdempotencyKey = "k" })
	_, _, err := create(ctx, c, &done, "a")
	require.NoError(t, err)
	assert.Eventually(t, func() bool {
		_, _, err := create(ctx, c, &done, "a")
		return err != nil && reason(t, err) == fault.Exists
	}, 10*time.Second, time.Millisecond)
}

// Package storetest holds what every engine of package store has to pass: the
// tests of Run, the crashes of Crash, and the benchmarks of Bench.
package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

// Engine is what is tested.
type Engine struct {
	// Open opens the store at a place, such as a path or a connection string.
	Open func(ctx context.Context, place string, o Options) (store.Store, error)
	// NewPlace returns a place where there is nothing yet. It is removed at the
	// end of the test.
	NewPlace func(testing.TB) string
	// Exec changes the database behind the back of the store.
	Exec func(ctx context.Context, place, statement string) error
}

// Options are those that every engine has.
type Options struct {
	Now       func() time.Time
	MaxSeries int
}

// Clock is a clock that stands still. It may be used by several goroutines.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Start is when clocks start. It is the beginning of an hour.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// NewClock returns a clock that stands at Start.
func NewClock() *Clock { return &Clock{now: Start} }

// Now is the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// lab is a new store with its clock.
type lab struct {
	store.Store
	engine Engine
	place  string
	clock  *Clock
}

func newLab(tb testing.TB, e Engine) *lab {
	tb.Helper()
	l := &lab{engine: e, place: e.NewPlace(tb), clock: NewClock()}
	l.open(tb)
	return l
}

// open opens the store at its place, also again.
func (l *lab) open(tb testing.TB) {
	tb.Helper()
	s, err := l.engine.Open(context.Background(), l.place, Options{Now: l.clock.Now, MaxSeries: maxSeries})
	require.NoError(tb, err)
	l.Store = s
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
}

// maxSeries is the bound of stores in tests.
const maxSeries = 5

// entry is who did it, in most tests.
func entry(action string) store.Entry {
	return store.Entry{Principal: "ada", Action: action, Origin: "192.0.2.1", RequestID: "req-1"}
}

func key(namespace, name string) store.PolicyKey {
	return store.PolicyKey{Namespace: namespace, Name: name}
}

// write does one thing in a transaction and returns what came out.
func write[T any](ctx context.Context, s store.Store, do func(context.Context, store.Tx) (T, error)) (T, error) {
	var result T
	err := s.Write(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		result, err = do(ctx, tx)
		return err
	})
	return result, err
}

func (l *lab) create(tb testing.TB, k store.PolicyKey, state store.PolicyState, spec string) store.Policy {
	tb.Helper()
	p, err := write(context.Background(), l, func(ctx context.Context, tx store.Tx) (store.Policy, error) {
		return tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: k, Spec: []byte(spec), State: state}, entry("policies.create"))
	})
	require.NoError(tb, err)
	return p
}

func (l *lab) update(tb testing.TB, u store.PolicyUpdate) (store.Policy, error) {
	tb.Helper()
	return write(context.Background(), l, func(ctx context.Context, tx store.Tx) (store.Policy, error) {
		return tx.UpdatePolicy(ctx, u, entry("policies.update"))
	})
}

func (l *lab) remove(tb testing.TB, k store.PolicyKey, condition store.Revision) error {
	tb.Helper()
	return l.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
		return tx.DeletePolicy(ctx, k, condition, entry("policies.delete"))
	})
}

func (l *lab) put(tb testing.TB, u store.FactUpdate) (store.Fact, error) {
	tb.Helper()
	return write(context.Background(), l, func(ctx context.Context, tx store.Tx) (store.Fact, error) {
		return tx.PutFact(ctx, u, entry("facts.put"))
	})
}

// log returns the whole audit log, the oldest first, and verifies it.
func (l *lab) log(tb testing.TB) []store.AuditRecord {
	tb.Helper()
	records := everything(tb, func(request store.PageRequest) (store.Page[store.AuditRecord], error) {
		return l.ListAudit(context.Background(), store.AuditQuery{PageRequest: request})
	})
	for i, j := 0, len(records)-1; i < j; i, j = i+1, j-1 {
		records[i], records[j] = records[j], records[i]
	}
	proof, err := l.VerifyAudit(context.Background(), store.AuditRange{})
	require.NoError(tb, err)
	require.Equal(tb, uint64(len(records)), proof.Last)
	return records
}

// everything reads all pages of a list.
func everything[T any](tb testing.TB, list func(store.PageRequest) (store.Page[T], error)) []T {
	tb.Helper()
	var all []T
	request := store.PageRequest{Size: 7}
	for {
		page, err := list(request)
		require.NoError(tb, err)
		require.LessOrEqual(tb, len(page.Items), 7)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		require.Len(tb, page.Items, 7, "only the last page may be short")
		request.Token = page.Next
	}
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	t.Helper()
	t.Run("policies", e.testPolicies)
	t.Run("policy revisions", e.testRevisions)
	t.Run("policy lists", e.testPolicyLists)
	t.Run("policies in force", e.testInForce)
	t.Run("experiments", e.testExperiments)
	t.Run("experiment lists", e.testExperimentLists)
	t.Run("experiment states", e.testExperimentStates)
	t.Run("price models", e.testPriceModels)
	t.Run("facts", e.testFacts)
	t.Run("API keys", e.testAPIKeys)
	t.Run("responses", e.testResponses)
	t.Run("history", e.testHistory)
	t.Run("maintenance", e.testMaintenance)
	t.Run("audit", e.testAudit)
	t.Run("tampering", e.testTampering)
	t.Run("transactions", e.testTransactions)
	t.Run("concurrency", e.testConcurrency)
	t.Run("backup", e.testBackup)
	t.Run("damaged backups", e.testDamagedBackups)
	t.Run("bad input", e.testBadInput)
	t.Run("model", e.testModel)
	t.Run("opening", e.testOpening)
}

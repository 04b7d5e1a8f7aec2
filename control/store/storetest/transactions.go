package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

func saveResponse(id string, expires time.Time) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		return tx.SaveResponse(ctx, store.Response{
			IdempotencyKey: store.IdempotencyKey{Principal: "ada", Key: id}, Request: store.SumSHA256([]byte(id)), ExpiresAt: expires,
		})
	}
}

// work writes something into every table that people change.
func work(ctx context.Context, tx store.Tx) error {
	_, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: key("a", "b"), State: store.StateEnforced}, entry("1"))
	_, err2 := tx.PutFact(ctx, store.FactUpdate{Key: "f"}, entry("2"))
	_, err3 := tx.PutPriceModel(ctx, store.PriceModelUpdate{Name: "p"}, entry("3"))
	_, err4 := tx.CreateAPIKey(ctx, store.NewAPIKey{ID: "k", Hash: store.SumSHA256(nil)}, entry("4"))
	_, err5 := tx.SetKillSwitch(ctx, store.KillSwitchUpdate{On: true}, entry("5"))
	_, err6 := tx.AppendAudit(ctx, entry("6"))
	_, err7 := tx.CreateExperiment(ctx, store.NewExperiment{ExperimentKey: experimentKey("a", "b"), Phase: "Draft"}, entry("7"))
	return errors.Join(err, err2, err3, err4, err5, err6, err7, saveResponse("r", Start.Add(time.Hour))(ctx, tx))
}

func (l *lab) requireUntouched(tb testing.TB) {
	tb.Helper()
	require.Empty(tb, l.log(tb))
	set, err := l.PoliciesInForce(context.Background())
	require.NoError(tb, err)
	require.Equal(tb, store.PolicySet{}, set)
	require.NoError(tb, l.Write(context.Background(), work), "nothing is in the way")
}

func (e Engine) testTransactions(t *testing.T) {
	t.Run("all or nothing", func(t *testing.T) {
		l := newLab(t, e)
		failure := errors.New("changed my mind")
		err := l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error { return errors.Join(work(ctx, tx), failure) })
		require.ErrorIs(t, err, failure)
		assert.Panics(t, func() {
			_ = l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
				_ = work(ctx, tx)
				panic("oops")
			})
		})
		l.requireUntouched(t)
		require.Len(t, l.log(t), 7)
	})
	t.Run("it sees its own writes, others do not", e.testIsolation)
	t.Run("within another one it is refused", func(t *testing.T) {
		l := newLab(t, e)
		err := l.Write(t.Context(), func(ctx context.Context, _ store.Tx) error {
			return l.Write(ctx, func(context.Context, store.Tx) error { return nil })
		})
		require.ErrorContains(t, err, "write within a write")
		other := newLab(t, e)
		require.NoError(t, l.Write(t.Context(), func(ctx context.Context, _ store.Tx) error { return other.Write(ctx, work) }))
	})
	t.Run("a statement that failed cannot be passed over", func(t *testing.T) {
		l := newLab(t, e)
		err := l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
			if err := work(ctx, tx); err != nil {
				return err
			}
			over, cancel := context.WithCancel(ctx)
			cancel()
			_, err := tx.PutFact(over, store.FactUpdate{Key: "g"}, entry("put"))
			require.ErrorIs(t, err, context.Canceled)
			return nil
		})
		require.Error(t, err)
		l.requireUntouched(t)
	})
	t.Run("when its context ends it is undone", e.testCancellation)
	t.Run("a replay finds the answer of the first", e.testReplay)
}

func (e Engine) testIsolation(t *testing.T) {
	l := newLab(t, e)
	err := l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		if err := work(ctx, tx); err != nil {
			return err
		}
		p, err := tx.GetPolicy(ctx, key("a", "b"))
		require.NoError(t, err)
		_, err = tx.GetPolicyRevision(ctx, p.PolicyKey, 1)
		require.NoError(t, err)
		_, err = tx.GetResponse(ctx, store.IdempotencyKey{Principal: "ada", Key: "r"}, store.SumSHA256([]byte("r")))
		require.NoError(t, err)
		page, err := tx.ListAudit(ctx, store.AuditQuery{})
		require.NoError(t, err)
		require.Len(t, page.Items, 7)
		_, err = tx.GetExperiment(ctx, experimentKey("a", "b"))
		require.NoError(t, err)
		_, err = l.GetExperiment(ctx, experimentKey("a", "b"))
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = l.GetPolicy(ctx, key("a", "b"))
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = l.GetFact(ctx, "f")
		require.ErrorIs(t, err, store.ErrNotFound)
		return nil
	})
	require.NoError(t, err)
}

func (e Engine) testCancellation(t *testing.T) {
	l := newLab(t, e)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the client went away")
	err := l.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		defer cancel(cause)
		return work(ctx, tx)
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, store.ErrUncertain, "the commit was never asked for")
	l.requireUntouched(t)
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	err = l.Write(t.Context(), func(context.Context, store.Tx) error {
		waiting := l.Write(ctx, func(context.Context, store.Tx) error { return nil })
		require.ErrorIs(t, waiting, context.DeadlineExceeded)
		return nil
	})
	require.NoError(t, err)
}

// testReplay sends one request from several goroutines at once, as the package
// documentation says.
func (e Engine) testReplay(t *testing.T) {
	l := newLab(t, e)
	k, request := store.IdempotencyKey{Principal: "ada", Key: "1"}, store.SumSHA256([]byte("create a/b"))
	answers := make([]string, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			err := l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
				earlier, err := tx.GetResponse(ctx, k, request)
				if answers[i] = string(earlier.Body); !errors.Is(err, store.ErrNotFound) {
					return err
				}
				p, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: key("a", "b")}, entry("create"))
				if err != nil {
					return err
				}
				answers[i] = fmt.Sprintf("made by %d at revision %d", i, p.Revision)
				return tx.SaveResponse(ctx, store.Response{
					IdempotencyKey: k, Request: request, Body: []byte(answers[i]), ExpiresAt: Start.Add(time.Hour),
				})
			})
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	for _, answer := range answers {
		assert.NotEmpty(t, answer)
		assert.Equal(t, answers[0], answer)
	}
	require.Len(t, l.log(t), 1)
}

func (e Engine) testConcurrency(t *testing.T) {
	l := newLab(t, e)
	second := &lab{engine: e, place: l.place, clock: l.clock} // another replica
	second.open(t)
	stores := []store.Store{l, second}
	const workers, rounds = 8, 12
	var wg sync.WaitGroup
	var created atomic.Int64
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				err := compete(t.Context(), stores[w%2], i)
				if err == nil {
					created.Add(1)
					continue
				}
				assert.ErrorIs(t, err, store.ErrExists)
			}
		})
	}
	wg.Wait()
	fact, err := l.GetFact(t.Context(), "counter")
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(workers*rounds), string(fact.Value), "no update is lost")
	assert.Equal(t, int64(rounds), created.Load(), "of a name there is one")
	require.Len(t, l.log(t), workers*rounds+rounds)
}

// compete does what others do at the same time. It fails with store.ErrExists if
// another one was faster, at the end.
func compete(ctx context.Context, s store.Store, i int) error {
	if err := increment(ctx, s); err != nil {
		return err
	}
	samples := []store.Sample{{Time: Start, Kind: "k", Key: strconv.Itoa(i % maxSeries), Value: float64(i)}}
	if _, err := s.AppendSamples(ctx, samples); err != nil {
		return err
	}
	if _, err := s.PoliciesInForce(ctx); err != nil {
		return err
	}
	if _, err := s.VerifyAudit(ctx, store.AuditRange{}); err != nil { // a reader sees a log that is whole
		return err
	}
	_, err := write(ctx, s, func(ctx context.Context, tx store.Tx) (store.Policy, error) {
		return tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: key("a", strconv.Itoa(i))}, entry("create"))
	})
	return err
}

// increment reads and writes in one transaction.
func increment(ctx context.Context, s store.Store) error {
	return s.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		fact, err := tx.GetFact(ctx, "counter")
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		n, _ := strconv.Atoi(string(fact.Value)) // none is 0
		_, err = tx.PutFact(ctx, store.FactUpdate{Key: "counter", If: fact.Revision, Value: []byte(strconv.Itoa(n + 1))}, entry("increment"))
		return err
	})
}

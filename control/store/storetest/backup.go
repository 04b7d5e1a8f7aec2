package storetest

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

// fill puts something of everything into a store.
func (l *lab) fill(tb testing.TB) {
	tb.Helper()
	ctx := context.Background()
	for i, name := range strange {
		l.create(tb, key("shop", name), []store.PolicyState{store.StateDraft, store.StatePreview, store.StateEnforced}[i%3], name+"\x00\xff")
		l.clock.Advance(time.Second)
	}
	k := key("shop", "a")
	_, err := l.update(tb, store.PolicyUpdate{PolicyKey: k, If: 1, Spec: []byte{}, State: store.StateEnforced})
	require.NoError(tb, err)
	_, err = write(ctx, l, func(ctx context.Context, tx store.Tx) (store.Policy, error) {
		return tx.RollbackPolicy(ctx, store.PolicyRollback{PolicyKey: k, If: 2, To: 1}, entry("policies.rollback"))
	})
	require.NoError(tb, err)
	require.NoError(tb, l.remove(tb, key("shop", "b"), store.Any))
	require.NoError(tb, l.remove(tb, key("shop", "Z"), store.Any))
	l.create(tb, key("shop", "Z"), "", "again")
	for i, name := range strange[:5] {
		x := l.try(tb, experimentKey("shop", name), "Running", name+"\x00\xff")
		_, err = l.updateExperiment(store.ExperimentUpdate{
			ExperimentKey: x.ExperimentKey, If: x.Revision, Active: new(i%2 == 0), PromotedPolicy: strange[i%2], Evidence: []byte("\x00\xff"),
		})
		require.NoError(tb, err)
	}
	_, err = l.SaveExperimentStates(ctx, []store.ExperimentState{{ExperimentKey: experimentKey("shop", strange[2]), If: store.Any, State: []byte("\xff")}})
	require.NoError(tb, err)
	_, err = l.createKey(store.NewAPIKey{
		ID: "k1", Name: "one", Hash: store.SumSHA256([]byte("1")), Scopes: []string{"x"}, Namespaces: []string{"a", "b"}, ExpiresAt: Start.Add(time.Hour),
	})
	require.NoError(tb, err)
	_, err = l.createKey(store.NewAPIKey{ID: "k2", Hash: store.SumSHA256([]byte("2"))})
	require.NoError(tb, err)
	_, err = l.revokeKey("k2", "bob")
	require.NoError(tb, err)
	require.NoError(tb, l.TouchAPIKey(ctx, "k1"))
	require.NoError(tb, l.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.PutFact(ctx, store.FactUpdate{Key: "secret/of hashes", Value: []byte{0, 1, 2, 0xff}}, entry("facts.put"))
		require.NoError(tb, err)
		_, err = tx.PutPriceModel(ctx, store.PriceModelUpdate{Name: "mine", Spec: []byte("per: series")}, entry("priceModels.put"))
		require.NoError(tb, err)
		_, err = tx.SetKillSwitch(ctx, store.KillSwitchUpdate{On: true, Reason: "test"}, entry("killSwitch.set"))
		require.NoError(tb, err)
		return tx.SaveResponse(ctx, store.Response{
			IdempotencyKey: store.IdempotencyKey{Principal: "ada", Key: "1"}, Request: store.SumSHA256([]byte("r")), Status: 201, Body: []byte("{}"),
			ExpiresAt: Start.Add(24 * time.Hour),
		})
	}))
	for i := range 30 {
		l.sample(tb, l.clock.Now(), "up", 1/float64(i+1))
		l.sample(tb, l.clock.Now(), "down", -float64(i))
		l.clock.Advance(store.FineStep)
	}
	l.maintain(tb)
}

// contents is all that a store shows.
type contents struct {
	Set       store.PolicySet
	Policies  []store.Policy
	Revisions [][]store.PolicyRevision
	Trials    []store.Experiment
	Active    []store.Experiment
	Prices    []store.PriceModel
	Keys      []store.APIKey
	Facts     []store.Fact
	Response  store.Response
	History   [][]store.HistoryPoint
	Audit     []store.AuditRecord
}

func (l *lab) contents(tb testing.TB) contents {
	tb.Helper()
	ctx := context.Background()
	var c contents
	var err error
	c.Set, err = l.PoliciesInForce(ctx)
	require.NoError(tb, err)
	c.Policies = everything(tb, func(r store.PageRequest) (store.Page[store.Policy], error) {
		return l.ListPolicies(ctx, store.PolicyQuery{PageRequest: r})
	})
	for _, name := range strange {
		c.Revisions = append(c.Revisions, everything(tb, func(r store.PageRequest) (store.Page[store.PolicyRevision], error) {
			return l.ListPolicyRevisions(ctx, key("shop", name), r)
		}))
	}
	for _, x := range l.experiments(tb, store.ExperimentQuery{}) {
		whole, err := l.GetExperiment(ctx, x.ExperimentKey)
		require.NoError(tb, err)
		c.Trials = append(c.Trials, whole)
	}
	c.Active, err = l.ActiveExperiments(ctx)
	require.NoError(tb, err)
	c.Prices = everything(tb, func(r store.PageRequest) (store.Page[store.PriceModel], error) { return l.ListPriceModels(ctx, r) })
	c.Keys = everything(tb, func(r store.PageRequest) (store.Page[store.APIKey], error) { return l.ListAPIKeys(ctx, r) })
	c.Facts = everything(tb, func(r store.PageRequest) (store.Page[store.Fact], error) { return l.ListFacts(ctx, "", r) })
	c.Response, err = l.GetResponse(ctx, store.IdempotencyKey{Principal: "ada", Key: "1"}, store.SumSHA256([]byte("r")))
	require.NoError(tb, err)
	for _, name := range []string{"up", "down"} {
		c.History = append(c.History, l.points(tb, name, store.FineStep), l.points(tb, name, store.CoarseStep))
	}
	c.Audit = l.log(tb)
	return c
}

func (l *lab) backup(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	require.NoError(tb, l.Backup(context.Background(), &b))
	return b.Bytes()
}

// Move backs up a full store of one engine and restores it in another.
func Move(t *testing.T, from, to Engine) {
	t.Helper()
	old, moved := newLab(t, from), newLab(t, to)
	old.fill(t)
	saved := old.backup(t)
	moved.clock.Advance(old.clock.Now().Sub(Start))
	require.NoError(t, moved.Restore(t.Context(), iotest.OneByteReader(bytes.NewReader(saved))))
	want, got := old.contents(t), moved.contents(t)
	require.NotEmpty(t, want.History[0])
	require.NotEmpty(t, want.History[1])
	assert.Equal(t, want.Set.Version+store.VersionJump, got.Set.Version)
	got.Set.Version = want.Set.Version
	assert.Equal(t, want, got)

	require.NoError(t, increment(t.Context(), moved), "the restored store lives on")
	moved.log(t)
	moved.sample(t, moved.clock.Now(), "up", 5)
	moved.clock.Advance(2 * time.Hour)
	assert.Positive(t, moved.maintain(t).HoursRolled)
	require.ErrorIs(t, moved.Restore(t.Context(), bytes.NewReader(saved)), store.ErrNotEmpty)
}

func (e Engine) testBackup(t *testing.T) {
	t.Run("restores all of it", func(t *testing.T) { Move(t, e, e) })
	t.Run("of an empty store", func(t *testing.T) {
		l, restored := newLab(t, e), newLab(t, e)
		require.NoError(t, restored.Restore(t.Context(), bytes.NewReader(l.backup(t))))
		version, err := restored.PolicyVersion(t.Context())
		require.NoError(t, err)
		assert.Equal(t, uint64(store.VersionJump), version)
		require.NoError(t, restored.Write(t.Context(), work))
	})
	t.Run("of version 1", func(t *testing.T) {
		old, restored := newLab(t, e), newLab(t, e)
		old.create(t, key("shop", "a"), store.StateEnforced, "x")
		text := unpack(t, old.backup(t))
		text = sealAgain(strings.Replace(text, `{"phoenix_store_backup":2,`, `{"phoenix_store_backup":1,`, 1))
		require.NoError(t, restored.Restore(t.Context(), bytes.NewReader(pack(t, text))))
		assert.Equal(t, old.log(t), restored.log(t))
		restored.try(t, experimentKey("a", "b"), "Draft", "x")
	})
	t.Run("is of one moment while others write", e.testBackupWhileWriting)
	t.Run("says when it cannot be written", func(t *testing.T) {
		l := newLab(t, e)
		l.fill(t)
		saved := l.backup(t)
		for _, limit := range []int{0, 1, len(saved) / 2, len(saved) - 1} {
			require.ErrorIs(t, l.Backup(t.Context(), &fullDisk{limit}), errFull)
		}
	})
}

var errFull = errors.New("the disk is full")

// fullDisk has room for so many bytes.
type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		return 0, errFull
	}
	d.room -= len(p)
	return len(p), nil
}

// testBackupWhileWriting takes backups of a store in which a counter, the audit
// log and the revisions of a policy move together.
func (e Engine) testBackupWhileWriting(t *testing.T) {
	l := newLab(t, e)
	l.create(t, key("a", "b"), store.StateEnforced, "0")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			assert.NoError(t, l.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx store.Tx) error {
				spec := []byte(strconv.Itoa(i))
				_, err := tx.PutFact(ctx, store.FactUpdate{Key: "counter", If: store.Any, Value: spec}, entry("put"))
				_, err2 := tx.UpdatePolicy(ctx, store.PolicyUpdate{PolicyKey: key("a", "b"), If: store.Revision(i), Spec: spec}, entry("update"))
				return errors.Join(err, err2)
			}))
		}
	})
	backups := make([][]byte, 0, 5)
	for len(backups) < cap(backups) {
		before, err := l.PolicyVersion(t.Context())
		require.NoError(t, err)
		for now := before; now < before+3 && !t.Failed(); { // let it go on meanwhile
			now, err = l.PolicyVersion(t.Context())
			require.NoError(t, err)
		}
		backups = append(backups, l.backup(t))
	}
	cancel()
	wg.Wait()
	for _, saved := range backups {
		restored := newLab(t, e)
		require.NoError(t, restored.Restore(t.Context(), bytes.NewReader(saved)))
		p, err := restored.GetPolicy(t.Context(), key("a", "b"))
		require.NoError(t, err)
		fact, err := restored.GetFact(t.Context(), "counter")
		require.NoError(t, err)
		assert.Equal(t, p.Spec, fact.Value)
		assert.Equal(t, strconv.Itoa(int(p.Revision)-1), string(p.Spec))
		assert.Len(t, restored.log(t), 2*int(p.Revision)-1)
		version, err := restored.PolicyVersion(t.Context())
		require.NoError(t, err)
		assert.Equal(t, p.Version+store.VersionJump, version)
	}
}

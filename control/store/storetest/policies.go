package storetest

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

func (e Engine) testPolicies(t *testing.T) {
	t.Run("a new one is a draft of revision 1", func(t *testing.T) {
		l := newLab(t, e)
		k := key("shop", "drop-pod")
		p := l.create(t, k, "", `{"name":"drop-pod"}`)
		assert.Equal(t, store.Policy{
			PolicyKey: k, Spec: []byte(`{"name":"drop-pod"}`), SpecSHA256: store.SumSHA256([]byte(`{"name":"drop-pod"}`)),
			State: store.StateDraft, Revision: 1, Version: 1, CreatedAt: Start, CreatedBy: "ada", UpdatedAt: Start, UpdatedBy: "ada",
		}, p)
		read, err := l.GetPolicy(t.Context(), k)
		require.NoError(t, err)
		assert.Equal(t, p, read)
	})
	t.Run("there is one of a name", func(t *testing.T) {
		l := newLab(t, e)
		l.create(t, key("shop", "a"), "", "1")
		l.create(t, key("other", "a"), "", "2")
		_, err := write(t.Context(), l, func(ctx context.Context, tx store.Tx) (store.Policy, error) {
			return tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: key("shop", "a")}, entry("policies.create"))
		})
		require.ErrorIs(t, err, store.ErrExists)
		require.ErrorContains(t, err, "policies/shop/a")
		_, err = l.GetPolicy(t.Context(), key("shop", "b"))
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("an update makes a revision and says who and when", e.testUpdate)
	t.Run("an update of another revision is a conflict", e.testConflict)
	t.Run("an update that changes nothing leaves only its audit entry", func(t *testing.T) {
		l := newLab(t, e)
		created := l.create(t, key("shop", "a"), store.StatePreview, "1")
		l.clock.Advance(time.Minute)
		p, err := l.update(t, store.PolicyUpdate{PolicyKey: created.PolicyKey, If: 1, Spec: []byte("1"), State: store.StatePreview})
		require.NoError(t, err)
		assert.Equal(t, created, p)
		version, err := l.PolicyVersion(t.Context())
		require.NoError(t, err)
		assert.Equal(t, uint64(1), version)
		records := l.log(t)
		require.Len(t, records, 2)
		assert.Equal(t, records[1].Before, records[1].After)
	})
	t.Run("a spec may be any bytes", func(t *testing.T) {
		l := newLab(t, e)
		spec := "\x00\xff'; DROP TABLE policies; --\n"
		p := l.create(t, key("shop", "a"), "", spec)
		read, err := l.GetPolicy(t.Context(), p.PolicyKey)
		require.NoError(t, err)
		assert.Equal(t, []byte(spec), read.Spec)
		p, err = l.update(t, store.PolicyUpdate{PolicyKey: p.PolicyKey, If: 1, Spec: []byte{}})
		require.NoError(t, err)
		read, err = l.GetPolicy(t.Context(), p.PolicyKey)
		require.NoError(t, err)
		assert.Equal(t, p, read)
		assert.Equal(t, []byte{}, read.Spec, "empty is not the same as none")
	})
}

func (e Engine) testUpdate(t *testing.T) {
	l := newLab(t, e)
	created := l.create(t, key("shop", "a"), store.StatePreview, "1")
	l.clock.Advance(time.Minute)
	p, err := write(t.Context(), l, func(ctx context.Context, tx store.Tx) (store.Policy, error) {
		return tx.UpdatePolicy(ctx, store.PolicyUpdate{PolicyKey: created.PolicyKey, If: 1, State: store.StateEnforced},
			store.Entry{
				Principal: "bob", Action: "policies.enforce", Detail: map[string]string{"force": "true"},
				Outcome: store.OutcomeRefused, Resource: "something else", Namespace: "elsewhere", // the store knows better
			})
	})
	require.NoError(t, err)
	want := created
	want.State, want.Revision, want.Version = store.StateEnforced, 2, 2
	want.UpdatedAt, want.UpdatedBy = Start.Add(time.Minute), "bob"
	assert.Equal(t, want, p)
	records := l.log(t)
	require.Len(t, records, 2)
	assert.Equal(t, store.AuditRecord{
		Seq: 2, Time: Start.Add(time.Minute), Entry: store.Entry{
			Principal: "bob", Action: "policies.enforce", Outcome: store.OutcomeDone, Resource: "policies/shop/a", Namespace: "shop",
			Detail: map[string]string{"force": "true"},
		},
		Before: created.Digest(), After: p.Digest(), Previous: records[0].Hash, Hash: records[1].Hash,
	}, records[1])
}

func (e Engine) testConflict(t *testing.T) {
	l := newLab(t, e)
	p := l.create(t, key("shop", "a"), "", "1")
	_, err := l.update(t, store.PolicyUpdate{PolicyKey: p.PolicyKey, If: store.Any, Spec: []byte("2")})
	require.NoError(t, err)
	for _, condition := range []store.Revision{1, 3, store.Absent} {
		_, err = l.update(t, store.PolicyUpdate{PolicyKey: p.PolicyKey, If: condition, Spec: []byte("3")})
		var conflict *store.ConflictError
		require.ErrorAs(t, err, &conflict)
		assert.Equal(t, store.ConflictError{Resource: "policies/shop/a", Present: 2}, *conflict)
		require.EqualError(t, err, "policies/shop/a: conflict: it is at revision 2")
		require.ErrorIs(t, err, store.ErrConflict)
		require.ErrorIs(t, l.remove(t, p.PolicyKey, condition), store.ErrConflict)
	}
	_, err = l.update(t, store.PolicyUpdate{PolicyKey: key("shop", "b"), If: store.Any})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Len(t, l.log(t), 2, "what was refused leaves nothing")
}

func (e Engine) testRevisions(t *testing.T) {
	t.Run("history has every revision, the newest first", func(t *testing.T) {
		l := newLab(t, e)
		k := key("shop", "a")
		l.create(t, key("shop", "other"), "", "x")
		l.create(t, k, "", "1")
		for i := 2; i <= 20; i++ {
			l.clock.Advance(time.Second)
			_, err := l.update(t, store.PolicyUpdate{PolicyKey: k, If: store.Revision(i - 1), Spec: fmt.Append(nil, i)})
			require.NoError(t, err)
		}
		all := everything(t, func(request store.PageRequest) (store.Page[store.PolicyRevision], error) {
			return l.ListPolicyRevisions(t.Context(), k, request)
		})
		require.Len(t, all, 20)
		for i, r := range all {
			n := 20 - i
			assert.Equal(t, store.PolicyRevision{
				PolicyKey: k, Revision: store.Revision(n), Spec: fmt.Append(nil, n), SpecSHA256: store.SumSHA256(fmt.Append(nil, n)),
				State: store.StateDraft, Version: uint64(n + 1), At: Start.Add(time.Duration(n-1) * time.Second), By: "ada",
			}, r)
			one, err := l.GetPolicyRevision(t.Context(), k, r.Revision)
			require.NoError(t, err)
			assert.Equal(t, r, one)
		}
		_, err := l.GetPolicyRevision(t.Context(), k, 21)
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("a rollback is a new revision with the old content", e.testRollback)
	t.Run("what is deleted keeps its history, and its numbers go on", e.testDeletion)
}

func (e Engine) testRollback(t *testing.T) {
	l := newLab(t, e)
	k := key("shop", "a")
	l.create(t, k, store.StatePreview, "1")
	_, err := l.update(t, store.PolicyUpdate{PolicyKey: k, If: 1, Spec: []byte("2"), State: store.StateEnforced})
	require.NoError(t, err)
	back := func(b store.PolicyRollback) (store.Policy, error) {
		return write(t.Context(), l, func(ctx context.Context, tx store.Tx) (store.Policy, error) {
			return tx.RollbackPolicy(ctx, b, entry("policies.rollback"))
		})
	}
	_, err = back(store.PolicyRollback{PolicyKey: k, If: 1, To: 1})
	require.ErrorIs(t, err, store.ErrConflict)
	_, err = back(store.PolicyRollback{PolicyKey: k, If: 2, To: 7})
	require.ErrorIs(t, err, store.ErrNotFound)
	p, err := back(store.PolicyRollback{PolicyKey: k, If: 2, To: 1})
	require.NoError(t, err)
	assert.Equal(t, store.Revision(3), p.Revision)
	assert.Equal(t, "1", string(p.Spec))
	assert.Equal(t, store.StatePreview, p.State)
	p, err = back(store.PolicyRollback{PolicyKey: k, If: 3, To: 2, State: store.StateDisabled})
	require.NoError(t, err)
	assert.Equal(t, "2", string(p.Spec))
	assert.Equal(t, store.StateDisabled, p.State)
	r, err := l.GetPolicyRevision(t.Context(), k, 4)
	require.NoError(t, err)
	assert.Equal(t, store.Revision(2), r.RolledBackTo)
}

func (e Engine) testDeletion(t *testing.T) {
	l := newLab(t, e)
	k := key("shop", "a")
	l.create(t, k, store.StateEnforced, "1")
	require.NoError(t, l.remove(t, k, 1))
	_, err := l.GetPolicy(t.Context(), k)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorIs(t, l.remove(t, k, store.Any), store.ErrNotFound)
	set, err := l.PoliciesInForce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, store.PolicySet{Version: 2}, set)
	l.clock.Advance(time.Hour)
	p := l.create(t, k, "", "2")
	assert.Equal(t, store.Revision(3), p.Revision)
	assert.Equal(t, Start.Add(time.Hour), p.CreatedAt)
	page, err := l.ListPolicyRevisions(t.Context(), k, store.PageRequest{})
	require.NoError(t, err)
	require.Len(t, page.Items, 3)
	assert.Equal(t, store.StateDeleted, page.Items[1].State)
	_, err = write(t.Context(), l, func(ctx context.Context, tx store.Tx) (store.Policy, error) {
		return tx.RollbackPolicy(ctx, store.PolicyRollback{PolicyKey: k, If: 3, To: 2}, entry("policies.rollback"))
	})
	require.ErrorIs(t, err, store.ErrInvalid)
	records := l.log(t)
	assert.True(t, records[1].After.IsZero())
	assert.True(t, records[2].Before.IsZero())

	require.NoError(t, l.remove(t, k, 3))
	again := func(to store.Revision) (store.Policy, error) {
		return write(t.Context(), l, func(ctx context.Context, tx store.Tx) (store.Policy, error) {
			return tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: k, Spec: []byte("1"), RolledBackTo: to}, entry("policies.rollback"))
		})
	}
	_, err = again(5)
	require.ErrorIs(t, err, store.ErrNotFound, "it had four revisions")
	_, err = again(-1)
	require.ErrorIs(t, err, store.ErrInvalid)
	p, err = again(1)
	require.NoError(t, err)
	assert.Equal(t, store.Revision(5), p.Revision)
	r, err := l.GetPolicyRevision(t.Context(), k, 5)
	require.NoError(t, err)
	assert.Equal(t, store.Revision(1), r.RolledBackTo)
	r, err = l.GetPolicyRevision(t.Context(), k, 3)
	require.NoError(t, err)
	assert.Zero(t, r.RolledBackTo, "that one was made anew")
}

func (e Engine) testInForce(t *testing.T) {
	l := newLab(t, e)
	set, err := l.PoliciesInForce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, store.PolicySet{}, set)
	states := []store.PolicyState{store.StateDraft, store.StatePreview, store.StateEnforced, store.StateDisabled}
	for i, state := range states {
		l.create(t, key("b", strconv.Itoa(i)), state, "x")
		l.create(t, key("a", strconv.Itoa(i)), state, "x")
	}
	l.clock.Advance(time.Minute)
	turn := func(u store.KillSwitchUpdate) store.KillSwitch {
		k, err := write(t.Context(), l, func(ctx context.Context, tx store.Tx) (store.KillSwitch, error) {
			return tx.SetKillSwitch(ctx, u, entry("killSwitch.set"))
		})
		require.NoError(t, err)
		return k
	}
	on := turn(store.KillSwitchUpdate{On: true, Reason: "fire\nin the house"})
	assert.Equal(t, store.KillSwitch{On: true, Reason: "fire\nin the house", At: Start.Add(time.Minute), By: "ada", Version: 9}, on)
	assert.Equal(t, on, turn(store.KillSwitchUpdate{On: true, Reason: "fire\nin the house"}), "turned twice is turned once")
	set, err = l.PoliciesInForce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, uint64(9), set.Version)
	assert.Equal(t, on, set.KillSwitch)
	var names []string
	for _, p := range set.Policies {
		names = append(names, p.Resource()+" "+string(p.State))
	}
	assert.Equal(t, []string{"policies/a/1 preview", "policies/a/2 enforced", "policies/b/1 preview", "policies/b/2 enforced"}, names)
	early := turn(store.KillSwitchUpdate{On: true, Reason: "before that", At: Start.Add(time.Second + 1)})
	assert.Equal(t, Start.Add(time.Second), early.At, "turned before it was stored, in the precision of a store")
	turn(store.KillSwitchUpdate{})
	k, err := l.GetKillSwitch(t.Context())
	require.NoError(t, err)
	assert.False(t, k.On)
	assert.Equal(t, uint64(11), k.Version)
	l.open(t)
	again, err := l.GetKillSwitch(t.Context())
	require.NoError(t, err)
	assert.Equal(t, k, again, "it outlives the process")
	version, err := l.PolicyVersion(t.Context())
	require.NoError(t, err)
	assert.Equal(t, uint64(11), version)
}

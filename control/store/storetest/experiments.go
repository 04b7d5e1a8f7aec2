package storetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

func experimentKey(namespace, name string) store.ExperimentKey {
	return store.ExperimentKey{Namespace: namespace, Name: name}
}

func (l *lab) try(tb testing.TB, k store.ExperimentKey, phase, spec string) store.Experiment {
	tb.Helper()
	e, err := l.createExperiment(store.NewExperiment{ExperimentKey: k, Spec: []byte(spec), State: []byte("{}"), Phase: phase})
	require.NoError(tb, err)
	return e
}

func (l *lab) createExperiment(n store.NewExperiment) (store.Experiment, error) {
	return write(context.Background(), l, func(ctx context.Context, tx store.Tx) (store.Experiment, error) {
		return tx.CreateExperiment(ctx, n, entry("experiments.create"))
	})
}

func (l *lab) updateExperiment(u store.ExperimentUpdate) (store.Experiment, error) {
	return write(context.Background(), l, func(ctx context.Context, tx store.Tx) (store.Experiment, error) {
		return tx.UpdateExperiment(ctx, u, entry("experiments.update"))
	})
}

func (l *lab) removeExperiment(k store.ExperimentKey, condition store.Revision) error {
	return l.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
		return tx.DeleteExperiment(ctx, k, condition, entry("experiments.delete"))
	})
}

func (e Engine) testExperiments(t *testing.T) {
	t.Run("a new one is what was given, and not active", func(t *testing.T) {
		l := newLab(t, e)
		k := experimentKey("shop", "drop-pod")
		x := l.try(t, k, "Draft", "\x00\xff'; DROP TABLE experiments; --\n")
		assert.Equal(t, store.Experiment{
			ExperimentKey: k, Spec: []byte("\x00\xff'; DROP TABLE experiments; --\n"),
			SpecSHA256: store.SumSHA256([]byte("\x00\xff'; DROP TABLE experiments; --\n")), State: []byte("{}"), Evidence: []byte{},
			Phase: "Draft", Revision: 1, CreatedAt: Start, CreatedBy: "ada", UpdatedAt: Start, UpdatedBy: "ada",
		}, x)
		read, err := l.GetExperiment(t.Context(), k)
		require.NoError(t, err)
		assert.Equal(t, x, read)
		_, err = l.createExperiment(store.NewExperiment{ExperimentKey: k, Phase: "Draft"})
		require.ErrorIs(t, err, store.ErrExists)
		require.ErrorContains(t, err, "experiments/shop/drop-pod")
		_, err = l.GetExperiment(t.Context(), experimentKey("shop", "other"))
		require.ErrorIs(t, err, store.ErrNotFound)
		active, err := l.ActiveExperiments(t.Context())
		require.NoError(t, err)
		assert.Empty(t, active)
	})
	t.Run("an update changes what it says", e.testExperimentUpdate)
	t.Run("of another revision it is a conflict", e.testExperimentConflict)
	t.Run("deleted it is gone, and its revisions do not come again", func(t *testing.T) {
		l := newLab(t, e)
		k := experimentKey("a", "b")
		x := l.try(t, k, "Draft", "1")
		require.NoError(t, l.removeExperiment(k, x.Revision))
		require.ErrorIs(t, l.removeExperiment(k, store.Any), store.ErrNotFound)
		again := l.try(t, k, "Draft", "1")
		assert.Greater(t, again.Revision, x.Revision)
		assert.Empty(t, again.Evidence)
		records := l.log(t)
		require.Len(t, records, 3)
		assert.Equal(t, [2]store.Digest{x.Digest(), {}}, [2]store.Digest{records[1].Before, records[1].After})
	})
	t.Run("a promotion is one transaction", e.testPromotion)
}

func (e Engine) testExperimentUpdate(t *testing.T) {
	l := newLab(t, e)
	k := experimentKey("shop", "a")
	created := l.try(t, k, "Draft", "1")
	l.clock.Advance(time.Minute)
	want := created
	want.Phase, want.Active, want.State, want.Evidence = "Running", true, []byte("s"), []byte("\x00e")
	want.Revision, want.UpdatedAt, want.UpdatedBy = 2, l.clock.Now(), "ada"
	got, err := l.updateExperiment(store.ExperimentUpdate{
		ExperimentKey: k, If: 1, State: []byte("s"), Evidence: []byte("\x00e"), Phase: "Running", Active: new(true),
	})
	require.NoError(t, err)
	assert.Equal(t, want, got)
	nothing, err := l.updateExperiment(store.ExperimentUpdate{ExperimentKey: k, If: 2, Phase: "Running"})
	require.NoError(t, err)
	assert.Equal(t, want, nothing, "a change that changes nothing makes no revision")
	want.Spec, want.SpecSHA256, want.Revision = []byte{}, store.SumSHA256(nil), 4
	want.Active, want.PromotedPolicy, want.Evidence = false, "policies/shop/a", []byte{}
	got, err = l.updateExperiment(store.ExperimentUpdate{
		ExperimentKey: k, If: store.Any, Spec: []byte{}, Evidence: []byte{}, Active: new(false), PromotedPolicy: "policies/shop/a",
	})
	require.NoError(t, err)
	assert.Equal(t, want, got, "empty is not the same as none")
	read, err := l.GetExperiment(t.Context(), k)
	require.NoError(t, err)
	assert.Equal(t, want, read)
	records := l.log(t)
	require.Len(t, records, 4)
	assert.Equal(t, records[2].Before, records[2].After)
	assert.Equal(t, store.AuditRecord{
		Seq: 4, Time: l.clock.Now(), Entry: store.Entry{
			Principal: "ada", Action: "experiments.update", Outcome: store.OutcomeDone, Resource: "experiments/shop/a", Namespace: "shop",
			Origin: "192.0.2.1", RequestID: "req-1",
		},
		Before: nothing.Digest(), After: want.Digest(), Previous: records[2].Hash, Hash: records[3].Hash,
	}, records[3])
}

func (e Engine) testExperimentConflict(t *testing.T) {
	l := newLab(t, e)
	x := l.try(t, experimentKey("shop", "a"), "Draft", "1")
	l.try(t, experimentKey("shop", "b"), "Draft", "1")
	x, err := l.updateExperiment(store.ExperimentUpdate{ExperimentKey: x.ExperimentKey, If: x.Revision, Phase: "Running"})
	require.NoError(t, err)
	for _, condition := range []store.Revision{1, 2, 4, store.Absent} {
		_, err := l.updateExperiment(store.ExperimentUpdate{ExperimentKey: x.ExperimentKey, If: condition, Phase: "Failed"})
		var conflict *store.ConflictError
		require.ErrorAs(t, err, &conflict)
		assert.Equal(t, store.ConflictError{Resource: "experiments/shop/a", Present: 3}, *conflict)
		require.ErrorIs(t, l.removeExperiment(x.ExperimentKey, condition), store.ErrConflict)
	}
	_, err = l.updateExperiment(store.ExperimentUpdate{ExperimentKey: experimentKey("shop", "c"), If: store.Any})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Len(t, l.log(t), 3, "what was refused leaves nothing")
}

// testPromotion fails in the middle of one: nothing of it is there.
func (e Engine) testPromotion(t *testing.T) {
	l := newLab(t, e)
	k := experimentKey("shop", "a")
	x := l.try(t, k, "Running", "1")
	l.create(t, key("shop", "a"), store.StateDraft, "mine")
	err := l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.UpdateExperiment(ctx, promoted(k, x.Revision), entry("experiments.promote"))
		require.NoError(t, err)
		_, err = tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: key("shop", "a"), State: store.StateEnforced}, entry("policies.create"))
		return err
	})
	require.ErrorIs(t, err, store.ErrExists)
	read, err := l.GetExperiment(t.Context(), k)
	require.NoError(t, err)
	assert.Equal(t, x, read)
	require.NoError(t, l.remove(t, key("shop", "a"), store.Any))
	require.NoError(t, l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error { return promote(ctx, tx, k, x.Revision, entry("p")) }))
	set, err := l.PoliciesInForce(t.Context())
	require.NoError(t, err)
	require.Len(t, set.Policies, 1)
	read, err = l.GetExperiment(t.Context(), k)
	require.NoError(t, err)
	assert.Equal(t, "Promoted", read.Phase)
	assert.Equal(t, "policies/shop/a", read.PromotedPolicy)
}

func (e Engine) testExperimentLists(t *testing.T) {
	t.Run("in the order of bytes", func(t *testing.T) {
		l := newLab(t, e)
		for i := range strange {
			l.try(t, experimentKey("shop", strange[(i*8)%len(strange)]), "Draft", "x")
		}
		require.Equal(t, strange, experimentNames(l.experiments(t, store.ExperimentQuery{})))
		for _, prefix := range []string{"a", "a%", "_", "%", "é", "nothing"} {
			want := slices.DeleteFunc(slices.Clone(strange), func(s string) bool { return !strings.HasPrefix(s, prefix) })
			assert.ElementsMatch(t, want, experimentNames(l.experiments(t, store.ExperimentQuery{NamePrefix: prefix})), "prefix %q", prefix)
		}
	})
	t.Run("filtered, without evidence", e.testExperimentFilters)
	t.Run("with a token of this query only", func(t *testing.T) {
		l := newLab(t, e)
		for i := range 3 {
			l.try(t, experimentKey("a", strconv.Itoa(i)), "Draft", "x")
			l.create(t, key("a", strconv.Itoa(i)), "", "x")
		}
		first, err := l.ListExperiments(t.Context(), store.ExperimentQuery{PageRequest: store.PageRequest{Size: 2}})
		require.NoError(t, err)
		request := store.PageRequest{Token: first.Next}
		_, err = l.ListExperiments(t.Context(), store.ExperimentQuery{Phases: []string{"Draft"}, PageRequest: request})
		require.ErrorIs(t, err, store.ErrInvalid)
		_, err = l.ListPolicies(t.Context(), store.PolicyQuery{PageRequest: request})
		require.ErrorIs(t, err, store.ErrInvalid)
	})
}

func (e Engine) testExperimentFilters(t *testing.T) {
	l := newLab(t, e)
	phases := []string{"Draft", "Running", "Paused", "Promoted"}
	var all []store.Experiment
	for i := range 24 {
		k := experimentKey(string(rune('a'+i%3)), fmt.Sprintf("p%02d", i))
		l.try(t, k, phases[i%4], "x")
		x, err := l.updateExperiment(store.ExperimentUpdate{ExperimentKey: k, If: store.Any, Evidence: []byte("e"), Active: new(i%4 == 1 || i%4 == 2)})
		require.NoError(t, err)
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b store.Experiment) int { return strings.Compare(a.Resource(), b.Resource()) })
	for _, q := range []store.ExperimentQuery{
		{},
		{Namespaces: []string{"a", "c"}},
		{Namespaces: []string{}},
		{Phases: []string{"Running", "Draft"}},
		{Phases: []string{}},
		{Phases: []string{"Nowhere"}},
		{NamePrefix: "p1"},
		{Namespaces: []string{"b"}, Phases: []string{"Paused"}, NamePrefix: "p1"},
	} {
		var want []store.Experiment
		for _, x := range all {
			if (q.Namespaces == nil || slices.Contains(q.Namespaces, x.Namespace)) && (q.Phases == nil || slices.Contains(q.Phases, x.Phase)) &&
				strings.HasPrefix(x.Name, q.NamePrefix) {
				x.Evidence = nil
				want = append(want, x)
			}
		}
		assert.Equal(t, want, l.experiments(t, q), "%+v", q)
	}
	active, err := l.ActiveExperiments(t.Context())
	require.NoError(t, err)
	assert.Equal(t, slices.DeleteFunc(all, func(x store.Experiment) bool { return !x.Active }), active)
}

func (l *lab) experiments(tb testing.TB, q store.ExperimentQuery) []store.Experiment {
	tb.Helper()
	return everything(tb, func(request store.PageRequest) (store.Page[store.Experiment], error) {
		q.PageRequest = request
		return l.ListExperiments(context.Background(), q)
	})
}

func experimentNames(list []store.Experiment) []string {
	var all []string
	for _, x := range list {
		all = append(all, x.Name)
	}
	return all
}

package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/store"
)

// action is one change, by a worker who has a namespace and names of its own.
type action struct {
	kind  string
	name  string
	spec  string
	state store.PolicyState
	// condition is the revision that has to be there, relative to the one that
	// is there: 0 is right, 1 is wrong.
	condition store.Revision
	to        store.Revision
}

// transaction returns what a worker does in its n-th transaction. It depends on
// nothing else, so that somebody who was not there can say what must be there.
func transaction(worker, n int) []action {
	r := rand.New(rand.NewPCG(uint64(worker), uint64(n))) //nolint:gosec // not negative
	actions := make([]action, 1+r.IntN(4))
	kinds := []string{
		"create", "create", "create", "update", "update", "update", "rollback", "delete", "fact", "forget", "price", "unprice", "refuse",
		"try", "try", "start", "promote", "promote", "abandon",
	}
	states := []store.PolicyState{store.StateDraft, store.StatePreview, store.StateEnforced, store.StateDisabled}
	for i := range actions {
		actions[i] = action{
			kind: kinds[r.IntN(len(kinds))], name: strconv.Itoa(r.IntN(ownNames)), spec: strconv.Itoa(r.IntN(3)), state: states[r.IntN(4)],
			to: store.Revision(1 + r.IntN(4)),
		}
		if r.IntN(5) == 0 {
			actions[i].condition = 1
		}
	}
	return actions
}

// ownNames is how many names a worker has.
const ownNames = 6

func namespace(worker int) string { return "w" + strconv.Itoa(worker) }

// do does the action. It may fail with ErrNotFound, ErrExists, ErrConflict and
// ErrInvalid.
func (a action) do(ctx context.Context, tx store.Tx, worker int) error {
	e := store.Entry{Principal: namespace(worker), Action: a.kind, Detail: map[string]string{"spec": a.spec}}
	switch a.kind {
	case "try", "start", "promote", "abandon":
		return a.doExperiment(ctx, tx, worker, e)
	}
	k := key(namespace(worker), a.name)
	name := namespace(worker) + "." + a.name
	present, err := tx.GetPolicy(ctx, k)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	condition := present.Revision + a.condition
	switch a.kind {
	case "create":
		_, err = tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: k, Spec: []byte(a.spec), State: a.state}, e)
	case "update":
		_, err = tx.UpdatePolicy(ctx, store.PolicyUpdate{PolicyKey: k, If: condition, Spec: []byte(a.spec), State: a.state}, e)
	case "rollback":
		_, err = tx.RollbackPolicy(ctx, store.PolicyRollback{PolicyKey: k, If: condition, To: a.to}, e)
	case "delete":
		err = tx.DeletePolicy(ctx, k, condition, e)
	case "fact":
		_, err = tx.PutFact(ctx, store.FactUpdate{Key: name, If: store.Any, Value: []byte(a.spec)}, e)
	case "forget":
		err = tx.DeleteFact(ctx, name, store.Any, e)
	case "price":
		_, err = tx.PutPriceModel(ctx, store.PriceModelUpdate{Name: name, Spec: []byte(a.spec)}, e) // if absent
	case "unprice":
		err = tx.DeletePriceModel(ctx, name, store.Any, e)
	default:
		e.Outcome = store.OutcomeRefused
		_, err = tx.AppendAudit(ctx, e)
	}
	return err
}

// kindOf returns what an error of do says, nil for success, and whether it may
// say so.
func kindOf(err error) (expected bool, kind error) {
	if err == nil {
		return true, nil
	}
	for _, kind := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrInvalid} {
		if errors.Is(err, kind) {
			return true, kind
		}
	}
	return false, err
}

// model is what a worker must find, in the simplest way to write it.
type model struct {
	worker        int
	policies      map[string][]store.PolicyRevision
	facts, prices map[string]string
	trials        map[string]trial
	records       int
	versions      int
}

func newModel(worker int) *model {
	return &model{
		worker: worker, policies: map[string][]store.PolicyRevision{}, facts: map[string]string{}, prices: map[string]string{},
		trials: map[string]trial{},
	}
}

// expect does the action in the model and returns how the real one has to fail.
func (m *model) expect(a action) error {
	err := m.change(a)
	if err == nil {
		m.records++
	}
	return err
}

func (m *model) change(a action) error {
	switch a.kind {
	case "fact":
		m.facts[a.name] = a.spec
	case "forget":
		return take(m.facts, a.name)
	case "price":
		if _, there := m.prices[a.name]; there {
			return store.ErrExists
		}
		m.prices[a.name] = a.spec
	case "unprice":
		return take(m.prices, a.name)
	case "create", "update", "rollback", "delete":
		return m.changePolicy(a)
	case "try", "start", "promote", "abandon":
		return m.changeExperiment(a)
	}
	return nil
}

func take(from map[string]string, name string) error {
	if _, there := from[name]; !there {
		return store.ErrNotFound
	}
	delete(from, name)
	return nil
}

func (m *model) changePolicy(a action) error {
	revisions := m.policies[a.name]
	var now store.PolicyRevision
	if len(revisions) > 0 {
		now = revisions[len(revisions)-1]
	}
	there := now.State != "" && now.State != store.StateDeleted
	next := store.PolicyRevision{Spec: []byte(a.spec), State: a.state}
	switch {
	case a.kind == "create" && there:
		return store.ErrExists
	case a.kind == "create":
	case !there:
		return store.ErrNotFound
	case a.condition != 0:
		return store.ErrConflict
	case a.kind == "delete":
		next.Spec, next.State = []byte{}, store.StateDeleted
	case a.kind == "rollback" && int(a.to) > len(revisions):
		return store.ErrNotFound
	case a.kind == "rollback" && revisions[a.to-1].State == store.StateDeleted:
		return store.ErrInvalid
	case a.kind == "rollback":
		next.Spec, next.State, next.RolledBackTo = revisions[a.to-1].Spec, revisions[a.to-1].State, a.to
	}
	if there && bytes.Equal(next.Spec, now.Spec) && next.State == now.State {
		return nil
	}
	next.PolicyKey, next.SpecSHA256 = key(namespace(m.worker), a.name), store.SumSHA256(next.Spec)
	next.Revision, next.By = now.Revision+1, namespace(m.worker)
	m.policies[a.name] = append(revisions, next)
	m.versions++
	return nil
}

// compare requires that the store holds what the model holds, no more.
func (m *model) compare(t require.TestingT, s store.Store) {
	ctx := context.Background()
	m.compareExperiments(t, s)
	page, err := s.ListPolicies(ctx, store.PolicyQuery{Namespaces: []string{namespace(m.worker)}, PageRequest: store.PageRequest{Size: 1000}})
	require.NoError(t, err)
	present := map[string]store.Policy{}
	for _, p := range page.Items {
		present[p.Name] = p
	}
	for name := range ownNames {
		want := m.policies[strconv.Itoa(name)]
		got, err := s.ListPolicyRevisions(ctx, key(namespace(m.worker), strconv.Itoa(name)), store.PageRequest{Size: 1000})
		require.NoError(t, err)
		slices.Reverse(got.Items)
		for i := range got.Items {
			got.Items[i].At, got.Items[i].Version = Start, 0
		}
		require.Len(t, got.Items, len(want))
		for i, r := range want {
			r.At = Start
			require.Equal(t, r, got.Items[i])
		}
		p, there := present[strconv.Itoa(name)]
		require.Equal(t, len(want) > 0 && want[len(want)-1].State != store.StateDeleted, there)
		if there {
			last := want[len(want)-1]
			require.Equal(t, []any{last.Revision, last.State, string(last.Spec)}, []any{p.Revision, p.State, string(p.Spec)})
		}
	}
	facts, err := s.ListFacts(ctx, namespace(m.worker)+".", store.PageRequest{Size: 1000})
	require.NoError(t, err)
	got := map[string]string{}
	for _, f := range facts.Items {
		got[f.Key[len(namespace(m.worker))+1:]] = string(f.Value)
	}
	require.Equal(t, m.facts, got)
	for name := range ownNames {
		want, there := m.prices[strconv.Itoa(name)]
		price, err := s.GetPriceModel(ctx, fmt.Sprintf("%s.%d", namespace(m.worker), name))
		if !there {
			require.ErrorIs(t, err, store.ErrNotFound)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, string(price.Spec))
	}
}

// testModel runs random transactions, of which some are taken back, and compares
// with the model.
func (e Engine) testModel(t *testing.T) {
	l := newLab(t, e)
	records, versions, worker := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		worker++
		m := newModel(worker)
		salt := rapid.IntRange(0, 1<<30).Draw(rt, "program")
		takenBack := errors.New("taken back")
		for n := range rapid.IntRange(1, 12).Draw(rt, "transactions") {
			actions := transaction(salt, n)
			if rapid.IntRange(0, 5).Draw(rt, "taken back") == 0 {
				err := l.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
					for _, a := range actions {
						_ = a.do(ctx, tx, worker)
					}
					return takenBack
				})
				require.ErrorIs(rt, err, takenBack)
				continue
			}
			err := l.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
				for _, a := range actions {
					ok, kind := kindOf(a.do(ctx, tx, worker))
					require.True(rt, ok, "%+v: %v", a, kind)
					require.Equal(rt, m.expect(a), kind, "%+v", a)
				}
				return nil
			})
			require.NoError(rt, err)
		}
		m.compare(rt, l)
		records += m.records
		versions += m.versions
		version, err := l.PolicyVersion(context.Background())
		require.NoError(rt, err)
		require.Equal(rt, versions, int(version)) //nolint:gosec // far below
	})
	require.Len(t, l.log(t), records)
}

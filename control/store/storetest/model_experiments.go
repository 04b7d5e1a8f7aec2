package storetest

import (
	"context"
	"errors"
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

// promoted is what becomes of an experiment whose candidate becomes a policy.
func promoted(k store.ExperimentKey, condition store.Revision) store.ExperimentUpdate {
	return store.ExperimentUpdate{
		ExperimentKey: k, If: condition, State: []byte("done"), Phase: "Promoted", Active: new(false),
		PromotedPolicy: key(k.Namespace, k.Name).Resource(),
	}
}

// promote makes a policy of an experiment, as the control plane does it. It fails
// before it has written anything, as what a worker does goes on then.
func promote(ctx context.Context, tx store.Tx, k store.ExperimentKey, condition store.Revision, e store.Entry) error {
	policyKey := key(k.Namespace, k.Name)
	x, err := tx.GetExperiment(ctx, k)
	if err != nil {
		return err
	}
	switch _, err := tx.GetPolicy(ctx, policyKey); {
	case err == nil:
		return store.ErrExists
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if _, err := tx.UpdateExperiment(ctx, promoted(k, condition), e); err != nil {
		return err
	}
	_, err = tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: policyKey, Spec: x.Spec, State: store.StateEnforced}, e)
	return err
}

// doExperiment does an action on an experiment.
func (a action) doExperiment(ctx context.Context, tx store.Tx, worker int, e store.Entry) error {
	k := experimentKey(namespace(worker), a.name)
	present, err := tx.GetExperiment(ctx, k)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	condition := present.Revision + a.condition
	switch a.kind {
	case "try":
		_, err = tx.CreateExperiment(ctx, store.NewExperiment{ExperimentKey: k, Spec: []byte(a.spec), Phase: "Draft"}, e)
	case "start":
		_, err = tx.UpdateExperiment(ctx, store.ExperimentUpdate{
			ExperimentKey: k, If: condition, State: []byte(a.spec), Phase: "Running", Active: new(true),
		}, e)
	case "promote":
		err = promote(ctx, tx, k, condition, e)
	default:
		err = tx.DeleteExperiment(ctx, k, condition, e)
	}
	return err
}

// trial is an experiment of a model. Its evidence is not, because it is saved
// beside the transactions.
type trial struct {
	spec, state, phase, promoted string
	active                       bool
}

func (m *model) changeExperiment(a action) error {
	x, there := m.trials[a.name]
	revisions := m.policies[a.name]
	switch {
	case a.kind == "try" && there:
		return store.ErrExists
	case a.kind == "try":
		m.trials[a.name] = trial{spec: a.spec, phase: "Draft"}
		return nil
	case !there:
		return store.ErrNotFound
	case a.kind == "promote" && len(revisions) > 0 && revisions[len(revisions)-1].State != store.StateDeleted:
		return store.ErrExists
	case a.condition != 0:
		return store.ErrConflict
	case a.kind == "abandon":
		delete(m.trials, a.name)
		return nil
	case a.kind == "start":
		x.state, x.phase, x.active = a.spec, "Running", true
	default:
		x.state, x.phase, x.active, x.promoted = "done", "Promoted", false, key(namespace(m.worker), a.name).Resource()
		m.records++ // that of the policy
		if err := m.changePolicy(action{kind: "create", name: a.name, spec: x.spec, state: store.StateEnforced}); err != nil {
			return err
		}
	}
	m.trials[a.name] = x
	return nil
}

// compareExperiments requires that the store holds the experiments of the model,
// no more, and that every promotion is whole.
func (m *model) compareExperiments(t require.TestingT, s store.Store) {
	page, err := s.ListExperiments(context.Background(), store.ExperimentQuery{
		Namespaces: []string{namespace(m.worker)}, PageRequest: store.PageRequest{Size: 1000},
	})
	require.NoError(t, err)
	got := map[string]trial{}
	for _, x := range page.Items {
		got[x.Name] = trial{string(x.Spec), string(x.State), x.Phase, x.PromotedPolicy, x.Active}
	}
	require.Equal(t, m.trials, got)
}

// saveEvidence notes a number at all experiments of a worker that are there.
func saveEvidence(ctx context.Context, s store.Store, worker, n int) error {
	states := make([]store.ExperimentState, ownNames)
	for i := range states {
		states[i] = store.ExperimentState{
			ExperimentKey: experimentKey(namespace(worker), strconv.Itoa(i)), If: store.Any, Evidence: []byte(strconv.Itoa(n)),
		}
	}
	_, err := s.SaveExperimentStates(ctx, states)
	return err
}

// requireEvidence requires that evidence was saved of all experiments that were
// there, or of none: n is the number of the last transaction, before which it was
// saved, and perhaps it was also saved for the next one.
func requireEvidence(t require.TestingT, s store.Store, worker, n int) {
	seen := map[string]bool{}
	for i := range ownNames {
		x, err := s.GetExperiment(context.Background(), experimentKey(namespace(worker), strconv.Itoa(i)))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		require.NoError(t, err)
		seen[string(x.Evidence)] = true
	}
	last, next := seen[strconv.Itoa(n)], seen[strconv.Itoa(n+1)]
	delete(seen, strconv.Itoa(n))
	delete(seen, strconv.Itoa(n+1))
	created := seen[""] // since then
	delete(seen, "")
	require.Empty(t, seen, "worker %d: evidence of another time than before transaction %d or %d", worker, n, n+1)
	require.False(t, next && (last || created), "worker %d: evidence of some was saved before transaction %d, of others not", worker, n+1)
}

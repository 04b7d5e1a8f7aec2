package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/phoenix-platform/phoenix/control/store"
)

// CreateExperiment implements store.ExperimentWriter.
func (t *tx) CreateExperiment(ctx context.Context, n store.NewExperiment, entry store.Entry) (store.Experiment, error) {
	entry = about(entry, n.Resource(), n.Namespace)
	if err := errors.Join(n.Check(), entry.Check()); err != nil {
		return store.Experiment{}, err
	}
	switch _, err := t.GetExperiment(ctx, n.ExperimentKey); {
	case err == nil:
		return store.Experiment{}, fmt.Errorf("%s: %w", n.Resource(), store.ErrExists)
	case !errors.Is(err, store.ErrNotFound):
		return store.Experiment{}, err
	}
	e := store.Experiment{
		ExperimentKey: n.ExperimentKey, Spec: blob(n.Spec), State: blob(n.State), Evidence: []byte{}, Phase: n.Phase,
		CreatedAt: t.now, CreatedBy: entry.Principal,
	}
	e, err := t.changeExperiment(ctx, e, store.Digest{}, entry)
	if err != nil {
		return store.Experiment{}, fmt.Errorf("create %s: %w", n.Resource(), err)
	}
	return e, nil
}

// UpdateExperiment implements store.ExperimentWriter.
func (t *tx) UpdateExperiment(ctx context.Context, u store.ExperimentUpdate, entry store.Entry) (store.Experiment, error) {
	entry = about(entry, u.Resource(), u.Namespace)
	if err := errors.Join(u.Check(), entry.Check()); err != nil {
		return store.Experiment{}, err
	}
	before, err := t.presentExperiment(ctx, u.ExperimentKey, u.If)
	if err != nil {
		return store.Experiment{}, err
	}
	after := updated(before, u)
	if same(before, after) {
		_, err = t.record(ctx, entry, before.Digest(), before.Digest())
	} else {
		after, err = t.changeExperiment(ctx, after, before.Digest(), entry)
	}
	if err != nil {
		return store.Experiment{}, fmt.Errorf("change %s: %w", u.Resource(), err)
	}
	return after, nil
}

// updated returns an experiment as an update leaves it.
func updated(e store.Experiment, u store.ExperimentUpdate) store.Experiment {
	for _, b := range []struct{ dst, src *[]byte }{{&e.Spec, &u.Spec}, {&e.State, &u.State}, {&e.Evidence, &u.Evidence}} {
		if *b.src != nil {
			*b.dst = *b.src
		}
	}
	if u.Phase != "" {
		e.Phase = u.Phase
	}
	if u.Active != nil {
		e.Active = *u.Active
	}
	if u.PromotedPolicy != "" {
		e.PromotedPolicy = u.PromotedPolicy
	}
	return e
}

func same(a, b store.Experiment) bool {
	return bytes.Equal(a.Spec, b.Spec) && bytes.Equal(a.State, b.State) && bytes.Equal(a.Evidence, b.Evidence) &&
		a.Phase == b.Phase && a.Active == b.Active && a.PromotedPolicy == b.PromotedPolicy
}

// DeleteExperiment implements store.ExperimentWriter.
func (t *tx) DeleteExperiment(ctx context.Context, key store.ExperimentKey, condition store.Revision, entry store.Entry) error {
	entry = about(entry, key.Resource(), key.Namespace)
	if err := errors.Join(key.Check(), entry.Check()); err != nil {
		return err
	}
	old, err := t.presentExperiment(ctx, key, condition)
	if err != nil {
		return err
	}
	for _, table := range []string{"experiments", "experiment_states"} {
		if err == nil {
			_, err = t.exec(ctx, "DELETE FROM "+table+" WHERE namespace = $1 AND name = $2", key.Namespace, key.Name)
		}
	}
	if err == nil {
		_, err = t.record(ctx, entry, old.Digest(), store.Digest{})
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", key.Resource(), err)
	}
	return nil
}

// presentExperiment returns an experiment whose revision is the one that the
// caller wants.
func (t *tx) presentExperiment(ctx context.Context, key store.ExperimentKey, condition store.Revision) (store.Experiment, error) {
	e, err := t.GetExperiment(ctx, key)
	if err == nil && condition != store.Any && condition != e.Revision {
		err = &store.ConflictError{Resource: key.Resource(), Present: e.Revision}
	}
	return e, err
}

// changeExperiment writes a new revision, with its audit entry.
func (t *tx) changeExperiment(ctx context.Context, e store.Experiment, before store.Digest, entry store.Entry) (store.Experiment, error) {
	e.SpecSHA256 = store.SumSHA256(e.Spec)
	e.Revision, e.UpdatedAt, e.UpdatedBy = t.nextRevision(), t.now, entry.Principal
	err := t.saveExperiment(ctx, e)
	if err == nil {
		_, err = t.record(ctx, entry, before, e.Digest())
	}
	return e, err
}

func (t *tx) saveExperiment(ctx context.Context, e store.Experiment) error {
	active := int64(0)
	if e.Active {
		active = 1
	}
	_, err := t.exec(ctx, "INSERT INTO experiments (namespace, name, spec, spec_sha256, phase, active, revision, promoted_policy,"+
		" created_at, created_by, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"+
		" ON CONFLICT (namespace, name) DO UPDATE SET spec = excluded.spec, spec_sha256 = excluded.spec_sha256,"+
		" phase = excluded.phase, active = excluded.active, revision = excluded.revision, promoted_policy = excluded.promoted_policy,"+
		" updated_at = excluded.updated_at, updated_by = excluded.updated_by",
		e.Namespace, e.Name, blob(e.Spec), e.SpecSHA256[:], e.Phase, active, int64(e.Revision), e.PromotedPolicy,
		micros(e.CreatedAt), e.CreatedBy, micros(e.UpdatedAt), e.UpdatedBy)
	if err != nil {
		return err
	}
	return t.saveStates(ctx, []store.ExperimentState{{ExperimentKey: e.ExperimentKey, State: blob(e.State), Evidence: blob(e.Evidence)}})
}

// SaveExperimentStates implements store.ExperimentRecorder.
func (s *Store) SaveExperimentStates(ctx context.Context, states []store.ExperimentState) (stale []store.ExperimentKey, err error) {
	var errs error
	for _, state := range states {
		errs = errors.Join(errs, state.Check())
	}
	if errs != nil || len(states) == 0 {
		return nil, errs
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		revisions, err := t.revisionsOf(ctx, states)
		if err != nil {
			return err
		}
		stale = nil
		current := make([]store.ExperimentState, 0, len(states))
		for _, state := range states {
			if present, there := revisions[state.ExperimentKey]; there && (state.If == store.Any || state.If == present) {
				current = append(current, state)
			} else {
				stale = append(stale, state.ExperimentKey)
			}
		}
		return t.saveStates(ctx, current)
	})
	if err != nil {
		return nil, fmt.Errorf("save the states of %d experiments: %w", len(states), err)
	}
	return stale, nil
}

// fewStates is up to how many experiments are looked up one by one.
const fewStates = 100

// revisionsOf returns the revisions of these experiments, perhaps with those of
// others.
func (t *tx) revisionsOf(ctx context.Context, states []store.ExperimentState) (map[store.ExperimentKey]store.Revision, error) {
	revisions := make(map[store.ExperimentKey]store.Revision, len(states))
	add := func(w where) error {
		return t.each(ctx, "SELECT namespace, name, revision FROM experiments"+w.String(), w.args, func(row scanner) error {
			var key store.ExperimentKey
			var revision store.Revision
			err := row.Scan(&key.Namespace, &key.Name, &revision)
			revisions[key] = revision
			return t.note(ctx, err)
		})
	}
	if len(states) > fewStates {
		return revisions, add(where{})
	}
	for _, state := range states {
		var w where
		w.equal("namespace", state.Namespace)
		w.equal("name", state.Name)
		if err := add(w); err != nil {
			return nil, err
		}
	}
	return revisions, nil
}

// saveStates writes the states of experiments that are there. Nobody else writes
// meanwhile, so what was there is there: a row is only ever inserted for an
// experiment that is new.
func (t *tx) saveStates(ctx context.Context, states []store.ExperimentState) error {
	const conflict, state, evidence = "(namespace, name) DO UPDATE SET ", "state = excluded.state", "evidence = excluded.evidence"
	var both, onlyState, onlyEvidence bulk
	both.conflict, onlyState.conflict, onlyEvidence.conflict = conflict+state+", "+evidence, conflict+state, conflict+evidence
	place := make(map[store.ExperimentKey]int, len(states))
	last := states[:0:0] // of several states of one experiment the last one stays
	for _, s := range states {
		i, twice := place[s.ExperimentKey]
		if !twice {
			place[s.ExperimentKey] = len(last)
			last = append(last, s)
			continue
		}
		if s.State != nil {
			last[i].State = s.State
		}
		if s.Evidence != nil {
			last[i].Evidence = s.Evidence
		}
	}
	for _, s := range last {
		to := &both
		switch {
		case s.State == nil && s.Evidence == nil:
			continue
		case s.Evidence == nil:
			to = &onlyState
		case s.State == nil:
			to = &onlyEvidence
		}
		to.rows = append(to.rows, []any{s.Namespace, s.Name, blob(s.State), blob(s.Evidence)})
	}
	for _, b := range []*bulk{&both, &onlyState, &onlyEvidence} {
		b.table, b.columns = "experiment_states", "namespace, name, state, evidence"
		if err := b.insert(ctx, t.reader); err != nil {
			return err
		}
	}
	return nil
}

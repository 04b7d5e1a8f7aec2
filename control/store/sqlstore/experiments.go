package sqlstore

import (
	"context"
	"fmt"

	"github.com/phoenix-platform/phoenix/control/store"
)

// experimentColumns are those of experimentTable, but for the last, the evidence.
const experimentColumns = "namespace, name, spec, spec_sha256, phase, active, revision, promoted_policy," +
	" created_at, created_by, updated_at, updated_by, state"

const (
	experimentJoin  = " JOIN experiment_states USING (namespace, name)"
	experimentTable = "experiments" + experimentJoin
)

// scanExperiment reads experimentColumns, and then columns of more.
func scanExperiment(row scanner, more ...any) (store.Experiment, error) {
	var e store.Experiment
	var active int64
	columns := append(make([]any, 0, 14),
		&e.Namespace, &e.Name, blobColumn{&e.Spec}, digestColumn{&e.SpecSHA256}, &e.Phase, &active, &e.Revision, &e.PromotedPolicy,
		timeColumn{&e.CreatedAt}, &e.CreatedBy, timeColumn{&e.UpdatedAt}, &e.UpdatedBy, blobColumn{&e.State})
	err := row.Scan(append(columns, more...)...)
	e.Active = active != 0
	return e, err
}

func scanListed(row scanner) (store.Experiment, error) { return scanExperiment(row) }

func scanWhole(row scanner) (store.Experiment, error) {
	var evidence []byte
	e, err := scanExperiment(row, blobColumn{&evidence})
	e.Evidence = evidence
	return e, err
}

// GetExperiment implements store.ExperimentReader.
func (r reader) GetExperiment(ctx context.Context, key store.ExperimentKey) (store.Experiment, error) {
	if err := key.Check(); err != nil {
		return store.Experiment{}, err
	}
	e, err := first(ctx, r, "SELECT "+experimentColumns+", evidence FROM "+experimentTable+" WHERE namespace = $1 AND name = $2",
		[]any{key.Namespace, key.Name}, scanWhole)
	if err != nil {
		return store.Experiment{}, fmt.Errorf("%s: %w", key.Resource(), err)
	}
	return e, nil
}

// ListExperiments implements store.ExperimentReader.
func (r reader) ListExperiments(ctx context.Context, query store.ExperimentQuery) (store.Page[store.Experiment], error) {
	texts := append(append([]string{query.NamePrefix}, query.Namespaces...), query.Phases...)
	if err := checkFilters(texts...); err != nil {
		return store.Page[store.Experiment]{}, err
	}
	l := listing[store.Experiment]{
		table: "experiments", join: experimentJoin, columns: experimentColumns,
		order: []string{"namespace", "name"}, parts: []part{textPart, textPart},
		scan: scanListed, key: func(e store.Experiment) []any { return []any{e.Namespace, e.Name} },
	}
	among(&l.where, "namespace", query.Namespaces)
	among(&l.where, "phase", query.Phases)
	l.where.prefix("name", query.NamePrefix)
	return l.page(ctx, r, query.PageRequest)
}

// ActiveExperiments implements store.ExperimentReader.
func (r reader) ActiveExperiments(ctx context.Context) ([]store.Experiment, error) {
	list, err := collect(ctx, r,
		"SELECT "+experimentColumns+", evidence FROM "+experimentTable+" WHERE active = 1 ORDER BY namespace, name", nil, scanWhole)
	if err != nil {
		return nil, fmt.Errorf("read the active experiments: %w", err)
	}
	return list, nil
}

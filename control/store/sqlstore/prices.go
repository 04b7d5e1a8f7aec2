package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/phoenix-platform/phoenix/control/store"
)

const priceColumns = "name, spec, spec_sha256, revision, created_at, created_by, updated_at, updated_by"

func scanPriceModel(row scanner) (store.PriceModel, error) {
	var m store.PriceModel
	err := row.Scan(&m.Name, blobColumn{&m.Spec}, digestColumn{&m.SpecSHA256}, &m.Revision,
		timeColumn{&m.CreatedAt}, &m.CreatedBy, timeColumn{&m.UpdatedAt}, &m.UpdatedBy)
	return m, err
}

// GetPriceModel implements store.PriceModelReader.
func (r reader) GetPriceModel(ctx context.Context, name string) (store.PriceModel, error) {
	if err := store.CheckName("name", name, false); err != nil {
		return store.PriceModel{}, err
	}
	m, err := first(ctx, r, "SELECT "+priceColumns+" FROM price_models WHERE name = $1", []any{name}, scanPriceModel)
	if err != nil {
		return store.PriceModel{}, fmt.Errorf("%s: %w", store.PriceModel{Name: name}.Resource(), err)
	}
	return m, nil
}

// ListPriceModels implements store.PriceModelReader.
func (r reader) ListPriceModels(ctx context.Context, request store.PageRequest) (store.Page[store.PriceModel], error) {
	l := listing[store.PriceModel]{
		table: "price_models", columns: priceColumns, order: []string{"name"}, parts: []part{textPart},
		scan: scanPriceModel, key: func(m store.PriceModel) []any { return []any{m.Name} },
	}
	return l.page(ctx, r, request)
}

// PutPriceModel implements store.PriceModelWriter.
func (t *tx) PutPriceModel(ctx context.Context, u store.PriceModelUpdate, entry store.Entry) (store.PriceModel, error) {
	m := store.PriceModel{Name: u.Name}
	entry = about(entry, m.Resource(), "")
	if err := errors.Join(u.Check(), entry.Check()); err != nil {
		return store.PriceModel{}, err
	}
	old, missing := t.GetPriceModel(ctx, u.Name)
	err := allow(m.Resource(), u.If, old.Revision, missing)
	if err != nil {
		return store.PriceModel{}, err
	}
	var before store.Digest
	m.CreatedAt, m.CreatedBy = t.now, entry.Principal
	if old.Revision != store.Absent {
		m, before = old, old.Digest()
	}
	changed := old.Revision == store.Absent || !bytes.Equal(old.Spec, u.Spec)
	m.Spec, m.SpecSHA256 = blob(u.Spec), store.SumSHA256(u.Spec)
	if changed {
		m.Revision, m.UpdatedAt, m.UpdatedBy = t.nextRevision(), t.now, entry.Principal
		_, err = t.exec(ctx, "INSERT INTO price_models ("+priceColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"+
			" ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, spec_sha256 = excluded.spec_sha256,"+
			" revision = excluded.revision, updated_at = excluded.updated_at, updated_by = excluded.updated_by",
			m.Name, m.Spec, m.SpecSHA256[:], int64(m.Revision), micros(m.CreatedAt), m.CreatedBy, micros(m.UpdatedAt), m.UpdatedBy)
	}
	if err == nil {
		_, err = t.record(ctx, entry, before, m.Digest())
	}
	if err != nil {
		return store.PriceModel{}, fmt.Errorf("put %s: %w", m.Resource(), err)
	}
	return m, nil
}

// DeletePriceModel implements store.PriceModelWriter.
func (t *tx) DeletePriceModel(ctx context.Context, name string, condition store.Revision, entry store.Entry) error {
	resource := store.PriceModel{Name: name}.Resource()
	entry = about(entry, resource, "")
	if err := entry.Check(); err != nil {
		return err
	}
	old, err := t.GetPriceModel(ctx, name)
	if err != nil {
		return err
	}
	if err := allow(resource, condition, old.Revision, nil); err != nil {
		return err
	}
	_, err = t.exec(ctx, "DELETE FROM price_models WHERE name = $1", name)
	if err == nil {
		_, err = t.record(ctx, entry, old.Digest(), store.Digest{})
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", resource, err)
	}
	return nil
}

// nextRevision is the number that the next audit entry will have: it rises, and
// no deletion makes it come again.
func (t *tx) nextRevision() store.Revision {
	return store.Revision(t.head.chain.Seq + 1) //nolint:gosec // far below
}

// allow says why a write must not be done on something whose reading gave this
// revision or error.
func allow(resource string, condition, present store.Revision, err error) error {
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	case err != nil && condition > store.Absent:
		return err
	case condition == store.Absent && present != store.Absent:
		return fmt.Errorf("%s: %w", resource, store.ErrExists)
	case condition > store.Absent && condition != present:
		return &store.ConflictError{Resource: resource, Present: present}
	}
	return nil
}

package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/phoenix-platform/phoenix/control/store"
)

const factColumns = "fact_key, value, revision, updated_at, updated_by"

func scanFact(row scanner) (store.Fact, error) {
	var f store.Fact
	err := row.Scan(&f.Key, blobColumn{&f.Value}, &f.Revision, timeColumn{&f.UpdatedAt}, &f.UpdatedBy)
	return f, err
}

// GetFact implements store.FactReader.
func (r reader) GetFact(ctx context.Context, key string) (store.Fact, error) {
	if err := store.CheckName("key", key, true); err != nil {
		return store.Fact{}, err
	}
	f, err := first(ctx, r, "SELECT "+factColumns+" FROM facts WHERE fact_key = $1", []any{key}, scanFact)
	if err != nil {
		return store.Fact{}, fmt.Errorf("%s: %w", store.Fact{Key: key}.Resource(), err)
	}
	return f, nil
}

// ListFacts implements store.FactReader.
func (r reader) ListFacts(ctx context.Context, prefix string, request store.PageRequest) (store.Page[store.Fact], error) {
	if err := checkFilters(prefix); err != nil {
		return store.Page[store.Fact]{}, err
	}
	l := listing[store.Fact]{
		table: "facts", columns: factColumns, order: []string{"fact_key"}, parts: []part{textPart},
		scan: scanFact, key: func(f store.Fact) []any { return []any{f.Key} },
	}
	l.where.prefix("fact_key", prefix)
	return l.page(ctx, r, request)
}

// PutFact implements store.FactWriter.
func (t *tx) PutFact(ctx context.Context, u store.FactUpdate, entry store.Entry) (store.Fact, error) {
	f := store.Fact{Key: u.Key}
	entry = about(entry, f.Resource(), "")
	if err := errors.Join(u.Check(), entry.Check()); err != nil {
		return store.Fact{}, err
	}
	old, missing := t.GetFact(ctx, u.Key)
	err := allow(f.Resource(), u.If, old.Revision, missing)
	if err != nil {
		return store.Fact{}, err
	}
	var before store.Digest
	if old.Revision != store.Absent {
		f, before = old, old.Digest()
	}
	changed := old.Revision == store.Absent || !bytes.Equal(old.Value, u.Value)
	f.Value = blob(u.Value)
	if changed {
		f.Revision, f.UpdatedAt, f.UpdatedBy = t.nextRevision(), t.now, entry.Principal
		_, err = t.exec(ctx, "INSERT INTO facts ("+factColumns+") VALUES ($1, $2, $3, $4, $5)"+
			" ON CONFLICT (fact_key) DO UPDATE SET value = excluded.value, revision = excluded.revision,"+
			" updated_at = excluded.updated_at, updated_by = excluded.updated_by",
			f.Key, f.Value, int64(f.Revision), micros(f.UpdatedAt), f.UpdatedBy)
	}
	if err == nil {
		_, err = t.record(ctx, entry, before, f.Digest())
	}
	if err != nil {
		return store.Fact{}, fmt.Errorf("put %s: %w", f.Resource(), err)
	}
	return f, nil
}

// DeleteFact implements store.FactWriter.
func (t *tx) DeleteFact(ctx context.Context, key string, condition store.Revision, entry store.Entry) error {
	resource := store.Fact{Key: key}.Resource()
	entry = about(entry, resource, "")
	if err := entry.Check(); err != nil {
		return err
	}
	old, err := t.GetFact(ctx, key)
	if err != nil {
		return err
	}
	if err := allow(resource, condition, old.Revision, nil); err != nil {
		return err
	}
	_, err = t.exec(ctx, "DELETE FROM facts WHERE fact_key = $1", key)
	if err == nil {
		_, err = t.record(ctx, entry, old.Digest(), store.Digest{})
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", resource, err)
	}
	return nil
}

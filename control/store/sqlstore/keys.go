package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/phoenix-platform/phoenix/control/store"
)

const keyColumns = "id, hash, name, scopes, namespaces, created_at, created_by, expires_at, revoked_at, revoked_by, last_used_at"

func scanKey(row scanner) (store.APIKey, error) {
	var k store.APIKey
	err := row.Scan(&k.ID, digestColumn{&k.Hash}, &k.Name, listColumn{&k.Scopes}, listColumn{&k.Namespaces},
		timeColumn{&k.CreatedAt}, &k.CreatedBy, timeColumn{&k.ExpiresAt}, timeColumn{&k.RevokedAt}, &k.RevokedBy, timeColumn{&k.LastUsedAt})
	return k, err
}

// listColumn reads a list of strings, which is JSON; no list is empty text.
type listColumn struct{ list *[]string }

// Scan implements sql.Scanner.
func (c listColumn) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("%w: a list of type %T", store.ErrCorrupt, value)
	}
	*c.list = nil
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), c.list); err != nil {
		return fmt.Errorf("%w: a list: %w", store.ErrCorrupt, err)
	}
	return nil
}

func listText(list []string) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("encode a list: %w", err)
	}
	return string(text), nil
}

// GetAPIKey implements store.APIKeyReader.
func (r reader) GetAPIKey(ctx context.Context, id string) (store.APIKey, error) {
	if err := store.CheckName("id", id, false); err != nil {
		return store.APIKey{}, err
	}
	k, err := first(ctx, r, "SELECT "+keyColumns+" FROM api_keys WHERE id = $1", []any{id}, scanKey)
	if err != nil {
		return store.APIKey{}, fmt.Errorf("%s: %w", store.APIKey{ID: id}.Resource(), err)
	}
	return k, nil
}

// FindAPIKey implements store.APIKeyReader.
func (r reader) FindAPIKey(ctx context.Context, hash store.Digest) (store.APIKey, error) {
	k, err := first(ctx, r, "SELECT "+keyColumns+" FROM api_keys WHERE hash = $1", []any{hash[:]}, scanKey)
	if err != nil {
		return store.APIKey{}, fmt.Errorf("an API key of this hash: %w", err)
	}
	return k, nil
}

// ListAPIKeys implements store.APIKeyReader.
func (r reader) ListAPIKeys(ctx context.Context, request store.PageRequest) (store.Page[store.APIKey], error) {
	l := listing[store.APIKey]{
		table: "api_keys", columns: keyColumns, order: []string{"id"}, parts: []part{textPart},
		scan: scanKey, key: func(k store.APIKey) []any { return []any{k.ID} },
	}
	return l.page(ctx, r, request)
}

// CreateAPIKey implements store.APIKeyWriter.
func (t *tx) CreateAPIKey(ctx context.Context, n store.NewAPIKey, entry store.Entry) (store.APIKey, error) {
	k := store.APIKey{
		ID: n.ID, Name: n.Name, Hash: n.Hash, CreatedAt: t.now, CreatedBy: entry.Principal,
		ExpiresAt: n.ExpiresAt.UTC().Truncate(time.Microsecond),
	}
	if len(n.Scopes) > 0 {
		k.Scopes = slices.Clone(n.Scopes)
	}
	if len(n.Namespaces) > 0 {
		k.Namespaces = slices.Clone(n.Namespaces)
	}
	entry = about(entry, k.Resource(), "")
	if err := errors.Join(n.Check(), entry.Check()); err != nil {
		return store.APIKey{}, err
	}
	switch _, err := first(ctx, t.reader, "SELECT "+keyColumns+" FROM api_keys WHERE id = $1 OR hash = $2", []any{k.ID, k.Hash[:]}, scanKey); {
	case err == nil:
		return store.APIKey{}, fmt.Errorf("%s: its id or its secret %w", k.Resource(), store.ErrExists)
	case !errors.Is(err, store.ErrNotFound):
		return store.APIKey{}, err
	}
	err := t.saveKey(ctx, k)
	if err == nil {
		_, err = t.record(ctx, entry, store.Digest{}, k.Digest())
	}
	if err != nil {
		return store.APIKey{}, fmt.Errorf("create %s: %w", k.Resource(), err)
	}
	return k, nil
}

func (t *tx) saveKey(ctx context.Context, k store.APIKey) error {
	scopes, err := listText(k.Scopes)
	if err != nil {
		return err
	}
	namespaces, err := listText(k.Namespaces)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "INSERT INTO api_keys ("+keyColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
		k.ID, k.Hash[:], k.Name, scopes, namespaces, micros(k.CreatedAt), k.CreatedBy, micros(k.ExpiresAt),
		micros(k.RevokedAt), k.RevokedBy, micros(k.LastUsedAt))
	return err
}

// RevokeAPIKey implements store.APIKeyWriter.
func (t *tx) RevokeAPIKey(ctx context.Context, id string, entry store.Entry) (store.APIKey, error) {
	entry = about(entry, store.APIKey{ID: id}.Resource(), "")
	if err := entry.Check(); err != nil {
		return store.APIKey{}, err
	}
	k, err := t.GetAPIKey(ctx, id)
	if err != nil {
		return store.APIKey{}, err
	}
	before := k.Digest()
	if k.RevokedAt.IsZero() {
		k.RevokedAt, k.RevokedBy = t.now, entry.Principal
		_, err = t.exec(ctx, "UPDATE api_keys SET revoked_at = $1, revoked_by = $2 WHERE id = $3", micros(k.RevokedAt), k.RevokedBy, id)
	}
	if err == nil {
		_, err = t.record(ctx, entry, before, k.Digest())
	}
	if err != nil {
		return store.APIKey{}, fmt.Errorf("revoke %s: %w", k.Resource(), err)
	}
	return k, nil
}

// touchEvery is how coarse the last use of a key is.
const touchEvery = time.Minute

// TouchAPIKey implements store.Recorder. It does not wait for the lock of
// writers, as it changes nothing that they look at.
func (s *Store) TouchAPIKey(ctx context.Context, id string) error {
	now := s.now()
	due := now.Add(-touchEvery).UnixMicro()
	var known int64
	switch err := s.one(ctx, "SELECT 1 FROM api_keys WHERE id = $1 AND last_used_at <= $2", []any{id, due}, &known); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", store.APIKey{ID: id}.Resource(), err)
	}
	w := reader{store: s, q: s.engine.Writer}
	_, err := w.exec(ctx, "UPDATE api_keys SET last_used_at = $1 WHERE id = $2 AND last_used_at <= $3", now.UnixMicro(), id, due)
	if err != nil {
		return fmt.Errorf("%s: %w", store.APIKey{ID: id}.Resource(), err)
	}
	return nil
}

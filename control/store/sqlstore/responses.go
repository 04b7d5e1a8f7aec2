package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/phoenix-platform/phoenix/control/store"
)

const responseColumns = "principal, request_key, request_sha256, status, body, created_at, expires_at"

func scanResponse(row scanner) (store.Response, error) {
	var a store.Response
	err := row.Scan(&a.Principal, &a.Key, digestColumn{&a.Request}, &a.Status, blobColumn{&a.Body}, timeColumn{&a.CreatedAt}, timeColumn{&a.ExpiresAt})
	return a, err
}

// GetResponse implements store.ResponseReader.
func (r reader) GetResponse(ctx context.Context, key store.IdempotencyKey, request store.Digest) (store.Response, error) {
	if err := key.Check(); err != nil {
		return store.Response{}, err
	}
	a, err := first(ctx, r,
		"SELECT "+responseColumns+" FROM responses WHERE principal = $1 AND request_key = $2 AND expires_at > $3",
		[]any{key.Principal, key.Key, r.store.now().UnixMicro()}, scanResponse)
	if err == nil && a.Request != request {
		err = fmt.Errorf("%w: it was used for another request", store.ErrConflict)
	}
	if err != nil {
		return store.Response{}, fmt.Errorf("idempotency key %q: %w", key.Key, err)
	}
	return a, nil
}

// SaveResponse implements store.ResponseWriter.
func (t *tx) SaveResponse(ctx context.Context, a store.Response) error {
	a.CreatedAt = t.now
	if err := a.Check(); err != nil {
		return err
	}
	if !a.ExpiresAt.After(t.now) {
		return &store.InvalidError{Field: "expires_at", Reason: "is past"}
	}
	switch _, err := t.GetResponse(ctx, a.IdempotencyKey, a.Request); {
	case err == nil:
		return fmt.Errorf("idempotency key %q: %w", a.Key, store.ErrExists)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if err := t.saveResponse(ctx, a); err != nil {
		return fmt.Errorf("idempotency key %q: %w", a.Key, err)
	}
	return nil
}

// saveResponse takes the place of an expired one.
func (t *tx) saveResponse(ctx context.Context, a store.Response) error {
	_, err := t.exec(ctx, "INSERT INTO responses ("+responseColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7)"+
		" ON CONFLICT (principal, request_key) DO UPDATE SET request_sha256 = excluded.request_sha256, status = excluded.status,"+
		" body = excluded.body, created_at = excluded.created_at, expires_at = excluded.expires_at",
		a.Principal, a.Key, a.Request[:], int64(a.Status), blob(a.Body), micros(a.CreatedAt), micros(a.ExpiresAt))
	return err
}

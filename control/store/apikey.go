package store

import (
	"context"
	"time"
)

// APIKeyReader reads API keys.
type APIKeyReader interface {
	GetAPIKey(ctx context.Context, id string) (APIKey, error)
	// FindAPIKey returns the key with this hash.
	FindAPIKey(ctx context.Context, hash Digest) (APIKey, error)
	// ListAPIKeys is sorted by id.
	ListAPIKeys(context.Context, PageRequest) (Page[APIKey], error)
}

// APIKeyWriter creates and revokes API keys. They are never deleted, so that the
// audit log does not speak of unknown ones.
type APIKeyWriter interface {
	// CreateAPIKey fails with ErrExists if the id or the hash is there already.
	CreateAPIKey(context.Context, NewAPIKey, Entry) (APIKey, error)
	// RevokeAPIKey ends a key; of one that is revoked already the first
	// revocation stays.
	RevokeAPIKey(ctx context.Context, id string, entry Entry) (APIKey, error)
}

// APIKey is a key without its secret.
type APIKey struct {
	// ID has 1 to 253 bytes and no slash.
	ID string
	// Name is for people.
	Name string
	// Hash is that of the secret; it is the caller's business how it is made.
	Hash Digest
	// Scopes and Namespaces are what the caller gave, in its order; the store
	// attaches no meaning to them.
	Scopes, Namespaces   []string
	CreatedAt, ExpiresAt time.Time
	CreatedBy            string
	RevokedAt            time.Time
	RevokedBy            string
	// LastUsedAt is coarse: to about a minute.
	LastUsedAt time.Time
}

// ActiveAt says whether the key is neither revoked nor expired.
func (k APIKey) ActiveAt(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Resource is how the audit log and errors call the key.
func (k APIKey) Resource() string { return "apiKeys/" + k.ID }

// Digest is the hash by which the audit log knows this state. It says nothing
// about the secret.
func (k APIKey) Digest() Digest {
	return digestOf(object{
		"kind": "api_key", "id": k.ID, "name": k.Name, "scopes": k.Scopes, "namespaces": k.Namespaces,
		"expires_at": canonicalTime(k.ExpiresAt), "revoked": !k.RevokedAt.IsZero(),
	})
}

// NewAPIKey is a key to be created.
type NewAPIKey struct {
	ID, Name           string
	Hash               Digest
	Scopes, Namespaces []string
	// ExpiresAt default: never.
	ExpiresAt time.Time
}

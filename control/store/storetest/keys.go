package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

func (l *lab) createKey(k store.NewAPIKey) (store.APIKey, error) {
	return write(context.Background(), l, func(ctx context.Context, tx store.Tx) (store.APIKey, error) {
		return tx.CreateAPIKey(ctx, k, entry("apiKeys.create"))
	})
}

func (l *lab) revokeKey(id, by string) (store.APIKey, error) {
	return write(context.Background(), l, func(ctx context.Context, tx store.Tx) (store.APIKey, error) {
		return tx.RevokeAPIKey(ctx, id, store.Entry{Principal: by, Action: "apiKeys.revoke"})
	})
}

// secret is the hash of a secret.
var secret = store.SumSHA256([]byte("secret"))

func (e Engine) testAPIKeys(t *testing.T) {
	t.Run("from creation to revocation", e.testKeyLife)
	t.Run("last use is coarse", func(t *testing.T) {
		l := newLab(t, e)
		_, err := l.createKey(store.NewAPIKey{ID: "k1", Hash: secret})
		require.NoError(t, err)
		used := func() time.Time {
			require.NoError(t, l.TouchAPIKey(t.Context(), "k1"))
			k, err := l.GetAPIKey(t.Context(), "k1")
			require.NoError(t, err)
			return k.LastUsedAt
		}
		assert.Equal(t, Start, used())
		l.clock.Advance(59 * time.Second)
		assert.Equal(t, Start, used())
		l.clock.Advance(time.Second)
		assert.Equal(t, Start.Add(time.Minute), used())
		require.NoError(t, l.TouchAPIKey(t.Context(), "unknown"))
		require.Len(t, l.log(t), 1)
	})
	t.Run("listed", func(t *testing.T) {
		l := newLab(t, e)
		for i := range 15 {
			_, err := l.createKey(store.NewAPIKey{ID: fmt.Sprintf("k%02d", i), Hash: store.SumSHA256([]byte{byte(i)})})
			require.NoError(t, err)
		}
		all := everything(t, func(request store.PageRequest) (store.Page[store.APIKey], error) {
			return l.ListAPIKeys(t.Context(), request)
		})
		require.Len(t, all, 15)
		assert.Equal(t, "k14", all[14].ID)
		assert.Nil(t, all[14].Scopes)
		assert.True(t, all[14].ExpiresAt.IsZero())
	})
}

func (e Engine) testKeyLife(t *testing.T) {
	l := newLab(t, e)
	want := store.APIKey{
		ID: "k1", Name: "the CI", Hash: secret, Scopes: []string{"policies:read", "b", "a"}, Namespaces: []string{"shop", "*"},
		CreatedAt: Start, CreatedBy: "ada", ExpiresAt: Start.Add(time.Hour),
	}
	k, err := l.createKey(store.NewAPIKey{
		ID: "k1", Name: "the CI", Hash: secret, Scopes: want.Scopes, Namespaces: want.Namespaces, ExpiresAt: want.ExpiresAt,
	})
	require.NoError(t, err)
	assert.Equal(t, want, k)
	k, err = l.GetAPIKey(t.Context(), "k1")
	require.NoError(t, err)
	assert.Equal(t, want, k)
	k, err = l.FindAPIKey(t.Context(), secret)
	require.NoError(t, err)
	assert.Equal(t, want, k)
	assert.True(t, k.ActiveAt(Start))
	assert.False(t, k.ActiveAt(Start.Add(time.Hour)))
	_, err = l.FindAPIKey(t.Context(), store.SumSHA256(nil))
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = l.createKey(store.NewAPIKey{ID: "k1", Hash: store.SumSHA256([]byte("another"))})
	require.ErrorIs(t, err, store.ErrExists)
	_, err = l.createKey(store.NewAPIKey{ID: "k2", Hash: secret})
	require.ErrorIs(t, err, store.ErrExists)
	l.clock.Advance(time.Minute)
	revoked, err := l.revokeKey("k1", "bob")
	require.NoError(t, err)
	want.RevokedAt, want.RevokedBy = Start.Add(time.Minute), "bob"
	assert.Equal(t, want, revoked)
	assert.False(t, revoked.ActiveAt(Start))
	again, err := l.revokeKey("k1", "eve")
	require.NoError(t, err)
	assert.Equal(t, want, again, "the first revocation stays")
	_, err = l.revokeKey("k9", "eve")
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Len(t, l.log(t), 3)
}

func (e Engine) testResponses(t *testing.T) {
	l := newLab(t, e)
	k := store.IdempotencyKey{Principal: "ada", Key: "7a1"}
	request, other := store.SumSHA256([]byte("a body")), store.SumSHA256([]byte("another body"))
	save := func(r store.Response) error {
		return l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error { return tx.SaveResponse(ctx, r) })
	}
	_, err := l.GetResponse(t.Context(), k, request)
	require.ErrorIs(t, err, store.ErrNotFound)
	answer := store.Response{IdempotencyKey: k, Request: request, Status: 201, Body: []byte("{}"), ExpiresAt: Start.Add(time.Hour)}
	require.NoError(t, save(answer))
	answer.CreatedAt = Start
	read, err := l.GetResponse(t.Context(), k, request)
	require.NoError(t, err)
	assert.Equal(t, answer, read)
	_, err = l.GetResponse(t.Context(), k, other)
	require.ErrorIs(t, err, store.ErrConflict, "a replay with another body")
	_, err = l.GetResponse(t.Context(), store.IdempotencyKey{Principal: "bob", Key: "7a1"}, other)
	require.ErrorIs(t, err, store.ErrNotFound, "keys of others are others")
	require.ErrorIs(t, save(answer), store.ErrExists)
	changed := answer
	changed.Request = other
	require.ErrorIs(t, save(changed), store.ErrConflict)
	l.clock.Advance(time.Hour)
	_, err = l.GetResponse(t.Context(), k, request)
	require.ErrorIs(t, err, store.ErrNotFound, "it expired")
	require.ErrorIs(t, save(answer), store.ErrInvalid, "it would expire at once")
	changed.ExpiresAt = Start.Add(2 * time.Hour)
	require.NoError(t, save(changed), "the key is free again")
	read, err = l.GetResponse(t.Context(), k, other)
	require.NoError(t, err)
	assert.Equal(t, Start.Add(time.Hour), read.CreatedAt)
	require.Empty(t, l.log(t))
}

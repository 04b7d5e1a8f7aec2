package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Bounds of Keys.
const (
	// keysFresh is how long a key is remembered before the store is asked again:
	// so long another replica may take to notice that a key was revoked. This one
	// notices at once.
	keysFresh = 5 * time.Second
	// keysHeld is how long a key that was read is good while the store does not
	// answer within keyTime: the kill switch is for such times, too. A key that
	// another replica revoked just before may so be good for longer; all that it
	// can do without the store is to look, and to turn the kill switch.
	keysHeld, keyTime = time.Hour, 250 * time.Millisecond
	// keysKept bounds the keys that are remembered.
	keysKept = 4096
	// touchesWaiting bounds the keys whose last use is to be stored. Beyond it
	// one is not stored; the next use tries again.
	touchesWaiting = 256
	// touchTime bounds how long storing one may take.
	touchTime = 5 * time.Second
)

// Keys looks up API keys in the store and remembers them for a moment. It
// implements access.KeySource.
type Keys struct {
	store  store.Store
	now    func() time.Time
	logger *zap.Logger

	mu    sync.Mutex
	known *lru.Cache[string, *knownKey]
	// ended rises when a key is revoked: what was read from the store before that
	// is not remembered after it.
	ended uint64

	touches chan string
}

// knownKey is a key as it was read.
type knownKey struct {
	record access.KeyRecord
	readAt time.Time
	// touched is the last use that was stored or is waiting to be.
	touched time.Time
}

var _ access.KeySource = (*Keys)(nil)

// NewKeys returns the API keys of a store. Run stores when they were last used.
func NewKeys(s store.Store, now func() time.Time, logger *zap.Logger) (*Keys, error) {
	known, err := lru.New[string, *knownKey](keysKept)
	if err != nil {
		return nil, fmt.Errorf("remember API keys: %w", err)
	}
	return &Keys{store: s, now: now, logger: logger, known: known, touches: make(chan string, touchesWaiting)}, nil
}

// FindKey implements access.KeySource.
func (k *Keys) FindKey(ctx context.Context, id string) (access.KeyRecord, error) {
	now := k.now()
	k.mu.Lock()
	known, there := k.known.Get(id)
	if there && now.Sub(known.readAt) < keysFresh && !now.Before(known.readAt) {
		defer k.mu.Unlock()
		return known.record, nil
	}
	ended := k.ended
	k.mu.Unlock()

	held := there && now.Sub(known.readAt) < keysHeld
	stored, err := k.read(ctx, id, held)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid): // of such an id there can be none
		return access.KeyRecord{}, access.ErrUnknownKey
	case err != nil && held && k.remembered(id):
		return known.record, nil
	case err != nil:
		return access.KeyRecord{}, err
	}
	record := k.record(stored)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended == ended {
		fresh := &knownKey{record: record, readAt: now, touched: record.LastUsedAt}
		if there && known.touched.After(fresh.touched) {
			fresh.touched = known.touched
		}
		k.known.Add(id, fresh)
	}
	return record, nil
}

// read asks the store for a key, not for long if there is another way.
func (k *Keys) read(ctx context.Context, id string, briefly bool) (store.APIKey, error) {
	if briefly {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, keyTime)
		defer cancel()
	}
	return k.store.GetAPIKey(ctx, id)
}

// remembered says whether a key was not revoked meanwhile.
func (k *Keys) remembered(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known.Contains(id)
}

// record makes what access knows of what the store has. A grant that this
// version does not understand gives nothing.
func (k *Keys) record(stored store.APIKey) access.KeyRecord {
	return access.KeyRecord{
		ID: stored.ID, Name: stored.Name, Hash: access.HashOf(stored.Hash), Grants: k.grants(stored),
		CreatedAt: stored.CreatedAt, ExpiresAt: stored.ExpiresAt, RevokedAt: stored.RevokedAt, LastUsedAt: stored.LastUsedAt,
	}
}

func (k *Keys) grants(stored store.APIKey) access.Grants {
	grants := make(access.Grants, 0, len(stored.Scopes))
	for _, text := range stored.Scopes {
		g, err := access.ParseGrant(text)
		if err != nil {
			k.logger.Warn("An API key holds a grant that is not understood, and that gives nothing; create the key again",
				zap.String("key", stored.ID), zap.Error(err))
			continue
		}
		grants = append(grants, g)
	}
	return grants
}

// Forget lets go of a key that was changed.
func (k *Keys) Forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended++
	k.known.Remove(id)
}

// Active says whether somebody is still who they were recognised as: an API key
// may have ended since. While the store does not answer, they are.
func (k *Keys) Active(ctx context.Context, p access.Principal) error {
	if p.Kind != access.KindAPIKey {
		return nil
	}
	record, err := k.FindKey(ctx, p.ID)
	if err != nil && !errors.Is(err, access.ErrUnknownKey) {
		return nil
	}
	now := k.now()
	expired := !record.ExpiresAt.IsZero() && !now.Before(record.ExpiresAt)
	if err != nil || expired || !record.RevokedAt.IsZero() {
		return &access.Refusal{
			Kind: access.ErrUnauthenticated, Caller: "the API key " + p.ID + " ended: create a new one", Audit: "the API key ended",
		}
	}
	return nil
}

// Touch notes that a key was used. It does not wait.
func (k *Keys) Touch(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, there := k.known.Peek(id)
	if !there {
		return // it ended, or was pushed out: the next use tells
	}
	at, changed := access.LastUse(known.touched, k.now())
	if !changed {
		return
	}
	select {
	case k.touches <- id:
		known.touched = at
	default: // the store is slow
	}
}

// Run stores when keys were last used, until ctx ends.
func (k *Keys) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-k.touches:
			k.touch(ctx, id)
		}
	}
}

func (k *Keys) touch(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, touchTime)
	defer cancel()
	if err := k.store.TouchAPIKey(ctx, id); err != nil && ctx.Err() == nil {
		k.logger.Debug("The last use of an API key could not be stored", zap.String("key", id), zap.Error(err))
	}
}

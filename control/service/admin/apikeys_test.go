package admin_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/admin"
	"github.com/phoenix-platform/phoenix/control/store"
)

func (r *rig) create(ctx context.Context, t *testing.T, name string, grants ...string) *phoenixv1.CreateAPIKeyResponse {
	t.Helper()
	answer, err := r.APIKeys.CreateAPIKey(ctx, &phoenixv1.CreateAPIKeyRequest{Name: name, Grants: grants})
	require.NoError(t, err)
	return answer
}

func (r *rig) identify(ctx context.Context, secret string) (access.Principal, error) {
	return r.core.Guard.Identify(ctx, access.Credentials{Key: secret}, access.ExposureAuthenticated, r.keys, r.clock.Now())
}

func TestAKeyIsShownOnceAndWorks(t *testing.T) {
	r := newRig(t, "")
	created := r.create(as(t, "root"), t, "ci", "editor:shop", "viewer:*")
	assert.Regexp(t, "^"+access.KeyPattern+"$", created.GetSecret())
	key := created.GetApiKey()
	assert.Equal(t, "ci", key.GetName())
	assert.Equal(t, []string{"editor:shop", "viewer:*"}, key.GetGrants())
	assert.Equal(t, "certificate:root", key.GetCreatedBy())
	assert.Equal(t, "active", key.GetState())
	assert.Equal(t, r.clock.Now().Add(2160*time.Hour), key.GetExpiresAt().AsTime())
	assert.Nil(t, key.GetRevokedAt())

	who, err := r.identify(t.Context(), created.GetSecret())
	require.NoError(t, err)
	assert.Equal(t, "api_key:"+key.GetId(), who.Name())
	assert.True(t, r.core.Guard.Authorize(who, access.Update, access.Policies, "shop").Allowed())
	assert.False(t, r.core.Guard.Authorize(who, access.Update, access.Policies, "bank").Allowed())

	got, err := r.APIKeys.GetAPIKey(as(t, "root"), &phoenixv1.GetAPIKeyRequest{Id: key.GetId()})
	require.NoError(t, err)
	assert.Equal(t, key.String(), got.String())
	assert.Equal(t, []string{"certificate:root apiKeys.create done"}, r.audited(t))

	require.NoError(t, r.store.Close())
	secret := created.GetSecret()
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(r.path + suffix)
		if err == nil {
			assert.NotContains(t, string(content), secret[strings.LastIndex(secret, "_")+1:])
		}
	}
}

func TestARepeatedCreationShowsNoSecret(t *testing.T) {
	r := newRig(t, "")
	first := r.create(as(t, "root", idempotent), t, "ci", "viewer:*")
	again := r.create(as(t, "root", idempotent), t, "ci", "viewer:*")
	assert.Equal(t, first.GetApiKey().String(), again.GetApiKey().String())
	assert.NotEmpty(t, first.GetSecret())
	assert.Empty(t, again.GetSecret())
	_, err := r.APIKeys.CreateAPIKey(as(t, "root", idempotent), &phoenixv1.CreateAPIKeyRequest{Name: "other", Grants: []string{"viewer:*"}})
	refused(t, err, fault.KeyReused)
	other := r.create(as(t, "shop-admin", idempotent), t, "ci", "viewer:shop")
	assert.NotEqual(t, first.GetApiKey().GetId(), other.GetApiKey().GetId(), "each principal has keys of its own")
	assert.Equal(t, uint64(2), r.core.Events.Published())
	assert.Len(t, r.audited(t), 2)
}

func TestNobodyHandsOutWhatTheyDoNotHold(t *testing.T) {
	r := newRig(t, "")
	f := func(who string, want fault.Reason, grants ...string) {
		t.Helper()
		_, err := r.APIKeys.CreateAPIKey(as(t, who), &phoenixv1.CreateAPIKeyRequest{Name: "x", Grants: grants})
		refused(t, err, want)
		assert.Contains(t, r.audited(t)[0], "certificate:"+who+" apiKeys.create refused")
	}
	f("shop-admin", fault.Forbidden, "viewer:bank")
	f("shop-admin", fault.Forbidden, "viewer:shop", "viewer:*")
	f("shop-admin", fault.Forbidden, "admin:*")
	f("operator", fault.Forbidden, "viewer:shop")
	f("viewer", fault.Forbidden, "viewer:*")
	f("nobody-knows", fault.Forbidden, "viewer:*")
	list, err := r.APIKeys.ListAPIKeys(as(t, "root"), &phoenixv1.ListAPIKeysRequest{})
	require.NoError(t, err)
	assert.Empty(t, list.GetApiKeys())
	r.create(as(t, "shop-admin"), t, "x", "admin:shop")
}

func TestAKeyOfOthersIsLikeNone(t *testing.T) {
	r := newRig(t, "")
	bank := r.create(as(t, "root"), t, "bank", "viewer:bank").GetApiKey().GetId()
	wide := r.create(as(t, "root"), t, "wide", "viewer:shop", "viewer:*").GetApiKey().GetId()
	get := func(who, id string) error {
		_, err := r.APIKeys.GetAPIKey(as(t, who), &phoenixv1.GetAPIKeyRequest{Id: id})
		return err
	}
	revoke := func(who, id string) error {
		_, err := r.APIKeys.RevokeAPIKey(as(t, who), &phoenixv1.RevokeAPIKeyRequest{Id: id})
		return err
	}
	none := get("shop-admin", "000000000000")
	for _, id := range []string{bank, wide, "", "a/b", "\xff", strings.Repeat("x", 1000)} {
		refused(t, get("shop-admin", id), fault.NotFound)
		require.EqualError(t, get("shop-admin", id), none.Error())
		require.EqualError(t, revoke("shop-admin", id), none.Error())
	}
	// Whoever administers nothing does not learn which there are either.
	for _, id := range []string{bank, "000000000000"} {
		refused(t, get("operator", id), fault.Forbidden)
		refused(t, revoke("viewer", id), fault.Forbidden)
	}
	key, err := r.APIKeys.GetAPIKey(as(t, "root"), &phoenixv1.GetAPIKeyRequest{Id: bank})
	require.NoError(t, err)
	assert.Equal(t, "active", key.GetState())
	assert.Contains(t, r.audited(t), "certificate:shop-admin apiKeys.revoke refused")
	assert.Contains(t, r.audited(t), "certificate:operator apiKeys.get refused")
}

func TestListsShowWhatOneMaySee(t *testing.T) {
	r := newRig(t, "")
	var all, shop []string
	for i := range 40 {
		namespace := "bank"
		if i%3 == 0 {
			namespace = "shop"
		}
		id := r.create(as(t, "root"), t, fmt.Sprint("key ", i), "viewer:"+namespace).GetApiKey().GetId()
		all = append(all, id)
		if namespace == "shop" {
			shop = append(shop, id)
		}
	}
	slices.Sort(all)
	slices.Sort(shop)
	collect := func(who string, size uint32) []string {
		t.Helper()
		var ids []string
		for token := ""; ; {
			page, err := r.APIKeys.ListAPIKeys(as(t, who), &phoenixv1.ListAPIKeysRequest{PageSize: size, PageToken: token})
			require.NoError(t, err)
			assert.LessOrEqual(t, len(page.GetApiKeys()), int(size))
			for _, k := range page.GetApiKeys() {
				ids = append(ids, k.GetId())
			}
			if token = page.GetNextPageToken(); token == "" {
				return ids
			}
		}
	}
	for _, size := range []uint32{1, 3, 7, 13, 14, 40, 1000} {
		assert.Equal(t, all, collect("root", size), size)
		assert.Equal(t, shop, collect("shop-admin", size), size)
	}
	_, err := r.APIKeys.ListAPIKeys(as(t, "operator"), &phoenixv1.ListAPIKeysRequest{})
	refused(t, err, fault.Forbidden)
	_, err = r.APIKeys.ListAPIKeys(as(t, "root"), &phoenixv1.ListAPIKeysRequest{PageSize: 1001})
	violation(t, err, "page_size")
	_, err = r.APIKeys.ListAPIKeys(as(t, "root"), &phoenixv1.ListAPIKeysRequest{PageToken: "nonsense"})
	violation(t, err, "page_token")
}

func TestARevokedKeyEndsAtOnce(t *testing.T) {
	r := newRig(t, "")
	created := r.create(as(t, "root"), t, "ci", "viewer:shop")
	id := created.GetApiKey().GetId()
	_, err := r.identify(t.Context(), created.GetSecret())
	require.NoError(t, err, "from here on it is remembered")
	watch, err := r.core.Events.Subscribe(nil)
	require.NoError(t, err)
	defer watch.Close()

	revoked, err := r.APIKeys.RevokeAPIKey(as(t, "shop-admin"), &phoenixv1.RevokeAPIKeyRequest{Id: id})
	require.NoError(t, err)
	assert.Equal(t, "revoked", revoked.GetState())
	assert.Equal(t, "certificate:shop-admin", revoked.GetRevokedBy())
	_, err = r.identify(t.Context(), created.GetSecret())
	require.ErrorIs(t, err, access.ErrUnauthenticated)
	require.ErrorContains(t, err, "was revoked")

	event, err := watch.Next(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "api_key.revoked", event.Type)
	assert.Equal(t, "shop", event.Namespace)
	assert.Equal(t, "apiKeys/"+id, event.Resource)
	again, err := r.APIKeys.RevokeAPIKey(as(t, "root"), &phoenixv1.RevokeAPIKeyRequest{Id: id})
	require.NoError(t, err)
	assert.Equal(t, revoked.String(), again.String(), "the first revocation stays")
	assert.Equal(t, uint64(2), r.core.Events.Published())
}

func TestAnotherReplicasRevocationIsNoticed(t *testing.T) {
	r := newRig(t, "")
	created := r.create(as(t, "root"), t, "ci", "viewer:shop")
	_, err := r.identify(t.Context(), created.GetSecret())
	require.NoError(t, err)
	here := r.keys
	r.open(t, "") // another process on the same store
	_, err = r.APIKeys.RevokeAPIKey(as(t, "root"), &phoenixv1.RevokeAPIKeyRequest{Id: created.GetApiKey().GetId()})
	require.NoError(t, err)
	r.keys = here
	r.clock.forward(5 * time.Second)
	_, err = r.identify(t.Context(), created.GetSecret())
	require.ErrorIs(t, err, access.ErrUnauthenticated)
}

func TestAKeyExpires(t *testing.T) {
	r := newRig(t, "")
	created, err := r.APIKeys.CreateAPIKey(as(t, "root"), &phoenixv1.CreateAPIKeyRequest{Name: "short", Grants: []string{"viewer:*"}, Lifetime: "90m"})
	require.NoError(t, err)
	r.clock.forward(90*time.Minute - time.Second)
	_, err = r.identify(t.Context(), created.GetSecret())
	require.NoError(t, err)
	r.clock.forward(time.Second)
	_, err = r.identify(t.Context(), created.GetSecret())
	require.ErrorContains(t, err, "expired")
	got, err := r.APIKeys.GetAPIKey(as(t, "root"), &phoenixv1.GetAPIKeyRequest{Id: created.GetApiKey().GetId()})
	require.NoError(t, err)
	assert.Equal(t, "expired", got.GetState())
}

func TestMistakesOfAKeyAreAllNamed(t *testing.T) {
	r := newRig(t, "")
	f := func(req *phoenixv1.CreateAPIKeyRequest, fields ...string) {
		t.Helper()
		_, err := r.APIKeys.CreateAPIKey(as(t, "root"), req)
		violation(t, err, fields...)
	}
	f(&phoenixv1.CreateAPIKeyRequest{}, "name", "grants")
	f(&phoenixv1.CreateAPIKeyRequest{Name: "x", Grants: []string{"viewer:*", "king:*", "viewer"}, Lifetime: "soon"}, "grants[1]", "grants[2]", "lifetime")
	f(&phoenixv1.CreateAPIKeyRequest{Name: "x", Grants: []string{"viewer:*"}, Lifetime: "-1h"}, "lifetime")
	f(&phoenixv1.CreateAPIKeyRequest{Name: "x", Grants: []string{"viewer:*"}, Lifetime: "0s"}, "lifetime")
	f(&phoenixv1.CreateAPIKeyRequest{Name: "x", Grants: []string{"viewer:*"}, Lifetime: "9000h"}, "lifetime")
	f(&phoenixv1.CreateAPIKeyRequest{Name: "x", Grants: []string{"viewer:*"}, Unending: true}, "lifetime")
	f(&phoenixv1.CreateAPIKeyRequest{Name: strings.Repeat("x", 129), Grants: []string{"viewer:*"}}, "name")
	f(&phoenixv1.CreateAPIKeyRequest{Name: "x\n", Grants: []string{"viewer:*"}}, "name")
	f(&phoenixv1.CreateAPIKeyRequest{Name: "x", Grants: slices.Repeat([]string{"viewer:*"}, 129)}, "grants")
	assert.Empty(t, r.audited(t))
}

func TestTheLastUseIsStoredOnceAMinute(t *testing.T) {
	r := newRig(t, "")
	created := r.create(as(t, "root"), t, "ci", "viewer:*")
	id := created.GetApiKey().GetId()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		r.keys.Run(ctx)
	}()
	lastUse := func() time.Time {
		key, err := r.store.GetAPIKey(t.Context(), id)
		require.NoError(t, err)
		return key.LastUsedAt
	}
	use := func() {
		_, err := r.identify(t.Context(), created.GetSecret())
		require.NoError(t, err)
		r.keys.Touch(id)
	}
	r.keys.Touch("unknown")
	use()
	require.Eventually(t, func() bool { return !lastUse().IsZero() }, 10*time.Second, 5*time.Millisecond)
	first := lastUse()
	r.clock.forward(2 * time.Minute)
	use()
	require.Eventually(t, func() bool { return lastUse().After(first) }, 10*time.Second, 5*time.Millisecond)
	cancel()
	<-ran
	for range 100_000 {
		r.keys.Touch(id) // nobody stores it, nobody waits
	}
}

func TestWithoutTheStoreKeysAreNotKnown(t *testing.T) {
	r := newRig(t, "")
	created := r.create(as(t, "root"), t, "ci", "viewer:*")
	_, err := r.identify(t.Context(), created.GetSecret())
	require.NoError(t, err)
	require.NoError(t, r.store.Close())
	_, err = r.identify(t.Context(), created.GetSecret())
	require.NoError(t, err, "it is remembered for a moment")
	r.clock.forward(time.Minute)
	_, err = r.identify(t.Context(), created.GetSecret())
	require.NoError(t, err, "and longer while the store does not answer: the kill switch is for such times")
	_, err = r.identify(t.Context(), access.NewKey().Reveal())
	require.Error(t, err, "one that was never read is not known")
	r.clock.forward(time.Hour)
	_, err = r.identify(t.Context(), created.GetSecret())
	require.Error(t, err)
	require.NotErrorIs(t, err, access.ErrUnauthenticated, "nobody is sent away as a stranger because the store is gone")
	_, err = r.APIKeys.ListAPIKeys(as(t, "root"), &phoenixv1.ListAPIKeysRequest{})
	refused(t, err, fault.Unavailable)
	_, err = r.APIKeys.RevokeAPIKey(as(t, "root"), &phoenixv1.RevokeAPIKeyRequest{Id: created.GetApiKey().GetId()})
	refused(t, err, fault.Unavailable)
}

// slowStore reads a key, and answers later.
type slowStore struct {
	store.Store
	read, answer chan struct{}
}

func (s *slowStore) GetAPIKey(ctx context.Context, id string) (store.APIKey, error) {
	key, err := s.Store.GetAPIKey(ctx, id)
	s.read <- struct{}{}
	<-s.answer
	return key, err
}

// TestAKeyThatWasReadBeforeItsRevocationIsNotRemembered: a request that looked
// the key up at the same time must not bring it back.
func TestAKeyThatWasReadBeforeItsRevocationIsNotRemembered(t *testing.T) {
	r := newRig(t, "")
	id := r.create(as(t, "root"), t, "ci", "viewer:*").GetApiKey().GetId()
	slow := &slowStore{Store: r.store, read: make(chan struct{}), answer: make(chan struct{})}
	keys, err := admin.NewKeys(slow, r.clock.Now, r.core.Logger)
	require.NoError(t, err)
	find := func() chan access.KeyRecord {
		found := make(chan access.KeyRecord, 1)
		go func() {
			record, err := keys.FindKey(t.Context(), id)
			if err != nil {
				t.Error(err)
			}
			found <- record
		}()
		<-slow.read
		return found
	}
	early := find()
	_, err = r.APIKeys.RevokeAPIKey(as(t, "root"), &phoenixv1.RevokeAPIKeyRequest{Id: id})
	require.NoError(t, err)
	keys.Forget(id)
	close(slow.answer)
	assert.Zero(t, (<-early).RevokedAt)
	assert.NotZero(t, (<-find()).RevokedAt)
}

package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// apiKeys implements the service APIKeys.
type apiKeys struct {
	phoenixv1.UnimplementedAPIKeysServer
	core   *service.Core
	config access.APIKeysConfig
	keys   *Keys
}

// ListAPIKeys lists the keys of which the caller may see every grant.
func (a *apiKeys) ListAPIKeys(ctx context.Context, req *phoenixv1.ListAPIKeysRequest) (*phoenixv1.ListAPIKeysResponse, error) {
	if err := a.core.Authorize(ctx, access.List, access.APIKeys, ""); err != nil {
		return nil, err
	}
	request, err := page(req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	want, err := request.Limit()
	if err != nil {
		return nil, service.Fault(err)
	}
	answer := &phoenixv1.ListAPIKeysResponse{}
	who, now := call.From(ctx).Principal, a.core.Now()
	for {
		// No more than are still wanted are read, so that the token of the last page
		// stands behind a key that the caller may see.
		request.Size = want - len(answer.GetApiKeys())
		list, err := a.core.Store.ListAPIKeys(ctx, request)
		if err != nil {
			return nil, service.Fault(err)
		}
		for _, key := range list.Items {
			if a.core.Guard.AuthorizeGrants(who, access.List, a.keys.grants(key)).Allowed() {
				answer.ApiKeys = append(answer.ApiKeys, wireKey(key, now))
			}
		}
		if list.Next == "" {
			return answer, nil
		}
		if len(answer.GetApiKeys()) == want {
			answer.NextPageToken = list.Next
			return answer, nil
		}
		request.Token = list.Next
	}
}

// GetAPIKey returns a key without its secret.
func (a *apiKeys) GetAPIKey(ctx context.Context, req *phoenixv1.GetAPIKeyRequest) (*phoenixv1.APIKey, error) {
	key, d, err := a.find(ctx, access.Get, a.core.Store, req.GetId())
	if err != nil {
		return nil, service.Fault(err)
	}
	if !d.Allowed() {
		return nil, a.refuse(ctx, access.Get, req.GetId(), d)
	}
	return wireKey(key, a.core.Now()), nil
}

// find looks a key up and decides whether the caller may do something to it. A
// key has no namespace, so that both come together: one that is not there and
// one that the caller does not see are answered alike. Whoever administers
// nothing is told so, whether or not there is the key.
func (a *apiKeys) find(ctx context.Context, v access.Verb, from store.APIKeyReader, id string) (store.APIKey, access.Decision, error) {
	who := call.From(ctx).Principal
	if a.core.Guard.Visible(who, v, access.APIKeys).Empty() {
		return store.APIKey{}, a.core.Guard.Authorize(who, v, access.APIKeys, ""), nil
	}
	key, err := from.GetAPIKey(ctx, id)
	if errors.Is(err, store.ErrInvalid) {
		err = store.ErrNotFound // of such an id there can be none
	}
	if err != nil {
		return store.APIKey{}, access.Decision{}, err
	}
	return key, a.core.Guard.AuthorizeGrants(who, v, a.keys.grants(key)), nil
}

// refuse puts a refusal into the audit log, outside of any transaction.
func (a *apiKeys) refuse(ctx context.Context, v access.Verb, id string, d access.Decision) error {
	return a.core.DecideOn(ctx, v, access.APIKeys, "", string(access.APIKeys)+"/"+id, d)
}

// CreateAPIKey creates a key and shows its secret, once.
func (a *apiKeys) CreateAPIKey(ctx context.Context, req *phoenixv1.CreateAPIKeyRequest) (*phoenixv1.CreateAPIKeyResponse, error) {
	who := call.From(ctx).Principal
	if a.core.Guard.Visible(who, access.Create, access.APIKeys).Empty() {
		return nil, a.core.Authorize(ctx, access.Create, access.APIKeys, "")
	}
	request, err := keyRequest(req)
	if err != nil {
		return nil, err
	}
	key, record, err := a.config.NewKey(request, a.core.Now())
	if err != nil {
		return nil, violations(err)
	}
	if d := a.core.Guard.AuthorizeGrants(who, access.Create, request.Grants); !d.Allowed() {
		return nil, a.core.Decide(ctx, access.Create, access.APIKeys, "", d)
	}
	entry := a.core.Entry(ctx, access.Action(access.APIKeys, access.Create))
	answer, repeated, err := service.Once(ctx, a.core, phoenixv1.APIKeys_CreateAPIKey_FullMethodName, req, withoutSecret,
		func(ctx context.Context, tx store.Tx) (*phoenixv1.CreateAPIKeyResponse, error) {
			created, err := tx.CreateAPIKey(ctx, store.NewAPIKey{
				ID: record.ID, Name: record.Name, Hash: record.Hash.Sum(),
				Scopes: record.Grants.Texts(), Namespaces: record.Grants.Names(), ExpiresAt: record.ExpiresAt,
			}, entry)
			if err != nil {
				return nil, err
			}
			return &phoenixv1.CreateAPIKeyResponse{ApiKey: wireKey(created, a.core.Now()), Secret: key.Reveal()}, nil
		})
	if err != nil {
		return nil, err
	}
	if !repeated {
		a.tell(ctx, "api_key.created", "The API key "+record.ID+" was created", record.ID, record.Grants)
	}
	return answer, nil
}

// withoutSecret is what may be stored of an answer.
func withoutSecret(r *phoenixv1.CreateAPIKeyResponse) *phoenixv1.CreateAPIKeyResponse {
	return &phoenixv1.CreateAPIKeyResponse{ApiKey: r.GetApiKey()}
}

// RevokeAPIKey ends a key. To end it again changes nothing.
func (a *apiKeys) RevokeAPIKey(ctx context.Context, req *phoenixv1.RevokeAPIKeyRequest) (*phoenixv1.APIKey, error) {
	var (
		before, after store.APIKey
		d             access.Decision
	)
	entry := a.core.Entry(ctx, access.Action(access.APIKeys, access.Revoke))
	err := a.core.Store.Write(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		if before, d, err = a.find(ctx, access.Revoke, tx, req.GetId()); err != nil {
			return err
		}
		if !d.Allowed() {
			return d.Err()
		}
		after, err = tx.RevokeAPIKey(ctx, req.GetId(), entry)
		return err
	})
	// Also when it is not known whether the change was made: what is forgotten is
	// read again.
	a.keys.Forget(req.GetId())
	if d.Outcome != "" && !d.Allowed() {
		return nil, a.refuse(ctx, access.Revoke, req.GetId(), d)
	}
	if err != nil {
		return nil, service.Fault(err)
	}
	if before.RevokedAt.IsZero() {
		a.tell(ctx, "api_key.revoked", "The API key "+after.ID+" was revoked", after.ID, a.keys.grants(after))
	}
	return wireKey(after, a.core.Now()), nil
}

// tell publishes an event. A key of one namespace is that namespace's business.
func (a *apiKeys) tell(ctx context.Context, event, message, id string, grants access.Grants) {
	namespace := ""
	if names := grants.Names(); len(names) == 1 && names[0] != access.AllNamespaces {
		namespace = names[0]
	}
	a.core.Events.Publish(bus.Event{
		Time: a.core.Now(), Type: event, Namespace: namespace, Resource: "apiKeys/" + id, Message: message,
		Principal: call.From(ctx).Principal.Name(),
	})
}

// keyRequest reads what is asked for, all mistakes at once. What is wrong with
// the name and the number of grants is for access to say.
func keyRequest(req *phoenixv1.CreateAPIKeyRequest) (access.KeyRequest, error) {
	f := fault.New(fault.Invalid, "the request is not accepted")
	request := access.KeyRequest{Name: req.GetName(), Unending: req.GetUnending()}
	for i, text := range req.GetGrants() {
		g, err := access.ParseGrant(text)
		if err != nil {
			f.Violations = append(f.Violations, fault.Violation{Field: fmt.Sprintf("grants[%d]", i), Description: err.Error()})
		}
		request.Grants = append(request.Grants, g)
	}
	if text := req.GetLifetime(); text != "" {
		lifetime, err := time.ParseDuration(text)
		if err == nil && lifetime <= 0 {
			err = errors.New("must be positive, got " + text)
		} else if err != nil {
			err = errors.New("must be a duration such as 720h")
		}
		if err != nil {
			f.Violations = append(f.Violations, fault.Violation{Field: "lifetime", Description: err.Error()})
		}
		request.Lifetime = lifetime
	}
	if len(f.Violations) > 0 {
		return access.KeyRequest{}, f
	}
	return request, nil
}

// violations makes a fault of the mistakes that access found: lines that begin
// with the key.
func violations(err error) error {
	f := fault.New(fault.Invalid, "the request is not accepted")
	for line := range strings.Lines(err.Error()) {
		field, description, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		f.Violations = append(f.Violations, fault.Violation{Field: field, Description: description})
	}
	return f
}

func wireKey(k store.APIKey, now time.Time) *phoenixv1.APIKey {
	state := "active"
	switch {
	case !k.RevokedAt.IsZero():
		state = "revoked"
	case !k.ActiveAt(now):
		state = "expired"
	}
	return &phoenixv1.APIKey{
		Id: k.ID, Name: k.Name, Grants: k.Scopes, CreatedAt: timestamp(k.CreatedAt), CreatedBy: k.CreatedBy,
		ExpiresAt: timestamp(k.ExpiresAt), RevokedAt: timestamp(k.RevokedAt), RevokedBy: k.RevokedBy,
		LastUsedAt: timestamp(k.LastUsedAt), State: state,
	}
}

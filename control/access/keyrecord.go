package access

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// KeyRecord is what is stored of an API key.
type KeyRecord struct {
	// ID is public and unique.
	ID string
	// Name is for people.
	Name string
	Hash KeyHash
	// Grants are what the key may do.
	Grants Grants
	// ExpiresAt and RevokedAt are zero if the key does not expire and was not
	// revoked.
	CreatedAt, ExpiresAt, RevokedAt time.Time
	// LastUsedAt is coarse: see LastUse.
	LastUsedAt time.Time
}

// KeyRequest asks for a new API key.
type KeyRequest struct {
	// Name is for people; 1 to 128 bytes.
	Name string
	// Grants has 1 to 128 entries.
	Grants Grants
	// Lifetime default: default_lifetime of the configuration.
	Lifetime time.Duration
	// Unending asks for a key that does not expire; max_lifetime must be 0.
	Unending bool
}

// NewKey makes a key and its record. Storing the record creates it; the key is
// shown once and kept nowhere. The error names every field at fault.
func (c APIKeysConfig) NewKey(r KeyRequest, now time.Time) (Key, KeyRecord, error) {
	if err := c.checkRequest(r); err != nil {
		return Key{}, KeyRecord{}, err
	}
	key := NewKey()
	record := KeyRecord{ID: key.ID(), Name: r.Name, Hash: key.Hash(), Grants: slices.Clone(r.Grants), CreatedAt: now}
	lifetime := r.Lifetime
	if lifetime == 0 {
		lifetime = c.DefaultLifetime
	}
	if lifetime > 0 && !r.Unending {
		record.ExpiresAt = now.Add(lifetime)
	}
	return key, record, nil
}

func (c APIKeysConfig) checkRequest(r KeyRequest) error {
	var list []error
	f := faults{list: &list}
	f.at("name").text(r.Name, maxLabel)
	at := f.at("grants")
	if len(r.Grants) == 0 {
		at.add("must have at least one entry")
	}
	at.atMost(len(r.Grants), maxNamespaces)
	for i, g := range r.Grants {
		if err := g.check(); err != nil {
			at.at("[%d]", i).add("%s", err)
		}
	}
	at = f.at("lifetime")
	switch {
	case r.Lifetime < 0:
		at.add("must be positive, got %s", r.Lifetime)
	case r.Lifetime > 0 && r.Unending:
		at.add("must not be given for a key that does not expire")
	case r.Unending && c.MaxLifetime > 0:
		at.add("keys that do not expire are not allowed; the longest lifetime is %s", c.MaxLifetime)
	case c.MaxLifetime > 0 && r.Lifetime > c.MaxLifetime:
		at.add("must not be longer than %s, got %s", c.MaxLifetime, r.Lifetime)
	}
	return errors.Join(list...)
}

// Verify says whether the key that is presented is the one of the record and
// valid, and returns its principal. The error is a *Refusal. Who does not have
// the secret learns nothing of the key; who has it learns why it ended.
func (r KeyRecord) Verify(presented Key, now time.Time) (Principal, error) {
	ended := func(how string, at time.Time) error {
		return unauthenticated("the API key %s %s on %s: create a new one", r.ID, how, at.UTC().Format(time.RFC3339))
	}
	switch {
	case !r.Hash.Equal(presented.Hash()):
		return Principal{}, notAccepted("the secret of API key %s is wrong", presented.ID())
	case !r.RevokedAt.IsZero():
		return Principal{}, ended("was revoked", r.RevokedAt)
	case !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt):
		return Principal{}, ended("expired", r.ExpiresAt)
	}
	held := slices.Clone(r.Grants)
	for i := range held {
		held[i].Source = "the API key"
	}
	return Principal{Kind: KindAPIKey, ID: r.ID, Display: r.Name, grants: held}, nil
}

// notAccepted refuses a key without saying what is wrong with it.
func notAccepted(format string, args ...any) *Refusal {
	return &Refusal{
		Kind:   ErrUnauthenticated,
		Caller: "the API key is not accepted: it does not exist, or its secret is wrong",
		Audit:  fmt.Sprintf(format, args...),
	}
}

// lastUseStep is how coarse the last use of a key is: a write a minute, however
// much it is used.
const lastUseStep = time.Minute

// LastUse returns what to store as the last use of a key that is used now, and
// whether that differs from what is stored.
func LastUse(stored, now time.Time) (at time.Time, changed bool) {
	at = now.UTC().Truncate(lastUseStep)
	return at, at.After(stored)
}

// Texts are the grants as text, for the store.
func (gs Grants) Texts() []string {
	texts := make([]string, 0, len(gs))
	for _, g := range gs {
		texts = append(texts, g.String())
	}
	return texts
}

// Names are the namespaces of the grants, sorted, * among them.
func (gs Grants) Names() []string {
	names := make([]string, 0, len(gs))
	for _, g := range gs {
		names = append(names, g.Namespace)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ParseGrants reads what Texts wrote.
func ParseGrants(texts []string) (Grants, error) {
	grants := make(Grants, 0, len(texts))
	var errs error
	for i, text := range texts {
		g, err := ParseGrant(text)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("grants[%d]: %w", i, err))
		}
		grants = append(grants, g)
	}
	if errs != nil {
		return nil, errs
	}
	return grants, nil
}

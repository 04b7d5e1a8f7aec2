package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ErrUnknownKey is wrapped by the error of a KeySource that has no such key.
var ErrUnknownKey = errors.New("unknown API key")

// KeySource looks API keys up.
type KeySource interface {
	// FindKey returns the key of this id. The error wraps ErrUnknownKey if there
	// is none; any other error means that it is not known.
	FindKey(ctx context.Context, id string) (KeyRecord, error)
}

// Credentials are what came with a request. The transport fills in what it has
// verified itself.
type Credentials struct {
	// Key is the text of an API key, not verified yet. See KeyIn.
	Key string
	// Authenticator is the id of the authentication extension that accepted the
	// request, Auth what it says about who sent it, perhaps nothing.
	Authenticator string
	Auth          AuthData
	// Certificate is the client's own, at the beginning of a chain that the TLS
	// handshake verified (tls.ConnectionState.VerifiedChains[0][0]).
	Certificate *x509.Certificate
}

// Identify says who sends a request. Of several credentials the first of API
// key, extension and certificate counts; one that is wrong is refused, never
// passed over for the next. The error is a *Refusal, or that of the KeySource.
func (g *Guard) Identify(ctx context.Context, c Credentials, e Exposure, keys KeySource, now time.Time) (Principal, error) {
	switch {
	case c.Key != "":
		return identifyKey(ctx, c.Key, keys, now)
	case c.Authenticator != "":
		return g.fromAuth(c.Authenticator, c.Auth)
	case c.Certificate != nil:
		return fromCertificate(c.Certificate)
	}
	if p, ok := e.unidentified(); ok {
		return p, nil
	}
	return Principal{}, unauthenticated("%s", noCredentials)
}

const noCredentials = "the request does not say who sends it: give an API key, a token or a client certificate"

func identifyKey(ctx context.Context, text string, keys KeySource, now time.Time) (Principal, error) {
	presented, err := ParseKey(text)
	if err != nil {
		return Principal{}, err
	}
	record, err := keys.FindKey(ctx, presented.ID())
	switch {
	case errors.Is(err, ErrUnknownKey):
		return Principal{}, notAccepted("there is no API key %s", presented.ID())
	case err != nil:
		return Principal{}, fmt.Errorf("API key %s: %w", presented.ID(), err)
	}
	return record.Verify(presented, now)
}

package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/oidcauthextension"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"pgregory.net/rapid"
)

// What the Collector hands on is what this package reads.
var _ AuthData = client.AuthData(nil)

// attributes are AuthData of tests that need no real extension.
type attributes map[string]any

func (a attributes) GetAttribute(name string) any { return a[name] }
func (a attributes) GetAttributeNames() []string  { return slices.Collect(maps.Keys(a)) }
func (a attributes) with(name string, v any) attributes {
	b := maps.Clone(a)
	b[name] = v
	return b
}

// authenticator is what extensionauth.Server has.
type authenticator interface {
	Authenticate(ctx context.Context, headers map[string][]string) (context.Context, error)
}

func start(t *testing.T, f extension.Factory, configure func(component.Config)) authenticator {
	t.Helper()
	cfg := f.CreateDefaultConfig()
	configure(cfg)
	ext, err := f.Create(t.Context(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	return ext.(authenticator)
}

// tokens signs JWTs and knows what an oidc extension needs to verify them.
type tokens struct {
	key  *rsa.PrivateKey
	jwks string // a file
}

func newTokens(t *testing.T) tokens {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	jwks := filepath.Join(t.TempDir(), "jwks.json")
	text, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k",
		"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
	}}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(jwks, text, 0o600))
	return tokens{key: key, jwks: jwks}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (k tokens) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	text := b64([]byte(`{"alg":"RS256","kid":"k","typ":"JWT"}`)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return text + "." + b64(signature)
}

const issuer = "https://idp.example"

// TestTokensOfTheOIDCExtension sends signed tokens through the extension that
// the distribution ships.
func TestTokensOfTheOIDCExtension(t *testing.T) {
	keys := newTokens(t)
	oidc := start(t, oidcauthextension.NewFactory(), func(c component.Config) {
		cfg := c.(*oidcauthextension.Config)
		cfg.Providers = []oidcauthextension.ProviderCfg{{
			IssuerURL: issuer, Audience: "phoenix", GroupsClaim: "groups", PublicKeysFile: keys.jwks,
		}}
	})
	g := newGuard(t,
		Binding{Name: "red", Role: RoleEditor, Namespaces: []string{"shop"}, Subjects: []Subject{{Kind: KindToken, Claim: "realm_access.roles", Value: "phoenix"}}},
		Binding{Name: "ops", Role: RoleOperator, Namespaces: []string{"*"}, Subjects: []Subject{{Kind: KindToken, Group: "ops", Issuer: issuer}}},
		Binding{Name: "level", Role: RoleViewer, Namespaces: []string{"bank"}, Subjects: []Subject{{Kind: KindToken, Claim: "https://example.com/level", Value: "3"}}},
	)
	claims := map[string]any{
		"iss": issuer, "aud": "phoenix", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(),
		"name": "Alice A.", "groups": []string{"devs", "ops"}, "email": "alice@example.com", "nested": map[string]any{"a": 1},
		"realm_access": map[string]any{"roles": []string{"other", "phoenix"}}, "https://example.com/level": 3,
	}
	identify := func(claims map[string]any) (Principal, error) {
		t.Helper()
		token := keys.sign(t, claims)
		ctx, err := oidc.Authenticate(t.Context(), map[string][]string{"Authorization": {"Bearer " + token}})
		require.NoError(t, err)
		p, err := g.Identify(ctx, Credentials{Authenticator: "oidc", Auth: client.FromContext(ctx).Auth}, ExposureAuthenticated, nil, noon)
		assert.NotContains(t, fmt.Sprintf("%#v %v", p, err), token, "the token stays out of what is logged")
		return p, err
	}
	p, err := identify(claims)
	require.NoError(t, err)
	assert.Equal(t, Principal{
		Kind: KindToken, ID: "alice", Issuer: issuer, Display: "Alice A.", Groups: []string{"devs", "ops"},
		Claims: map[string][]string{"realm_access.roles": {"other", "phoenix"}, "https://example.com/level": {"3"}},
	}, p)
	assert.Equal(t, Grants{
		{Role: RoleEditor, Namespace: "shop", Source: "red"},
		{Role: RoleOperator, Namespace: "*", Source: "ops"},
		{Role: RoleViewer, Namespace: "bank", Source: "level"},
	}, g.Grants(p))

	delete(claims, "realm_access")
	claims["groups"] = "ops"
	claims["name"] = "Alice\nadmin granted"
	p, err = identify(claims)
	require.NoError(t, err)
	assert.Equal(t, []string{"ops"}, p.Groups)
	assert.Equal(t, "alice@example.com", p.Display, "a name with a line feed is passed over")

	for _, subject := range []string{"", "alice\nroot", "ali\u202ece", strings.Repeat("a", 600)} {
		claims["sub"] = subject
		p, err = identify(claims)
		require.ErrorIs(t, err, ErrUnauthenticated, subject)
		assert.Zero(t, p)
	}
}

// TestTokensWithoutASubject sends a shared token through the extension that the
// distribution ships, which names nobody.
func TestTokensWithoutASubject(t *testing.T) {
	bearer := start(t, bearertokenauthextension.NewFactory(), func(c component.Config) {
		c.(*bearertokenauthextension.Config).BearerToken = "hunter2"
	})
	ctx, err := bearer.Authenticate(t.Context(), map[string][]string{"Authorization": {"Bearer hunter2"}})
	require.NoError(t, err)
	auth := client.FromContext(ctx).Auth
	g := newGuard(t, Binding{Role: RoleViewer, Namespaces: []string{"*"}, Subjects: []Subject{{Kind: KindShared, ID: "bearertokenauth"}}})
	p, err := g.Identify(ctx, Credentials{Authenticator: "bearertokenauth", Auth: auth}, ExposureAuthenticated, nil, noon)
	require.NoError(t, err)
	assert.Equal(t, Principal{Kind: KindShared, ID: "bearertokenauth"}, p)
	assert.True(t, g.Authorize(p, Get, Policies, "shop").Allowed())
	other := Principal{Kind: KindShared, ID: "basicauth"}
	assert.False(t, g.Authorize(other, Get, Policies, "shop").Allowed())
}

func TestAttributesThatAreNotText(t *testing.T) {
	g := newGuard(t)
	good := attributes{"subject": "alice", "membership": []string{"devs"}, "raw": "secret", "claims.iss": issuer}
	f := func(a AuthData, want string) {
		t.Helper()
		_, err := g.fromAuth("custom", a)
		require.EqualError(t, err, want)
		require.ErrorIs(t, err, ErrUnauthenticated)
	}
	f(good.with("subject", 7), "the attribute subject of the token is not text")
	f(good.with("subject", nil), "the attribute subject of the token is not text")
	f(good.with("subject", ""), "the subject of the token cannot be used as a name: it must not be empty")
	f(good.with("claims.iss", []string{issuer}), "the attribute claims.iss of the token is not text")
	f(good.with("claims.iss", "a\x00b"), `the issuer of the token cannot be used as a name: it must have printable characters only, got "a\x00b"`)
	_, err := g.fromAuth("", nil)
	require.EqualError(t, err, "the id of the authentication extension cannot be used as a name: it must not be empty")

	// basicauth names a username, other extensions less than that.
	p, err := g.fromAuth("basicauth", attributes{"username": "bob", "raw": "secret"})
	require.NoError(t, err)
	assert.Equal(t, "token:bob", p.Name())
	p, err = g.fromAuth("custom", attributes{"raw": "secret"})
	require.NoError(t, err)
	assert.Equal(t, "shared:custom", p.Name())
}

func TestClaims(t *testing.T) {
	a := attributes{
		"claims.plain": "x", "claims.flag": true, "claims.number": 12.5, "claims.big": json.Number("9007199254740993"),
		"claims.list": []any{"a", 1.0, false, nil, []any{"deep"}, map[string]any{"b": 1}}, "claims.a.b": "dotted",
		"claims.a":      map[string]any{"b": "nested", "c": map[string]any{"d": []string{"y"}}, "c.d": "flat", "e.f": map[string]any{"g": "z"}},
		"claims.object": map[string]any{}, "subject": "alice",
	}
	f := func(path string, want ...string) {
		t.Helper()
		assert.Equal(t, want, texts(claimOf(a, path)), path)
	}
	f("plain", "x")
	f("flag", "true")
	f("number", "12.5")
	f("big", "9007199254740993")
	f("list", "a", "1", "false")
	f("a.b", "dotted")
	f("a.c.d", "flat")
	f("a.e.f.g", "z")
	f("object")
	f("missing")
	f("plain.x")
	f("a.c.missing")
	f("subject") // an attribute is no claim
	f("")
	f(".")
}

// TestAnyAttributesAreNamedOrRefused feeds arbitrary JSON as claims.
func TestAnyAttributesAreNamedOrRefused(t *testing.T) {
	g := newGuard(t, Binding{Role: RoleAdmin, Namespaces: []string{"*"}, Subjects: []Subject{{Kind: KindToken, Claim: "a.b", Value: "x"}}})
	rapid.Check(t, func(t *rapid.T) {
		a := attributes{}
		for _, name := range []string{"subject", "username", "membership", "raw", "claims.iss", "claims.name", "claims.a", "claims.a.b"} {
			if rapid.Bool().Draw(t, name) {
				a[name] = drawJSON(t, 2)
			}
		}
		p, err := g.fromAuth("ext", a)
		if err != nil {
			require.ErrorIs(t, err, ErrUnauthenticated)
			require.Zero(t, p)
			return
		}
		require.NoError(t, checkIdentity(p.Name(), maxPrincipal))
		want := p.Kind == KindToken && slices.Contains(texts(claimOf(a, "a.b")), "x")
		require.Equal(t, want, g.Authorize(p, Create, Backup, "").Allowed())
	})
}

func drawJSON(t *rapid.T, depth int) any {
	switch rapid.IntRange(0, 3+min(depth, 1)*2).Draw(t, "type") {
	case 0:
		return rapid.SampledFrom([]string{"", "x", "alice", "a\nb", "\xff"}).Draw(t, "text")
	case 1:
		return rapid.Bool().Draw(t, "flag")
	case 2:
		return rapid.Float64().Draw(t, "number")
	case 4:
		return []any{drawJSON(t, depth-1), "x"}
	case 5:
		return map[string]any{"b": drawJSON(t, depth-1), "iss": "x"}
	}
	return nil
}

// certificate makes a self-signed certificate and reads it back, as a handshake
// would.
func certificate(t *testing.T, subject pkix.Name, uris ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject}
	for _, text := range uris {
		u, err := url.Parse(text)
		require.NoError(t, err)
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

func TestCertificates(t *testing.T) {
	g := newGuard(t, Binding{Role: RoleEditor, Namespaces: []string{"shop"}, Subjects: []Subject{{Kind: KindCertificate, Group: "devs"}}})
	identify := func(subject pkix.Name, uris ...string) (Principal, error) {
		t.Helper()
		return g.Identify(t.Context(), Credentials{Certificate: certificate(t, subject, uris...)}, ExposureAuthenticated, nil, noon)
	}
	p, err := identify(pkix.Name{CommonName: "ci", Organization: []string{"devs"}})
	require.NoError(t, err)
	assert.Equal(t, Principal{Kind: KindCertificate, ID: "ci", Groups: []string{"devs"}}, p)
	assert.True(t, g.Authorize(p, Update, Policies, "shop").Allowed())
	p, err = identify(pkix.Name{CommonName: "CI job"}, "spiffe://example/ci")
	require.NoError(t, err)
	assert.Equal(t, "certificate:spiffe://example/ci", p.Name())
	assert.Equal(t, "CI job", p.Display)
	assert.False(t, g.Authorize(p, Update, Policies, "shop").Allowed())

	refused := func(want string, subject pkix.Name, uris ...string) {
		t.Helper()
		p, err := identify(subject, uris...)
		require.EqualError(t, err, want)
		require.ErrorIs(t, err, ErrUnauthenticated)
		assert.Zero(t, p)
	}
	refused("the name in the client certificate cannot be used as a name: it must not be empty", pkix.Name{})
	refused("the common name of the client certificate must not look like a URI", pkix.Name{CommonName: "spiffe://example/ci"})
	refused("the client certificate has 2 URIs as names; it must have one, or none and a common name", pkix.Name{CommonName: "ci"}, "spiffe://a/b", "spiffe://c/d")
}

// keyring is a KeySource in memory.
type keyring struct {
	records map[string]KeyRecord
	err     error
}

func (k keyring) FindKey(_ context.Context, id string) (KeyRecord, error) {
	if k.err != nil {
		return KeyRecord{}, k.err
	}
	r, found := k.records[id]
	if !found {
		return KeyRecord{}, fmt.Errorf("%w: %s", ErrUnknownKey, id)
	}
	return r, nil
}

// TestTheFirstCredentialCounts gives several at once.
func TestTheFirstCredentialCounts(t *testing.T) {
	g := newGuard(t)
	key, record, err := APIKeysConfig{}.NewKey(KeyRequest{Name: "ci", Grants: Grants{{Role: RoleViewer, Namespace: "*"}}}, noon)
	require.NoError(t, err)
	ring := keyring{records: map[string]KeyRecord{key.ID(): record}}
	token := attributes{"subject": "alice"}
	cert := certificate(t, pkix.Name{CommonName: "machine"})
	f := func(c Credentials, e Exposure, want string) {
		t.Helper()
		p, err := g.Identify(t.Context(), c, e, ring, noon)
		require.NoError(t, err)
		assert.Equal(t, want, p.Name())
	}
	for _, e := range []Exposure{ExposureAuthenticated, ExposureLoopback, ExposureSocket, ExposureOpen} {
		f(Credentials{Key: key.Reveal(), Authenticator: "oidc", Auth: token, Certificate: cert}, e, "api_key:"+key.ID())
		f(Credentials{Authenticator: "oidc", Auth: token, Certificate: cert}, e, "token:alice")
		f(Credentials{Certificate: cert}, e, "certificate:machine")
	}
	f(Credentials{}, ExposureLoopback, "local")
	f(Credentials{}, ExposureSocket, "local")
	f(Credentials{}, ExposureOpen, "anonymous")

	refused := func(c Credentials, e Exposure, want string) {
		t.Helper()
		p, err := g.Identify(t.Context(), c, e, ring, noon)
		var r *Refusal
		require.ErrorAs(t, err, &r)
		require.ErrorIs(t, err, ErrUnauthenticated)
		assert.Equal(t, want, r.Audit)
		assert.Zero(t, p)
	}
	refused(Credentials{}, ExposureAuthenticated, noCredentials)
	refused(Credentials{}, "", noCredentials)
	unknown := NewKey()
	for _, e := range []Exposure{ExposureAuthenticated, ExposureLoopback} { // a wrong key is not passed over
		refused(Credentials{Key: unknown.Reveal(), Certificate: cert}, e, "there is no API key "+unknown.ID())
		refused(Credentials{Key: "phx_x"}, e, "an API key has 53 characters, this one has 5")
		refused(Credentials{Key: newKey(key.ID(), sampleSecret).Reveal()}, e, "the secret of API key "+key.ID()+" is wrong")
	}

	// Whoever does not have the secret cannot tell a key that exists from one
	// that does not.
	_, wrong := g.Identify(t.Context(), Credentials{Key: newKey(key.ID(), sampleSecret).Reveal()}, ExposureLoopback, ring, noon)
	_, none := g.Identify(t.Context(), Credentials{Key: unknown.Reveal()}, ExposureLoopback, ring, noon)
	assert.Equal(t, wrong.Error(), none.Error())

	down := errors.New("the store is not available")
	_, err = g.Identify(t.Context(), Credentials{Key: key.Reveal()}, ExposureLoopback, keyring{err: down}, noon)
	require.ErrorIs(t, err, down)
	require.NotErrorIs(t, err, ErrUnauthenticated)
	assert.NotContains(t, err.Error(), key.Reveal()[17:])
}

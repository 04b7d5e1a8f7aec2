package phoenixcontrolextension

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/oidcauthextension"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
)

// issuer is an OpenID provider: it publishes its key, and signs tokens.
type issuer struct {
	*httptest.Server
	key *rsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	i := &issuer{key: key}
	mux := http.NewServeMux()
	answer := func(path string, body func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(body()) // who does not get it fails by that
		})
	}
	answer("/.well-known/openid-configuration", func() any {
		return map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		}
	})
	answer("/keys", func() any {
		return map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
		}}}
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// claims are those of alice, who belongs to shop.
func (i *issuer) claims(change map[string]any) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "sub": "alice", "aud": "phoenix", "groups": []string{"shop"}, "name": "Alice",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, change)
	return claims
}

// unsigned is the part of a token that is signed.
func unsigned(t *testing.T, alg string, claims map[string]any) string {
	t.Helper()
	header, err := json.Marshal(map[string]string{"alg": alg, "typ": "JWT", "kid": "1"})
	require.NoError(t, err)
	body, err := json.Marshal(claims)
	require.NoError(t, err)
	return encode(header) + "." + encode(body)
}

// token signs claims with a key.
func token(t *testing.T, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	text := unsigned(t, "RS256", claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return text + "." + encode(signature)
}

// forged is a token that is signed with the public key as if that were a shared
// secret, which a careless verifier accepts.
func (i *issuer) forged(t *testing.T) string {
	t.Helper()
	text := unsigned(t, "HS256", i.claims(nil))
	public, err := x509.MarshalPKIXPublicKey(&i.key.PublicKey)
	require.NoError(t, err)
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

var oidcID = component.MustNewID("oidc")

// withOIDC adds the real authentication extension, which trusts the issuer, to
// a host, and returns what makes the extension use it.
func withOIDC(t *testing.T, h *host, i *issuer, logger *zap.Logger) func(*Config) {
	t.Helper()
	factory := oidcauthextension.NewFactory()
	cfg := factory.CreateDefaultConfig().(*oidcauthextension.Config)
	cfg.Providers = []oidcauthextension.ProviderCfg{{IssuerURL: i.URL, Audience: "phoenix", UsernameClaim: "sub", GroupsClaim: "groups"}}
	set := extensiontest.NewNopSettings(factory.Type())
	set.Logger = logger
	oidc, err := factory.Create(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, oidc.Start(t.Context(), h))
	t.Cleanup(func() { require.NoError(t, oidc.Shutdown(t.Context())) })
	h.extensions[oidcID] = oidc
	return func(c *Config) {
		c.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: oidcID}})
		c.Access.RateLimits.Refused = access.Rate{}
		c.Access.Bindings = []access.Binding{
			{Name: "platform", Role: access.RoleAdmin, Namespaces: []string{access.AllNamespaces}, Subjects: []access.Subject{{Kind: access.KindToken, Group: "platform"}}},
			{Name: "shop", Role: access.RoleEditor, Namespaces: []string{"shop"}, Subjects: []access.Subject{{Kind: access.KindToken, Group: "shop"}}},
		}
	}
}

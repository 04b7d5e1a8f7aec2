package phoenixcontrolextension

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// bearer is a header that carries a credential.
func bearer(secret string) http.Header { return http.Header{"Authorization": {"Bearer " + secret}} }

// ask sends a request with a body and returns the answer.
func ask(t *testing.T, client *http.Client, method, url, body string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Close = true
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// dial connects to the gRPC door.
func dial(t *testing.T, ext started, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	_, address, _ := strings.Cut(ext.address, "://")
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// whoAmI asks both doors as whom they know the caller.
func whoAmI(t *testing.T, ext started, conn *grpc.ClientConn, client *http.Client, credential string) *phoenixv1.Identity {
	t.Helper()
	header := http.Header{}
	ctx := t.Context()
	if credential != "" {
		header = bearer(credential)
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+credential)
	}
	code, body := ask(t, client, http.MethodGet, ext.address+"/api/v1/system/whoami", "", header)
	require.Equal(t, http.StatusOK, code, body)
	me, err := phoenixv1.NewSystemClient(conn).WhoAmI(ctx, &phoenixv1.WhoAmIRequest{})
	require.NoError(t, err)
	assert.Contains(t, body, `"principal":"`+me.GetPrincipal()+`"`, "both doors say the same")
	return me
}

// audit reads the audit log as an administrator.
func audit(t *testing.T, ext started, client *http.Client, credential string) string {
	t.Helper()
	code, body := ask(t, client, http.MethodGet, ext.address+"/api/v1/audit?page_size=1000", "", bearer(credential))
	require.Equal(t, http.StatusOK, code, body)
	return body
}

func TestTokensOfAnOpenIDProvider(t *testing.T) {
	idp, h := newIssuer(t), newHost()
	ext := start(t, h, withOIDC(t, h, idp, zap.NewNop()))
	conn := dial(t, ext, insecure.NewCredentials())

	alice := token(t, idp.key, idp.claims(nil))
	me := whoAmI(t, ext, conn, http.DefaultClient, alice)
	assert.Equal(t, "token:"+idp.URL+"#alice", me.GetPrincipal())
	assert.Equal(t, "Alice", me.GetDisplay())
	assert.Equal(t, []string{"editor:shop"}, me.GetGrants())
	root := token(t, idp.key, idp.claims(map[string]any{"sub": "root", "groups": []string{"platform"}}))
	assert.Equal(t, []string{"admin:*"}, whoAmI(t, ext, conn, http.DefaultClient, root).GetGrants())

	// An API key is known without the provider.
	code, body := ask(t, http.DefaultClient, http.MethodPost, ext.address+"/api/v1/apiKeys", `{"name":"ci","grants":["viewer:shop"]}`, bearer(root))
	require.Equal(t, http.StatusCreated, code, body)
	var created struct{ Secret string }
	require.NoError(t, json.Unmarshal([]byte(body), &created))
	assert.Equal(t, []string{"viewer:shop"}, whoAmI(t, ext, conn, http.DefaultClient, created.Secret).GetGrants())

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	refused := map[string]string{
		"nothing":               "",
		"expired":               token(t, idp.key, idp.claims(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})),
		"not yet valid":         token(t, idp.key, idp.claims(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})),
		"wrong audience":        token(t, idp.key, idp.claims(map[string]any{"aud": "another"})),
		"wrong issuer":          token(t, idp.key, idp.claims(map[string]any{"iss": "https://elsewhere.example"})),
		"wrong key":             token(t, other, idp.claims(nil)),
		"algorithm none":        unsigned(t, "none", idp.claims(nil)) + ".",
		"signature cut off":     alice[:strings.LastIndex(alice, ".")+1],
		"claims exchanged":      exchanged(t, alice, unsigned(t, "RS256", idp.claims(map[string]any{"groups": []string{"platform"}}))),
		"public key as secret":  idp.forged(t),
		"no token":              "abc",
		"API key that is none":  "phx_000000000000_" + strings.Repeat("0", 36),
		"API key cut off":       created.Secret[:len(created.Secret)-1],
		"API key in upper case": strings.ToUpper(created.Secret),
	}
	for name, credential := range refused {
		notLetIn(t, ext, conn, name, credential)
	}
	log := audit(t, ext, http.DefaultClient, root)
	assert.GreaterOrEqual(t, strings.Count(log, `"action":"requests.refuse"`), 2*len(refused), "each refusal is audited, at both doors")
	assert.Contains(t, log, "oidc: token is expired")
	for name, credential := range refused {
		if len(credential) > 10 {
			assert.NotContains(t, log, credential[len(credential)-10:], name)
		}
	}
}

// exchanged is a token with the claims of another.
func exchanged(t *testing.T, signed, claims string) string {
	t.Helper()
	return claims + signed[strings.LastIndex(signed, "."):]
}

// notLetIn checks the exact answer of both doors to a bad credential.
func notLetIn(t *testing.T, ext started, conn *grpc.ClientConn, name, credential string) {
	t.Helper()
	header := http.Header{"X-Request-Id": {"test-1"}}
	ctx := t.Context()
	if credential != "" {
		header.Set("Authorization", "Bearer "+credential)
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+credential)
	}
	code, body := ask(t, http.DefaultClient, http.MethodGet, ext.address+"/api/v1/policies", "", header)
	assert.Equal(t, http.StatusUnauthorized, code, name)
	var problem map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &problem), body)
	detail, _ := problem["detail"].(string)
	assert.NotEmpty(t, detail)
	delete(problem, "detail")
	assert.Equal(t, map[string]any{
		"type": "urn:phoenix:problem:unauthenticated", "title": "Unauthorized", "status": 401.0, "instance": "/api/v1/policies",
		"request_id": "test-1",
	}, problem, name)
	if !strings.HasPrefix(strings.ToLower(credential), "phx_") {
		assert.Equal(t, "the credentials are not accepted: give an API key, or a token that is valid now", detail, name)
	}
	_, err := phoenixv1.NewPoliciesClient(conn).ListPolicies(ctx, &phoenixv1.ListPoliciesRequest{})
	assert.Equal(t, codes.Unauthenticated, status.Code(err), name)
	assert.Equal(t, detail, status.Convert(err).Message(), name)
}

func TestASharedTokenIsOnePrincipal(t *testing.T) {
	h := newHost()
	factory := bearertokenauthextension.NewFactory()
	cfg := factory.CreateDefaultConfig().(*bearertokenauthextension.Config)
	cfg.BearerToken = "s3cr3t"
	shared, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, shared.Start(t.Context(), h))
	defer func() { require.NoError(t, shared.Shutdown(context.WithoutCancel(t.Context()))) }()
	id := component.MustNewID("bearertokenauth")
	h.extensions[id] = shared
	ext := start(t, h, func(c *Config) {
		c.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: id}})
		c.Access.Bindings = []access.Binding{{
			Role: access.RoleOperator, Namespaces: []string{"shop"}, Subjects: []access.Subject{{Kind: access.KindShared, ID: "bearertokenauth"}},
		}}
	})
	conn := dial(t, ext, insecure.NewCredentials())
	me := whoAmI(t, ext, conn, http.DefaultClient, "s3cr3t")
	assert.Equal(t, "shared:bearertokenauth", me.GetPrincipal())
	assert.Equal(t, []string{"operator:shop"}, me.GetGrants())
	notLetIn(t, ext, conn, "wrong", "s3cr3")
	assert.Equal(t, 1, ext.logs.FilterMessageSnippet("the first API key cannot be made").Len())
}

func TestOnThisMachineOneIsAdministrator(t *testing.T) {
	ext := start(t, newHost(), unchanged)
	me := whoAmI(t, ext, dial(t, ext, insecure.NewCredentials()), http.DefaultClient, "")
	assert.Equal(t, "local", me.GetPrincipal())
	assert.Equal(t, []string{"admin:*"}, me.GetGrants())
	assert.Zero(t, ext.logs.FilterLevelExact(zap.WarnLevel).Len())
}

// TestPagesOfOthersAreNotServed: a page whose name resolves to this machine, and
// one that sends requests to another origin.
func TestPagesOfOthersAreNotServed(t *testing.T) {
	ext := start(t, newHost(), unchanged)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ext.address+"/api/v1/policies", nil)
	require.NoError(t, err)
	req.Close = true
	req.Host = "evil.example"
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusMisdirectedRequest, resp.StatusCode)

	const policy = `{"namespace":"shop","name":"p","spec":{"rules":[{"match":{"metric":"a"},"attributes":{"drop":["b"]}}]}}`
	code, body := ask(t, http.DefaultClient, http.MethodPost, ext.address+"/api/v1/policies", policy,
		http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}})
	assert.Equal(t, http.StatusForbidden, code, body)
	assert.Contains(t, body, "cross-origin-refused")
	log := audit(t, ext, http.DefaultClient, "")
	assert.Contains(t, log, "evil.example")
	assert.Contains(t, log, "cross-origin request")

	trusting := start(t, newHost(), func(c *Config) {
		c.CORS = configoptional.Some(confighttp.CORSConfig{AllowedOrigins: []string{"https://dashboard.example", "https://*.example"}})
	})
	code, body = ask(t, http.DefaultClient, http.MethodPost, trusting.address+"/api/v1/policies", policy,
		http.Header{"Origin": {"https://dashboard.example"}, "Sec-Fetch-Site": {"cross-site"}})
	assert.Equal(t, http.StatusCreated, code, body)
}

func TestAnExposedEndpointDoesNotStart(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := createDefaultConfig().(*Config)
		cfg.Directory = t.TempDir()
		change(cfg)
		ext := newExtension(cfg, extensiontest.NewNopSettings(NewFactory().Type()))
		err := ext.Start(t.Context(), newHost())
		require.ErrorContains(t, err, want)
		require.NoError(t, ext.Shutdown(t.Context()))
	}
	f(func(c *Config) { c.NetAddr.Endpoint = "0.0.0.0:0" }, "neither tls nor auth is set: listen on localhost:0")
	f(func(c *Config) { c.NetAddr.Endpoint = "" }, "endpoint: must not be empty")
	f(func(c *Config) {
		c.NetAddr.Endpoint = "[::]:0"
		c.Auth = configoptional.Some(confighttp.AuthConfig{})
	}, "tls is not set")
	f(func(c *Config) {
		c.NetAddr.Endpoint = "localhost:0"
		c.Access.Bindings = []access.Binding{{}}
	}, "access: bindings[0]")
}

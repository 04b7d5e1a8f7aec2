package api_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func policiesClient(w *world) phoenixv1.PoliciesClient { return phoenixv1.NewPoliciesClient(w.dial()) }

// newKey makes an API key that the server knows.
func (w *world) newKey(t *testing.T) access.Key {
	t.Helper()
	key, record, err := access.DefaultConfig().APIKeys.NewKey(access.KeyRequest{
		Name: "ci", Grants: access.Grants{{Role: access.RoleViewer, Namespace: "*"}},
	}, time.Now())
	require.NoError(t, err)
	w.keys[key.ID()] = record
	return key
}

func authenticated(s *api.Settings) { s.Exposure = access.ExposureAuthenticated }

func TestAPIKeysAtBothDoors(t *testing.T) {
	w := newWorld(t, authenticated)
	key := w.newKey(t)
	w.start()
	got := w.send(http.MethodGet, "/api/v1/system/whoami", "", "Authorization", "Bearer "+key.Reveal())
	require.Equal(t, http.StatusOK, got.StatusCode, got.body)
	assert.Contains(t, got.body, `"principal":"api_key:`+key.ID()+`"`)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key.Reveal())
	who, err := phoenixv1.NewSystemClient(w.dial()).WhoAmI(ctx, &phoenixv1.WhoAmIRequest{})
	require.NoError(t, err)
	assert.Equal(t, "api_key:"+key.ID(), who.GetPrincipal())
	assert.Equal(t, []string{key.ID(), key.ID()}, w.seen.touched)
}

func TestWithoutCredentials(t *testing.T) {
	w := newWorld(t, authenticated).start()
	for _, path := range []string{"/api/v1/policies", "/api/v1/nothing", "/", "/api/v1/policies/../x"} {
		got := w.send(http.MethodGet, path, "", "X-Request-Id", "r-9")
		assert.Equal(t, http.StatusUnauthorized, got.StatusCode, path)
		assert.Equal(t, `Bearer realm="phoenix"`, got.Header.Get("WWW-Authenticate"))
		got.problem(t)
	}
	for _, path := range []string{"/healthz", "/readyz", "/api/v1/openapi.json"} {
		assert.Equal(t, http.StatusOK, w.send(http.MethodGet, path, "").StatusCode, path)
	}
	require.Len(t, w.seen.audited, 4)
	assert.ErrorIs(t, w.seen.audited[0], access.ErrUnauthenticated)
}

func TestCredentialsThatAreWrongAreNotPassedOver(t *testing.T) {
	asked := 0
	w := newWorld(t, authenticated, func(s *api.Settings) {
		s.Authenticate = func(*http.Request) (string, access.AuthData, error) {
			asked++
			return "oidc", nil, nil
		}
	})
	stranger := access.NewKey()
	w.start()
	got := w.send(http.MethodGet, "/api/v1/policies", "", "Authorization", "Bearer "+stranger.Reveal())
	assert.Equal(t, http.StatusUnauthorized, got.StatusCode)
	assert.NotContains(t, got.body, stranger.Reveal())
	assert.Zero(t, asked)
	for _, entry := range w.logs.All() {
		for _, value := range entry.ContextMap() {
			if text, is := value.(string); is {
				assert.NotContains(t, text, stranger.Reveal())
			}
		}
	}
}

// noKeys is a store that does not answer.
type noKeys struct{}

func (noKeys) FindKey(context.Context, string) (access.KeyRecord, error) {
	return access.KeyRecord{}, errors.New("connection refused")
}

func TestTheStoreDoesNotSayWhoAsks(t *testing.T) {
	w := newWorld(t, authenticated, func(s *api.Settings) { s.Keys = noKeys{} }).start()
	got := w.send(http.MethodGet, "/api/v1/policies", "", "Authorization", "Bearer "+access.NewKey().Reveal())
	assert.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	assert.Equal(t, "1", got.Header.Get("Retry-After"))
	assert.NotContains(t, got.body, "connection refused")
	assert.Empty(t, w.seen.audited, "nobody was refused")
}

type subject string

func (s subject) GetAttribute(name string) any {
	if name == "subject" {
		return string(s)
	}
	return nil
}
func (subject) GetAttributeNames() []string { return []string{"subject"} }

func TestTheAuthenticationExtensionIsAsked(t *testing.T) {
	w := newWorld(t, authenticated, func(s *api.Settings) {
		s.Authenticate = func(r *http.Request) (string, access.AuthData, error) {
			if r.Header.Get("Authorization") != "Bearer good" {
				return "", nil, errors.New("token is expired; it was " + strings.Repeat("x", 3))
			}
			return "oidc", subject("alice"), nil
		}
	}).start()
	got := w.send(http.MethodGet, "/api/v1/system/whoami", "", "Authorization", "Bearer good")
	assert.Contains(t, got.body, `"principal":"token:alice"`)
	got = w.send(http.MethodGet, "/api/v1/system/whoami", "", "Authorization", "Bearer bad")
	assert.Equal(t, http.StatusUnauthorized, got.StatusCode)
	assert.NotContains(t, got.body, "expired", "what the extension says is for the audit log")
	require.Len(t, w.seen.audited, 1)
	assert.Contains(t, w.seen.audited[0].Audit, "token is expired")
}

func TestRateLimits(t *testing.T) {
	limits := access.DefaultConfig().RateLimits
	limits.Read, limits.Write, limits.Refused = access.Rate{PerSecond: 0.001, Burst: 2}, access.Rate{PerSecond: 0.001, Burst: 1}, access.Rate{PerSecond: 0.001, Burst: 1}
	limiter, err := access.NewLimiter(limits)
	require.NoError(t, err)
	w := newWorld(t, func(s *api.Settings) { s.Limiter = limiter }).start()
	assert.Equal(t, http.StatusCreated, w.send(http.MethodPost, "/api/v1/policies", "{}").StatusCode)
	got := w.send(http.MethodPost, "/api/v1/policies", "{}")
	assert.Equal(t, http.StatusTooManyRequests, got.StatusCode)
	assert.NotEmpty(t, got.Header.Get("Retry-After"))
	got.problem(t)
	assert.Equal(t, http.StatusOK, w.send(http.MethodGet, "/api/v1/policies", "").StatusCode)
	_, err = policiesClient(w).ListPolicies(t.Context(), &phoenixv1.ListPoliciesRequest{})
	require.NoError(t, err)
	_, err = policiesClient(w).ListPolicies(t.Context(), &phoenixv1.ListPoliciesRequest{})
	assert.Equal(t, codes.ResourceExhausted, status.Code(err))
	assert.Positive(t, fault.FromStatus(status.Convert(err)).RetryAfter)
	assert.Equal(t, http.StatusTooManyRequests, w.send(http.MethodGet, "/api/v1/nothing", "").StatusCode, "looking around counts")
	assert.Equal(t, http.StatusOK, w.send(http.MethodGet, "/healthz", "").StatusCode)
	assert.Contains(t, w.seen.refused, fault.RateLimited)
}

func TestWrongCredentialsAreLimitedByAddress(t *testing.T) {
	limits := access.DefaultConfig().RateLimits
	limits.Refused = access.Rate{PerSecond: 0.001, Burst: 2}
	limiter, err := access.NewLimiter(limits)
	require.NoError(t, err)
	var beyond atomic.Int64
	w := newWorld(t, authenticated, func(s *api.Settings) {
		s.Limiter, s.NotAudited = limiter, func(context.Context) { beyond.Add(1) }
	}).start()
	for _, want := range []int{401, 401, 429, 429, 429} {
		got := w.send(http.MethodGet, "/api/v1/policies", "")
		assert.Equal(t, want, got.StatusCode)
	}
	assert.Len(t, w.seen.audited, 2)
	assert.EqualValues(t, 3, beyond.Load(), "those that the audit log does not get are counted")
}

func TestPagesOfOthers(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Origins = []string{"https://dashboard.example"} }).start()
	for _, c := range []struct {
		method  string
		headers []string
		status  int
	}{
		{http.MethodPost, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{http.MethodPost, []string{"Origin", "https://evil.example"}, 403},
		{http.MethodPost, []string{"Origin", "null"}, 403},
		{http.MethodPost, []string{"Sec-Fetch-Site", "same-origin"}, 201},
		{http.MethodPost, []string{"Origin", "https://dashboard.example", "Sec-Fetch-Site", "cross-site"}, 201},
		{http.MethodPost, nil, 201},
	} {
		got := w.send(c.method, "/api/v1/policies", "{}", c.headers...)
		assert.Equal(t, c.status, got.StatusCode, c.headers)
		if c.status == 403 {
			assert.Equal(t, "urn:phoenix:problem:cross-origin-refused", got.problem(t).Type)
		}
	}
	for host, want := range map[string]int{"localhost:1": 200, "[::1]": 200, "evil.example": 421, "localhost.evil.example": 421} {
		got := w.send(http.MethodGet, "/healthz", "", "Host", host)
		assert.Equal(t, want, got.StatusCode, host)
	}
}

// certificates returns a certificate authority and a client's certificate.
func certificates(t *testing.T) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, public any, key *ecdsa.PrivateKey) *x509.Certificate {
		raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
		require.NoError(t, err)
		c, err := x509.ParseCertificate(raw)
		require.NoError(t, err)
		return c
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca = sign(ca, ca, &caKey.PublicKey, caKey)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	leaf := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ci"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, &key.PublicKey, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return pool, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
}

func TestClientCertificates(t *testing.T) {
	pool, certificate := certificates(t)
	w := newWorld(t, authenticated, func(s *api.Settings) {
		s.Authenticate = func(r *http.Request) (string, access.AuthData, error) {
			if r.Header.Get("Authorization") == "Bearer good" {
				return "oidc", subject("alice"), nil
			}
			return "", nil, errors.New("no token")
		}
	}).withTLS()
	w.tls.ClientCAs = pool
	w.start()
	client := w.client(2)
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{certificate}
	for authorization, want := range map[string]string{"": "certificate:ci", "Bearer good": "token:alice"} {
		headers := []string{"X-Request-Id", "r"}
		if authorization != "" {
			headers = append(headers, "Authorization", authorization)
		}
		got := w.sendBy(client, http.MethodGet, "/api/v1/system/whoami", "", headers...)
		assert.Contains(t, got.body, `"principal":"`+want+`"`, authorization)
	}
	got := w.sendBy(client, http.MethodGet, "/api/v1/system/whoami", "", "Authorization", "Bearer bad")
	assert.Equal(t, http.StatusUnauthorized, got.StatusCode)
	assert.Equal(t, http.StatusUnauthorized, w.send(http.MethodGet, "/api/v1/system/whoami", "").StatusCode, "no certificate")
}

func TestOneSpanARequest(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	w := newWorld(t, func(s *api.Settings) { s.TracerProvider = provider }).start()
	w.policies.set(func(context.Context) error { return errors.New("defect") })
	w.send(http.MethodGet, "/api/v1/policies", "", "X-Request-Id", "r-7")
	w.seen.last(t, 1)
	require.Len(t, spans.Ended(), 1)
	span := spans.Ended()[0]
	assert.Equal(t, "Policies/ListPolicies", span.Name())
	attributes := map[string]string{}
	for _, a := range span.Attributes() {
		attributes[string(a.Key)] = a.Value.String()
	}
	assert.Equal(t, map[string]string{
		"phoenix.request_id": "r-7", "phoenix.door": "rest", "rpc.method": "phoenix.v1.Policies/ListPolicies", "http.response.status_code": "500",
	}, attributes)
	assert.Equal(t, "Error", span.Status().Code.String())
	assert.NotContains(t, span.Status().Description, "defect")

	// The server has made a span already.
	outer := newWorld(t, func(s *api.Settings) { s.TracerProvider = provider })
	outer.start(func(s *http.Server) {
		inner := s.Handler
		s.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			ctx, span := provider.Tracer("outer").Start(r.Context(), "GET")
			defer span.End()
			inner.ServeHTTP(rw, r.WithContext(ctx))
		})
	})
	outer.send(http.MethodGet, "/api/v1/system", "")
	require.Eventually(t, func() bool { return len(spans.Ended()) == 2 }, 5*time.Second, time.Millisecond)
	assert.Equal(t, "System/GetSystem", spans.Ended()[1].Name())
}

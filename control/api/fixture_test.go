package api_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server over services that answer what a test says.
type world struct {
	t        testing.TB
	settings api.Settings
	server   *api.Server
	http     *http.Server
	address  string
	tls      *tls.Config // nil without
	logs     *observer.ObservedLogs
	seen     *seen

	policies *policies
	events   *events
	system   *system
	keys     keys
}

// seen is what the server told others.
type seen struct {
	mu       sync.Mutex
	requests []request
	refused  []fault.Reason
	audited  []*access.Refusal
	inFlight int64
	touched  []string
}

type request struct {
	method string
	door   api.Door
	status int
}

func (s *seen) RequestDone(_ context.Context, method string, door api.Door, status int, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request{method, door, status})
}

func (s *seen) Refused(_ context.Context, reason fault.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, reason)
}

func (s *seen) InFlight(change int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight += change
}

func (s *seen) audit(_ context.Context, r *access.Refusal, _ uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audited = append(s.audited, r)
}

func (s *seen) touch(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touched = append(s.touched, id)
}

// last waits for the request to be told, which may be after its answer.
func (s *seen) last(t *testing.T, n int) request {
	t.Helper()
	var r request
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.requests) < n {
			return false
		}
		r = s.requests[n-1]
		return true
	}, 5*time.Second, time.Millisecond)
	return r
}

// keys are API keys by id.
type keys map[string]access.KeyRecord

func (k keys) FindKey(_ context.Context, id string) (access.KeyRecord, error) {
	if r, known := k[id]; known {
		return r, nil
	}
	return access.KeyRecord{}, access.ErrUnknownKey
}

// newWorld makes a server that listens nowhere.
func newWorld(tb testing.TB, changes ...func(*api.Settings)) *world {
	tb.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	w := &world{
		t: tb, logs: logs, seen: &seen{}, keys: keys{},
		policies: &policies{}, events: &events{}, system: &system{},
	}
	guard, err := access.New(access.DefaultConfig())
	require.NoError(tb, err)
	unlimited := access.DefaultConfig().RateLimits
	unlimited.Read, unlimited.Write, unlimited.Refused = access.Rate{}, access.Rate{}, access.Rate{}
	limiter, err := access.NewLimiter(unlimited)
	require.NoError(tb, err)
	w.settings = api.Settings{
		Policies: w.policies, Experiments: experiments{}, Cardinality: cardinality{}, Costs: costs{}, Savings: savings{}, PriceModels: priceModels{}, Samplers: samplers{},
		APIKeys: apiKeys{}, Audit: audit{}, Events: w.events, System: w.system,
		Guard: guard, Limiter: limiter, Keys: w.keys, Exposure: access.ExposureLoopback,
		Refused: w.seen.audit, Touch: w.seen.touch, Observer: w.seen, Logger: zap.New(core),
		Timeout: 5 * time.Second,
	}
	for _, change := range changes {
		change(&w.settings)
	}
	w.server, err = api.New(w.settings)
	require.NoError(tb, err)
	return w
}

// start makes it listen on loopback.
func (w *world) start(changes ...func(*http.Server)) *world {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is there at once
	require.NoError(w.t, err)
	w.http = &http.Server{Handler: w.server.Handler(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: zap.NewStdLog(zap.NewNop())}
	api.Configure(w.http)
	for _, change := range changes {
		change(w.http)
	}
	w.address = listener.Addr().String()
	if w.tls != nil {
		w.http.TLSConfig = w.tls.Clone()
		listener = tls.NewListener(listener, w.http.TLSConfig)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = w.http.Serve(listener)
	}()
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		assert.NoError(w.t, w.server.Shutdown(ctx))
		assert.NoError(w.t, w.http.Close())
		<-served
		w.seen.mu.Lock()
		defer w.seen.mu.Unlock()
		assert.Zero(w.t, w.seen.inFlight)
	})
	return w
}

// withTLS gives the server the certificate of httptest, and asks for those of
// clients.
func (w *world) withTLS() *world {
	lent := httptest.NewUnstartedServer(nil)
	lent.StartTLS()
	certificate := lent.TLS.Certificates[0]
	leaf := lent.Certificate()
	lent.Close()
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	w.tls = &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
	}
	return w
}

func (w *world) clientTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.tls.RootCAs, ServerName: "127.0.0.1"}
}

// client is an HTTP client of one protocol version.
func (w *world) client(version int) *http.Client {
	p := &http.Protocols{}
	p.SetHTTP1(version == 1)
	p.SetHTTP2(version == 2)
	p.SetUnencryptedHTTP2(version == 2 && w.tls == nil)
	transport := &http.Transport{Protocols: p}
	if w.tls != nil {
		transport.TLSClientConfig = w.clientTLS()
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func (w *world) url(path string) string {
	if w.tls != nil {
		return "https://" + w.address + path
	}
	return "http://" + w.address + path
}

// dial connects a gRPC client.
func (w *world) dial(opts ...grpc.DialOption) *grpc.ClientConn {
	w.t.Helper()
	transport := insecure.NewCredentials()
	if w.tls != nil {
		transport = credentials.NewTLS(w.clientTLS())
	}
	conn, err := grpc.NewClient("passthrough:///"+w.address, append([]grpc.DialOption{grpc.WithTransportCredentials(transport)}, opts...)...)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, conn.Close()) })
	return conn
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (a answer) problem(t *testing.T) *fault.Problem {
	t.Helper()
	require.Equal(t, fault.ProblemMedia, a.Header.Get("Content-Type"), a.body)
	p := &fault.Problem{}
	require.NoError(t, json.Unmarshal([]byte(a.body), p), a.body)
	require.Equal(t, a.StatusCode, p.Status)
	require.Equal(t, a.Header.Get("X-Request-Id"), p.RequestID)
	require.True(t, strings.HasPrefix(p.Type, "urn:phoenix:problem:"), p.Type)
	require.NotEmpty(t, p.Detail)
	return p
}

// send asks over HTTP/1.1.
func (w *world) send(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.sendBy(w.client(1), method, path, body, headers...)
}

func (w *world) sendBy(c *http.Client, method, path, body string, headers ...string) answer {
	w.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url(path), content)
	require.NoError(w.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Content-Type" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := c.Do(r)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, resp.Body.Close()) }()
	got, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	assert.Equal(w.t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	assert.Equal(w.t, "no-store", resp.Header.Get("Cache-Control"))
	assert.NotEmpty(w.t, resp.Header.Get("X-Request-Id"))
	return answer{resp, string(got)}
}

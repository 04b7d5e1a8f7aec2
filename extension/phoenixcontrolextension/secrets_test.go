package phoenixcontrolextension

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
)

// traced is a collector's tracing: what is traced goes by OTLP to a real
// receiver.
type traced struct {
	provider *trace.TracerProvider
	sink     *consumertest.TracesSink
}

func newTraced(t *testing.T) *traced {
	t.Helper()
	sink := &consumertest.TracesSink{}
	factory := otlpreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*otlpreceiver.Config)
	server := configgrpc.NewDefaultServerConfig()
	server.NetAddr = confignet.AddrConfig{Endpoint: free(t), Transport: confignet.TransportTypeTCP}
	cfg.Protocols.GRPC = configoptional.Some(server)
	cfg.Protocols.HTTP = configoptional.None[otlpreceiver.HTTPConfig]()
	receiver, err := factory.CreateTraces(t.Context(), receivertest.NewNopSettings(factory.Type()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, receiver.Start(t.Context(), componenttest.NewNopHost()))
	exporter, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(server.NetAddr.Endpoint), otlptracegrpc.WithInsecure())
	require.NoError(t, err)
	provider := trace.NewTracerProvider(trace.WithSyncer(exporter))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, provider.Shutdown(ctx))
		require.NoError(t, receiver.Shutdown(ctx))
	})
	return &traced{provider: provider, sink: sink}
}

// spans are the names of all spans, and all that they say.
func (r *traced) spans() (names []string, text string) {
	var all strings.Builder
	for _, traces := range r.sink.AllTraces() {
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					names = append(names, span.Name())
					fmt.Fprintln(&all, span.Name(), span.Status().Message(), span.Attributes().AsRaw(), eventsOf(span))
				}
			}
		}
	}
	return names, all.String()
}

func eventsOf(span ptrace.Span) []map[string]any {
	var list []map[string]any
	for _, event := range span.Events().All() {
		list = append(list, event.Attributes().AsRaw())
	}
	return list
}

// scenario is a collector with everything that has a secret: a database with a
// password, an OpenID provider, API keys.
type scenario struct {
	started
	traced  *traced
	logs    *observer.ObservedLogs
	root    string
	secrets []string
	answers []string
}

const password = "s3cr3t-of-the-database"

func newScenario(t *testing.T) *scenario {
	t.Helper()
	s := &scenario{traced: newTraced(t)}
	core, logs := observer.New(zapcore.DebugLevel)
	s.logs = logs
	h, idp := newHost(), newIssuer(t)
	cfg := createDefaultConfig().(*Config)
	withOIDC(t, h, idp, zap.New(core))(cfg)
	cfg.NetAddr.Endpoint = "localhost:0"
	cfg.Postgres.DSN = configopaque.String(postgrestest.Start(t).NewDatabase(t) + " password=" + password)
	set := extensiontest.NewNopSettings(NewFactory().Type())
	set.Logger = zap.New(core)
	set.TracerProvider = s.traced.provider
	set.Resource = pcommon.NewResource()
	ext, err := NewFactory().Create(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), h))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.WithoutCancel(t.Context()))) })
	listens := logs.FilterMessage("Control API listens").All()
	require.Len(t, listens, 1)
	s.started = started{Component: ext, address: "http://" + listens[0].ContextMap()["address"].(string)}
	s.root = token(t, idp.key, idp.claims(map[string]any{"groups": []string{"platform"}}))
	expired := token(t, idp.key, idp.claims(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}))
	s.secrets = []string{password, signatureOf(s.root), signatureOf(expired)}
	s.do(t, http.MethodGet, "/api/v1/policies", "", expired, http.StatusUnauthorized)
	return s
}

func signatureOf(token string) string { return token[strings.LastIndex(token, ".")+1:] }

// do sends a request and keeps the answer.
func (s *scenario) do(t *testing.T, method, path, body, credential string, want int) string {
	t.Helper()
	code, answer := ask(t, http.DefaultClient, method, s.address+path, body, bearer(credential))
	require.Equal(t, want, code, answer)
	s.answers = append(s.answers, answer)
	return answer
}

// TestNoSecretGetsOut lets a collector live, and searches all that it says for
// its secrets: answers, logs of every level, spans and the audit log.
func TestNoSecretGetsOut(t *testing.T) {
	s := newScenario(t)
	var created struct {
		Secret string
		Key    struct{ ID string } `json:"api_key"`
	}
	const request = `{"name":"ci","grants":["admin:*"]}`
	code, body := ask(t, http.DefaultClient, http.MethodPost, s.address+"/api/v1/apiKeys", request,
		http.Header{"Authorization": {"Bearer " + s.root}, "Idempotency-Key": {"k"}})
	require.Equal(t, http.StatusCreated, code, body)
	require.NoError(t, json.Unmarshal([]byte(body), &created))
	key := created.Secret
	s.secrets = append(s.secrets, key[strings.LastIndex(key, "_")+1:])
	_, again := ask(t, http.DefaultClient, http.MethodPost, s.address+"/api/v1/apiKeys", request,
		http.Header{"Authorization": {"Bearer " + s.root}, "Idempotency-Key": {"k"}})
	s.answers = append(s.answers, again)

	s.do(t, http.MethodGet, "/api/v1/apiKeys/"+created.Key.ID, "", key, http.StatusOK)
	s.do(t, http.MethodGet, "/api/v1/apiKeys", "", key, http.StatusOK)
	s.do(t, http.MethodGet, "/api/v1/system", "", key, http.StatusOK)
	s.do(t, http.MethodGet, "/api/v1/system/whoami", "", s.root, http.StatusOK)
	s.do(t, http.MethodPost, "/api/v1/killSwitch:engage", `{"reason":"a test"}`, key, http.StatusOK)
	// Where people put keys by mistake.
	s.do(t, http.MethodGet, "/api/v1/policies/shop/"+key, "", key, http.StatusNotFound)
	s.do(t, http.MethodGet, "/api/v1/policies?key="+key, "", key, http.StatusBadRequest)
	s.do(t, http.MethodGet, "/nothing/"+key, "", key, http.StatusNotFound)
	s.do(t, http.MethodPost, "/api/v1/policies", `{"`+key+`":1}`, key, http.StatusBadRequest)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key, "x-request-id", key)
	_, err := phoenixv1.NewSystemClient(dial(t, s.started, insecure.NewCredentials())).WhoAmI(ctx, &phoenixv1.WhoAmIRequest{})
	require.NoError(t, err)
	s.do(t, http.MethodPost, "/api/v1/apiKeys/"+created.Key.ID+":revoke", "{}", s.root, http.StatusOK)
	s.do(t, http.MethodGet, "/api/v1/policies", "", key, http.StatusUnauthorized)
	log := s.do(t, http.MethodGet, "/api/v1/audit?page_size=1000", "", s.root, http.StatusOK)
	assert.Contains(t, log, created.Key.ID, "keys are called by their ids")
	backup := s.do(t, http.MethodGet, "/api/v1/backup", "", s.root, http.StatusOK)
	require.NotEmpty(t, backup)
	require.NoError(t, s.Shutdown(t.Context()))

	names, spans := s.traced.spans()
	require.NotEmpty(t, names)
	var lines strings.Builder
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, entry := range s.logs.All() {
		text, err := encoder.EncodeEntry(entry.Entry, entry.Context)
		require.NoError(t, err)
		lines.WriteString(text.String())
	}
	require.Greater(t, s.logs.Len(), 10)
	for i, secret := range s.secrets {
		assert.NotContains(t, strings.Join(s.answers, "\n"), secret, "secret %d in answers", i)
		assert.NotContains(t, lines.String(), secret, "secret %d in logs", i)
		assert.NotContains(t, spans, secret, "secret %d in spans", i)
	}
}

// TestEveryHandlerIsTraced: each RPC has a span of its name, at both doors, and
// what the store writes has one.
func TestEveryHandlerIsTraced(t *testing.T) {
	s := newScenario(t)
	conn := dial(t, s.started, insecure.NewCredentials())
	want := []string{"store write"}
	protoregistry.GlobalFiles.RangeFilesByPackage("phoenix.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				name := string(service.Name()) + "/" + string(service.Methods().Get(j).Name())
				want = append(want, name)
				s.call(t, conn, "/phoenix.v1."+name)
			}
		}
		return true
	})
	require.Greater(t, len(want), 30)
	s.do(t, http.MethodPost, "/api/v1/killSwitch:engage", `{"reason":"a test"}`, s.root, http.StatusOK)
	missing := func() []string {
		names, _ := s.traced.spans()
		return slices.DeleteFunc(slices.Clone(want), func(name string) bool { return slices.Contains(names, name) })
	}
	assert.Eventually(t, func() bool { return len(missing()) == 0 }, 20*time.Second, 50*time.Millisecond)
	assert.Empty(t, missing())
	_, text := s.traced.spans()
	assert.Contains(t, text, "phoenix.door:rest")
	assert.Contains(t, text, "phoenix.door:grpc")
}

// call asks an RPC for whatever an empty request asks for.
func (s *scenario) call(t *testing.T, conn *grpc.ClientConn, full string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.root), 10*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, full)
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(&emptypb.Empty{}))
	require.NoError(t, stream.CloseSend())
	if strings.HasSuffix(full, "/WatchEvents") {
		_, err = stream.Header() // it has begun, and would never end
		require.NoError(t, err)
		return
	}
	_ = stream.RecvMsg(&emptypb.Empty{}) // a refusal has a span like any answer
}

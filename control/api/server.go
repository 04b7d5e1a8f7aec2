package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// Defaults of Settings.
const (
	defaultTimeout = 10 * time.Second
	defaultGrace   = 2 * time.Second
	defaultMaxBody = 1 << 20
)

// ErrShuttingDown is the cause of the end of a request that Shutdown ends.
var ErrShuttingDown = fault.ErrShuttingDown

// Settings is what New needs.
type Settings struct {
	// The services. All are required.
	Policies    phoenixv1.PoliciesServer
	Experiments phoenixv1.ExperimentsServer
	Cardinality phoenixv1.CardinalityServer
	Costs       phoenixv1.CostsServer
	Savings     phoenixv1.SavingsServer
	PriceModels phoenixv1.PriceModelsServer
	Samplers    phoenixv1.SamplersServer
	APIKeys     phoenixv1.APIKeysServer
	Audit       phoenixv1.AuditServer
	Events      phoenixv1.EventsServer
	System      phoenixv1.SystemServer

	// Guard recognises who asks, Limiter bounds how often, Keys looks API keys
	// up. All are required. What may be done is decided by the services.
	Guard   *access.Guard
	Limiter *access.Limiter
	Keys    access.KeySource
	// Exposure says who can reach the handler. Required.
	Exposure access.Exposure
	// Authenticate asks the authentication extension, whose id it returns, who
	// sends a request that has no API key. Default: there is none.
	Authenticate func(*http.Request) (authenticator string, auth access.AuthData, err error)
	// Origins are those whose pages may change something, such as
	// https://dashboard.example. Default: none but our own.
	Origins []string

	// Ready says whether pipelines run. Default: they do.
	Ready func() bool
	// Refused is told of each request that was refused before a service saw it,
	// for the audit log. The limit of refusals of the address was asked already;
	// unrecorded is how many before this one were beyond it. It may block.
	Refused func(ctx context.Context, r *access.Refusal, unrecorded uint64)
	// NotAudited is told of each refusal that is beyond the limit of its address,
	// which the audit log therefore does not get. Default: nobody is.
	NotAudited func(context.Context)
	// Touch is told that an API key was used. It does not block.
	Touch func(keyID string)

	// Observer takes what metrics count. Default: nobody does.
	Observer Observer
	// TracerProvider makes the span of each request, unless its context has one
	// of this process already: that is named and used instead. Default: none.
	TracerProvider trace.TracerProvider
	// Logger takes each request at debug level, and what went wrong inside.
	// Default: nothing is logged.
	Logger *zap.Logger

	// Timeout bounds how long one answer may take, its request's body included;
	// streams go on. Default: 10s.
	Timeout time.Duration
	// Grace is how long running requests may go on once Shutdown was called.
	// Default: 2s.
	Grace time.Duration
	// Heartbeat is how often a silent stream of events says that it lives.
	// Default: 15s.
	Heartbeat time.Duration
	// MaxBody bounds the body of a request, and one gRPC message, in bytes.
	// Default: 1 MiB.
	MaxBody int64
	// Now is the clock of access. Default: time.Now.
	Now func() time.Time
}

// complete fills in the defaults.
func (s *Settings) complete() error {
	var errs error
	v := reflect.ValueOf(*s)
	for _, name := range []string{
		"Policies", "Experiments", "Cardinality", "Costs", "Savings", "PriceModels", "Samplers", "APIKeys", "Audit", "Events", "System", "Guard", "Limiter", "Keys", "Exposure",
	} {
		if v.FieldByName(name).IsZero() {
			errs = errors.Join(errs, fmt.Errorf("api: Settings.%s is required", name))
		}
	}
	if s.Ready == nil {
		s.Ready = func() bool { return true }
	}
	if s.Refused == nil {
		s.Refused = func(context.Context, *access.Refusal, uint64) {}
	}
	if s.NotAudited == nil {
		s.NotAudited = func(context.Context) {}
	}
	if s.Touch == nil {
		s.Touch = func(string) {}
	}
	if s.Observer == nil {
		s.Observer = nobody{}
	}
	if s.TracerProvider == nil {
		s.TracerProvider = noop.NewTracerProvider()
	}
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	s.Timeout = positive(s.Timeout, defaultTimeout)
	s.Grace = positive(s.Grace, defaultGrace)
	s.Heartbeat = positive(s.Heartbeat, defaultHeartbeat)
	if s.MaxBody <= 0 {
		s.MaxBody = defaultMaxBody
	}
	return errs
}

func positive(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}

// Server is the API: one handler for both doors. It holds no goroutine.
type Server struct {
	Settings
	methods map[string]*method // by the full name of the RPC, /phoenix.v1.Policies/GetPolicy
	grpc    *grpc.Server
	rest    *router
	// open are paths that need no credentials.
	open    map[string]http.HandlerFunc
	origins *http.CrossOriginProtection
	tracer  trace.Tracer
	gate    *gate
}

// New returns a server that answers at once.
func New(settings Settings) (*Server, error) {
	if err := settings.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		Settings: settings, origins: http.NewCrossOriginProtection(), gate: newGate(settings.Grace),
		tracer: settings.TracerProvider.Tracer("github.com/phoenix-platform/phoenix/control/api"),
	}
	for _, origin := range settings.Origins {
		if err := s.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("api: origin %q: %w", origin, err)
		}
	}
	var err error
	if s.methods, err = methodsOf(s.services()); err != nil {
		return nil, err
	}
	if s.rest, err = newRouter(s); err != nil {
		return nil, err
	}
	s.grpc = s.newGRPC()
	s.open = map[string]http.HandlerFunc{pathHealth: s.health, pathReady: s.ready, pathOpenAPI: s.openAPI}
	return s, nil
}

// service is a generated description with its implementation.
type service struct {
	desc *grpc.ServiceDesc
	impl any
}

func (s *Server) services() []service {
	return []service{
		{&phoenixv1.Policies_ServiceDesc, s.Policies},
		{&phoenixv1.Experiments_ServiceDesc, s.Experiments},
		{&phoenixv1.Cardinality_ServiceDesc, s.Cardinality},
		{&phoenixv1.Costs_ServiceDesc, s.Costs},
		{&phoenixv1.Savings_ServiceDesc, s.Savings},
		{&phoenixv1.PriceModels_ServiceDesc, s.PriceModels},
		{&phoenixv1.Samplers_ServiceDesc, s.Samplers},
		{&phoenixv1.APIKeys_ServiceDesc, s.APIKeys},
		{&phoenixv1.Audit_ServiceDesc, s.Audit},
		{&phoenixv1.Events_ServiceDesc, s.Events},
		{&phoenixv1.System_ServiceDesc, s.System},
	}
}

// Handler serves REST and gRPC. After Shutdown it answers 503.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Shutdown refuses new requests, ends streams, lets other requests end within
// the grace time, cancels the rest, and waits for them until ctx ends. It may be
// called twice.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.gate.close(ctx)
	if err == nil {
		s.grpc.Stop()
	}
	return err
}

// Protocols are those that the handler needs of an http.Server: HTTP/1.1, and
// HTTP/2 with and without TLS.
func Protocols() *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// Bounds of HTTP/2 connections.
const (
	maxStreams  = 250
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
)

// Configure sets the protocols of a server, and how it finds out that the other
// end of an HTTP/2 connection is gone.
func Configure(server *http.Server) {
	server.Protocols = Protocols()
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout,
	}
}

package api

import (
	"bytes"
	"context"
	_ "embed"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// Paths that need no credentials.
const (
	pathHealth  = "/healthz"
	pathReady   = "/readyz"
	pathOpenAPI = "/api/v1/openapi.json"
)

//go:embed openapi/openapi.json
var openAPI []byte

// OpenAPI returns the description of the REST door, an OpenAPI document. The
// caller must not change it.
func OpenAPI() []byte { return openAPI }

// look answers GET and HEAD of a path that takes no parameters.
func (s *Server) look(r *http.Request, find func() ([]byte, *fault.Fault)) {
	x := exchangeOf(r.Context())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		x.refuseMethod([]string{http.MethodGet, http.MethodHead})
		return
	}
	if r.URL.RawQuery != "" {
		x.refuse(fault.Violated("query", "must be empty: this path takes no parameters"))
		return
	}
	body, f := find()
	if f != nil {
		x.refuse(f)
		return
	}
	x.write(http.StatusOK, body)
}

// health says that the process is alive.
func (s *Server) health(_ http.ResponseWriter, r *http.Request) {
	s.look(r, func() ([]byte, *fault.Fault) { return []byte(`{"status":"ok"}`), nil })
}

// ready says whether the pipelines run.
func (s *Server) ready(_ http.ResponseWriter, r *http.Request) {
	s.look(r, func() ([]byte, *fault.Fault) {
		if !s.Ready() {
			return nil, fault.New(fault.Unavailable, "not ready: the pipelines of the collector do not run yet, or are about to stop")
		}
		return []byte(`{"status":"ready"}`), nil
	})
}

func (s *Server) openAPI(_ http.ResponseWriter, r *http.Request) {
	s.look(r, func() ([]byte, *fault.Fault) { return bytes.TrimSpace(openAPI), nil })
}

// healthEvery is how often a watched health is looked at.
const healthEvery = time.Second

// healthService is the standard health service over Ready.
type healthService struct {
	grpc_health_v1.UnimplementedHealthServer
	ready  func() bool
	ending <-chan struct{}
	known  func() map[string]grpc.ServiceInfo
}

func (h *healthService) now() grpc_health_v1.HealthCheckResponse_ServingStatus {
	if h.ready() {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}

// has says whether there is a service; the empty name is the whole server.
func (h *healthService) has(service string) bool {
	_, known := h.known()[service]
	return known || service == ""
}

// Check implements grpc_health_v1.HealthServer.
func (h *healthService) Check(_ context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if !h.has(req.GetService()) {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: h.now()}, nil
}

// Watch implements grpc_health_v1.HealthServer: it sends the state, and again
// when it changes.
func (h *healthService) Watch(req *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	last := grpc_health_v1.HealthCheckResponse_UNKNOWN
	for {
		now := h.now()
		if !h.has(req.GetService()) {
			now = grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
		}
		if now != last {
			last = now
			if err := stream.Send(&grpc_health_v1.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-h.ending:
			return status.FromContextError(context.Canceled).Err()
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}

package api_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// bothTransports runs a test without and with TLS.
func bothTransports(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("h2c", func(t *testing.T) { test(t, newWorld(t).start()) })
	t.Run("TLS", func(t *testing.T) { test(t, newWorld(t).withTLS().start()) })
}

func TestBothDoorsOnOnePort(t *testing.T) {
	bothTransports(t, func(t *testing.T, w *world) {
		var header, trailer metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "if-match", `"7"`, "idempotency-key", "k-1", "x-request-id", "mine-2")
		got, err := phoenixv1.NewPoliciesClient(w.dial()).GetPolicy(ctx, &phoenixv1.GetPolicyRequest{Namespace: "shop", Name: "a"},
			grpc.Header(&header), grpc.Trailer(&trailer))
		require.NoError(t, err)
		assert.Equal(t, "shop", got.GetNamespace())
		assert.Equal(t, []string{"mine-2"}, header.Get("x-request-id"))
		assert.Equal(t, []string{"mine-2"}, trailer.Get("x-request-id"))
		call := w.policies.lastCall()
		assert.Equal(t, []string{`"7"`, "k-1", "mine-2"}, []string{call.IfMatch, call.IdempotencyKey, call.RequestID})
		assert.Equal(t, request{"Policies/GetPolicy", api.DoorGRPC, http.StatusOK}, w.seen.last(t, 1))

		for _, version := range []int{1, 2} {
			answer := w.sendBy(w.client(version), http.MethodGet, "/api/v1/system", "")
			assert.Equal(t, http.StatusOK, answer.StatusCode)
			assert.Equal(t, version, answer.ProtoMajor)
		}
	})
}

func TestFaultsHaveStandardDetails(t *testing.T) {
	w := newWorld(t).start()
	want := &fault.Fault{
		Reason: fault.NotPreviewed, Detail: "preview it first", RetryAfter: time.Second, Suggestions: []string{"b", "c"},
		Violations: []fault.Violation{{Field: "policy.name", Description: "bad"}},
	}
	w.policies.set(func(context.Context) error { return want })
	var trailer metadata.MD
	_, err := phoenixv1.NewPoliciesClient(w.dial()).GetPolicy(t.Context(), &phoenixv1.GetPolicyRequest{}, grpc.Trailer(&trailer))
	s := status.Convert(err)
	assert.Equal(t, codes.FailedPrecondition, s.Code())
	require.Len(t, s.Details(), 3)
	info, is := s.Details()[0].(*errdetails.ErrorInfo)
	require.True(t, is)
	assert.Equal(t, "NOT_PREVIEWED phoenix", info.GetReason()+" "+info.GetDomain())
	assert.Equal(t, want, fault.FromStatus(s))
	assert.Len(t, trailer.Get("x-request-id"), 1)
	assert.Equal(t, request{"Policies/GetPolicy", api.DoorGRPC, http.StatusConflict}, w.seen.last(t, 1))
}

func TestRefusedBeforeGRPCSawIt(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Exposure = access.ExposureAuthenticated }).start()
	var trailer metadata.MD
	_, err := phoenixv1.NewPoliciesClient(w.dial()).GetPolicy(t.Context(), &phoenixv1.GetPolicyRequest{}, grpc.Trailer(&trailer))
	f := fault.FromStatus(status.Convert(err))
	assert.Equal(t, codes.Unauthenticated, status.Code(err))
	assert.Equal(t, fault.Unauthenticated, f.Reason)
	assert.Contains(t, f.Detail, "does not say who sends it")
	assert.NotEmpty(t, trailer.Get("x-request-id"))

	stream, err := phoenixv1.NewEventsClient(w.dial()).WatchEvents(t.Context(), &phoenixv1.WatchEventsRequest{})
	require.NoError(t, err)
	_, err = stream.Recv()
	assert.Equal(t, codes.Unauthenticated, status.Code(err))
}

func TestWhatGRPCDoesNotKnow(t *testing.T) {
	w := newWorld(t).start()
	conn := w.dial()
	unknown := &phoenixv1.CreatePolicyRequest{Policy: &phoenixv1.Policy{Spec: &phoenixv1.PolicySpec{Rules: []*phoenixv1.Rule{{}, {}}}}}
	raw := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	unknown.GetPolicy().GetSpec().GetRules()[1].ProtoReflect().SetUnknown(raw)
	_, err := phoenixv1.NewPoliciesClient(conn).CreatePolicy(t.Context(), unknown)
	f := fault.FromStatus(status.Convert(err))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	assert.Equal(t, []fault.Violation{{Field: "policy.spec.rules[1]", Description: "has the unknown fields [99] of phoenix.v1.Rule"}}, f.Violations)

	watch := &phoenixv1.WatchEventsRequest{}
	watch.ProtoReflect().SetUnknown(raw)
	stream, err := phoenixv1.NewEventsClient(conn).WatchEvents(t.Context(), watch)
	require.NoError(t, err)
	_, err = stream.Recv()
	assert.Equal(t, codes.InvalidArgument, status.Code(err))

	err = conn.Invoke(t.Context(), "/phoenix.v1.Policies/Nothing", &phoenixv1.GetPolicyRequest{}, &phoenixv1.Policy{})
	assert.Equal(t, codes.Unimplemented, status.Code(err))
	assert.Equal(t, request{api.NoMethod, api.DoorGRPC, http.StatusNotFound}, w.seen.last(t, 2))
}

// rawCodec sends bytes as they are.
type rawCodec struct{ encoding.Codec }

func (rawCodec) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (rawCodec) Name() string                       { return "proto" }

func TestDamagedMessagesAreTheClientsFault(t *testing.T) {
	w := newWorld(t).start()
	conn := w.dial(grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	for name, message := range map[string][]byte{
		"truncated":  {0x0a, 0x50, 'x'},
		"not UTF-8":  {0x0a, 0x01, 0xff},
		"wrong type": {0x08, 0x01, 0x0b},
	} {
		err := conn.Invoke(t.Context(), phoenixv1.Policies_GetPolicy_FullMethodName, &message, &[]byte{})
		assert.Equal(t, codes.InvalidArgument, status.Code(err), name)
		assert.Contains(t, fmt.Sprint(fault.FromStatus(status.Convert(err)).Violations), "phoenix.v1.GetPolicyRequest", name)
	}
	large := make([]byte, 2<<20)
	err := conn.Invoke(t.Context(), phoenixv1.Policies_GetPolicy_FullMethodName, &large, &[]byte{})
	assert.Equal(t, codes.ResourceExhausted, status.Code(err))
	assert.Equal(t, request{"Policies/GetPolicy", api.DoorGRPC, http.StatusBadRequest}, w.seen.last(t, 4))
}

func TestAPanicOverGRPC(t *testing.T) {
	w := newWorld(t).start()
	w.policies.set(func(context.Context) error { panic("boom") })
	w.events.set(func(*phoenixv1.WatchEventsRequest, grpc.ServerStreamingServer[phoenixv1.Event]) error { panic("boom") })
	conn := w.dial()
	_, err := phoenixv1.NewPoliciesClient(conn).GetPolicy(t.Context(), &phoenixv1.GetPolicyRequest{})
	assert.Equal(t, codes.Internal, status.Code(err))
	assert.NotContains(t, err.Error(), "boom")
	stream, err := phoenixv1.NewEventsClient(conn).WatchEvents(t.Context(), &phoenixv1.WatchEventsRequest{})
	require.NoError(t, err)
	_, err = stream.Recv()
	assert.Equal(t, codes.Internal, status.Code(err))
	w.seen.last(t, 1)
	assert.Len(t, w.logs.FilterMessage("Request could not be answered").All(), 2)
}

func TestTimeoutsOverGRPC(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Timeout = 100 * time.Millisecond }).start()
	w.policies.set(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	client := phoenixv1.NewPoliciesClient(w.dial())
	_, err := client.GetPolicy(t.Context(), &phoenixv1.GetPolicyRequest{})
	assert.Equal(t, codes.DeadlineExceeded, status.Code(err))
	assert.Equal(t, fault.Timeout, fault.FromStatus(status.Convert(err)).Reason, "the server says so")
	long, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	_, err = client.GetPolicy(long, &phoenixv1.GetPolicyRequest{})
	assert.Equal(t, codes.DeadlineExceeded, status.Code(err))
}

func TestAMessageThatDoesNotCome(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Timeout = 100 * time.Millisecond }).start()
	stream, err := w.dial().NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, phoenixv1.Policies_GetPolicy_FullMethodName)
	require.NoError(t, err)
	began := time.Now()
	err = stream.RecvMsg(&phoenixv1.Policy{})
	assert.Equal(t, codes.DeadlineExceeded, status.Code(err), err)
	assert.Less(t, time.Since(began), 5*time.Second)
}

func TestHealthServiceReflectsReadiness(t *testing.T) {
	ready := make(chan bool, 1)
	ready <- false
	w := newWorld(t, func(s *api.Settings) {
		s.Exposure = access.ExposureAuthenticated // health needs no credentials
		s.Ready = func() bool {
			r := <-ready
			ready <- r
			return r
		}
	}).start()
	client := grpc_health_v1.NewHealthClient(w.dial())
	got, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "phoenix.v1.Policies"})
	require.NoError(t, err)
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING, got.GetStatus())
	_, err = client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "nothing"})
	assert.Equal(t, codes.NotFound, status.Code(err))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	got, err = watch.Recv()
	require.NoError(t, err)
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING, got.GetStatus())
	<-ready
	ready <- true
	got, err = watch.Recv()
	require.NoError(t, err)
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, got.GetStatus())
}

func TestReflectionListsTheServices(t *testing.T) {
	w := newWorld(t).start()
	stream, err := grpc_reflection_v1.NewServerReflectionClient(w.dial()).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}))
	got, err := stream.Recv()
	require.NoError(t, err)
	var names []string
	for _, s := range got.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, name := range []string{"APIKeys", "Audit", "Cardinality", "Costs", "Events", "Experiments", "Policies", "PriceModels", "Samplers", "Savings", "System"} {
		assert.Contains(t, names, "phoenix.v1."+name)
	}
	require.NoError(t, stream.CloseSend())
	_, err = stream.Recv()
	assert.ErrorIs(t, err, io.EOF)
}

func TestStreamsEndAtShutdown(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Grace = 10 * time.Second }).start()
	stream, err := phoenixv1.NewEventsClient(w.dial()).WatchEvents(t.Context(), &phoenixv1.WatchEventsRequest{})
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		_, err := stream.Recv()
		ended <- err
	}()
	require.NoError(t, w.server.Shutdown(t.Context()))
	assert.Less(t, time.Since(began), 5*time.Second, "the grace is for others")
	err = <-ended
	assert.Equal(t, codes.Unavailable, status.Code(err))
	assert.Contains(t, err.Error(), "shutting down")
}

func TestGRPCOverAUnixSocket(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Exposure = access.ExposureSocket })
	path := t.TempDir() + "/s"
	listener, err := net.Listen("unix", path) //nolint:noctx // it is there at once
	require.NoError(t, err)
	server := &http.Server{Handler: w.server.Handler(), ReadHeaderTimeout: time.Second}
	api.Configure(server)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	w.address = ""
	conn := w.dial(grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}), grpc.WithAuthority("localhost"))
	_, err = phoenixv1.NewPoliciesClient(conn).GetPolicy(t.Context(), &phoenixv1.GetPolicyRequest{})
	require.NoError(t, err)
	assert.Equal(t, "unix", w.policies.lastCall().Origin)
	require.NoError(t, server.Close())
	<-served
}

func TestGRPCWithoutHTTP2IsNotFound(t *testing.T) {
	w := newWorld(t).start()
	got := w.send(http.MethodPost, phoenixv1.Policies_GetPolicy_FullMethodName, strings.Repeat("x", 5), "Content-Type", "application/grpc")
	assert.Equal(t, http.StatusNotFound, got.StatusCode)
	got.problem(t)
}

package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
)

const mediaGRPC = "application/grpc"

// isGRPC says at which door a request is.
func isGRPC(r *http.Request) bool {
	rest, is := strings.CutPrefix(r.Header.Get("Content-Type"), mediaGRPC)
	return is && (rest == "" || rest[0] == '+' || rest[0] == ';') && r.ProtoMajor == 2 && r.Method == http.MethodPost
}

// newGRPC returns the gRPC door. It listens nowhere: it is called for requests
// that came to the one port.
func (s *Server) newGRPC() *grpc.Server {
	server := grpc.NewServer(grpc.MaxRecvMsgSize(int(s.MaxBody)), grpc.WaitForHandlers(true))
	for _, service := range s.services() {
		desc := *service.desc
		desc.Methods = make([]grpc.MethodDesc, len(service.desc.Methods))
		for i, d := range service.desc.Methods {
			d.Handler = overGRPC(s.methods["/"+desc.ServiceName+"/"+d.MethodName])
			desc.Methods[i] = d
		}
		desc.Streams = make([]grpc.StreamDesc, len(service.desc.Streams))
		for i, d := range service.desc.Streams {
			d.Handler = s.streamOverGRPC(s.methods["/"+desc.ServiceName+"/"+d.StreamName])
			desc.Streams[i] = d
		}
		server.RegisterService(&desc, service.impl)
	}
	grpc_health_v1.RegisterHealthServer(server, &healthService{ready: s.Ready, ending: s.gate.ending, known: server.GetServiceInfo})
	reflection.Register(server)
	return server
}

// overGRPC is the handler of a unary RPC. The generated one decodes before any
// interceptor could look at how that went.
func overGRPC(m *method) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		x := exchangeOf(ctx)
		_ = grpc.SetTrailer(ctx, x.trailer()) // there is a stream
		answer, f := invoke(ctx, m, func(into proto.Message) error { return receive(into, decode) })
		if f != nil {
			x.failed(f)
			return nil, f.GRPCStatus().Err()
		}
		x.status.Store(http.StatusOK)
		return answer, nil
	}
}

// streamOverGRPC is the handler of a streaming RPC.
func (s *Server) streamOverGRPC(m *method) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		x := exchangeOf(stream.Context())
		stream.SetTrailer(x.trailer())
		if f := s.invokeStream(stream.Context(), m, &strictStream{stream}); f != nil {
			x.failed(f)
			return f.GRPCStatus().Err()
		}
		x.status.Store(http.StatusOK)
		return nil
	}
}

func (x *exchange) trailer() metadata.MD {
	return metadata.Pairs(strings.ToLower(headerRequestID), x.call.RequestID)
}

// strictStream refuses requests that hold what the proto does not know.
type strictStream struct{ grpc.ServerStream }

// RecvMsg implements grpc.ServerStream.
func (s *strictStream) RecvMsg(m any) error {
	return receive(m.(proto.Message), s.ServerStream.RecvMsg)
}

// receive decodes a request, strictly.
func receive(into proto.Message, decode func(any) error) error {
	if err := decode(into); err != nil {
		f := fault.Violated("message", fmt.Sprintf("is no valid %s", into.ProtoReflect().Descriptor().FullName()))
		f.Cause = err
		return f
	}
	if violations := unknownIn(into.ProtoReflect(), "", nil); len(violations) > 0 {
		return fault.Violates(violations...)
	}
	return nil
}

// serveGRPC answers a request at the gRPC door.
func (x *exchange) serveGRPC(ctx context.Context) {
	path, verb := x.r.URL.Path, access.Get
	service, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	m, known := x.server.methods[path]
	if known {
		x.is(m)
		verb = m.verb
	} else {
		x.streaming = x.foreign(service, name)
	}
	if service != grpc_health_v1.Health_ServiceDesc.ServiceName {
		f := x.identify(ctx)
		if f == nil {
			f = x.take(verb)
		}
		if f != nil {
			x.refuse(f)
			return
		}
	}
	if x.streaming {
		x.unbound()
	} else {
		x.boundGRPC()
	}
	x.server.grpc.ServeHTTP(x.w, x.r)
	if !known {
		x.status.CompareAndSwap(0, http.StatusOK)
	}
}

// foreign says whether a method that is not ours is a stream. One that does not
// exist is noted as such: gRPC refuses it by itself.
func (x *exchange) foreign(service, name string) (stream bool) {
	for _, m := range x.server.grpc.GetServiceInfo()[service].Methods {
		if m.Name == name {
			return m.IsClientStream || m.IsServerStream
		}
	}
	x.status.Store(http.StatusNotFound)
	return false
}

// boundGRPC bounds a unary RPC by the means of gRPC, which then answers that the
// time is over: the end of the request's own context would cut the connection.
func (x *exchange) boundGRPC() {
	timeout := x.server.Timeout
	if asked, ok := parseTimeout(x.r.Header.Get("Grpc-Timeout")); ok && asked < timeout {
		return
	}
	x.r.Header = x.r.Header.Clone()
	x.r.Header.Set("Grpc-Timeout", strconv.FormatInt(max(1, timeout.Milliseconds()), 10)+"m")
}

var timeoutUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// parseTimeout reads the header of that name: at most eight digits and a unit.
func parseTimeout(text string) (time.Duration, bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	unit, known := timeoutUnits[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 31)
	if !known || err != nil {
		return 0, false
	}
	if unit == time.Hour && n > 1e6 {
		return 1e6 * time.Hour, true // more does not fit
	}
	return time.Duration(n) * unit, true
}

// refuseGRPC answers a fault before gRPC saw the request: headers that are the
// trailers too.
func refuseGRPC(w http.ResponseWriter, f *fault.Fault) {
	status := fault.ToStatus(f)
	h := w.Header()
	h.Set("Content-Type", mediaGRPC)
	h.Set("Grpc-Status", strconv.Itoa(int(status.Code())))
	h.Set("Grpc-Message", percentEncode(status.Message()))
	if details, err := proto.Marshal(status.Proto()); err == nil {
		h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
	}
	w.WriteHeader(http.StatusOK)
}

// percentEncode writes a message as gRPC over HTTP/2 has it.
func percentEncode(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
)

const headerRequestID = "X-Request-Id"

// exchange is one request and its answer.
type exchange struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	// ctx is that of r.
	ctx     context.Context
	door    Door
	call    call.Call
	began   time.Time
	span    trace.Span
	ownSpan bool
	// method is the name of the RPC, streaming whether it is a stream.
	method    string
	streaming bool
	// status is that of the answer, 0 while there is none; fault is why it is no
	// success. Over gRPC another goroutine sets them.
	status atomic.Int32
	fault  atomic.Pointer[fault.Fault]
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// serve answers one request at either door.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	ctx, x := s.begin(ctx, w, r)
	defer x.done()
	if !s.gate.enter(x, cancel) {
		x.refuse(fault.Of(ErrShuttingDown))
		return
	}
	defer s.gate.leave(x)
	s.Observer.InFlight(1)
	defer s.Observer.InFlight(-1)
	defer x.recover()
	x.answer(ctx)
}

// begin recognises the request, apart from who sends it. The context that it
// returns is that of the exchange.
func (s *Server) begin(ctx context.Context, w http.ResponseWriter, r *http.Request) (context.Context, *exchange) {
	x := &exchange{server: s, w: w, door: DoorREST, began: time.Now(), method: NoMethod}
	if isGRPC(r) {
		x.door = DoorGRPC
	}
	id := requestID(r)
	secure(w.Header())
	w.Header().Set(headerRequestID, id)
	from, origin := sender(r.RemoteAddr)
	x.call = call.Call{
		From: from, Origin: origin, RequestID: id,
		IfMatch: r.Header.Get("If-Match"), IdempotencyKey: r.Header.Get("Idempotency-Key"), LastEventID: r.Header.Get("Last-Event-Id"),
	}
	ctx = x.startSpan(ctx)
	ctx = call.With(context.WithValue(ctx, exchangeKey{}, x), &x.call)
	x.ctx, x.r = ctx, r.WithContext(ctx)
	return ctx, x
}

// secure sets the headers of every answer: it is data, and of this moment.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
}

// maxRequestID bounds the ids that clients bring.
const maxRequestID = 128

// requestID takes the id that a client gave, if it can go everywhere, or makes
// one.
func requestID(r *http.Request) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/+="
	id := r.Header.Get(headerRequestID)
	if id == "" || len(id) > maxRequestID || strings.Trim(id, plain) != "" || access.Redact(id) != id {
		return rand.Text()
	}
	return id
}

// sender reads the address of a client; over a socket it has none.
func sender(remote string) (from netip.Addr, origin string) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, "unix"
	}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	return at.Addr(), at.String()
}

// startSpan uses the span that the server made already, or starts one.
func (x *exchange) startSpan(ctx context.Context) context.Context {
	if here := trace.SpanContextFromContext(ctx); here.IsValid() && !here.IsRemote() {
		x.span = trace.SpanFromContext(ctx)
	} else {
		x.ownSpan = true
		ctx, x.span = x.server.tracer.Start(ctx, NoMethod, trace.WithSpanKind(trace.SpanKindServer))
	}
	x.span.SetAttributes(attribute.String("phoenix.request_id", x.call.RequestID), attribute.String("phoenix.door", string(x.door)))
	return ctx
}

// is says which RPC the request is for.
func (x *exchange) is(m *method) {
	x.method, x.streaming = m.short, m.stream != nil
	x.span.SetName(m.short)
	x.span.SetAttributes(attribute.String("rpc.method", strings.TrimPrefix(m.full, "/")))
}

// answer passes the request through every check and on to its door.
func (x *exchange) answer(ctx context.Context) {
	if f := x.checkHeaders(); f != nil {
		x.refuse(f)
		return
	}
	if x.door == DoorGRPC {
		x.serveGRPC(ctx)
		return
	}
	x.bound()
	if open, found := x.server.open[x.r.URL.Path]; found {
		open(x.w, x.r)
		return
	}
	if f := x.identify(ctx); f != nil {
		x.refuse(f)
		return
	}
	x.server.rest.serve(x)
}

// failed notes why there is no success. Of several faults the first counts.
func (x *exchange) failed(f *fault.Fault) {
	if !x.fault.CompareAndSwap(nil, f) {
		return
	}
	x.status.CompareAndSwap(0, int32(f.HTTPStatus())) //nolint:gosec // a status has three digits
	x.server.Observer.Refused(x.ctx, f.Reason)
}

// refuse answers with a fault, at either door. Nothing was answered before.
func (x *exchange) refuse(f *fault.Fault) {
	x.failed(f)
	if x.door == DoorGRPC {
		refuseGRPC(x.w, f)
		return
	}
	writeFault(x.w, x.r, f, x.call.RequestID)
}

// recover makes a fault of a panic. The connection lives, unless a part of the
// answer is on its way.
func (x *exchange) recover() {
	p := recover()
	if p == nil {
		return
	}
	if err, is := p.(error); is && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // asked for: net/http ends the answer, so that the client sees that it is not whole
	}
	f := panicked(p)
	if x.status.Load() != 0 {
		x.failed(f)
		x.logDefect(f)
		panic(http.ErrAbortHandler)
	}
	x.refuse(f)
}

// panicked is the fault of a panic; the stack is for the log.
func panicked(p any) *fault.Fault {
	return fault.Of(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
}

// done tells what became of the request.
func (x *exchange) done() {
	took := time.Since(x.began)
	f, status := x.fault.Load(), int(x.status.Load())
	gone := errors.Is(context.Cause(x.ctx), context.Canceled)
	switch {
	case gone && (status == 0 || status >= http.StatusInternalServerError):
		status = StatusClientGone
	case status == 0 && x.door == DoorGRPC:
		// No handler ran: the message was too large, damaged or did not come.
		status = http.StatusBadRequest
	}
	if !x.streaming {
		x.server.Observer.RequestDone(x.ctx, x.method, x.door, status, took)
	}
	x.span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		x.span.SetStatus(codes.Error, f.Error())
	}
	if x.ownSpan {
		x.span.End()
	}
	if status == http.StatusInternalServerError {
		x.logDefect(f)
	}
	if log := x.server.Logger.Check(zap.DebugLevel, "Request answered"); log != nil {
		log.Write(append(x.fields(), zap.Int("status", status), zap.Duration("took", took), zap.Error(cause(f)))...)
	}
}

func (x *exchange) logDefect(f *fault.Fault) {
	x.server.Logger.Error("Request could not be answered", append(x.fields(), zap.Error(cause(f)))...)
}

// fields say in a log which request it is. A path may hold anything.
func (x *exchange) fields() []zap.Field {
	return []zap.Field{
		zap.String("request_id", x.call.RequestID), zap.String("method", x.method), zap.String("door", string(x.door)),
		zap.String("principal", x.call.Principal.Name()), zap.String("origin", x.call.Origin),
		zap.String("path", abbreviate(x.r.URL.EscapedPath())),
	}
}

// cause is what the log says about a fault.
func cause(f *fault.Fault) error {
	if f == nil {
		return nil
	}
	refusal := &access.Refusal{}
	if errors.As(f.Cause, &refusal) {
		return errors.New(access.Redact(refusal.Audit))
	}
	if f.Cause != nil {
		return errors.New(access.Redact(f.Cause.Error()))
	}
	return f
}

// maxQuoted bounds what is quoted of a request.
const maxQuoted = 256

// abbreviate shortens what a request brought, and hides API keys in it.
func abbreviate(text string) string {
	text = access.Redact(text)
	if len(text) > maxQuoted {
		return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	return text
}

package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

const (
	// defaultHeartbeat is for Settings.Heartbeat.
	defaultHeartbeat = 15 * time.Second
	// openAfter is how long a service may take to refuse a stream of events that
	// does not say that it has begun (SendHeader): then the answer begins.
	openAfter = 250 * time.Millisecond
	mediaSSE  = "text/event-stream"
)

// stream answers with many messages: a download if they are bodies, otherwise
// server-sent events.
func (x *exchange) stream(ctx context.Context, m *method, params map[string]string) {
	x.unbound()
	base := restStream{
		ctx: ctx, x: x, control: http.NewResponseController(x.w),
		decode: func(into proto.Message) error { return x.decode(m, into, params) },
	}
	if m.output.FullName() == (&httpbody.HttpBody{}).ProtoReflect().Descriptor().FullName() {
		(&download{restStream: base, m: m}).run(ctx)
		return
	}
	(&eventStream{restStream: base, m: m}).run(ctx)
}

// restStream is what the streams of the REST door share.
type restStream struct {
	ctx     context.Context
	x       *exchange
	control *http.ResponseController
	decode  func(proto.Message) error
}

var _ grpc.ServerStream = (*eventStream)(nil)

// SetHeader implements grpc.ServerStream. There is no metadata in REST.
func (*restStream) SetHeader(metadata.MD) error { return nil }

// SetTrailer implements grpc.ServerStream.
func (*restStream) SetTrailer(metadata.MD) {}

// Context implements grpc.ServerStream.
func (s *restStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream: the request is the only message.
func (s *restStream) RecvMsg(m any) error { return s.decode(m.(proto.Message)) }

// write sends a part of the answer. Whoever does not read it in time is cut off;
// a stream may be silent for as long as it likes.
func (s *restStream) write(part []byte, flush bool) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.x.server.Timeout)) // a test's ResponseRecorder has none
	_, err := s.x.w.Write(part)
	if err == nil && flush {
		err = s.control.Flush()
	}
	_ = s.control.SetWriteDeadline(time.Time{})
	if err != nil {
		return status.Error(codes.Canceled, "the client does not read: "+err.Error())
	}
	return nil
}

// eventStream writes server-sent events, as the HTML standard has them.
type eventStream struct {
	restStream
	m *method

	mu sync.Mutex
	// open is whether the answer has begun, last when something was sent.
	open bool
	last time.Time
}

// run calls the service and writes heartbeats until it ends.
func (s *eventStream) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	s.ctx = ctx
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		defer cancel() // if a heartbeat does not get through
		s.beat(ctx)
	}()
	f := s.x.server.invokeStream(ctx, s.m, s)
	cancel()
	<-beating
	switch {
	case f == nil:
		_ = s.SendHeader(nil) // a client that has gone away cannot be told so
	case !s.open:
		s.x.refuse(f)
	default:
		s.x.failed(f)
		problem := fault.ToProblem(f, abbreviate(s.x.r.URL.EscapedPath()), s.x.call.RequestID).JSON()
		_ = s.write(event("", "error", problem), true) // as above
	}
}

// beat opens the stream if nobody did, and keeps it from being silent.
func (s *eventStream) beat(ctx context.Context) {
	wait := time.NewTimer(openAfter)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		next, err := s.beatOnce()
		if err != nil {
			return
		}
		wait.Reset(next)
	}
}

func (s *eventStream) beatOnce() (next time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	every := s.x.server.Heartbeat
	switch silent := time.Since(s.last); {
	case !s.open:
		return every, s.begin()
	case silent < every:
		return every - silent, nil
	}
	s.last = time.Now()
	return every, s.write([]byte(": heartbeat\n\n"), true)
}

// begin sends the headers; s is locked.
func (s *eventStream) begin() error {
	if s.open {
		return nil
	}
	s.open, s.last = true, time.Now()
	s.x.status.Store(http.StatusOK)
	h := s.x.w.Header()
	h.Set("Content-Type", mediaSSE)
	h.Set("X-Accel-Buffering", "no") // for proxies that would wait for more
	s.x.w.WriteHeader(http.StatusOK)
	return s.write([]byte(": phoenix\n\n"), true)
}

// SendHeader implements grpc.ServerStream: the answer begins.
func (s *eventStream) SendHeader(metadata.MD) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begin()
}

// SendMsg implements grpc.ServerStream. Fields id and type are those of the
// event.
func (s *eventStream) SendMsg(m any) error {
	message := m.(proto.Message)
	data, err := encode(message)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(); err != nil {
		return err
	}
	s.last = time.Now()
	return s.write(event(textIn(message, "id"), textIn(message, "type"), data), true)
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// event is one server-sent event; data has no line breaks.
func event(id, kind string, data []byte) []byte {
	var b bytes.Buffer
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", oneLine.Replace(id))
	}
	if kind != "" {
		fmt.Fprintf(&b, "event: %s\n", oneLine.Replace(kind))
	}
	b.WriteString("data: ")
	b.Write(data)
	b.WriteString("\n\n")
	return b.Bytes()
}

// download writes bodies one after the other into a file of the client's.
type download struct {
	restStream
	m *method
	// begun is whether a part of the answer is on its way.
	begun bool
}

func (d *download) run(ctx context.Context) {
	f := d.x.server.invokeStream(ctx, d.m, d)
	switch {
	case f == nil:
		_ = d.begin("") // a client that has gone away cannot be told so
	case !d.begun:
		d.x.refuse(f)
	default:
		d.x.failed(f)
		d.x.logDefect(f)
		panic(http.ErrAbortHandler) // so that the client sees that it is not whole
	}
}

// begin sends the headers.
func (d *download) begin(media string) error {
	if d.begun {
		return nil
	}
	d.begun = true
	if media == "" {
		media = "application/octet-stream"
	}
	name := strings.ToLower(d.m.short[strings.LastIndexByte(d.m.short, '/')+1:])
	at := d.x.server.Now().UTC().Format("20060102T150405Z")
	d.x.status.Store(http.StatusOK)
	h := d.x.w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="phoenix-%s-%s"`, name, at))
	d.x.w.WriteHeader(http.StatusOK)
	return d.write(nil, true)
}

// SendHeader implements grpc.ServerStream.
func (d *download) SendHeader(metadata.MD) error { return d.begin("") }

// SendMsg implements grpc.ServerStream.
func (d *download) SendMsg(m any) error {
	body, ok := m.(*httpbody.HttpBody)
	if !ok {
		return fmt.Errorf("a download sends bodies, not %T", m)
	}
	if err := d.begin(body.GetContentType()); err != nil {
		return err
	}
	return d.write(body.GetData(), false)
}

package api

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// invoke calls a unary RPC, for both doors alike. decode fills in the request.
func invoke(ctx context.Context, m *method, decode func(proto.Message) error) (answer proto.Message, f *fault.Fault) {
	defer func() {
		if p := recover(); p != nil {
			answer, f = nil, panicked(p)
		}
	}()
	result, err := m.unary(m.impl, ctx, func(into any) error { return decode(into.(proto.Message)) }, nil)
	if err != nil {
		return nil, faultIn(ctx, err)
	}
	return result.(proto.Message), nil
}

// faultIn is the fault of an error in a context: why that ended explains what
// came of it.
func faultIn(ctx context.Context, err error) *fault.Fault {
	if errors.Is(context.Cause(ctx), ErrShuttingDown) {
		return fault.Of(ErrShuttingDown)
	}
	f := fault.Of(err)
	if f.Reason == fault.Internal && ctx.Err() != nil {
		return fault.Of(context.Cause(ctx))
	}
	return f
}

// invokeStream calls a streaming RPC, for both doors alike. The context of its
// stream is ctx, and ends when the server shuts down.
func (s *Server) invokeStream(ctx context.Context, m *method, stream grpc.ServerStream) (f *fault.Fault) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.gate.ending:
			cancel(ErrShuttingDown)
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel(nil)
		<-watched
		if p := recover(); p != nil {
			f = panicked(p)
		}
	}()
	if err := m.stream(m.impl, &endingStream{ServerStream: stream, ctx: ctx}); err != nil {
		return faultIn(ctx, err)
	}
	return nil
}

// endingStream is a stream with another context.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *endingStream) Context() context.Context { return s.ctx }

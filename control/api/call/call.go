// Package call carries what the API knows of a request to the services: who
// asks, from where, and what the headers demand. The transport makes a Call once
// it has recognised the principal; services read it from the context.
package call

import (
	"context"
	"net/netip"

	"github.com/phoenix-platform/phoenix/control/access"
)

// Call is what is known of a request.
type Call struct {
	// Principal is who asks.
	Principal access.Principal
	// From is the client's address, the zero value over a socket. Origin is the
	// same as text for the audit log, with the port, or "unix".
	From   netip.Addr
	Origin string
	// RequestID finds the request in logs, traces and the audit log.
	RequestID string
	// IfMatch is the value of the header If-Match, or of the gRPC metadata of
	// that name: an etag, * or empty.
	IfMatch string
	// IdempotencyKey is the header Idempotency-Key, empty if there is none.
	IdempotencyKey string
	// LastEventID is the header Last-Event-ID.
	LastEventID string
}

type key struct{}

// With returns a context that carries the call.
func With(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, key{}, c)
}

// From returns the call of a context. Without one it is that of nobody, who may
// nothing.
func From(ctx context.Context) *Call {
	if c, ok := ctx.Value(key{}).(*Call); ok {
		return c
	}
	return &Call{}
}

package store

import (
	"context"
	"time"
)

// ResponseReader finds the answers to requests that are repeated.
type ResponseReader interface {
	// GetResponse returns the answer to an earlier request with this key. It
	// fails with ErrNotFound if there was none or it expired, and with
	// ErrConflict if that was another request.
	GetResponse(ctx context.Context, key IdempotencyKey, request Digest) (Response, error)
}

// ResponseWriter keeps answers for requests that are repeated.
type ResponseWriter interface {
	// SaveResponse keeps an answer. It fails as GetResponse does, and with
	// ErrExists if there is an answer already. Save it in the transaction that
	// does the work: then the work is done once.
	SaveResponse(context.Context, Response) error
}

// IdempotencyKey names a request. Every principal has keys of its own.
type IdempotencyKey struct {
	// Principal has 1 to 1024 bytes, Key 1 to 253.
	Principal, Key string
}

// Response is the answer to a request.
type Response struct {
	IdempotencyKey
	// Request is the hash of the request.
	Request Digest
	// Status is the answer's status code; the store attaches no meaning to it.
	Status int
	// Body has at most 1 MiB. A secret that is shown only once does not belong
	// here.
	Body []byte
	// CreatedAt is set by the store, ExpiresAt by the caller.
	CreatedAt, ExpiresAt time.Time
}

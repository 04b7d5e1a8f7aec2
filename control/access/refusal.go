package access

import (
	"errors"
	"fmt"
	"time"
)

// What a Refusal wraps. The API chooses the status by it.
var (
	// ErrUnauthenticated: nobody knows who asks.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden: it is known who asks, and that they may not.
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound: the object is of a namespace that whoever asks does not see.
	// Answer exactly as if it did not exist.
	ErrNotFound = errors.New("not found")
	// ErrRateLimited: too much was asked for. See Refusal.RetryAfter.
	ErrRateLimited = errors.New("too many requests")
)

// Refusal says no, twice: to whoever asked, and to the audit log.
type Refusal struct {
	// Kind is one of the errors above.
	Kind error
	// Caller says what to do and gives nothing away.
	Caller string
	// Audit says why. It holds no secret.
	Audit string
	// RetryAfter is when to ask again, if Kind is ErrRateLimited.
	RetryAfter time.Duration
}

// Error is the text for the caller, so that the other does not get out by
// mistake.
func (r *Refusal) Error() string { return r.Caller }

// Unwrap returns Kind.
func (r *Refusal) Unwrap() error { return r.Kind }

// RetryAfterSeconds is the value of a Retry-After header: whole seconds, rounded
// up, at least 1.
func (r *Refusal) RetryAfterSeconds() int64 {
	return max(1, int64((r.RetryAfter+time.Second-1)/time.Second))
}

// unauthenticated refuses with the same text for both.
func unauthenticated(format string, args ...any) *Refusal {
	text := fmt.Sprintf(format, args...)
	return &Refusal{Kind: ErrUnauthenticated, Caller: text, Audit: text}
}

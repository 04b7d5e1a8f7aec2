package fault

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/phoenix-platform/phoenix/control/access"
)

// ErrShuttingDown is the cause of the context of a request that the control
// plane ends because it shuts down itself.
var ErrShuttingDown = errors.New("the control plane is shutting down")

// Of returns the fault that an error is: the fault in its chain, what a refusal
// of access or the end of a context stands for, otherwise Internal with the error
// as its cause. It is nil for nil.
func Of(err error) *Fault {
	var (
		already *Fault
		refusal *access.Refusal
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return already
	case errors.As(err, &refusal):
		return ofRefusal(refusal)
	case errors.Is(err, ErrShuttingDown):
		return caused(Unavailable, ErrShuttingDown.Error(), err)
	case errors.Is(err, context.DeadlineExceeded):
		return caused(Timeout, "the answer took too long; ask for less, or try again", err)
	case errors.Is(err, context.Canceled):
		return caused(Unavailable, "the request was cancelled before it was answered", err)
	}
	switch status.Code(err) { // what sending over a stream returns
	case codes.Canceled:
		return caused(Unavailable, "the request was cancelled before it was answered", err)
	case codes.DeadlineExceeded:
		return caused(Timeout, "the answer took too long; ask for less, or try again", err)
	default:
		return caused(Internal, "the request could not be answered; the log of the collector says why", err)
	}
}

func caused(reason Reason, detail string, err error) *Fault {
	return &Fault{Reason: reason, Detail: detail, Cause: err}
}

func ofRefusal(r *access.Refusal) *Fault {
	f := &Fault{Reason: Forbidden, Detail: r.Caller, RetryAfter: r.RetryAfter, Cause: r}
	switch {
	case errors.Is(r, access.ErrUnauthenticated):
		f.Reason = Unauthenticated
	case errors.Is(r, access.ErrNotFound):
		f.Reason = NotFound
	case errors.Is(r, access.ErrRateLimited):
		f.Reason = RateLimited
	}
	return f
}

// Violated is the fault of a request with one mistake.
func Violated(field, description string) *Fault {
	return Violates(Violation{Field: field, Description: description})
}

// Violates is the fault of a request with mistakes.
func Violates(violations ...Violation) *Fault {
	return &Fault{Reason: Invalid, Detail: "the request is not accepted", Violations: violations}
}

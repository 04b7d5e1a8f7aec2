// Package fault is how a service says no. A fault is a gRPC status with standard
// details (google.rpc.ErrorInfo, BadRequest, RetryInfo), of which the REST door
// makes a problem (RFC 9457) with the HTTP status of its Reason. Its text is for
// whoever asked: it holds no secret and nothing about what they may not see.
package fault

import (
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
)

// Reason says what kind of refusal it is. It is stable: programs decide by it.
type Reason string

// The reasons.
const (
	Invalid            Reason = "INVALID"              // 400: the request is wrong, see the violations
	Unauthenticated    Reason = "UNAUTHENTICATED"      // 401
	Forbidden          Reason = "FORBIDDEN"            // 403
	NotFound           Reason = "NOT_FOUND"            // 404
	Exists             Reason = "EXISTS"               // 409: there is one already
	Conflict           Reason = "CONFLICT"             // 409: the state does not allow it
	NotPreviewed       Reason = "NOT_PREVIEWED"        // 409: enforcing needs a preview, or force
	PreconditionFailed Reason = "PRECONDITION_FAILED"  // 412: If-Match names another revision
	SlowRequest        Reason = "SLOW_REQUEST"         // 408: the body did not come in time
	TooLarge           Reason = "TOO_LARGE"            // 413
	UnsupportedMedia   Reason = "UNSUPPORTED_MEDIA"    // 415
	KeyReused          Reason = "KEY_REUSED"           // 422: Idempotency-Key came with another request
	RateLimited        Reason = "RATE_LIMITED"         // 429
	Internal           Reason = "INTERNAL"             // 500: a defect; the log says what
	Unavailable        Reason = "UNAVAILABLE"          // 503: try again later
	Timeout            Reason = "TIMEOUT"              // 503: took too long
	MethodNotAllowed   Reason = "METHOD_NOT_ALLOWED"   // 405
	MisdirectedRequest Reason = "MISDIRECTED_REQUEST"  // 421: asks for a host that is not this one
	CrossOriginRefused Reason = "CROSS_ORIGIN_REFUSED" // 403: a page of another origin sent it

	// Those of commands to experiments, called like experiment.RefusalCode, which
	// also has INVALID and CONFLICT.
	UnknownCommand   Reason = "UNKNOWN_COMMAND"    // 400: there is no such command
	Ended            Reason = "ENDED"              // 409: the experiment is over
	WrongPhase       Reason = "WRONG_PHASE"        // 409: the command has no meaning in the phase of the experiment
	Changed          Reason = "CHANGED"            // 409: the specification is not the one that the experiment was started with
	TooLate          Reason = "TOO_LATE"           // 409: the time of the experiment's schedule is over
	NotApproved      Reason = "NOT_APPROVED"       // 409: the experiment needs an approval first
	NotReady         Reason = "NOT_READY"          // 409: something keeps the experiment from being promoted
	NothingToApprove Reason = "NOTHING_TO_APPROVE" // 409: nothing of the experiment waits for an approval
)

var statuses = map[Reason]struct {
	http int
	grpc codes.Code
}{
	Invalid:            {http.StatusBadRequest, codes.InvalidArgument},
	Unauthenticated:    {http.StatusUnauthorized, codes.Unauthenticated},
	Forbidden:          {http.StatusForbidden, codes.PermissionDenied},
	NotFound:           {http.StatusNotFound, codes.NotFound},
	Exists:             {http.StatusConflict, codes.AlreadyExists},
	Conflict:           {http.StatusConflict, codes.FailedPrecondition},
	NotPreviewed:       {http.StatusConflict, codes.FailedPrecondition},
	PreconditionFailed: {http.StatusPreconditionFailed, codes.Aborted},
	SlowRequest:        {http.StatusRequestTimeout, codes.DeadlineExceeded},
	TooLarge:           {http.StatusRequestEntityTooLarge, codes.ResourceExhausted},
	UnsupportedMedia:   {http.StatusUnsupportedMediaType, codes.InvalidArgument},
	KeyReused:          {http.StatusUnprocessableEntity, codes.InvalidArgument},
	RateLimited:        {http.StatusTooManyRequests, codes.ResourceExhausted},
	Internal:           {http.StatusInternalServerError, codes.Internal},
	Unavailable:        {http.StatusServiceUnavailable, codes.Unavailable},
	Timeout:            {http.StatusServiceUnavailable, codes.DeadlineExceeded},
	MethodNotAllowed:   {http.StatusMethodNotAllowed, codes.Unimplemented},
	MisdirectedRequest: {http.StatusMisdirectedRequest, codes.PermissionDenied},
	CrossOriginRefused: {http.StatusForbidden, codes.PermissionDenied},
	UnknownCommand:     {http.StatusBadRequest, codes.InvalidArgument},
	Ended:              {http.StatusConflict, codes.FailedPrecondition},
	WrongPhase:         {http.StatusConflict, codes.FailedPrecondition},
	Changed:            {http.StatusConflict, codes.FailedPrecondition},
	TooLate:            {http.StatusConflict, codes.FailedPrecondition},
	NotApproved:        {http.StatusConflict, codes.FailedPrecondition},
	NotReady:           {http.StatusConflict, codes.FailedPrecondition},
	NothingToApprove:   {http.StatusConflict, codes.FailedPrecondition},
}

// Violation is one mistake in a request.
type Violation struct {
	// Field is the path of what is wrong, as it is written in JSON:
	// policy.spec.rules[0].match.metric, or the name of a header or parameter.
	Field string
	// Description says what is wrong with it and what is right.
	Description string
}

// Fault is a refusal.
type Fault struct {
	Reason Reason
	// Detail is a sentence that says what to do.
	Detail string
	// Violations are all mistakes of an Invalid request.
	Violations []Violation
	// Suggestions are names near an unknown one.
	Suggestions []string
	// RetryAfter is when to ask again, if that helps.
	RetryAfter time.Duration
	// Cause is for the log only.
	Cause error
}

// New returns a fault.
func New(reason Reason, detail string) *Fault { return &Fault{Reason: reason, Detail: detail} }

// Error is the detail.
func (f *Fault) Error() string { return f.Detail }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// HTTPStatus is the status of the REST door.
func (f *Fault) HTTPStatus() int {
	if s, known := statuses[f.Reason]; known {
		return s.http
	}
	return http.StatusInternalServerError
}

// Code is the status of the gRPC door.
func (f *Fault) Code() codes.Code {
	if s, known := statuses[f.Reason]; known {
		return s.grpc
	}
	return codes.Internal
}

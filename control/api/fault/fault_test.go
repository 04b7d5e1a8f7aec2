package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
)

func TestOfFindsWhatAnErrorStandsFor(t *testing.T) {
	mine := fault.New(fault.Exists, "there is one")
	defect := errors.New("defect")
	for want, err := range map[fault.Reason]error{
		fault.Exists:          fmt.Errorf("create: %w", mine),
		fault.Unauthenticated: &access.Refusal{Kind: access.ErrUnauthenticated, Caller: "who?"},
		fault.Forbidden:       &access.Refusal{Kind: access.ErrForbidden, Caller: "no"},
		fault.NotFound:        &access.Refusal{Kind: access.ErrNotFound, Caller: "not found"},
		fault.RateLimited:     fmt.Errorf("too often: %w", &access.Refusal{Kind: access.ErrRateLimited, Caller: "later", RetryAfter: time.Second}),
		fault.Timeout:         fmt.Errorf("ask: %w", context.DeadlineExceeded),
		fault.Unavailable:     fault.ErrShuttingDown,
		fault.Internal:        defect,
	} {
		got := fault.Of(err)
		assert.Equal(t, want, got.Reason, err)
	}
	assert.Same(t, mine, fault.Of(mine))
	assert.Nil(t, fault.Of(nil))
	assert.Equal(t, fault.Unavailable, fault.Of(context.Canceled).Reason)
	assert.Equal(t, fault.Unavailable, fault.Of(status.Error(codes.Canceled, "gone")).Reason)
	assert.Equal(t, fault.Timeout, fault.Of(status.Error(codes.DeadlineExceeded, "late")).Reason)
	require.ErrorIs(t, fault.Of(defect), defect)
	assert.NotContains(t, fault.Of(defect).Detail, "defect", "what went wrong inside is for the log")
}

// reasons are all that there are.
var reasons = []fault.Reason{
	fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Exists, fault.Conflict, fault.NotPreviewed,
	fault.PreconditionFailed, fault.SlowRequest, fault.TooLarge, fault.UnsupportedMedia, fault.KeyReused, fault.RateLimited, fault.Internal,
	fault.Unavailable, fault.Timeout, fault.MethodNotAllowed, fault.MisdirectedRequest, fault.CrossOriginRefused,
	fault.UnknownCommand, fault.Ended, fault.WrongPhase, fault.Changed, fault.TooLate, fault.NotApproved, fault.NotReady, fault.NothingToApprove,
}

func TestAStatusBecomesTheSameFault(t *testing.T) {
	for _, reason := range reasons {
		f := &fault.Fault{
			Reason: reason, Detail: "so it is", RetryAfter: 1500 * time.Millisecond, Suggestions: []string{"a, b", "c"},
			Violations: []fault.Violation{{Field: "a.b[0]", Description: "bad"}},
		}
		s := status.Convert(fmt.Errorf("wrapped: %w", f))
		assert.Equal(t, f.Code(), s.Code(), reason)
		assert.Equal(t, f, fault.FromStatus(fault.ToStatus(f)), reason)
		assert.GreaterOrEqual(t, f.HTTPStatus(), 400)
	}
	assert.Nil(t, fault.FromStatus(status.New(codes.OK, "")))
	assert.Equal(t, fault.NotFound, fault.FromStatus(status.New(codes.NotFound, "no")).Reason, "of others too")
	assert.Equal(t, fault.Internal, fault.FromStatus(status.New(codes.DataLoss, "no")).Reason)
	assert.Equal(t, codes.Internal, fault.New("NEW", "").Code())
	assert.Equal(t, http.StatusInternalServerError, fault.New("NEW", "").HTTPStatus())
}

func TestProblemsHoldOnlyUTF8(t *testing.T) {
	f := fault.Violated("a\xff", "is \xfe")
	f.Detail = "bad \xff"
	raw := fault.ToProblem(f, "/\xff", "r\xff").JSON()
	var p fault.Problem
	require.NoError(t, json.Unmarshal(raw, &p))
	assert.Equal(t, fault.Problem{
		Type: "urn:phoenix:problem:invalid", Title: "Bad Request", Status: 400, Detail: "bad \uFFFD", Instance: "/\uFFFD", RequestID: "r\uFFFD",
		Errors: []fault.FieldError{{Field: "a\uFFFD", Detail: "is \uFFFD"}},
	}, p)
	assert.Len(t, fault.ToStatus(f).Details(), 2, "a message of gRPC must be UTF-8 too")
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	for wait, want := range map[time.Duration]int64{0: 0, -time.Second: 0, time.Millisecond: 1, time.Second: 1, 1001 * time.Millisecond: 2} {
		assert.Equal(t, want, (&fault.Fault{RetryAfter: wait}).RetryAfterSeconds(), wait)
	}
}

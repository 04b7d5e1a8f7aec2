// Package service is what every service of the API needs: who may, what the
// audit log gets, how a change is made once, and which fault an error of the
// store is. The services themselves are below it, by resource; they implement
// the servers that are generated from the proto, and know no transport.
package service

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Core is shared by all services.
type Core struct {
	Store   store.Store
	Guard   *access.Guard
	Limiter *access.Limiter
	Events  *bus.Memory
	Logger  *zap.Logger
	// Now is the clock.
	Now func() time.Time
	// NotAudited is told of each refusal beyond what an address may put into the
	// audit log. Default: nobody is.
	NotAudited func(context.Context)
	// IdempotencyKept is how long the answer to a request with an Idempotency-Key
	// is repeated.
	IdempotencyKept time.Duration
}

// Authorize decides whether the caller may do something in a namespace, which
// is empty for what has none. A refusal is in the audit log when it returns.
func (c *Core) Authorize(ctx context.Context, v access.Verb, r access.Resource, namespace string) error {
	return c.Decide(ctx, v, r, namespace, c.Guard.Authorize(call.From(ctx).Principal, v, r, namespace))
}

// AuthorizeEach is Authorize for several verbs; the first refusal is the answer.
func (c *Core) AuthorizeEach(ctx context.Context, verbs []access.Verb, r access.Resource, namespace string) error {
	for _, v := range verbs {
		if err := c.Authorize(ctx, v, r, namespace); err != nil {
			return err
		}
	}
	return nil
}

// Decide makes a fault of a refusal and puts it into the audit log, as far as
// the caller's address may fill that.
func (c *Core) Decide(ctx context.Context, v access.Verb, r access.Resource, namespace string, d access.Decision) error {
	name := string(r)
	if namespace != "" {
		name += "/" + namespace
	}
	return c.DecideOn(ctx, v, r, namespace, name, d)
}

// DecideOn is Decide for one object, by the name that the audit log calls it.
func (c *Core) DecideOn(ctx context.Context, v access.Verb, r access.Resource, namespace, name string, d access.Decision) error {
	if d.Allowed() {
		return nil
	}
	entry := c.Entry(ctx, access.Action(r, v))
	entry.Outcome, entry.Namespace, entry.Resource = store.OutcomeRefused, clip(namespace), clip(name)
	entry.Detail = map[string]string{"reason": clip(d.Audit)}
	c.Refused(ctx, entry)
	return Fault(d.Err())
}

// auditTime bounds how long a refusal may take to be audited, when its request
// has ended already.
const auditTime = 5 * time.Second

// Refused puts a refusal into the audit log, unless its address fills that.
func (c *Core) Refused(ctx context.Context, e store.Entry) {
	unrecorded, err := c.Limiter.TakeRefusal(call.From(ctx).From, c.Now())
	if err != nil {
		if c.NotAudited != nil {
			c.NotAudited(ctx)
		}
		return
	}
	c.AuditRefusal(ctx, e, unrecorded)
}

// AuditRefusal is Refused for a transport that asked the limiter itself:
// unrecorded is how many refusals of the address before this one were too many
// for the audit log. If the store does not take it, the log of the collector
// gets it.
func (c *Core) AuditRefusal(ctx context.Context, e store.Entry, unrecorded uint64) {
	if unrecorded > 0 {
		detail := map[string]string{"unrecorded": strconv.FormatUint(unrecorded, 10)}
		maps.Copy(detail, e.Detail)
		e.Detail = detail
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTime)
	defer cancel()
	err := c.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.AppendAudit(ctx, e)
		return err
	})
	if err != nil {
		c.Logger.Error("A refusal could not be audited", zap.Error(err), zap.String("principal", e.Principal),
			zap.String("action", e.Action), zap.String("origin", e.Origin), zap.Any("detail", e.Detail))
	}
}

// Entry begins an audit entry for what the caller does.
func (c *Core) Entry(ctx context.Context, action string) store.Entry {
	who := call.From(ctx)
	return store.Entry{
		Principal: clip(who.Principal.Name()), Action: action, Origin: clip(who.Origin), RequestID: clip(who.RequestID),
	}
}

// clip makes a text that the store takes. Names of principals come from tokens,
// and what is refused from anywhere.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.MaxRune {
			return utf8.RuneError
		}
		return r // also for each byte that is no UTF-8, as RuneError
	}, s)
	if len(s) > store.MaxText {
		s = strings.ToValidUTF8(s[:store.MaxText], "")
	}
	return s
}

// Fault returns the fault that an error of access or store is. A fault is
// returned as it is, and an unknown error is Internal with it as the cause.
func Fault(err error) error {
	var (
		already *fault.Fault
		refusal *access.Refusal
		invalid *store.InvalidError
	)
	caused := func(reason fault.Reason, detail string) error {
		f := fault.New(reason, detail)
		f.Cause = err
		return f
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return already
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.As(err, &invalid):
		f := fault.New(fault.Invalid, "the request is not accepted")
		f.Violations = []fault.Violation{{Field: invalid.Field, Description: invalid.Reason}}
		return f
	case errors.Is(err, store.ErrNotFound):
		return caused(fault.NotFound, access.ErrNotFound.Error())
	case errors.Is(err, store.ErrExists):
		return caused(fault.Exists, "it exists already; change it, or choose another name")
	case errors.Is(err, store.ErrConflict):
		return caused(fault.PreconditionFailed, "somebody changed it meanwhile: get it again, and repeat the change with its present etag")
	case errors.Is(err, store.ErrUncertain):
		return caused(fault.Unavailable, "it is not known whether the change was made: look before you repeat it")
	case errors.Is(err, context.DeadlineExceeded):
		return caused(fault.Timeout, "the answer took too long; ask for less, or try again")
	case errors.Is(err, context.Canceled):
		return caused(fault.Unavailable, "the request was cancelled before it was answered")
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed):
		f := fault.New(fault.Unavailable, "the store does not answer; the data path goes on with the last policies. Try again")
		f.Cause, f.RetryAfter = err, time.Second
		return f
	default:
		return caused(fault.Internal, "the request could not be answered; the log of the collector says why")
	}
}

func refused(r *access.Refusal) error {
	f := &fault.Fault{Reason: fault.Forbidden, Detail: r.Caller, RetryAfter: r.RetryAfter, Cause: r}
	switch {
	case errors.Is(r, access.ErrUnauthenticated):
		f.Reason = fault.Unauthenticated
	case errors.Is(r, access.ErrNotFound):
		f.Reason = fault.NotFound
	case errors.Is(r, access.ErrRateLimited):
		f.Reason = fault.RateLimited
	}
	return f
}

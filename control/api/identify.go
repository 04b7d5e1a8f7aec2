package api

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// once are headers that say one thing.
var once = []string{"Authorization", "If-Match", "Idempotency-Key", "Last-Event-Id", headerRequestID, "Content-Type"}

// checkHeaders refuses what no service should see: a request for another host,
// one that a page of another origin sent, headers that contradict each other.
func (x *exchange) checkHeaders() *fault.Fault {
	if err := x.server.Exposure.CheckHost(x.r.Host); err != nil {
		f := fault.New(fault.MisdirectedRequest, err.Error())
		f.Cause = err
		refusal := &access.Refusal{}
		if errors.As(err, &refusal) {
			if limited := x.tell(refusal); limited != nil {
				return limited
			}
		}
		return f
	}
	if err := x.server.origins.Check(x.r); err != nil {
		refusal := &access.Refusal{
			Kind: access.ErrForbidden, Caller: "a page of another origin may not do that", Audit: "cross-origin request: " + err.Error(),
		}
		if limited := x.tell(refusal); limited != nil {
			return limited
		}
		return &fault.Fault{Reason: fault.CrossOriginRefused, Detail: refusal.Caller, Cause: refusal}
	}
	for _, name := range once {
		if len(x.r.Header.Values(name)) > 1 {
			return fault.Violated(name, "is given more than once")
		}
	}
	return nil
}

// identify finds out who sends the request. It takes no longer than an answer
// may, also for streams.
func (x *exchange) identify(ctx context.Context) *fault.Fault {
	ctx, cancel := context.WithTimeout(ctx, x.server.Timeout)
	defer cancel()
	principal, err := x.principal(ctx)
	if err == nil {
		x.call.Principal = principal
		if principal.Kind == access.KindAPIKey {
			x.server.Touch(principal.ID)
		}
		return nil
	}
	refusal := &access.Refusal{}
	switch {
	case errors.As(err, &refusal):
		if limited := x.tell(refusal); limited != nil {
			return limited
		}
		return fault.Of(refusal)
	case ctx.Err() != nil:
		return fault.Of(context.Cause(ctx))
	}
	return &fault.Fault{
		Reason: fault.Unavailable, Detail: "it cannot be found out who asks: the store does not answer. Try again",
		RetryAfter: time.Second, Cause: err,
	}
}

func (x *exchange) principal(ctx context.Context) (access.Principal, error) {
	s := x.server
	var c access.Credentials
	if x.r.TLS != nil && len(x.r.TLS.VerifiedChains) > 0 {
		c.Certificate = x.r.TLS.VerifiedChains[0][0]
	}
	authorization := x.r.Header.Get("Authorization")
	if key, found := access.KeyIn(authorization); found {
		c.Key = key
	} else if err := x.authenticate(ctx, &c, authorization, c.Certificate); err != nil {
		return access.Principal{}, err
	}
	return s.Guard.Identify(ctx, c, s.Exposure, s.Keys, s.Now())
}

// authenticate asks the authentication extension. Who brings a certificate and
// no Authorization header is known by that.
func (x *exchange) authenticate(ctx context.Context, c *access.Credentials, authorization string, certificate *x509.Certificate) error {
	if x.server.Authenticate == nil {
		return nil
	}
	id, data, err := x.server.Authenticate(x.r.WithContext(ctx))
	if err == nil {
		c.Authenticator, c.Auth = id, data
		return nil
	}
	if authorization == "" && certificate != nil {
		return nil
	}
	return &access.Refusal{
		Kind: access.ErrUnauthenticated, Caller: "the credentials are not accepted: give an API key, or a token that is valid now",
		Audit: access.Redact("the authentication extension: " + err.Error()),
	}
}

// tell hands a refusal to the audit log. If the address sends too many, it
// returns what is answered instead.
func (x *exchange) tell(r *access.Refusal) *fault.Fault {
	unrecorded, err := x.server.Limiter.TakeRefusal(x.call.From, x.server.Now())
	if err != nil {
		x.server.NotAudited(x.ctx)
		return fault.Of(err)
	}
	x.server.Refused(x.ctx, r, unrecorded)
	return nil
}

// take takes the request out of its principal's limits.
func (x *exchange) take(v access.Verb) *fault.Fault {
	return fault.Of(x.server.Limiter.Take(x.call.Principal, x.call.From, v, x.server.Now()))
}

// bound bounds how long reading the request and writing the answer may take. A
// server that bounds its requests itself is left to it.
func (x *exchange) bound() {
	server, _ := x.ctx.Value(http.ServerContextKey).(*http.Server)
	c := http.NewResponseController(x.w)
	if server == nil || server.ReadTimeout <= 0 {
		_ = c.SetReadDeadline(time.Now().Add(x.server.Timeout)) // a test's ResponseRecorder has none
	}
	if server == nil || server.WriteTimeout <= 0 {
		_ = c.SetWriteDeadline(time.Now().Add(2 * x.server.Timeout))
	}
}

// wasRead lifts the bound on reading: in HTTP/1 it would end the context of a
// request that takes longer to answer.
func (x *exchange) wasRead() {
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Time{}) // as above
}

// unbound lets a stream go on.
func (x *exchange) unbound() {
	c := http.NewResponseController(x.w)
	_ = c.SetReadDeadline(time.Time{}) // as above
	_ = c.SetWriteDeadline(time.Time{})
}

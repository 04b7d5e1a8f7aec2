package service

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Change runs a change in one transaction and translates its error.
func (c *Core) Change(ctx context.Context, change func(context.Context, store.Tx) error) error {
	return Fault(c.Store.Write(ctx, change))
}

// Once runs a change that creates something in one transaction. If the call has
// an Idempotency-Key that came before with the same request, the change is not
// run again and the answer is the one of then, in the form that keep gave it:
// keep returns what may be stored, which is answer without its secrets. The
// method is the full name of the RPC, so that a key names one request.
func Once[M proto.Message](ctx context.Context, c *Core, method string, request proto.Message, keep func(M) M, change func(context.Context, store.Tx) (M, error)) (answer M, repeated bool, err error) {
	who := call.From(ctx)
	if who.IdempotencyKey == "" {
		err = c.Change(ctx, func(ctx context.Context, tx store.Tx) (err error) {
			answer, err = change(ctx, tx)
			return err
		})
		return answer, false, err
	}
	key := store.IdempotencyKey{Principal: clip(who.Principal.Name()), Key: who.IdempotencyKey}
	if err := store.CheckName("Idempotency-Key", key.Key, true); err != nil {
		return answer, false, Fault(err)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return answer, false, Fault(err)
	}
	digest := store.SumSHA256(append([]byte(method+"\x00"), raw...))
	err = c.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		earlier, err := tx.GetResponse(ctx, key, digest)
		switch {
		case err == nil:
			repeated = true
			answer = answer.ProtoReflect().Type().New().Interface().(M)
			return proto.Unmarshal(earlier.Body, answer)
		case errors.Is(err, store.ErrConflict):
			return fault.New(fault.KeyReused, "this Idempotency-Key came before with another request: use a new key for a new request")
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if answer, err = change(ctx, tx); err != nil {
			return err
		}
		body, err := proto.Marshal(keep(answer))
		if err != nil {
			return err
		}
		return tx.SaveResponse(ctx, store.Response{
			IdempotencyKey: key, Request: digest, Body: body, ExpiresAt: c.Now().Add(c.IdempotencyKept),
		})
	})
	return answer, repeated, Fault(err)
}

// ETag is how a revision is called in an etag.
func ETag(r store.Revision) string { return `"` + strconv.FormatInt(int64(r), 10) + `"` }

// Condition is what If-Match demands: Any if it is absent or *. A weak etag, or
// one that is not ours, can match nothing.
func Condition(ctx context.Context) (store.Revision, error) {
	text := strings.TrimSpace(call.From(ctx).IfMatch)
	if text == "" || text == "*" {
		return store.Any, nil
	}
	if revision, ours := revisionOf(text); ours {
		return revision, nil
	}
	return 0, fault.New(fault.PreconditionFailed,
		"If-Match is no etag of this resource: get it again, and repeat the change with its present etag")
}

// ConditionOr is what If-Match demands, or else the etag in the body: who sends
// back what they got means that state.
func ConditionOr(ctx context.Context, etag string) (store.Revision, error) {
	if etag == "" || strings.TrimSpace(call.From(ctx).IfMatch) != "" {
		return Condition(ctx)
	}
	if revision, ours := revisionOf(strings.TrimSpace(etag)); ours { // * is no etag
		return revision, nil
	}
	return 0, fault.New(fault.PreconditionFailed,
		"the etag in the body is none of this resource: get it again, and repeat the change with its present etag, or without one")
}

// revisionOf reads what ETag wrote, also without its quotes.
func revisionOf(etag string) (revision store.Revision, ours bool) {
	plain := etag
	if len(etag) > 2 && etag[0] == '"' && etag[len(etag)-1] == '"' {
		plain = etag[1 : len(etag)-1]
	}
	n, err := strconv.ParseInt(plain, 10, 64)
	return store.Revision(n), err == nil && n > 0 && strconv.FormatInt(n, 10) == plain
}

package experiments

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// repetition finds out whether a call with an Idempotency-Key came before. It is
// service.Once for a transaction that the conductor runs; nil is of a call
// without such a key.
type repetition struct {
	core    *service.Core
	key     store.IdempotencyKey
	request store.Digest
}

func (s *Service) repetition(ctx context.Context, o order) (*repetition, error) {
	who := call.From(ctx)
	if who.IdempotencyKey == "" {
		return nil, nil
	}
	if err := store.CheckName("Idempotency-Key", who.IdempotencyKey, true); err != nil {
		return nil, service.Fault(err)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(o.request)
	if err != nil {
		return nil, service.Fault(err)
	}
	principal := s.core.Entry(ctx, access.Action(access.Experiments, o.verb)).Principal
	return &repetition{
		core: s.core, key: store.IdempotencyKey{Principal: principal, Key: who.IdempotencyKey},
		request: store.SumSHA256(append([]byte(o.method+"\x00"), raw...)),
	}, nil
}

// earlier is the answer of then, nil if there was none.
func (r *repetition) earlier(ctx context.Context) (answer *phoenixv1.Experiment, err error) {
	if r == nil {
		return nil, nil
	}
	err = r.core.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		response, err := tx.GetResponse(ctx, r.key, r.request)
		if errors.Is(err, store.ErrNotFound) {
			return errOnlyLooked
		}
		if err != nil {
			return err
		}
		answer = &phoenixv1.Experiment{}
		if err := proto.Unmarshal(response.Body, answer); err != nil {
			return err
		}
		return errOnlyLooked
	})
	switch {
	case errors.Is(err, errOnlyLooked):
		return answer, nil
	case errors.Is(err, store.ErrConflict):
		return nil, fault.New(fault.KeyReused, "this Idempotency-Key came before with another request: use a new key for a new request")
	}
	return nil, err
}

// keep stores an answer within the transaction that does what it says.
func (r *repetition) keep(ctx context.Context, tx store.Tx, answer *phoenixv1.Experiment) error {
	if r == nil {
		return nil
	}
	body, err := proto.Marshal(answer)
	if err != nil {
		return err
	}
	return tx.SaveResponse(ctx, store.Response{
		IdempotencyKey: r.key, Request: r.request, Body: body, ExpiresAt: r.core.Now().Add(r.core.IdempotencyKept),
	})
}

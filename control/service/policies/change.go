package policies

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// change is something to be done to a policy that is there.
type change struct {
	verb  access.Verb
	key   store.PolicyKey
	force bool
	// etag is that of the body. It is the condition if there is no If-Match.
	etag string
	// becomes is the state after it. It may look things up.
	becomes func(context.Context, store.Tx, store.Policy) (store.PolicyState, error)
	// safe refuses what must not happen, with a fault.
	safe func(context.Context, store.Tx, store.Policy) error
	// write makes the change.
	write func(context.Context, store.Tx, store.Policy, store.Entry) (store.Policy, error)
	// missing makes it of a policy that is not there. Default: it is not found.
	missing func(context.Context, store.Tx, store.Entry) (store.Policy, error)
	// detail goes to the audit log and to the event.
	detail map[string]string
	// event is its type and message what became of the policy.
	event, message string
}

// becomes is for changes whose state is known beforehand; empty: it stays.
func becomes(state store.PolicyState) func(context.Context, store.Tx, store.Policy) (store.PolicyState, error) {
	return func(_ context.Context, _ store.Tx, before store.Policy) (store.PolicyState, error) {
		if state == "" {
			return before.State, nil
		}
		return state, nil
	}
}

// refusedError is a refusal that is not in the audit log yet: within a
// transaction nothing else can be written.
type refusedError struct {
	verb     access.Verb
	decision access.Decision
}

func (r *refusedError) Error() string { return r.decision.Caller }
func (r *refusedError) Unwrap() error { return r.decision.Err() }

// may decides within a transaction.
func (s *Service) may(ctx context.Context, verbs []access.Verb, namespace string) error {
	for _, v := range verbs {
		if d := s.core.Guard.Authorize(call.From(ctx).Principal, v, access.Policies, namespace); !d.Allowed() {
			return &refusedError{verb: v, decision: d}
		}
	}
	return nil
}

// told puts a refusal into the audit log and returns the fault of any error.
func (s *Service) told(ctx context.Context, c change, err error) error {
	var (
		refused *refusedError
		f       *fault.Fault
	)
	switch {
	case errors.As(err, &refused):
		return s.core.DecideOn(ctx, refused.verb, access.Policies, c.key.Namespace, c.key.Resource(), refused.decision)
	case errors.As(err, &f) && f.Reason == fault.NotPreviewed:
		// The safeguard that keeps a number right: who ran into it is worth knowing.
		entry := s.core.Entry(ctx, access.Action(access.Policies, c.verb))
		entry.Outcome, entry.Namespace, entry.Resource = store.OutcomeRefused, c.key.Namespace, c.key.Resource()
		entry.Detail = map[string]string{"reason": f.Detail}
		s.core.Refused(ctx, entry)
	}
	return service.Fault(err)
}

// change authorizes, changes, publishes and tells. Who may do it depends on the
// state of the policy, so that the verb is decided before the policy is looked
// up, and the rest within the transaction.
func (s *Service) change(ctx context.Context, c change) (*phoenixv1.Policy, error) {
	before, after, err := s.commit(ctx, c)
	if err != nil {
		return nil, err
	}
	if after.Revision != before.Revision {
		s.publish(ctx, after)
		s.announce(ctx, c, after)
		s.await(before, after)
	}
	if after.State == store.StateDeleted {
		return nil, nil
	}
	return s.present(ctx, after)
}

func (s *Service) commit(ctx context.Context, c change) (before, after store.Policy, err error) {
	verbs := access.PolicyChange{Verb: c.verb, Forced: c.force}.Verbs()
	if err := s.core.AuthorizeEach(ctx, verbs, access.Policies, c.key.Namespace); err != nil {
		return before, after, err
	}
	condition, err := service.ConditionOr(ctx, c.etag)
	if err != nil {
		return before, after, err
	}
	err = s.core.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		before, err = get(ctx, tx, c.key)
		if errors.Is(err, store.ErrNotFound) && c.missing != nil && condition == store.Any {
			after, err = c.missing(ctx, tx, s.entry(ctx, c, before))
			return err
		}
		if err != nil {
			return err
		}
		if err := s.allow(ctx, tx, c, before, condition); err != nil {
			return err
		}
		after, err = c.write(ctx, tx, before, s.entry(ctx, c, before))
		return err
	})
	if err != nil {
		return before, after, s.told(ctx, c, err)
	}
	return before, after, nil
}

// allow refuses a change by who asks, by If-Match, and by what is unsafe, in
// this order: who may not change a policy does not learn more about it.
func (s *Service) allow(ctx context.Context, tx store.Tx, c change, before store.Policy, condition store.Revision) error {
	state, err := c.becomes(ctx, tx, before)
	if err != nil {
		return err
	}
	verbs := access.PolicyChange{
		Verb: c.verb, Forced: c.force,
		WasEnforced: before.State == store.StateEnforced, WillBeEnforced: state == store.StateEnforced,
	}.Verbs()
	if err := s.may(ctx, verbs, c.key.Namespace); err != nil {
		return err
	}
	if condition != store.Any && condition != before.Revision {
		return &store.ConflictError{Resource: before.Resource(), Present: before.Revision}
	}
	if c.safe == nil {
		return nil
	}
	return c.safe(ctx, tx, before)
}

// details are those of the audit entry and the event, for the caller to add to.
func (c *change) details() map[string]string {
	d := map[string]string{}
	maps.Copy(d, c.detail)
	if c.force {
		d["force"] = "true"
	}
	return d
}

func (s *Service) entry(ctx context.Context, c change, before store.Policy) store.Entry {
	e := s.core.Entry(ctx, access.Action(access.Policies, c.verb))
	e.Detail = c.details()
	if before.State != "" {
		e.Detail["state_before"] = string(before.State)
	}
	return e
}

// announce publishes the event of a change.
func (s *Service) announce(ctx context.Context, c change, after store.Policy) {
	detail := c.details()
	detail["revision"], detail["state"] = strconv.FormatInt(int64(after.Revision), 10), string(after.State)
	message := fmt.Sprintf("The policy %s/%s %s", after.Namespace, after.Name, c.message)
	s.tell(ctx, c.event, message, after, detail)
}

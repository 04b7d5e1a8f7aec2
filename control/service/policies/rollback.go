package policies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/store"
)

// RollbackPolicy makes a new revision of an old one. One that was enforced is
// enforced again without a preview if it proved itself: see proven.
func (s *Service) RollbackPolicy(ctx context.Context, req *phoenixv1.RollbackPolicyRequest) (*phoenixv1.Policy, error) {
	k, to := key(req.GetNamespace(), req.GetName()), store.Revision(req.GetRevision())
	c := change{
		verb: access.Rollback, key: k, event: "policy.rolled_back", message: fmt.Sprintf("was rolled back to revision %d", to),
		detail: map[string]string{"rolled_back_to": revisionDetail(to)},
	}
	window := s.window(s.view(ctx).reports)
	old := func(ctx context.Context, tx store.Tx) (store.PolicyRevision, error) {
		var m mistakes
		if to < 1 {
			m.add("revision", "must be given, and is 1 or more")
			return store.PolicyRevision{}, m.err()
		}
		r, err := tx.GetPolicyRevision(ctx, k, to)
		if err == nil && r.State == store.StateDeleted {
			m.add("revision", "revision %d is a deletion, which has no content to go back to", to)
			err = m.err()
		}
		return r, err
	}
	c.becomes = func(ctx context.Context, tx store.Tx, _ store.Policy) (store.PolicyState, error) {
		r, err := old(ctx, tx)
		return r.State, err
	}
	c.safe = func(ctx context.Context, tx store.Tx, before store.Policy) error {
		r, err := old(ctx, tx)
		if err != nil || !inForce(r.State) {
			return err
		}
		if err := s.publishable(k, r.Spec); err != nil || r.State != store.StateEnforced || unchanged(before, r) {
			return err
		}
		return s.proven(ctx, tx, r, window)
	}
	c.write = func(ctx context.Context, tx store.Tx, before store.Policy, e store.Entry) (store.Policy, error) {
		return tx.RollbackPolicy(ctx, store.PolicyRollback{PolicyKey: k, If: before.Revision, To: to}, e)
	}
	c.missing = func(ctx context.Context, tx store.Tx, e store.Entry) (store.Policy, error) {
		if k.Check() != nil {
			return store.Policy{}, store.ErrNotFound
		}
		r, err := old(ctx, tx)
		if err != nil {
			return store.Policy{}, err
		}
		if err := s.allow(ctx, tx, c, store.Policy{PolicyKey: k}, store.Any); err != nil {
			return store.Policy{}, err
		}
		return tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: k, Spec: r.Spec, State: r.State, RolledBackTo: to}, e)
	}
	return s.change(ctx, c)
}

// unchanged says that a policy is enforced and does what a revision did.
func unchanged(p store.Policy, r store.PolicyRevision) bool {
	return p.State == store.StateEnforced && effectDigest(p.Spec, p.SpecSHA256) == effectDigest(r.Spec, r.SpecSHA256)
}

// proven refuses to enforce an old revision again that neither was in force for
// a window, nor came from a preview that lasted one: force enforced it, and
// whoever rolls back has no force.
func (s *Service) proven(ctx context.Context, from store.PolicyReader, target store.PolicyRevision, window time.Duration) error {
	digest := effectDigest(target.Spec, target.SpecSHA256)
	same := func(r store.PolicyRevision) bool {
		return r.State == store.StateEnforced && effectDigest(r.Spec, r.SpecSHA256) == digest
	}
	began, before, err := run(ctx, from, target, -1, same)
	if err != nil {
		return err
	}
	_, after, err := run(ctx, from, target, +1, same)
	if err != nil {
		return err
	}
	ended := s.core.Now()
	if after.Revision != 0 {
		ended = after.At
	}
	if ended.Sub(began.At) >= window {
		return nil
	}
	rules := rulesDigest(store.Policy{Spec: target.Spec, SpecSHA256: target.SpecSHA256})
	previewed := func(r store.PolicyRevision) bool {
		return r.State == store.StatePreview && rulesDigest(store.Policy{Spec: r.Spec, SpecSHA256: r.SpecSHA256}) == rules
	}
	if before.Revision != 0 && previewed(before) {
		first, _, err := run(ctx, from, before, -1, previewed)
		if err != nil || began.At.Sub(first.At) >= window {
			return err
		}
	}
	return fault.New(fault.NotPreviewed, fmt.Sprintf("revision %d was not enforced for %s, nor were its rules in preview for so long before: "+
		"roll back to a revision in preview, or to a draft and preview it, and enforce it then", target.Revision, window))
}

// run follows the revisions of a policy from one on, down or up by step, as long
// as they are alike. It returns the last of them and the one that follows, which
// is zero if there is none.
func run(ctx context.Context, from store.PolicyReader, r store.PolicyRevision, step store.Revision, alike func(store.PolicyRevision) bool) (last, next store.PolicyRevision, err error) {
	for last = r; ; last = next {
		if last.Revision+step < 1 {
			return last, store.PolicyRevision{}, nil
		}
		next, err = from.GetPolicyRevision(ctx, r.PolicyKey, last.Revision+step)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return last, store.PolicyRevision{}, nil
		case err != nil || !alike(next):
			return last, next, err
		}
	}
}

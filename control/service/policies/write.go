package policies

import (
	"context"
	"errors"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// CreatePolicy creates a policy as a draft or in preview.
func (s *Service) CreatePolicy(ctx context.Context, req *phoenixv1.CreatePolicyRequest) (*phoenixv1.Policy, error) {
	k := key(req.GetPolicy().GetNamespace(), req.GetPolicy().GetName())
	verbs, state := []access.Verb{access.Create}, store.StateDraft
	if req.GetPreview() {
		verbs, state = append(verbs, access.Preview), store.StatePreview
	}
	if err := s.core.AuthorizeEach(ctx, verbs, access.Policies, k.Namespace); err != nil {
		return nil, err
	}
	condition, err := service.Condition(ctx)
	if err != nil {
		return nil, err
	}
	if condition != store.Any {
		return nil, fault.New(fault.PreconditionFailed, "a policy that is yet to be created has no etag: leave If-Match out")
	}
	d, err := s.check(req.GetPolicy())
	if err != nil {
		return nil, service.Fault(err)
	}
	warnings := s.overlaps(ctx, d)
	if req.GetValidateOnly() {
		return s.wouldCreate(ctx, d, state, warnings)
	}
	c := change{verb: access.Create, key: k, event: "policy.created", message: "was created"}
	if req.GetPreview() {
		c.message = "was created in preview"
	}
	c.detail = map[string]string{"state": string(state)}
	var created store.Policy
	answer, repeated, err := service.Once(ctx, s.core, phoenixv1.Policies_CreatePolicy_FullMethodName, req, itself,
		func(ctx context.Context, tx store.Tx) (*phoenixv1.Policy, error) {
			var err error
			created, err = tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: k, Spec: d.text, State: state}, s.entry(ctx, c, created))
			if err != nil {
				return nil, err
			}
			wire := wirePolicy(created, sinceCreation(created))
			wire.Status = &phoenixv1.PolicyStatus{Warnings: warnings}
			return wire, nil
		})
	if err != nil || repeated {
		return answer, err
	}
	s.publish(ctx, created)
	s.announce(ctx, c, created)
	s.await(store.Policy{}, created)
	answer.Status = s.view(ctx).status(created, rolesOf(answer.GetSpec()))
	answer.Status.Warnings = append(answer.Status.Warnings, warnings...)
	return answer, nil
}

// itself is what may be stored of an answer that has no secrets.
func itself(p *phoenixv1.Policy) *phoenixv1.Policy { return p }

// wouldCreate is the answer if nothing is to be stored.
func (s *Service) wouldCreate(ctx context.Context, d draft, state store.PolicyState, warnings []string) (*phoenixv1.Policy, error) {
	_, err := s.core.Store.GetPolicy(ctx, d.key)
	if err == nil {
		err = store.ErrExists
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, service.Fault(err)
	}
	return &phoenixv1.Policy{
		Namespace: d.key.Namespace, Name: d.key.Name, Spec: wireSpec(d.text), State: string(state),
		SpecSha256: store.SumSHA256(d.text).String(), Status: &phoenixv1.PolicyStatus{Warnings: warnings},
	}, nil
}

// UpdatePolicy replaces the specification of a policy.
func (s *Service) UpdatePolicy(ctx context.Context, req *phoenixv1.UpdatePolicyRequest) (*phoenixv1.Policy, error) {
	c := change{
		verb: access.Update, key: key(req.GetPolicy().GetNamespace(), req.GetPolicy().GetName()), force: req.GetForce(),
		etag: req.GetPolicy().GetEtag(), becomes: becomes(""), event: "policy.updated", message: "was updated",
	}
	// The mistakes of a request are told to those only who may make it.
	verbs := access.PolicyChange{Verb: c.verb, Forced: c.force}.Verbs()
	if err := s.core.AuthorizeEach(ctx, verbs, access.Policies, c.key.Namespace); err != nil {
		return nil, err
	}
	d, err := s.check(req.GetPolicy())
	if err != nil {
		return nil, service.Fault(err)
	}
	c.safe = func(_ context.Context, _ store.Tx, before store.Policy) error {
		if before.State != store.StateEnforced || req.GetForce() {
			return nil
		}
		return sameEffect(before, d.spec)
	}
	c.write = func(ctx context.Context, tx store.Tx, before store.Policy, e store.Entry) (store.Policy, error) {
		return tx.UpdatePolicy(ctx, store.PolicyUpdate{PolicyKey: c.key, If: before.Revision, Spec: d.text}, e)
	}
	warnings := s.overlaps(ctx, d)
	if req.GetValidateOnly() {
		return s.wouldUpdate(ctx, c, d, warnings)
	}
	answer, err := s.change(ctx, c)
	if err != nil {
		return nil, err
	}
	answer.Status.Warnings = append(answer.Status.Warnings, warnings...)
	return answer, nil
}

// sameEffect refuses to change what an enforced policy does.
func sameEffect(before store.Policy, spec publish.Spec) error {
	switch {
	case rulesDigest(before) != spec.RulesDigest():
		return fault.New(fault.NotPreviewed, "the policy is enforced and these rules were not previewed: "+
			"create a policy of another name with them, preview and enforce that one, and delete this one; or use force")
	case effectDigest(before.Spec, before.SpecSHA256) != spec.EffectDigest():
		return fault.New(fault.NotPreviewed, "the policy is enforced and another priority changes which rules apply: "+
			"create a policy of another name with it, preview and enforce that one, and delete this one; or use force")
	}
	return nil
}

// errOnlyLooked ends a transaction that must not write.
var errOnlyLooked = errors.New("nothing is to be written")

// wouldUpdate is the answer if nothing is to be stored: all is decided as if.
func (s *Service) wouldUpdate(ctx context.Context, c change, d draft, warnings []string) (*phoenixv1.Policy, error) {
	var before store.Policy
	c.write = func(_ context.Context, _ store.Tx, present store.Policy, _ store.Entry) (store.Policy, error) {
		before = present
		return present, errOnlyLooked
	}
	if _, _, err := s.commit(ctx, c); !errors.Is(err, errOnlyLooked) {
		return nil, err
	}
	answer, err := s.present(ctx, before)
	if err != nil {
		return nil, err
	}
	answer.Spec, answer.SpecSha256 = wireSpec(d.text), store.SumSHA256(d.text).String()
	if rulesDigest(before) != d.spec.RulesDigest() && answer.GetPreviewedSince() != nil {
		answer.PreviewedSince = timestamppb.New(s.core.Now()) // a preview of other rules begins anew
	}
	answer.Status.Warnings = append(answer.Status.Warnings, warnings...)
	return answer, nil
}

// rulesDigest is the hash of the rules of a policy. What cannot be read is its
// own.
func rulesDigest(p store.Policy) store.Digest {
	spec, err := publish.DecodeSpec(p.Spec)
	if err != nil {
		return p.SpecSHA256
	}
	return spec.RulesDigest()
}

// effectDigest is rulesDigest with the priority.
func effectDigest(text []byte, sum store.Digest) store.Digest {
	spec, err := publish.DecodeSpec(text)
	if err != nil {
		return sum
	}
	return spec.EffectDigest()
}

// DeletePolicy deletes a policy.
func (s *Service) DeletePolicy(ctx context.Context, req *phoenixv1.DeletePolicyRequest) (*phoenixv1.DeletePolicyResponse, error) {
	c := change{
		verb: access.Delete, key: key(req.GetNamespace(), req.GetName()), becomes: becomes(store.StateDeleted),
		event: "policy.deleted", message: "was deleted",
	}
	c.write = func(ctx context.Context, tx store.Tx, before store.Policy, e store.Entry) (store.Policy, error) {
		if err := tx.DeletePolicy(ctx, c.key, before.Revision, e); err != nil {
			return store.Policy{}, err
		}
		r, err := tx.GetPolicyRevision(ctx, c.key, before.Revision+1)
		after := before
		after.State, after.Revision, after.Version = r.State, r.Revision, r.Version
		return after, err
	}
	if _, err := s.change(ctx, c); err != nil {
		return nil, err
	}
	return &phoenixv1.DeletePolicyResponse{}, nil
}

// revisionDetail is how audit log and events name a revision.
func revisionDetail(r store.Revision) string { return strconv.FormatInt(int64(r), 10) }

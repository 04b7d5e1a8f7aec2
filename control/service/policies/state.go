package policies

import (
	"context"
	"strings"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// setState returns the change of the state of a policy.
func (s *Service) setState(verb access.Verb, k store.PolicyKey, state store.PolicyState, event, message string) change {
	return change{
		verb: verb, key: k, becomes: becomes(state), event: event, message: message,
		detail: map[string]string{"state": string(state)},
		write: func(ctx context.Context, tx store.Tx, before store.Policy, e store.Entry) (store.Policy, error) {
			return tx.UpdatePolicy(ctx, store.PolicyUpdate{PolicyKey: k, If: before.Revision, State: state}, e)
		},
	}
}

// PreviewPolicy measures what the policy would save.
func (s *Service) PreviewPolicy(ctx context.Context, req *phoenixv1.PreviewPolicyRequest) (*phoenixv1.Policy, error) {
	c := s.setState(access.Preview, key(req.GetNamespace(), req.GetName()), store.StatePreview, "policy.previewed", "is previewed")
	c.safe = func(_ context.Context, _ store.Tx, before store.Policy) error {
		return s.publishable(before.PolicyKey, before.Spec)
	}
	return s.withOverlaps(ctx, c)
}

// EnforcePolicy applies the policy from the next interval edge on.
func (s *Service) EnforcePolicy(ctx context.Context, req *phoenixv1.EnforcePolicyRequest) (*phoenixv1.Policy, error) {
	c := s.setState(access.Enforce, key(req.GetNamespace(), req.GetName()), store.StateEnforced, "policy.enforced", "is enforced")
	c.force = req.GetForce()
	view := s.view(ctx)
	window := s.window(view.reports)
	c.safe = func(ctx context.Context, tx store.Tx, before store.Policy) error {
		if before.State == store.StateEnforced {
			return nil
		}
		if err := s.publishable(before.PolicyKey, before.Spec); err != nil || c.force {
			return err
		}
		return s.previewed(ctx, tx, view, before, window)
	}
	return s.withOverlaps(ctx, c)
}

// DisablePolicy turns the policy off.
func (s *Service) DisablePolicy(ctx context.Context, req *phoenixv1.DisablePolicyRequest) (*phoenixv1.Policy, error) {
	return s.change(ctx, s.setState(access.Disable, key(req.GetNamespace(), req.GetName()), store.StateDisabled,
		"policy.disabled", "is disabled"))
}

func inForce(state store.PolicyState) bool {
	return state == store.StatePreview || state == store.StateEnforced
}

// publishable refuses to put in force what this version would leave out.
func (s *Service) publishable(k store.PolicyKey, text []byte) error {
	spec, err := publish.DecodeSpec(text)
	if err == nil {
		_, err = s.compiler().Compile(k, store.StateEnforced, spec)
	}
	if err != nil {
		return fault.New(fault.Conflict, "this version of Phoenix refuses the rules, update them first: "+clip(err.Error()))
	}
	return nil
}

// clip bounds what an answer repeats.
func clip(text string) string {
	if len(text) > maxMistake {
		return strings.ToValidUTF8(text[:maxMistake], "") + "…"
	}
	return text
}

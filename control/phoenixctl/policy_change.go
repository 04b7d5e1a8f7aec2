package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func newPoliciesPreviewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preview NAME…",
		Short: "Measure what policies would save, and change nothing",
		Long: "preview turns on the measurement of policies and shows what they would save in series and money,\n" +
			"with 95 % confidence. It waits until the numbers are complete, or have settled; --wait=false does not.\n" +
			"For the first point that matches it waits 2 minutes, unless --timeout is given.",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: complete(policyNames),
	}
	w := waitFlags(cmd, defaultMeasureTimeout)
	cmd.RunE = eachPolicy(func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref policyRef) error {
		p, err := c.PreviewPolicy(ctx, &pb.PreviewPolicyRequest{Namespace: ref.namespace, Name: ref.name})
		if err != nil {
			return fmt.Errorf("preview %s: %w", ref, err)
		}
		if err := sayState(cmd.OutOrStdout(), "in preview", p); err != nil {
			return err
		}
		return unmatched(cmd, p, w.previewed(ctx, cmd, c, p))
	})
	return cmd
}

func newPoliciesEnforceCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "enforce NAME…",
		Short: "Apply policies to the data",
		Long: "enforce applies policies from the next interval edge on, waits until the data path has them, and\n" +
			"shows the series before and after. A policy must have been in preview for a window; --force does\n" +
			"without, which needs the role admin and is in the audit log.",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: complete(policyNames),
	}
	cmd.Flags().BoolVar(&force, "force", false, "enforce a policy that was not in preview for a window")
	w := waitFlags(cmd, defaultApplyTimeout)
	cmd.RunE = eachPolicy(func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref policyRef) error {
		return w.enforce(ctx, cmd, c, ref, force)
	})
	return cmd
}

func newPoliciesDisableCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "disable NAME…",
		Short:             "Turn policies off",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: complete(policyNames),
	}
	cmd.RunE = eachPolicy(func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref policyRef) error {
		p, err := c.DisablePolicy(ctx, &pb.DisablePolicyRequest{Namespace: ref.namespace, Name: ref.name})
		if err != nil {
			return fmt.Errorf("disable %s: %w", ref, err)
		}
		return sayState(cmd.OutOrStdout(), "disabled", p)
	})
	return cmd
}

func newPoliciesDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete NAME…",
		Short:             "Delete policies; their history stays",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: complete(policyNames),
	}
	cmd.RunE = eachPolicy(func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref policyRef) error {
		if _, err := c.DeletePolicy(ctx, &pb.DeletePolicyRequest{Namespace: ref.namespace, Name: ref.name}); err != nil {
			return fmt.Errorf("delete %s: %w", ref, err)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", printable(ref.String()))
		return err
	})
	return cmd
}

func newPoliciesRollbackCommand() *cobra.Command {
	var to uint32
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Go back to an earlier revision of a policy, with its state",
		Long: "rollback makes a new revision with the rules and the state of an old one: by default of the one\n" +
			"before the present. Repeated, it goes back further, never to what was rolled back from, and without --to\n" +
			"it puts no policy in force that is not. It also brings back a policy that was deleted.",
		Example: "  phoenixctl policies rollback drop-pod\n" +
			"  phoenixctl policies rollback drop-pod --to 2",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: firstOnly(policyNames),
	}
	cmd.Flags().Uint32Var(&to, "to", 0, "the revision to go back to (default: the one before the present)")
	w := waitFlags(cmd, defaultApplyTimeout)
	cmd.RunE = eachPolicy(func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref policyRef) error {
		target := to
		if target == 0 {
			var err error
			if target, err = revisionBefore(ctx, c, ref); err != nil {
				return fmt.Errorf("roll back %s: %w", ref, err)
			}
		}
		p, err := c.RollbackPolicy(ctx, &pb.RollbackPolicyRequest{Namespace: ref.namespace, Name: ref.name, Revision: target})
		if err != nil {
			return fmt.Errorf("roll back %s to revision %d: %w", ref, target, err)
		}
		if err := sayState(cmd.OutOrStdout(), fmt.Sprintf("rolled back to revision %d", target), p); err != nil {
			return err
		}
		_, err = w.applied(ctx, cmd, c, p)
		return err
	})
	return cmd
}

var (
	errNoRevision   = errors.New("there is no earlier revision")
	errWouldEnforce = errors.New("the revision before the present one was enforced, and the present one is not")
)

// revisionBefore finds the newest revision before the content of the present one
// that is no deletion. It finds none that would put the policy in force.
func revisionBefore(ctx context.Context, c *client.Client, ref policyRef) (uint32, error) {
	list, _, err := pages(0, func(size uint32, token string) ([]*pb.PolicyRevision, string, error) {
		page, err := c.ListPolicyRevisions(ctx, &pb.ListPolicyRevisionsRequest{
			Namespace: ref.namespace, Name: ref.name, PageSize: size, PageToken: token,
		})
		return page.GetRevisions(), page.GetNextPageToken(), err
	})
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, errNoRevision
	}
	present := list[0]
	below := origin(list)
	for _, r := range list {
		if r.GetRevision() >= below || r.GetState() == stateDeleted {
			continue
		}
		if r.GetState() == stateEnforced && present.GetState() != stateEnforced {
			return 0, advised{errWouldEnforce, fmt.Sprintf("To enforce it again, give --to %d; phoenixctl policies history %s lists the others.", r.GetRevision(), ref)}
		}
		return r.GetRevision(), nil
	}
	return 0, errNoRevision
}

// origin is the revision that the content of the first one in the list, which
// is the newest, was written as: rollbacks copy it. What lies between the two
// was rolled back from.
func origin(list []*pb.PolicyRevision) uint32 {
	at := list[0].GetRevision()
	for _, r := range list { // each goes back to an older one
		if r.GetRevision() == at && r.GetRolledBackTo() != 0 {
			at = r.GetRolledBackTo()
		}
	}
	return at
}

// sayState says what was done to a policy and in which state it is now.
func sayState(w io.Writer, done string, p *pb.Policy) error {
	_, err := fmt.Fprintf(w, "%s %s (%s, revision %d)\n", printable(refOf(p).String()), done, printable(p.GetState()), p.GetRevision())
	return err
}

// enforce applies a policy and shows what that changed.
func (w *waiting) enforce(ctx context.Context, cmd *cobra.Command, c *client.Client, ref policyRef, force bool) error {
	p, err := c.EnforcePolicy(ctx, &pb.EnforcePolicyRequest{Namespace: ref.namespace, Name: ref.name, Force: force})
	if err != nil {
		return notPreviewed(fmt.Errorf("enforce %s: %w", ref, err), ref)
	}
	if err := sayState(cmd.OutOrStdout(), "enforced", p); err != nil {
		return err
	}
	return w.enforced(ctx, cmd, c, p)
}

// notPreviewed adds what to do to the refusal of what nobody looked at.
func notPreviewed(err error, ref policyRef) error {
	if isNotPreviewed(err) {
		return advised{err, fmt.Sprintf("phoenixctl policies preview %s measures it; --force does without, and the audit log shows that.", ref)}
	}
	return err
}

func isNotPreviewed(err error) bool {
	var problem *client.Problem
	return errors.As(err, &problem) && problem.Reason() == "not-previewed"
}

// Defaults of --timeout.
const (
	defaultMeasureTimeout = 10 * time.Minute
	defaultApplyTimeout   = time.Minute
)

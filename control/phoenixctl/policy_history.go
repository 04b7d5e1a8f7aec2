package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func newPoliciesHistoryCommand() *cobra.Command {
	var revision uint32
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "List the revisions of a policy, or show one",
		Example: "  phoenixctl policies history drop-pod\n" +
			"  phoenixctl policies history drop-pod --revision 2 -o yaml",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: firstOnly(policyNames),
	}
	o := outputFlag(cmd, outputs...)
	cmd.Flags().Uint32Var(&revision, "revision", 0, "show this revision with its rules")
	limit := limitFlag(cmd, 0)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		refs, err := policyRefs(cmd, args)
		if err == nil {
			err = checkLimit(cmd, *limit)
		}
		if err != nil {
			return err
		}
		if revision != 0 {
			return showRevision(ctx, cmd, c, o, refs[0], revision)
		}
		list, more, err := pages(*limit, func(size uint32, token string) ([]*pb.PolicyRevision, string, error) {
			page, err := c.ListPolicyRevisions(ctx, &pb.ListPolicyRevisionsRequest{
				Namespace: refs[0].namespace, Name: refs[0].name, PageSize: size, PageToken: token,
			})
			return page.GetRevisions(), page.GetNextPageToken(), err
		})
		if err != nil {
			return fmt.Errorf("history of %s: %w", refs[0], err)
		}
		return o.print(cmd.OutOrStdout(), &pb.ListPolicyRevisionsResponse{Revisions: list}, func(w io.Writer) error {
			return errors.Join(revisionTable(list).print(w), sayMore(cmd, more))
		})
	})
	return cmd
}

func showRevision(ctx context.Context, cmd *cobra.Command, c *client.Client, o *output, ref policyRef, revision uint32) error {
	r, err := c.GetPolicyRevision(ctx, &pb.GetPolicyRevisionRequest{Namespace: ref.namespace, Name: ref.name, Revision: revision})
	if err != nil {
		return fmt.Errorf("revision %d of %s: %w", revision, ref, err)
	}
	return o.print(cmd.OutOrStdout(), r, func(w io.Writer) error {
		if err := revisionTable([]*pb.PolicyRevision{r}).print(w); err != nil || len(r.GetSpec().GetRules()) == 0 {
			return err
		}
		_, _ = fmt.Fprintln(w)
		return ruleTable(r.GetSpec().GetRules()).print(w)
	})
}

func revisionTable(list []*pb.PolicyRevision) *table {
	t := &table{columns: []column{{"REVISION", true}, {"STATE", false}, {"AT", false}, {"BY", false}, {"RULES", true}, {"SPEC", false}, {"NOTE", false}}}
	for _, r := range list {
		note := none
		if r.GetRolledBackTo() != 0 {
			note = fmt.Sprintf("rolled back to %d", r.GetRolledBackTo())
		}
		t.add(count(r.GetRevision()), r.GetState(), stamp(r.GetAt()), orNone(r.GetBy()), count(len(r.GetSpec().GetRules())),
			shortHash(r.GetSpecSha256()), note)
	}
	return t
}

// shortHash is enough of a hash to tell two apart.
func shortHash(hash string) string {
	const digits = 12
	return orNone(hash[:min(len(hash), digits)])
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const defaultNamespace = "default"

// The states of a policy.
const (
	statePreview  = "preview"
	stateEnforced = "enforced"
	stateDeleted  = "deleted"
)

func newPoliciesCommand() *cobra.Command {
	cmd := family("policies", "Preview, enforce and roll back rules that make the bill smaller",
		newPoliciesListCommand(), newPoliciesGetCommand(), newPoliciesApplyCommand(), newPoliciesDiffCommand(),
		newPoliciesPreviewCommand(), newPoliciesEnforceCommand(), newPoliciesDisableCommand(),
		newPoliciesRollbackCommand(), newPoliciesDeleteCommand(), newPoliciesHistoryCommand())
	cmd.Aliases = []string{"policy"}
	namespaceFlag(cmd)
	return cmd
}

// namespaceFlag gives a command and all below it the flag --namespace.
func namespaceFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringP("namespace", "n", "", "namespace of policies (default: that of the context, else "+defaultNamespace+")")
}

// namespaceOf is the namespace of policies that name none.
func namespaceOf(cmd *cobra.Command) string {
	f := cmd.Flags()
	if namespace, _ := f.GetString("namespace"); namespace != "" {
		return namespace
	}
	name, _ := f.GetString("context")
	address, _ := f.GetString("address")
	if t, err := namedTarget(name, address); err == nil && t.Namespace != "" {
		return t.Namespace
	}
	return defaultNamespace
}

// policyRef names a policy.
type policyRef struct{ namespace, name string }

func (r policyRef) String() string { return r.namespace + "/" + r.name }

func refOf(p *pb.Policy) policyRef { return policyRef{p.GetNamespace(), p.GetName()} }

// policyRefs reads arguments: NAME or NAMESPACE/NAME.
func policyRefs(cmd *cobra.Command, args []string) ([]policyRef, error) {
	refs := make([]policyRef, 0, len(args))
	for _, arg := range args {
		namespace, name, divided := strings.Cut(arg, "/")
		if !divided {
			namespace, name = namespaceOf(cmd), arg
		}
		if namespace == "" || name == "" || strings.Contains(name, "/") {
			return nil, usageError{fmt.Errorf("a policy is named NAME or NAMESPACE/NAME, got %q", arg)}
		}
		refs = append(refs, policyRef{namespace, name})
	}
	return refs, nil
}

// eachPolicy runs something for every policy that is named, also after one
// failed.
func eachPolicy(run func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref policyRef) error) func(*cobra.Command, []string) error {
	return ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		refs, err := policyRefs(cmd, args)
		if err != nil {
			return err
		}
		var failed failures
		for _, ref := range refs {
			if err := run(ctx, cmd, c, ref); err != nil {
				failed = append(failed, err)
			}
		}
		return failed.err()
	})
}

// err is nil if nothing failed.
func (f failures) err() error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return f[0]
	default:
		return f
	}
}

// policyNames completes NAME and NAMESPACE/NAME.
func policyNames(ctx context.Context, cmd *cobra.Command, c *client.Client, begin string) ([]string, error) {
	namespace, name, divided := strings.Cut(begin, "/")
	if !divided {
		namespace, name = namespaceOf(cmd), begin
	}
	filter := ""
	if name != "" {
		filter = fmt.Sprintf("name = %q", name+"*")
	}
	list, err := c.ListPolicies(ctx, &pb.ListPoliciesRequest{Namespace: namespace, Filter: filter, PageSize: maxCompletions})
	var found []string
	for _, p := range list.GetPolicies() {
		if divided {
			found = append(found, refOf(p).String())
		} else {
			found = append(found, p.GetName())
		}
	}
	return found, err
}

func newPoliciesListCommand() *cobra.Command {
	var (
		all    bool
		filter string
	)
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List policies",
		Example: "  phoenixctl policies list\n" +
			"  phoenixctl policies list -A --filter 'state = \"enforced\" AND name = \"drop-*\"'",
		Args: usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputTable, outputWide, outputJSON, outputYAML, outputName)
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "list those of all namespaces that you see")
	cmd.Flags().StringVar(&filter, "filter", "", "conditions on state, name and namespace, joined by AND")
	limit := limitFlag(cmd, 0)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		if err := checkLimit(cmd, *limit); err != nil {
			return err
		}
		namespace := ""
		if !all {
			namespace = namespaceOf(cmd)
		}
		list, more, err := pages(*limit, func(size uint32, token string) ([]*pb.Policy, string, error) {
			page, err := c.ListPolicies(ctx, &pb.ListPoliciesRequest{Namespace: namespace, Filter: filter, PageSize: size, PageToken: token})
			return page.GetPolicies(), page.GetNextPageToken(), err
		})
		if err != nil {
			return hiddenNamespace(err, namespace)
		}
		return o.print(cmd.OutOrStdout(), &pb.ListPoliciesResponse{Policies: list}, func(w io.Writer) error {
			if o.value == outputName {
				return printNames(w, list)
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(cmd.ErrOrStderr(), "No policies.")
				return err
			}
			return errors.Join(policyTable(list, all, o.wide()).print(w), sayMore(cmd, more))
		})
	})
	return cmd
}

// hiddenNamespace adds what to do when a list of a namespace is not found.
func hiddenNamespace(err error, namespace string) error {
	if namespace != "" && isNotFound(err) {
		return advised{err, fmt.Sprintf("You have no role in the namespace %s: give -n NAMESPACE, or -A for all that you see; phoenixctl whoami shows yours.", namespace)}
	}
	return err
}

// sayMore says that a limit cut a list.
func sayMore(cmd *cobra.Command, more bool) error {
	if !more {
		return nil
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), "There are more; --limit shows them.")
	return err
}

func printNames(w io.Writer, list []*pb.Policy) error {
	for _, p := range list {
		if _, err := fmt.Fprintln(w, printable(refOf(p).String())); err != nil {
			return err
		}
	}
	return nil
}

func policyTable(list []*pb.Policy, namespaces, wide bool) *table {
	t := &table{}
	if namespaces {
		t.columns = append(t.columns, column{"NAMESPACE", false})
	}
	t.columns = append(t.columns, column{"NAME", false}, column{"STATE", false}, column{"REVISION", true},
		column{"RULES", true}, column{"APPLIED", false}, column{"UPDATED", false})
	if wide {
		t.columns = append(t.columns, column{"BY", false}, column{"PREVIEWED SINCE", false}, column{"PRIORITY", true}, column{"DESCRIPTION", false})
	}
	for _, p := range list {
		var cells []string
		if namespaces {
			cells = append(cells, p.GetNamespace())
		}
		cells = append(cells, p.GetName(), p.GetState(), count(p.GetRevision()), count(len(p.GetSpec().GetRules())+len(p.GetSpec().GetSampling())),
			appliedWord(p), stamp(p.GetUpdatedAt()))
		if wide {
			cells = append(cells, orNone(p.GetUpdatedBy()), stamp(p.GetPreviewedSince()),
				signed(float64(p.GetSpec().GetPriority())), orNone(firstLine(p.GetSpec().GetDescription())))
		}
		t.add(cells...)
	}
	return t
}

// appliedWord says whether the data path has what it should have.
func appliedWord(p *pb.Policy) string {
	switch {
	case p.GetState() != statePreview && p.GetState() != stateEnforced:
		return none
	case p.GetStatus().GetApplied():
		return "yes"
	default:
		return "no"
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

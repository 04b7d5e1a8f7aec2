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

func newExperimentsCommand() *cobra.Command {
	cmd := family("experiments", "Try rules beside the stream they would replace, with an automatic way back",
		newExperimentsListCommand(), newExperimentsGetCommand(), newExperimentsValidateCommand(), newExperimentsCreateCommand(),
		newExperimentsStartCommand(), newExperimentsPauseCommand(), newExperimentsResumeCommand(), newExperimentsPromoteCommand(),
		newExperimentsAbortCommand(), newExperimentsApproveCommand(), newExperimentsDeleteCommand(),
		newExperimentsWatchCommand(), newExperimentsReportCommand())
	cmd.Aliases = []string{"experiment", "exp"}
	cmd.PersistentFlags().StringP("namespace", "n", "", "namespace of experiments (default: that of the context, else "+defaultNamespace+")")
	return cmd
}

// experimentRef names an experiment.
type experimentRef struct{ namespace, name string }

func (r experimentRef) String() string { return r.namespace + "/" + r.name }

func experimentRefOf(e *pb.Experiment) experimentRef {
	return experimentRef{e.GetNamespace(), e.GetName()}
}

// readExperimentRef reads an argument: NAME or NAMESPACE/NAME.
func readExperimentRef(cmd *cobra.Command, arg string) (experimentRef, error) {
	namespace, name, divided := strings.Cut(arg, "/")
	if !divided {
		namespace, name = namespaceOf(cmd), arg
	}
	if namespace == "" || name == "" || strings.Contains(name, "/") {
		return experimentRef{}, usageError{fmt.Errorf("an experiment is named NAME or NAMESPACE/NAME, got %q", arg)}
	}
	return experimentRef{namespace, name}, nil
}

// eachExperiment runs something for every experiment that is named, also after one
// failed.
func eachExperiment(run func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref experimentRef) error) func(*cobra.Command, []string) error {
	return ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		refs := make([]experimentRef, 0, len(args))
		for _, arg := range args {
			ref, err := readExperimentRef(cmd, arg)
			if err != nil {
				return err
			}
			refs = append(refs, ref)
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

// experimentNames completes NAME and NAMESPACE/NAME.
func experimentNames(ctx context.Context, cmd *cobra.Command, c *client.Client, begin string) ([]string, error) {
	namespace, name, divided := strings.Cut(begin, "/")
	if !divided {
		namespace, name = namespaceOf(cmd), begin
	}
	filter := ""
	if name != "" {
		filter = fmt.Sprintf("name = %q", name+"*")
	}
	list, err := c.ListExperiments(ctx, &pb.ListExperimentsRequest{Namespace: namespace, Filter: filter, PageSize: maxCompletions})
	var found []string
	for _, e := range list.GetExperiments() {
		name := e.GetName()
		if divided {
			name = experimentRefOf(e).String()
		}
		found = append(found, name+"\t"+e.GetStatus().GetPhase())
	}
	return found, err
}

func newExperimentsListCommand() *cobra.Command {
	var (
		all    bool
		filter string
	)
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List experiments",
		Example: "  phoenixctl experiments list\n" +
			"  phoenixctl experiments list -A --filter 'phase = \"Running\" AND name = \"drop-*\"'",
		Args: usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputTable, outputWide, outputJSON, outputYAML, outputName)
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "list those of all namespaces that you see")
	cmd.Flags().StringVar(&filter, "filter", "", "conditions on phase, name and namespace, joined by AND")
	limit := limitFlag(cmd, 0)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		if err := checkLimit(cmd, *limit); err != nil {
			return err
		}
		namespace := ""
		if !all {
			namespace = namespaceOf(cmd)
		}
		list, more, err := pages(*limit, func(size uint32, token string) ([]*pb.Experiment, string, error) {
			page, err := c.ListExperiments(ctx, &pb.ListExperimentsRequest{Namespace: namespace, Filter: filter, PageSize: size, PageToken: token})
			return page.GetExperiments(), page.GetNextPageToken(), err
		})
		if err != nil {
			return hiddenNamespace(err, namespace)
		}
		return o.print(cmd.OutOrStdout(), &pb.ListExperimentsResponse{Experiments: list}, func(w io.Writer) error {
			if o.value == outputName {
				return printExperimentNames(w, list)
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(cmd.ErrOrStderr(), "No experiments.")
				return err
			}
			return errors.Join(experimentTable(list, all, o.wide()).print(w), sayMore(cmd, more))
		})
	})
	return cmd
}

func printExperimentNames(w io.Writer, list []*pb.Experiment) error {
	for _, e := range list {
		if _, err := fmt.Fprintln(w, printable(experimentRefOf(e).String())); err != nil {
			return err
		}
	}
	return nil
}

func experimentTable(list []*pb.Experiment, namespaces, wide bool) *table {
	t := &table{}
	if namespaces {
		t.columns = append(t.columns, column{"NAMESPACE", false})
	}
	t.columns = append(t.columns, column{"NAME", false}, column{"PHASE", false}, column{"SINCE", false}, column{"MODE", false},
		column{"CANDIDATE", false}, column{"LOOKS", true}, column{"RAN", true})
	if wide {
		t.columns = append(t.columns, column{"SCOPE", false}, column{"BY", false}, column{"VERDICT", false})
	}
	for _, e := range list {
		var cells []string
		if namespaces {
			cells = append(cells, e.GetNamespace())
		}
		st := e.GetStatus()
		cells = append(cells, e.GetName(), st.GetPhase(), stamp(st.GetSince()), e.GetSpec().GetMode(), candidateWord(st), count(st.GetLooks()), orNone(st.GetRan()))
		if wide {
			cells = append(cells, scopeLine(e.GetSpec()), orNone(e.GetUpdatedBy()), orNone(firstLine(st.GetVerdict())))
		}
		t.add(cells...)
	}
	return t
}

// candidateWord says what the candidate gets.
func candidateWord(st *pb.ExperimentStatus) string {
	switch {
	case st.GetMirror():
		return "mirror"
	case st.GetCandidateWeight() == 0:
		return none
	default:
		return fmt.Sprintf("%d %%", st.GetCandidateWeight())
	}
}

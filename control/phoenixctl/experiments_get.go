package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func newExperimentsGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get NAME…",
		Short: "Show experiments: what is tried, and how it stands",
		Long: "get shows experiments. What -o yaml prints of a Draft can be edited and given to create --replace, which\n" +
			"then refuses if somebody changed it meanwhile.",
		Example: "  phoenixctl experiments get drop-pod\n" +
			"  phoenixctl experiments get shop/drop-pod -o yaml > drop-pod.yaml",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: complete(experimentNames),
	}
	o := outputFlag(cmd, outputTable, outputWide, outputJSON, outputYAML, outputName)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var list []*pb.Experiment
		failed := eachExperiment(func(ctx context.Context, _ *cobra.Command, c *client.Client, ref experimentRef) error {
			e, err := c.GetExperiment(ctx, &pb.GetExperimentRequest{Namespace: ref.namespace, Name: ref.name})
			if err != nil {
				return fmt.Errorf("get %s: %w", ref, err)
			}
			list = append(list, e)
			return nil
		})(cmd, args)
		if len(list) > 0 {
			if err := printExperiments(cmd.OutOrStdout(), o, list, len(args) > 1); err != nil {
				return err
			}
		}
		return failed
	}
	return cmd
}

func printExperiments(w io.Writer, o *output, list []*pb.Experiment, several bool) error {
	var answer proto.Message = list[0]
	if several {
		answer = &pb.ListExperimentsResponse{Experiments: list}
	}
	return o.print(w, answer, func(w io.Writer) error {
		switch o.value {
		case outputName:
			return printExperimentNames(w, list)
		case outputWide:
			return experimentTable(list, true, true).print(w)
		}
		for i, e := range list {
			if i > 0 {
				_, _ = fmt.Fprintln(w)
			}
			if err := printExperiment(w, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func printExperiment(w io.Writer, e *pb.Experiment) error {
	say := func(format string, args ...any) { _, _ = fmt.Fprintln(w, printable(fmt.Sprintf(format, args...))) }
	st, spec := e.GetStatus(), e.GetSpec()
	say("%s: %s", experimentRefOf(e), st.GetVerdict())
	for line := range strings.Lines(strings.TrimSpace(spec.GetDescription())) {
		say("  %s", strings.TrimRight(line, "\r\n"))
	}
	say("%s of %s on %s.", orNone(spec.GetMode()), orWord(spec.GetSignal(), "metrics"), scopeLine(spec))
	say("Created %s by %s, updated %s by %s.", stamp(e.GetCreatedAt()), orNone(e.GetCreatedBy()), stamp(e.GetUpdatedAt()), orNone(e.GetUpdatedBy()))
	if st.GetStartedAt() != nil {
		say("Started %s, ran %s, %s without interruption; at least %s needed.", stamp(st.GetStartedAt()), st.GetRan(), st.GetUnbroken(), st.GetMinimumRun())
		say("Candidate: %s. Looks: %s.", candidateWord(st), count(st.GetLooks()))
	} else {
		say("Runs for %s at least.", st.GetMinimumRun())
	}
	if st.GetQueries() != "" {
		say("Queries: %s.", st.GetQueries())
	}
	if st.GetPromotedPolicy() != "" {
		say("Promoted to %s.", st.GetPromotedPolicy())
	}
	for _, b := range st.GetBlockers() {
		say("Promotion waits: %s.", b.GetText())
	}
	printWarnings(w, st.GetWarnings())
	if len(spec.GetRules()) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(w)
	return ruleTable(spec.GetRules()).print(w)
}

// scopeLine says which data take part.
func scopeLine(spec *pb.ExperimentSpec) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(spec.GetScope())) {
		parts = append(parts, key+"="+spec.GetScope()[key])
	}
	if n := len(spec.GetMetrics()); n > 3 {
		parts = append(parts, counted(n, "metric"))
	} else {
		parts = append(parts, spec.GetMetrics()...)
	}
	return orNone(strings.Join(parts, ", "))
}

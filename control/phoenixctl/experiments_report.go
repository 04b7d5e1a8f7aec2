package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const outputMarkdown = "markdown"

func newExperimentsReportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report NAME",
		Short: "Write the evidence: what was demanded, what each look found, the verdict",
		Example: "  phoenixctl experiments report drop-pod > report.md\n" +
			"  phoenixctl experiments report drop-pod -o json",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: firstOnly(experimentNames),
	}
	o := outputFlag(cmd, outputMarkdown, outputJSON)
	cmd.RunE = eachExperiment(func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref experimentRef) error {
		report, err := c.GetExperimentReport(ctx, &pb.GetExperimentReportRequest{Namespace: ref.namespace, Name: ref.name})
		if err != nil {
			return fmt.Errorf("report %s: %w", ref, err)
		}
		w := cmd.OutOrStdout()
		if o.value == outputJSON {
			return printMessage(w, report.GetReport(), outputJSON)
		}
		for line := range strings.Lines(report.GetMarkdown()) {
			if _, err := fmt.Fprintln(w, printable(strings.TrimRight(line, "\n"))); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

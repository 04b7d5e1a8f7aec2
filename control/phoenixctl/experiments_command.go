package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// order is a command of phoenixctl that is one to an experiment.
type order struct {
	verb, done  string
	short, long string
	// reasoned: a person may say why.
	reasoned bool
	send     func(ctx context.Context, c *client.Client, ref experimentRef, reason string, opts ...grpc.CallOption) (*pb.Experiment, error)
}

// tried says what was tried with which experiment, unless the API has said so.
func tried(err error, verb string, ref experimentRef) error {
	if strings.Contains(err.Error(), ref.String()) {
		return err
	}
	return fmt.Errorf("%s %s: %w", verb, ref, err)
}

func (o order) command() *cobra.Command {
	var reason, etag string
	cmd := &cobra.Command{
		Use:               o.verb + " NAME…",
		Short:             o.short,
		Long:              o.long,
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: complete(experimentNames),
	}
	if o.reasoned {
		cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log and the report")
	}
	cmd.Flags().StringVar(&etag, "if-match", "", "only if the experiment still has this etag")
	cmd.RunE = eachExperiment(func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref experimentRef) error {
		var opts []grpc.CallOption
		if etag != "" {
			opts = append(opts, client.IfMatch(etag))
		}
		e, err := o.send(ctx, c, ref, reason, opts...)
		if err != nil {
			return tried(err, o.verb, ref)
		}
		sayPhase(cmd.OutOrStdout(), o.done, e)
		printWarnings(cmd.ErrOrStderr(), e.GetStatus().GetWarnings())
		return nil
	})
	return cmd
}

func newExperimentsStartCommand() *cobra.Command {
	return order{
		verb: "start", done: "started", short: "Start Drafts, now or when their schedule says",
		long: "start lets the candidate see the stream, now or when the schedule says. It is refused while another\n" +
			"experiment that runs or is paused holds a part of the same scope and metrics.",
		send: func(ctx context.Context, c *client.Client, ref experimentRef, _ string, opts ...grpc.CallOption) (*pb.Experiment, error) {
			return c.StartExperiment(ctx, &pb.StartExperimentRequest{Namespace: ref.namespace, Name: ref.name}, opts...)
		},
	}.command()
}

func newExperimentsPauseCommand() *cobra.Command {
	return order{
		verb: "pause", done: "paused", reasoned: true, short: "Take the candidate's weight away until it is resumed",
		send: func(ctx context.Context, c *client.Client, ref experimentRef, reason string, opts ...grpc.CallOption) (*pb.Experiment, error) {
			return c.PauseExperiment(ctx, &pb.PauseExperimentRequest{Namespace: ref.namespace, Name: ref.name, Reason: reason}, opts...)
		},
	}.command()
}

func newExperimentsResumeCommand() *cobra.Command {
	return order{
		verb: "resume", done: "resumed", short: "Give the candidate its weight back; the minimum run begins anew",
		send: func(ctx context.Context, c *client.Client, ref experimentRef, _ string, opts ...grpc.CallOption) (*pb.Experiment, error) {
			return c.ResumeExperiment(ctx, &pb.ResumeExperimentRequest{Namespace: ref.namespace, Name: ref.name}, opts...)
		},
	}.command()
}

func newExperimentsPromoteCommand() *cobra.Command {
	return order{
		verb: "promote", done: "promoted", reasoned: true, short: "Promote candidates before their experiment does so itself",
		long: "promote makes an enforced policy of the candidate's rules though weight steps are left, criteria are\n" +
			"undecided or a guardrail that is not critical is breached. It shortens no minimum run, and does not\n" +
			"promote what a query answers differently.",
		send: func(ctx context.Context, c *client.Client, ref experimentRef, reason string, opts ...grpc.CallOption) (*pb.Experiment, error) {
			return c.PromoteExperiment(ctx, &pb.PromoteExperimentRequest{Namespace: ref.namespace, Name: ref.name, Reason: reason}, opts...)
		},
	}.command()
}

func newExperimentsAbortCommand() *cobra.Command {
	return order{
		verb: "abort", done: "aborted", reasoned: true, short: "Roll candidates back, whatever else is the matter",
		send: func(ctx context.Context, c *client.Client, ref experimentRef, reason string, opts ...grpc.CallOption) (*pb.Experiment, error) {
			return c.AbortExperiment(ctx, &pb.AbortExperimentRequest{Namespace: ref.namespace, Name: ref.name, Reason: reason}, opts...)
		},
	}.command()
}

func newExperimentsApproveCommand() *cobra.Command {
	return order{
		verb: "approve", done: "approved", reasoned: true, short: "Approve the start or the promotion that waits for it",
		send: func(ctx context.Context, c *client.Client, ref experimentRef, reason string, opts ...grpc.CallOption) (*pb.Experiment, error) {
			return c.ApproveExperiment(ctx, &pb.ApproveExperimentRequest{Namespace: ref.namespace, Name: ref.name, Reason: reason}, opts...)
		},
	}.command()
}

func newExperimentsDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete NAME…",
		Short:             "Delete experiments that are Drafts or over; what they promoted stays",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: complete(experimentNames),
	}
	cmd.RunE = eachExperiment(func(ctx context.Context, cmd *cobra.Command, c *client.Client, ref experimentRef) error {
		if _, err := c.DeleteExperiment(ctx, &pb.DeleteExperimentRequest{Namespace: ref.namespace, Name: ref.name}); err != nil {
			return tried(err, "delete", ref)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", printable(ref.String()))
		return err
	})
	return cmd
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
)

// Exit codes of phoenixctl experiments watch beside exitOK for Promoted. It has
// its own, for scripts: what else fails is never one of these.
const (
	exitRolledBack   = 3
	exitInconclusive = 4
	exitFailed       = 5
)

// endedError says that an experiment ended, and not as it was watched for.
type endedError struct {
	ref   experimentRef
	phase experiment.Phase
	why   string
}

func (e endedError) Error() string { return fmt.Sprintf("%s has ended: %s", e.ref, e.why) }

// code is the exit code.
func (e endedError) code() int {
	switch e.phase {
	case experiment.PhaseRolledBack:
		return exitRolledBack
	case experiment.PhaseInconclusive:
		return exitInconclusive
	case experiment.PhaseFailed:
		return exitFailed
	default:
		return exitError
	}
}

// watchError is what kept phoenixctl from watching. Its exit code is no phase's.
type watchError struct{ error }

func (e watchError) Unwrap() error { return e.error }

func (e watchError) code() int {
	switch code := exitCode(e.error); code {
	case exitNotFound, exitForbidden, exitConflict:
		return exitError
	default:
		return code
	}
}

// untilFinal is the phase that stands for all that are final.
const untilFinal = "final"

// watchOptions are the flags of phoenixctl experiments watch.
type watchOptions struct {
	output  *output
	until   string
	timeout time.Duration
}

func newExperimentsWatchCommand() *cobra.Command {
	o := &watchOptions{}
	cmd := &cobra.Command{
		Use:   "watch NAME",
		Short: "Follow an experiment until it is over",
		Long: "watch writes a line for each change of an experiment: the phase, what the candidate gets, the looks so\n" +
			"far, and the verdict. It ends when the experiment is over, or is in the phase that --until names. A\n" +
			"connection that breaks is opened again.\n\n" +
			"Exit codes:\n" +
			"  0  Promoted, or the phase of --until was reached\n" +
			"  3  RolledBack\n" +
			"  4  Inconclusive\n" +
			"  5  Failed\n" +
			"  1, 2 and 6  it could not be watched; 1 also if it ended without the phase of --until, or after --timeout",
		Example: "  phoenixctl experiments watch drop-pod\n" +
			"  phoenixctl experiments watch drop-pod --until Running --timeout 1m",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: firstOnly(experimentNames),
	}
	o.output = outputFlag(cmd, outputs...)
	phases := []string{untilFinal}
	for _, p := range experiment.Phases {
		phases = append(phases, string(p))
	}
	cmd.Flags().StringVar(&o.until, "until", untilFinal, "the phase to wait for: "+strings.Join(phases, ", "))
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "how long to wait (default: for ever)")
	completeWith(cmd, "until", phases)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(phases, o.until) {
			return usageError{fmt.Errorf("--until must be one of %s, got %q", strings.Join(phases, ", "), o.until)}
		}
		ref, err := readExperimentRef(cmd, args[0])
		if err != nil {
			return err
		}
		return ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
			return o.run(ctx, cmd, c, ref)
		})(cmd, args)
	}
	return cmd
}

var (
	errReached   = errors.New("what was waited for has come")
	errTooLong   = errors.New("it took too long")
	errCutShort  = errors.New("interrupted")
	errMissesOut = errors.New("it ended without the phase that was waited for")
)

func (o *watchOptions) run(ctx context.Context, cmd *cobra.Command, c *client.Client, ref experimentRef) error {
	inner := ctx
	if o.timeout > 0 {
		timed, cancel := context.WithTimeout(ctx, o.timeout)
		defer cancel()
		inner = timed
	}
	query := client.ExperimentQuery{Namespace: ref.namespace, Name: ref.name, Lost: func(err error) {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Warning: the stream broke and is opened again: %s\n", printable(err.Error()))
	}}
	var last *pb.Experiment
	err := c.WatchExperiment(inner, query, func(e *pb.Experiment) error {
		last = e
		if err := o.print(cmd.OutOrStdout(), e); err != nil {
			return err
		}
		if o.until != untilFinal && e.GetStatus().GetPhase() == o.until {
			return errReached
		}
		return nil
	})
	switch {
	case errors.Is(err, errReached):
		return nil
	case err == nil:
		return o.ended(ref, last.GetStatus())
	case ctx.Err() != nil:
		return watchError{fmt.Errorf("watch %s: %w", ref, errCutShort)}
	case inner.Err() != nil:
		return watchError{fmt.Errorf("watch %s: %w: %s", ref, errTooLong, o.timeout)}
	default:
		return watchError{fmt.Errorf("watch %s: %w", ref, err)}
	}
}

// ended says what an experiment that is over means.
func (o *watchOptions) ended(ref experimentRef, st *pb.ExperimentStatus) error {
	phase := experiment.Phase(st.GetPhase())
	switch {
	case phase == experiment.PhasePromoted && o.passed():
		return nil
	case phase == experiment.PhasePromoted:
		return watchError{fmt.Errorf("%s: %w: %s", ref, errMissesOut, st.GetVerdict())}
	default:
		return endedError{ref, phase, st.GetVerdict()}
	}
}

// passed says whether whatever was promoted has been in the phase that is waited
// for; a reader who is slow does not see each.
func (o *watchOptions) passed() bool {
	return slices.Contains([]string{untilFinal, string(experiment.PhaseDraft), string(experiment.PhaseRunning)}, o.until)
}

// print writes an experiment: a line, a line of JSON, or a YAML document.
func (o *watchOptions) print(w io.Writer, e *pb.Experiment) error {
	switch o.output.value {
	case outputJSON:
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(e)
		if err != nil {
			return err
		}
		return printJSONLine(w, text)
	case outputYAML:
		_, _ = fmt.Fprintln(w, "---")
		return printMessage(w, e, outputYAML)
	}
	st := e.GetStatus()
	line := fmt.Sprintf("%s  %-12s  %-9s  %s  %s", time.Now().UTC().Format(stampLayout), st.GetPhase(), candidateWord(st),
		counted(st.GetLooks(), "look"), strings.TrimPrefix(st.GetVerdict(), st.GetPhase()+": "))
	if b := st.GetBlockers(); len(b) > 0 {
		line += "; waits: " + b[0].GetText()
		if len(b) > 1 {
			line += fmt.Sprintf(" (and %d more)", len(b)-1)
		}
	}
	_, err := fmt.Fprintln(w, printable(line))
	return err
}

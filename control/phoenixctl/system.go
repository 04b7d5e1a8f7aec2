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

func newSystemCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "system",
		Short: "Show version, components and health of the collector",
		Args:  usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputs...)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		s, err := c.GetSystem(ctx, &pb.GetSystemRequest{})
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), s, func(w io.Writer) error { return printSystem(w, s) })
	})
	return cmd
}

func printSystem(w io.Writer, s *pb.SystemInfo) error {
	ready := "pipelines run"
	if !s.GetReady() {
		ready = "PIPELINES DO NOT RUN"
	}
	t := &table{columns: []column{{"SYSTEM", false}, {"", false}}}
	t.add("collector", orWord(strings.TrimSpace(s.GetName()+" "+s.GetVersion()), "unknown")+", "+ready)
	t.add("runtime", orNone(s.GetRuntime()))
	t.add("started", stamp(s.GetStartedAt())+" UTC")
	t.add("instance", orNone(s.GetInstanceId()))
	t.add("configuration", shortHash(s.GetConfigSha256()))
	t.add("exposure", orNone(s.GetExposure()))
	t.add("store", storeLine(s.GetStore()))
	t.add("policies", fmt.Sprintf("%s in version %s, published %s", counted(s.GetPolicyRules(), "rule"), count(s.GetPolicyVersion()), stamp(s.GetPublishedAt())))
	t.add("kill switch", killLine(s.GetKillSwitch()))
	if err := t.print(w); err != nil || len(s.GetComponents()) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(w)
	components := &table{columns: []column{{"COMPONENT", false}, {"KIND", false}, {"PLACE", false}, {"INSTANCES", true}, {"POLICIES", true}, {"PROBLEMS", false}}}
	for _, c := range s.GetComponents() {
		version := none
		if c.GetPolicyVersion() > 0 {
			version = count(c.GetPolicyVersion())
		}
		components.add(c.GetId(), c.GetKind(), orNone(c.GetPlace()), count(c.GetInstances()), version, orNone(strings.Join(c.GetProblems(), "; ")))
	}
	return components.print(w)
}

func storeLine(s *pb.StoreInfo) string {
	if !s.GetAvailable() {
		return s.GetEngine() + " DOES NOT ANSWER: " + s.GetProblem()
	}
	return fmt.Sprintf("%s %s, schema %s, %s", s.GetEngine(), s.GetEngineVersion(), count(s.GetSchemaVersion()), size(s.GetSizeBytes()))
}

func killLine(k *pb.KillSwitch) string {
	if !k.GetEngaged() {
		return "released"
	}
	line := "ENGAGED by " + orWord(k.GetSource(), "api")
	if k.GetAt() != nil {
		line += " at " + stamp(k.GetAt()) + " UTC"
	}
	if k.GetBy() != "" {
		line += " by " + k.GetBy()
	}
	if k.GetReason() != "" {
		line += ": " + k.GetReason()
	}
	return line
}

func newWhoAmICommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show as whom you are known and what you may do",
		Args:  usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputs...)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		who, err := c.WhoAmI(ctx, &pb.WhoAmIRequest{})
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), who, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, printable(identityLine(who)))
			return err
		})
	})
	return cmd
}

func identityLine(who *pb.Identity) string {
	line := who.GetPrincipal()
	if who.GetDisplay() != "" && who.GetDisplay() != who.GetPrincipal() {
		line += " (" + who.GetDisplay() + ")"
	}
	if len(who.GetGrants()) == 0 {
		return line + ", may nothing"
	}
	return line + ", " + strings.Join(who.GetGrants(), ", ")
}

func newKillCommand() *cobra.Command {
	cmd := family("kill", "Turn all hot rules off at once, and on again",
		newKillChangeCommand("engage", "Turn all hot rules off within a second; the data flows on as it comes in"),
		newKillChangeCommand("release", "Turn the hot rules on again"),
		newKillStatusCommand())
	return cmd
}

var errNoReason = usageError{errors.New("--reason must say why: the audit log and whoever wonders read it")}

func newKillChangeCommand(what, short string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   what + " --reason TEXT",
		Short: short,
		Args:  usage(cobra.NoArgs),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; the audit log has it")
	o := outputFlag(cmd, outputs...)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		var (
			k   *pb.KillSwitch
			err error
		)
		if what == "engage" {
			if strings.TrimSpace(reason) == "" {
				return errNoReason
			}
			k, err = c.EngageKillSwitch(ctx, &pb.EngageKillSwitchRequest{Reason: reason})
		} else {
			k, err = c.ReleaseKillSwitch(ctx, &pb.ReleaseKillSwitchRequest{Reason: reason})
		}
		if err != nil {
			return err
		}
		err = printKill(cmd, o, k)
		if err == nil && what == "release" && k.GetEngaged() {
			err = stillEngaged(k)
		}
		return err
	})
	return cmd
}

var errStillEngaged = errors.New("the kill switch is still engaged")

// stillEngaged says what holds the switch after a release, and what to do.
func stillEngaged(k *pb.KillSwitch) error {
	if k.GetSource() == "api" {
		return advised{errStillEngaged, "Somebody engaged it again: phoenixctl kill status shows who."}
	}
	return advised{
		fmt.Errorf("%w by its file", errStillEngaged),
		"Remove the file on the host of the collector: kill_switch_file of phoenix_control, by default kill-switch in its directory.",
	}
}

func newKillStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the kill switch is engaged",
		Args:  usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputs...)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		k, err := c.GetKillSwitch(ctx, &pb.GetKillSwitchRequest{})
		if err != nil {
			return err
		}
		return printKill(cmd, o, k)
	})
	return cmd
}

func printKill(cmd *cobra.Command, o *output, k *pb.KillSwitch) error {
	printWarnings(cmd.ErrOrStderr(), k.GetWarnings())
	return o.print(cmd.OutOrStdout(), k, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "kill switch: %s\n", printable(killLine(k)))
		return err
	})
}

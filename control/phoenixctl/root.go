package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set at build time with -ldflags "-X main.version=…".
var version string

const exitCodes = `Exit codes:
  0  done
  1  failed; an audit log that was edited; differences found by policies diff
  2  called wrongly, or refused as a wrong request
  3  not found
  4  not logged in, or not allowed
  5  the state does not allow it, or somebody changed it meanwhile
  6  the control plane does not answer
experiments watch has its own, by how the experiment ended.`

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "phoenixctl",
		Short: "Show where a metrics bill comes from, and make it smaller",
		Long: "phoenixctl asks the phoenix_control extension of a collector what metrics cost, which labels to\n" +
			"drop and what that saves, and changes the policies that drop them.\n\n" + exitCodes,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	addConnectionFlags(root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddGroup(&cobra.Group{ID: groupData, Title: "What it costs, and what to do:"},
		&cobra.Group{ID: groupPlane, Title: "The control plane:"})
	for _, c := range []*cobra.Command{newTopCommand(), newPoliciesCommand(), newExperimentsCommand(), newSavingsCommand(), newCostsCommand(), newSamplersCommand(), newRulesCommand()} {
		c.GroupID = groupData
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{
		newLoginCommand(), newContextCommand(), newWhoAmICommand(), newSystemCommand(), newKillCommand(), newEventsCommand(),
		newKeysCommand(), newAuditCommand(), newBackupCommand(), newRestoreCommand(),
	} {
		c.GroupID = groupPlane
		root.AddCommand(c)
	}
	root.AddCommand(newVersionCommand())
	return root
}

// The groups of commands in the help.
const (
	groupData  = "data"
	groupPlane = "plane"
)

// family is a command that only holds others.
func family(use, short string, members ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(members...)
	return cmd
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// knownCommand refuses what is no command and suggests one.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{fmt.Errorf("unknown command %q%s", args[0], hint)}
}

// usage makes the errors of an argument check usage errors.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of phoenixctl",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "phoenixctl %s (%s %s/%s)\n",
				currentVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// currentVersion is the version of the build, or of the module when phoenixctl
// was installed with go install.
func currentVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api"
)

const (
	defaultAddress = "http://localhost:8620"
	// addressVariable is the environment variable that replaces defaultAddress.
	addressVariable = "PHOENIX_ADDRESS"
)

// version is set at build time with -ldflags "-X main.version=…".
var version string

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "phoenixctl",
		Short: "Show where a metrics bill comes from and what would make it smaller",
		Long: "phoenixctl asks the phoenix_control extension of a collector which metrics cost most,\n" +
			"how fast they grow, and which labels to drop.",
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String("address", envOr(addressVariable, defaultAddress),
		"address of the control plane (environment: "+addressVariable+")")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newTopCommand(), newRulesCommand(), newVersionCommand())
	return root
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

// exitCode tells mistakes of the caller from failures. What the API refuses
// with 400 was asked wrongly.
func exitCode(err error) int {
	var (
		wrongUse usageError
		problem  *api.Problem
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrongUse), errors.As(err, &problem) && problem.Status == http.StatusBadRequest:
		return exitUsage
	default:
		return exitError
	}
}

// printError says what went wrong, on what, and what to do about it.
func printError(w io.Writer, err error) {
	var (
		problem     *api.Problem
		unreachable *api.UnreachableError
		wrongUse    usageError
	)
	switch {
	case err == nil:
	case errors.As(err, &problem):
		printProblem(w, problem)
	case errors.As(err, &unreachable):
		_, _ = fmt.Fprintf(w, "Error: %s\n"+
			"Start a collector with the phoenix_control extension, for example `make run`, or give --address.\n", printable(err.Error()))
	case errors.As(err, &wrongUse):
		_, _ = fmt.Fprintf(w, "Error: %s\nSee phoenixctl --help.\n", printable(err.Error()))
	default:
		_, _ = fmt.Fprintf(w, "Error: %s\n", printable(err.Error()))
	}
}

func printProblem(w io.Writer, p *api.Problem) {
	detail := p.Detail
	if detail == "" {
		detail = fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	_, _ = fmt.Fprintf(w, "Error: %s\n", printable(detail))
	for _, f := range p.Errors {
		_, _ = fmt.Fprintf(w, "  %s: %s\n", printable(f.Parameter), printable(f.Detail))
	}
	if len(p.Suggestions) > 0 {
		_, _ = fmt.Fprintln(w, "Did you mean:")
		for _, s := range p.Suggestions {
			_, _ = fmt.Fprintf(w, "  %s\n", printable(s))
		}
	}
}

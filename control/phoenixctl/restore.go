package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/postgres"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

const (
	// databaseFile is what the extension calls its database in `directory`.
	databaseFile = "phoenix.db"
	// dsnVariable is the environment variable that holds the DSN, whose password
	// others would see on the command line.
	dsnVariable = "PHOENIX_DSN"
)

// restoreOptions are the flags of phoenixctl restore and its argument.
type restoreOptions struct {
	file      string
	directory string
	dsn       string
	yes       bool
}

func newRestoreCommand() *cobra.Command {
	o := &restoreOptions{}
	cmd := &cobra.Command{
		Use:   "restore FILE {--directory DIR | --dsn DSN}",
		Short: "Read a backup into an empty store, while its collector is stopped",
		Long: "restore works on the store itself, not through the API: in the `directory` of phoenix_control, or in\n" +
			"the PostgreSQL database of its `dsn`. The store must be empty, and no collector may use it. All is\n" +
			"restored or nothing; the checksum and the audit log are verified first. - reads standard input.",
		Example: "  phoenixctl restore phoenix.backup --directory /var/lib/phoenix\n" +
			"  PHOENIX_DSN=postgres://… phoenixctl restore phoenix.backup",
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return o.run(cmd.Context(), cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.directory, "directory", "", "the directory of phoenix_control")
	f.StringVar(&o.dsn, "dsn", "", "the PostgreSQL database (environment: "+dsnVariable+", which hides its password)")
	f.BoolVar(&o.yes, "yes", false, "do not ask on a terminal")
	_ = cmd.MarkFlagDirname("directory") // it fails only for a flag that does not exist
	return cmd
}

var (
	errOneStore  = usageError{errors.New("give --directory or --dsn, one of them")}
	errUnwilling = errors.New("nothing was restored")
)

func (o *restoreOptions) run(ctx context.Context, cmd *cobra.Command) error {
	if o.directory == "" && o.dsn == "" {
		o.dsn = os.Getenv(dsnVariable)
	}
	if (o.directory == "") == (o.dsn == "") {
		return errOneStore
	}
	in := cmd.InOrStdin()
	if o.file != standardInput {
		f, err := os.Open(o.file)
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		defer f.Close()
		in = f
		if err := o.confirm(cmd); err != nil {
			return err
		}
	}
	place := "the PostgreSQL database"
	if o.directory != "" {
		place = filepath.Join(o.directory, databaseFile)
	}
	s, err := o.open(ctx)
	if err != nil {
		return fmt.Errorf("restore into %s: %w", place, err)
	}
	err = s.Restore(ctx, in)
	var facts store.Description
	if err == nil {
		facts, err = s.Describe(ctx)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return advise(fmt.Errorf("restore %s into %s: %w", sourceName(o.file), place, err))
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s restored into %s (%s %s, %s)\n", printable(sourceName(o.file)), printable(place),
		facts.Engine, facts.EngineVersion, size(float64(facts.SizeBytes)))
	return err
}

func advise(err error) error {
	if errors.Is(err, store.ErrNotEmpty) {
		return advised{err, "Move the present store away first, or name another place; a backup is never mixed with what is there."}
	}
	return err
}

func (o *restoreOptions) open(ctx context.Context) (store.Store, error) {
	if o.directory != "" {
		return sqlite.Open(ctx, sqlite.Settings{Path: filepath.Join(o.directory, databaseFile)})
	}
	return postgres.Open(ctx, postgres.Settings{DSN: o.dsn})
}

// confirm asks on a terminal only: a script said what it wants.
func (o *restoreOptions) confirm(cmd *cobra.Command) error {
	file, ok := cmd.InOrStdin().(*os.File)
	if o.yes || !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), "Is the collector that uses the store stopped? [y/N] ")
	answer, err := bufio.NewReader(file).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errUnwilling
	}
	return nil
}

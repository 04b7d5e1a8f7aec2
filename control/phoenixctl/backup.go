package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/phoenix-platform/phoenix/control/api/client"
	"github.com/phoenix-platform/phoenix/control/store/archive"
)

func newBackupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all that the control plane stores to a file",
		Long: "backup writes the state of one moment, while the collector works, and checks its checksum. With - it\n" +
			"goes to standard output. It holds hashes of API keys: keep it as safe as the database.",
		Example: "  phoenixctl backup phoenix-$(date +%F).backup",
		Args:    usage(cobra.ExactArgs(1)),
	}
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		if args[0] == standardInput {
			return backupToOutput(ctx, cmd.OutOrStdout(), c)
		}
		records, err := backupToFile(ctx, c, args[0])
		if err != nil {
			return fmt.Errorf("backup to %s: %w", args[0], err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, checksum right\n", printable(args[0]), counted(records, "record"))
		return err
	})
	return cmd
}

var errTerminal = usageError{errors.New("a backup is no text for a terminal: name a file, or send it to a program")}

func backupToOutput(ctx context.Context, out io.Writer, c *client.Client) error {
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return errTerminal
	}
	_, err := backup(ctx, c, out)
	return err
}

// backup writes a backup and reads it at the same time. It is good only if the
// error is nil.
func backup(ctx context.Context, c *client.Client, w io.Writer) (records int, err error) {
	pipe, feed := io.Pipe()
	checked := make(chan error, 1)
	go func() {
		err := archive.Read(pipe, func(archive.Record) error { records++; return nil })
		if err == nil {
			_, err = io.Copy(io.Discard, pipe)
		}
		_ = pipe.CloseWithError(err)
		checked <- err
	}()
	err = c.Backup(ctx, io.MultiWriter(w, feed))
	_ = feed.CloseWithError(err) // nil is the end of the file
	if wrong := <-checked; wrong != nil && err == nil {
		err = fmt.Errorf("check the backup: %w", wrong)
	}
	return records, err
}

// backupToFile leaves a whole backup under that name, or what was there.
func backupToFile(ctx context.Context, c *client.Client, name string) (records int, err error) {
	temporary, err := os.CreateTemp(filepath.Dir(name), ".phoenix-backup-*") // mode 0600
	if err != nil {
		if inPath, ok := errors.AsType[*fs.PathError](err); ok {
			err = inPath.Err // not of a name that nobody gave
		}
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	records, err = backup(ctx, c, temporary)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err != nil {
		return 0, err
	}
	return records, os.Rename(temporary.Name(), name)
}

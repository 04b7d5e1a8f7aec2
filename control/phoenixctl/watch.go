package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// screen is where successive answers go.
type screen struct {
	out, errOut io.Writer
	// terminal is redrawn; anything else gets one answer after the other.
	terminal bool
	// between separates answers where nothing is redrawn.
	between string
}

// clearScreen moves to the top left corner and clears to the end, which
// flickers less than clearing first.
const clearScreen = "\x1b[H\x1b[J"

func screenOf(cmd *cobra.Command, output string) screen {
	s := screen{out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), between: "\n"}
	switch output {
	case outputYAML:
		s.between = "---\n"
	case outputJSON:
		s.between = ""
	default:
		file, ok := s.out.(*os.File)
		s.terminal = ok && term.IsTerminal(int(file.Fd()))
	}
	return s
}

// watch shows again at every interval until ctx ends, which is no error. The
// first answer must succeed; later failures are reported and tried again, for
// collectors restart.
func watch(ctx context.Context, s screen, interval time.Duration, show func(context.Context, io.Writer) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for first := true; ; first = false {
		var answer bytes.Buffer
		err := show(ctx, &answer)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			printError(s.errOut, err)
		default:
			if err := s.draw(answer.Bytes(), first); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s screen) draw(answer []byte, first bool) error {
	before := s.between
	switch {
	case s.terminal:
		before = clearScreen
	case first:
		before = ""
	}
	_, err := s.out.Write(append([]byte(before), answer...))
	return err
}

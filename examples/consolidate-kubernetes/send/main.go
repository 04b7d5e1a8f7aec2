// Command send is the application of the example's OTLP variant: it sends the
// rounds of a recorded kube-apiserver as an OpenTelemetry SDK would, with start
// times, over OTLP/HTTP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/phoenix-platform/phoenix/examples/consolidate-kubernetes/playlist"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "send:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no cleanup
	}
}

// run sends all rounds and says on out which were accepted.
func run(ctx context.Context, args []string, out, usage io.Writer) error {
	flags := flag.NewFlagSet("send", flag.ContinueOnError)
	flags.SetOutput(usage)
	endpoint := flags.String("endpoint", "http://localhost:4318", "`URL` of the OTLP/HTTP receiver")
	folders := flags.String("rounds", playlist.Folders, "`folders` of the recorded rounds")
	again := flags.Int("again", playlist.Again, "how many rounds to send once more, as a server that began again")
	pause := flags.Duration("pause", time.Second, "how long to wait before each round")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *pause <= 0 {
		return fmt.Errorf("pause: must be positive, got %s", *pause)
	}
	steps, err := playlist.Read(*folders, *again)
	if err != nil {
		return err
	}
	convert, err := newConverter(steps)
	if err != nil {
		return err
	}
	s := sender{endpoint: *endpoint, convert: convert, pause: *pause, out: out}
	return s.send(ctx, steps)
}

// Command replay serves recorded scrapes of a kube-apiserver at /metrics, so
// that the example needs no cluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
	"github.com/phoenix-platform/phoenix/internal/testkit/replay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no cleanup
	}
}

// run serves until ctx ends. It says on out what it serves.
func run(ctx context.Context, args []string, out, usage io.Writer) error {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(usage)
	listen := flags.String("listen", "localhost:8621", "`address` to serve at")
	folder := flags.String("rounds", "examples/kube-apiserver/rounds", "`folder` of the recorded rounds, "+capture.RoundPattern)
	interval := flags.Duration("interval", 6*time.Second, "how long a round is served, from the first scrape; 0: each scrape gets the next round")
	loop := flags.Bool("loop", false, "start over after the last round (counters fall then); else the last round stays")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	rounds, err := capture.Read(os.DirFS(*folder))
	if err != nil {
		return fmt.Errorf("read %s: %w", *folder, err)
	}
	handler, err := replay.New(replay.Settings{
		Rounds: rounds, Interval: *interval, Loop: *loop, Served: announceRounds(out),
	})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Serving %d rounds of %s at http://%s%s, %s\n",
		len(rounds), *folder, listener.Addr(), replay.Path, pace(*interval, *loop))
	return serve(ctx, listener, handler)
}

func pace(interval time.Duration, loop bool) string {
	text := "a new one every scrape"
	if interval > 0 {
		text = fmt.Sprintf("a new one every %s", interval)
	}
	if loop {
		return text + ", for ever"
	}
	return text + " until the last"
}

// announceRounds says when a round is served for the first time in a row.
func announceRounds(out io.Writer) func(replay.Scrape) {
	last := -1
	return func(s replay.Scrape) {
		if s.Round != last {
			fmt.Fprintf(out, "Scrape %d: round %s\n", s.Number, s.Name)
		}
		last = s.Round
	}
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	const grace = 2 * time.Second
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

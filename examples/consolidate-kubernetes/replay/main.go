// Command replay is the recorded kube-apiserver of the example: it serves round
// after round at /metrics and says what was scraped. It can be told to wait at
// a round, so that something can happen there.
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
	"strings"
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
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no cleanup
	}
}

// run serves until ctx ends. It says on out what was scraped.
func run(ctx context.Context, args []string, out, usage io.Writer) error {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(usage)
	listen := flags.String("listen", "localhost:8631", "`address` to serve at")
	folders := flags.String("rounds", playlist.Folders, "`folders` of the recorded rounds")
	again := flags.Int("again", playlist.Again, "how many rounds to serve once more, as a server that began again; then the last one stays")
	scrapes := flags.Int("scrapes", 2, "how often a round is served: one scrape that fails loses none")
	hold := flags.String("hold", "", "`rounds` of the first pass, by name, that stay until POST "+releasePath)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	steps, err := playlist.Read(*folders, *again)
	if err != nil {
		return err
	}
	var holds []string
	if *hold != "" {
		holds = strings.Split(*hold, ",")
	}
	target, err := newTarget(steps, *scrapes, holds, out)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Serving %d rounds at http://%s\n", len(steps), listener.Addr())
	return serve(ctx, listener, target)
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
	err := server.Close() // who scrapes now comes too late
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

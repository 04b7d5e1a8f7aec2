package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/phoenix-platform/phoenix/benchmarks/workload"
)

// The variables that name the binaries. make bench-peers builds them and sets
// these.
const (
	envCollector = "PHOENIX_PEERS_COLLECTOR"
	envVmagent   = "PHOENIX_PEERS_VMAGENT"
)

// options are what the flags say.
type options struct {
	rows        string
	rounds      int
	warmup      int
	repetitions int
	interval    time.Duration
	idle        time.Duration
	connections int
	compression string
	profiles    string
	out         string
	shape       workload.Shape
}

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.rows, "rows", "", "comma-separated `names` of the rows to run; all when empty")
	flags.IntVar(&o.rounds, "rounds", 10, "measured rounds of a run; a round is one point of every series")
	flags.IntVar(&o.warmup, "warmup", 2, "rounds before those, in which series are seen for the first time")
	flags.IntVar(&o.repetitions, "repetitions", 5, "runs of each row, taking turns")
	flags.DurationVar(&o.interval, "interval", time.Second, "time from round to round and from output to output, whole seconds")
	flags.DurationVar(&o.idle, "idle", 4*time.Second, "how long the idle process is watched before it gets its first point")
	flags.IntVar(&o.connections, "connections", 4, "connections that send; each sends its next request when the last one is answered")
	flags.StringVar(&o.compression, "compression", "gzip", "compression of the otlp_http exporter, gzip (its default) or none")
	flags.StringVar(&o.profiles, "profiles", "", "`directory` for a CPU profile of each row's measured rounds; none when empty")
	flags.StringVar(&o.out, "out", "", "`file` that gets a copy of what is printed")
	o.shape = workload.DefaultShape
	flags.IntVar(&o.shape.Pods, "pods", o.shape.Pods, "pods of each of the 10 services")
	flags.IntVar(&o.shape.PodsPerRequest, "pods-per-request", o.shape.PodsPerRequest, "pods in one request")
}

func (o *options) validate() error {
	var errs error
	positive := func(name string, ok bool) {
		if !ok {
			errs = errors.Join(errs, fmt.Errorf("-%s: must be positive", name))
		}
	}
	positive("rounds", o.rounds > 0)
	positive("warmup", o.warmup > 0)
	positive("repetitions", o.repetitions > 0)
	positive("connections", o.connections > 0)
	positive("idle", o.idle > 0)
	if o.interval < time.Second || o.interval%time.Second != 0 {
		errs = errors.Join(errs, fmt.Errorf("-interval: must be whole seconds, got %s", o.interval))
	}
	if o.compression != "gzip" && o.compression != "none" {
		errs = errors.Join(errs, fmt.Errorf("-compression: must be gzip or none, got %q", o.compression))
	}
	return errors.Join(errs, o.shape.Validate())
}

// command is the line that repeats the run: what was set, without the paths of
// this machine.
func command(flags *flag.FlagSet) string {
	var set []string
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "out" && f.Name != "profiles" {
			set = append(set, fmt.Sprintf("-%s %s", f.Name, f.Value))
		}
	})
	if len(set) == 0 {
		return "make bench-peers"
	}
	return fmt.Sprintf("make bench-peers BENCH_PEERS='%s'", strings.Join(set, " "))
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run is main without the process around it. What it returns joins what went
// wrong with the rows that lost data.
func run(ctx context.Context, args []string, stdout, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(progress)
	o.register(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := o.validate(); err != nil {
		return err
	}
	rows, missing, err := chooseRows(o.rows, os.Getenv(envCollector), os.Getenv(envVmagent))
	if err != nil {
		return err
	}
	b := bench{options: o, rows: rows, missing: missing, progress: progress, results: make(map[string][]trial)}
	if err := b.runAll(ctx); err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "$ %s\n", command(flags))
	describeMachine(ctx, &text, rows)
	b.print(&text)
	fmt.Fprint(stdout, text.String())
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(text.String()), 0o644); err != nil { //nolint:gosec // G306: results are for everybody
			return fmt.Errorf("-out: %w", err)
		}
	}
	return b.losses()
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

type settings struct {
	collector         string
	configs           string
	rate              int
	length            time.Duration
	policies, metrics int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s settings
	flag.StringVar(&s.collector, "collector", "bin/phoenix-collector", "the collector")
	flag.StringVar(&s.configs, "configs", "benchmarks/api/configs", "folder of with.yaml and without.yaml")
	flag.IntVar(&s.rate, "rate", 200, "requests a second")
	flag.DurationVar(&s.length, "length", 60*time.Second, "how long requests are sent, twice")
	flag.IntVar(&s.policies, "policies", 10_000, "how many policies there are")
	flag.IntVar(&s.metrics, "metrics", 10_000, "how many metrics are reported")
	out := flag.String("out", "", "file for the result, besides the terminal")
	flag.Parse()
	if err := run(ctx, s, *out); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no cleanup
	}
}

func run(ctx context.Context, s settings, out string) error {
	if s.policies < 500 || s.metrics < 500 || s.rate < 1 {
		return errors.New("at least 500 policies, 500 metrics and one request a second")
	}
	w := io.Writer(os.Stdout)
	if out != "" {
		file, err := os.Create(out)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // what was measured is on the terminal too
		w = io.MultiWriter(w, file)
	}
	fmt.Fprintf(w, "$ go run ./benchmarks/api %s\n%s, %s/%s, %d processors\n", strings.Join(os.Args[1:], " "),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	bodies, err := requests(s.metrics)
	if err != nil {
		return err
	}
	without, err := baseline(ctx, s, bodies)
	if err != nil {
		return err
	}
	return measure(ctx, w, s, bodies, without)
}

// baseline is the memory of a collector without the control plane.
func baseline(ctx context.Context, s settings, bodies [][]byte) (_ int64, errs error) {
	c, err := prepare(ctx, s.collector, filepath.Join(s.configs, "without.yaml"), "")
	if err == nil {
		err = c.run(ctx)
	}
	if err != nil {
		return 0, err
	}
	defer func() { errs = errors.Join(errs, c.stop()) }()
	for range 3 {
		if _, err := c.sendAll(ctx, bodies); err != nil {
			return 0, err
		}
	}
	return c.settled(ctx)
}

// settled is the memory after some seconds in which nothing came.
func (c *collector) settled(ctx context.Context) (int64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(10 * time.Second):
		return c.memory()
	}
}

func measure(ctx context.Context, w io.Writer, s settings, bodies [][]byte, without int64) (errs error) {
	state, err := os.MkdirTemp("", "phoenix-api-bench")
	if err != nil {
		return err
	}
	defer func() { errs = errors.Join(errs, os.RemoveAll(state)) }()
	c, err := prepare(ctx, s.collector, filepath.Join(s.configs, "with.yaml"), state)
	if err == nil {
		err = c.run(ctx)
	}
	if err != nil {
		return err
	}
	defer func() { errs = errors.Join(errs, c.stop()) }()
	var once time.Duration
	for range 3 {
		if once, err = c.sendAll(ctx, bodies); err != nil {
			return err
		}
	}
	l := newLoad(c.api, s.policies, s.metrics)
	begin := time.Now()
	if err := l.seed(ctx); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d policies created in %s, %d metrics of %d series\n", s.policies, time.Since(begin).Round(time.Second), s.metrics, seriesAMetric)
	if err := l.run(ctx, s.rate, s.length); err != nil {
		return err
	}
	l.print(w, fmt.Sprintf("%d requests a second for %s, data path idle", s.rate, s.length))
	with, err := c.memory()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nresident memory: %d MiB with the control plane, %d MiB without: %+d MiB\n", with>>20, without>>20, (with-without)>>20)

	loaded, cancel := context.WithCancel(ctx)
	defer cancel()
	sending := make(chan error, 1)
	interval := 2 * once / time.Duration(len(bodies))
	go func() { sending <- c.sendEvery(loaded, bodies, interval) }()
	err = l.run(ctx, s.rate, s.length)
	cancel()
	if err := errors.Join(err, <-sending); err != nil {
		return err
	}
	l.print(w, fmt.Sprintf("the same while data comes at half of what one connection carries (%.0f points a second)",
		metricsARequest*seriesAMetric/interval.Seconds()))
	return nil
}

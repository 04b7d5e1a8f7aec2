// Command shop plays a small web shop of some pods, each instrumented with the
// Prometheus client library, so that the example has a label pod to drop. The
// traffic is made up; counting and exposition are the library's.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no cleanup
	}
}

func run(ctx context.Context, args []string, out, usage io.Writer) error {
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.SetOutput(usage)
	listen := flags.String("listen", "localhost:8622", "`address` to serve at")
	count := flags.Int("pods", 12, "how many pods there are")
	pace := flags.Duration("pace", 100*time.Millisecond, "how often each pod answers some requests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *count < 1 || *count > 1000 || *pace <= 0 {
		return errors.New("pods must be 1 to 1000, and pace positive")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	pods := make([]*pod, *count)
	for i := range pods {
		pods[i] = newPod(fmt.Sprintf("cart-%d", i), uint64(i))
	}
	var traffic sync.WaitGroup
	defer traffic.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	traffic.Go(func() { drive(ctx, pods, *pace) })
	fmt.Fprintf(out, "Serving %d pods; their targets are at http://%s/targets\n", *count, listener.Addr())
	return serve(ctx, listener, handler(listener.Addr().String(), pods))
}

// drive lets all pods answer requests until ctx ends.
func drive(ctx context.Context, pods []*pod, pace time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, p := range pods {
				p.answer()
			}
		}
	}
}

// pod is one instance of the shop.
type pod struct {
	name     string
	traffic  *rand.Rand
	metrics  *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

var (
	routes = []string{"/cart", "/checkout", "/items/{id}"}
	codes  = []string{"200", "404", "500"}
)

func newPod(name string, seed uint64) *pod {
	p := &pod{
		name:    name,
		traffic: rand.New(rand.NewPCG(seed, 1)),
		metrics: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shop_http_requests_total", Help: "Requests by route and status code.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shop_http_request_duration_seconds", Help: "How long requests took.", Buckets: []float64{0.01, 0.05, 0.1, 0.5, 1},
		}, []string{"route"}),
	}
	p.metrics.MustRegister(p.requests, p.duration)
	for _, route := range routes {
		p.duration.WithLabelValues(route)
		for _, code := range codes {
			p.requests.WithLabelValues(route, code)
		}
	}
	return p
}

// answer counts some requests. One in fifty is not found, one in two hundred fails.
func (p *pod) answer() {
	for range 1 + p.traffic.IntN(5) {
		route, code := routes[p.traffic.IntN(len(routes))], codes[0]
		switch n := p.traffic.IntN(200); {
		case n == 0:
			code = codes[2]
		case n <= 4:
			code = codes[1]
		}
		p.requests.WithLabelValues(route, code).Inc()
		p.duration.WithLabelValues(route).Observe(0.04 * p.traffic.ExpFloat64())
	}
}

// handler serves the metrics of each pod, and the list of pods as Prometheus'
// HTTP service discovery has it.
func handler(address string, pods []*pod) http.Handler {
	type target struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	mux := http.NewServeMux()
	targets := make([]target, 0, len(pods))
	for _, p := range pods {
		path := "/pods/" + p.name + "/metrics"
		mux.Handle("GET "+path, promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{}))
		targets = append(targets, target{Targets: []string{address}, Labels: map[string]string{
			"__metrics_path__": path, "pod": p.name,
		}})
	}
	mux.HandleFunc("GET /targets", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(targets) // a client that has gone away cannot be told so
	})
	return mux
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

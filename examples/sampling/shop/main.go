// Command shop is a small web shop of three services and its customers, each a
// process of its own, instrumented with OpenTelemetry as programs usually are.
// It is where the traces, logs and metrics of the example come from.
//
//	shop frontend | checkout | stock    serves until it is told to end
//	shop customers                      sends requests for a while, then ends
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// shopFlags are the same for all roles.
type shopFlags struct {
	otlp                      string
	frontend, checkout, stock string
	rate                      int
	lasts                     time.Duration
}

func main() {
	var f shopFlags
	flag.StringVar(&f.otlp, "otlp", "localhost:8652", "`address` of the OTLP/HTTP receiver")
	flag.StringVar(&f.frontend, "frontend", "localhost:8653", "`address` of the frontend")
	flag.StringVar(&f.checkout, "checkout", "localhost:8654", "`address` of checkout")
	flag.StringVar(&f.stock, "stock", "localhost:8655", "`address` of stock")
	flag.IntVar(&f.rate, "rate", 500, "requests a second of the customers")
	flag.DurationVar(&f.lasts, "for", time.Minute, "how long the customers come")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, flag.Arg(0), f)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "shop: %s: %v\n", flag.Arg(0), err)
		os.Exit(1)
	}
}

func run(ctx context.Context, role string, f shopFlags) error {
	switch role {
	case "customers":
		return visit(ctx, "http://"+f.frontend, f.rate, f.lasts)
	case "frontend":
		return serve(ctx, role, f.frontend, f.otlp, func(i instruments) (http.Handler, error) {
			return newFrontend(i, "http://"+f.checkout, "http://"+f.stock), nil
		})
	case "checkout":
		return serve(ctx, role, f.checkout, f.otlp, func(i instruments) (http.Handler, error) {
			return newCheckout(i, "http://"+f.stock), nil
		})
	case "stock":
		return serve(ctx, role, f.stock, f.otlp, newStock)
	default:
		return fmt.Errorf("the role must be frontend, checkout, stock or customers, got %q", role)
	}
}

// serve serves until ctx ends, then sends what telemetry is left.
func serve(ctx context.Context, role, address, otlp string, handler func(instruments) (http.Handler, error)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	i, flush, err := instrument(ctx, role, otlp)
	if err != nil {
		return err
	}
	h, err := handler(i)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           otelhttp.NewHandler(h, "server", otelhttp.WithSpanNameFormatter(spanName)),
		ReadHeaderTimeout: 10 * time.Second,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Println("Ready") // run.sh waits for it
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		return err
	}
	return flush(last)
}

// spanName is METHOD /route, as the semantic conventions have it.
func spanName(_ string, r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	return r.Method
}

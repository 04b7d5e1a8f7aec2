// Command install builds the Prometheus server of the tests, unless it is
// built already, and prints the path of the binary.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/phoenix-platform/phoenix/internal/testkit/prometheus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	path, err := prometheus.Binary(ctx, func(target string) { fmt.Fprintln(os.Stderr, "building", target) })
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}

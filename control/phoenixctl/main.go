// Command phoenixctl shows what a Phoenix collector knows: which metrics cost
// most, and which labels to drop.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRootCommand()
	err := root.ExecuteContext(ctx)
	printError(root.ErrOrStderr(), err)
	return exitCode(err)
}

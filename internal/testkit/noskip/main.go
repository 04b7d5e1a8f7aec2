// Noskip reads what `go test -json` writes, prints it for people, and fails when a test failed or was skipped.
//
//	go test -json ./... | go run ./internal/testkit/noskip
//
// Continuous integration runs its tests through it: a test that skips itself there (a tool is missing, a variable is
// unset) would otherwise look like one that passed.
package main

import (
	"fmt"
	"os"
)

func main() {
	sum, err := read(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "noskip: read test events:", err)
		os.Exit(2)
	}
	if !sum.print(os.Stdout) {
		os.Exit(1)
	}
}

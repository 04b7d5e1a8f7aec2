package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// describeMachine writes what the numbers depend on: processor, cores and the
// versions of the programs.
func describeMachine(ctx context.Context, w io.Writer, rows []row) {
	fmt.Fprintf(w, "%s/%s, %d × %s, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processorName(), runtime.Version())
	seen := make(map[string]bool)
	for _, r := range rows {
		if seen[r.binary] {
			continue
		}
		seen[r.binary] = true
		flag := "--version"
		if r.name == rowVmagent {
			flag = "-version"
		}
		text, err := exec.CommandContext(ctx, r.binary, flag).CombinedOutput() //nolint:gosec // G204: see startChild
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(w, "%s\n", bytes.TrimSpace(text))
	}
}

// processorName is the name that the kernel has for it.
func processorName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, found := strings.CutPrefix(line, "model name"); found {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return "unknown processor"
}

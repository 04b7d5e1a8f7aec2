package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

const (
	startLimit = 60 * time.Second
	stopLimit  = 60 * time.Second
)

// collector is a running collector.
type collector struct {
	cmd       *exec.Cmd
	output    bytes.Buffer // read after ended
	ended     chan error
	otlp, api string // addresses
}

// prepare chooses free addresses for a collector.
func prepare(ctx context.Context, binary, config, state string) (*collector, error) {
	otlp, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = otlp.Close() }()
	api, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = api.Close() }()
	c := &collector{otlp: otlp.Addr().String(), api: api.Addr().String(), ended: make(chan error, 1)}
	c.cmd = exec.Command(binary, "--config", config) //nolint:gosec // G204: running the program that it is told to is the job
	c.cmd.Env = append(os.Environ(), "BENCH_OTLP="+c.otlp, "BENCH_API="+c.api, "BENCH_STATE="+state)
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	return c, nil
}

// run starts the process and waits until it takes data.
func (c *collector) run(ctx context.Context) error {
	if err := c.cmd.Start(); err != nil {
		return err
	}
	go func() { c.ended <- c.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.otlp+"/", http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case err := <-c.ended:
			return fmt.Errorf("the collector ended at its start: %w\n%s", err, c.output.String())
		case <-ctx.Done():
			return fmt.Errorf("the collector takes no data: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop ends the process and waits for it.
func (c *collector) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-c.ended:
		return err
	case <-time.After(stopLimit):
		return errors.Join(errors.New("the collector does not end"), c.cmd.Process.Kill())
	}
}

// memory reads the resident size, in bytes, from /proc.
func (c *collector) memory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if value, found := bytes.CutPrefix(line, []byte("VmRSS:")); found {
			number, _, _ := bytes.Cut(bytes.TrimSpace(value), []byte(" "))
			kibibytes, err := strconv.ParseInt(string(number), 10, 64)
			return kibibytes << 10, err
		}
	}
	return 0, errors.New("/proc/<pid>/status: no VmRSS")
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = 30 * time.Second // until it takes connections
	stopLimit  = 60 * time.Second // until it has flushed and ended
)

// child is a running candidate.
type child struct {
	cmd    *exec.Cmd
	output tailWriter
	ended  chan struct{} // closed when the process has ended
	err    error         // how it ended; read after ended
}

// startChild starts a candidate and waits until it takes connections.
func startChild(ctx context.Context, r row, p place) (*child, error) {
	args, err := r.install(p)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(r.binary, args...), ended: make(chan struct{})} //nolint:gosec // G204: running the programs that it is told to is the job
	c.cmd.Dir, c.cmd.Env = p.dir, p.env()
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	if err := c.awaitReady(ctx, p.listen); err != nil {
		return nil, errors.Join(err, c.kill())
	}
	return c, nil
}

func (c *child) awaitReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-c.ended:
			return c.fault("ended at its start")
		case <-ctx.Done():
			return c.fault("takes no connections")
		}
	}
}

// stop asks the process to end and waits until it has: a collector then hands
// on what it still holds.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return errors.Join(fmt.Errorf("ask it to end: %w", err), c.kill())
	}
	select {
	case <-c.ended:
	case <-time.After(stopLimit):
		return errors.Join(c.fault(fmt.Sprintf("does not end within %s", stopLimit)), c.kill())
	}
	if c.err != nil {
		return c.fault("did not end well")
	}
	return nil
}

// kill ends the process, if it still runs, and waits for that.
func (c *child) kill() error {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.ended
	return nil
}

// fault is an error with the last that the process had to say.
func (c *child) fault(what string) error {
	return fmt.Errorf("%s %s: %s", filepath.Base(c.cmd.Path), what, c.output.String())
}

// freeAddresses returns addresses of the loopback interface that nobody
// listens at.
func freeAddresses(ctx context.Context, n int) ([]string, error) {
	var found []string
	var held []net.Listener // until all are found: each is another one
	defer func() {
		for _, listener := range held {
			_ = listener.Close() // nobody connected
		}
	}()
	for range n {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, listener)
		found = append(found, listener.Addr().String())
	}
	return found, nil
}

// tailWriter keeps the end of what is written to it.
type tailWriter struct {
	mu   sync.Mutex
	tail []byte
}

const tailSize = 4 << 10

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tail = append(w.tail, p...)
	if extra := len(w.tail) - tailSize; extra > 0 {
		w.tail = bytes.Clone(w.tail[extra:])
	}
	return len(p), nil
}

func (w *tailWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.tail))
}

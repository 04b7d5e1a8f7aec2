//go:build e2e

package e2e

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
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/client"
)

const (
	root     = "../.." // the repository's root, seen from here
	patience = 60 * time.Second
	// grace is how long a process may take to end after SIGTERM.
	grace = 15 * time.Second
)

// binary returns the absolute path of the binary that an environment variable
// names.
func binary(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	require.NotEmptyf(t, path, "%s must name the binary; make test-e2e builds it and does", variable)
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	require.FileExists(t, path, "%s: build it with make build", variable)
	return path
}

// freePort returns a port of localhost that nobody listens at.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().(*net.TCPAddr).Port
}

// output collects what a process writes, while it writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// process is a child in a process group of its own.
type process struct {
	cmd    *exec.Cmd
	output output
	ended  chan struct{} // closed when the process has ended
	err    error         // how it ended; read after ended
}

// start starts a command; the test's end ends it and everything that it
// started.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			t.Logf("The last lines of %s:\n%s", filepath.Base(cmd.Path), tail(p.output.String(), 40))
		}
	})
	return p
}

// stop asks the process to end and returns how it did.
func (p *process) stop(t *testing.T) error {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	return p.wait(t, grace)
}

// wait returns how the process ended by itself.
func (p *process) wait(t *testing.T, atMost time.Duration) error {
	t.Helper()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(atMost):
		require.FailNowf(t, "process does not end", "%s after %s", p.cmd.Path, atMost)
		return nil
	}
}

// hasChildren says whether anything in the process's group is alive.
func (p *process) hasChildren() bool {
	return !errors.Is(syscall.Kill(-p.cmd.Process.Pid, 0), syscall.ESRCH)
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// poll repeats a check until it passes, and fails with the last error if it
// does not in time.
func poll(t *testing.T, atMost time.Duration, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil || last == nil {
			last = err // the deadline itself is no news
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			require.NoErrorf(t, last, "still so after %s", atMost)
		}
	}
}

// collector is a running phoenix-collector and a client of its control plane.
type collector struct {
	*process
	api *client.Client
}

// quiet keeps collectors of parallel tests off port 8888.
const quiet = `
  telemetry:
    metrics:
      level: none
`

// collectorCommand writes the configuration to a file and returns the command
// that runs it.
func collectorCommand(t *testing.T, config string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	return exec.Command(binary(t, "PHOENIX_COLLECTOR"), "--config", path)
}

// startCollector runs a configuration whose control plane listens at a port,
// and waits until the collector is ready.
func startCollector(t *testing.T, config string, controlPort int) *collector {
	t.Helper()
	asker, err := client.New(client.Options{Address: fmt.Sprintf("localhost:%d", controlPort)})
	require.NoError(t, err)
	c := &collector{process: start(t, collectorCommand(t, config)), api: asker}
	poll(t, patience, func(ctx context.Context) error {
		select {
		case <-c.ended:
			require.FailNow(t, "the collector ended at its start", tail(c.output.String(), 20))
		default:
		}
		return c.api.Ready(ctx)
	})
	return c
}

package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/api"
)

// crashDirectory tells a test binary that it is the process that gets killed,
// and where its store is.
const crashDirectory = "PHOENIX_CONTROL_CRASH_DIRECTORY"

// TestServeUntilKilled serves a plane for ever in the process that
// TestAKillLosesNothing starts; otherwise it has nothing to do.
func TestServeUntilKilled(t *testing.T) {
	directory := os.Getenv(crashDirectory)
	if directory == "" {
		return
	}
	plane, err := control.Open(t.Context(), control.Settings{Directory: directory, Access: unlimited()})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: plane.Handler(), ReadHeaderTimeout: time.Minute}
	api.Configure(server)
	fmt.Println("http://" + listener.Addr().String())
	require.NoError(t, server.Serve(listener))
}

// victim is a collector's control plane in a process of its own.
type victim struct {
	command *exec.Cmd
	address string
	client  *http.Client
}

func startVictim(t *testing.T, directory string) *victim {
	t.Helper()
	return startProcess(t, "TestServeUntilKilled", crashDirectory+"="+directory)
}

// startProcess runs a test of this binary that prints an address and serves.
func startProcess(t *testing.T, test, environment string) *victim {
	t.Helper()
	v := &victim{
		command: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$"),
		client:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 30 * time.Second},
	}
	v.command.Env = append(os.Environ(), environment)
	v.command.Stderr = os.Stderr
	out, err := v.command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, v.command.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	v.address = strings.TrimSpace(line)
	return v
}

// kill ends the process as kill -9 does.
func (v *victim) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, v.command.Process.Kill())
	_ = v.command.Wait()
	v.client.CloseIdleConnections()
}

// do sends a request and returns the status, 0 if no answer came.
func (v *victim) do(ctx context.Context, method, path, body string) (int, []byte) {
	req, err := http.NewRequestWithContext(ctx, method, v.address+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := v.client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, text
}

// ledger is what was acknowledged: the description of each policy, and whether
// one more change was sent of which nobody knows.
type ledger struct {
	mu       sync.Mutex
	accepted map[string]int
	sent     map[string]int
	changes  int
}

// work creates policies and changes them until the process is gone.
func (l *ledger) work(ctx context.Context, v *victim, round, worker int) error {
	for n := 0; ; n++ {
		name := fmt.Sprintf("p-%d-%d-%d", round, worker, n/3)
		version := n % 3
		path, method := "/api/v1/policies", http.MethodPost
		if version > 0 {
			path, method = "/api/v1/policies/shop/"+name, http.MethodPut
		}
		body := fmt.Sprintf(`{"namespace":"shop","name":%q,"spec":{"description":"%d","rules":[{"match":{"metric":"http_*"},"attributes":{"drop":["pod"]}}]}}`,
			name, version)
		l.mu.Lock()
		l.sent[name] = version
		l.mu.Unlock()
		status, answer := v.do(ctx, method, path, body)
		switch status {
		case 0:
			return nil
		case http.StatusOK, http.StatusCreated:
			l.mu.Lock()
			l.accepted[name] = version
			l.changes++
			l.mu.Unlock()
		default:
			return fmt.Errorf("%s %s: %d: %s", method, path, status, answer)
		}
	}
}

// check finds every acknowledged policy as it was acknowledged, or as what was
// sent after that.
func (l *ledger) check(t *testing.T, v *victim) {
	t.Helper()
	found := map[string]string{}
	for token := ""; ; {
		status, text := v.do(t.Context(), http.MethodGet, "/api/v1/policies?page_size=1000&page_token="+url.QueryEscape(token), "")
		require.Equal(t, http.StatusOK, status, string(text))
		var page struct {
			Policies []struct {
				Name string
				Spec struct{ Description string }
			}
			Next string `json:"next_page_token"`
		}
		require.NoError(t, json.Unmarshal(text, &page))
		for _, p := range page.Policies {
			found[p.Name] = p.Spec.Description
		}
		if token = page.Next; token == "" {
			break
		}
	}
	for name, version := range l.accepted {
		got, there := found[name]
		if !there || got != strconv.Itoa(version) && got != strconv.Itoa(l.sent[name]) {
			assert.Fail(t, "an acknowledged change is lost", "%s: accepted %d, found %q", name, version, got)
		}
	}
}

// TestAKillLosesNothing kills the process while clients write through the API:
// 20 times, 100 times in the long form.
func TestAKillLosesNothing(t *testing.T) {
	kills := 20
	if os.Getenv("PHOENIX_LONG") != "" {
		kills = 100
	}
	directory := t.TempDir()
	l := &ledger{accepted: map[string]int{}, sent: map[string]int{}}
	for round := range kills {
		v := startVictim(t, directory)
		l.check(t, v)
		var workers sync.WaitGroup
		failures := make(chan error, 3)
		for worker := range cap(failures) {
			workers.Go(func() { failures <- l.work(t.Context(), v, round, worker) })
		}
		select { // the time is what is random about it
		case <-time.After(time.Duration(5+rand.IntN(100)) * time.Millisecond):
		case <-t.Context().Done():
		}
		v.kill(t)
		workers.Wait()
		require.NoError(t, errors.Join(<-failures, <-failures, <-failures))
	}
	v := startVictim(t, directory)
	l.check(t, v)
	status, text := v.do(t.Context(), http.MethodGet, "/api/v1/audit:verify", "")
	require.Equal(t, http.StatusOK, status)
	var verdict struct {
		Intact bool
		Last   int
	}
	require.NoError(t, json.Unmarshal(text, &verdict))
	assert.True(t, verdict.Intact)
	assert.GreaterOrEqual(t, verdict.Last, l.changes, "each change has its entry")
	assert.Greater(t, l.changes, kills, "it is killed while it works")
	v.kill(t)
	t.Logf("%d kills, %d acknowledged changes", kills, l.changes)
}

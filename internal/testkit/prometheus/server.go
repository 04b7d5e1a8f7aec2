package prometheus

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startPatience is how long the server may take until it is ready, on a
	// machine that is busy with other work.
	startPatience = time.Minute
	// grace is how long it may take to end after SIGTERM.
	grace = 30 * time.Second
)

// Options are what tests want to differ.
type Options struct {
	// OutOfOrderWindow is how old, against the newest sample, a sample may be
	// that does not come in the order of time. Default: such samples are refused.
	OutOfOrderWindow time.Duration
	// PromoteResourceAttributes lists the resource attributes that become labels
	// of every series. Default: none; service.name and service.instance.id
	// become job and instance in any case.
	PromoteResourceAttributes []string
}

// Server is a Prometheus server of this test's own.
type Server struct {
	// URL is the root of the server, without a slash at the end.
	URL string
	// OTLPEndpoint is what an OTLP/HTTP exporter takes as its endpoint; it adds
	// /v1/metrics.
	OTLPEndpoint string

	client http.Client
	cmd    *exec.Cmd
	log    serverLog
	ended  chan struct{} // closed when the process has ended
	err    error         // how it ended; read after ended
}

// Start starts a server with an empty database in a temporary directory, at a
// free port of the loopback interface, and waits until it is ready. The end of
// the test ends it. The test is skipped if the server cannot be built, which CI
// does not take for a pass.
func Start(tb testing.TB, options Options) *Server {
	tb.Helper()
	binary, err := Binary(tb.Context(), func(target string) {
		tb.Logf("Building the Prometheus server, which takes minutes: %s. `make prometheus` does it beforehand.", target)
	})
	if err != nil && os.Getenv(BinaryVariable) == "" {
		tb.Skipf("No Prometheus server: %s", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	s, err := launch(binary, tb.TempDir(), options)
	if err != nil {
		tb.Fatalf("start %s: %s", binary, err)
	}
	tb.Cleanup(func() {
		if err := s.stop(); err != nil {
			tb.Errorf("stop Prometheus: %s", err)
		}
		if tb.Failed() {
			tb.Logf("The last lines of Prometheus at %s:\n%s", s.URL, s.log.tail())
		}
	})
	if err := s.await(tb.Context()); err != nil {
		tb.Fatalf("start %s: %s", binary, err)
	}
	return s
}

// configuration is a Prometheus configuration file; JSON is YAML.
func configuration(options Options) ([]byte, error) {
	config := map[string]any{}
	if options.OutOfOrderWindow > 0 {
		config["storage"] = map[string]any{
			"tsdb": map[string]any{"out_of_order_time_window": fmt.Sprintf("%dms", options.OutOfOrderWindow.Milliseconds())},
		}
	}
	if len(options.PromoteResourceAttributes) > 0 {
		config["otlp"] = map[string]any{"promote_resource_attributes": options.PromoteResourceAttributes}
	}
	return json.Marshal(config)
}

func launch(binary, dir string, options Options) (*Server, error) {
	config, err := configuration(options)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	s := &Server{ended: make(chan struct{}), log: serverLog{address: make(chan string, 1)}}
	s.cmd = exec.Command(binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--web.enable-otlp-receiver")
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		readErr := s.log.read(stderr)
		s.err = errors.Join(s.cmd.Wait(), readErr)
	}()
	return s, nil
}

// await waits until the server listens and has read its database.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	select {
	case address := <-s.log.address:
		s.URL = "http://" + address
		s.OTLPEndpoint = s.URL + "/api/v1/otlp"
	case <-s.ended:
		return s.early()
	case <-ctx.Done():
		return fmt.Errorf("it does not listen: %w\n%s", ctx.Err(), s.log.tail())
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return s.early()
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", err)
		}
	}
}

// early says how the server ended when nobody had asked it to.
func (s *Server) early() error {
	return errors.Join(errors.New("it ended by itself"), s.err, errors.New(s.log.tail()))
}

func (s *Server) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/-/ready", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// stop asks the server to end and waits until it has. An unclean end is an
// error.
func (s *Server) stop() error {
	s.client.CloseIdleConnections()
	select {
	case <-s.ended:
		return s.early()
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.ended:
		return s.err
	case <-time.After(grace):
		err := s.cmd.Process.Kill()
		<-s.ended
		return errors.Join(fmt.Errorf("it was killed, because it did not end in %s", grace), err)
	}
}

// listening is how the server says which port it got.
var listening = regexp.MustCompile(`msg="Listening on" .*\baddress=(\S+)`)

// serverLog keeps what the server writes.
type serverLog struct {
	address chan string // gets the address it listens at, once

	mu    sync.Mutex
	lines []string
}

func (l *serverLog) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l.mu.Lock()
		l.lines = append(l.lines, lines.Text())
		l.mu.Unlock()
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			select {
			case l.address <- found[1]:
			default: // it is known already
			}
		}
	}
	return lines.Err()
}

// tail is the last lines.
func (l *serverLog) tail() string {
	const enough = 20
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-enough):], "\n")
}

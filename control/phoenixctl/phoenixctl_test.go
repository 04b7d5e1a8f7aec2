package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
)

// rewrite writes the golden files again; read the diff before you keep it.
var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata again")

func TestMain(m *testing.M) {
	// No test reads the configuration of whoever runs it.
	none := filepath.Join(os.TempDir(), "phoenixctl-test-has-no-such-directory", "config.yaml")
	if err := errors.Join(os.Setenv("PHOENIX_CONFIG", none), os.Unsetenv(addressVariable), os.Unsetenv(keyVariable), os.Unsetenv(dsnVariable)); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(withPostgres{m})
}

// withPostgres ends the server that tests share.
type withPostgres struct{ *testing.M }

func (w withPostgres) Run() int { return postgrestest.Run(w.M) }

// execute runs the command as main does and returns what it prints.
func execute(ctx context.Context, out io.Writer, args ...string) (stderr string, code int) {
	var errOut bytes.Buffer
	root := newRootCommand()
	root.SetArgs(append([]string{}, args...)) // nil would be those of the test
	root.SetOut(out)
	root.SetErr(&errOut)
	err := root.ExecuteContext(ctx)
	printError(&errOut, err)
	return errOut.String(), exitCode(err)
}

// transcript is a command, all that it prints, and how it ends.
func transcript(t *testing.T, server *httptest.Server, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	stderr, code := execute(t.Context(), &out, append([]string{"--address", server.URL}, args...)...)
	text := fmt.Sprintf("$ phoenixctl %s\n%s%s", strings.Join(args, " "), out.String(), stderr)
	if code != exitOK {
		text += fmt.Sprintf("[exit %d]\n", code)
	}
	return strings.ReplaceAll(text, server.URL, "http://server")
}

// home is where the tests begin; some go elsewhere.
var home, _ = os.Getwd()

func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(home, "testdata", name)
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run go test -rewrite and inspect the diff")
}

func TestTop(t *testing.T) {
	two := controltest.Serve(t, controltest.Ingest(), controltest.Export())
	one := controltest.Serve(t, controltest.Ingest())
	small := controltest.Ingest()
	small.Metrics, small.Overflow, small.Refused = small.Metrics[:2], nil, nil
	exact := controltest.Serve(t, small)
	f := func(golden string, server *httptest.Server, args ...string) {
		t.Helper()
		requireGolden(t, golden, transcript(t, server, args...))
	}
	// Two points, groups, limits, trends and an overflow
	f("list.txt", two, "top", "--all-points")
	// Where the series come from, unless another point is asked for
	f("list_default.txt", two, "top")
	// One point, no groups: the columns go
	f("list_one_point.txt", one, "top", "--sort", "saving")
	// Neither limits, trends nor estimates
	f("list_exact.txt", exact, "top")
	// A limit that cuts, and the column that it is sorted by
	f("list_points.txt", one, "top", "-n", "2", "--sort", "points", "--since", "5m")
	// A pattern, a point and a group
	f("list_filtered.txt", two, "top", "*.calls", "--point", "export", "--group", "c*t")
	f("list_nothing.txt", two, "top", "none*", "--all-points")
	f("list_unmeasured.txt", controltest.Serve(t), "top")
	f("list.json", two, "top", "--all-points", "-o", "json", "-n", "1")
	f("list.yaml", two, "top", "--all-points", "-o", "yaml", "-n", "1")
	// One metric: its labels, and those that save only together
	f("metric.txt", two, "top", "http.server.request.duration", "--all-points")
	f("metric_groups.txt", two, "top", "db.client.calls", "--all-points")
	f("metric.json", two, "top", "process.runtime/heap", "-o", "json")
	f("metric.yaml", two, "top", "process.runtime/heap", "-o", "yaml")
}

func TestMistakes(t *testing.T) {
	server := controltest.Serve(t, controltest.Ingest(), controltest.Export())
	var all strings.Builder
	f := func(args ...string) {
		t.Helper()
		all.WriteString(transcript(t, server, args...) + "\n")
	}
	// The API's problems
	f("top", "http_server_request_duration_seconds_sum")
	f("top", "zzz")
	f("top", "--since", "20m")
	f("top", "--point", "egress")
	f("top", "--group", strings.Repeat("g", 1025))
	// Mistakes of the caller
	f("tpo")
	f("frobnicate")
	f("top", "a", "b")
	f("top", "--sort", "size", "--limit", "0", "-o", "xml", "--since", "-1s", "--interval", "0s")
	f("top", "up", "--limit", "3", "--sort", "name")
	f("top", "--frobnicate")
	f("version", "now")
	f("top", "--address", "ftp://localhost")
	requireGolden(t, "mistakes.txt", strings.ReplaceAll(all.String(), strings.Repeat("g", 1025), "ggg…"))
}

func TestUnreachableAddressSaysWhatToStart(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	t.Setenv(addressVariable, gone.URL)
	stderr, code := execute(t.Context(), io.Discard, "top")
	assert.Equal(t, exitUnavailable, code)
	assert.Contains(t, stderr, "Error: reach the control plane at "+gone.URL)
	assert.Contains(t, stderr, "Start a collector with the phoenix_control extension, for example `make run`, or give --address.")
}

func TestAddressFromEnvironment(t *testing.T) {
	server := controltest.Serve(t, controltest.Ingest())
	t.Setenv(addressVariable, strings.TrimPrefix(server.URL, "http://"))
	var out bytes.Buffer
	_, code := execute(t.Context(), &out, "top")
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out.String(), "http.server.request.duration")
}

func TestSomethingElseAnswers(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	stderr, code := execute(t.Context(), io.Discard, "top", "--address", other.URL)
	assert.Equal(t, exitError, code)
	assert.Contains(t, stderr, "which is not the Phoenix API")
}

func TestVersionAndHelp(t *testing.T) {
	var out bytes.Buffer
	_, code := execute(t.Context(), &out, "version")
	assert.Equal(t, exitOK, code)
	assert.Regexp(t, `^phoenixctl \S+ \(go1\.\S+ \w+/\w+\)\n$`, out.String())

	version = "1.2.3"
	defer func() { version = "" }()
	assert.Equal(t, "1.2.3", currentVersion())

	out.Reset()
	_, code = execute(t.Context(), &out)
	assert.Equal(t, exitOK, code)
	requireGolden(t, "help.txt", out.String())
}

func TestCompletion(t *testing.T) {
	server := controltest.Serve(t, controltest.Ingest(), controltest.Export())
	f := func(want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		_, code := execute(t.Context(), &out, append([]string{"__complete", "--address", server.URL, "top"}, args...)...)
		assert.Equal(t, exitOK, code)
		assert.Equal(t, want, strings.Split(out.String(), ":4")[0])
	}
	f("db.client.calls\n", "db")
	f("", "up", "")
	f("series\nsaving\ngrowth\npoints\nstreams\nname\n", "--sort", "")
	f("table\njson\nyaml\n", "-o", "")
	server.Close()
	f("", "db")
}

func TestHostileNamesAreMadePrintable(t *testing.T) {
	const evil = "a\x1b[2Jb\tc\nd\u202ee"
	server := controltest.Serve(t, report.Cardinality{
		Point: "p" + evil, Component: "c", Backend: evil + "\xff", Metrics: []report.MetricCardinality{{
			Name: "m", Group: evil + "\xff", Type: evil, Unit: evil,
			Attributes: []report.AttributeCardinality{{Key: evil, Level: evil, Label: evil}},
			Best:       &report.Saving{Attributes: []string{evil}},
		}},
	})
	for _, args := range [][]string{{"top"}, {"top", "m"}, {"top", "x" + evil}} {
		got := transcript(t, server, args...)
		got = got[strings.Index(got, "\n")+1:] // what was typed is as it was typed
		if len(args) > 1 && args[1] != "m" {
			_, got, _ = strings.Cut(got, "Error:")
		}
		for _, bad := range []string{"\x1b", "\t", "\u202e"} {
			assert.NotContains(t, got, bad, args)
		}
		assert.Contains(t, got, `a\x1b[2Jb\tc\nd\u202ee`)
	}
}

// announced is a buffer that tells a channel about every write.
type announced struct {
	bytes.Buffer
	written chan struct{}
}

func (s *announced) Write(p []byte) (int, error) {
	n, err := s.Buffer.Write(p)
	s.written <- struct{}{}
	return n, err
}

func TestWatchPrintsUntilItIsInterrupted(t *testing.T) {
	server := controltest.Serve(t, controltest.Ingest())
	f := func(output, between string) {
		t.Helper()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		out := &announced{written: make(chan struct{})}
		code := make(chan int)
		go func() {
			_, c := execute(ctx, out, "--address", server.URL, "top", "-w", "--interval", "1ms", "-o", output, "up*")
			code <- c
		}()
		<-out.written
		<-out.written
		interrupt()
		for done := false; !done; {
			select {
			case <-out.written: // one that was on its way
			case c := <-code:
				assert.Equal(t, exitOK, c)
				done = true
			}
		}
		var single bytes.Buffer
		_, c := execute(t.Context(), &single, "--address", server.URL, "top", "-o", output, "up*")
		require.Equal(t, exitOK, c)
		want := single.String() + between + single.String()
		assert.Equal(t, want, out.String()[:len(want)])
	}
	f("table", "\n")
	f("json", "")
	f("yaml", "---\n")
}

func TestWatchRedrawsATerminal(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errOut bytes.Buffer
	var shown atomic.Int32
	err := watch(ctx, screen{out: &out, errOut: &errOut, terminal: true}, 1, func(_ context.Context, w io.Writer) error {
		switch shown.Add(1) {
		case 2:
			return assert.AnError // a restart of the collector
		case 4:
			interrupt()
			return ctx.Err()
		}
		_, err := io.WriteString(w, "table\n")
		return err
	})
	require.NoError(t, err)
	assert.Equal(t, clearScreen+"table\n"+clearScreen+"table\n", out.String())
	assert.Contains(t, errOut.String(), assert.AnError.Error())
}

func TestWatchFailsIfTheFirstAnswerDoes(t *testing.T) {
	err := watch(t.Context(), screen{out: io.Discard, errOut: io.Discard}, 1, func(context.Context, io.Writer) error { return assert.AnError })
	require.ErrorIs(t, err, assert.AnError)
}

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the examples' expected output instead of comparing with it")

// expectedColumns of phoenixctl top stand in an example's expected/top.txt; the
// others change with time.
var expectedColumns = []string{"METRIC", "SERIES", "STREAMS", "DROP", "SAVES"}

const expectedRows = 10

// exampleCommand returns run.sh of an example, with ports that nobody uses.
func exampleCommand(t *testing.T, name string, ports ...string) *exec.Cmd {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(root, "examples", name, "run.sh"))
	require.NoError(t, err)
	cmd := exec.Command(script)
	cmd.Env = append(os.Environ(),
		"PHOENIX_COLLECTOR="+binary(t, "PHOENIX_COLLECTOR"),
		"PHOENIXCTL="+binary(t, "PHOENIXCTL"),
		"TMPDIR="+t.TempDir())
	for _, port := range ports {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", port, freePort(t)))
	}
	return cmd
}

// The example runs as its README says: it names the next command, the command
// shows the metrics of the capture, and the example ends with all it started.
func TestExampleShowsWhatAKubeAPIServerCosts(t *testing.T) {
	t.Parallel()
	example := start(t, exampleCommand(t, "kube-apiserver", "PHOENIX_PORT", "PHOENIX_REPLAY_PORT", "PHOENIX_TELEMETRY_PORT"))
	next := regexp.MustCompile(`(?m)^ +(\S*phoenixctl) top --address (http://localhost:\d+)$`)
	poll(t, patience, func(context.Context) error {
		select {
		case <-example.ended:
			require.FailNow(t, "the example ended", example.output.String())
		default:
		}
		if next.FindString(example.output.String()) == "" {
			return errors.New("the example does not name the next command")
		}
		return nil
	})
	address := next.FindStringSubmatch(example.output.String())[2]

	expected := filepath.Join(root, "examples", "kube-apiserver", "expected", "top.txt")
	if *update {
		require.NoError(t, os.WriteFile(expected, []byte(settledTop(t, address)), 0o600))
	}
	want, err := os.ReadFile(expected)
	require.NoError(t, err)
	poll(t, patience, func(ctx context.Context) error {
		got, err := top(ctx, t, address)
		if err == nil && got != string(want) {
			err = fmt.Errorf("phoenixctl top shows\n%s\nexpected\n%s", got, want)
		}
		return err
	})

	require.NoError(t, example.stop(t), "ending it is no failure")
	assert.False(t, example.hasChildren(), "a process of the example is still there")
	assert.NotContains(t, example.output.String(), "run.sh:")
}

// top runs phoenixctl top and returns its first rows, without what changes
// with time.
func top(ctx context.Context, t *testing.T, address string) (string, error) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary(t, "PHOENIXCTL"), "top", "--address", address)
	cmd.Stderr = &stderr
	said, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("phoenixctl top: %w: %s", err, stderr.String())
	}
	rows := tableRows(string(said))
	if len(rows) <= expectedRows {
		return "", fmt.Errorf("phoenixctl top shows %d rows:\n%s", len(rows), said)
	}
	return shorten(rows[:1+expectedRows])
}

// tableRows returns the cells of the table that begins with METRIC.
func tableRows(text string) [][]string {
	_, table, _ := strings.Cut(text, "\nMETRIC ")
	gap := regexp.MustCompile(` {2,}`)
	var rows [][]string
	for line := range strings.Lines("METRIC " + table) {
		if line = strings.TrimSpace(line); line == "" {
			break
		}
		rows = append(rows, gap.Split(line, -1))
	}
	return rows
}

func shorten(rows [][]string) (string, error) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if len(row) != len(rows[0]) {
			return "", fmt.Errorf("row %q has not the columns %q", row, rows[0])
		}
		var cells []string
		for _, title := range expectedColumns {
			at := slices.Index(rows[0], title)
			if at < 0 {
				return "", fmt.Errorf("no column %s among %q", title, rows[0])
			}
			cells = append(cells, row[at])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	err := w.Flush()
	return b.String(), err
}

// settledTop waits until the replay must have reached its last round, for
// -update only.
func settledTop(t *testing.T, address string) string {
	t.Helper()
	<-time.After(40 * time.Second)
	text, err := top(t.Context(), t, address)
	require.NoError(t, err)
	return text
}

// A port that is taken is named, with the way out, before anything starts.
func TestExampleNamesAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, listener.Close()) }()
	taken := listener.Addr().(*net.TCPAddr).Port

	cmd := exampleCommand(t, "kube-apiserver", "PHOENIX_PORT", "PHOENIX_TELEMETRY_PORT")
	cmd.Env = append(cmd.Env, fmt.Sprintf("PHOENIX_REPLAY_PORT=%d", taken))
	p := start(t, cmd)
	require.Error(t, p.wait(t, patience))
	assert.Contains(t, p.output.String(), fmt.Sprintf("port %d", taken))
	assert.Contains(t, p.output.String(), "PHOENIX_REPLAY_PORT=")
}

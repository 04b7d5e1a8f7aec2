//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	// What the shop of examples/kube-apiserver sends: 12 pods with 9 counters and
	// 3 histograms of 5 bounds and +Inf, a count and a sum.
	shopSeries = 12 * (9 + 3*8)
	// shopWithoutPods is what is left when the pods are added up.
	shopWithoutPods = shopSeries / 12
	// changeTakes is above how long a change takes to be seen at the output: a
	// sub-window until the series that ended are forgotten.
	changeTakes = 2 * time.Minute
)

// demo is the running example with policies.
type demo struct {
	*process
	address string // http://localhost:8620
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	d := &demo{process: start(t, exampleCommand(t, "kube-apiserver", "PHOENIX_PORT", "PHOENIX_REPLAY_PORT", "PHOENIX_SHOP_PORT", "PHOENIX_TELEMETRY_PORT"))}
	next := regexp.MustCompile(`(?m)^ +\S*phoenixctl top --address (http://localhost:\d+)$`)
	poll(t, patience, func(context.Context) error {
		select {
		case <-d.ended:
			require.FailNow(t, "the example ended", d.output.String())
		default:
		}
		found := next.FindStringSubmatch(d.output.String())
		if found == nil {
			return errors.New("the example does not name the next command")
		}
		d.address = found[1]
		return nil
	})
	return d
}

// ctl runs phoenixctl and returns what it says on standard output.
func (d *demo) ctl(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), changeTakes)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t, "PHOENIXCTL"), append([]string{"--address", d.address}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "PHOENIX_CONFIG="+filepath.Join(t.TempDir(), "config.yaml"))
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	require.NoErrorf(t, cmd.Run(), "phoenixctl %s: %s%s", strings.Join(args, " "), out.String(), stderr.String())
	return out.String()
}

// get asks the API and decodes its JSON.
func (d *demo) get(ctx context.Context, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.address+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return json.Unmarshal(body, answer)
}

// awaitShop waits until the shop has so many series behind the policies.
func (d *demo) awaitShop(t *testing.T, series float64) {
	t.Helper()
	poll(t, changeTakes, func(ctx context.Context) error {
		var list struct{ Metrics []struct{ Series float64 } }
		if err := d.get(ctx, "/api/v1/cardinality?point=output&since=10s&metric="+url.QueryEscape("shop_*"), &list); err != nil {
			return err
		}
		sum := 0.0
		for _, m := range list.Metrics {
			sum += m.Series
		}
		if sum != series {
			return fmt.Errorf("%v series come out, not %v", sum, series)
		}
		return nil
	})
}

type auditRecord struct{ Action, Outcome, Resource string }

// awaitAudit waits until the newest records are these.
func (d *demo) assertAudit(t *testing.T, actions ...string) {
	t.Helper()
	var list struct{ Records []auditRecord }
	require.NoError(t, d.get(t.Context(), "/api/v1/audit", &list))
	var done []string
	for _, r := range slices.Backward(list.Records) { // the oldest first
		if strings.HasPrefix(r.Action, "policies.") && r.Outcome == "done" {
			assert.Equal(t, "policies/default/drop-pod", r.Resource)
			done = append(done, r.Action)
		}
	}
	assert.Equal(t, actions, done)
	var proof struct{ Intact bool }
	require.NoError(t, d.get(t.Context(), "/api/v1/audit:verify", &proof))
	assert.True(t, proof.Intact)
}

// A policy is previewed, enforced and rolled back from the command line: what
// it saves is said before, the series go and come back, and the audit log has it.
func TestPolicyFromTheCommandLine(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	d.awaitShop(t, shopSeries)
	const file = "examples/policies/drop-pod.yaml"

	said := d.ctl(t, "policies", "apply", "-f", file, "--preview")
	assert.Contains(t, said, "drop-pod")
	assert.Contains(t, said, "USD")
	d.awaitShop(t, shopSeries)

	poll(t, changeTakes, func(context.Context) error { // the preview window is short in the example
		cmd := exec.Command(binary(t, "PHOENIXCTL"), "--address", d.address, "policies", "apply", "-f", file, "--enforce")
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	d.awaitShop(t, shopWithoutPods)

	d.ctl(t, "policies", "rollback", "drop-pod", "--to", "1")
	d.awaitShop(t, shopSeries)

	d.assertAudit(t, "policies.create", "policies.enforce", "policies.rollback")
	assert.Contains(t, d.ctl(t, "audit", "list"), "policies.rollback")
	assert.Contains(t, d.ctl(t, "audit", "verify"), "are as they were written")
	require.NoError(t, d.stop(t))
	assert.False(t, d.hasChildren(), "a process of the example is still there")
}

// The curl lines of the README do the same.
func TestPolicyByTheREADMEsCurlLines(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	d.awaitShop(t, shopSeries)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	_, block, found := strings.Cut(string(text), "<!-- run by distributions/e2e -->\n```sh\n")
	require.True(t, found, "the README has no block to run")
	block, _, _ = strings.Cut(block, "```")
	parts := strings.Split(block, "\n\n") // preview, enforce, rollback, audit
	require.Len(t, parts, 4)
	run := func(i int) string {
		script := "set -euo pipefail\ncurl() { command curl -fsS --max-time 20 \"$@\"; }\n" + strings.ReplaceAll(strings.Join([]string{strings.SplitN(block, "\n", 2)[0], parts[i]}, "\n"), "http://localhost:8620", d.address)
		cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		require.NoErrorf(t, err, "%s\n%s", parts[i], out)
		return string(out)
	}
	assert.Contains(t, run(0), `"preview"`)
	d.awaitMeasured(t)
	assert.Contains(t, run(1), `"enforced"`)
	d.awaitShop(t, shopWithoutPods)
	assert.Contains(t, run(2), `"preview"`)
	d.awaitShop(t, shopSeries)
	assert.Regexp(t, `"intact": ?true`, run(3))
	d.assertAudit(t, "policies.create", "policies.enforce", "policies.rollback")
}

// awaitMeasured waits until the policy was in preview for a window.
func (d *demo) awaitMeasured(t *testing.T) {
	t.Helper()
	poll(t, changeTakes, func(ctx context.Context) error {
		var saving struct {
			SeriesSaved struct{ Expected float64 } `json:"series_saved"`
		}
		var policy struct {
			PreviewedSince time.Time `json:"previewed_since"`
		}
		if err := errors.Join(d.get(ctx, "/api/v1/savings/default/drop-pod", &saving), d.get(ctx, "/api/v1/policies/default/drop-pod", &policy)); err != nil {
			return err
		}
		const window = 15 * time.Second // preview_window of the example
		if saving.SeriesSaved.Expected != shopSeries-shopWithoutPods || time.Since(policy.PreviewedSince) < window+time.Second {
			return fmt.Errorf("saves %v, in preview for %s", saving.SeriesSaved.Expected, time.Since(policy.PreviewedSince))
		}
		return nil
	})
}

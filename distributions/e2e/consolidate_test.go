//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	consolidation = "consolidate-kubernetes"
	// consolidationTakes is above what it takes on a busy machine.
	consolidationTakes = 5 * time.Minute
)

// A scraped kube-apiserver loses nine tenths of its series and none of its
// sums.
func TestConsolidatedScrapesKeepTheirSums(t *testing.T) {
	t.Parallel()
	assertSaves(t, consolidate(t))
}

// Nor does it when the collector is killed between a flush and a checkpoint.
func TestConsolidationSurvivesAKill(t *testing.T) {
	t.Parallel()
	said := consolidate(t, "kill")
	assertSaves(t, said)
	assert.Contains(t, said, "Killed the collector (-9)")
	assert.Equal(t, 2, strings.Count(said, "largest difference"), "judged before the kill and at the end")
}

// With start times the sums themselves are equal.
func TestConsolidatedOTLPHasTheSameSums(t *testing.T) {
	t.Parallel()
	assertSaves(t, consolidate(t, "otlp"))
}

func TestConsolidationNamesItsArguments(t *testing.T) {
	t.Parallel()
	p := start(t, consolidateCommand(t, "kil"))
	require.Error(t, p.wait(t, patience))
	assert.Contains(t, p.output.String(), "run.sh: unknown argument 'kil'")
}

func consolidateCommand(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	cmd := exampleCommand(t, consolidation, "PHOENIX_PORT", "PHOENIX_REPLAY_PORT", "PHOENIX_OTLP_PORT", "PHOENIX_TELEMETRY_PORT")
	cmd.Args = append(cmd.Args, arguments...)
	return cmd
}

// consolidate runs the example, which ends by itself, and returns what it said.
func consolidate(t *testing.T, arguments ...string) string {
	t.Helper()
	p := start(t, consolidateCommand(t, arguments...))
	require.NoError(t, p.wait(t, consolidationTakes), "%s", tail(p.output.String(), 40))
	assert.False(t, p.hasChildren(), "a process of the example is still there")
	said := p.output.String()
	assert.Equal(t, shownBy(t, arguments...), withoutTimes(said), "what its README shows")
	return said
}

// shownBy returns what the README shows below a command.
func shownBy(t *testing.T, arguments ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "examples", consolidation, "README.md"))
	require.NoError(t, err)
	command := strings.Join(append([]string{"$ examples/" + consolidation + "/run.sh"}, arguments...), " ") + "\n"
	_, after, found := strings.Cut(string(text), command)
	require.True(t, found, "the README does not show %s", command)
	shown, _, _ := strings.Cut(after, "```")
	return withoutTimes(shown)
}

// withoutTimes leaves out what differs from run to run: the folder of the logs
// and how the collector's additions rounded.
func withoutTimes(said string) string {
	said = regexp.MustCompile(`Logs: \S+`).ReplaceAllString(said, "Logs")
	return regexp.MustCompile(`(?m)^rounding of fractions.*\n`).ReplaceAllString(said, "")
}

// assertSaves wants the promise of the example in what it printed last.
func assertSaves(t *testing.T, said string) {
	t.Helper()
	assert.NotContains(t, said, "WRONG")
	for _, row := range regexp.MustCompile(`(?m)^largest difference +(\S+)$`).FindAllStringSubmatch(said, -1) {
		assert.Equal(t, "0", row[1])
	}
	all := regexp.MustCompile(`(?m)^saved +([0-9.]+) %$`).FindAllStringSubmatch(said, -1)
	require.NotEmpty(t, all, said)
	saved, err := strconv.ParseFloat(all[len(all)-1][1], 64)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, saved, 90.0)
}

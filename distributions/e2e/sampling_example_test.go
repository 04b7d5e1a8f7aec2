//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The example's shop is sampled, and its queries are right: it prints the tables
// that its README shows, but for the numbers.
func TestSamplingExample(t *testing.T) {
	t.Parallel()
	cmd := exampleCommand(t, "sampling", "PHOENIX_PORT", "PHOENIX_OTLP_PORT", "PHOENIX_TELEMETRY_PORT",
		"PHOENIX_FRONTEND_PORT", "PHOENIX_CHECKOUT_PORT", "PHOENIX_STOCK_PORT")
	p := start(t, cmd)
	require.NoError(t, p.wait(t, 5*time.Minute), "%s", tail(p.output.String(), 40))
	assert.False(t, p.hasChildren(), "a process of the example is still there")
	said := p.output.String()

	text, err := os.ReadFile(filepath.Join(root, "examples", "sampling", "README.md"))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "$ examples/sampling/run.sh\n")
	require.True(t, found)
	shown, _, _ := strings.Cut(after, "```")
	assert.Equal(t, withoutNumbers(shown), withoutNumbers(said))

	assert.NotContains(t, said, "WRONG")
	assert.Equal(t, 5, strings.Count(said, " ok"), "queries")
	for what, atMost := range map[string]float64{"spans": 30, "log records": 50, "metric points": 60} {
		row := regexp.MustCompile(`(?m)^ *` + what + ` .* ([0-9.]+) %\s*$`).FindStringSubmatch(said)
		require.NotNil(t, row, what)
		kept, err := strconv.ParseFloat(row[1], 64)
		require.NoError(t, err)
		assert.LessOrEqual(t, kept, atMost, what)
	}
}

// withoutNumbers leaves the words.
func withoutNumbers(said string) string {
	said = regexp.MustCompile(`Logs: \S+`).ReplaceAllString(said, "Logs")
	said = regexp.MustCompile(`[0-9][0-9,.]*(e-[0-9]+)?`).ReplaceAllString(said, "N")
	return regexp.MustCompile(` +`).ReplaceAllString(said, " ")
}

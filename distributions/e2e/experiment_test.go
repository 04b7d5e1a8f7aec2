//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// verdictPatience is how long an example's experiment may take. Its README
// promises less on a machine that has nothing else to do.
const verdictPatience = 5 * time.Minute

// judged runs the example's experiment to its end and returns what it said.
func judged(t *testing.T, candidate string) string {
	t.Helper()
	cmd := exampleCommand(t, "experiment", "PHOENIX_PORT", "PHOENIX_REPLAY_PORT", "PHOENIX_TELEMETRY_PORT")
	cmd.Args = append(cmd.Args, candidate)
	example := start(t, cmd)
	require.NoError(t, example.wait(t, verdictPatience), example.output.String())
	assert.False(t, example.hasChildren(), "a process of the example is still there")
	return example.output.String()
}

// A candidate that keeps what the alerts and panels ask for is promoted: its
// rules become a policy that is enforced.
func TestGoodCandidateIsPromoted(t *testing.T) {
	t.Parallel()
	said := judged(t, "good")
	assert.Contains(t, said, "Promoted")
	assert.Contains(t, said, "2 of 2 alerts judged, 0 differ")
	assert.Contains(t, said, "default/good: enforced, revision 1")
}

// A candidate that drops a label that an alert needs is rolled back, and the
// reason names the alert.
func TestBadCandidateIsRolledBack(t *testing.T) {
	t.Parallel()
	said := judged(t, "bad")
	assert.Contains(t, said, "RolledBack")
	assert.Contains(t, said, "APIServerManyConflicts differs")
	assert.NotContains(t, said, "enforced")
}

package prometheus

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServerThatEndsAtItsStartSaysWhy(t *testing.T) {
	notPrometheus, err := exec.LookPath("go")
	require.NoError(t, err)
	s, err := launch(notPrometheus, t.TempDir(), Options{})
	require.NoError(t, err)
	err = s.await(t.Context())
	require.ErrorContains(t, err, "it ended by itself\nexit status 2\n")
	require.ErrorContains(t, err, "go help <topic>", "what it wrote")
	require.ErrorContains(t, s.stop(), "it ended by itself")
}

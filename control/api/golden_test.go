package api_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// rewrite writes the golden files again; read the diff before you keep it.
var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata again")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run go test -rewrite and inspect the diff")
}

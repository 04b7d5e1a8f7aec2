package access

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// rewrite writes the golden files again; read the difference before you keep it.
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
	require.Equal(t, string(want), got, "run go test -rewrite and inspect the difference")
}

// noon is a moment like any other.
var noon = time.Date(2026, 3, 11, 12, 0, 0, 0, time.UTC)

// newGuard returns the guard of the defaults with these bindings.
func newGuard(t require.TestingT, bindings ...Binding) *Guard {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	cfg := DefaultConfig()
	cfg.Bindings = bindings
	g, err := New(cfg)
	require.NoError(t, err)
	return g
}

// holder is an API key with these grants.
func holder(grants ...string) Principal {
	held, err := ParseGrants(grants)
	if err != nil {
		panic(err)
	}
	return Principal{Kind: KindAPIKey, ID: "holder", grants: held}
}

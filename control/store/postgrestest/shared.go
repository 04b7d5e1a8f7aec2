package postgrestest

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var shared struct {
	sync.Mutex
	server *Server
}

// Shared returns a server for all tests of a package, which calls Run in its
// TestMain. The first caller starts it.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	bin, err := find()
	if err != nil {
		missing(tb, err)
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		shared.server, err = start(bin, nil)
		require.NoError(tb, err)
	}
	return shared.server
}

// Run runs the tests of a package, ends the shared server and returns the exit
// code.
func Run(m *testing.M) int {
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
			code = max(code, 1)
		}
	}
	return code
}

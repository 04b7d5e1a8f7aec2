package postgrestest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
)

// abandoned makes the test binary a process that starts a server and is killed.
const abandoned = "PHOENIX_POSTGRES_ABANDONED"

func count(t *testing.T, dsn string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT COUNT(*) FROM t").Scan(&n))
	require.NoError(t, conn.Close(t.Context()))
	return n
}

func execute(t *testing.T, dsn, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func TestAServerRecoversFromACrash(t *testing.T) {
	var dir string
	t.Run("which ends with its test", func(t *testing.T) {
		server := postgrestest.Start(t)
		dir = directory(t, server.DSN("postgres"))
		require.DirExists(t, dir)
		testRecovery(t, server)
	})
	require.NoDirExists(t, dir)
}

func testRecovery(t *testing.T, server *postgrestest.Server) {
	t.Helper()
	dsn := server.NewDatabase(t)
	execute(t, dsn, "CREATE TABLE t AS SELECT generate_series(1, 1000)")
	require.NoError(t, server.Crash())
	_, err := pgx.Connect(t.Context(), dsn)
	require.Error(t, err)
	require.NoError(t, server.Restart())
	require.Equal(t, 1000, count(t, dsn))
	other := server.NewDatabase(t)
	require.NotEqual(t, dsn, other)
	execute(t, other, "CREATE TABLE t ()")
	require.Zero(t, count(t, other), "databases are apart")
	schema := server.NewSchema(t)
	execute(t, schema, "CREATE TABLE t AS SELECT 1")
	require.Equal(t, 1, count(t, schema))
}

func directory(t *testing.T, dsn string) string {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	require.True(t, filepath.IsAbs(config.Host), "it listens on no port")
	return config.Host
}

// TestAKilledTestLeavesNothing kills a test process: its server ends, and its
// directory goes.
func TestAKilledTestLeavesNothing(t *testing.T) {
	if os.Getenv(abandoned) != "" {
		fmt.Println("server", postgrestest.Start(t).DSN("postgres"))
		select {} // until it is killed
	}
	postgrestest.Start(t) // or skip
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "-test.run=^TestAKilledTestLeavesNothing$")
	cmd.Env = append(os.Environ(), abandoned+"=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	dsn := ""
	for lines := bufio.NewScanner(out); dsn == "" && lines.Scan(); {
		_, dsn, _ = strings.Cut(lines.Text(), "server ")
	}
	require.NotEmpty(t, dsn)
	dir := directory(t, dsn)
	require.DirExists(t, dir)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	}, time.Minute, 10*time.Millisecond)
}

package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlstore"
)

func connected(t *testing.T, mode string, connections int) *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "phoenix.db")
	_, err := prepareFile(path)
	require.NoError(t, err)
	db, err := connect(path, Settings{BusyTimeout: 1234 * time.Millisecond}, mode, connections)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// TestEveryConnectionIsDurable looks at each connection of a pool: what SQLite
// is told holds for one connection only.
func TestEveryConnectionIsDurable(t *testing.T) {
	db := connected(t, "_query_only=true", 3)
	for range 3 {
		conn, err := db.Conn(t.Context()) // it stays taken, so that the next one is another
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close()) })
		for pragma, want := range map[string]string{
			"journal_mode": "wal", "synchronous": "2", "busy_timeout": "1234", "query_only": "1", "journal_size_limit": "67108864",
		} {
			var got string
			require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
			assert.Equal(t, want, got, pragma)
		}
		_, err = conn.ExecContext(t.Context(), "CREATE TABLE t (a)")
		require.ErrorContains(t, err, "readonly")
	}
}

func version(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COALESCE(MAX(version_id), 0) FROM "+sqlstore.SchemaTable).Scan(&n))
	return n
}

func migration(statements string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + statements)}
}

// TestMigrationsAreDoneTogetherOrNotAtAll fails in the second of three.
func TestMigrationsAreDoneTogetherOrNotAtAll(t *testing.T) {
	db := connected(t, "_txlock=immediate", 1)
	files := fstest.MapFS{
		"00001_a.sql": migration("CREATE TABLE a (x); INSERT INTO a VALUES (1);"),
		"00002_b.sql": migration("CREATE TABLE b (x); INSERT INTO nowhere VALUES (1);"),
		"00003_c.sql": migration("CREATE TABLE c (x);"),
	}
	_, err := migrate(t.Context(), db, files)
	require.ErrorContains(t, err, "nowhere")
	var tables int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('a', 'b', 'c')").Scan(&tables))
	assert.Zero(t, tables, "nothing is left behind")
	assert.Zero(t, version(t, db))

	n, err := migrate(t.Context(), db, fstest.MapFS{"00001_a.sql": files["00001_a.sql"]})
	require.NoError(t, err)
	assert.Equal(t, int64(1), n)
	_, err = migrate(t.Context(), db, files)
	require.Error(t, err)
	assert.Equal(t, 1, version(t, db), "the database stays as it was")
	require.Error(t, db.QueryRowContext(t.Context(), "SELECT 1 FROM b").Scan(&tables))

	files["00002_b.sql"] = migration("CREATE TABLE b (x);")
	n, err = migrate(t.Context(), db, files)
	require.NoError(t, err)
	assert.Equal(t, int64(3), n)
	assert.Equal(t, 3, version(t, db))
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT x FROM a").Scan(&tables))
	assert.Equal(t, 1, tables, "what was there stays")
	_, err = migrate(t.Context(), db, fstest.MapFS{"00001_a.sql": files["00001_a.sql"]})
	require.Error(t, err)
}

func TestAMigrationWaitsForOthersSoLong(t *testing.T) {
	db := connected(t, "_txlock=immediate", 2)
	held, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	files := fstest.MapFS{"00001_a.sql": migration("CREATE TABLE a (x);")}
	_, err = migrate(t.Context(), db, files)
	require.ErrorIs(t, classified(err), store.ErrUnavailable)
	require.NoError(t, held.Rollback())
	_, err = migrate(t.Context(), db, files)
	require.NoError(t, err)
}

func TestTheFileIsForThisUserOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "phoenix.db")
	opened, err := Open(t.Context(), Settings{Path: path})
	require.NoError(t, err)
	modes := func() map[string]os.FileMode {
		all := map[string]os.FileMode{}
		entries, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		for _, entry := range entries {
			info, err := entry.Info()
			require.NoError(t, err)
			all[entry.Name()] = info.Mode()
		}
		return all
	}
	assert.Equal(t, map[string]os.FileMode{"phoenix.db": 0o600, "phoenix.db-wal": 0o600, "phoenix.db-shm": 0o600}, modes())
	dir, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), dir.Mode().Perm())
	require.NoError(t, opened.Close())
	assert.Equal(t, map[string]os.FileMode{"phoenix.db": 0o600}, modes(), "closing cleans up")
	require.NoError(t, os.Chmod(path, 0o644))
	opened, err = Open(t.Context(), Settings{Path: path})
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), modes()["phoenix.db"])
	require.NoError(t, opened.Close())
	_, err = Open(t.Context(), Settings{Path: filepath.Dir(path)})
	require.ErrorContains(t, err, "not a file")
}

func TestAnyPathWillDo(t *testing.T) {
	for _, name := range []string{"a b", "100%", "%41", "a?b=c", "a#b", "é'\"\\&;", "-wal"} {
		path := filepath.Join(t.TempDir(), name, name)
		opened, err := Open(t.Context(), Settings{Path: path})
		require.NoError(t, err, name)
		require.FileExists(t, path)
		require.NoError(t, opened.Close())
		entries, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		require.Len(t, entries, 1, name)
	}
}

func TestTheDatabaseOfAnotherProgramIsLeftAlone(t *testing.T) {
	for name, statement := range map[string]string{
		"a table": "CREATE TABLE policies (a)", "another id": "PRAGMA application_id = 7",
	} {
		path := filepath.Join(t.TempDir(), "other.db")
		db, err := sql.Open("sqlite", path)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), statement)
		require.NoError(t, errors.Join(err, db.Close()))
		_, err = Open(t.Context(), Settings{Path: path})
		require.ErrorContains(t, err, "another program", name)
		require.ErrorContains(t, err, path)
	}
}

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func put(ctx context.Context, s store.Store, key string) error {
	return s.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.PutFact(ctx, store.FactUpdate{Key: key, If: store.Any, Value: make([]byte, 10_000)}, store.Entry{Principal: "ada", Action: "put"})
		return err
	})
}

func open(t *testing.T, path string) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Settings{Path: path, BusyTimeout: 50 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// TestDamageIsFoundAtTheStart overwrites parts of the file.
func TestDamageIsFoundAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "phoenix.db")
	s, err := sqlite.Open(t.Context(), sqlite.Settings{Path: path})
	require.NoError(t, err)
	for i := range 50 {
		require.NoError(t, put(t.Context(), s, strconv.Itoa(i)))
	}
	require.NoError(t, s.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	found := 0
	for at := 0; at < len(whole); at += len(whole) / 20 {
		damaged := append([]byte{}, whole...)
		copy(damaged[at:], strings.Repeat("\xa5", 3000))
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		s, err := sqlite.Open(t.Context(), sqlite.Settings{Path: path})
		if err == nil { // only the content of a value is hit
			require.NoError(t, s.Close())
			continue
		}
		found++
		require.ErrorIs(t, err, store.ErrCorrupt)
	}
	require.Positive(t, found)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("this is no database. ", 500)), 0o600))
	_, err = sqlite.Open(t.Context(), sqlite.Settings{Path: path})
	require.ErrorIs(t, err, store.ErrCorrupt)
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	require.NoError(t, put(t.Context(), open(t, path), "again"))
}

// TestAFileThatIsTakenAwayIsNotWrittenTo: SQLite would not notice.
func TestAFileThatIsTakenAwayIsNotWrittenTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "phoenix.db")
	s := open(t, path)
	require.NoError(t, put(t.Context(), s, "before"))
	away := path + ".away"
	require.NoError(t, os.Rename(path, away))
	require.ErrorIs(t, put(t.Context(), s, "meanwhile"), store.ErrUnavailable)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.ErrorIs(t, put(t.Context(), s, "meanwhile"), store.ErrUnavailable)
	_, err := s.GetFact(t.Context(), "before")
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, s.TouchAPIKey(t.Context(), "k"), store.ErrUnavailable)
	require.NoError(t, os.Rename(away, path))
	require.NoError(t, put(t.Context(), s, "after"))
	_, err = s.GetFact(t.Context(), "before")
	require.NoError(t, err)
	_, err = s.GetFact(t.Context(), "meanwhile")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestAnotherWriterIsWaitedForSoLong holds the lock from outside.
func TestAnotherWriterIsWaitedForSoLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "phoenix.db")
	s := open(t, path)
	db, err := sql.Open("sqlite", path+"?_txlock=immediate")
	require.NoError(t, err)
	defer db.Close()
	other, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.ErrorIs(t, put(t.Context(), s, "a"), store.ErrUnavailable)
	_, err = s.GetFact(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound, "readers do not wait")
	require.NoError(t, other.Rollback())
	require.NoError(t, put(t.Context(), s, "a"))
}

// fullDiskPath makes the test binary the process of TestAFullDiskLosesNothing.
const fullDiskPath = "PHOENIX_STORE_FULL_DISK"

// writeUntilFull prints what was acknowledged until nothing more fits.
func writeUntilFull(path string) error {
	if err := limitFileSize(1 << 20); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Settings{Path: path})
	if err != nil {
		return err
	}
	for i, full := 0, 0; full < 3; i++ {
		switch err := put(ctx, s, strconv.Itoa(i)); {
		case err == nil:
			fmt.Println(i)
		case errors.Is(err, store.ErrUnavailable):
			full++
		default:
			return err
		}
	}
	_, err = s.VerifyAudit(ctx, store.AuditRange{})
	return errors.Join(err, s.Close())
}

func TestAFullDiskLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "phoenix.db")
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), fullDiskPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	acknowledged := strings.Fields(string(out))
	require.Greater(t, len(acknowledged), 10)
	s := open(t, path)
	for _, key := range acknowledged {
		_, err := s.GetFact(t.Context(), key)
		require.NoError(t, err, key)
	}
	proof, err := s.VerifyAudit(t.Context(), store.AuditRange{})
	require.NoError(t, err)
	assert.Equal(t, len(acknowledged), int(proof.Last))
	require.NoError(t, put(t.Context(), s, "with room again"))
}

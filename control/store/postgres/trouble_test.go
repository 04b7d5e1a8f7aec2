package postgres_test

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/postgres"
	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
)

func put(ctx context.Context, s store.Store, key string) error {
	return s.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.PutFact(ctx, store.FactUpdate{Key: key, If: store.Any}, store.Entry{Principal: "ada", Action: "put"})
		return err
	})
}

func open(t *testing.T, s postgres.Settings) store.Store {
	t.Helper()
	opened, err := postgres.Open(t.Context(), s)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close()) })
	return opened
}

func TestNoPasswordIsShown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close()) // nobody is there
	for _, dsn := range []string{
		"postgres://ada:hunter2@" + address + "/phoenix",
		"postgres://ada:hunter2@" + address + "/phoenix?sslmode=unheard-of",
		"postgres://ada:hunter2@[::1/phoenix",
		"postgres://ada:hunter2@host:port/phoenix",
		"user=ada password=hunter2 host=127.0.0.1 port=x",
		"user=ada password=hunter2 host=" + t.TempDir(),
		"user=ada password='hunter2",
	} {
		_, err := postgres.Open(t.Context(), postgres.Settings{DSN: dsn, ConnectTimeout: time.Second})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter2", dsn)
	}
	_, err = postgres.Open(t.Context(), postgres.Settings{DSN: "postgres://ada@" + address + "/phoenix"})
	require.ErrorIs(t, err, store.ErrUnavailable)
}

func TestAnUnsuitableDatabaseIsRefused(t *testing.T) {
	server := postgrestest.Start(t)
	require.NoError(t, engine.Exec(t.Context(), server.NewDatabase(t),
		"CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc TEMPLATE template0"))
	_, err := postgres.Open(t.Context(), postgres.Settings{DSN: server.DSN("ascii")})
	require.ErrorContains(t, err, "SQL_ASCII; create it with UTF8")
	_, err = postgres.Open(t.Context(), postgres.Settings{DSN: server.DSN("nowhere")})
	require.ErrorContains(t, err, "nowhere")
}

func TestTwoInstallationsMayShareADatabase(t *testing.T) {
	server := postgrestest.Shared(t)
	one, other := open(t, postgres.Settings{DSN: server.NewSchema(t)}), open(t, postgres.Settings{DSN: server.NewSchema(t)})
	err := one.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		require.NoError(t, put(ctx, other, "b"), "they do not wait for one another")
		_, err := tx.PutFact(ctx, store.FactUpdate{Key: "a"}, store.Entry{Principal: "ada", Action: "put"})
		return err
	})
	require.NoError(t, err)
	_, err = other.GetFact(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestAServerThatIsAwayComesBack stops the server under a store that stays open.
func TestAServerThatIsAwayComesBack(t *testing.T) {
	server := postgrestest.Start(t)
	s := open(t, postgres.Settings{DSN: server.NewDatabase(t), ConnectTimeout: time.Second})
	require.NoError(t, put(t.Context(), s, "before"))
	require.NoError(t, server.Crash())
	for range 3 {
		_, err := s.GetFact(t.Context(), "before")
		require.ErrorIs(t, err, store.ErrUnavailable)
		_, err = s.PoliciesInForce(t.Context())
		require.ErrorIs(t, err, store.ErrUnavailable)
		_, err = s.Maintain(t.Context())
		require.ErrorIs(t, err, store.ErrUnavailable)
		_, err = s.Describe(t.Context())
		require.ErrorIs(t, err, store.ErrUnavailable)
		err = put(t.Context(), s, "meanwhile")
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.NotErrorIs(t, err, store.ErrUncertain, "the commit was never asked for")
	}
	require.NoError(t, server.Restart())
	require.NoError(t, put(t.Context(), s, "after"))
	_, err := s.GetFact(t.Context(), "before")
	require.NoError(t, err)
	_, err = s.GetFact(t.Context(), "meanwhile")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestAConnectionThatIsCutLeavesNothing ends the connection in the middle.
func TestAConnectionThatIsCutLeavesNothing(t *testing.T) {
	dsn := postgrestest.Shared(t).NewDatabase(t)
	s := open(t, postgres.Settings{DSN: dsn})
	cut := func() {
		require.NoError(t, engine.Exec(t.Context(), dsn,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"))
	}
	err := s.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.PutFact(ctx, store.FactUpdate{Key: "a"}, store.Entry{Principal: "ada", Action: "put"})
		require.NoError(t, err)
		cut()
		_, err = tx.GetFact(ctx, "a")
		require.ErrorIs(t, err, store.ErrUnavailable)
		return nil // who does not look
	})
	require.ErrorIs(t, err, store.ErrUnavailable)
	_, err = s.GetFact(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
	err = s.Write(t.Context(), func(context.Context, store.Tx) error {
		cut()
		return nil
	})
	require.ErrorIs(t, err, store.ErrUncertain, "the commit was asked for and not confirmed")
	require.ErrorIs(t, err, store.ErrUnavailable)
	cut()
	require.NoError(t, put(t.Context(), s, "b"), "an idle connection that was cut is replaced")
	proof, err := s.VerifyAudit(t.Context(), store.AuditRange{})
	require.NoError(t, err)
	assert.Equal(t, uint64(1), proof.Last)
}

func TestADatabaseThatTakesNoWritesIsUnavailable(t *testing.T) {
	dsn := postgrestest.Shared(t).NewDatabase(t)
	open(t, postgres.Settings{DSN: dsn})
	s := open(t, postgres.Settings{DSN: dsn + " default_transaction_read_only=on"})
	require.ErrorIs(t, put(t.Context(), s, "a"), store.ErrUnavailable)
	_, err := s.GetFact(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestWritersWaitSoLong: each waits for the one before no longer than a
// statement may take.
func TestWritersWaitSoLong(t *testing.T) {
	dsn := postgrestest.Shared(t).NewDatabase(t)
	first := open(t, postgres.Settings{DSN: dsn})
	second := open(t, postgres.Settings{DSN: dsn, StatementTimeout: time.Second})
	err := first.Write(t.Context(), func(ctx context.Context, _ store.Tx) error {
		require.ErrorIs(t, put(ctx, second, "a"), store.ErrUnavailable)
		_, err := second.GetFact(ctx, "a")
		require.ErrorIs(t, err, store.ErrNotFound, "readers do not wait")
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, put(t.Context(), second, "a"))
}

// TestTheServersDefaultsDoNotMatter: with stricter isolation writers would fail
// where they have to wait.
func TestTheServersDefaultsDoNotMatter(t *testing.T) {
	dsn := postgrestest.Shared(t).NewDatabase(t) + " default_transaction_isolation=serializable"
	stores := []store.Store{open(t, postgres.Settings{DSN: dsn}), open(t, postgres.Settings{DSN: dsn})}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { assert.NoError(t, put(t.Context(), stores[i%2], strconv.Itoa(i))) })
	}
	wg.Wait()
}

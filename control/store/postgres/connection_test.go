package postgres

import (
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
)

func show(t *testing.T, db *sql.DB, setting string) (value string) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), "SHOW "+setting).Scan(&value))
	return value
}

func pool(t *testing.T, dsn string, timeout time.Duration) *sql.DB {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	db := connect(config, timeout, 1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestConnectionsAreDurableAndBounded(t *testing.T) {
	dsn := postgrestest.Shared(t).NewDatabase(t)
	for configured, want := range map[string]string{"off": "on", "on": "on", "remote_apply": "remote_apply", "local": "local"} {
		db := pool(t, dsn+" synchronous_commit="+configured, 3*time.Second)
		assert.Equal(t, want, show(t, db, "synchronous_commit"))
		assert.Equal(t, "3s", show(t, db, "statement_timeout"))
		assert.Equal(t, "3s", show(t, db, "lock_timeout"))
		assert.Equal(t, "1min", show(t, db, "idle_in_transaction_session_timeout"))
		assert.Equal(t, "phoenix", show(t, db, "application_name"))
	}
	db := pool(t, dsn+" statement_timeout=7s application_name=mine", 3*time.Second)
	assert.Equal(t, "7s", show(t, db, "statement_timeout"), "what the user says goes before")
	assert.Equal(t, "mine", show(t, db, "application_name"))
	assert.Equal(t, "0", show(t, pool(t, dsn, 0), "statement_timeout"), "migrations take their time")
}

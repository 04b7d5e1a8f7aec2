// Package postgres is the store of several control planes that share a
// PostgreSQL database of version 15 or newer.
//
// Writers of all replicas wait for one another at one row; readers wait for
// nobody. Where servers fail over, let the connection string say
// target_session_attrs=read-write. Tables are made in the first schema of the search path, which the
// connection string may set: two installations may share a database.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"github.com/phoenix-platform/phoenix/control/store/sqlstore"
)

// Settings say where the store is.
type Settings struct {
	// DSN is a connection string of libpq: a URL or key=value pairs. What it
	// says about timeouts goes before what is said here.
	DSN string
	// MaxConns bounds the connections. Default: 8. At least 3: two write.
	MaxConns int
	// ConnectTimeout bounds how long a connection may take. Default: 5s.
	ConnectTimeout time.Duration
	// StatementTimeout bounds each statement but those of backup, restore,
	// verification and migrations. It also bounds how long a writer waits for
	// another one. Default: 10s.
	StatementTimeout time.Duration
	// MaxSeries bounds the series of the history. Default: 1000.
	MaxSeries int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

const (
	defaultConns            = 8
	writers                 = 2 // the next one begins while one commits
	defaultConnectTimeout   = 5 * time.Second
	defaultStatementTimeout = 10 * time.Second
	// idleInTransaction ends the transaction of a control plane that hangs.
	idleInTransaction = time.Minute
	// oldest is the first version of PostgreSQL that is tested.
	oldest = 150000
)

//go:embed migrations/*.sql
var migrations embed.FS

// Open connects to the database and brings its schema up to date.
func Open(ctx context.Context, s Settings) (*sqlstore.Store, error) {
	if s.MaxConns <= 0 {
		s.MaxConns = defaultConns
	}
	if s.ConnectTimeout <= 0 {
		s.ConnectTimeout = defaultConnectTimeout
	}
	if s.StatementTimeout <= 0 {
		s.StatementTimeout = defaultStatementTimeout
	}
	config, err := pgx.ParseConfig(s.DSN) // its error has no password
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	if config.ConnectTimeout <= 0 {
		config.ConnectTimeout = s.ConnectTimeout
	}
	opened, err := open(ctx, config, s)
	if err != nil {
		return nil, fmt.Errorf("open the store %q on %s: %w", config.Database, config.Host, err)
	}
	return opened, nil
}

func open(ctx context.Context, config *pgx.ConnConfig, s Settings) (*sqlstore.Store, error) {
	version, err := prepareDatabase(ctx, config)
	if err != nil {
		return nil, classified(err)
	}
	writer := connect(config, s.StatementTimeout, writers)
	reader := connect(config, s.StatementTimeout, max(1, s.MaxConns-writers))
	return sqlstore.New(sqlstore.Engine{
		Name: "postgres", Writer: writer, Reader: reader,
		ForUpdate: " FOR UPDATE",
		Change:    sql.TxOptions{Isolation: sql.LevelReadCommitted}, // whatever the server's default is
		Snapshot:  sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		Patient:   "SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)",
		Classify:  classify, Describe: describe, SchemaVersion: version, Now: s.Now, MaxSeries: s.MaxSeries,
	}), nil
}

// connect returns a pool; 0 is no timeout.
func connect(config *pgx.ConnConfig, timeout time.Duration, connections int) *sql.DB {
	config = config.Copy()
	params := map[string]string{"application_name": "phoenix"}
	if timeout > 0 {
		params["statement_timeout"] = strconv.FormatInt(timeout.Milliseconds(), 10)
		params["lock_timeout"] = params["statement_timeout"]
		params["idle_in_transaction_session_timeout"] = strconv.FormatInt(idleInTransaction.Milliseconds(), 10)
	}
	maps.Copy(params, config.RuntimeParams) // what the user says goes before
	config.RuntimeParams = params
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(durable))
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	return db
}

// durable makes commits wait for the disk where the server's default is not to.
// Stronger settings stay.
func durable(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
	return err
}

// prepareDatabase checks that the server will do, and migrates the database.
func prepareDatabase(ctx context.Context, config *pgx.ConnConfig) (_ int64, err error) {
	db := connect(config, 0, 2)
	defer func() { err = errors.Join(err, db.Close()) }()
	var version int64
	var encoding, name string
	err = db.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'), current_setting('server_encoding')").
		Scan(&version, &name, &encoding)
	switch {
	case err != nil:
		return 0, err
	case version < oldest:
		return 0, fmt.Errorf("the server is PostgreSQL %s; use 15 or newer", name)
	case encoding != "UTF8":
		return 0, fmt.Errorf("the database has encoding %s; create it with UTF8", encoding)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, err
	}
	return migrate(ctx, db, files)
}

func migrate(ctx context.Context, db *sql.DB, files fs.FS) (int64, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
	if err != nil {
		return 0, err
	}
	return sqlstore.Migrate(ctx, db, sqlstore.Migrations{
		Dialect: database.DialectPostgres, Files: files, Locker: locker,
		SchemaExists: "SELECT to_regclass('" + sqlstore.SchemaTable + "') IS NOT NULL",
	})
}

func describe(ctx context.Context, db *sql.DB) (version string, size int64, err error) {
	err = db.QueryRowContext(ctx, "SELECT current_setting('server_version'), pg_database_size(current_database())").Scan(&version, &size)
	return version, size, err
}

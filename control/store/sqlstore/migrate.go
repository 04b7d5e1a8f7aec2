package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"github.com/phoenix-platform/phoenix/control/store"
)

// SchemaTable is where a database says which migrations it has.
const SchemaTable = "phoenix_schema"

// Migrations bring a database to the schema of this program. They only go
// forward: the way back is a backup.
type Migrations struct {
	Dialect database.Dialect
	// Files has NNNNN_what.sql for each migration.
	Files fs.FS
	// SchemaExists is a query for whether there is a SchemaTable.
	SchemaExists string
	// Locker lets one of several starters migrate; the others wait.
	Locker lock.SessionLocker
	// InLocker says that Locker holds a transaction, so that no other may begin.
	InLocker bool
}

// Migrate applies what is missing and returns the number of the last migration.
// A database that a newer program has changed is refused untouched.
func Migrate(ctx context.Context, db *sql.DB, m Migrations) (int64, error) {
	provider, err := goose.NewProvider(m.Dialect, db, m.Files,
		goose.WithTableName(SchemaTable), goose.WithSessionLocker(m.Locker), goose.WithIsolateDDL(m.InLocker),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return 0, fmt.Errorf("prepare migrations: %w", err)
	}
	sources := provider.ListSources()
	target := sources[len(sources)-1].Version
	if err := m.checkVersion(ctx, db, target); err != nil {
		return 0, err
	}
	if _, err := provider.Up(ctx); err != nil {
		return 0, fmt.Errorf("migrate the database: %w", err)
	}
	return target, m.checkVersion(ctx, db, target) // a newer program may have been faster
}

func (m Migrations) checkVersion(ctx context.Context, db *sql.DB, target int64) error {
	present, err := m.presentVersion(ctx, db)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	if present > target {
		return fmt.Errorf("%w: the database has schema %d and this program knows up to %d; start the newer program, or restore a backup into a new database",
			store.ErrNewerSchema, present, target)
	}
	return nil
}

// presentVersion returns the version of a database, 0 if it has none.
func (m Migrations) presentVersion(ctx context.Context, db *sql.DB) (version int64, err error) {
	var there bool
	if err := db.QueryRowContext(ctx, m.SchemaExists).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM "+SchemaTable).Scan(&version)
	return version, err
}

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3/database"

	"github.com/phoenix-platform/phoenix/control/store/sqlstore"
)

// migrate applies all missing migrations in one transaction, or none.
func migrate(ctx context.Context, db *sql.DB, files fs.FS) (int64, error) {
	target, err := lastMigration(files)
	if err != nil {
		return 0, err
	}
	if err := makeSchemaTable(ctx, db); err != nil {
		return 0, fmt.Errorf("make the table %s: %w", sqlstore.SchemaTable, err)
	}
	return sqlstore.Migrate(ctx, db, sqlstore.Migrations{
		Dialect: database.DialectSQLite3, Files: files, Locker: exclusive{target}, InLocker: true, SchemaExists: schemaExists,
	})
}

const schemaExists = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '" + sqlstore.SchemaTable + "')"

// makeSchemaTable makes the table of versions with its first row, which goose
// expects, in one transaction. Goose alone would do it before it takes the lock
// and, as exclusive wants no transactions of goose, in two steps: a kill between
// them would leave a database that never starts again.
func makeSchemaTable(ctx context.Context, db *sql.DB) error {
	versions, err := database.NewStore(database.DialectSQLite3, sqlstore.SchemaTable)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	var there bool
	if err := tx.QueryRowContext(ctx, schemaExists).Scan(&there); err != nil || there {
		return err
	}
	if err := versions.CreateVersionTable(ctx, tx); err != nil {
		return err
	}
	if err := versions.Insert(ctx, tx, database.InsertRequest{Version: 0}); err != nil {
		return err
	}
	return tx.Commit()
}

func lastMigration(files fs.FS) (int64, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil || len(names) == 0 {
		return 0, errors.Join(err, errors.New("there are no migrations"))
	}
	number, _, _ := strings.Cut(path.Base(names[len(names)-1]), "_")
	return strconv.ParseInt(number, 10, 64)
}

// exclusive is a lock.SessionLocker. SQLite has no lock beside its data, but a
// transaction that keeps out other writers, in which tables can be changed.
type exclusive struct {
	// target is the version that makes the transaction worth keeping.
	target int64
}

func (exclusive) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	return err
}

func (e exclusive) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	var present int64
	err := conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM "+sqlstore.SchemaTable).Scan(&present)
	if err == nil && present >= e.target {
		_, err = conn.ExecContext(ctx, "COMMIT")
		return err
	}
	_, rollback := conn.ExecContext(ctx, "ROLLBACK")
	return errors.Join(err, rollback)
}

// Package sqlite is the store of a single control plane: a file in the directory
// of the phoenix_control extension. It needs no server and no C.
//
// Every acknowledged write is on disk (write-ahead log, synchronous=FULL). There
// is one connection that writes, and several that read beside it.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlstore"
)

// Settings say where the store is.
type Settings struct {
	// Path is the database file. It and its directory are made if they are not
	// there, for this user only. SQLite keeps two more files beside it.
	Path string
	// BusyTimeout is how long to wait for another process that writes, such as a
	// restore. Default: 5s.
	BusyTimeout time.Duration
	// MaxReaders bounds the connections that read. Default: 4.
	MaxReaders int
	// MaxSeries bounds the series of the history. Default: 1000.
	MaxSeries int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

const (
	defaultBusyTimeout = 5 * time.Second
	defaultReaders     = 4
	// applicationID marks the file, for this package and for file(1).
	applicationID = 0x50484e58 // PHNX
	// maxLog is what SQLite leaves of the write-ahead log after a large
	// transaction.
	maxLog = 64 << 20
)

//go:embed migrations/*.sql
var migrations embed.FS

// Open opens the store, makes it if there is none, checks its integrity and
// brings its schema up to date.
func Open(ctx context.Context, s Settings) (*sqlstore.Store, error) {
	if s.BusyTimeout <= 0 {
		s.BusyTimeout = defaultBusyTimeout
	}
	if s.MaxReaders <= 0 {
		s.MaxReaders = defaultReaders
	}
	opened, err := open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open the store %q: %w", s.Path, err)
	}
	return opened, nil
}

func open(ctx context.Context, s Settings) (*sqlstore.Store, error) {
	path, err := filepath.Abs(s.Path)
	if err != nil {
		return nil, err
	}
	file, err := prepareFile(path)
	if err != nil {
		return nil, err
	}
	writer, err := connect(path, s, "_txlock=immediate", 1)
	if err != nil {
		return nil, err
	}
	reader, err := connect(path, s, "_query_only=true", s.MaxReaders)
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	version, err := prepareDatabase(ctx, writer)
	if err != nil {
		return nil, errors.Join(classified(err), reader.Close(), writer.Close())
	}
	return sqlstore.New(sqlstore.Engine{
		Name: "sqlite", Writer: writer, Reader: reader,
		Snapshot: sql.TxOptions{ReadOnly: true}, // a transaction that reads sees one moment
		Classify: classify, Guard: func() error { return sameFile(path, file) },
		Describe: describe, SchemaVersion: version, Now: s.Now, MaxSeries: s.MaxSeries,
	}), nil
}

// prepareFile makes the file, readable for this user only; SQLite gives the
// files beside it the same mode.
func prepareFile(path string) (fs.FileInfo, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// A file that is there must not be opened: closing it would drop the locks
	// that SQLite has on it in this process.
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err == nil {
			if err := file.Close(); err != nil {
				return nil, err
			}
		}
		return os.Stat(path)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		beside, err := os.Stat(path + suffix)
		if err == nil && beside.Mode().Perm()&0o077 != 0 {
			err = os.Chmod(path+suffix, 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return info, nil
}

// sameFile finds out that the file was deleted or replaced: SQLite would go on
// writing where nobody will ever look, and reading here and there.
func sameFile(path string, opened fs.FileInfo) error {
	present, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(present, opened) {
		return fmt.Errorf("%q is another file than when it was opened", path)
	}
	return nil
}

func connect(path string, s Settings, mode string, connections int) (*sql.DB, error) {
	dsn := (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String() + "?" + mode +
		"&_busy_timeout=" + strconv.FormatInt(s.BusyTimeout.Milliseconds(), 10) +
		"&_journal_mode=WAL&_synchronous=FULL&_defensive=true&_dqs=false&_error_rc=true" +
		"&_pragma=" + url.QueryEscape("journal_size_limit("+strconv.Itoa(maxLog)+")")
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// prepareDatabase checks that the file is ours and whole, and migrates it.
func prepareDatabase(ctx context.Context, db *sql.DB) (int64, error) {
	var id, tables int64
	var journal string
	for query, dest := range map[string]any{
		"PRAGMA application_id": &id, "SELECT COUNT(*) FROM sqlite_master": &tables, "PRAGMA journal_mode": &journal,
	} {
		if err := db.QueryRowContext(ctx, query).Scan(dest); err != nil {
			return 0, err
		}
	}
	switch {
	case id != applicationID && (id != 0 || tables != 0):
		return 0, errors.New("it is a database of another program")
	case journal != "wal":
		return 0, fmt.Errorf("its file system allows no write-ahead log (journal mode %s); use a local disk", journal)
	}
	if id == 0 {
		if _, err := db.ExecContext(ctx, "PRAGMA application_id = "+strconv.Itoa(applicationID)); err != nil {
			return 0, err
		}
	}
	if err := checkIntegrity(ctx, db); err != nil {
		return 0, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, err
	}
	return migrate(ctx, db, files)
}

func checkIntegrity(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s; restore a backup into a new file", store.ErrCorrupt, verdict)
	}
	return nil
}

func describe(ctx context.Context, db *sql.DB) (version string, size int64, err error) {
	err = db.QueryRowContext(ctx, "SELECT sqlite_version(), page_count * page_size FROM pragma_page_count(), pragma_page_size()").
		Scan(&version, &size)
	return version, size, err
}

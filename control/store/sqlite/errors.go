package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/phoenix-platform/phoenix/control/store"
)

// classify says what kind of error of the store an error of SQLite is.
func classify(err error) error {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return store.ErrUnavailable
	}
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return nil
	}
	switch failed.Code() & 0xff { // the rest says more about the same
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_IOERR, codes.SQLITE_FULL, codes.SQLITE_READONLY,
		codes.SQLITE_CANTOPEN, codes.SQLITE_NOMEM, codes.SQLITE_PERM, codes.SQLITE_PROTOCOL:
		return store.ErrUnavailable
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return store.ErrCorrupt
	}
	return nil
}

func classified(err error) error {
	if kind := classify(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

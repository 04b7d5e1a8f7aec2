package postgres

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/phoenix-platform/phoenix/control/store"
)

// classify says what kind of error of the store an error of PostgreSQL is.
func classify(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyCode(refused.Code)
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	if connecting || network || pgconn.Timeout(err) || pgconn.SafeToRetry(err) {
		return store.ErrUnavailable
	}
	for _, gone := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, gone) {
			return store.ErrUnavailable
		}
	}
	return nil
}

// classifyCode goes by https://www.postgresql.org/docs/15/errcodes-appendix.html.
func classifyCode(code string) error {
	switch code {
	case "25006", // a standby
		"25P03", // idle in transaction for too long
		"40001", "40P01",
		"55P03": // a lock that did not come
		return store.ErrUnavailable
	case "22021", "22P05":
		return store.ErrInvalid
	case "XX001", "XX002":
		return store.ErrCorrupt
	}
	switch code[:min(2, len(code))] {
	case "08", "53", "57", "58": // connection, resources, intervention, system
		return store.ErrUnavailable
	}
	return nil
}

func classified(err error) error {
	if kind := classify(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/phoenix-platform/phoenix/control/store"
)

// querier is a *sql.DB, for single statements, or a *sql.Tx.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// reader implements store.Reader, on the database or in a transaction.
type reader struct {
	store *Store
	q     querier
	// inTx says that q sees one moment.
	inTx bool
	// failed takes the error of the first statement that failed in a
	// transaction that writes; nil elsewhere.
	failed *error
}

// note wraps an error of the database and remembers that it happened.
func (r reader) note(ctx context.Context, err error) error {
	err = r.store.wrap(ctx, err)
	if err != nil && r.failed != nil && *r.failed == nil {
		*r.failed = err
	}
	return err
}

// exec executes a statement and returns how many rows it changed.
func (r reader) exec(ctx context.Context, query string, args ...any) (int, error) {
	if err := r.store.alive(); err != nil {
		return 0, err
	}
	result, err := r.q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, r.note(ctx, err)
	}
	n, err := result.RowsAffected()
	return int(n), r.note(ctx, err)
}

// one reads a row into dest. Without a row it returns store.ErrNotFound.
func (r reader) one(ctx context.Context, query string, args []any, dest ...any) error {
	if err := r.store.alive(); err != nil {
		return err
	}
	err := r.q.QueryRowContext(ctx, query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return r.note(ctx, err)
}

// each reads rows, one after the other, and stops at the first error of use.
// The error of use is returned as it is.
func (r reader) each(ctx context.Context, query string, args []any, use func(scanner) error) error {
	if err := r.store.alive(); err != nil {
		return err
	}
	rows, err := r.q.QueryContext(ctx, query, args...)
	if err != nil {
		return r.note(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := use(rows); err != nil {
			return err
		}
	}
	return r.note(ctx, rows.Err())
}

// collect reads rows into a list.
func collect[T any](ctx context.Context, r reader, query string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	var list []T
	err := r.each(ctx, query, args, func(row scanner) error {
		item, err := scan(row)
		if err != nil {
			return r.note(ctx, err)
		}
		list = append(list, item)
		return nil
	})
	return list, err
}

// view runs several reads in one moment.
func (r reader) view(ctx context.Context, run func(reader) error) error {
	if r.inTx {
		return run(r)
	}
	if err := r.store.alive(); err != nil {
		return err
	}
	tx, err := r.store.engine.Reader.BeginTx(ctx, &r.store.engine.Snapshot)
	if err != nil {
		return r.store.wrap(ctx, err)
	}
	defer tx.Rollback() //nolint:errcheck // it wrote nothing
	return run(reader{store: r.store, q: tx, inTx: true})
}

// patientView is view for what may take longer than other statements may.
func (r reader) patientView(ctx context.Context, run func(reader) error) error {
	return r.view(ctx, func(r reader) error {
		if patient := r.store.engine.Patient; patient != "" {
			if _, err := r.exec(ctx, patient); err != nil {
				return err
			}
		}
		return run(r)
	})
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// digestColumn reads a hash.
type digestColumn struct{ digest *store.Digest }

// Scan implements sql.Scanner.
func (c digestColumn) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok || len(b) != len(c.digest) {
		return fmt.Errorf("%w: a hash of %d bytes", store.ErrCorrupt, len(b))
	}
	copy(c.digest[:], b)
	return nil
}

// blobColumn reads bytes, which are never nil: SQLite's driver takes none for
// NULL.
type blobColumn struct{ blob *[]byte }

// Scan implements sql.Scanner.
func (c blobColumn) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok && value != nil {
		return fmt.Errorf("%w: bytes of type %T", store.ErrCorrupt, value)
	}
	*c.blob = append([]byte{}, b...)
	return nil
}

// timeColumn reads a time.
type timeColumn struct{ time *time.Time }

// Scan implements sql.Scanner.
func (c timeColumn) Scan(value any) error {
	us, ok := value.(int64)
	if !ok {
		return fmt.Errorf("%w: a time of type %T", store.ErrCorrupt, value)
	}
	*c.time = timeOf(us)
	return nil
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

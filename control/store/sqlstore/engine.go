// Package sqlstore is what the engines of package store have in common: a
// store.Store over database/sql. The statements are written once, in the SQL
// that SQLite and PostgreSQL share; an Engine says where they differ. Only the
// engines and their tests import it.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/phoenix-platform/phoenix/control/store"
)

// Engine is a database whose schema is current. Tables and columns have the same
// names in every engine; times are microseconds since 1970, 0 for none; text is
// compared by bytes.
type Engine struct {
	// Name is that of store.Description.
	Name string
	// Writer and Reader are connected to the database. They may be the same.
	// Nobody else uses them, and Close closes them.
	Writer, Reader *sql.DB
	// ForUpdate ends a SELECT that locks its rows until the transaction ends. It
	// is empty where a transaction of Writer is alone from its beginning.
	ForUpdate string
	// Change begins a transaction that writes: after it has waited for a lock it
	// sees what the one before has written.
	Change sql.TxOptions
	// Snapshot begins a transaction that sees one moment.
	Snapshot sql.TxOptions
	// Patient is executed in a transaction that may take long. Default: nothing.
	Patient string
	// Classify returns the error of package store that a database error stands
	// for, or nil.
	Classify func(error) error
	// Guard is asked before everything else whether the database is where it was.
	// Default: nothing.
	Guard func() error
	// Describe returns the version of the database and its size in bytes.
	Describe func(context.Context, *sql.DB) (version string, size int64, err error)
	// SchemaVersion is the number of the last migration.
	SchemaVersion int64
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// MaxSeries bounds the series of the history. Default: DefaultMaxSeries.
	MaxSeries int
	// CommitTimeout bounds how long a commit may take. Default: 30s.
	CommitTimeout time.Duration
}

// Defaults of Engine.
const (
	DefaultMaxSeries     = 1000
	defaultCommitTimeout = 30 * time.Second
)

// Store is the store over an engine.
type Store struct {
	reader
	engine Engine
	closed atomic.Bool
}

var _ store.Store = (*Store)(nil)

// New returns the store over an engine.
func New(e Engine) *Store {
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.MaxSeries <= 0 {
		e.MaxSeries = DefaultMaxSeries
	}
	if e.CommitTimeout <= 0 {
		e.CommitTimeout = defaultCommitTimeout
	}
	if e.Guard == nil {
		e.Guard = func() error { return nil }
	}
	s := &Store{engine: e}
	s.reader = reader{store: s, q: e.Reader}
	return s
}

// now is the clock in the precision of the database.
func (s *Store) now() time.Time { return s.engine.Now().UTC().Truncate(time.Microsecond) }

// Describe implements store.Store.
func (s *Store) Describe(ctx context.Context) (store.Description, error) {
	if err := s.alive(); err != nil {
		return store.Description{}, err
	}
	version, size, err := s.engine.Describe(ctx, s.engine.Reader)
	if err != nil {
		return store.Description{}, fmt.Errorf("describe the database: %w", s.wrap(ctx, err))
	}
	return store.Description{
		Engine: s.engine.Name, EngineVersion: version, SchemaVersion: s.engine.SchemaVersion, SizeBytes: size,
	}, nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	err := s.engine.Reader.Close()
	if s.engine.Writer != s.engine.Reader {
		// The writer last: the last connection of SQLite cleans up.
		err = errors.Join(err, s.engine.Writer.Close())
	}
	if err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// alive says why nothing can be asked.
func (s *Store) alive() error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	if err := s.engine.Guard(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// wrap makes an error of the database say what kind it is.
func (s *Store) wrap(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case s.closed.Load():
		return fmt.Errorf("%w: %w", store.ErrClosed, err)
	case ctx.Err() != nil:
		if cause := ctx.Err(); !errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", cause, err)
		}
		return err
	}
	if kind := s.engine.Classify(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

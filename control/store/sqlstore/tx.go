package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/phoenix-platform/phoenix/control/store"
)

// tx implements store.Tx.
type tx struct {
	reader
	head head
	// stored is the head as it is in the database.
	stored head
	now    time.Time
}

var _ store.Tx = (*tx)(nil)

// head is the one row that every writer locks first. So writers wait for one
// another from the beginning: no transaction reads what another is about to
// change, none fails because of another, and the log of changes has one end.
type head struct {
	chain   store.Chain
	version uint64
	kill    store.KillSwitch
	// rolledUntil is the hour, in Unix seconds, from which on history is not yet
	// rolled up. 0: there is none.
	rolledUntil int64
}

const headColumns = "audit_seq, audit_hash, policy_version, kill_on, kill_reason, kill_at, kill_by, kill_version, rolled_until"

func (r reader) readHead(ctx context.Context, lock string) (head, error) {
	var h head
	var on int64
	err := r.one(ctx, "SELECT "+headColumns+" FROM head WHERE id = 1"+lock, nil,
		&h.chain.Seq, digestColumn{&h.chain.Hash}, &h.version, &on, &h.kill.Reason, timeColumn{&h.kill.At}, &h.kill.By,
		&h.kill.Version, &h.rolledUntil)
	h.kill.On = on != 0
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: the table head has no row", store.ErrCorrupt)
	}
	return h, err
}

func (t *tx) writeHead(ctx context.Context) error {
	h := t.head
	if h == t.stored {
		return nil
	}
	on := int64(0)
	if h.kill.On {
		on = 1
	}
	_, err := t.exec(ctx, "UPDATE head SET audit_seq = $1, audit_hash = $2, policy_version = $3, kill_on = $4, kill_reason = $5,"+
		" kill_at = $6, kill_by = $7, kill_version = $8, rolled_until = $9 WHERE id = 1",
		int64(h.chain.Seq), h.chain.Hash[:], int64(h.version), on, h.kill.Reason, //nolint:gosec // far below
		micros(h.kill.At), h.kill.By, int64(h.kill.Version), h.rolledUntil) //nolint:gosec // far below
	return err
}

// writing marks the context of a change.
type writing struct{ store *Store }

// Write implements store.Store.
func (s *Store) Write(ctx context.Context, change func(context.Context, store.Tx) error) error {
	return s.write(ctx, func(ctx context.Context, t *tx) error { return change(ctx, t) })
}

func (s *Store) write(ctx context.Context, change func(context.Context, *tx) error) error {
	if ctx.Value(writing{s}) != nil {
		return errors.New("write within a write: the inner one would wait for the outer one for ever")
	}
	if err := s.alive(); err != nil {
		return err
	}
	// The transaction ends when ctx ends, until the commit begins.
	txCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	keep := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer keep()
	handle, err := s.engine.Writer.BeginTx(txCtx, &s.engine.Change)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", s.wrap(ctx, err))
	}
	defer handle.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if err := s.run(ctx, handle, change); err != nil {
		return err
	}
	if !keep() {
		return fmt.Errorf("before the commit: %w", ctx.Err())
	}
	late := time.AfterFunc(s.engine.CommitTimeout, func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	if err := handle.Commit(); err != nil {
		return fmt.Errorf("commit: %w: %w: %w", store.ErrUncertain, store.ErrUnavailable, err)
	}
	return nil
}

// run does all of a transaction but its beginning and its end.
func (s *Store) run(ctx context.Context, handle *sql.Tx, change func(context.Context, *tx) error) error {
	var failed error
	t := &tx{reader: reader{store: s, q: handle, inTx: true, failed: &failed}}
	var err error
	if t.stored, err = t.readHead(ctx, s.engine.ForUpdate); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	t.head, t.now = t.stored, s.now()
	if err := change(context.WithValue(ctx, writing{s}, true), t); err != nil {
		return err
	}
	// A method that failed may have done half of its work.
	if failed != nil {
		return fmt.Errorf("a statement failed and the change went on: %w", failed)
	}
	return t.writeHead(ctx)
}

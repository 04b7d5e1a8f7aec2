package store

import (
	"errors"
	"fmt"
)

// What errors of a store wrap. An error that wraps none of them, and not the
// error of the caller's context, is a defect.
var (
	// ErrNotFound: what was asked for is not there.
	ErrNotFound = errors.New("not found")
	// ErrExists: what was to be created is there already.
	ErrExists = errors.New("exists already")
	// ErrConflict: the precondition of a write does not hold. See ConflictError.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: the caller gave something that cannot be stored or asked. See
	// InvalidError.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable: the database does not answer, is full, or is locked by
	// somebody else for too long. A later attempt may succeed.
	ErrUnavailable = errors.New("the store is not available")
	// ErrUncertain: the database did not confirm a commit; the change is there
	// as a whole or not at all. It comes with ErrUnavailable.
	ErrUncertain = errors.New("it is not known whether the change was made")
	// ErrCorrupt: the database or a backup is damaged.
	ErrCorrupt = errors.New("damaged")
	// ErrChainBroken: the audit log was edited. See ChainError.
	ErrChainBroken = errors.New("the audit log was tampered with")
	// ErrNewerSchema: a newer program wrote the database or the backup.
	ErrNewerSchema = errors.New("written by a newer program")
	// ErrNotEmpty: a backup is restored into an empty store only.
	ErrNotEmpty = errors.New("the store is not empty")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the store is closed")
)

// ConflictError says what stood in the way of a write.
type ConflictError struct {
	// Resource is what was to be written, such as policies/shop/drop-pod.
	Resource string
	// Present is the revision that it has now.
	Present Revision
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: %s: it is at revision %d", e.Resource, ErrConflict, e.Present)
}

// Is makes errors.Is(e, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// InvalidError says which input cannot be used and why.
type InvalidError struct {
	Field, Reason string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Reason) }

// Is makes errors.Is(e, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// ChainError says where the audit log stops being what was written.
type ChainError struct {
	// Seq is the first entry that is not as it was written.
	Seq    uint64
	Reason string
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("%s: entry %d: %s", ErrChainBroken, e.Seq, e.Reason)
}

// Is makes errors.Is(e, ErrChainBroken) true.
func (e *ChainError) Is(target error) bool { return target == ErrChainBroken }

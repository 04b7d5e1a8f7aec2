package store

import (
	"context"
	"io"
)

// Store keeps the state of the control plane. Its methods may be called from
// several goroutines.
type Store interface {
	Reader
	Recorder
	Archiver

	// Write runs change in one transaction. Nothing is written if change returns
	// an error or panics, nor if it passes over an error of the database. Write
	// waits for other writers until ctx ends; once the commit has begun ctx does
	// not interrupt it. As everybody waits for it, change should not wait for
	// anything else. Write within Write is refused; reading through the Store
	// instead of the Tx shows what was there before.
	Write(ctx context.Context, change func(context.Context, Tx) error) error

	// Maintain rolls history up to hours and deletes what is past its time, in
	// transactions of bounded size. Call it about every minute; missed calls are
	// made up for. Several replicas may call it.
	Maintain(ctx context.Context) (Maintenance, error)

	// Describe says what the store runs on.
	Describe(ctx context.Context) (Description, error)

	// Close waits for what runs. Then every method returns ErrClosed. It may be
	// called twice.
	Close() error
}

// Reader reads. Each answer is of one moment, also when it takes several
// statements.
type Reader interface {
	PolicyReader
	PriceModelReader
	APIKeyReader
	AuditReader
	ResponseReader
	HistoryReader
	FactReader
	ExperimentReader
}

// Tx is the inside of Write. It must not be used after change has returned, nor
// by two goroutines.
type Tx interface {
	Reader
	PolicyWriter
	PriceModelWriter
	APIKeyWriter
	AuditWriter
	ResponseWriter
	FactWriter
	ExperimentWriter
}

// Recorder writes what machines observe. It leaves no audit entry.
type Recorder interface {
	ExperimentRecorder
	// AppendSamples adds to the history. Of several values for one series and
	// slot of five minutes the last one stays, so that a repetition is harmless.
	AppendSamples(context.Context, []Sample) (Appended, error)
	// TouchAPIKey notes that a key was used now. Within a minute of the last
	// note it costs one read. An unknown key is no error.
	TouchAPIKey(ctx context.Context, id string) error
}

// Archiver moves the content of a store from one engine or machine to another.
type Archiver interface {
	// Backup writes all that is in the store at one moment, while others may
	// write. What it writes holds hashes of API keys and answers to requests:
	// keep it as safe as the database. A slow w keeps the database from
	// cleaning up.
	Backup(ctx context.Context, w io.Writer) error
	// Restore reads a backup into an empty store, all of it or nothing. It
	// checks the checksums and the audit log before it commits. The version of
	// the policies is raised by VersionJump.
	Restore(ctx context.Context, r io.Reader) error
}

// VersionJump is added to the version of the policies by Restore. Otherwise a
// collector that saw versions which were lost after the backup would take a new
// version for an old one.
const VersionJump = 1 << 32

// Description is what a store runs on.
type Description struct {
	// Engine is sqlite or postgres, EngineVersion that of the database.
	Engine, EngineVersion string
	// SchemaVersion is the number of the last migration.
	SchemaVersion int64
	// SizeBytes is the space that the database takes.
	SizeBytes int64
}

// Maintenance counts what Maintain did.
type Maintenance struct {
	// HoursRolled are hours of history that were rolled up, also again.
	HoursRolled int
	// SamplesDeleted and SeriesDeleted are past their time.
	SamplesDeleted, SeriesDeleted int
	// ResponsesDeleted are answers to requests that expired.
	ResponsesDeleted int
}

// Revision numbers the states of one thing. It rises with every change and is
// not used again after a deletion.
type Revision int64

// Preconditions of a write besides a revision that must be the present one.
const (
	// Absent: the thing must not be there.
	Absent Revision = 0
	// Any: the write is done whatever is there.
	Any Revision = -1
)

// PageRequest asks for a part of a list.
type PageRequest struct {
	// Size is how many items at most. Default: 50. At most 1000.
	Size int
	// Token is Next of the page before. Default: the first page.
	Token string
}

// Bounds of PageRequest.Size.
const (
	DefaultPageSize = 50
	MaxPageSize     = 1000
)

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	// Next is the token of the next page, empty on the last one. It holds for
	// the same query only, and as long as one likes: an item that stays is on
	// exactly one page, whatever comes and goes meanwhile.
	Next string
}

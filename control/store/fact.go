package store

import (
	"context"
	"time"
)

// FactReader reads facts about the installation, such as its id.
type FactReader interface {
	GetFact(ctx context.Context, key string) (Fact, error)
	// ListFacts is sorted by key.
	ListFacts(ctx context.Context, prefix string, page PageRequest) (Page[Fact], error)
}

// FactWriter changes facts. A change that changes nothing makes no revision.
type FactWriter interface {
	// PutFact creates or changes a fact, as If allows. With Absent, of several
	// replicas that start together one succeeds and the others get ErrExists.
	PutFact(context.Context, FactUpdate, Entry) (Fact, error)
	DeleteFact(ctx context.Context, key string, condition Revision, entry Entry) error
}

// Fact is a value under a key.
type Fact struct {
	// Key has 1 to 253 bytes.
	Key string
	// Value has at most 1 MiB. Its SHA-256 is in the audit log: a secret that
	// can be guessed does not belong here.
	Value []byte
	// Revision is the number of the audit entry of the last change.
	Revision  Revision
	UpdatedAt time.Time
	UpdatedBy string
}

// Resource is how the audit log and errors call the fact.
func (f Fact) Resource() string { return "facts/" + f.Key }

// Digest is the hash by which the audit log knows this state.
func (f Fact) Digest() Digest {
	return digestOf(object{"kind": "fact", "key": f.Key, "value_sha256": SumSHA256(f.Value).String()})
}

// FactUpdate creates or changes a fact.
type FactUpdate struct {
	Key string
	// If is the revision that it must have, Absent or Any.
	If    Revision
	Value []byte
}

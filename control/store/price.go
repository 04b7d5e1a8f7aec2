package store

import (
	"context"
	"time"
)

// PriceModelReader reads price models.
type PriceModelReader interface {
	GetPriceModel(ctx context.Context, name string) (PriceModel, error)
	// ListPriceModels is sorted by name.
	ListPriceModels(context.Context, PageRequest) (Page[PriceModel], error)
}

// PriceModelWriter changes price models. A change that changes nothing makes no
// revision.
type PriceModelWriter interface {
	// PutPriceModel creates or changes a price model, as If allows.
	PutPriceModel(context.Context, PriceModelUpdate, Entry) (PriceModel, error)
	DeletePriceModel(ctx context.Context, name string, condition Revision, entry Entry) error
}

// PriceModel says what a backend bills.
type PriceModel struct {
	// Name has 1 to 253 bytes and no slash.
	Name string
	// Spec is what the caller gave, at most 1 MiB; SpecSHA256 its hash.
	Spec       []byte
	SpecSHA256 Digest
	// Revision is the number of the audit entry of the last change.
	Revision             Revision
	CreatedAt, UpdatedAt time.Time
	CreatedBy, UpdatedBy string
}

// Resource is how the audit log and errors call the price model.
func (m PriceModel) Resource() string { return "priceModels/" + m.Name }

// Digest is the hash by which the audit log knows this state.
func (m PriceModel) Digest() Digest {
	return digestOf(object{"kind": "price_model", "name": m.Name, "spec_sha256": m.SpecSHA256.String()})
}

// PriceModelUpdate creates or changes a price model.
type PriceModelUpdate struct {
	Name string
	// If is the revision that it must have, Absent or Any.
	If   Revision
	Spec []byte
}

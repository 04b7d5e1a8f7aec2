package relabel

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// View is what the slow decisions are at one time: which values of a ranked
// attribute are in, and which attributes are folded. It is immutable and safe
// for use by many goroutines; a nil *View has no members and no folds.
type View struct {
	members *Members
	refs    []Ref // of what is folded; no globs
	folds   refSet
	// mask has the bits of the folded keys, so that the others need no comparison.
	mask uint64
}

// newView takes over the folds, which are literal, as those of a Folder.
func newView(members *Members, folds []Ref) *View {
	v := &View{members: members, refs: folds}
	v.folds, _ = newRefSet(folds) // a literal is never refused
	for _, r := range folds {
		v.mask |= foldBit(xxhash.Sum64String(r.Key))
	}
	return v
}

// foldBit is the bit of a key with this XXH64. Slots of keys are chosen by lower
// bits of it.
func foldBit(hash uint64) uint64 { return 1 << (hash >> 58) }

// Members are the values that are in.
func (v *View) Members() *Members {
	if v == nil {
		return nil
	}
	return v.members
}

// Folds are the attributes that are folded.
func (v *View) Folds() []Ref {
	if v == nil {
		return nil
	}
	return slices.Clone(v.refs)
}

// folded says whether an attribute is folded unless it is protected.
func (v *View) folded(d series.Domain, key string) bool {
	for i := range v.refs {
		if v.refs[i].names(d, key) {
			return true
		}
	}
	return false
}

// under returns the plan with the folds of a view in place of its own.
func (p *Plan) under(v *View) *Plan {
	folded := *p
	folded.folds = refSet{}
	if v != nil {
		folded.folds = v.folds
	}
	return &folded
}

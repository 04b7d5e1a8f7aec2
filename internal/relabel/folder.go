package relabel

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// FolderSettings bound the series of one metric that come out of a rule.
type FolderSettings struct {
	// MaxSeries is the bound.
	MaxSeries int
	// Order lists the attributes in the order in which they fold; no globs. Nil:
	// each time the one that saves most.
	Order []Ref
	// Protect names attributes that never fold, as in Settings.
	Protect []Ref
	// Release is the share of MaxSeries below which the count must be without a
	// fold for the fold to end. Default: 0.7.
	Release float64
	// Patience is at how many edges in a row it must be. Default: 8.
	Patience int
}

// What FolderSettings default to: with an interval of 15s, a fold that ends was
// needless for two minutes.
const (
	DefaultRelease      = 0.7
	DefaultFoldPatience = 8
)

const (
	// minRows and maxRows bound the outputs that are known: twice the limit in
	// between. A row takes 8 bytes an attribute and about 50.
	minRows, maxRows = 1 << 10, 1 << 17
	// maxExamined bounds the rows by which the next fold is chosen.
	maxExamined = 20_000
)

// Folder decides which attributes go so that a limit holds. It knows the
// outputs as they would be without any fold, as long as they are not more than
// its bound, and counts exactly what is left without some attributes.
//
// A fold lasts: it ends only if for some edges in a row there would have been
// far fewer series than the limit without it. Changes happen in Fold and
// Advance only. A Folder belongs to one goroutine at a time.
type Folder struct {
	settings  FolderSettings
	protect   refSet
	columns   *columns
	unknown   int // inputs whose outputs are not known
	steps     []step
	exhausted bool
	hold      bool   // no fold ends
	gone      []bool // scratch: by column
}

// step is what folds at once: an attribute, or several that go only together.
type step struct {
	refs   []Ref
	streak int // edges in a row at which it was needless
}

// Label is the contribution of one attribute to the identity of an output, by
// the value that it has there.
type Label struct {
	Domain series.Domain
	Key    string
	Hash   uint64
}

// Ticket is what an input holds of its output's row. The zero Ticket is that of
// an output that is not known.
type Ticket uint32

var (
	errMaxSeries = errors.New("must be positive")
	errRelease   = errors.New("must lie between 0 and 1")
)

// NewFolder returns a Folder that knows no outputs and folds nothing.
func NewFolder(s FolderSettings) (*Folder, error) {
	s.Release = cmp.Or(s.Release, DefaultRelease)
	s.Patience = cmp.Or(s.Patience, DefaultFoldPatience)
	var errs error
	if s.MaxSeries < 1 {
		errs = errors.Join(errs, fmt.Errorf("max_series: %w, got %d", errMaxSeries, s.MaxSeries))
	}
	if !(s.Release > 0 && s.Release < 1) {
		errs = errors.Join(errs, fmt.Errorf("release: %w, got %v", errRelease, s.Release))
	}
	if s.Patience < 1 {
		errs = errors.Join(errs, fmt.Errorf("patience: %w, got %d", errMaxSeries, s.Patience))
	}
	for i, r := range s.Order {
		if err := r.checkLiteral(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("fold[%d]: %w", i, err))
		}
	}
	protect, err := newRefSet(s.Protect)
	if err != nil {
		errs = errors.Join(errs, fmt.Errorf("protect: %w", err))
	}
	if errs != nil {
		return nil, errs
	}
	s.Order = slices.Clone(s.Order)
	rows := maxRows
	if s.MaxSeries < maxRows/2 {
		rows = max(2*s.MaxSeries, minRows)
	}
	return &Folder{settings: s, protect: protect, columns: newColumns(rows)}, nil
}

// Join tells of a new input. Labels are the contributions of the attributes of
// its output without any fold, base that of all the rest of its identity. Keys
// are borrowed.
func (f *Folder) Join(base uint64, labels []Label) Ticket {
	if t, _ := f.admit(base, labels); t != 0 {
		return t
	}
	return f.JoinUnknown()
}

// admit joins an input if there is room, and says whether its output is new.
func (f *Folder) admit(base uint64, labels []Label) (t Ticket, isNew bool) {
	whole := base
	for i := range labels {
		whole += labels[i].Hash
	}
	row, isNew, ok := f.columns.join(whole)
	if !ok {
		return 0, false
	}
	if isNew {
		for i := range labels {
			if c := f.columns.column(labels[i].Domain, labels[i].Key); c >= 0 {
				f.columns.parts[c][row] += labels[i].Hash
			}
		}
	}
	return Ticket(row + 1), isNew
}

// JoinUnknown tells of a new input whose labels nobody knows, such as one that
// was restored.
func (f *Folder) JoinUnknown() Ticket {
	f.unknown++
	return 0
}

// Leave tells that the input that got the ticket ended.
func (f *Folder) Leave(t Ticket) {
	if t == 0 {
		f.unknown--
		return
	}
	f.columns.leave(uint32(t - 1))
}

// Folds returns the attributes that are folded, for Plan.WithFolds, without the
// protected ones.
func (f *Folder) Folds() []Ref {
	var refs []Ref
	for i := range f.steps {
		for _, r := range f.steps[i].refs {
			for _, d := range domains {
				if f.protect.has(d, r.Key) {
					r.Levels &^= On(d)
				}
			}
			if r.Levels&(OnResource|OnScope|OnPoint) != 0 {
				refs = append(refs, r)
			}
		}
	}
	return refs
}

// Exhausted says that the limit does not hold though nothing is left to fold.
func (f *Folder) Exhausted() bool { return f.exhausted }

// Known is how many outputs are known, without folds, and Unknown how many
// inputs have outputs that are not.
func (f *Folder) Known() int { return f.columns.len() }

// Unknown is how many inputs have outputs that are not known.
func (f *Folder) Unknown() int { return f.unknown }

// count is how many known outputs there are with these folds.
func (f *Folder) count(steps []step) int {
	if len(steps) == 0 {
		return f.columns.len()
	}
	f.columns.fold(f.mark(steps), math.MaxInt)
	return f.columns.without()
}

// mark says for each column whether these folds take it.
func (f *Folder) mark(steps []step) []bool {
	f.gone = append(f.gone[:0], make([]bool, len(f.columns.keys))...)
	for i, at := range f.columns.keys {
		f.gone[i] = f.takes(steps, at)
	}
	return f.gone
}

// takes says whether these folds take an attribute.
func (f *Folder) takes(steps []step, at attribute) bool {
	for i := range steps {
		if slices.ContainsFunc(steps[i].refs, func(r Ref) bool { return r.names(at.domain, at.key) }) {
			return !f.protect.has(at.domain, at.key)
		}
	}
	return false
}

// Fold folds as much as the limit asks for and says whether that was anything.
// Outputs is how many there are under the present folds; it decides when some
// are not known. It may be called between edges, too, when the limit is hit.
func (f *Folder) Fold(outputs int) bool {
	limit := f.settings.MaxSeries
	if f.columns.len()+f.unknown <= limit {
		f.exhausted = false
		return false
	}
	n := f.count(f.steps)
	if f.unknown > 0 {
		n = max(n, outputs)
	}
	before := len(f.steps)
	for n > limit {
		next := f.next()
		if next == nil {
			break
		}
		f.steps = append(f.steps, step{refs: next})
		n = f.count(f.steps)
	}
	f.exhausted = n > limit
	if !f.exhausted && f.unknown == 0 && f.settings.Order == nil {
		f.prune(before)
	}
	return len(f.steps) > before
}

// prune takes back new folds that later ones made needless.
func (f *Folder) prune(from int) {
	for i := from; i < len(f.steps)-1; {
		rest := slices.Concat(f.steps[:i], f.steps[i+1:])
		if f.count(rest) <= f.settings.MaxSeries {
			f.steps = rest
		} else {
			i++
		}
	}
}

// Advance ends an interval: it folds as Fold does or, if there is no need, ends
// a fold that was needless for long. It says whether the folds changed. Folds
// in a given order end in the reverse one, others each for itself, and not two
// at one edge.
func (f *Folder) Advance(outputs int) bool {
	if f.Fold(outputs) {
		for i := range f.steps {
			f.steps[i].streak = 0
		}
		return true
	}
	if f.hold {
		for i := range f.steps {
			f.steps[i].streak = 0
		}
		return false
	}
	release := f.settings.Release * float64(f.settings.MaxSeries)
	end := -1
	for i := len(f.steps) - 1; i >= 0; i-- {
		without := f.count(slices.Concat(f.steps[:i], f.steps[i+1:])) + f.unknown
		if float64(without) < release {
			f.steps[i].streak++
		} else {
			f.steps[i].streak = 0
		}
		if end < 0 && f.steps[i].streak >= f.settings.Patience {
			end = i
		}
		if f.settings.Order != nil {
			break
		}
	}
	if end < 0 {
		return false
	}
	f.steps = slices.Delete(f.steps, end, end+1)
	for i := range f.steps {
		f.steps[i].streak = 0
	}
	return true
}

// State returns the folds, to be stored: one list for what folded at once.
func (f *Folder) State() [][]Ref {
	state := make([][]Ref, 0, len(f.steps))
	for i := range f.steps {
		state = append(state, slices.Clone(f.steps[i].refs))
	}
	return state
}

// Restore takes up folds, those that the settings allow.
func (f *Folder) Restore(state [][]Ref) {
	f.steps = nil
	for _, refs := range state {
		foreign := func(r Ref) bool {
			return r.checkLiteral() != nil || f.settings.Order != nil && !slices.Contains(f.settings.Order, r)
		}
		if len(refs) > 0 && !slices.ContainsFunc(refs, foreign) {
			f.steps = append(f.steps, step{refs: slices.Clone(refs)})
		}
	}
}

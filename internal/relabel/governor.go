package relabel

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// GovernorSettings say what is decided slowly. A part that is nil is not.
type GovernorSettings struct {
	// TopK ranks the values of an attribute.
	TopK *TopKSettings
	// Folder bounds the outputs.
	Folder *FolderSettings
	// Staleness is how long an output counts that has no points.
	Staleness time.Duration
}

// Governor makes the slow decisions for one metric under one rule: its TopK and
// its Folder, fed with the outputs that have points, and published as a View.
// All methods may be called by many goroutines at any time. Times are
// nanoseconds of Unix time; they come in, no clock is read.
//
// Outputs are known by the contributions of their attributes, as many as the
// Folder has rows. Where there are more, rows are for outputs that differ under
// the folds, so that the limit and the choice of what folds next stay exact;
// folds then do not end, for nobody can say what would come.
type Governor struct {
	view  atomic.Pointer[View]
	known atomic.Pointer[sightings] // the outputs that have a row
	// passers are nil as long as each output has a row.
	passers atomic.Pointer[passers]

	staleness, grain uint64
	limited          bool

	mu     sync.Mutex
	topK   *TopK   // nil: none
	folder *Folder // nil: no limit
	tally  *tally
	labels []Label
	// lastPass is when an output without a row was seen last, heldUntil until when
	// no fold ends because what was known before a restart is still coming back.
	lastPass, heldUntil uint64
}

var errStaleness = errors.New("must be positive")

// NewGovernor returns a Governor that knows no outputs, with a View of no members
// and no folds.
func NewGovernor(s GovernorSettings) (*Governor, error) {
	g := &Governor{
		staleness: uint64(max(s.Staleness, 0)),
		limited:   s.Folder != nil,
	}
	// Sightings are noted that coarsely and forgotten that much later.
	g.grain = g.staleness / 64
	var errs error
	if s.Staleness <= 0 {
		errs = errors.Join(errs, fmt.Errorf("staleness: %w, got %s", errStaleness, s.Staleness))
	}
	if s.TopK != nil {
		var err error
		if g.topK, err = NewTopK(*s.TopK); err != nil {
			errs = errors.Join(errs, fmt.Errorf("top_k: %w", err))
		}
	}
	if s.Folder != nil {
		var err error
		if g.folder, err = NewFolder(*s.Folder); err != nil {
			errs = errors.Join(errs, fmt.Errorf("limit: %w", err))
		}
	}
	if errs != nil {
		return nil, errs
	}
	if g.folder != nil {
		g.known.Store(newSightings(0))
		g.tally = newTally(g.folder)
	}
	g.publish()
	return g, nil
}

// View is what is decided now. It is never nil and costs a load.
func (g *Governor) View() *View { return g.view.Load() }

// See tells that an output had points now, and says whether the View changed: if
// it is one too many, attributes fold at once. The output is given by the A of
// its identity without folds.
//
// An output that is not known is described, under a lock: base is the
// contribution of all the rest of its identity, labels are those of its
// attributes without folds, appended to dst; their keys are borrowed.
func (g *Governor) See(unfolded, now uint64, describe func(dst []Label) (base uint64, labels []Label)) (changed bool) {
	if !g.limited {
		return false
	}
	unfolded = place(unfolded)
	if g.known.Load().see(unfolded, now, g.grain) || g.passers.Load().has(unfolded) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known.Load().see(unfolded, now, g.grain) { // somebody was faster
		return false
	}
	base, labels := describe(g.labels[:0])
	g.labels = labels
	g.meet(unfolded, now, base, labels)
	clear(g.labels) // the keys are borrowed
	// If nothing was left to fold, there is something at the next edge at best.
	if g.folder.exhausted || g.tally.outputs() <= g.folder.settings.MaxSeries {
		return false
	}
	g.folder.unknown = len(g.tally.passing)
	if !g.folder.Fold(g.tally.outputs()) {
		return false
	}
	g.refold()
	return true
}

// meet takes up an output that has no row.
func (g *Governor) meet(unfolded, now, base uint64, labels []Label) {
	row, isNew := g.folder.admit(base, labels)
	if row == 0 {
		g.lastPass = now
		id := g.tally.folded(base, labels)
		if !g.makeRoom(id) {
			g.pass(unfolded, id, now)
			return
		}
		row, isNew = g.folder.admit(base, labels)
	}
	if isNew {
		g.tally.join(uint32(row - 1))
	}
	known := g.known.Load()
	if known.full() {
		known = known.grown()
		g.known.Store(known)
	}
	known.put(unfolded, now, row)
}

// makeRoom takes the row of an output that is none of its own under the folds,
// for one that is, and says whether there was any.
func (g *Governor) makeRoom(id uint64) bool {
	row, ok := g.tally.spare(id)
	if !ok || !g.known.Load().drop(place(g.folder.columns.whole[row]), Ticket(row+1)) {
		return false
	}
	g.tally.leave(row)
	g.folder.Leave(Ticket(row + 1))
	return true
}

// pass takes note of an output that gets no row.
func (g *Governor) pass(unfolded, id, now uint64) {
	if g.passers.Load() == nil {
		g.passers.Store(newPassers(2 * g.folder.settings.MaxSeries))
	}
	g.passers.Load().put(unfolded)
	g.tally.pass(id, now)
}

// Weigh counts the increments of a batch, by candidate.
func (g *Governor) Weigh(values map[string]float64) {
	if g.topK == nil || len(values) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for value, weight := range values {
		g.topK.Add(value, weight)
	}
}

// Advance ends an interval: it forgets the outputs that had no points for the
// staleness, lets the TopK and the Folder change their minds, and says whether
// the View changed.
func (g *Governor) Advance(now uint64) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.topK != nil && g.topK.Advance() {
		changed = true
	}
	if g.folder != nil {
		g.forget(now)
		passed := g.lastPass > 0 && now < g.lastPass+g.staleness
		g.folder.hold = passed || now < g.heldUntil
		g.folder.unknown = len(g.tally.passing)
		if g.folder.Advance(g.tally.outputs()) {
			g.refold()
			return true
		}
		switch p := g.passers.Load(); {
		case !passed:
			g.passers.Store(nil)
		case p != nil:
			g.passers.Store(p.emptied()) // to see who is still there
		}
	}
	if changed {
		g.publish()
	}
	return changed
}

// forget lets the rows of outputs go that were not seen for long.
func (g *Governor) forget(now uint64) {
	if now < g.staleness+g.grain {
		return
	}
	oldest := now - g.staleness - g.grain
	g.known.Store(g.known.Load().forget(oldest, now, func(row Ticket) {
		if g.folder.columns.live[row-1] == 1 {
			g.tally.leave(uint32(row - 1))
		}
		g.folder.Leave(row)
	}))
	g.tally.expire(oldest)
}

// refold follows a change of the folds.
func (g *Governor) refold() {
	g.tally.rebuild()
	if p := g.passers.Load(); p != nil {
		g.passers.Store(p.emptied())
	}
	g.publish()
}

func (g *Governor) publish() {
	var members *Members
	var folds []Ref
	if g.topK != nil {
		members = g.topK.Members()
	}
	if g.folder != nil {
		folds = g.folder.Folds()
	}
	g.view.Store(newView(members, folds))
}

// Exhausted says that the limit does not hold though nothing is left to fold.
func (g *Governor) Exhausted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.folder != nil && g.folder.Exhausted()
}

// Known is how many outputs are known, without folds; there may be more than the
// Folder's bound.
func (g *Governor) Known() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.folder == nil {
		return 0
	}
	return g.folder.Known()
}

// GovernorState is what a Governor knows and does not learn again soon.
type GovernorState struct {
	TopK TopKState
	// Folds are those of Folder.State.
	Folds [][]Ref
}

// State returns what is to be stored.
func (g *Governor) State() GovernorState {
	g.mu.Lock()
	defer g.mu.Unlock()
	var s GovernorState
	if g.topK != nil {
		s.TopK = g.topK.State()
	}
	if g.folder != nil {
		s.Folds = g.folder.State()
	}
	return s
}

// Restore makes a new Governor know what another knew, possibly one with other
// settings. Members and folds are back at once, outputs as they are seen: until
// they had the staleness to come, no fold ends.
func (g *Governor) Restore(s GovernorState, now uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.topK != nil {
		g.topK.Restore(s.TopK)
	}
	if g.folder != nil {
		g.folder.Restore(s.Folds)
		g.heldUntil = now + g.staleness
		g.refold()
		return
	}
	g.publish()
}

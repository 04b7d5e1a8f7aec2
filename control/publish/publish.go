// Package publish brings the policies from the store to the data path. A
// Publisher holds the policy.Snapshot that components read, and makes a new one
// when policies change or the kill switch is turned. If the store fails, or the
// whole control path, the last snapshot stays.
package publish

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Settings is what New needs. Hooks default to nothing. They may be called by
// several goroutines, may ask the publisher for its Status, which is perhaps
// newer than what they are told, and should not wait.
type Settings struct {
	// Store has the policies. Required.
	Store store.PolicyReader
	// Logger takes changes of state. Default: nothing is logged.
	Logger *zap.Logger
	// KillFile turns all policies off while it exists. Default: there is none.
	KillFile string
	// NamespaceAttribute is the resource attribute that ties the rules of a
	// namespace to its telemetry. Default: rules apply to all telemetry.
	NamespaceAttribute string
	// Poll is how often Run looks at the store and the file. Default: 250ms.
	Poll time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// ObservePublish is told how long reading and publishing took.
	ObservePublish func(took time.Duration, err error)
	// OnPublish is told of each new snapshot.
	OnPublish func(Status)
	// OnStore is told when the store stops answering, and when it answers again
	// (nil).
	OnStore func(err error)
	// OnKillFile is told when the file came or went.
	OnKillFile func(KillState)
}

const (
	defaultPoll = 250 * time.Millisecond
	// storeTimeout bounds one look at the store, so that one that hangs is noticed;
	// readTimeout bounds reading all policies.
	storeTimeout, readTimeout = 5 * time.Second, 30 * time.Second
	// maxRecords bounds the snapshots of which is known what they hold.
	maxRecords = 1024
)

// Status is what was published.
type Status struct {
	// Version is that of the snapshot, 0 until the store was read once.
	// StoreVersion is the version of the policies in the store that it holds.
	Version, StoreVersion uint64
	// Rules, Sampling (rules) and Routes count those of the snapshot, none while the
	// kill switch is engaged. Preview and Enforced count the policies in force that are not left out.
	Rules, Sampling, Routes, Preview, Enforced int
	// PublishedAt is when the snapshot was made.
	PublishedAt time.Time
	// LeftOut are the policies in force that cannot be published.
	LeftOut []LeftOut
	// Unpriced are those of which the budgets that are money are not published: the
	// problem says why they have no price. Their other rules are.
	Unpriced []LeftOut
	// ExperimentsLeftOut are those that were to be published and cannot be.
	ExperimentsLeftOut []ExperimentLeftOut
	Kill               KillState
	// StoreErr is why the store did not answer when it was last asked, nil if it
	// did.
	StoreErr error
}

// Publisher implements policy.Source.
type Publisher struct {
	settings Settings
	wake     chan struct{}
	look     chan chan struct{} // to look at the file, and close what is sent

	// turn is held by whoever reads the store, which guards what follows. It is a
	// channel so that waiting for it ends with a context.
	turn         chan struct{}
	read         bool
	storeVersion uint64
	catalogue    catalogue

	// mu guards what a snapshot is made of. Whoever has it may not wait.
	mu      sync.Mutex
	content content
	file    killFile
	held    *Held
	own     killFile // the file, if this process made it: it is not in file
	trials  *trials
	version uint64
	records []record

	current  atomic.Pointer[publication]
	storeErr atomic.Pointer[error]
}

// content is what the store had when it was last read.
type content struct {
	known             bool
	storeVersion      uint64
	rules             []policy.Rule
	sampling          []policy.SamplingRule
	ids               map[string]bool // of the policies whose rules these are
	leftOut, unpriced []LeftOut
	preview, enforced int
	kill              store.KillSwitch
}

// publication is a snapshot and what is told of it.
type publication struct {
	snapshot *policy.Snapshot
	rules    []policy.Rule
	sampling []policy.SamplingRule
	prices   *cost.PointPrices
	status   Status
}

// record says which state of the store a snapshot has.
type record struct{ version, storeVersion uint64 }

var _ policy.Source = (*Publisher)(nil)

// New returns a publisher that has the empty snapshot of version 0 until Refresh
// or Run reads the store.
func New(s Settings) *Publisher {
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Poll <= 0 {
		s.Poll = defaultPoll
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	p := &Publisher{
		settings: s, wake: make(chan struct{}, 1), look: make(chan chan struct{}), turn: make(chan struct{}, 1),
		catalogue: catalogue{compiler: Compiler{NamespaceAttribute: s.NamespaceAttribute}},
		content:   content{rules: []policy.Rule{}}, trials: &trials{},
	}
	p.current.Store(&publication{snapshot: &policy.Snapshot{Rules: p.content.rules}, rules: p.content.rules})
	return p
}

// Policy implements policy.Source.
func (p *Publisher) Policy() *policy.Snapshot { return p.current.Load().snapshot }

// Rules returns the rules of all policies in force in their order, also while
// the kill switch keeps them out of the snapshot. Nobody may change them.
func (p *Publisher) Rules() []policy.Rule { return p.current.Load().rules }

// Sampling returns the sampling rules of all policies in force, as Rules does.
func (p *Publisher) Sampling() []policy.SamplingRule { return p.current.Load().sampling }

// Prices are those that the publisher was given last, nil before.
func (p *Publisher) Prices() *cost.PointPrices { return p.current.Load().prices }

// SetPrices publishes budgets that are money by these prices from now on.
func (p *Publisher) SetPrices(ctx context.Context, prices *cost.PointPrices) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	changed := p.catalogue.reprice(prices)
	p.mu.Lock()
	next := *p.current.Load()
	next.prices = prices
	p.current.Store(&next)
	p.mu.Unlock()
	if !changed {
		return nil
	}
	return p.took(true, p.content.kill, nil) // read by whoever has turn, who alone writes it
}

// Status says what was published.
func (p *Publisher) Status() Status {
	s := p.current.Load().status
	if err := p.storeErr.Load(); err != nil {
		s.StoreErr = *err
	}
	return s
}

// Includes says whether a component that took over the snapshot of this version
// has what the store had at storeVersion, or something newer.
func (p *Publisher) Includes(version, storeVersion uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, found := slices.BinarySearchFunc(p.records, version, func(r record, v uint64) int {
		switch {
		case r.version < v:
			return -1
		case r.version > v:
			return 1
		}
		return 0
	})
	return found && p.records[at].storeVersion >= storeVersion
}

// Wake makes Run look at the store at once.
func (p *Publisher) Wake() {
	select {
	case p.wake <- struct{}{}:
	default: // it will
	}
}

// Open publishes what the store has, after it has looked at the file: no rule is
// published while that is there. Call it before Run.
func (p *Publisher) Open(ctx context.Context) error {
	_ = p.lookAtFile() // that it cannot be looked at is told by Run, and keeps no collector from starting
	return p.Refresh(ctx)
}

// Refresh publishes what the store has now. After a commit it makes the snapshot
// current; if it fails, Run tries again.
func (p *Publisher) Refresh(ctx context.Context) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	return p.refresh(ctx)
}

// Changed publishes one policy as a committed write left it; a deleted one has
// the state deleted and the version of its last revision. It costs much less than
// Refresh, which it does instead if there are other changes to know of.
func (p *Publisher) Changed(ctx context.Context, changed store.Policy) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	if !p.read || changed.Version != p.storeVersion+1 {
		return p.refresh(ctx)
	}
	began := time.Now()
	p.storeVersion = changed.Version
	err := p.took(p.catalogue.set(changed), p.content.kill, nil) // read by whoever has turn, who alone writes it
	p.observe(began, err)
	return err
}

func (p *Publisher) acquire(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *Publisher) release() { <-p.turn }

// refresh reads the store if it has another version. The caller has turn.
func (p *Publisher) refresh(parent context.Context) error {
	version, err := bounded(parent, storeTimeout, p.settings.Store.PolicyVersion)
	if err == nil && p.read && version == p.storeVersion {
		p.settle()
		p.answered(nil)
		return nil
	}
	began := time.Now()
	var set store.PolicySet
	if err == nil {
		set, err = bounded(parent, readTimeout, p.settings.Store.PoliciesInForce)
	}
	if err == nil {
		p.storeVersion, p.read = set.Version, true
		if err = p.took(p.catalogue.replace(set.Policies), set.KillSwitch, nil); err == nil {
			p.settle()
		}
	}
	if err != nil && parent.Err() != nil {
		return err // that the caller went away says nothing about the store
	}
	p.answered(err)
	p.observe(began, err)
	return err
}

// bounded asks the store for something and does not wait for ever.
func bounded[T any](ctx context.Context, limit time.Duration, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return ask(ctx)
}

func (p *Publisher) observe(began time.Time, err error) {
	if p.settings.ObservePublish != nil {
		p.settings.ObservePublish(time.Since(began), err)
	}
}

// answered notes whether the store answers, and tells when that changes.
func (p *Publisher) answered(err error) {
	before := p.storeErr.Load()
	if err == nil {
		p.storeErr.Store(nil)
	} else {
		p.storeErr.Store(&err)
	}
	if (before == nil) == (err == nil) {
		return
	}
	if err != nil {
		p.settings.Logger.Warn("The store does not answer, the data path keeps the last policies", zap.Error(err),
			zap.Uint64("version", p.Policy().Version))
	} else {
		p.settings.Logger.Info("The store answers again")
	}
	if p.settings.OnStore != nil {
		p.settings.OnStore(err)
	}
}

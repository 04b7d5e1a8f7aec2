package conductor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Settings is what New needs.
type Settings struct {
	// Store keeps the experiments. Required.
	Store store.Store
	// Publisher hands routes and rules to the data path. Required.
	Publisher *publish.Publisher
	// Sources say what the data path does. Required.
	Sources Sources
	// Announce is told of each event after it is stored. Default: nobody is.
	Announce func(bus.Event)
	// Ask asks the metric source; see metricsource.Source. Default: none, queries
	// of guardrails have no data.
	Ask func(ctx context.Context, experiment string, g experiment.Guardrail, now time.Time) experiment.Answer
	// Prices says what the stream costs now. Default: cost has no data.
	Prices func(context.Context) (Prices, error)
	// Queries begins to judge what the user's queries say of two measuring points;
	// see fidelity.Open. Default: no query is judged.
	Queries func(spec experiment.Spec, baseline, candidate string) (Queries, error)
	// Instance is the name of this control plane among those that share the store.
	// Exclusive says that nobody else uses it.
	Instance  string
	Exclusive bool
	// Observer is told what happens, for metrics. Default: nobody is.
	Observer Observer
	// Logger takes changes of state. Default: nothing is logged.
	Logger *zap.Logger
	// Now is the clock; its times have a monotonic reading. Default: time.Now.
	Now func() time.Time

	// wall is Now, unless a test sets the clock.
	wall func() time.Time
}

// Sources are what the data path has registered. All functions may be called by
// many goroutines.
type Sources struct {
	// Routers lists the routers, Arms who measures the end of an arm, Candidates
	// the processors that apply candidate rules.
	Routers    func() []report.RouterRegistration
	Arms       func() []report.ArmRegistration
	Candidates func() []report.ConsolidationRegistration
}

// Queries judges what the user's queries say of both arms. Look is called by one
// goroutine at a time, MemoryBytes by any.
type Queries interface {
	// Look returns nil while nothing is judged.
	Look(ctx context.Context, now time.Time) *experiment.FidelityVerdict
	MemoryBytes() int64
	Close()
}

// Observer counts. Its methods must not wait.
type Observer interface {
	// Looked is told how long the looks at some experiments took together.
	Looked(took time.Duration, experiments int)
	// Changed is told of each change of a phase, with the code of its first reason.
	Changed(to experiment.Phase, why experiment.ReasonCode)
	// Saved is told how long storing states took, and what came of it.
	Saved(took time.Duration, states int, err error)
}

// How often things are done.
const (
	// poll is how often routers are asked for breaches.
	poll = 250 * time.Millisecond
	// firstPublish is how long a change that takes weight away waits for the store.
	firstPublish = 500 * time.Millisecond
	// writeTime bounds every other transaction of the conductor, askTime one round
	// of questions to the data path.
	writeTime, askTime = 5 * time.Second, 5 * time.Second
	// saveEvery is how often changed states are stored, leaseStored how old the
	// stored renewal of a lease may get when nothing else changed.
	saveEvery, leaseStored = time.Second, 20 * time.Second
)

// Conductor runs the experiments of a store. Its methods may be called by many
// goroutines.
type Conductor struct {
	settings Settings
	logger   *zap.Logger
	seat     *seat
	prices   priceTag
	tellers  sync.WaitGroup // what Run waits for
	// slots bounds who works at once, gatherers who asks slow sources; wake makes
	// the loop go round.
	slots, gatherers chan struct{}
	wake             chan struct{}

	// beginning is held by whoever decides whether an experiment may begin, so that
	// two that overlap do not begin at once. It is a channel so that waiting for it
	// ends with a context.
	beginning chan struct{}

	// storeDown is set while the store does not answer.
	storeDown atomic.Bool

	// wall is the time that decisions are dated by. It may be set; everything else
	// goes by the monotonic clock.
	wall func() time.Time

	// What follows belongs to the loop, or to the one who stores.
	loadTried, confirmTried time.Time
	publishTrouble          trouble
	saving                  trouble

	publishing publishing

	// mu guards what follows, and the fields of runs that say so. Whoever has it
	// may not wait.
	mu     sync.Mutex
	loaded bool
	// reload is set when an experiment may be in the store that is not in memory.
	reload bool
	runs   map[store.ExperimentKey]*run
	sorted []*run // by id
	busy   map[store.ExperimentKey]chan struct{}
	scopes scopes
	tails  []tail
	// change counts what is to be published, promoted are policies that are.
	change   uint64
	promoted []store.Policy
	watchers map[store.ExperimentKey]map[chan struct{}]struct{}
}

var errSettings = errors.New("conductor: Store, Publisher and Sources are required")

// New returns a conductor that does nothing before Open and Run.
func New(s Settings) (*Conductor, error) {
	if s.Store == nil || s.Publisher == nil || s.Sources.Routers == nil || s.Sources.Arms == nil || s.Sources.Candidates == nil {
		return nil, errSettings
	}
	if s.Announce == nil {
		s.Announce = func(bus.Event) {}
	}
	if s.Observer == nil {
		s.Observer = nobody{}
	}
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.wall == nil {
		s.wall = s.Now
	}
	c := &Conductor{
		settings: s, logger: s.Logger, wall: s.wall, slots: make(chan struct{}, workers), gatherers: make(chan struct{}, gatherers),
		wake: make(chan struct{}, 1), beginning: make(chan struct{}, 1), publishing: publishing{turn: make(chan struct{}, 1)},
		runs: map[store.ExperimentKey]*run{}, busy: map[store.ExperimentKey]chan struct{}{}, scopes: scopes{},
		watchers: map[store.ExperimentKey]map[chan struct{}]struct{}{},
	}
	c.seat = newSeat(s)
	return c, nil
}

// nobody is an Observer that counts nothing.
type nobody struct{}

func (nobody) Looked(time.Duration, int)                       {}
func (nobody) Changed(experiment.Phase, experiment.ReasonCode) {}
func (nobody) Saved(time.Duration, int, error)                 {}

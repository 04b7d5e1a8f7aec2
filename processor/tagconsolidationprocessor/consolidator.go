package tagconsolidationprocessor

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/stream"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
)

// consolidator is the processor of one pipeline. Data goes through process,
// called by any number of goroutines; everything that happens at the edge of an
// interval is done by the one goroutine of loop.
type consolidator struct {
	id          component.ID
	config      *Config
	next        consumer.Metrics
	log         *zap.Logger
	telemetry   *metadata.TelemetryBuilder
	instruments *instruments
	clock       func() time.Time

	engine    *consolidation.Engine
	table     *stream.Table
	hasher    *series.Hasher
	exemplars exemplars
	kinds     metricKinds
	state     state
	batch     *stream.Batch
	stats     atomic.Pointer[consolidation.Stats] // as of the latest flush

	rules  atomic.Pointer[ruleset] // what process works by
	change sync.Mutex              // held while rules or pending change
	// pending replaces rules at the next edge, or at once if early says so.
	pending *ruleset
	early   chan struct{}
	source  policy.Source    // nil: rules are static
	seen    *policy.Snapshot // of source, the latest one that was looked at
	kept    kept
	// policyVersion is that of the newest snapshot taken over, refused why a later
	// one was not.
	policyVersion atomic.Uint64
	refused       atomic.Pointer[[]string]
	budget        budget // of previews
	unregister    func() // nil: nobody asks

	free feeders
	edge uint64 // of the latest flush

	exchange *exchange // nil: there is nobody else
	// turning is held by whoever acts at an edge, or takes over what is here.
	turning   sync.Mutex
	departing departing

	stop    chan struct{}
	running sync.WaitGroup
}

func newConsolidator(set processor.Settings, cfg *Config, next consumer.Metrics) (*consolidator, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("make the telemetry of %s: %w", set.ID, err)
	}
	c := &consolidator{
		id: set.ID, config: cfg, next: next, log: set.Logger, telemetry: telemetry,
		instruments: newInstruments(telemetry), clock: time.Now, table: &stream.Table{}, early: make(chan struct{}, 1),
	}
	rules, err := c.compile(cfg.Rules, nil)
	if err != nil {
		return nil, err
	}
	c.rules.Store(rules)
	return c, nil
}

func (c *consolidator) start(ctx context.Context, host component.Host) error {
	if err := c.begin(ctx, host); err != nil {
		return err
	}
	if err := c.register(host); err != nil {
		return err
	}
	c.stop = make(chan struct{})
	c.running.Go(c.loop)
	c.running.Go(c.listen)
	return nil
}

// begin does all of start but letting time run.
func (c *consolidator) begin(ctx context.Context, host component.Host) error {
	var err error
	if c.source, err = c.findSource(host); err != nil {
		return err
	}
	if err := c.openStorage(ctx, host); err != nil {
		return err
	}
	c.recallNames(ctx)
	// What control has now, or had when the last process ran, is in force before
	// anything flows, and before state is taken up: rules that are not in force
	// then end.
	c.poll(ctx)
	if c.policyVersion.Load() == 0 {
		c.recall(ctx)
	}
	if c.pending != nil {
		c.rules.Store(c.pending)
		c.pending = nil
	}
	c.engine = c.newEngine()
	if err := c.openState(ctx); err != nil {
		return err
	}
	c.exchange.agree(ctx, c)
	c.hasher = series.NewHasher(c.state.identity.Secret)
	c.batch = c.newBatch()
	c.free.limit = 2 * runtime.GOMAXPROCS(0)
	c.free.make = func() *feeder {
		return &feeder{
			engine: c.engine, table: c.table, hasher: c.hasher, exemplars: &c.exemplars, kinds: &c.kinds,
			interval: uint64(c.config.Interval), //nolint:gosec // positive
		}
	}
	c.rules.Load().past.since = max(c.state.began, c.engine.Settle()+1)
	c.endOrphans(ctx)
	c.watch(c.rules.Load())
	c.departing.restored(c.state.orphans)
	begin, known := c.begun()
	taken := c.take(ctx, begin, known, max(nanos(c.clock()), c.edge+uint64(time.Millisecond)), false)
	if c.state.store != nil {
		// From here on the state is that of this process, also if it ends at once.
		if err := c.writeState(ctx); err != nil {
			taken.abandon()
			return err
		}
	}
	taken.finish(ctx)
	c.exchange.join(c)
	c.warn(c.rules.Load(), nil)
	c.warnOverlaps(c.config.Rules)
	return c.observe()
}

func (c *consolidator) newEngine() *consolidation.Engine {
	return consolidation.New(consolidation.Settings{
		Staleness: c.config.Staleness, Heartbeat: c.config.Heartbeat, MaxStreams: c.config.MaxStreams,
		Bases: c.config.Storage != nil,
	})
}

func (c *consolidator) newBatch() *stream.Batch {
	if c.config.Writer.None {
		return stream.NewBatch("", "")
	}
	return stream.NewBatch(c.config.Writer.Attribute, c.state.identity.Writer)
}

// shutdown stops time and ends.
func (c *consolidator) shutdown(ctx context.Context) error {
	defer c.telemetry.Shutdown()
	c.exchange.leave(c)
	if c.stop == nil {
		return nil
	}
	if c.unregister != nil {
		c.unregister()
	}
	close(c.stop)
	c.running.Wait()
	return c.end(ctx)
}

// end emits what has come since the last edge and writes the state.
func (c *consolidator) end(ctx context.Context) error {
	c.turning.Lock()
	defer c.turning.Unlock()
	// Also if the clock was set back: databases keep milliseconds.
	c.flush(ctx, max(nanos(c.clock()), c.edge+uint64(time.Millisecond)))
	return c.closeState(ctx)
}

// process takes what rules match out of a batch; the rest goes on in the same
// call.
func (c *consolidator) process(ctx context.Context, md pmetric.Metrics) (pmetric.Metrics, error) {
	f := c.free.get()
	f.use(c.rules.Load())
	f.feed(md, nanos(c.clock()))
	f.release()
	c.instruments.settle(ctx, f)
	c.free.put(f)
	if md.ResourceMetrics().Len() == 0 {
		return md, processorhelper.ErrSkipProcessingData
	}
	return md, nil
}

func nanos(t time.Time) uint64 {
	return uint64(max(0, t.UnixNano()))
}

// feeders keeps those that nobody uses. A sync.Pool would lose them, and what
// they remember, at each garbage collection.
type feeders struct {
	make  func() *feeder
	limit int

	mu   sync.Mutex
	idle []*feeder
}

func (p *feeders) get() *feeder {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		f := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return f
	}
	return p.make()
}

func (p *feeders) put(f *feeder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) < p.limit {
		p.idle = append(p.idle, f)
	}
}

package tagconsolidationprocessor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// world is one random history: programs that send, a processor whose time is
// moved by hand, its machine, and a log of all that happened, for the model.
type world struct {
	t        *rapid.T
	config   *Config
	host     machine
	disk     *disk // nil: no storage
	control  *control
	static   []policy.Rule
	sentLast []policy.Rule // the latest ones of control

	c        *consolidator
	now      uint64
	edge     uint64 // the next one
	lag      uint64 // how much later than an edge its timer fires
	programs []*program
	emitted  []*output // since the last turn
	log      []happening
	faults   map[string]bool // what happened in this history
}

// happening is one entry of the log. One of its parts is set.
type happening struct {
	now    uint64
	points []*clearPoint // a batch, and what of it passed
	sent   pmetric.Metrics
	passed pmetric.Metrics

	edge    uint64 // a turn
	emitted []*output
	begun   bool // something of its journal is in the storage
	over    bool // all of it is

	end   bool // a shutdown
	saved bool // a checkpoint that counts

	rules []*knownRule // control has these, with the static ones
	apply bool

	begin    bool // a process begins with rules
	kept     bool // over storage
	complete uint64
}

const (
	propertyInterval = 10 * time.Second
	startOfTime      = uint64(1_700_000_000) * 1e9
)

func newWorld(t *rapid.T) *world {
	w := &world{t: t, now: startOfTime + 1e9, host: machine{}, control: &control{snapshot: &policy.Snapshot{}}, faults: map[string]bool{}}
	w.edge = startOfTime + uint64(propertyInterval)
	w.lag = rapid.SampledFrom([]uint64{0, 0, 300e6}).Draw(t, "lag")
	w.host[controlID] = w.control
	cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
	cfg.Interval, cfg.Staleness, cfg.Heartbeat = propertyInterval, time.Minute, 30*time.Second
	cfg.MaxBatchPoints = rapid.SampledFrom([]int{1, 2, 4096}).Draw(t, "maxBatchPoints")
	cfg.Writer.ID = "w1"
	cfg.Writer.None = rapid.IntRange(0, 3).Draw(t, "noWriter") == 0
	cfg.NeverTouch.Metrics = []string{"untouched"}
	if rapid.IntRange(0, 3).Draw(t, "neverTouch") == 0 {
		cfg.NeverTouch.Attributes = []string{"met*", "resource.region"}
	}
	w.static = drawRules(t, rapid.IntRange(0, 1).Draw(t, "static"), 3, nil)
	w.sentLast = hot(drawRules(t, 1, 2, w.static))
	cfg.Rules, cfg.Control = w.static, &controlID
	if rapid.IntRange(0, 3).Draw(t, "storage") > 0 {
		w.disk = newDisk(t)
		w.host[diskID], cfg.Storage = w.disk, &diskID
	}
	require.NoError(t, cfg.Validate())
	w.config = cfg
	w.boot()
	for range rapid.IntRange(1, 5).Draw(t, "programs") {
		w.programs = append(w.programs, drawProgram(t, w.now))
	}
	return w
}

// boot starts a process.
func (w *world) boot() {
	machinePower := &power{}
	w.emitted = nil
	if w.disk != nil {
		w.disk.power = machinePower
	}
	next, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		outputs := readOutputs(md, w.now, w.c.config.Writer.name())
		for _, o := range outputs {
			o.journaled = !machinePower.out
		}
		alive := machinePower.use()
		for _, o := range outputs {
			o.delivered = alive
		}
		w.emitted = append(w.emitted, outputs...)
		return nil
	})
	require.NoError(w.t, err)
	cfg := *w.config
	w.c, err = newConsolidator(nopSettings(), &cfg, next)
	require.NoError(w.t, err)
	w.c.clock = func() time.Time { return time.Unix(0, int64(w.now)) }
	w.beginLate()
	w.log = append(w.log, happening{now: w.now, begin: true, kept: w.disk != nil, complete: w.c.edge, rules: w.rules()})
}

// beginLate lets the process begin, at times before control knows its rules: with
// storage it goes by those that it had.
func (w *world) beginLate() {
	known := w.control.snapshot
	if w.disk != nil && known.Version > 0 && rapid.Bool().Draw(w.t, "late") {
		w.control.snapshot = &policy.Snapshot{}
	}
	require.NoError(w.t, w.c.begin(context.Background(), w.host))
	if w.control.snapshot != known {
		w.control.snapshot = known
		w.faults["control_late"] = true
	}
	if rapid.Bool().Draw(w.t, "looks") { // else the rules come with the next change, or never
		w.c.poll(context.Background())
	}
}

// rules are the static ones, and after them those of control.
func (w *world) rules() []*knownRule {
	return knownRules(slices.Concat(w.static, w.control.snapshot.Rules))
}

// send sends a batch and logs what of it passed.
func (w *world) send(b *batch) {
	if b.data.ResourceMetrics().Len() == 0 {
		return
	}
	h := happening{now: w.now, points: clearPoints(b.data, w.now), sent: pmetric.NewMetrics()}
	b.data.CopyTo(h.sent)
	left, err := w.c.process(context.Background(), b.data)
	if h.passed = left; errors.Is(err, processorhelper.ErrSkipProcessingData) {
		h.passed, err = pmetric.NewMetrics(), nil
	}
	require.NoError(w.t, err)
	w.log = append(w.log, h)
}

// wait lets time go on, and turns at the edges.
func (w *world) wait(d uint64) {
	until := w.now + d
	for w.edge+w.lag <= until {
		w.now = w.edge + w.lag
		w.turn()
	}
	w.now = until
}

func (w *world) turn() {
	w.early()
	w.turnAt(w.edge)
	w.edge += uint64(propertyInterval)
}

func (w *world) turnAt(edge uint64) {
	before, n := w.head(), len(w.emitted)
	w.c.turn(context.Background(), edge)
	alive := w.disk == nil || !w.disk.power.out
	begun := alive || len(w.emitted) > n && w.emitted[n].journaled
	w.log = append(w.log, happening{now: w.now, edge: edge, emitted: w.emitted, begun: begun, over: alive}, happening{now: w.now, saved: w.head() != before})
	w.emitted = nil
}

// checkpoint writes the whole state.
func (w *world) checkpoint() {
	if w.disk == nil {
		return
	}
	before := w.head()
	w.c.writeCheckpoint(context.Background())
	w.log = append(w.log, happening{now: w.now, saved: w.head() != before})
}

// head tells checkpoints apart.
func (w *world) head() string {
	if w.disk == nil {
		return ""
	}
	return string(w.disk.kept["head"])
}

// change lets control send other rules: new ones, none, or those again that it had
// before; and at times at once, as the kill switch does.
func (w *world) change(how string) {
	var rules []policy.Rule
	switch before := w.control.snapshot.Rules; {
	case how == "rules_change":
		rules = hot(drawRules(w.t, 0, 2, w.static))
	case len(before) == 0:
		rules = slices.DeleteFunc(slices.Clone(w.sentLast), func(r policy.Rule) bool {
			return slices.ContainsFunc(w.static, func(s policy.Rule) bool { return s.Name == r.Name })
		})
	}
	if len(rules) > 0 {
		w.sentLast = rules
	}
	snapshot, err := policy.NewSnapshot(w.control.snapshot.Version+1, rules)
	require.NoError(w.t, err)
	snapshot.Urgent = rapid.IntRange(0, 3).Draw(w.t, "urgent") == 0
	w.control.snapshot = snapshot
	w.c.poll(context.Background())
	w.log = append(w.log, happening{now: w.now, apply: true, rules: w.rules()})
	if snapshot.Urgent && rapid.IntRange(0, 3).Draw(w.t, "another comes first") > 0 {
		w.early()
	}
}

// goAndReturn lets the rules of control go, and at times return while programs go
// on: before an edge, at the next one, or later.
func (w *world) goAndReturn(fault string) {
	w.change(fault)
	for range rapid.IntRange(0, 2).Draw(w.t, "further") {
		if rapid.IntRange(0, 3).Draw(w.t, "edge") > 0 {
			w.wait(w.edge + w.lag - w.now)
		}
		b := newPropertyBatch(true)
		for _, p := range w.programs {
			if rapid.IntRange(0, 3).Draw(w.t, "reports") > 0 {
				b.add(p.report(w.t, w.now))
			}
		}
		w.send(b)
		w.change(fault)
	}
}

// early lets an urgent snapshot have its own edge.
func (w *world) early() {
	select {
	case <-w.c.early:
		w.turnAt(w.now)
	default:
	}
}

// restart ends the process in order, and starts another, which may have other
// static rules.
func (w *world) restart() {
	require.NoError(w.t, w.c.end(context.Background()))
	w.log = append(w.log, happening{now: w.now, end: true, emitted: w.emitted, begun: true, over: true})
	if rapid.IntRange(0, 4).Draw(w.t, "configured") == 0 {
		w.static = drawRules(w.t, 1, 3, w.control.snapshot.Rules)
		w.config.Rules = w.static
	}
	w.replace()
}

// replace starts a process in place of one that is gone.
func (w *world) replace() {
	w.pause(rapid.Uint64Range(1, 20).Draw(w.t, "down") * 1e9)
	w.c.telemetry.Shutdown()
	w.boot()
}

// pause lets time go on while no process runs.
func (w *world) pause(d uint64) {
	w.now += d
	for w.edge+w.lag <= w.now {
		w.edge += uint64(propertyInterval)
	}
}

// crash kills the process: now, or while it turns or writes a checkpoint, after
// some operations.
func (w *world) crash(during string) {
	if w.disk != nil {
		w.disk.power.limited, w.disk.power.left = true, rapid.IntRange(0, 8).Draw(w.t, "operations")
		switch during {
		case "crash_in_turn":
			w.wait(w.edge + w.lag - w.now)
		case "crash_in_checkpoint":
			w.checkpoint()
		}
		w.disk.power.left, w.disk.power.out = 0, true
	}
	w.replace()
}

// leftOf is what of a batch should be left when points are taken, some of which end
// their series at a time.
func leftOf(md pmetric.Metrics, taken func(i int) (bool, uint64)) pmetric.Metrics {
	i := 0
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
				removePoints(m, func() (bool, uint64) { i++; return taken(i - 1) })
				points, _ := walk.Of(m)
				return points.Len() == 0
			})
			return sm.Metrics().Len() == 0
		})
		return rm.ScopeMetrics().Len() == 0
	})
	return md
}

func removePoints(m pmetric.Metric, taken func() (bool, uint64)) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(removal(taken, pmetric.NewNumberDataPoint))
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(removal(taken, pmetric.NewNumberDataPoint))
	case pmetric.MetricTypeHistogram:
		m.Histogram().DataPoints().RemoveIf(removal(taken, pmetric.NewHistogramDataPoint))
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(removal(taken, pmetric.NewExponentialHistogramDataPoint))
	case pmetric.MetricTypeSummary:
		m.Summary().DataPoints().RemoveIf(removal(taken, pmetric.NewSummaryDataPoint))
	case pmetric.MetricTypeEmpty:
	}
}

// anyPoint is what points of all types can do.
type anyPoint[P any] interface {
	dataPoint
	CopyTo(P)
}

// removal removes what is taken, but for the ends of series.
func removal[P anyPoint[P]](taken func() (bool, uint64), empty func() P) func(P) bool {
	return func(p P) bool {
		removed, ends := taken()
		if !removed || ends == 0 {
			return removed
		}
		end := empty()
		p.Attributes().CopyTo(end.Attributes())
		end.SetStartTimestamp(p.StartTimestamp())
		end.SetTimestamp(pcommon.Timestamp(ends))
		end.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		end.CopyTo(p)
		return false
	}
}

// String says what happened, for a message.
func (h *happening) String() string {
	at := float64(h.now-startOfTime) / 1e9
	switch {
	case h.begin:
		return fmt.Sprintf("%gs: a process begins, complete %d, rules %v", at, h.complete, h.rules)
	case h.end:
		return fmt.Sprintf("%gs: shutdown, emitted %v", at, h.emitted)
	case h.apply:
		return fmt.Sprintf("%gs: rules %v", at, h.rules)
	case h.edge > 0:
		return fmt.Sprintf("%gs: turn %g, emitted %v", at, float64(h.edge-startOfTime)/1e9, h.emitted)
	case h.points != nil:
		return fmt.Sprintf("%gs: batch %v", at, h.points)
	}
	return fmt.Sprintf("%gs: checkpoint %t", at, h.saved)
}

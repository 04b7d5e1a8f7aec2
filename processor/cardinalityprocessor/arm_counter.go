package cardinalityprocessor

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

const (
	// armWindow is how many sub-windows series are counted over: the running one
	// and the one before.
	armWindow = 2
	// settled is after how many sub-windows series are told: two whole ones have
	// passed since the one in which counting began. What was under way then, and what
	// passed before the rules of the candidate came into force, is not the arm's.
	settled = 3
	// streamBytes is about what a stream takes.
	streamBytes = 16
	// armCounterBytes is what a counter takes before it counts, its routing
	// included.
	armCounterBytes = 1024
)

// armCounter counts what leaves one arm of one experiment.
type armCounter struct {
	route     policy.Route
	unit      routing.Unit
	marked    bool // points may carry policy.ArmAttribute, which is no part of their series
	streams   bool // the backend bills OTLP streams
	budget    *armBudget
	since     time.Time
	subWindow time.Duration
	first     int64 // the sub-window in which counting began

	points, bytes atomic.Uint64
	running       atomic.Int64  // the number of the running sub-window
	epoch         atomic.Uint32 // its epoch in seen
	seen          atomic.Pointer[sketch.Table]

	mu      sync.Mutex
	full    bool // there was no memory for another stream in this sub-window
	present seriesSet
	last    seriesSet
	// precision is that of all sketches; 0 until there is one.
	precision, wanted uint8
	units             armUnits
	taken             int // of the budget
	retired           bool
}

func (a *armed) newCounter(r *policy.Route, unit routing.Unit, now time.Time) *armCounter {
	c := &armCounter{
		route: *r, unit: unit, marked: a.name == policy.ArmCandidate && unit == routing.UnitNone, streams: a.measurement.backend.Streams(),
		budget: &a.budget, since: now, subWindow: a.subWindow, first: subWindowOf(now, a.subWindow),
		wanted: uint8(a.measurement.config.Precision), //nolint:gosec // validated
	}
	c.budget.left.Add(-armCounterBytes) // whatever is left
	c.taken = armCounterBytes
	c.running.Store(c.first)
	c.epoch.Store(1)
	c.seen.Store(sketch.NewTable(armWindow, 1))
	return c
}

func (c *armCounter) experiment() string { return c.route.Experiment }

// subWindowOf numbers sub-windows by the clock, so that the edges are the same at
// the ends of both arms.
func subWindowOf(now time.Time, subWindow time.Duration) int64 {
	return now.UnixNano() / int64(subWindow)
}

// armPoint is a point of an experiment.
type armPoint struct {
	stream uint64 // the hash of its series
	unit   uint64
	size   int
	inUnit bool
}

// armSource tells the series of the backend that a point makes.
type armSource interface {
	// series returns their hashes. They are valid until the next call.
	series(point int) []uint64
}

// observe counts points in the running sub-window.
func (c *armCounter) observe(running int64, points []armPoint, source armSource) {
	if c.running.Load() < running {
		c.turn(running)
	}
	bytes := 0
	fresh := c.unit != routing.UnitNone
	seen, epoch := c.seen.Load(), sketch.Epoch(c.epoch.Load())
	for i := range points {
		bytes += points[i].size
		fresh = fresh || !seen.Seen(points[i].stream, epoch)
	}
	c.points.Add(uint64(len(points)))
	c.bytes.Add(uint64(bytes))
	if !fresh {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch = sketch.Epoch(c.epoch.Load())
	for i := range points {
		p := &points[i]
		unit := c.units.of(c, p)
		if !c.seen.Load().Seen(p.stream, epoch) {
			c.insert(i, p.stream, unit, source)
		}
	}
}

// weigh counts points that are the ends of series and no samples of them.
func (c *armCounter) weigh(running int64, p armPoint) {
	if c.running.Load() < running {
		c.turn(running)
	}
	c.points.Add(1)
	c.bytes.Add(uint64(p.size)) //nolint:gosec // a size
	if p.inUnit {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.units.of(c, &p)
	}
}

// target counts a series that is no point's and no unit's: that of target_info.
func (c *armCounter) target(running int64, stream uint64, source armSource) {
	if c.running.Load() < running {
		c.turn(running)
	}
	if c.seen.Load().Seen(stream, sketch.Epoch(c.epoch.Load())) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(0, stream, nil, source)
}

// insert takes in a stream that was not seen in the running sub-window.
func (c *armCounter) insert(i int, stream uint64, unit *armUnit, source armSource) {
	table := c.seen.Load()
	if table.Full() && !c.full {
		c.full = !c.resize(table)
		table = c.seen.Load()
	}
	if c.full && !table.Contains(stream) {
		c.addSeries(i, stream, source) // each time that it comes: slow, and right
		return
	}
	outcome := table.Touch(stream)
	if outcome == sketch.Current {
		return
	}
	series := 1
	if !c.streams {
		series = c.addSeries(i, stream, source)
	}
	unit.saw(series, outcome == sketch.New)
}

// addSeries adds the series of a point to the set of the running sub-window.
func (c *armCounter) addSeries(i int, stream uint64, source armSource) int {
	if c.streams {
		c.present.add(c, stream)
		return 1
	}
	list := source.series(i)
	for _, hash := range list {
		c.present.add(c, hash)
	}
	return len(list)
}

// resize gives the table the size that it wants, if there is memory.
func (c *armCounter) resize(table *sketch.Table) bool {
	slots := table.Fit()
	if !c.take(sketch.TableBytes(slots) - sketch.TableBytes(table.Len())) {
		return false
	}
	c.seen.Store(table.Resize(slots))
	return true
}

// take takes memory, or gives it back if bytes is negative.
func (c *armCounter) take(bytes int) bool {
	if c.retired {
		return true
	}
	if bytes > 0 && !c.budget.take(bytes) {
		return false
	}
	if bytes < 0 {
		c.budget.give(-bytes)
	}
	c.taken += bytes
	return true
}

// retire gives the memory back. Batches on their way may still count.
func (c *armCounter) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget.give(c.taken)
	c.retired, c.taken = true, 0
}

// turn goes on to another sub-window. A clock that is set back stays where it
// was.
func (c *armCounter) turn(running int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	steps := running - c.running.Load()
	if steps <= 0 {
		return
	}
	steps = min(steps, armWindow)
	epoch := sketch.Epoch(c.epoch.Load()) + sketch.Epoch(steps)
	table := c.seen.Load()
	table.Advance(epoch)
	if table.Sparse() || table.Stale() {
		c.resize(table)
	}
	for range steps {
		c.last.drop(c)
		c.last, c.present = c.present, seriesSet{}
		c.units.turn()
	}
	c.full = false // try again
	c.epoch.Store(uint32(epoch))
	c.running.Store(running)
}

// report says what was counted.
func (c *armCounter) report(now time.Time) report.ArmReport {
	if running := subWindowOf(now, c.subWindow); c.running.Load() < running {
		c.turn(running)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := report.ArmReport{
		Experiment: c.experiment(), Since: c.since, At: now, Points: c.points.Load(), Bytes: c.bytes.Load(),
		UnitsLeftOut: c.units.leftOut,
	}
	if c.running.Load() < c.first+settled {
		return r
	}
	streams := c.seen.Load().Count(armWindow)
	r.MemoryBytes = uint64(armCounterBytes + streamBytes*streams + unitBytes*len(c.units.list)) //nolint:gosec // a size
	r.Units = c.units.report()
	r.Series, r.RelativeError = sketch.CountEither(&c.present.Distinct, &c.last.Distinct, c.precision)
	if c.streams {
		r.Series += uint64(streams) //nolint:gosec // a count
	}
	return r
}

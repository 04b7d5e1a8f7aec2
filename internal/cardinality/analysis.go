package cardinality

import (
	"math"
	"sync"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// Analysis is what is known of one metric in a span of sub-windows.
type Analysis struct {
	// Series counts backend series, Streams OTLP streams.
	Series, Streams uint64
	// Estimated is set if Series, Without and the distinct values beyond 4,096
	// come from sketches, or if points of one metric had more sets of bounds than
	// are told apart. RelativeError is one standard error of Series from sketches.
	Estimated     bool
	RelativeError float64
	// Attributes has an entry for each key that a live series has.
	Attributes []AttributeCount
	// Groups are the correlated attributes whose joint saving is known.
	Groups []GroupCount
}

// AttributeCount is the cost of one attribute.
type AttributeCount struct {
	Domain series.Domain
	Key    string
	// Label is the label's name in the backend, empty if it is none.
	Label string
	// Distinct counts values, Without the series left without the attribute.
	Distinct, Without uint64
	// Rest marks the entry for all attributes beyond the bound.
	Rest bool
}

// GroupCount is the joint cost of correlated attributes.
type GroupCount struct {
	// Members are indexes into Analysis.Attributes.
	Members []int
	// Without is the number of series left without all members.
	Without uint64
	// Since is the epoch in which the count began.
	Since sketch.Epoch
}

// Saving is the number of series that go if the attribute goes.
func (a *Analysis) Saving(without uint64) uint64 { return a.Series - min(without, a.Series) }

// cached keeps the last analysis of a metric.
type cached struct {
	version uint64
	epochs  int
	result  *Analysis
}

// analyse counts the latest epochs. The heavy part runs without the lock.
func (m *Metric) analyse(epochs int) *Analysis {
	m.mu.Lock()
	if c := m.analysis; c.result != nil && c.version == m.version && c.epochs == epochs {
		m.mu.Unlock()
		return c.result
	}
	version := m.version
	oldest := m.oldest()
	if e := sketch.Epoch(epochs); m.epoch >= e && m.epoch-e+1 > oldest { //nolint:gosec // below the window
		oldest = m.epoch - e + 1
	}
	// rows and large together mean that rows are not yet complete.
	var compute func() *Analysis
	if m.large == nil {
		compute = m.snapshotRows(oldest)
	} else {
		compute = m.snapshotLarge(oldest, epochs)
	}
	m.mu.Unlock()

	result := compute()
	m.mu.Lock()
	m.analysis = cached{version: version, epochs: epochs, result: result}
	m.mu.Unlock()
	return result
}

var exactPool = sync.Pool{New: func() any { return new(exactCounts) }}

// snapshotRows copies the rows and returns the exact analysis of the copy.
func (m *Metric) snapshotRows(oldest sketch.Epoch) func() *Analysis {
	copied := m.rows.copySince(oldest)
	sh := m.shapes.clone()
	attrs := append([]attribute(nil), m.attrs.list...)
	hasher := m.tracker.settings.Hasher
	return func() *Analysis {
		e := exactPool.Get().(*exactCounts) //nolint:forcetypeassert // the pool holds nothing else
		defer exactPool.Put(e)
		e.rows, e.shapes, e.attrs = copied, sh, attrs
		a := e.analyse(oldest, hasher)
		e.rows, e.shapes, e.attrs = nil, shapes{}, nil
		return a
	}
}

func (e *exactCounts) analyse(oldest sketch.Epoch, hasher *series.Hasher) *Analysis {
	a := &Analysis{Series: e.series(), Streams: uint64(len(e.rows.list)), Estimated: e.shapes.folded}
	distinct, without := make([]uint64, len(e.attrs)), make([]uint64, len(e.attrs))
	for i := range e.attrs {
		distinct[i], without[i] = e.distinct(i), a.Series
		if e.attrs[i].isLabel() {
			without[i] = e.series(i)
		}
	}
	position := a.fill(e.attrs, distinct, without)
	cands := candidates(a.Series, e.attrs, distinct, without)
	found := findGroups(cands, func(i, j int) uint64 {
		return e.pairs(cands[i].attribute, cands[j].attribute, hasher.Combine)
	}, exactTolerance)
	for _, g := range found {
		a.addGroup(g.members, position, e.series(g.members...), oldest)
	}
	return a
}

// exactTolerance allows for the few series of a pod that is being replaced.
const exactTolerance = 0.02

// fill makes the entries of the attributes that occur and returns their
// positions.
func (a *Analysis) fill(attrs []attribute, distinct, without []uint64) []int {
	position := make([]int, len(attrs))
	for i, at := range attrs {
		position[i] = -1
		if distinct[i] == 0 {
			continue
		}
		position[i] = len(a.Attributes)
		a.Attributes = append(a.Attributes, AttributeCount{
			Domain: at.domain, Key: at.key, Label: at.label.Name, Rest: at.rest,
			Distinct: distinct[i], Without: min(without[i], a.Series),
		})
	}
	return position
}

// addGroup adds a group if it saves what its members alone do not.
func (a *Analysis) addGroup(members, position []int, without uint64, since sketch.Epoch) {
	alone := uint64(0)
	at := make([]int, 0, len(members))
	for _, m := range members {
		if position[m] < 0 {
			return
		}
		at = append(at, position[m])
		alone = max(alone, a.Saving(a.Attributes[position[m]].Without))
	}
	if float64(a.Saving(without))-float64(alone) < candidateShare*float64(a.Series) {
		return
	}
	a.Groups = append(a.Groups, GroupCount{Members: at, Without: min(without, a.Series), Since: since})
}

// round makes a count of an estimate.
func round(x float64) uint64 { return uint64(math.Round(x)) }

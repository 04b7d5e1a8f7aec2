package tagconsolidationprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/stream"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// feeder takes the points that rules match out of batches and feeds them to the
// engine. It serves one call of process at a time and remembers between calls
// what rules say about the names and keys that come by.
type feeder struct {
	engine    *consolidation.Engine
	table     *stream.Table
	hasher    *series.Hasher
	exemplars *exemplars
	kinds     *metricKinds
	interval  uint64

	set       *ruleset
	decisions map[metricName]*decision
	lanes     []*lane // by index in set.rules; nil until one matches
	made      []*lane // those that are not nil
	used      []*lane // in this batch
	batches   uint64  // serial number, by which lanes know whether they are among used

	tenants map[string]uint32 // by what resources say to the attributes by which rules are found
	tenant  uint32            // of the current resource
	tenancy tenancy
	naming  []byte

	now   uint64
	tally tally

	// The block that is being read: what is above the points of one metric.
	resource    pcommon.Map
	resourceURL string
	scope       pcommon.InstrumentationScope
	scopeURL    string
	scopeSelf   series.Pair // name and version
	resources   uint64      // serial numbers, by which lanes know their sums
	scopes      uint64
	metric      pmetric.Metric
	identity    series.Pair
	kind        consolidation.Kind
	points      walk.Points
	whole       *lane   // takes all points of the metric
	candidates  []*lane // or these, by looking at each
	observers   []*lane // in preview

	// The point that is being read.
	point      consolidation.Point
	lane       *lane
	attributes pcommon.Map
	buffers    buffers
	fate       fate
	endsAt     uint64 // when a point that ends its series does, if that is later than its time
}

// metricName is by what rules are chosen before attributes are looked at.
type metricName struct {
	name   string
	kind   pmetric.MetricType
	tenant uint32
}

// maxDecisions bounds the metrics whose rules are remembered; past it all are
// looked up again.
const maxDecisions = 1 << 16

// maxLanes bounds the lanes of a feeder, of some 30 KB each. Past it they are
// made anew.
const maxLanes = 1024

// maxTenants bounds the resources whose rules are remembered, likewise.
const maxTenants = 1 << 14

// use makes the feeder work by a set of rules.
func (f *feeder) use(set *ruleset) {
	if len(f.made) > maxLanes {
		clear(f.lanes)
		f.made = nil
	}
	if f.set == set {
		return
	}
	known := f.made
	f.tenancy = f.tenancy[:0]
	f.set, f.lanes, f.made = set, make([]*lane, len(set.rules)), make([]*lane, 0, len(known))
	for _, l := range known {
		if i, stays := set.places[l.rule]; stays {
			f.lanes[i] = l
			f.made = append(f.made, l)
		}
	}
	f.forgetNames()
}

// forgetNames forgets which rules metrics go by.
func (f *feeder) forgetNames() {
	f.decisions, f.tenants, f.tenant = map[metricName]*decision{}, map[string]uint32{}, 0
}

// enterResource finds the rules that ask for what a resource says.
func (f *feeder) enterResource() {
	f.tenant = 0
	if len(f.set.attributes) == 0 {
		return
	}
	f.tenancy, f.naming = f.set.tenancy(f.tenancy[:0], f.resource), f.naming[:0]
	known := false
	for _, value := range f.tenancy {
		known = known || value != ""
		f.naming = append(append(f.naming, value...), 0)
	}
	if !known {
		clear(f.tenancy)
		return
	}
	tenant, there := f.tenants[string(f.naming)]
	if !there {
		if len(f.tenants) >= maxTenants {
			f.forgetNames()
		}
		tenant = uint32(len(f.tenants) + 1) //nolint:gosec // at most maxTenants
		f.tenants[string(f.naming)] = tenant
	}
	f.tenant = tenant
}

// feed takes what rules match out of a batch and leaves the rest as it is.
func (f *feeder) feed(md pmetric.Metrics, now uint64) {
	f.now = now
	f.batches++
	f.used = f.used[:0]
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		f.resource, f.resourceURL = rm.Resource().Attributes(), rm.SchemaUrl()
		f.resources++
		f.enterResource()
		before := rm.ScopeMetrics().Len()
		rm.ScopeMetrics().RemoveIf(f.feedScope)
		return before > 0 && rm.ScopeMetrics().Len() == 0
	})
}

func (f *feeder) feedScope(sm pmetric.ScopeMetrics) bool {
	f.scope, f.scopeURL = sm.Scope(), sm.SchemaUrl()
	f.scopes++
	f.scopeSelf = series.Pair{}
	if name, version := f.scope.Name(), f.scope.Version(); name != "" || version != "" {
		f.scopeSelf = f.hasher.Pair(f.hasher.Identity(series.Identity{Name: name, Unit: version, Kind: scopeKind}))
	}
	before := sm.Metrics().Len()
	sm.Metrics().RemoveIf(f.feedMetric)
	return before > 0 && sm.Metrics().Len() == 0
}

// scopeKind keeps the name and version of a scope apart from those of metrics
// and from attributes.
const scopeKind = 0xff

// feedMetric returns whether nothing is left of the metric.
func (f *feeder) feedMetric(m pmetric.Metric) bool {
	if !f.enterMetric(m) {
		return false
	}
	f.take(m)
	f.settle()
	points, _ := walk.Of(m)
	return points.Len() == 0
}

// enterMetric finds what rules apply to a metric, and says whether they may
// take any of its points.
func (f *feeder) enterMetric(m pmetric.Metric) bool {
	points, ok := walk.Of(m)
	if !ok {
		return false
	}
	n := points.Len()
	f.tally.in += n
	d := f.decide(m)
	if d.untouchable || len(d.enforce)+len(d.preview) == 0 {
		reason := noRule
		if d.untouchable {
			reason = neverTouched
		}
		f.tally.passed[reason] += n
		return false
	}
	kind, ok := kindOf(&points)
	if !ok {
		f.tally.passed[unspecifiedTemporality] += n
		return false
	}
	f.metric, f.kind, f.points = m, kind, points
	f.identity = f.hasher.Pair(f.hasher.Identity(series.Identity{Name: m.Name(), Unit: m.Unit(), Kind: uint8(kind)}))
	f.preview(d.preview)
	f.whole, f.candidates = f.choose(d.enforce, f.candidates[:0])
	if f.whole == nil && len(f.candidates) == 0 {
		f.tally.passed[noRule] += n
		return false
	}
	if f.whole != nil {
		if reason, pass := f.whole.rule.passes(kind); pass {
			f.whole.passed[reason] += n
			return false
		}
	}
	return n > 0
}

// decide returns the rules that may match a metric.
func (f *feeder) decide(m pmetric.Metric) *decision {
	key := metricName{m.Name(), m.Type(), f.tenant}
	if d := f.decisions[key]; d != nil {
		return d
	}
	if len(f.decisions) >= maxDecisions {
		clear(f.decisions)
	}
	key.name = strings.Clone(key.name)
	d := f.set.decide(key.name, key.kind, f.tenancy)
	f.decisions[key] = d
	return d
}

// choose enters the lanes of the rules that match the resource. Whole is the
// one that takes every point; otherwise each point chooses among the list.
func (f *feeder) choose(rules []int, list []*lane) (whole *lane, _ []*lane) {
	for _, i := range rules {
		l := f.lanes[i]
		if l == nil {
			l = newLane(f.set.rules[i], f.hasher)
			f.lanes[i] = l
			f.made = append(f.made, l)
		}
		if !l.enter(f) {
			continue
		}
		if l.batch != f.batches {
			l.batch = f.batches
			f.used = append(f.used, l)
		}
		if !l.rule.needsPoint() && len(list) == 0 {
			return l, list
		}
		if list = append(list, l); !l.rule.needsPoint() {
			break
		}
	}
	return nil, list
}

// laneOf returns the lane that takes the current point; nil: it passes.
func (f *feeder) laneOf(attributes pcommon.Map) *lane {
	if f.whole != nil {
		return f.whole
	}
	for _, l := range f.candidates {
		if !l.takes(f, attributes) {
			continue
		}
		if reason, pass := l.rule.passes(f.kind); pass {
			l.passed[reason]++
			return nil
		}
		return l
	}
	f.tally.passed[noRule]++
	return nil
}

// settle ends a metric.
func (f *feeder) settle() {
	if f.whole != nil {
		f.whole.settle(f)
	}
	for _, l := range f.candidates {
		l.settle(f)
	}
}

// preview lets the rules in preview see the points.
func (f *feeder) preview(rules []int) {
	if len(rules) == 0 {
		return
	}
	var whole *lane
	if whole, f.observers = f.choose(rules, f.observers[:0]); whole != nil {
		f.observers = append(f.observers, whole)
	}
	shaped := f.points.Type() == pmetric.MetricTypeHistogram || f.points.Type() == pmetric.MetricTypeSummary
	for i := range f.points.Len() {
		attributes := f.points.Attributes(i)
		for _, l := range f.observers {
			if !l.takes(f, attributes) {
				continue
			}
			l.observed++
			if _, pass := l.rule.passes(f.kind); !pass {
				in, out := l.identify(f, attributes)
				series, after := 1, 1
				if shaped {
					series, after = l.rule.shapeOf(&f.points, i)
				}
				l.measures(f).add(in.A, out.A, series, after)
				if l.candidate.ranked { // by points: what they add to an output is not known
					l.slow.add(l.candidate.value, 1)
				}
			}
			break
		}
	}
	for _, l := range f.observers {
		l.weigh()
		l.measured = nil
	}
}

// release lets go of the batch.
func (f *feeder) release() {
	f.resource, f.attributes, f.metric = pcommon.Map{}, pcommon.Map{}, pmetric.Metric{}
	f.scope = pcommon.InstrumentationScope{}
	f.resourceURL, f.scopeURL = "", ""
	f.point, f.points = consolidation.Point{}, walk.Points{}
	f.whole, f.lane = nil, nil
	clear(f.candidates)
	clear(f.observers)
	clear(f.tenancy)
}

// kindOf returns the kind of a metric's streams; false for a temporality that is
// not specified.
func kindOf(p *walk.Points) (consolidation.Kind, bool) {
	delta := p.Temporality() == pmetric.AggregationTemporalityDelta
	either := func(d, c consolidation.Kind) (consolidation.Kind, bool) {
		if delta {
			return d, true
		}
		return c, p.Temporality() == pmetric.AggregationTemporalityCumulative
	}
	switch p.Type() {
	case pmetric.MetricTypeGauge:
		return consolidation.Gauge, true
	case pmetric.MetricTypeSum:
		if p.Monotonic() {
			return either(consolidation.DeltaSum, consolidation.CumulativeSum)
		}
		return either(consolidation.DeltaUpDown, consolidation.CumulativeUpDown)
	case pmetric.MetricTypeHistogram:
		return either(consolidation.DeltaHistogram, consolidation.CumulativeHistogram)
	case pmetric.MetricTypeExponentialHistogram:
		return either(consolidation.DeltaExponential, consolidation.CumulativeExponential)
	default:
		return consolidation.Summary, true
	}
}

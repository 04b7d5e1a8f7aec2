package adaptivesamplerprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/sampling/seriesratio"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// metricsFeeder takes out of batches what rules leave out. It serves one batch at
// a time and remembers between them what rules say about the names that come by.
type metricsFeeder struct {
	owner  *metrics
	band   *deadband.Band
	hasher *series.Hasher // of state
	public *series.Hasher // of samples: the same in every collector

	set     *metricRules
	lists   map[metricName]*lists
	tenants map[string]uint32
	tenancy []string
	tenant  uint32
	naming  []byte
	holds   []verdict // of resource conditions, by rule
	ratios  []rated   // by rule

	batch *metricsBatch
	now   uint64

	// The block that is being read: what is above the points of one metric.
	resource         pcommon.Map
	scope            pcommon.InstrumentationScope
	resources        uint64 // serial number, by which holds knows its resource
	ofResource       series.Pair
	ofScope          series.Pair
	publicOfResource series.Pair
	publicOfScope    series.Pair
	publicFor        uint64 // serial number of the scope that they are of
	scopes           uint64
	metric           metricBlock

	decision   decision
	sampling   seriesChoice
	attributes lastAttributes
	point      deadband.Point
	before     deadband.Before // of dead bands in preview
	buffers    pointBuffers
	inserts    inserts
	// What RemoveIf wants; a method value made for each call would be garbage.
	number      func(pmetric.NumberDataPoint) bool
	histogram   func(pmetric.HistogramDataPoint) bool
	exponential func(pmetric.ExponentialHistogramDataPoint) bool
	summary     func(pmetric.SummaryDataPoint) bool
}

// metricName is by what rules are looked up.
type metricName struct {
	name   string
	kind   pmetric.MetricType
	tenant uint32
}

// What a feeder remembers: beyond it all is looked up again.
const (
	maxMetricNames = 1 << 16
	maxTenants     = 1 << 14
)

// verdict is whether a rule's conditions hold for a resource.
type verdict struct {
	resource uint64
	holds    bool
}

// rated is the ratio of a series rule at the level at which it was asked last.
type rated struct {
	level float64
	ratio seriesratio.Ratio
	known bool
}

// metricBlock is one metric and the rules for it.
type metricBlock struct {
	name        string
	kind        deadband.Kind
	fixed       fate // of all points for which there is a dead band; 0: it decides
	deltaSum    bool
	total       totalKind
	identity    series.Pair // of all above the points
	public      series.Pair // likewise, of samples
	samples     chosen
	bands       chosen
	trialSample chosen
	trialBands  chosen
	sampling    bool          // there is a rule in one of both
	budget      *metricBudget // nil: none
	trialBudget *metricBudget
	level       float64
	tuned       *metricRule // of the dead band in rule
	rule        deadband.Rule

	points            int
	inBytes, outBytes int
	out               int
}

// chosen is which rules of a kind apply to the points of a metric: one to all of
// them, or the first of several whose conditions hold.
type chosen struct {
	whole *metricRule
	list  []*metricRule
}

func (c *chosen) of(attributes pcommon.Map) *metricRule {
	if c.whole != nil || len(c.list) == 0 {
		return c.whole
	}
	for _, r := range c.list {
		if allHold(r.point, attributes) {
			return r
		}
	}
	return nil
}

func (c *chosen) any() bool { return c.whole != nil || len(c.list) > 0 }

func newMetricsFeeder(m *metrics) *metricsFeeder {
	f := &metricsFeeder{owner: m, band: m.band, hasher: m.hasher, public: m.public}
	f.number, f.histogram, f.exponential, f.summary = f.takeNumber, f.takeHistogram, f.takeExponential, f.takeSummary
	return f
}

// use makes the feeder work by a set of rules.
func (f *metricsFeeder) use(set *metricRules) {
	if f.set == set {
		return
	}
	f.set = set
	f.holds, f.ratios = make([]verdict, len(set.rules)), make([]rated, len(set.rules))
	f.forget()
}

func (f *metricsFeeder) forget() {
	f.lists, f.tenants, f.tenant = map[metricName]*lists{}, map[string]uint32{}, 0
}

// feed takes out of a batch what is left out.
func (f *metricsFeeder) feed(md pmetric.Metrics, batch *metricsBatch, now uint64) {
	f.batch, f.now = batch, now
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		before := rm.ScopeMetrics().Len()
		f.enterResource(rm.Resource().Attributes())
		// Two batches of one resource take turns: their points would be taken for
		// late if they were mixed.
		lane := f.owner.lane(f.ofResource.A)
		lane.Lock()
		defer lane.Unlock()
		rm.ScopeMetrics().RemoveIf(f.feedScope)
		return before > 0 && rm.ScopeMetrics().Len() == 0
	})
	f.release()
}

func (f *metricsFeeder) enterResource(attributes pcommon.Map) {
	f.resource = attributes
	f.resources++
	f.ofResource = f.hasher.PairMap(series.Resource, attributes)
	f.tenant = 0
	if len(f.set.attributes) == 0 {
		return
	}
	f.tenancy, f.naming = f.set.tenancy(f.tenancy[:0], attributes), f.naming[:0]
	known := false
	for _, value := range f.tenancy {
		known = known || value != ""
		f.naming = append(append(f.naming, value...), 0)
	}
	if !known {
		return
	}
	tenant, there := f.tenants[string(f.naming)]
	if !there {
		if len(f.tenants) >= maxTenants {
			f.forget()
		}
		tenant = uint32(len(f.tenants) + 1) //nolint:gosec // at most maxTenants
		f.tenants[string(f.naming)] = tenant
	}
	f.tenant = tenant
}

// scopeKind keeps the name and version of a scope apart from those of metrics.
const scopeKind = 0xff

func ofScope(h *series.Hasher, scope pcommon.InstrumentationScope) series.Pair {
	p := h.PairMap(series.Scope, scope.Attributes())
	if name, version := scope.Name(), scope.Version(); name != "" || version != "" {
		p = p.Add(h.Pair(h.Identity(series.Identity{Name: name, Unit: version, Kind: scopeKind})))
	}
	return p
}

func (f *metricsFeeder) feedScope(sm pmetric.ScopeMetrics) bool {
	f.scope = sm.Scope()
	f.scopes++
	f.ofScope = ofScope(f.hasher, f.scope)
	before := sm.Metrics().Len()
	sm.Metrics().RemoveIf(f.feedMetric)
	return before > 0 && sm.Metrics().Len() == 0
}

// feedMetric returns whether all of the metric was left out.
func (f *metricsFeeder) feedMetric(m pmetric.Metric) bool {
	points, ok := walk.Of(m)
	if !ok {
		return false
	}
	n := points.Len()
	if f.batch.in += n; n == 0 {
		return false
	}
	if !f.enterMetric(m, &points) {
		f.batch.fates[fatePassed] += n
		f.batch.out += n
		return false
	}
	b := &f.metric
	f.take(m)
	f.leaveMetric()
	return b.out == 0
}

// enterMetric finds what rules apply to a metric, and says whether any does.
func (f *metricsFeeder) enterMetric(m pmetric.Metric, points *walk.Points) bool {
	l := f.find(m)
	if l.empty() {
		return false
	}
	b := &f.metric
	f.choose(&b.samples, l[kindSample][0])
	f.choose(&b.bands, l[kindBand][0])
	f.choose(&b.trialSample, l[kindSample][1])
	f.choose(&b.trialBands, l[kindBand][1])
	b.budget, b.trialBudget = f.budget(l[kindBudget][0]), f.budget(l[kindBudget][1])
	if !b.samples.any() && !b.bands.any() && !b.trialSample.any() && !b.trialBands.any() && b.budget == nil && b.trialBudget == nil {
		return false
	}
	b.name, b.points, b.inBytes, b.out, b.outBytes, b.tuned, b.level = m.Name(), points.Len(), 0, 0, 0, nil, 1
	if b.budget != nil {
		b.level = b.budget.current()
	}
	b.kind, b.fixed = bandKind(points)
	b.deltaSum = points.Type() == pmetric.MetricTypeSum && points.Temporality() == pmetric.AggregationTemporalityDelta
	b.total = totalOf(points)
	id := series.Identity{Name: b.name, Unit: m.Unit(), Kind: uint8(points.Type())<<4 | uint8(b.kind)} //nolint:gosec // both are small
	if b.bands.any() || b.trialBands.any() {
		b.identity = f.ofResource.Add(f.ofScope).Add(f.hasher.Pair(f.hasher.Identity(id)))
	}
	if b.sampling = b.samples.any() || b.trialSample.any(); b.sampling {
		f.enterPublic(id)
	}
	return true
}

// enterPublic makes the identity by which series are sampled.
func (f *metricsFeeder) enterPublic(id series.Identity) {
	if f.publicFor != f.scopes {
		f.publicFor = f.scopes
		f.publicOfResource = f.public.PairMap(series.Resource, f.resource)
		f.publicOfScope = ofScope(f.public, f.scope)
	}
	f.metric.public = f.publicOfResource.Add(f.publicOfScope).Add(f.public.Pair(f.public.Identity(id)))
}

// find returns the rules that may match a metric.
func (f *metricsFeeder) find(m pmetric.Metric) *lists {
	key := metricName{m.Name(), m.Type(), f.tenant}
	if l := f.lists[key]; l != nil {
		return l
	}
	if len(f.lists) >= maxMetricNames {
		clear(f.lists)
	}
	key.name = strings.Clone(key.name)
	var tenancy []string
	if f.tenant != 0 {
		tenancy = f.tenancy
	}
	l := f.set.find(key.name, key.kind, tenancy)
	f.lists[key] = l
	return l
}

// choose keeps the rules whose conditions on the resource hold.
func (f *metricsFeeder) choose(c *chosen, rules []int) {
	c.whole, c.list = nil, c.list[:0]
	for _, i := range rules {
		if !f.holdsFor(i) {
			continue
		}
		r := f.set.rules[i]
		switch {
		case len(r.point) > 0:
			c.list = append(c.list, r)
			continue
		case len(c.list) == 0:
			c.whole = r
		default:
			c.list = append(c.list, r)
		}
		return
	}
}

func (f *metricsFeeder) budget(rules []int) *metricBudget {
	for _, i := range rules {
		if f.holdsFor(i) {
			return f.set.rules[i].budget
		}
	}
	return nil
}

// holdsFor says whether a rule's conditions on the resource hold; they are looked
// at once a resource.
func (f *metricsFeeder) holdsFor(rule int) bool {
	r := f.set.rules[rule]
	if len(r.resource) == 0 {
		return true
	}
	v := &f.holds[rule]
	if v.resource != f.resources {
		*v = verdict{f.resources, allHold(r.resource, f.resource)}
	}
	return v.holds
}

// leaveMetric counts for the budget.
func (f *metricsFeeder) leaveMetric() {
	b := &f.metric
	f.batch.out += b.out
	for _, budget := range [...]*metricBudget{b.budget, b.trialBudget} {
		switch {
		case budget == nil:
		case budget.bytes:
			f.batch.spend(budget, b.inBytes, b.outBytes)
		default:
			f.batch.spend(budget, b.points, b.out)
		}
	}
}

// release lets go of the batch.
func (f *metricsFeeder) release() {
	f.resource, f.scope, f.batch = pcommon.Map{}, pcommon.InstrumentationScope{}, nil
	f.metric.name = ""
	f.attributes.forget()
	clear(f.tenancy)
}

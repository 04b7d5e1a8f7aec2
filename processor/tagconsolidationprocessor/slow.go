package tagconsolidationprocessor

import (
	"maps"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/relabel"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// slowLane is for rules that change values, keep the heaviest, or fold past a
// limit: what stays depends on values, and on decisions that change with time.
type slowLane struct {
	rule                   *rule
	resource, scope, point *relabel.Rewriter

	governor *relabel.Governor // of the metric; nil if the rule needs none
	view     *relabel.View
	limited  bool

	// What is above the points, under the view.
	above    series.Pair // the output's identity without folds
	upper    candidate
	weights  map[string]float64
	identity series.Pair
}

func newSlowLane(r *rule, h *series.Hasher) *slowLane {
	return &slowLane{
		rule:     r,
		resource: r.plan.Rewriter(series.Resource, h), scope: r.plan.Rewriter(series.Scope, h), point: r.plan.Rewriter(series.Point, h),
		limited: r.governors != nil && r.governors.settings.Folder != nil,
		weights: map[string]float64{},
	}
}

// enter turns to a metric and returns the identities above its points.
func (s *slowLane) enter(f *feeder) (in, out series.Pair) {
	s.governor, s.view = nil, nil
	if s.rule.governors != nil {
		s.governor = s.rule.governors.of(f.metric.Name())
		s.view = s.governor.View()
	}
	s.identity = f.identity
	return s.sum(f)
}

// sum adds up what is above the points, under the present view.
func (s *slowLane) sum(f *feeder) (in, out series.Pair) {
	resource := s.resource.Identity(f.resource, s.view)
	s.upper = candidate{ranked: resource.IsRanked, value: resource.Candidate}
	scope := s.scope.Identity(f.scope.Attributes(), s.view)
	if scope.IsRanked {
		s.upper = candidate{ranked: true, value: scope.Candidate}
	}
	in = f.identity.Add(resource.All).Add(scope.All).Add(f.scopeSelf)
	out = f.identity.Add(resource.Stays).Add(scope.Stays)
	s.above = f.identity.Add(resource.Unfolded).Add(scope.Unfolded)
	if !s.rule.plan.DropsScope() {
		out, s.above = out.Add(f.scopeSelf), s.above.Add(f.scopeSelf)
	}
	return in, out
}

func (s *slowLane) identify(f *feeder, l *lane, attributes pcommon.Map) (in, out series.Pair) {
	part := s.point.Identity(attributes, s.view)
	if s.limited && s.governor.See(s.above.Add(part.Unfolded).A, f.now, func(dst []relabel.Label) (uint64, []relabel.Label) {
		return s.describe(f, attributes, dst)
	}) {
		s.view = s.governor.View()
		l.in, l.out = s.sum(f)
		part = s.point.Identity(attributes, s.view)
	}
	l.candidate = s.upper
	if part.IsRanked {
		l.candidate = candidate{ranked: true, value: part.Candidate}
	}
	return l.in.Add(part.All), l.out.Add(part.Stays)
}

// describe returns the labels of an output without folds, and the rest of its
// identity.
func (s *slowLane) describe(f *feeder, attributes pcommon.Map, dst []relabel.Label) (base uint64, labels []relabel.Label) {
	dst = s.resource.Labels(dst, f.resource, s.view)
	dst = s.scope.Labels(dst, f.scope.Attributes(), s.view)
	dst = s.point.Labels(dst, attributes, s.view)
	base = s.identity.A
	if !s.rule.plan.DropsScope() {
		base += f.scopeSelf.A
	}
	return base, dst
}

// add lets a value weigh. The text is borrowed.
func (s *slowLane) add(value string, weight float64) {
	if _, known := s.weights[value]; known {
		s.weights[value] += weight
		return
	}
	s.weights[strings.Clone(value)] = weight
}

func (s *slowLane) weigh() {
	if s.governor != nil && len(s.weights) > 0 {
		s.governor.Weigh(s.weights)
		clear(s.weights)
	}
}

// governors are those of one rule, by metric.
type governors struct {
	settings relabel.GovernorSettings

	mu       sync.Mutex
	byMetric map[string]*relabel.Governor
}

// maxGoverned bounds the metrics that have decisions of their own; those past
// it share one.
const maxGoverned = 10_000

// of returns the governor of a metric.
func (g *governors) of(metric string) *relabel.Governor {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.byMetric[metric]; known != nil {
		return known
	}
	if len(g.byMetric) >= maxGoverned {
		if metric = ""; g.byMetric[metric] != nil {
			return g.byMetric[metric]
		}
	}
	if g.byMetric == nil {
		g.byMetric = map[string]*relabel.Governor{}
	}
	made, err := relabel.NewGovernor(g.settings)
	if err != nil {
		panic(err) // compileRule made one of these settings
	}
	g.byMetric[strings.Clone(metric)] = made
	return made
}

// all returns the governors by metric.
func (g *governors) all() map[string]*relabel.Governor {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.byMetric)
}

// advance ends an interval.
func (g *governors) advance(now uint64) {
	for _, one := range g.all() {
		one.Advance(now)
	}
}

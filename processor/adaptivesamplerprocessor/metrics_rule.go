package adaptivesamplerprocessor

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/match"
	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/sampling/seriesratio"
)

// ruleKind is what a rule for metrics does. Of each kind one rule applies to a
// point.
type ruleKind uint8

const (
	kindBand ruleKind = iota
	kindSample
	kindBudget

	ruleKinds
)

// metricRule is a sampling rule, compiled. It is immutable but for its counters
// and what it points to.
type metricRule struct {
	name    string
	kind    ruleKind
	static  bool
	preview bool
	since   time.Time
	index   int // in the set

	metric   match.Pattern
	types    typeSet
	resource []attributeTest
	equal    []equality // those of resource that are equalities
	point    []attributeTest

	band   deadband.Rule // of a dead band
	sample *seriesRule   // of a series rule
	budget *metricBudget // of a budget

	counts *ruleCounts
}

// ruleCounts go on while the rule says the same.
type ruleCounts struct{ in, kept atomic.Uint64 }

// typeSet is a set of the types of OTLP metrics.
type typeSet uint8

const allTypes = ^typeSet(0)

func (s typeSet) has(t pmetric.MetricType) bool { return s&(1<<t) != 0 }

func typesOf(names []policy.MetricType) typeSet {
	if len(names) == 0 {
		return allTypes
	}
	var set typeSet
	for _, name := range names {
		switch name {
		case policy.TypeGauge:
			set |= 1 << pmetric.MetricTypeGauge
		case policy.TypeSum:
			set |= 1 << pmetric.MetricTypeSum
		case policy.TypeHistogram:
			set |= 1 << pmetric.MetricTypeHistogram
		case policy.TypeExponentialHistogram:
			set |= 1 << pmetric.MetricTypeExponentialHistogram
		case policy.TypeSummary:
			set |= 1 << pmetric.MetricTypeSummary
		}
	}
	return set
}

// equality is an attribute of the resource and the value that a rule demands.
type equality struct{ key, text string }

// compileMetricRule compiles a valid rule; nil if it is not one for metrics.
func compileMetricRule(r *ruleInForce) (*metricRule, error) {
	m := &metricRule{name: r.Name, static: r.static, preview: r.Mode == policy.ModePreview, since: r.since, types: allTypes}
	switch {
	case r.DeadBand != nil:
		m.kind, m.band = kindBand, bandRule(r.DeadBand)
		if err := m.band.Validate(); err != nil {
			return nil, fmt.Errorf("dead_band: %w", err)
		}
		err := m.match("dead_band.match", &r.DeadBand.Match)
		return m, err
	case r.Series != nil:
		m.kind = kindSample
		var err error
		if m.sample, err = newSeriesRule(r.Series); err != nil {
			return nil, fmt.Errorf("series: %w", err)
		}
		err = m.match("series.match", &r.Series.Match)
		return m, err
	case r.Budget != nil && r.Budget.Signal == policy.SignalMetrics:
		m.kind = kindBudget
		metric := r.Budget.Match.Metric
		if metric == "" {
			metric = "*"
		}
		m.budget = newMetricBudget(r)
		err := m.match("budget.match", &policy.Match{Metric: metric, Resource: r.Budget.Match.Resource})
		return m, err
	}
	return nil, nil //nolint:nilnil // it is a rule for another signal
}

func bandRule(b *policy.DeadBand) deadband.Rule {
	r := deadband.Rule{
		Absolute: b.Tolerance.Absolute, Relative: b.Tolerance.Relative,
		Range: uint64(max(0, b.Range)), Heartbeat: uint64(max(0, b.Heartbeat)),
		Corners: b.Corners == nil || *b.Corners, Spread: true,
	}
	if b.Predictor == policy.PredictorLinear {
		r.Predictor = deadband.Linear
	}
	return r
}

// largestShare bounds a relative tolerance that a budget makes larger.
const largestShare = 0.99

// at is the rule at a level of a budget: half the level is twice the tolerance.
func (m *metricRule) at(level float64) deadband.Rule {
	r := m.band
	if level != 1 {
		r.Absolute = min(r.Absolute/level, math.MaxFloat64)
		r.Relative = min(r.Relative/level, max(largestShare, r.Relative))
	}
	return r
}

func (m *metricRule) match(path string, p *policy.Match) error {
	var err, errs error
	if m.metric, err = match.Compile(p.Metric); err != nil {
		errs = errors.Join(errs, fmt.Errorf("%s.metric: %w", path, err))
	}
	m.types = typesOf(p.Types)
	if m.resource, err = compileTests(path+".resource", p.Resource); err != nil {
		errs = errors.Join(errs, err)
	}
	if m.point, err = compileTests(path+".point", p.Point); err != nil {
		errs = errors.Join(errs, err)
	}
	for i, c := range p.Resource {
		if err == nil && c.Present == nil && m.resource[i].pattern.IsLiteral() {
			m.equal = append(m.equal, equality{c.Attribute, c.Value})
		}
	}
	return errs
}

func compileTests(path string, list []policy.Condition) ([]attributeTest, error) {
	var tests []attributeTest
	var errs error
	for i, c := range list {
		test, err := newAttributeTest(c)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s[%d].%w", path, i, err))
		}
		tests = append(tests, test)
	}
	return tests, errs
}

// seriesRule keeps a share of series.
type seriesRule struct {
	share     float64
	seed      uint64
	multiply  bool
	attribute string
	base      seriesratio.Ratio // of share
	current   atomic.Uint64     // the bits of the share that was in force last
	totals    *seriesTotals
}

func newSeriesRule(s *policy.SeriesSample) (*seriesRule, error) {
	base, err := seriesratio.New(s.Ratio, s.Seed)
	if err != nil {
		return nil, err
	}
	r := &seriesRule{share: s.Ratio, seed: s.Seed, multiply: s.Weigh == policy.WeighMultiply, attribute: s.Attribute, base: base}
	r.current.Store(math.Float64bits(base.Share()))
	return r, nil
}

// at is the ratio at a level of a budget. An adjusted count that is an attribute
// must not change: each value of it would be another series.
func (s *seriesRule) at(level float64) seriesratio.Ratio {
	if level == 1 || !s.multiply {
		return s.base
	}
	r, err := seriesratio.New(min(1, max(s.share*level, seriesratio.MinRatio)), s.seed)
	if err != nil {
		return s.base
	}
	return r
}

// shareNow is the share at the level at which a point was decided about last.
func (s *seriesRule) shareNow() float64 { return math.Float64frombits(s.current.Load()) }

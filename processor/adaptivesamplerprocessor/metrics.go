package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/sampling/budget"
	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// metrics is the part that samples metrics. Data goes through consume, called by
// any number of goroutines.
type metrics struct {
	core     *core
	next     consumer.Metrics
	counters *metricCounters

	band   *deadband.Band
	hasher *series.Hasher // of the state: by the secret
	public *series.Hasher // of samples: the same in every collector
	lanes  [metricLanes]metricLane
	rules  atomic.Pointer[metricRules]

	feeders idle[*metricsFeeder]
	batches idle[*metricsBatch]

	in, kept atomic.Uint64

	mu         sync.Mutex // held by all but consume
	controller *budget.Controller
	budgets    map[string]*metricBudget // by group
	remembered map[string]budget.State  // of budgets that are not in force yet
	owners     map[string]uint16        // numbers of dead bands, by name and mode
	nextOwner  uint16
	problems   []string
	expired    time.Time // when series were looked for that are idle
	window     time.Time // when that of totals began
}

// metricLanes is how many resources can be worked on at a time, a power of two.
const metricLanes = 256

// metricLane is held while points of a resource are decided about.
type metricLane struct {
	sync.Mutex
	_ [56]byte // neighbours do not share a cache line
}

var (
	_ part      = (*metrics)(nil)
	_ deadBands = (*metrics)(nil)
)

func newMetrics(c *core, next consumer.Metrics) (*metrics, error) {
	m := &metrics{
		core: c, next: next, counters: newMetricCounters(c.tel),
		hasher: series.NewHasher(c.secret), public: series.NewHasher(series.Secret{}),
		budgets: map[string]*metricBudget{}, owners: map[string]uint16{}, expired: c.now(), window: c.now(),
	}
	var err error
	if m.band, err = m.newBand(); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if m.controller, err = budget.New(maxMetricBudgets); err != nil {
		return nil, err
	}
	limit := 2 * runtime.GOMAXPROCS(0)
	m.feeders.limit, m.feeders.make = limit, func() *metricsFeeder { return newMetricsFeeder(m) }
	m.batches.limit, m.batches.make = limit, func() *metricsBatch { return &metricsBatch{} }
	m.rules.Store(newMetricRules(nil))
	return m, nil
}

func (m *metrics) newBand() (*deadband.Band, error) {
	return deadband.New(deadband.Settings{
		MaxSeries: m.core.cfg.Metrics.MaxSeries, Idle: m.core.cfg.Metrics.Idle, Identity: fingerprint(m.core.secret),
	})
}

// lane is that of a resource.
func (m *metrics) lane(resource uint64) *metricLane { return &m.lanes[resource%metricLanes] }

// consume implements sampler.
func (m *metrics) consume(ctx context.Context, md pmetric.Metrics) error {
	set := m.rules.Load()
	if len(set.rules) == 0 {
		return m.pass(ctx, md)
	}
	b := m.batches.get()
	b.begin(set)
	f := m.feeders.get()
	f.use(set)
	f.feed(md, b, uint64(max(0, m.core.now().UnixNano())))
	m.feeders.put(f)
	b.count(ctx, m.counters)
	var err error
	if b.out > 0 || b.in == 0 {
		err = m.next.ConsumeMetrics(ctx, md)
	}
	if err != nil {
		m.band.Refused(&b.notes)
		m.counters.refused.add(ctx, b.out)
	} else {
		b.taken()
		m.in.Add(uint64(b.in))    //nolint:gosec // a count
		m.kept.Add(uint64(b.out)) //nolint:gosec // a count
	}
	b.reset()
	m.batches.put(b)
	return err
}

// pass hands on a batch of which no rule leaves out anything.
func (m *metrics) pass(ctx context.Context, md pmetric.Metrics) error {
	n := md.DataPointCount()
	m.counters.received.add(ctx, n)
	m.counters.kept[fatePassed].add(ctx, n)
	if err := m.next.ConsumeMetrics(ctx, md); err != nil {
		m.counters.refused.add(ctx, n)
		return err
	}
	m.in.Add(uint64(n))   //nolint:gosec // a count
	m.kept.Add(uint64(n)) //nolint:gosec // a count
	return nil
}

// apply implements part.
func (m *metrics) apply(rules []ruleInForce) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.rules.Load()
	known := make(map[string]*metricRule, len(before.rules))
	for _, r := range before.rules {
		known[r.name] = r
	}
	var compiled []*metricRule
	var budgets []*metricBudget
	var problems []string
	for i := range rules {
		f := &rules[i]
		r, err := compileMetricRule(f)
		if err == nil && r != nil && r.kind == kindBudget && len(budgets) >= maxMetricBudgets {
			err = fmt.Errorf("budget: more than %d budgets for metrics", maxMetricBudgets)
		}
		if err != nil {
			m.core.refuse(f.Name, err)
			continue
		}
		if r == nil {
			continue
		}
		fresh := r.continues(known[r.name])
		for _, w := range f.Advice() {
			if problems = append(problems, w); fresh {
				m.core.log.Warn("A rule may make dashboards wrong", zap.String("rule", f.Name), zap.String("problem", w))
			}
		}
		if compiled = append(compiled, r); r.kind == kindBudget {
			budgets = append(budgets, r.budget)
		}
	}
	if err := m.setBudgets(budgets); err != nil {
		m.core.refuse("", err) // each is valid, and there are not too many
	}
	set := newMetricRules(compiled)
	set.trial = m.trial(compiled, before.trial)
	m.number(compiled)
	m.problems = problems
	m.rules.Store(set)
}

// continues takes over the counters of a rule that says the same; it returns
// whether there is none.
func (m *metricRule) continues(old *metricRule) (fresh bool) {
	fresh = old == nil || old.kind != m.kind || old.preview != m.preview || !old.since.Equal(m.since)
	if m.counts = (&ruleCounts{}); !fresh {
		m.counts = old.counts
	}
	if m.kind != kindSample {
		return fresh
	}
	if m.sample.totals = (&seriesTotals{from: m.since}); !fresh {
		m.sample.totals = old.sample.totals
		m.sample.current.Store(old.sample.current.Load())
	}
	return fresh
}

// trial returns what dead bands in preview remember.
func (m *metrics) trial(rules []*metricRule, known *deadband.Band) *deadband.Band {
	if !slices.ContainsFunc(rules, func(r *metricRule) bool { return r.kind == kindBand && r.preview }) {
		return nil
	}
	if known != nil {
		return known
	}
	b, err := m.newBand()
	if err != nil {
		return nil // the settings were good once
	}
	return b
}

// number gives dead bands the numbers by which their series are counted.
func (m *metrics) number(rules []*metricRule) {
	owners := make(map[string]uint16, len(m.owners))
	for _, r := range rules {
		if r.kind != kindBand {
			continue
		}
		key := strconv.FormatBool(r.preview) + r.name
		n, known := m.owners[key]
		if !known {
			m.nextOwner = m.nextOwner%(deadband.MaxOwners-1) + 1
			n = m.nextOwner
		}
		owners[key], r.band.Owner = n, n
	}
	m.owners = owners
}

// adjust implements part.
func (m *metrics) adjust(now time.Time, elapsed time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stepBudgets(elapsed)
	set := m.rules.Load()
	if since := now.Sub(m.expired); since >= time.Minute || since < 0 {
		m.expired = now
		at := uint64(max(0, now.UnixNano()))
		m.band.Expire(at)
		if set.trial != nil {
			set.trial.Expire(at)
		}
	}
	if since := now.Sub(m.window); since >= m.core.cfg.Metrics.Window || since < 0 {
		m.window = now
		for _, r := range set.rules {
			if r.kind == kindSample {
				r.sample.totals.roll(now)
			}
		}
	}
}

// save implements part.
func (m *metrics) save(final bool, write func(key string, value []byte) error) error {
	m.mu.Lock()
	levels, err := m.saveBudgets()
	m.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode the levels of budgets: %w", err)
	}
	if err := write(budgetsKey, levels); err != nil {
		return err
	}
	n := 0
	return m.band.Save(final, func(part []byte) error {
		n++
		return write(bandKey(n-1), part)
	})
}

const budgetsKey = "budgets"

func bandKey(n int) string { return "band/" + strconv.Itoa(n) }

// restore implements part.
func (m *metrics) restore(read func(key string) ([]byte, error)) error {
	levels, err := read(budgetsKey)
	if err == nil {
		m.mu.Lock()
		err = m.restoreBudgets(levels)
		m.mu.Unlock()
	}
	total, now := 0, uint64(max(0, m.core.now().UnixNano()))
	for n := 0; ; n++ {
		part, failed := read(bandKey(n))
		if failed != nil {
			return errors.Join(err, failed)
		}
		if part == nil {
			break
		}
		restored, damaged := m.band.Restore(part, now)
		total += restored
		if damaged != nil {
			err = errors.Join(err, fmt.Errorf("dead bands: part %d: %w", n, damaged))
		}
	}
	if total > 0 {
		m.core.log.Info("Dead bands restored", zap.Int("series", total))
	}
	return err
}

// stop implements part.
func (*metrics) stop(context.Context) error { return nil }

// deadBandSeries implements deadBands.
func (m *metrics) deadBandSeries() (remembered, abandoned uint64) {
	s := m.band.Stats()
	return uint64(max(0, s.Series)), s.Abandoned
}

// report implements part.
func (m *metrics) report(out *report.Sampling) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := m.in.Load()
	out.Signals = append(out.Signals, report.SampledSignal{Signal: policy.SignalMetrics, In: in, Kept: m.kept.Load(), Represented: float64(in)})
	set := m.rules.Load()
	for _, r := range set.rules {
		if r.kind == kindBudget {
			out.Budgets = append(out.Budgets, r.budget.report())
			continue
		}
		out.Rules = append(out.Rules, m.reportRule(r, set))
	}
	out.Problems = append(out.Problems, m.problems...)
	slices.SortFunc(out.Budgets, func(a, b report.SampledBudget) int { return strings.Compare(a.Name, b.Name) })
}

func (m *metrics) reportRule(r *metricRule, set *metricRules) report.SampledRule {
	s := report.SampledRule{
		Name: r.name, Kind: "dead_band", Mode: string(policy.ModeEnforce), Static: r.static,
		In: r.counts.in.Load(), Kept: r.counts.kept.Load(), Since: r.since,
	}
	if r.preview {
		s.Mode = string(policy.ModePreview)
	}
	if r.kind == kindSample {
		s.Kind, s.Ratio, s.Totals = "series", r.sample.share, r.sample.totals.results()
		if r.sample.multiply {
			s.Ratio = r.sample.shareNow()
		}
		return s
	}
	band := m.band
	if r.preview {
		band = set.trial
	}
	s.Series = uint64(max(0, band.Owned(r.band.Owner)))
	return s
}

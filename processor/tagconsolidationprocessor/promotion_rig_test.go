package tagconsolidationprocessor

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/walk"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
)

// arms is a collector with both processors of experiments, and a router between
// them: common → router → baseline, and candidate → its exporter. Its time is
// moved by hand. What both exporters send is one database.
type arms struct {
	t       require.TestingT
	now     time.Time
	control *control
	host    machine
	power   *power
	configs [2]*Config // common, candidate
	// How data is routed: all of it goes to the candidate, or a marked copy.
	split, mirror bool
	// underWay are copies on their way to the candidate, if it is far.
	far      bool
	underWay []pmetric.Metrics

	settings          component.TelemetrySettings // of both
	common, candidate *consolidator
	endedAtOnce       bool                // nothing went to the baseline
	exported          []scriptLine        // since they were asked for
	database          map[string][]sample // nil: none
}

// sample is what a database has of a series at one time.
type sample struct {
	at, start uint64
	stale     bool
	value     float64 // of a histogram, its count
	delta     bool
}

var candidateDisk = component.MustNewID("candidate_disk")

// experimentRules are those of an experiment for one service.
func experimentRules(id string, rules ...policy.Rule) (candidate, common []policy.Rule) {
	scope := map[string]string{"resource.service.name": "shop"}
	for _, r := range rules {
		r.Name = id + "/" + r.Name
		r.Role, r.Experiment = policy.RoleCandidate, &policy.Experiment{ID: id, Scope: scope}
		candidate = append(candidate, r)
		r.Role, r.Experiment = policy.RoleCommon, nil
		r.Match.Resource = append(slices.Clone(r.Match.Resource), policy.Condition{Attribute: "service.name", Value: "shop"})
		common = append(common, r)
	}
	return candidate, common
}

var dropPodOfAll = policy.Rule{
	Name: "pods", Match: policy.Match{Metric: "*"}, Gauge: policy.GaugeSum, Summary: policy.SummaryMergeCountSum,
	Attributes: policy.Attributes{Drop: []string{"pod"}},
}

// newArms is a collector that did not begin yet.
func newArms(t require.TestingT, yaml string) *arms {
	a := &arms{t: t, now: epoch, settings: nopSettings().TelemetrySettings, control: &control{snapshot: &policy.Snapshot{}}, power: &power{}, database: map[string][]sample{}}
	a.host = machine{controlID: a.control, diskID: newDisk(t), candidateDisk: newDisk(t)}
	for i := range a.configs {
		conf, err := fromYAML("interval: 10s\ncontrol: control\n" + yaml)
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
		require.NoError(t, conf.Unmarshal(cfg))
		a.configs[i] = cfg
	}
	a.configs[1].Role = policy.RoleCandidate
	return a
}

// stored lets both processors keep their state.
func (a *arms) stored() *arms {
	a.configs[0].Storage, a.configs[1].Storage = &diskID, &candidateDisk
	return a
}

// has lets control have rules.
func (a *arms) has(rules ...policy.Rule) {
	s, err := policy.NewSnapshot(a.control.snapshot.Version+1, rules)
	require.NoError(a.t, err)
	a.control.snapshot = s
}

// looks lets both processors see what control has.
func (a *arms) looks() {
	a.common.poll(context.Background())
	a.candidate.poll(context.Background())
}

// begin starts a process, the last component of a pipeline first, as the
// Collector does.
func (a *arms) begin() {
	for _, id := range []component.ID{diskID, candidateDisk} {
		a.host[id].(*disk).power = a.power //nolint:forcetypeassert // it is
	}
	x := &exchange{}
	a.candidate = a.processor(x, 1, a.export)
	a.common = a.processor(x, 0, a.route)
}

func (a *arms) processor(x *exchange, i int, next func(context.Context, pmetric.Metrics) error) *consolidator {
	set := nopSettings()
	if i == 1 {
		set.ID = component.NewIDWithName(metadata.Type, "candidate")
	}
	set.TelemetrySettings = a.settings
	sink, err := consumer.NewMetrics(next)
	require.NoError(a.t, err)
	cfg := *a.configs[i]
	c, err := newConsolidator(set, &cfg, sink)
	require.NoError(a.t, err)
	c.clock, c.exchange = func() time.Time { return a.now }, x
	require.NoError(a.t, c.begin(context.Background(), a.host))
	return c
}

// restart begins another process where one was killed. The router has no
// experiment then.
func (a *arms) restart() {
	a.common.telemetry.Shutdown()
	a.candidate.telemetry.Shutdown()
	a.power, a.underWay, a.split, a.mirror = &power{}, nil, false, false
	a.begin()
}

// send lets lines come in.
func (a *arms) send(lines ...string) {
	md, err := readPoints(lines)
	require.NoError(a.t, err)
	left, _ := a.common.process(context.Background(), md)
	_ = a.route(context.Background(), left)
}

func (a *arms) route(ctx context.Context, md pmetric.Metrics) error {
	if a.split {
		return a.toCandidate(ctx, md)
	}
	if a.mirror {
		copied := pmetric.NewMetrics()
		md.CopyTo(copied)
		for _, m := range eachMetric(copied) {
			points, _ := walk.Of(m)
			for i := range points.Len() {
				points.Attributes(i).PutStr(policy.ArmAttribute, string(policy.ArmCandidate))
			}
		}
		if err := a.toCandidate(ctx, copied); err != nil {
			return err
		}
	}
	return a.export(ctx, md)
}

func (a *arms) toCandidate(ctx context.Context, md pmetric.Metrics) error {
	if a.far {
		copied := pmetric.NewMetrics()
		md.CopyTo(copied)
		a.underWay = append(a.underWay, copied)
		return nil
	}
	left, _ := a.candidate.process(ctx, md)
	return a.export(ctx, left)
}

// arrive lets what is under way reach the candidate.
func (a *arms) arrive() {
	for _, md := range a.underWay {
		left, _ := a.candidate.process(context.Background(), md)
		_ = a.export(context.Background(), left)
	}
	a.underWay, a.far = nil, false
}

func eachMetric(md pmetric.Metrics) (list []pmetric.Metric) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				list = append(list, m)
			}
		}
	}
	return list
}

// export lets the database have points, if there is power.
func (a *arms) export(_ context.Context, md pmetric.Metrics) error {
	if md.DataPointCount() == 0 || !a.power.use() {
		return nil
	}
	lines := writePoints(md)
	a.exported = append(a.exported, lines...)
	if a.database == nil {
		return nil
	}
	for _, l := range lines {
		one, err := readPoints([]string{l.text})
		require.NoError(a.t, err)
		m := eachMetric(one)[0]
		point, _ := pointAt(m, 0)
		s := sample{at: uint64(point.Timestamp()), start: uint64(point.StartTimestamp()), stale: point.Flags().NoRecordedValue()}
		s.value, s.delta = amountOf(m)
		list := a.database[l.identity]
		if n := len(list); n > 0 && s.at <= list[n-1].at && (!s.delta || s.stale) {
			require.Equal(a.t, list[n-1], s, "%s: a database takes one point at a time, in order", l.text)
			continue
		}
		a.database[l.identity] = append(list, s)
	}
	return nil
}

func amountOf(m pmetric.Metric) (value float64, delta bool) {
	number := func(p pmetric.NumberDataPoint) float64 {
		if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
			return float64(p.IntValue())
		}
		return p.DoubleValue()
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return number(m.Gauge().DataPoints().At(0)), false
	case pmetric.MetricTypeSum:
		return number(m.Sum().DataPoints().At(0)), m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityDelta
	case pmetric.MetricTypeHistogram:
		return float64(m.Histogram().DataPoints().At(0).Count()), m.Histogram().AggregationTemporality() == pmetric.AggregationTemporalityDelta
	case pmetric.MetricTypeExponentialHistogram:
		return float64(m.ExponentialHistogram().DataPoints().At(0).Count()), m.ExponentialHistogram().AggregationTemporality() == pmetric.AggregationTemporalityDelta
	default:
		return float64(m.Summary().DataPoints().At(0).Count()), false
	}
}

// edge moves time to the next edge; the common processor turns first or last.
func (a *arms) edge(candidateFirst bool) []string {
	a.now = a.now.Truncate(10 * time.Second).Add(10 * time.Second)
	both := []*consolidator{a.common, a.candidate}
	if candidateFirst {
		slices.Reverse(both)
	}
	a.exported = nil
	for _, c := range both {
		c.turn(context.Background(), nanos(a.now))
	}
	return a.shown()
}

// shown are the points that were exported, without the candidate's of a mirror.
func (a *arms) shown() []string {
	list := texts(a.exported)
	slices.Sort(list)
	a.exported = nil
	return list
}

func isCandidates(identity string) bool { return strings.Contains(identity, policy.ArmAttribute) }

// increase is by how much the counters of a metric grew, over all series that are
// not a mirrored candidate's: the exact sum of what each grew by between
// neighbouring samples, as a database sees it that knows nothing of starts.
func (a *arms) increase(metric string) (sum float64) {
	for identity, list := range a.database {
		if isCandidates(identity) || !slices.Contains(words(identity), metric) {
			continue
		}
		for i, s := range list {
			switch {
			case s.stale:
			case s.delta:
				sum += s.value
			case i == 0:
			case s.value < list[i-1].value && !list[i-1].stale:
				sum += s.value
			case !list[i-1].stale:
				sum += s.value - list[i-1].value
			}
		}
	}
	return sum
}

// instant is the sum over all series of a metric that a database shows at a time.
func (a *arms) instant(metric string, at time.Time) (sum float64) {
	for identity, list := range a.database {
		if isCandidates(identity) || !slices.Contains(words(identity), metric) {
			continue
		}
		i := len(list) - 1
		for ; i >= 0 && list[i].at > nanos(at); i-- {
		}
		if i >= 0 && !list[i].stale && nanos(at)-list[i].at < lookback {
			sum += list[i].value
		}
	}
	return sum
}

package tagconsolidationprocessor

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// ranked is a random history under a rule that keeps the heaviest values, or
// folds past a limit. What goes where depends on decisions that change with time,
// so the model does not compute it; that nothing is lost or counted twice can be
// seen all the same.
type ranked struct {
	t      *rapid.T
	config *Config
	host   machine
	c      *consolidator
	now    time.Time
	values map[[2]string]int64 // by path and user: what the programs counted
	starts map[[2]string]pcommon.Timestamp
	sent   int64
	shown  map[string]int64 // by life of an output
	deltas int64
	atEdge map[string]map[string]bool // the values of path in the outputs of an edge, by metric
	count  map[string]int             // outputs of an edge, by metric
}

func newRanked(t *rapid.T) *ranked {
	rule := policy.Rule{Name: "slow", Match: policy.Match{Metric: "*"}}
	if rapid.Bool().Draw(t, "top_k") {
		rule.Attributes.TopK = &policy.TopK{Attribute: "path", K: rapid.IntRange(1, 3).Draw(t, "k")}
	}
	if rule.Attributes.TopK == nil || rapid.Bool().Draw(t, "limit") {
		rule.Limit = &policy.Limit{MaxSeries: int64(rapid.IntRange(1, 6).Draw(t, "max_series"))}
		rule.Limit.Fold = rapid.SampledFrom([]policy.Fold{nil, {"user", "path"}, {"point.path", "user"}}).Draw(t, "fold")
	}
	cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
	cfg.Rules, cfg.Interval, cfg.Storage = []policy.Rule{rule}, propertyInterval, &diskID
	cfg.Staleness, cfg.Heartbeat = 24*time.Hour, 24*time.Hour
	require.NoError(t, cfg.Validate())
	r := &ranked{
		t: t, config: cfg, host: machine{diskID: newDisk(t)}, now: time.Unix(0, int64(startOfTime)).Add(time.Second),
		values: map[[2]string]int64{}, starts: map[[2]string]pcommon.Timestamp{}, shown: map[string]int64{},
	}
	r.boot()
	return r
}

func (r *ranked) boot() {
	next, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		for _, o := range readOutputs(md, 0, r.config.Writer.Attribute) {
			r.take(o)
		}
		return nil
	})
	require.NoError(r.t, err)
	r.c, err = newConsolidator(nopSettings(), r.config, next)
	require.NoError(r.t, err)
	r.c.clock = func() time.Time { return r.now }
	require.NoError(r.t, r.c.begin(context.Background(), r.host))
}

func (r *ranked) take(o *output) {
	if o.stale {
		return
	}
	r.count[o.name]++
	if path, there := o.labels[clearKey{'p', "path"}]; there {
		if r.atEdge[o.name] == nil {
			r.atEdge[o.name] = map[string]bool{}
		}
		r.atEdge[o.name][path] = true
	}
	value, _ := o.value.number.Int64()
	if isDelta(o.kind) {
		r.deltas += value
		return
	}
	life := fmt.Sprintf("%s since %d", seriesOf(o.labels, o.scope, o.clearPoint), o.start)
	require.GreaterOrEqual(r.t, value, r.shown[life], "%s fell", o)
	r.shown[life] = value
}

// send lets some programs report, each by a cumulative sum and by a delta.
func (r *ranked) send() {
	md := pmetric.NewMetrics()
	sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	var sums [2]pmetric.NumberDataPointSlice
	for i, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityDelta} {
		m := sm.Metrics().AppendEmpty()
		m.SetName(temporality.String())
		m.SetEmptySum().SetIsMonotonic(true)
		m.Sum().SetAggregationTemporality(temporality)
		sums[i] = m.Sum().DataPoints()
	}
	for range rapid.IntRange(1, 8).Draw(r.t, "reports") {
		r.now = r.now.Add(time.Millisecond)
		id := [2]string{fmt.Sprint("/", rapid.IntRange(0, 7).Draw(r.t, "path")), fmt.Sprint("u", rapid.IntRange(0, 3).Draw(r.t, "user"))}
		grown := int64(rapid.IntRange(0, 100).Draw(r.t, "growth"))
		if r.starts[id] == 0 { // after the latest restart, so that it counts in full
			r.starts[id] = pcommon.NewTimestampFromTime(r.now.Add(-time.Microsecond))
		}
		r.values[id] += grown
		r.sent += grown
		for i, value := range []int64{r.values[id], grown} {
			p := sums[i].AppendEmpty()
			p.Attributes().PutStr("path", id[0])
			p.Attributes().PutStr("user", id[1])
			p.SetStartTimestamp(r.starts[id])
			p.SetTimestamp(pcommon.NewTimestampFromTime(r.now))
			p.SetIntValue(value)
		}
	}
	_, err := r.c.process(context.Background(), md)
	require.Error(r.t, err, "nothing passed")
}

func (r *ranked) turn() {
	r.atEdge, r.count = map[string]map[string]bool{}, map[string]int{}
	r.now = r.now.Truncate(propertyInterval).Add(propertyInterval)
	r.c.turn(context.Background(), nanos(r.now))
	rule := &r.config.Rules[0]
	for name, values := range r.atEdge {
		if top := rule.Attributes.TopK; top != nil {
			require.LessOrEqual(r.t, len(values), top.K+1, "%s: those that are in, and the others", name)
		}
		if rule.Limit != nil { // before a fold, after it, and after that of the other attribute
			require.LessOrEqual(r.t, r.count[name], 3*int(rule.Limit.MaxSeries), name)
		}
	}
}

func (r *ranked) restart() {
	r.atEdge, r.count = map[string]map[string]bool{}, map[string]int{}
	require.NoError(r.t, r.c.end(context.Background()))
	r.c.telemetry.Shutdown()
	r.now = r.now.Add(time.Second)
	r.boot()
}

// TestTotalsAreExactWhateverFolds: all outputs together say what all inputs do.
func TestTotalsAreExactWhateverFolds(t *testing.T) {
	checkProperty(t, 3000, 100_000, func(t *rapid.T) {
		r := newRanked(t)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			r.send()
			switch rapid.IntRange(0, 9).Draw(t, "then") {
			case 0, 1, 2, 3:
				r.turn()
			case 4:
				r.restart()
			}
		}
		r.turn()
		r.c.telemetry.Shutdown()
		total := int64(0)
		for _, n := range r.shown {
			total += n
		}
		require.Equal(t, r.sent, total, "cumulative")
		require.Equal(t, r.sent, r.deltas, "delta")
	})
}

package tagconsolidationprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// What TestProcessorAndModelAgree found, each as the shortest history that shows
// it.

const foundRule = `
interval: 10s
writer: none
rules: [{name: all, match: {metric: "http.*"}, attributes: {drop: [pod]}, buckets: {keep_bounds: [1, 4]}}]
`

// foundRig is a rig with a disk and a control plane that has rules.
func foundRig(t *testing.T, yaml string, rules ...policy.Rule) *rig {
	t.Helper()
	cfg, err := loadConfig(t, yaml)
	require.NoError(t, err)
	cfg.Storage, cfg.Control = &diskID, &controlID
	snapshot := &policy.Snapshot{}
	if len(rules) > 0 {
		snapshot, err = policy.NewSnapshot(1, hot(rules))
		require.NoError(t, err)
	}
	return newRigOf(t, cfg, machine{diskID: newDisk(t), controlID: &control{snapshot: snapshot}}, epoch)
}

// again starts a process over the disk of one that was killed, or that ended.
func (r *rig) again(yaml string) *rig {
	r.t.Helper()
	cfg, err := loadConfig(r.t, yaml)
	require.NoError(r.t, err)
	cfg.Storage, cfg.Control = r.c.config.Storage, r.c.config.Control
	r.c.telemetry.Shutdown()
	r.now = r.now.Add(2 * time.Second)
	return newRigOf(r.t, cfg, r.host, r.now)
}

// shown is what a turn emits, as far as it is not stale.
func (r *rig) shown(batches []pmetric.Metrics) (values, stale []*output) {
	for _, md := range batches {
		for _, o := range readOutputs(md, nanos(r.now), r.c.config.Writer.name()) {
			if o.stale {
				stale = append(stale, o)
			} else {
				values = append(values, o)
			}
		}
	}
	return values, stale
}

func TestHotRulesAreInForceBeforeTheFirstPoint(t *testing.T) {
	r := foundRig(t, "interval: 10s\n", policy.Rule{Name: "hot", Match: policy.Match{Metric: "http.*"}, Attributes: policy.Attributes{Drop: []string{"pod"}}})
	r.now = r.now.Add(time.Second)
	require.Zero(t, r.send(counters(epoch, r.now, map[string]int64{"a": 5})).DataPointCount(), "taken in the first interval")
	before, _ := r.shown(r.turn())
	r.end()
	r = r.again("interval: 10s\n")
	require.Zero(t, r.send(counters(epoch, r.now, map[string]int64{"a": 8})).DataPointCount())
	after, stale := r.shown(r.turn())
	require.Empty(t, stale, "the rule is no orphan")
	require.Len(t, after, 1)
	require.Equal(t, before[0].start, after[0].start)
	require.Equal(t, "8", after[0].value.String())
}

func TestNothingIsShownAgainAfterACrash(t *testing.T) {
	r := foundRig(t, foundRule)
	r.now = r.now.Add(time.Second)
	r.send(counters(epoch, r.now, map[string]int64{"a": 5}))
	r.c.writeCheckpoint(t.Context()) // has a point that waits for the edge
	require.Len(t, r.turn(), 1)
	r = r.again(foundRule)
	for range 20 {
		values, _ := r.shown(r.turn())
		require.Empty(t, values, "one point came in, and one went out")
	}
}

func TestOutputsOfAbsentRulesEndBeforeOthersBegin(t *testing.T) {
	r := foundRig(t, foundRule)
	r.now = r.now.Add(time.Second)
	r.send(counters(epoch, r.now, map[string]int64{"a": 5}))
	r.turn()
	r.end()
	r = r.again("interval: 10s\nwriter: none\nrules: [{name: other, match: {metric: '*'}, attributes: {drop: [pod]}}]")
	r.send(counters(epoch, r.now, map[string]int64{"a": 7}))
	values, stale := r.shown(r.turn())
	require.Len(t, stale, 1)
	require.Len(t, values, 1)
	require.Less(t, stale[0].time, values[0].start+1, "of the same labels")
	require.Equal(t, "2", values[0].value.String(), "since the last value")
}

func TestRulesThatMakeOneSeriesShareIt(t *testing.T) {
	yaml := `
interval: 10s
writer: none
rules:
  - {name: a, match: {metric: "http.*", point: [{attribute: pod, value: a}]}, attributes: {drop: [pod]}}
  - {name: others, match: {metric: "http.*"}, attributes: {drop: [pod]}}
`
	r := newRig(t, yaml)
	r.now = r.now.Add(time.Second)
	r.send(counters(epoch, r.now, map[string]int64{"a": 5, "b": 7}))
	values, _ := r.shown(r.turn())
	require.Len(t, values, 1, "two would be two points of one series and time")
	require.Equal(t, "12", values[0].value.String())
}

func TestShutdownEmitsAlsoIfTheClockWasSetBack(t *testing.T) {
	r := newRig(t, foundRule)
	r.now = r.now.Add(time.Second)
	r.send(counters(epoch, r.now, map[string]int64{"a": 5}))
	r.turn()
	r.now = r.now.Add(-time.Minute)
	r.send(counters(epoch, r.now.Add(time.Minute), map[string]int64{"a": 9}))
	values, _ := r.shown(r.end())
	require.Len(t, values, 1)
	require.Equal(t, "9", values[0].value.String())
}

// buckets is a batch of one cumulative histogram.
func buckets(at time.Time, pod string, bounds []float64, counts ...uint64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.latency")
	m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := m.Histogram().DataPoints().AppendEmpty()
	p.Attributes().PutStr("pod", pod)
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(epoch))
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.ExplicitBounds().FromRaw(bounds)
	p.BucketCounts().FromRaw(counts)
	for _, n := range counts {
		p.SetCount(p.Count() + n)
	}
	return md
}

func TestHistogramWithoutBoundsStaysApart(t *testing.T) {
	r := newRig(t, foundRule)
	r.now = r.now.Add(time.Second)
	r.send(buckets(r.now, "a", nil, 3)) // it comes first
	r.send(buckets(r.now, "b", []float64{1, 2, 4}, 1, 2, 3, 4))
	values, _ := r.shown(r.turn())
	require.Len(t, values, 2)
	for _, o := range values {
		if o.bounds == "" {
			require.Equal(t, uint64(3), o.value.measured.count)
		} else {
			require.Equal(t, uint64(10), o.value.measured.count)
			require.NotEmpty(t, o.value.classic.bounds(), "its buckets are not lost")
		}
	}
}

func TestHistogramWithoutBoundsStaysApartAfterACrash(t *testing.T) {
	r := foundRig(t, foundRule)
	r.now = r.now.Add(time.Second)
	r.send(buckets(r.now, "a", nil, 3)) // in the journal, and in no checkpoint
	before, _ := r.shown(r.turn())
	r = r.again(foundRule)
	r.send(buckets(r.now, "b", []float64{1, 4}, 1, 0, 0))
	r.send(buckets(r.now, "a", nil, 4))
	values, _ := r.shown(r.turn())
	for _, o := range values {
		if o.bounds == "" {
			require.Equal(t, before[0].start, o.start)
			require.Equal(t, uint64(4), o.value.measured.count, "it did not fall")
		}
	}
	require.Len(t, values, 2)
}

// exponential is a batch of one cumulative exponential histogram with buckets
// from index 0 on, at scale 0.
func exponential(at time.Time, pod string, threshold float64, positive, negative []uint64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.latency")
	m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := m.ExponentialHistogram().DataPoints().AppendEmpty()
	p.Attributes().PutStr("pod", pod)
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(epoch))
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.SetZeroThreshold(threshold)
	p.Positive().BucketCounts().FromRaw(positive)
	p.Negative().BucketCounts().FromRaw(negative)
	for i, n := range positive {
		p.SetCount(p.Count() + n)
		p.SetSum(p.Sum() + float64(n)*float64(int(1)<<i))
	}
	for i, n := range negative {
		p.SetCount(p.Count() + n)
		p.SetSum(p.Sum() - float64(n)*float64(int(1)<<i))
	}
	return md
}

// It was a panic.
func TestZeroBucketWidensOverAllBucketsAfterACrash(t *testing.T) {
	r := foundRig(t, foundRule)
	r.now = r.now.Add(time.Second)
	r.send(exponential(r.now, "a", 0, []uint64{2, 1}, []uint64{1}))
	r.turn()
	r = r.again(foundRule)
	r.send(exponential(r.now, "b", 16, nil, nil)) // new, and of no measurements
	r.send(exponential(r.now, "b", 16, []uint64{0, 0, 0, 0, 0, 1}, nil))
	r.send(exponential(r.now.Add(time.Millisecond), "b", 16, []uint64{0, 0, 0, 0, 0, 2}, nil))
	values, _ := r.shown(r.turn())
	require.Len(t, values, 1)
	require.Equal(t, uint64(4), values[0].value.exponents.zeroCount, "what was shown of a is below the threshold of b")
}

func TestSumOfNegativeMeasurementsFallsAfterACrash(t *testing.T) {
	r := foundRig(t, foundRule)
	r.now = r.now.Add(time.Second)
	r.send(exponential(r.now, "a", 0, []uint64{3}, []uint64{1}))
	r.turn()
	r = r.again(foundRule)
	r.send(exponential(r.now, "a", 0, []uint64{3}, []uint64{9}))
	values, _ := r.shown(r.turn())
	require.Len(t, values, 1)
	require.Equal(t, "-6", values[0].value.measured.sum.Text('f', 0), "3 - 9: no floor holds a sum that may fall")
}

package tagconsolidationprocessor

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// loadedRules are those that take turns while data flows: each takes all points.
var loadedRules = [][]policy.Rule{
	{{Name: "pods", Match: policy.Match{Metric: "http.*"}, Attributes: policy.Attributes{Drop: []string{"pod"}}}},
	{{Name: "pods", Match: policy.Match{Metric: "http.*"}, Attributes: policy.Attributes{Drop: []string{"pod", "route"}}}},
	{
		{Name: "one", Match: policy.Match{Metric: "*", Point: []policy.Condition{{Attribute: "route", Value: "r1"}}}, Attributes: policy.Attributes{Keep: []string{"route"}}},
		{Name: "rest", Match: policy.Match{Metric: "*"}, Attributes: policy.Attributes{Keep: []string{"route"}}},
		{Name: "look", Mode: policy.ModePreview, Match: policy.Match{Metric: "*"}, Attributes: policy.Attributes{Drop: []string{"pod"}}},
	},
	{{Name: "top", Match: policy.Match{Metric: "*"}, Attributes: policy.Attributes{TopK: &policy.TopK{Attribute: "pod", K: 2}}}},
	{{Name: "few", Match: policy.Match{Metric: "*"}, Limit: &policy.Limit{MaxSeries: 5}}},
}

// loaded is a processor under load. Its clock is moved by hand, everything else
// happens at once.
type loaded struct {
	t         *testing.T
	c         *consolidator
	telemetry hostileTelemetry
	before    map[string]int64
	clock     atomic.Int64
	rounds    atomic.Int64
	sent      atomic.Int64 // all that was counted
	points    atomic.Int64

	mu     sync.Mutex
	counts map[string]int64 // by life of an output: what it showed last
	deltas int64
}

func newLoaded(t *testing.T) *loaded {
	t.Helper()
	l := &loaded{t: t, counts: map[string]int64{}, telemetry: hostileTelemetry{componenttest.NewTelemetry()}}
	t.Cleanup(func() { require.NoError(t, l.telemetry.Shutdown(context.WithoutCancel(t.Context()))) })
	l.before = l.telemetry.sums(t)
	cfg, err := loadConfig(t, "interval: 10s\nstaleness: 24h\nheartbeat: 1h\nstorage: disk\nmax_batch_points: 7")
	require.NoError(t, err)
	next, err := consumer.NewMetrics(l.consume)
	require.NoError(t, err)
	set := nopSettings()
	set.TelemetrySettings = l.telemetry.NewTelemetrySettings()
	l.c, err = newConsolidator(set, cfg, next)
	require.NoError(t, err)
	l.clock.Store(epoch.UnixNano())
	l.c.clock = func() time.Time { return time.Unix(0, l.clock.Load()) }
	require.NoError(t, l.c.begin(t.Context(), machine(map[component.ID]component.Component{diskID: newDisk(t)})))
	return l
}

// consume adds up what is emitted.
func (l *loaded) consume(_ context.Context, md pmetric.Metrics) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range readOutputs(md, 0, l.c.config.Writer.Attribute) {
		if o.stale {
			continue
		}
		value, _ := o.value.number.Int64()
		if isDelta(o.kind) {
			l.deltas += value
			continue
		}
		life := fmt.Sprintf("%s since %d", seriesOf(o.labels, o.scope, o.clearPoint), o.start)
		if value < l.counts[life] {
			l.t.Errorf("%s fell from %d", o, l.counts[life])
		}
		l.counts[life] = value
	}
	return nil
}

// round sends what one sender counted: a cumulative and a delta sum, of some
// series each.
func (l *loaded) round(sender int, values []int64) {
	md := pmetric.NewMetrics()
	sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	start := epoch.Add(11 * time.Second) // the first rules are in force
	at := pcommon.NewTimestampFromTime(start.Add(time.Duration(l.rounds.Add(1)) * time.Microsecond))
	for _, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityDelta} {
		m := sm.Metrics().AppendEmpty()
		m.SetName("http." + temporality.String())
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(temporality)
		for i := range values {
			grown := int64((sender + i) % 5)
			p := sum.DataPoints().AppendEmpty()
			p.Attributes().PutStr("pod", fmt.Sprintf("p%d-%d", sender, i))
			p.Attributes().PutStr("route", fmt.Sprintf("r%d", i%4))
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			p.SetTimestamp(at)
			if p.SetIntValue(grown); temporality == pmetric.AggregationTemporalityCumulative {
				values[i] += grown
				p.SetIntValue(values[i])
				l.sent.Add(grown)
			}
		}
	}
	l.points.Add(int64(md.DataPointCount()))
	if _, err := l.c.process(l.t.Context(), md); err == nil {
		l.t.Errorf("some of the points passed: %v", clearPoints(md, 0))
	}
}

// apply puts one set of rules into force at the next edge.
func (l *loaded) apply(version uint64) {
	snapshot, err := policy.NewSnapshot(version, hot(loadedRules[int(version)%len(loadedRules)]))
	if err == nil {
		err = l.c.Apply(snapshot)
	}
	if err != nil {
		l.t.Error(err)
	}
}

func (l *loaded) turn() {
	edge := (l.clock.Load()/1e10 + 1) * 1e10
	l.clock.Store(edge)
	l.c.turn(l.t.Context(), uint64(edge))
}

// TestTotalsAreExactUnderLoad: many send while intervals end, rules change,
// checkpoints are written and telemetry is read. Every increment is in exactly
// one output.
func TestTotalsAreExactUnderLoad(t *testing.T) {
	const senders, seriesEach = 6, 20
	rounds := 3000
	if raceDetector {
		rounds = 400
	}
	if nightly {
		rounds *= 50
	}
	l := newLoaded(t)
	l.apply(0)
	l.turn()
	values := make([][]int64, senders)
	for s := range senders {
		values[s] = make([]int64, seriesEach)
		l.round(s, values[s]) // all are known before rules change
	}
	var sending, other sync.WaitGroup
	over := make(chan struct{})
	forever := func(f func(i uint64)) {
		other.Go(func() {
			for i := uint64(1); ; i++ {
				select {
				case <-over:
					return
				default:
					f(i)
				}
			}
		})
	}
	turns := 0
	forever(func(i uint64) {
		l.turn()
		if turns++; i%3 == 0 {
			l.c.writeCheckpoint(t.Context())
		}
	})
	forever(func(i uint64) { l.apply(i); runtime.Gosched() })
	forever(func(uint64) { l.telemetry.sums(t); runtime.Gosched() })
	for s := range senders {
		sending.Go(func() {
			for range rounds {
				l.round(s, values[s])
			}
		})
	}
	sending.Wait()
	close(over)
	other.Wait()
	l.settle(turns)
}

// settle ends the process and compares the totals.
func (l *loaded) settle(turns int) {
	l.turn()
	l.clock.Add(1e9)
	require.NoError(l.t, l.c.end(l.t.Context()))
	total := int64(0)
	for _, n := range l.counts {
		total += n
	}
	l.t.Logf("%d points, %d turns, %d outputs", l.points.Load(), turns, len(l.counts))
	require.Equal(l.t, l.sent.Load(), total, "cumulative sums")
	require.Equal(l.t, l.sent.Load(), l.deltas, "delta sums")
	now := l.telemetry.sums(l.t)
	require.Equal(l.t, l.points.Load(), now["input_points"]-l.before["input_points"])
	require.Equal(l.t, l.points.Load(), now["consolidated_points"]-l.before["consolidated_points"])
	require.Zero(l.t, now["state_errors"])
	l.c.telemetry.Shutdown()
}

package fidelity_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/fidelity"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/tap"
)

// fleet is many counters: so many metrics, with so many series each on the
// baseline and ten, one a route, on the candidate.
type fleet struct {
	metrics, series int
	// emits is how often the candidate's outputs come.
	emits time.Duration
	hub   *tap.Hub
	judge *fidelity.Judge
	plan  *fidelity.Plan
	now   time.Time
	seq   uint64
	sent  int64
}

const fleetInterval = 30 * time.Second

// newFleet opens a judge of alerts and panels, two thirds and a third.
func newFleet(tb testing.TB, metrics, series, queries int, emits time.Duration) *fleet {
	tb.Helper()
	f := &fleet{metrics: metrics, series: series, emits: emits, hub: tap.New(tap.Settings{MaxBytes: 4 << 30}), now: time.Unix(1_700_000_000, 0).Truncate(time.Hour)}
	text := "groups:\n  - name: a\n    rules:\n"
	demand := experiment.Fidelity{MaxMemoryMiB: 1024}
	for i := range queries {
		expr := fmt.Sprintf("sum by (route) (rate(m%d_total[5m]))", i%metrics)
		switch {
		case i%30 == 0:
			text += fmt.Sprintf("      - {record: 'r:%d', expr: '%s'}\n", i, expr)
		case i%3 == 0:
			demand.Queries = append(demand.Queries, experiment.Query{Name: strconv.Itoa(i), Expr: expr})
		default:
			text += fmt.Sprintf("      - {alert: A%d, expr: '%s > 1e9', for: 1m}\n", i, expr)
		}
	}
	demand.RuleFiles = []experiment.Document{{Name: "rules", Text: text}}
	var err error
	f.plan, err = fidelity.Parse(demand)
	require.NoError(tb, err)
	spec := experiment.Spec{
		ID: "a/b", Mode: experiment.ModeMirror, Scope: map[string]string{"service.name": "shop"},
		Interval: experiment.Duration(fleetInterval), Fidelity: &demand,
	}
	f.judge, err = fidelity.Open(fidelity.Settings{
		Spec: spec, Plan: f.plan, Baseline: "baseline", Candidate: "candidate", Dir: tb.TempDir(),
		Want: func(s tap.Selection) (*tap.Subscription, error) { s.MaxBytes = 1 << 30; return f.hub.Want(s) },
	})
	require.NoError(tb, err)
	tb.Cleanup(f.judge.Close)
	return f
}

// send offers one scrape of both arms. Those of the candidate are the sums, at an
// edge.
func (f *fleet) send(tb testing.TB) {
	tb.Helper()
	for point, of := range map[string]int{"baseline": 1, "candidate": f.series / 10} {
		if of > 1 && f.now.Unix()%int64(f.emits.Seconds()) != 0 {
			continue
		}
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", "shop")
		metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
		for i := range f.metrics {
			m := metrics.AppendEmpty()
			m.SetName(fmt.Sprintf("m%d", i))
			sum := m.SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for s := range f.series / of {
				dp := sum.DataPoints().AppendEmpty()
				dp.SetStartTimestamp(1)
				dp.SetTimestamp(pcommon.NewTimestampFromTime(f.now))
				// It swings, so that values take the room that real ones do.
				dp.SetIntValue(int64(of) * (100*f.now.Unix() + f.now.Unix()/10%7*13))
				if of == 1 {
					dp.SetTimestamp(pcommon.NewTimestampFromTime(f.now.Add(-3 * time.Second)))
					dp.Attributes().PutStr("pod", fmt.Sprintf("shop-6f8d7c9b5-%05d", s/10))
				}
				dp.Attributes().PutStr("route", fmt.Sprintf("/api/v1/things/%d", s%10))
				dp.Attributes().PutStr("cluster", "production-eu-west-1")
			}
		}
		data, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
		require.NoError(tb, err)
		f.seq++
		f.sent += int64(f.metrics * f.series / of)
		names := make([]string, f.metrics)
		for i := range names {
			names[i] = fmt.Sprintf("m%d", i)
		}
		require.True(tb, f.hub.Tap(point).Offer(report.TapBatch{Point: point, At: f.now, Seq: f.seq, Metrics: names, OTLP: data}))
	}
}

// play sends scrapes of 10s and looks at each interval.
func (f *fleet) play(tb testing.TB, duration time.Duration) *experiment.FidelityVerdict {
	tb.Helper()
	var v *experiment.FidelityVerdict
	for end := f.now.Add(duration); f.now.Before(end); f.now = f.now.Add(10 * time.Second) {
		f.send(tb)
		f.drain(tb)
		if f.now.Unix()%30 == 0 {
			v = f.judge.Look(tb.Context(), f.now)
		}
	}
	return v
}

// drain waits until the judge has taken what was offered.
func (f *fleet) drain(tb testing.TB) {
	tb.Helper()
	require.Eventually(tb, func() bool { return f.judge.Taken() >= f.sent }, time.Minute, time.Millisecond)
}

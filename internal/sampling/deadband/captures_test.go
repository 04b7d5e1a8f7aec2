package deadband_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	d "github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// pace is how far apart the rounds of a capture are.
const pace = 6 * time.Second

// recorded turns the rounds of a capture into the points of each series, in order.
func recorded(t *testing.T, folder string) map[d.Key][]d.Point {
	t.Helper()
	rounds, err := capture.Read(os.DirFS(folder))
	require.NoError(t, err)
	var secret series.Secret
	hasher := series.NewHasher(secret)
	bands := newBand(t, d.Settings{})
	all := map[d.Key][]d.Point{}
	begin := time.Unix(0, int64(origin))
	for i, round := range rounds {
		md, err := capture.Metrics(round, capture.Origin{Job: "j", Instance: "i", Start: begin.Add(-time.Hour), Time: begin.Add(time.Duration(i) * pace)})
		require.NoError(t, err)
		metrics := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
		for _, m := range metrics.All() {
			points, ok := walk.Of(m)
			require.True(t, ok)
			id := hasher.Pair(hasher.Identity(series.Identity{Name: m.Name()}))
			for n := range points.Len() {
				p := d.Point{Series: d.Key(id.Add(hasher.PairMap(series.Point, points.Attributes(n)))), Now: origin}
				if read(t, bands, m, n, &p) {
					all[p.Series] = append(all[p.Series], p)
				}
			}
		}
	}
	return all
}

// read fills in the value of a point; summaries have no dead band.
func read(t *testing.T, b *d.Band, m pmetric.Metric, n int, p *d.Point) bool {
	t.Helper()
	number := func(dp pmetric.NumberDataPoint) {
		p.Sum = spatial.SumPoint{Span: spatial.Span{Start: uint64(dp.StartTimestamp()), Time: uint64(dp.Timestamp())}, Value: spatial.Double(dp.DoubleValue())}
		if dp.ValueType() == pmetric.NumberDataPointValueTypeInt {
			p.Sum.Value = spatial.Int(dp.IntValue())
		}
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		p.Kind = d.Gauge
		number(m.Gauge().DataPoints().At(n))
	case pmetric.MetricTypeSum:
		p.Kind = d.Counter
		number(m.Sum().DataPoints().At(n))
	case pmetric.MetricTypeHistogram:
		dp := m.Histogram().DataPoints().At(n)
		p.Kind = d.Histogram
		p.Sum.Span = spatial.Span{Start: uint64(dp.StartTimestamp()), Time: uint64(dp.Timestamp())}
		bounds, v := b.Bounds(dp.ExplicitBounds().AsRaw())
		require.False(t, v.Refused())
		p.Histogram = &spatial.HistogramPoint{
			Span: p.Sum.Span, Moments: spatial.Moments{Sum: dp.Sum(), Known: spatial.HasSum}, Bounds: bounds, Counts: dp.BucketCounts().AsRaw(), Count: dp.Count(),
		}
	default:
		return false
	}
	return true
}

// The captures that the examples carry are always there; more, if they lie beside the repository.
func TestCaptures(t *testing.T) {
	folders, err := filepath.Glob("../../../../shared/data/captures/*")
	require.NoError(t, err)
	for _, folder := range append(folders, "../../../examples/kube-apiserver/rounds", "../../../examples/consolidate-kubernetes/rounds") {
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(folder))+"/"+filepath.Base(folder), func(t *testing.T) {
			all := recorded(t, folder)
			require.Greater(t, len(all), 1000)
			for name, r := range map[string]d.Rule{
				"hold":         {Relative: 0.01, Heartbeat: heartbeat},
				"hold, range":  {Relative: 0.01, Heartbeat: heartbeat, Range: 4 * heartbeat, Corners: true},
				"linear":       {Relative: 0.01, Heartbeat: heartbeat, Predictor: d.Linear},
				"linear,range": {Relative: 0.01, Heartbeat: heartbeat, Predictor: d.Linear, Range: 4 * heartbeat},
			} {
				b := newBand(t, d.Settings{})
				var came, sent [4]int // gauges, counters, up-down sums, histograms
				largest := 0.0
				for _, points := range all {
					j := &judge{rule: r}
					for i := range points {
						p := &points[i]
						var before d.Before
						o := b.Observe(p, &r, &before)
						require.Empty(t, j.step(p, o, &before))
						came[p.Kind]++
						if o.Before {
							sent[p.Kind]++
						}
						if o.Reason.Passes() {
							sent[p.Kind]++
						}
					}
					require.Empty(t, j.compare(j.run))
					largest = max(largest, j.largest)
				}
				share := func(k d.Kind) float64 { return 100 * (1 - float64(sent[k])/max(1, float64(came[k]))) }
				total := 100 * (1 - float64(sent[0]+sent[1]+sent[3])/float64(came[0]+came[1]+came[3]))
				t.Logf("%-12s %6d series %7d points: left out %.1f %% (gauges %.1f, counters %.1f, histograms %.1f); largest error %.4f %%",
					name, len(all), came[0]+came[1]+came[3], total, share(d.Gauge), share(d.Counter), share(d.Histogram), 100*largest)
				require.LessOrEqual(t, largest, r.Relative*(1+1e-9))
				require.Greater(t, total, 50.0)
			}
		})
	}
}

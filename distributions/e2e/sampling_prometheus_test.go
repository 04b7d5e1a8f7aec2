//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/testkit/prometheus"
)

// bandedConfig sends one stream to two servers, to one through dead bands.
const bandedConfig = `
extensions:
  phoenix_control:
    endpoint: localhost:%[1]d
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:%[2]d
processors:
  adaptive_sampler:
    rules:
      - name: counters
        dead_band: {match: {metric: requests}, tolerance: {relative: 0.02}, predictor: linear}
      - name: gauges
        dead_band: {match: {metric: temperature}, tolerance: {absolute: 0.5}}
exporters:
  otlp_http/raw:
    endpoint: %[3]s
    sending_queue: {enabled: false}
  otlp_http/banded:
    endpoint: %[4]s
    sending_queue: {enabled: false}
service:
  extensions: [phoenix_control]
  pipelines:
    metrics/raw:
      receivers: [otlp]
      exporters: [otlp_http/raw]
    metrics/banded:
      receivers: [otlp]
      processors: [adaptive_sampler]
      exporters: [otlp_http/banded]
` + quiet

// A Prometheus that gets the points that dead bands let through answers within
// their tolerance: rate() over four heartbeats of counters of a steady pace, and
// gauges at every instant at which a point came.
func TestPrometheusBehindDeadBands(t *testing.T) {
	t.Parallel()
	raw, banded := prometheus.Start(t, prometheus.Options{}), prometheus.Start(t, prometheus.Options{})
	controlPort, otlpPort := freePort(t), freePort(t)
	c := startCollector(t, fmt.Sprintf(bandedConfig, controlPort, otlpPort, raw.OTLPEndpoint, banded.OTLPEndpoint), controlPort)
	send := sender(t, otlpPort)
	const every, heartbeat, rounds = 15 * time.Second, time.Minute, 160
	begun := time.Now().Add(-(rounds + 1) * every).Truncate(every)
	made := newMeters(begun)
	for round := range rounds {
		send(made.next(begun.Add(time.Duration(round) * every)))
	}
	require.NoError(t, c.stop(t))

	window := prometheus.Range{Start: begun.Add(8 * heartbeat), End: begun.Add((rounds - 1) * every), Step: every}
	worst, answers := largestDifference(t, raw, banded, `rate(requests_total[4m])`, window, true)
	t.Logf("rate(): %d answers, the largest error is %.2f %%", answers, 100*worst)
	assert.LessOrEqual(t, worst, 0.02)
	assert.Greater(t, answers, 1000)
	worst, answers = largestDifference(t, raw, banded, `temperature`, window, false)
	t.Logf("gauges: %d answers, the largest error is %.3g", answers, worst)
	assert.LessOrEqual(t, worst, 0.5)
	assert.Greater(t, answers, 1000)
	for metric, most := range map[string]float64{"requests_total": 0.5, "temperature": 0.8} {
		share := samples(t, banded, metric, window) / samples(t, raw, metric, window)
		t.Logf("%s: %.0f %% of the points are sent", metric, 100*share)
		assert.Less(t, share, most, metric)
	}
}

// meters are counters of a steady pace and gauges that walk.
type meters struct {
	random         *rand.Rand
	begun          time.Time
	counts, values [20]float64
}

func newMeters(begun time.Time) *meters {
	return &meters{random: rand.New(rand.NewPCG(6, 7)), begun: begun}
}

// next is what they say at a time.
func (m *meters) next(at time.Time) pmetric.Metrics {
	data := pmetric.NewMetrics()
	rm := data.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "meters")
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	requests := metrics.AppendEmpty()
	requests.SetName("requests")
	sum := requests.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	temperature := metrics.AppendEmpty()
	temperature.SetName("temperature")
	gauge := temperature.SetEmptyGauge()
	for i := range m.counts {
		m.counts[i] += math.Round(float64(1000*(i+1)) * (1 + 0.01*m.random.NormFloat64()))
		m.values[i] += 0.2 * m.random.NormFloat64()
		m.put(sum.DataPoints().AppendEmpty(), i, at, m.counts[i])
		m.put(gauge.DataPoints().AppendEmpty(), i, at, m.values[i])
	}
	return data
}

func (m *meters) put(p pmetric.NumberDataPoint, i int, at time.Time, value float64) {
	p.Attributes().PutStr("i", strconv.Itoa(i))
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(m.begun.Add(-time.Second)))
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.SetDoubleValue(value)
}

// largestDifference compares the answers to a query at all instants: as a share of
// what the first server says, or as it is.
func largestDifference(t *testing.T, want, got *prometheus.Server, query string, r prometheus.Range, relative bool) (worst float64, answers int) {
	t.Helper()
	said, err := got.QueryRange(t.Context(), query, r)
	require.NoError(t, err)
	type instant struct {
		series model.Fingerprint
		at     model.Time
	}
	values := map[instant]float64{}
	for _, series := range said {
		for _, pair := range series.Values {
			values[instant{series.Metric.Fingerprint(), pair.Timestamp}] = float64(pair.Value)
		}
	}
	truth, err := want.QueryRange(t.Context(), query, r)
	require.NoError(t, err)
	for _, series := range truth {
		for _, pair := range series.Values {
			v, there := values[instant{series.Metric.Fingerprint(), pair.Timestamp}]
			require.True(t, there, "%s of %s at %s", query, series.Metric, pair.Timestamp)
			off := math.Abs(v - float64(pair.Value))
			if relative {
				off /= math.Abs(float64(pair.Value))
			}
			worst = max(worst, off)
			answers++
		}
	}
	return worst, answers
}

// samples is how many there are of a metric.
func samples(t *testing.T, server *prometheus.Server, metric string, r prometheus.Range) float64 {
	t.Helper()
	query := fmt.Sprintf("sum(count_over_time(%s[%ds]))", metric, int(r.End.Sub(r.Start).Seconds()))
	answer, err := server.Query(t.Context(), query, r.End)
	require.NoError(t, err)
	require.Len(t, answer, 1)
	return float64(answer[0].Value)
}

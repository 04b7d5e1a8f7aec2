package cardinalityprocessor

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/tap"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadatatest"
)

// declared are the metrics of metadata.yaml.
func declared(t *testing.T) map[string]any {
	t.Helper()
	conf, err := confmaptest.LoadConf("metadata.yaml")
	require.NoError(t, err)
	metrics, ok := conf.Get("telemetry::metrics").(map[string]any)
	require.True(t, ok)
	require.NotEmpty(t, metrics)
	return metrics
}

// TestTelemetry looks at every metric of metadata.yaml.
func TestTelemetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, hub := newTappedRig(t)
		p := r.start("point: ingest\nmax_metrics: 3\ntop: 2\nlimits: [{match: '*a', max_series: 4}]\nbackend: {target_info: false}")
		r.feed(p, `
resource service.name=shop service.instance.id={1..3}
gauge aa
  x={1..4}
gauge b
  x={1..2}
sum a cumulative
  x=1
gauge over
  x=1
gauge ""
  -
empty nothing`)
		time.Sleep(16 * time.Second) // the clock is synctest's
		synctest.Wait()
		tt := r.telemetry
		one := func(value int64, attributes ...attribute.KeyValue) metricdata.DataPoint[int64] {
			return metricdata.DataPoint[int64]{
				Value:      value,
				Attributes: attribute.NewSet(append(attributes, attribute.String("point", "ingest"))...),
			}
		}
		who := func(name string) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.String("metric_name", name), attribute.String("group", "")}
		}
		with := func(name string, value int64, more attribute.KeyValue) metricdata.DataPoint[int64] {
			return one(value, append(who(name), more)...)
		}
		type points = []metricdata.DataPoint[int64]
		ignore := metricdatatest.IgnoreTimestamp()
		metadatatest.AssertEqualProcessorCardinalityMetricsTracked(t, tt, points{one(3)}, ignore)
		metadatatest.AssertEqualProcessorCardinalityStreams(t, tt, points{one(21)}, ignore)
		metadatatest.AssertEqualProcessorCardinalitySeries(t, tt, points{one(21)}, ignore)
		metadatatest.AssertEqualProcessorCardinalityPoints(t, tt, points{one(27)}, ignore)
		metadatatest.AssertEqualProcessorCardinalityPointsOverflow(t, tt, points{one(3)}, ignore)
		metadatatest.AssertEqualProcessorCardinalityPointsRefused(t, tt, points{
			one(3, attribute.String("reason", "empty_name")), one(3, attribute.String("reason", "unsupported_type")),
		}, ignore)
		metadatatest.AssertEqualProcessorCardinalityMetricsGrowing(t, tt, points{one(0)}, ignore)
		metadatatest.AssertEqualProcessorCardinalityLimitsExceeded(t, tt, points{one(1)}, ignore)
		metadatatest.AssertEqualProcessorCardinalityLimitExceeded(t, tt, points{
			with("aa", 1, attribute.String("match", "*a")), with("a", 0, attribute.String("match", "*a")),
		}, ignore)
		metadatatest.AssertEqualProcessorCardinalityTopSeries(t, tt, points{one(12, who("aa")...), one(6, who("b")...)}, ignore)
		metadatatest.AssertEqualProcessorCardinalityTopSaving(t, tt, points{
			with("aa", 9, attribute.String("attribute", "x")), with("b", 4, attribute.String("attribute", "resource.service.instance.id")),
		}, ignore)
		metadatatest.AssertEqualProcessorCardinalityMemory(t, tt,
			points{one(int64(r.report(report.CardinalityQuery{}).MemoryBytes))}, ignore)
		metadatatest.AssertEqualProcessorCardinalityAnalysisDuration(t, tt, []metricdata.HistogramDataPoint[float64]{
			{Attributes: attribute.NewSet(attribute.String("point", "ingest"))},
		}, ignore, metricdatatest.IgnoreValue())

		for _, room := range []int64{1 << 20, 1} {
			sub, err := hub.Want(tap.Selection{Point: "ingest", Metrics: []string{"aa"}, MaxBytes: room})
			require.NoError(t, err)
			r.feed(p, "gauge aa\n  x={1..4}")
			sub.Close()
		}
		metadatatest.AssertEqualProcessorCardinalityTapPoints(t, tt, points{one(4)}, ignore)
		metadatatest.AssertEqualProcessorCardinalityTapPointsLost(t, tt, points{one(4)}, ignore)
		for name := range declared(t) {
			_, err := tt.GetMetric("otelcol_" + name)
			require.NoError(t, err, name)
		}
	})
}

// The option top bounds the points of every metric that names metrics, and
// among equals the same are named every time.
func TestTopBoundsTelemetry(t *testing.T) {
	for _, top := range []int{0, 1, 10} {
		t.Run(strconv.Itoa(top), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				p := r.start(fmt.Sprintf("top: %d\nlimits: [{match: '*', max_series: 1}]", top))
				lists := []string{"top_series", "top_saving", "limit_exceeded"}
				var texts []string
				for range 5 {
					r.feed(p, "gauge m{1..200}\n  x={1..3}")
					time.Sleep(15 * time.Second) // the clock is synctest's
					synctest.Wait()
					for _, name := range lists {
						assert.Equal(t, top, countLines(r.telemetryText([]string{name})), name)
					}
					texts = append(texts, r.telemetryText(lists))
				}
				for _, text := range texts {
					assert.Equal(t, texts[0], text)
				}
				assert.Equal(t, "limits_exceeded{point=default} 200\n", r.telemetryText([]string{"limits_exceeded"}))
			})
		})
	}
}

func countLines(text string) (n int) {
	for _, c := range text {
		if c == '\n' {
			n++
		}
	}
	return n
}

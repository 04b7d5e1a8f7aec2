package adaptivesamplerprocessor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// series returns the names of all series of the processor's own telemetry, with
// their values.
func ownSeries(tb testing.TB, telemetry *componenttest.Telemetry) map[string]float64 {
	tb.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(tb, telemetry.Reader.Collect(tb.Context(), &all))
	found := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			add := func(set attribute.Set, value float64) {
				name := strings.TrimPrefix(m.Name, "otelcol_processor_adaptive_sampler_")
				found[name+labels(set)] = value
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, d := range data.DataPoints {
					add(d.Attributes, float64(d.Value))
				}
			case metricdata.Gauge[int64]:
				for _, d := range data.DataPoints {
					add(d.Attributes, float64(d.Value))
				}
			case metricdata.Gauge[float64]:
				for _, d := range data.DataPoints {
					add(d.Attributes, d.Value)
				}
			case metricdata.Histogram[float64]:
				for _, d := range data.DataPoints {
					add(d.Attributes, float64(d.Count))
				}
			}
		}
	}
	return found
}

const everythingOn = `
storage: file_storage
control: phoenix_control
traces: {target: {spans_per_second: 100}, max_keys: 150}
logs: {target: {records_per_second: 100}}
metrics: {max_series: 10}
rules:
  - name: band
    dead_band: {match: {metric: "*"}, tolerance: {absolute: 1}}
  - name: tight
    budget: {signal: traces, match: {resource: [{attribute: service.name, value: tight}]}, points_per_second: 0.1, floor: 0.9}
`

// Every instrument of metadata.yaml shows something, with the attributes that are
// documented and no more series than are promised.
func TestEveryInstrument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newStorageHost(t, t.TempDir())
		host[controlID] = newControlPlane()
		telemetry := componenttest.NewTelemetry()
		var refuse error
		f := newFrameOf(t, everythingOn, host, frameSettings{telemetry: telemetry, refuse: func() error { return refuse }})
		f.start()
		r := newTraffic(1)
		for range 61 {
			now := time.Now()
			require.NoError(t, f.traces.ConsumeTraces(t.Context(), r.spans("tight", 100, now)))
			for i := range 200 {
				require.NoError(t, f.traces.ConsumeTraces(t.Context(), r.spans(fmt.Sprintf("service-%d", i), 10, now)))
			}
			require.NoError(t, f.logs.ConsumeLogs(t.Context(), r.records("checkout", "request served", 1000, now)))
			for i := range 20 {
				require.NoError(t, f.metrics.ConsumeMetrics(t.Context(), gauge(fmt.Sprint("g", i), 1, now)))
			}
			f.reset()
			time.Sleep(time.Second)
		}
		odd := r.spans("checkout", 1, time.Now())
		odd.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceState().FromRaw("ot=th:xyz")
		require.NoError(t, f.traces.ConsumeTraces(t.Context(), odd))
		refuse = errRefused
		require.ErrorIs(t, f.metrics.ConsumeMetrics(t.Context(), gauge("g0", 100, time.Now())), errRefused)
		synctest.Wait() // nobody writes state now
		require.NoError(t, f.hub().state.client.Set(t.Context(), "traces/head", []byte{}))
		f.hub().restore(t.Context(), f.hub().workers[policy.SignalTraces])
		synctest.Wait()
		shown := ownSeries(t, telemetry)
		refuse = nil

		conf, err := confmaptest.LoadConf("metadata.yaml")
		require.NoError(t, err)
		metrics, ok := conf.Get("telemetry::metrics").(map[string]any)
		require.True(t, ok)
		series := map[string][]string{}
		for name := range shown {
			metric, _, _ := strings.Cut(name, "{")
			series[metric] = append(series[metric], name)
		}
		var declared []string
		for name, m := range metrics {
			name = strings.TrimPrefix(name, "processor_adaptive_sampler_")
			declared = append(declared, name)
			var attributes []string
			list, _ := m.(map[string]any)["attributes"].([]any)
			for _, a := range list {
				attributes = append(attributes, fmt.Sprint(a))
			}
			slices.Sort(attributes)
			require.NotEmpty(t, series[name], name)
			var keys []string
			for pair := range strings.SplitSeq(strings.Trim(strings.TrimPrefix(series[name][0], name), "{}"), ",") {
				if key, _, ok := strings.Cut(pair, "="); ok {
					keys = append(keys, key)
				}
			}
			assert.Equal(t, attributes, keys, name)
			assert.LessOrEqual(t, len(series[name]), 2*(maxClasses+1), name)
		}
		assert.ElementsMatch(t, declared, slices.Collect(maps.Keys(series)))

		assert.InDelta(t, 1, shown["budget_floor_reached{budget=tight,signal=traces}"], 0)
		assert.InDelta(t, 0.1, shown["budget_target{budget=tight,signal=traces,unit=points}"], 0)
		assert.InDelta(t, 10, shown["dead_band_series{}"], 0)
		assert.LessOrEqual(t, len(series["key_probability"]), 2*maxKeysShown)
		assert.Contains(t, shown, "left_out_items{class=other,reason=sampled,signal=traces}")
		for _, signal := range []string{policy.SignalTraces, policy.SignalLogs, policy.SignalMetrics} {
			of := func(metric string) (sum float64) {
				for _, name := range series[metric] {
					if strings.Contains(name, "signal="+signal) {
						sum += shown[name]
					}
				}
				return sum
			}
			before := shown["kept_items{reason=sent_before,signal="+signal+"}"]
			assert.InDelta(t, of("received_items"), of("kept_items")-before+of("left_out_items"), 0, signal)
			assert.Positive(t, of("received_items"), signal)
		}
		f.shutdown()
	})
}

// That a budget is at its floor is said when it begins and when it ends.
func TestFloorIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFrame(t, "rules: [{name: tight, budget: {signal: traces, points_per_second: 50, floor: 0.9}}]", componenttest.NewNopHost()).start()
		defer f.shutdown()
		r := newTraffic(1)
		send := func(n int) {
			for range 30 {
				require.NoError(t, f.traces.ConsumeTraces(t.Context(), r.spans("a", n, time.Now())))
				time.Sleep(time.Second)
			}
			synctest.Wait()
		}
		send(100)
		require.Equal(t, []string{
			"A budget is exceeded and its floor reached: no more is left out. Raise the budget, lower its floor, or send less",
		}, f.warned())
		send(10)
		require.Len(t, f.warned(), 1)
		require.Equal(t, 1, f.logged.FilterMessage("A budget is kept again").Len())
	})
}

// Classes are bounded, and are all counted.
func TestClasses(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	tel, err := newTelemetry(telemetry.NewTelemetrySettings(), policy.SignalTraces)
	require.NoError(t, err)
	for i := range 3 * maxClasses {
		tel.leftOut(reasonSampled, strconv.Itoa(i)).add(t.Context(), 2)
	}
	tel.leftOut(reasonSampled, "0").add(t.Context(), 1)
	tel.leftOut(reasonPassed, "0").add(t.Context(), 1)
	shown := ownSeries(t, telemetry)
	assert.Len(t, shown, maxClasses+2)
	assert.InDelta(t, 3, shown["left_out_items{class=0,reason=sampled,signal=traces}"], 0)
	assert.InDelta(t, 4*maxClasses, shown["left_out_items{class=other,reason=sampled,signal=traces}"], 0)
	known := testing.AllocsPerRun(100, func() { tel.leftOut(reasonSampled, "7") })
	other := testing.AllocsPerRun(100, func() { tel.leftOut(reasonSampled, "299") })
	assert.Zero(t, known+other)
}

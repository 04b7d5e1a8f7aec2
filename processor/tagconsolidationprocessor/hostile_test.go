package tagconsolidationprocessor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// hostileRules are configurations that between them use every part of a rule.
var hostileRules = []string{
	`
rules:
  - {name: all, match: {metric: "*"}, attributes: {drop: [pod, k8s*]}, gauge: sum, summary: merge_count_sum, scope: drop}
`, `
max_streams: 4
writer: none
never_touch: {metrics: ["never*"], attributes: [tenant]}
rules:
  - {name: keep, match: {metric: "*"}, attributes: {keep: []}, gauge: last, summary: merge_count_sum}
`, `
rules:
  - {name: coarsen, match: {metric: "*", types: [histogram]}, buckets: {keep_bounds: [0, 1, 5]}}
  - {name: errors, match: {metric: "/.*/", point: [{attribute: code, value: "5*"}], resource: [{attribute: host, present: false}]}, gauge: mean}
  - name: maps
    match: {metric: "*"}
    attributes:
      map:
        - {attribute: path, paths: ["/users/{id}", "/{rest...}"], other: none}
        - {attribute: code, ranges: [{to: 400, as: good}, {from: 500, as: bad}]}
        - {attribute: host, regex: "(.*)-[0-9]+", template: "$1"}
      hash_buckets: [{attribute: user, buckets: 3}]
    gauge: min
  - {name: look, mode: preview, match: {metric: "*"}, attributes: {drop: [pod]}}
`, `
max_streams: 100
rules:
  - {name: top, match: {metric: "h*"}, attributes: {top_k: {attribute: path, k: 2}}, gauge: max}
  - {name: limit, match: {metric: "*"}, limit: {max_series: 3}, gauge: count, summary: merge_count_sum}
`,
}

// hostileTelemetry is that of all processors of a test. To make one takes
// longer than all the rest.
type hostileTelemetry struct{ *componenttest.Telemetry }

// sums are the totals of the counters, by their names.
func (h hostileTelemetry) sums(tb testing.TB) map[string]int64 {
	tb.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(tb, h.Reader.Collect(tb.Context(), &all))
	totals := map[string]int64{}
	for _, sm := range all.ScopeMetrics {
		for _, m := range sm.Metrics {
			if data, ok := m.Data.(metricdata.Sum[int64]); ok {
				for _, p := range data.DataPoints {
					totals[strings.TrimPrefix(m.Name, "otelcol_processor_tag_consolidation_")] += p.Value
				}
			}
		}
	}
	return totals
}

// cell is a processor that is kept from nothing, and watched.
type cell struct {
	t         testing.TB
	telemetry hostileTelemetry
	before    map[string]int64
	config    *Config
	host      machine
	c         *consolidator
	now       time.Time
	database  map[series.Pair]*sight
	points    int // in, passed and out
	passed    int
	values    int
}

func newCell(tb testing.TB, yaml string, telemetry hostileTelemetry, kept bool) *cell {
	tb.Helper()
	cfg, err := loadConfig(tb, "interval: 10s\nstaleness: 20s\nheartbeat: 10s"+yaml)
	require.NoError(tb, err)
	x := &cell{t: tb, telemetry: telemetry, before: telemetry.sums(tb), config: cfg, host: machine{}, now: epoch.Add(time.Second), database: map[series.Pair]*sight{}}
	if kept {
		x.host[diskID], cfg.Storage = newDisk(tb), &diskID
	}
	x.boot()
	return x
}

func (x *cell) boot() {
	x.t.Helper()
	next, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		x.emitted(md)
		return nil
	})
	require.NoError(x.t, err)
	set := nopSettings()
	set.TelemetrySettings = x.telemetry.NewTelemetrySettings()
	set.ID = component.NewID(set.ID.Type())
	cfg := *x.config
	x.c, err = newConsolidator(set, &cfg, next)
	require.NoError(x.t, err)
	x.c.clock = func() time.Time { return x.now }
	require.NoError(x.t, x.c.begin(x.t.Context(), x.host))
}

// send sends a batch.
func (x *cell) send(md pmetric.Metrics) {
	x.t.Helper()
	x.points += md.DataPointCount()
	left, err := x.c.process(x.t.Context(), md)
	if !errors.Is(err, processorhelper.ErrSkipProcessingData) {
		require.NoError(x.t, err)
		x.passed += left.DataPointCount()
	}
	stats := x.c.engine.Stats()
	require.LessOrEqual(x.t, stats.Inputs, x.config.MaxStreams+1024, "one overflow input a metric comes on top")
	require.LessOrEqual(x.t, stats.Inputs, 2*x.points)
}

func (x *cell) turn() {
	x.t.Helper()
	x.now = x.now.Truncate(x.config.Interval).Add(x.config.Interval)
	x.c.turn(x.t.Context(), nanos(x.now))
}

// restart ends the process and begins another.
func (x *cell) restart() {
	x.t.Helper()
	require.NoError(x.t, x.c.end(x.t.Context()))
	x.c.telemetry.Shutdown()
	x.now = x.now.Add(time.Second)
	x.boot()
}

// emitted checks what no database could do with.
func (x *cell) emitted(md pmetric.Metrics) {
	x.t.Helper()
	outputs, i := readOutputs(md, nanos(x.now), x.config.Writer.name()), 0
	for _, rm := range md.ResourceMetrics().All() {
		resource := x.c.hasher.PairMap(series.Resource, rm.Resource().Attributes())
		for _, sm := range rm.ScopeMetrics().All() {
			above := resource.Add(x.c.hasher.PairMap(series.Scope, sm.Scope().Attributes()))
			above = above.Add(x.c.hasher.Pair(x.c.hasher.Identity(series.Identity{Name: sm.Scope().Name(), Unit: sm.Scope().Version()})))
			for _, m := range sm.Metrics().All() {
				points, _ := walk.Of(m)
				for n := range points.Len() {
					o := outputs[i]
					i++
					id := x.c.hasher.Pair(x.c.hasher.Identity(series.Identity{Name: o.name, Unit: o.unit, Kind: uint8(o.kind) + 1}))
					x.write(above.Add(id).Add(x.c.hasher.PairMap(series.Point, points.Attributes(n))), o)
				}
			}
		}
	}
}

// write demands what a database demands. Series are told apart as the
// processor tells them apart: keys that occur twice, and nested values, are no
// labels in clear.
func (x *cell) write(id series.Pair, o *output) {
	x.t.Helper()
	s := x.database[id]
	if s == nil {
		s = &sight{}
		x.database[id] = s
	}
	require.Greater(x.t, o.time, s.time, "%s after %d", o, s.time)
	if isCumulative(o.kind) {
		require.Less(x.t, o.start, o.time, "%s", o)
		require.False(x.t, !o.stale && o.start == s.start && s.value.fell(&o.value), "%s fell", o)
	}
	s.start, s.time = o.start, o.time
	if !o.stale {
		s.value = o.value
		x.values++
	}
}

// release ends the cell: all is forgotten, and nothing is unaccounted for.
func (x *cell) release() {
	x.t.Helper()
	for range 5 {
		x.turn()
	}
	stats := x.c.engine.Stats()
	require.Zero(x.t, stats.Inputs, "inputs")
	require.Zero(x.t, stats.Outputs, "outputs")
	require.NoError(x.t, x.c.end(x.t.Context()))
	now := x.telemetry.sums(x.t)
	count := func(name string) int { return int(now[name] - x.before[name]) }
	require.Equal(x.t, x.points, count("input_points"))
	require.Equal(x.t, x.passed, count("passed_points"))
	require.Equal(x.t, x.points, count("consolidated_points")+count("passed_points")+count("dropped_points"))
	require.LessOrEqual(x.t, x.values, count("consolidated_points"), "more samples out than in")
	require.Zero(x.t, count("state_errors"), "what a process wrote the next one reads")
	x.c.telemetry.Shutdown()
}

// TestHostilePointsAreAccountedFor sends points that no SDK would send, under
// every configuration, twice, with and without a restart in between.
func TestHostilePointsAreAccountedFor(t *testing.T) {
	telemetry := hostileTelemetry{componenttest.NewTelemetry()}
	defer func() { require.NoError(t, telemetry.Shutdown(context.WithoutCancel(t.Context()))) }()
	for name, md := range hostileBatches() {
		for i, yaml := range hostileRules {
			t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) {
				x := newCell(t, yaml, telemetry, true)
				x.play(md)
				x.release()
			})
		}
	}
}

// play sends a batch again and again.
func (x *cell) play(md pmetric.Metrics) {
	x.t.Helper()
	again := func() {
		sent := pmetric.NewMetrics()
		md.CopyTo(sent)
		x.send(sent)
	}
	again()
	x.turn()
	again()
	again()
	if x.config.Storage != nil {
		x.restart()
	}
	again()
	x.turn()
}

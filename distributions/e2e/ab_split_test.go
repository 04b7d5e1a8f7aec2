//go:build e2e

package e2e

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/connector/abrouterconnector"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor"
)

// weights are those of an experiment over time, in minutes since its fleet began.
var splitWeights = map[int]int{10: 1, 20: 5, 30: 25, 40: 50, 50: 100, 60: 0}

const (
	splitMinutes = 75
	splitPods    = 300
	splitRange   = 5 // minutes
)

// splitControl is where the router finds its experiment.
type splitControl struct {
	component.StartFunc
	component.ShutdownFunc

	mu      sync.Mutex
	current *policy.Snapshot
}

func (c *splitControl) Policy() *policy.Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// set publishes a weight, as control does.
func (c *splitControl) set(weight int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, version := 0, uint64(1)
	if c.current != nil {
		version += c.current.Version
		if len(c.current.Routes) > 0 {
			before = c.current.Routes[0].Weight
		}
	}
	c.current = &policy.Snapshot{Version: version, Routes: []policy.Route{{
		Experiment: "team/shop", Epoch: 1, Signal: "metrics", Mode: "split", Scope: map[string]string{"resource.service.name": "shop"},
		Unit: "attribute", Attribute: "resource.pod", Weight: weight, Before: before, ChangedAt: time.Now(),
	}}}
}

func (c *splitControl) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("phoenix_control"): c}
}

// written is what a database was sent: samples by the labels of the series.
type written map[string][]writtenSample

type writtenSample struct {
	at time.Time
	v  float64
}

// consumer returns one that writes. Samples of both arms go to one database.
func (w written) consumer(t *testing.T, mu *sync.Mutex) consumer.Metrics {
	t.Helper()
	next, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		mu.Lock()
		defer mu.Unlock()
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					points := pmetric.NewNumberDataPointSlice()
					if m.Type() == pmetric.MetricTypeSum {
						points = m.Sum().DataPoints()
					} else if m.Type() == pmetric.MetricTypeGauge {
						points = m.Gauge().DataPoints()
					}
					for _, p := range points.All() {
						w.add(rm.Resource().Attributes(), m.Name(), p)
					}
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
	return next
}

func (w written) add(resource pcommon.Map, name string, p pmetric.NumberDataPoint) {
	b := labels.NewBuilder(labels.FromStrings("__name__", name))
	for _, attributes := range []pcommon.Map{resource, p.Attributes()} {
		for key, v := range attributes.All() {
			b.Set(strings.ReplaceAll(key, ".", "_"), v.AsString())
		}
	}
	v := float64(p.IntValue()) + p.DoubleValue()
	if p.Flags().NoRecordedValue() {
		v = math.Float64frombits(value.StaleNaN)
	}
	key := b.Labels().String()
	w[key] = append(w[key], writtenSample{p.Timestamp().AsTime(), v})
}

// load puts the samples into a real TSDB.
func (w written) load(t *testing.T) *teststorage.TestStorage {
	t.Helper()
	storage := teststorage.New(t)
	p := parser.NewParser(parser.Options{})
	for key, samples := range w {
		series, err := p.ParseMetric(key)
		require.NoError(t, err)
		slices.SortStableFunc(samples, func(a, b writtenSample) int { return a.at.Compare(b.at) })
		app := storage.Appender(t.Context())
		for i, s := range samples {
			if i > 0 && s.at.UnixMilli() == samples[i-1].at.UnixMilli() {
				require.Equal(t, math.Float64bits(samples[i-1].v), math.Float64bits(s.v), "two values of one time in %s", key)
				continue
			}
			_, err := app.Append(0, series, s.at.UnixMilli(), s.v)
			require.NoError(t, err)
		}
		require.NoError(t, app.Commit())
	}
	return storage
}

// splitPipeline is a router with its arms. A consolidated arm drops the pod.
func splitPipeline(t *testing.T, control *splitControl, consolidated [2]bool, next consumer.Metrics) consumer.Metrics {
	t.Helper()
	ids := [2]pipeline.ID{pipeline.NewIDWithName(pipeline.SignalMetrics, "baseline"), pipeline.NewIDWithName(pipeline.SignalMetrics, "candidate")}
	arms := map[pipeline.ID]consumer.Metrics{}
	for i, id := range ids {
		arms[id] = next
		if !consolidated[i] {
			continue
		}
		factory := tagconsolidationprocessor.NewFactory()
		cfg := factory.CreateDefaultConfig()
		require.NoError(t, confmap.NewFromStringMap(map[string]any{
			"writer": map[string]any{"id": id.Name()},
			"rules": []any{map[string]any{
				"name": "drop-pod", "gauge": "sum", "match": map[string]any{"metric": "*"}, "attributes": map[string]any{"drop": []any{"pod"}},
			}},
		}).Unmarshal(cfg))
		p, err := factory.CreateMetrics(t.Context(), processortest.NewNopSettings(factory.Type()), cfg, next)
		require.NoError(t, err)
		require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
		t.Cleanup(func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) })
		arms[id] = p
	}
	factory := abrouterconnector.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"baseline": []any{ids[0].String()}, "candidate": []any{ids[1].String()}, "control": "phoenix_control",
	}).Unmarshal(cfg))
	router, err := factory.CreateMetricsToMetrics(t.Context(), connectortest.NewNopSettings(factory.Type()), cfg, connector.NewMetricsRouter(arms))
	require.NoError(t, err)
	require.NoError(t, router.Start(t.Context(), control))
	t.Cleanup(func() { require.NoError(t, router.Shutdown(context.WithoutCancel(t.Context()))) })
	return router
}

// splitRun scrapes a fleet once a minute while the weights change between scrapes.
// It returns what was sent, what both arms wrote, and when to ask: after the edge
// that follows each scrape.
func splitRun(t *testing.T, consolidated [2]bool) (sent, out written, instants []time.Time) {
	t.Helper()
	sent, out = written{}, written{}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		control := &splitControl{}
		control.set(0)
		router := splitPipeline(t, control, consolidated, out.consumer(t, &mu))
		input := sent.consumer(t, &mu)
		random := rand.New(rand.NewPCG(3, 4))
		total := make([]int64, splitPods)
		for pod := range total {
			total[pod] = 100_000 // or the extrapolation of young counters ends at 0
		}
		time.Sleep(5 * time.Second)
		for minute := range splitMinutes {
			md := splitScrape(random, total)
			require.NoError(t, input.ConsumeMetrics(t.Context(), md))
			require.NoError(t, router.ConsumeMetrics(t.Context(), md))
			time.Sleep(15 * time.Second)
			instants = append(instants, time.Now())
			time.Sleep(20 * time.Second)
			if weight, ok := splitWeights[minute]; ok {
				control.set(weight)
			}
			time.Sleep(25 * time.Second)
		}
	})
	return sent, out, instants
}

func splitScrape(random *rand.Rand, total []int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	now := pcommon.NewTimestampFromTime(time.Now())
	for pod := range total {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", "shop")
		rm.Resource().Attributes().PutStr("pod", "pod-"+strconv.Itoa(pod))
		metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
		requests, queue := metrics.AppendEmpty(), metrics.AppendEmpty()
		requests.SetName("requests")
		requests.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		requests.Sum().SetIsMonotonic(true)
		total[pod] += random.Int64N(50)
		p := requests.Sum().DataPoints().AppendEmpty()
		p.SetTimestamp(now)
		p.SetIntValue(total[pod])
		queue.SetName("queue")
		p = queue.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(now)
		p.SetIntValue(random.Int64N(100))
	}
	return md
}

// ask evaluates a query that has one answer.
func askOne(t *testing.T, engine *promql.Engine, storage *teststorage.TestStorage, query string, at time.Time) float64 {
	t.Helper()
	q, err := engine.NewInstantQuery(t.Context(), storage, nil, query, at)
	require.NoError(t, err)
	defer q.Close()
	v, err := q.Exec(t.Context()).Vector()
	require.NoError(t, err)
	require.Len(t, v, 1, "%s at %s", query, at)
	return v[0].F
}

// steady says whether no series of an arm begins or ends within the range of a
// query at a minute. PromQL extrapolates each series to the ends of the range:
// only then do two arms have the answer of one. A consolidated arm has one series,
// which begins with the first pod and ends with the last; a raw one has one a pod.
func steady(minute int, consolidated [2]bool) bool {
	for from, weight := range splitWeights {
		begins := consolidated != [2]bool{true, true} || weight == 1 || weight == 100 || weight == 0
		if begins && minute > from && minute <= from+splitRange+1 {
			return false
		}
	}
	return true
}

// The queries of users, asked by the real engine of Prometheus of what both arms
// wrote, have the answers that the input has, at every scrape while the weight
// goes from 0 over 1, 5, 25, 50 and 100 to 0.
func TestQueriesOverBothArmsSeeNoChangeOfWeight(t *testing.T) {
	for name, consolidated := range map[string][2]bool{
		"both consolidated":      {true, true},
		"candidate consolidated": {false, true},
		"none consolidated":      {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			sent, out, instants := splitRun(t, consolidated)
			before, after := sent.load(t), out.load(t)
			engine := promql.NewEngine(promql.EngineOpts{
				MaxSamples: 50_000_000, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{}),
			})
			t.Cleanup(func() { require.NoError(t, engine.Close()) })
			rate := "sum by (service_name) (rate(requests[" + strconv.Itoa(splitRange) + "m]))"
			worst, compared := 0.0, 0
			for minute, at := range instants {
				const levels = "sum by (service_name) (queue)"
				require.InEpsilon(t, askOne(t, engine, before, levels, at), askOne(t, engine, after, levels, at), 1e-9, "%s at minute %d", levels, minute)
				if minute <= splitRange {
					continue
				}
				want, got := askOne(t, engine, before, rate, at), askOne(t, engine, after, rate, at)
				off := math.Abs(got-want) / want
				if steady(minute, consolidated) || consolidated == [2]bool{} {
					compared++
					require.LessOrEqual(t, off, 1e-9, "%s at minute %d: %g instead of %g", rate, minute, got, want)
				}
				worst = max(worst, off)
			}
			t.Logf("where a series begins or ends within the range, extrapolation makes a difference of up to %.2f %%", 100*worst)
			require.Less(t, worst, 0.4)
			require.Greater(t, compared, 30)
		})
	}
}

package abrouterconnector

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor"
)

// sample is what a database has of a series at a time.
type sample struct {
	at    time.Time
	value float64
	stale bool
}

// database keeps series by name and labels, as they are written.
type database map[string]map[string][]sample

func (d database) write(arm string, md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				d.metric(arm, rm.Resource().Attributes(), m)
			}
		}
	}
}

func (d database) metric(arm string, resource pcommon.Map, m pmetric.Metric) {
	add := func(part string, attributes pcommon.Map, at pcommon.Timestamp, flags pmetric.DataPointFlags, value float64) {
		name, key := m.Name()+part, labels(resource)+labels(attributes)+arm
		if d[name] == nil {
			d[name] = map[string][]sample{}
		}
		d[name][key] = append(d[name][key], sample{at: at.AsTime(), value: value, stale: flags.NoRecordedValue()})
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge, pmetric.MetricTypeSum:
		for _, p := range numbers(m).All() {
			add("", p.Attributes(), p.Timestamp(), p.Flags(), float64(p.IntValue())+p.DoubleValue())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			add("_count", p.Attributes(), p.Timestamp(), p.Flags(), float64(p.Count()))
			for i, c := range p.BucketCounts().All() {
				add("_bucket_"+strconv.Itoa(i), p.Attributes(), p.Timestamp(), p.Flags(), float64(c))
			}
			if p.Flags().NoRecordedValue() {
				add("_bucket_0", p.Attributes(), p.Timestamp(), p.Flags(), 0)
				add("_bucket_1", p.Attributes(), p.Timestamp(), p.Flags(), 0)
			}
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			add("_count", p.Attributes(), p.Timestamp(), p.Flags(), float64(p.Count()))
			add("_zero", p.Attributes(), p.Timestamp(), p.Flags(), float64(p.ZeroCount()))
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			add("_count", p.Attributes(), p.Timestamp(), p.Flags(), float64(p.Count()))
			add("_sum", p.Attributes(), p.Timestamp(), p.Flags(), p.Sum())
		}
	case pmetric.MetricTypeEmpty:
	}
}

func labels(m pcommon.Map) string {
	parts := make([]string, 0, 3)
	for key, v := range m.All() {
		parts = append(parts, " "+key+"="+v.AsString())
	}
	slices.Sort(parts)
	return strings.Join(parts, "")
}

// sumOf is sum(name) now: of each series the last value that is not
// older than five minutes, if it is not stale.
func (d database) sumOf(name string, at time.Time) (sum float64, series int) {
	for _, samples := range d[name] {
		if last := samples[len(samples)-1]; !last.stale && at.Sub(last.at) < 5*time.Minute {
			sum += last.value
			series++
		}
	}
	return sum, series
}

// increaseOf is sum(increase(name[window])) at a time without the extrapolation
// of PromQL: what the samples in the window say that the series grew by. Stale
// markers are no samples, and a value that falls is a restart.
func (d database) increaseOf(name string, at time.Time, window time.Duration) (sum float64) {
	for _, samples := range d[name] {
		next := -1.0
		for _, s := range slices.Backward(samples) {
			if !s.at.After(at.Add(-window)) {
				break
			}
			switch {
			case s.stale:
				continue
			case next >= s.value:
				sum += next - s.value
			case next >= 0:
				sum += next
			}
			next = s.value
		}
	}
	return sum
}

// total is the sum of all values ever written, of deltas.
func (d database) total(name string) (sum float64) {
	for _, samples := range d[name] {
		for _, s := range samples {
			sum += s.value
		}
	}
	return sum
}

// fleet are pods that all send once an interval.
type fleet struct {
	random   *rand.Rand
	requests [][2]int64
	started  time.Time
}

const pods = 80

func newFleet() *fleet {
	f := &fleet{random: rand.New(rand.NewPCG(1, 2)), requests: make([][2]int64, pods), started: time.Now()}
	for i := range f.requests {
		f.requests[i] = [2]int64{f.random.Int64N(1000), f.random.Int64N(1000)}
	}
	return f
}

// scrape is what all pods say now.
func (f *fleet) scrape() pmetric.Metrics {
	md := pmetric.NewMetrics()
	now, start := pcommon.NewTimestampFromTime(time.Now()), pcommon.NewTimestampFromTime(f.started)
	for pod := range f.requests {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", "shop")
		rm.Resource().Attributes().PutStr("pod", "pod-"+strconv.Itoa(pod))
		metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
		named := func(name string) pmetric.Metric {
			m := metrics.AppendEmpty()
			m.SetName(name)
			return m
		}
		put := func(p pmetric.NumberDataPoint, code string, value int64) {
			p.Attributes().PutStr("code", code)
			p.SetTimestamp(now)
			p.SetStartTimestamp(start)
			p.SetIntValue(value)
		}
		requests, deltas := named("requests"), named("deltas")
		counterOf(requests)
		deltas.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		for i, code := range []string{"200", "500"} {
			grown := f.random.Int64N(50)
			f.requests[pod][i] += grown
			put(requests.Sum().DataPoints().AppendEmpty(), code, f.requests[pod][i])
			put(deltas.Sum().DataPoints().AppendEmpty(), code, grown)
			deltas.Sum().DataPoints().At(i).SetStartTimestamp(now - pcommon.Timestamp(time.Second))
		}
		queue, open := named("queue"), named("open")
		put(queue.SetEmptyGauge().DataPoints().AppendEmpty(), "-", f.random.Int64N(100))
		open.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		put(open.Sum().DataPoints().AppendEmpty(), "-", f.random.Int64N(100))
		latency := named("latency")
		latency.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := latency.Histogram().DataPoints().AppendEmpty()
		p.SetTimestamp(now)
		p.SetStartTimestamp(start)
		p.BucketCounts().FromRaw([]uint64{uint64(f.requests[pod][0]), uint64(f.requests[pod][1])})
		p.SetCount(uint64(f.requests[pod][0] + f.requests[pod][1]))
		p.ExplicitBounds().FromRaw([]float64{1})
		sizes, calls := named("sizes"), named("calls")
		sizes.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		e := sizes.ExponentialHistogram().DataPoints().AppendEmpty()
		e.SetTimestamp(now)
		e.SetStartTimestamp(start)
		e.SetZeroCount(uint64(f.requests[pod][0]))
		e.Positive().BucketCounts().FromRaw([]uint64{uint64(f.requests[pod][1])})
		e.SetCount(p.Count())
		s := calls.SetEmptySummary().DataPoints().AppendEmpty()
		s.SetTimestamp(now)
		s.SetStartTimestamp(start)
		s.SetCount(p.Count())
		s.SetSum(float64(f.requests[pod][1]))
	}
	return md
}

// consolidator starts a real tag_consolidation that drops the pod.
func consolidator(t *testing.T, name string, next consumer.Metrics) processor.Metrics {
	t.Helper()
	factory := tagconsolidationprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"interval": "15s",
		"writer":   map[string]any{"id": name},
		"rules": []any{map[string]any{
			"name": "drop-pod", "gauge": "sum", "summary": "merge_count_sum", "match": map[string]any{"metric": "*"}, "attributes": map[string]any{"drop": []any{"pod"}},
		}},
	}).Unmarshal(cfg))
	p, err := factory.CreateMetrics(t.Context(), processortest.NewNopSettings(factory.Type()), cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) })
	return p
}

// trial is both arms, from the splitter to the database.
type trial struct {
	t    *testing.T
	w    *world
	arms [sides]consumer.Metrics
	// input is what a database would have of all points, output what it has of both
	// arms, both without what was written by another arm.
	input, output  database
	withoutOverlap int
}

// written says how arms are written to the database.
type written uint8

const (
	bothConsolidated written = iota
	baselineRaw              // and the candidate consolidated
	bothRaw                  // to one backend, so that both write the same series
)

// newTrial makes one.
func newTrial(t *testing.T, as written, e routing.Experiment) *trial {
	t.Helper()
	tr := &trial{t: t, w: newWorld(t, 0, e), input: database{}, output: database{}}
	var mu sync.Mutex
	for of, name := range []string{"baseline", "candidate"} {
		consolidated := as == bothConsolidated || as == baselineRaw && side(of) == toCandidate
		sink, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
			mu.Lock() // both consolidators turn at one edge
			defer mu.Unlock()
			if as == bothRaw {
				tr.output.write("", md)
			} else {
				tr.output.write(name, md)
			}
			return nil
		})
		require.NoError(t, err)
		tr.arms[of] = sink
		if consolidated {
			tr.arms[of] = consolidator(t, name, sink)
		}
	}
	return tr
}

// send divides a batch and gives the arms what is theirs, in the order in which
// the router does.
func (tr *trial) send(md pmetric.Metrics) {
	tr.t.Helper()
	tr.input.write("", md)
	tr.w.now = time.Now()
	d := tr.w.divide(md)
	tr.withoutOverlap += d.withoutOverlap
	for of := range sides {
		if d.lastPoints[of] > 0 {
			require.NoError(tr.t, tr.arms[of].ConsumeMetrics(tr.t.Context(), d.last[of]))
		}
	}
	for of := range sides {
		if d.has[of] {
			require.NoError(tr.t, tr.arms[of].ConsumeMetrics(tr.t.Context(), d.parts[of]))
		}
	}
}

var counters = []string{
	"requests", "latency_count", "latency_bucket_0", "latency_bucket_1", "sizes_count", "sizes_zero", "calls_count", "calls_sum",
}

// changes are the weights of an experiment, each from a minute on.
var changes = map[int]int{10: 1, 20: 5, 30: 25, 40: 50, 50: 100, 60: 0}

const trialMinutes = 75

// run scrapes once a minute for as long as the experiment takes, changes weights
// between scrapes, and calls judge after the edge that follows each scrape.
func (tr *trial) run(judge func(minute int, at time.Time)) {
	tr.t.Helper()
	f := newFleet()
	time.Sleep(5 * time.Second)
	for minute := range trialMinutes {
		tr.send(f.scrape())
		time.Sleep(15 * time.Second) // past the edge
		synctest.Wait()
		judge(minute, time.Now())
		time.Sleep(20 * time.Second)
		if weight, ok := changes[minute]; ok {
			tr.w.set(weight)
		}
		time.Sleep(25 * time.Second)
	}
	synctest.Wait()
}

// What a query over both arms says is what it says over the input, at every
// scrape, through all changes of weight: sums of levels, and increases over any
// range. Both arms are consolidated by the real processor.
func TestConsolidatedArmsAddUp(t *testing.T) {
	for _, e := range []routing.Experiment{byPod(), shop(routing.UnitResource), shop(routing.UnitSeries)} {
		t.Run(string(e.Unit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t, bothConsolidated, e)
				compared := 0
				tr.run(func(minute int, at time.Time) {
					for _, name := range []string{"queue", "open"} {
						want, _ := tr.input.sumOf(name, at)
						got, series := tr.output.sumOf(name, at)
						require.InDelta(t, want, got, 1e-6, "sum of %s at minute %d", name, minute)
						require.LessOrEqual(t, series, 2)
					}
					windows := []time.Duration{2 * time.Minute, 5 * time.Minute}
					if minute%6 == 5 {
						windows = append(windows, time.Hour)
					}
					for _, window := range windows {
						for _, name := range counters {
							want := tr.input.increaseOf(name, at, window)
							require.InDelta(t, want, tr.output.increaseOf(name, at, window), 1e-6, "increase of %s over %s at minute %d", name, window, minute)
							compared += int(min(want, 1))
						}
					}
				})
				require.Greater(t, compared, 1200)
				require.InDelta(t, tr.input.total("deltas"), tr.output.total("deltas"), 1e-6)
				require.Zero(t, tr.withoutOverlap)
			})
		})
	}
}

// byPod has the values of an attribute of the resource for units.
func byPod() routing.Experiment {
	e := shop(routing.UnitAttribute)
	e.UnitAttribute = routing.AttributeRef{Level: routing.LevelAny, Key: "pod"}
	return e
}

// Where the baseline is written as it is, a series that comes back to it still
// has its old samples: a range that reaches back to them counts a second time what
// the candidate counted meanwhile. All other ranges are right.
func TestARawBaselineAddsUpButForWhoComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t, baselineRaw, byPod())
		back := 60 // the minute at which all come back
		twice := map[time.Duration]int{}
		tr.run(func(minute int, at time.Time) {
			for _, name := range []string{"queue", "open"} {
				want, inputs := tr.input.sumOf(name, at)
				got, outputs := tr.output.sumOf(name, at)
				require.InDelta(t, want, got, 1e-6, "sum of %s at minute %d", name, minute)
				require.LessOrEqual(t, outputs, inputs+1, "of the candidate there is one")
			}
			if minute == 53 || minute == 63 { // two scrapes after all moved
				_, live := tr.output.sumOf("requests", at)
				require.Equal(t, map[int]int{53: 2, 63: 2 * pods}[minute], live, "who left is gone")
			}
			for _, window := range []time.Duration{2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute} {
				want, got := tr.input.increaseOf("requests", at, window), tr.output.increaseOf("requests", at, window)
				// At minute 51 the last came to the candidate, at minute 61 they are back.
				if minute > back && window > 10*time.Minute {
					require.GreaterOrEqual(t, got, want)
					if got > want {
						twice[window]++
					}
					continue
				}
				require.InDelta(t, want, got, 1e-6, "increase over %s at minute %d", window, minute)
			}
		})
		require.Positive(t, twice[30*time.Minute], "the limit that README.md states")
	})
}

// Arms that write the same series to one backend, as with an experiment that
// changes something else: every series is as if it had never moved.
func TestRawArmsOfOneBackendAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t, bothRaw, shop(routing.UnitSeries))
		tr.run(func(minute int, at time.Time) {
			for _, name := range []string{"queue", "open", "requests", "latency_count"} {
				want, inputs := tr.input.sumOf(name, at)
				got, outputs := tr.output.sumOf(name, at)
				require.InDelta(t, want, got, 1e-6, "sum of %s at minute %d", name, minute)
				require.Equal(t, inputs, outputs)
			}
			for _, name := range counters {
				require.InDelta(t, tr.input.increaseOf(name, at, time.Hour), tr.output.increaseOf(name, at, time.Hour), 1e-6, "increase of %s at minute %d", name, minute)
			}
		})
		for name := range tr.output {
			for key := range tr.output[name] {
				require.Contains(t, tr.input[name], key, "no series is new")
			}
		}
	})
}

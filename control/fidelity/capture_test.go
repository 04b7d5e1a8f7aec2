package fidelity_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

const examples = "../../examples"

// readCapture returns seven scrapes of a kube-apiserver in a row.
var readCapture = sync.OnceValues(func() ([]pmetric.Metrics, error) {
	var all []pmetric.Metrics
	for _, folder := range []string{"kube-apiserver", "consolidate-kubernetes"} {
		rounds, err := capture.Read(os.DirFS(filepath.Join(examples, folder, "rounds")))
		if err != nil {
			return nil, err
		}
		for _, round := range rounds {
			md, err := capture.Metrics(round, capture.Origin{Job: "apiserver", Instance: "10.0.0.1:6443", Start: time.Unix(1, 0), Time: time.Unix(2, 0)})
			if err != nil {
				return nil, err
			}
			for _, sm := range md.ResourceMetrics().At(0).ScopeMetrics().All() {
				sm.Metrics().RemoveIf(func(m pmetric.Metric) bool { return !kubernetesMetrics[m.Name()] })
			}
			all = append(all, md)
		}
	}
	return all, nil
})

// replayed plays the capture again and again: what grew in it grows on.
type replayed struct {
	t      *testing.T
	scrape time.Duration
	// second is when, after a multiple of the scrape interval, it is scraped.
	second time.Duration
	rounds []pmetric.Metrics
	start  time.Time
	count  int
}

func (r *replayed) at(elapsed time.Duration) pmetric.Metrics {
	if r.start.IsZero() {
		r.start = time.Now()
	}
	if (elapsed-r.second)%r.scrape != 0 || elapsed < r.second {
		return pmetric.NewMetrics()
	}
	last := len(r.rounds) - 1
	cycle := r.count / last
	md := r.round(r.count % last)
	grow(md, r.rounds[0], r.rounds[last], cycle)
	r.count++
	return md
}

// round is a copy of a round, as if it were measured now.
func (r *replayed) round(i int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	r.rounds[i].CopyTo(md)
	// A scrape bears the time at which it begins.
	start, now := pcommon.NewTimestampFromTime(r.start.Add(-time.Hour)), pcommon.NewTimestampFromTime(time.Now().Add(-700*time.Millisecond))
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		stamp(m, start, now)
	}
	return md
}

func stamp(m pmetric.Metric, start, now pcommon.Timestamp) {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		for _, dp := range m.Sum().DataPoints().All() {
			dp.SetStartTimestamp(start)
			dp.SetTimestamp(now)
		}
	case pmetric.MetricTypeHistogram:
		for _, dp := range m.Histogram().DataPoints().All() {
			dp.SetStartTimestamp(start)
			dp.SetTimestamp(now)
		}
	case pmetric.MetricTypeGauge:
		for _, dp := range m.Gauge().DataPoints().All() {
			dp.SetTimestamp(now)
		}
	}
}

// grow adds to all that only grows what it grew by between two rounds, so many
// times.
func grow(md, first, last pmetric.Metrics, times int) {
	growth := map[string][2]pmetric.HistogramDataPoint{}
	sums := map[string][2]float64{}
	for end, round := range []pmetric.Metrics{first, last} {
		eachCounter(round, func(key string, dp pmetric.NumberDataPoint) {
			pair := sums[key]
			pair[end] = numberOf(dp)
			sums[key] = pair
		}, func(key string, dp pmetric.HistogramDataPoint) {
			pair, ok := growth[key]
			if !ok {
				pair = [2]pmetric.HistogramDataPoint{pmetric.NewHistogramDataPoint(), pmetric.NewHistogramDataPoint()}
			}
			pair[end] = dp
			growth[key] = pair
		})
	}
	n := uint64(times)
	eachCounter(md, func(key string, dp pmetric.NumberDataPoint) {
		pair := sums[key]
		dp.SetDoubleValue(numberOf(dp) + float64(times)*(pair[1]-pair[0]))
	}, func(key string, dp pmetric.HistogramDataPoint) {
		pair := growth[key]
		dp.SetCount(dp.Count() + n*(pair[1].Count()-pair[0].Count()))
		dp.SetSum(dp.Sum() + float64(times)*(pair[1].Sum()-pair[0].Sum()))
		for i, c := range dp.BucketCounts().All() {
			var grown uint64
			if pair[1].BucketCounts().Len() > i {
				grown = pair[1].BucketCounts().At(i)
			}
			if pair[0].BucketCounts().Len() > i {
				grown -= pair[0].BucketCounts().At(i)
			}
			dp.BucketCounts().SetAt(i, c+n*grown)
		}
	})
}

func numberOf(dp pmetric.NumberDataPoint) float64 {
	if dp.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(dp.IntValue())
	}
	return dp.DoubleValue()
}

func eachCounter(md pmetric.Metrics, number func(string, pmetric.NumberDataPoint), histogram func(string, pmetric.HistogramDataPoint)) {
	key := func(name string, attributes pcommon.Map) string { return name + fmt.Sprint(attributes.AsRaw()) }
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeSum:
					for _, dp := range m.Sum().DataPoints().All() {
						number(key(m.Name(), dp.Attributes()), dp)
					}
				case pmetric.MetricTypeHistogram:
					for _, dp := range m.Histogram().DataPoints().All() {
						histogram(key(m.Name(), dp.Attributes()), dp)
					}
				}
			}
		}
	}
}

// kubernetes is the candidate of the example, but for its coarser buckets, which
// quantiles see; changed by edit.
func kubernetes(t *testing.T, interval time.Duration, edit func(rules []any) []any) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, "consolidate-kubernetes", "config.yaml"))
	require.NoError(t, err)
	var config struct {
		Processors map[string]map[string]any `yaml:"processors"`
	}
	require.NoError(t, yaml.Unmarshal(text, &config))
	rules, ok := config.Processors["tag_consolidation"]["rules"].([]any)
	require.True(t, ok)
	for _, r := range rules {
		if rule, ok := r.(map[string]any); ok {
			delete(rule, "buckets")
		}
	}
	rules = slices.DeleteFunc(rules, func(r any) bool { // what is left of a rule that is about buckets only
		rule, ok := r.(map[string]any)
		return ok && rule["attributes"] == nil && rule["gauge"] == nil
	})
	out, err := yaml.Marshal(map[string]any{"interval": interval.String(), "writer": "none", "rules": edit(rules)})
	require.NoError(t, err)
	return string(out)
}

// kubernetesFidelity are the rules and the dashboard of kube-prometheus.
func kubernetesFidelity(t *testing.T) experiment.Fidelity {
	t.Helper()
	rules, err := os.ReadFile("testdata/kube-apiserver.rules.yaml")
	require.NoError(t, err)
	dashboard, err := os.ReadFile("testdata/apiserver.dashboard.json")
	require.NoError(t, err)
	return experiment.Fidelity{
		RuleFiles:  []experiment.Document{{Name: "kube-apiserver", Text: string(rules)}},
		Dashboards: []experiment.Document{{Name: "API server", Text: string(dashboard)}},
		Queries: []experiment.Query{
			{Name: "verbs", Expr: `sum by (verb, code) (rate(apiserver_request_total[2m]))`},
			{Name: "latency", Expr: `histogram_quantile(0.99, sum by (le, verb) (rate(apiserver_request_duration_seconds_bucket[4m])))`},
			{Name: "etcd", Expr: `sum by (operation) (increase(etcd_requests_total[4m]))`},
		},
	}
}

var kubernetesMetrics = map[string]bool{
	"apiserver_request_total": true, "apiserver_request_sli_duration_seconds": true, "apiserver_request_duration_seconds": true,
	"etcd_requests_total": true, "workqueue_queue_duration_seconds": true, "workqueue_adds_total": true, "workqueue_depth": true,
	"apiserver_request_terminations_total": true, "process_resident_memory_bytes": true, "go_goroutines": true, "process_cpu_seconds_total": true,
	"rest_client_requests_total": true, "apiserver_client_certificate_expiration_seconds": true,
}

func runKubernetes(t *testing.T, interval, second time.Duration, edit func([]any) []any) []*experiment.FidelityVerdict {
	t.Helper()
	rounds, err := readCapture()
	require.NoError(t, err)
	require.Len(t, rounds, 7)
	r := newRig(t, rigSettings{fidelity: kubernetesFidelity(t), consolidation: kubernetes(t, interval, edit), interval: 30 * time.Second, scope: map[string]string{"service.name": "apiserver"}})
	source := &replayed{t: t, scrape: 10 * time.Second, second: second, rounds: rounds}
	return r.run(15*time.Minute, source.at)
}

// The example's rules, which leave a tenth of the series, are right for all that
// kube-prometheus asks.
func TestCapturedKubernetes(t *testing.T) {
	t.Parallel()
	for _, at := range some([2]time.Duration{10 * time.Second, 3 * time.Second}, [2]time.Duration{30 * time.Second, 9 * time.Second}) {
		t.Run(fmt.Sprintf("interval %s, scraped at second %s", at[0], at[1]), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				verdicts := runKubernetes(t, at[0], at[1], func(rules []any) []any { return rules })
				for i, v := range verdicts {
					if v != nil {
						require.Empty(t, v.Differences, "look %d", i)
					}
				}
				last := verdicts[len(verdicts)-1]
				require.NotNil(t, last)
				t.Log(last)
				// There are data for two alerts; and the panels and recording rules that read
				// more than 10 minutes or metrics that were not captured have none.
				assert.Equal(t, uint64(2), last.Alerts.Judged())
				assert.GreaterOrEqual(t, last.Panels.Judged(), uint64(15))
				assert.Equal(t, uint64(6), last.Recordings.Judged())
			})
		})
	}
}

// A rule that drops code breaks the alerts and panels that count errors.
func TestCapturedKubernetesFindsMissingLabel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		verdicts := runKubernetes(t, 10*time.Second, 3*time.Second, func(rules []any) []any {
			for _, r := range rules {
				if rule, ok := r.(map[string]any); ok && rule["name"] == "requests" {
					rule["attributes"] = map[string]any{"drop": []string{"component", "group", "version", "scope", "subresource", "code"}}
				}
			}
			return rules
		})
		last := verdicts[len(verdicts)-1]
		require.NotNil(t, last)
		var all []string
		for _, d := range last.Differences {
			all = append(all, d.Query+": "+d.Detail)
		}
		text := strings.Join(all, "\n")
		t.Log(text)
		assert.Contains(t, text, "code_resource:apiserver_request_total:rate5m")
		assert.Contains(t, text, "the candidate lacks the label code")
	})
}

package fidelity_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/backend"
)

// What may be wrong with an arm, and a query that finds it out under a swinging
// load with bursts.
func TestBadCandidateDiffers(t *testing.T) {
	t.Parallel()
	byRoute := `sum by (route) (rate(http_requests_total{job="shop"}[2m]))`
	for name, bad := range map[string]struct {
		rules, query, detail string
		backend              backend.PrometheusSettings
		after                func(began time.Time) func(pmetric.Metrics)
	}{
		"a label that is needed": {
			rules: `{name: r, match: {metric: "*"}, attributes: {drop: [pod, route, resource.k8s.pod.name]}, gauge: sum}`,
			query: byRoute, detail: "the candidate lacks the label route",
		},
		"an attribute of the resource that the backend makes a label": {
			rules: `{name: r, match: {metric: "*"}, attributes: {drop: [resource.k8s.pod.name]}, gauge: sum}`,
			query: `sum by (k8s_pod_name) (rate(http_requests_total{job="shop"}[2m]))`, detail: "the candidate lacks the label k8s_pod_name",
			backend: backend.PrometheusSettings{ResourceAttributes: []string{"k8s.pod.name"}},
		},
		"a label that a matcher needs": {
			rules: `{name: r, match: {metric: "*"}, attributes: {drop: [pod, code, resource.k8s.pod.name]}, gauge: sum}`,
			query: `sum(rate(http_requests_total{job="shop",code="500"}[2m]))`, detail: "the candidate has no answer",
		},
		"the mean instead of the sum": {
			rules: `{name: r, match: {metric: "*"}, attributes: {drop: [pod, resource.k8s.pod.name]}, gauge: mean}`,
			query: `sum by (job) (queue_depth)`, detail: "off by",
		},
		"a bound of a histogram": {
			rules: `{name: r, match: {metric: "*"}, attributes: {drop: [pod, resource.k8s.pod.name]}, buckets: {keep_bounds: [0.01, 5]}}`,
			query: `histogram_quantile(0.5, sum by (le, route) (rate(http_latency_seconds_bucket{job="shop"}[2m])))`, detail: "off by",
		},
		"values that are doubled": {
			query: byRoute, detail: "off by",
			after: func(time.Time) func(pmetric.Metrics) {
				return func(md pmetric.Metrics) {
					eachNumber(md, "http.requests", func(dp pmetric.NumberDataPoint) { dp.SetIntValue(2 * dp.IntValue()) })
				}
			},
		},
		"values that are a twentieth too low": {
			query: byRoute, detail: "off by",
			after: func(time.Time) func(pmetric.Metrics) {
				return func(md pmetric.Metrics) {
					eachNumber(md, "http.requests", func(dp pmetric.NumberDataPoint) { dp.SetIntValue(95 * dp.IntValue() / 100) })
				}
			},
		},
		"a series that is missing": {
			query: byRoute, detail: `the candidate lacks 1 of 3 elements, such as {route="/pay"}`,
			after: func(time.Time) func(pmetric.Metrics) { return without("http.requests", "route", "/pay") },
		},
		"a part of a series that is missing": {
			query: `sum(rate(http_requests_total{job="shop"}[2m]))`, detail: "off by",
			after: func(time.Time) func(pmetric.Metrics) { return without("http.requests", "code", "404") },
		},
		"what one interval brought is lost": {
			query: byRoute, detail: "off by",
			after: func(began time.Time) func(pmetric.Metrics) {
				before, lost := map[string]int64{}, map[string]int64{}
				return func(md pmetric.Metrics) {
					now := time.Since(began).Truncate(10 * time.Second)
					eachNumber(md, "http.requests", func(dp pmetric.NumberDataPoint) {
						key := keyOf(dp.Attributes())
						if now == 10*time.Minute {
							lost[key] = dp.IntValue() - before[key]
						}
						before[key] = dp.IntValue()
						dp.SetIntValue(dp.IntValue() - lost[key])
					})
				}
			},
		},
		"everything from some time on": {
			query: byRoute, detail: "off by", // the range has half of it first
			after: func(began time.Time) func(pmetric.Metrics) {
				return func(md pmetric.Metrics) {
					if time.Since(began) > 10*time.Minute {
						md.ResourceMetrics().RemoveIf(func(pmetric.ResourceMetrics) bool { return true })
					}
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := rigSettings{fidelity: queriesOf(bad.query, `sum(up_pods)`), consolidation: dropPod(10 * time.Second), interval: 30 * time.Second, backend: bad.backend}
				if bad.rules != "" {
					s.consolidation = "interval: 10s\nwriter: none\nrules:\n  - " + bad.rules
				}
				if bad.after != nil {
					s.after = bad.after(time.Now())
				}
				r := newRig(t, s)
				verdicts := r.run(16*time.Minute, (&shop{pods: 20, scrape: 10 * time.Second, burst: 3}).at)
				for _, v := range verdicts {
					if v != nil && v.Panels.Differs > 0 {
						require.Equal(t, bad.query, v.Differences[0].Query)
						assert.Contains(t, v.Differences[0].Detail, bad.detail)
						t.Log(v.Differences[0].Detail)
						return
					}
				}
				t.Fatalf("it was not found out: %+v", verdicts[len(verdicts)-1])
			})
		})
	}
}

func eachNumber(md pmetric.Metrics, metric string, change func(pmetric.NumberDataPoint)) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Name() == metric && m.Type() == pmetric.MetricTypeSum {
					for _, dp := range m.Sum().DataPoints().All() {
						change(dp)
					}
				}
			}
		}
	}
}

func without(metric, label, value string) func(pmetric.Metrics) {
	return func(md pmetric.Metrics) {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() != metric {
						continue
					}
					m.Sum().DataPoints().RemoveIf(func(dp pmetric.NumberDataPoint) bool {
						v, _ := dp.Attributes().Get(label)
						return v.Str() == value
					})
				}
			}
		}
	}
}

func keyOf(attributes pcommon.Map) string {
	var parts []string
	for _, key := range []string{"route", "code"} {
		v, _ := attributes.Get(key)
		parts = append(parts, v.Str())
	}
	return strings.Join(parts, "/")
}

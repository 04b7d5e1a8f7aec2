package fidelity_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

const shopRules = `
groups:
  - name: shop
    rules:
      - record: route:http_requests:rate1m
        expr: sum by (job, route) (rate(http_requests_total[1m]))
      - record: route:http_errors:ratio1m
        expr: sum by (job, route) (rate(http_requests_total{code="500"}[1m])) / route:http_requests:rate1m
      - alert: TooManyErrors
        expr: route:http_errors:ratio1m > 0.1
        for: 30s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.route }} fails"}
      - alert: Busy
        expr: sum by (job) (route:http_requests:rate1m) > 1
        labels: {value: "{{ $value }}"}
      - alert: NoShop
        expr: absent(http_requests_total{job="shop"})
      - alert: NoCassandra
        expr: cassandra_down > 0
`

func rulesOf(text string, critical ...string) experiment.Fidelity {
	return experiment.Fidelity{RuleFiles: []experiment.Document{{Name: "shop.yaml", Text: text}}, CriticalAlerts: critical}
}

// An alert that is made to fire fires on both arms.
func TestAlertFiresOnBothArms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := rulesOf(shopRules, "TooManyErrors")
		f.Queries = []experiment.Query{{Name: "raw", Expr: `sum by (job)(sum by (job, route) (rate(http_requests_total[1m])))`}, {Name: "firing", Expr: `count by (alertname) (ALERTS{alertstate="firing",alertname="TooManyErrors"}) == 6`}}
		r := newRig(t, rigSettings{fidelity: f, consolidation: dropPod(10 * time.Second), interval: 10 * time.Second})
		s := &shop{pods: 20, scrape: 10 * time.Second, burst: 3, failing: 1, failsAfter: 5 * time.Minute}
		var last *experiment.FidelityVerdict
		for i, v := range r.run(12*time.Minute, s.at) {
			if last = v; v != nil {
				assert.Empty(t, v.Differences, "look %d", i)
			}
		}
		require.NotNil(t, last)
		assert.Equal(t, experiment.Tally{Total: 4, Identical: 3, NoData: 1}, last.Alerts)
		assert.Equal(t, experiment.Tally{Total: 2, Identical: 2}, last.Panels)
		assert.Equal(t, uint64(2), last.Recordings.Judged())
		assert.Equal(t, []experiment.AlertVerdict{{Name: "TooManyErrors", Verdict: experiment.QueryIdentical}}, last.Critical)
	})
}

// It fires on one arm only if the candidate drops what it needs. Long before, its
// operands differ.
func TestAlertThatFiresOnOneArmDiffers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, rigSettings{
			fidelity: rulesOf(shopRules, "TooManyErrors"), interval: 10 * time.Second,
			consolidation: "interval: 10s\nwriter: none\nrules:\n  - {name: r, match: {metric: \"*\"}, attributes: {drop: [pod, code, resource.k8s.pod.name]}, gauge: sum}",
		})
		s := &shop{pods: 20, scrape: 10 * time.Second, burst: 3, failing: 1, failsAfter: 4 * time.Minute}
		var operands, firing string
		for _, v := range r.run(12*time.Minute, s.at) {
			if v == nil || v.Alerts.Differs == 0 {
				continue
			}
			require.Equal(t, "TooManyErrors", v.Differences[0].Query)
			if operands == "" {
				operands = v.Differences[0].Detail
			}
			firing = v.Differences[0].Detail
		}
		assert.Contains(t, operands, "the candidate lacks 3 of 6 elements")
		assert.Contains(t, firing, `alertname="TooManyErrors"`)
		assert.Contains(t, firing, "fired on the baseline at")
		t.Log(operands)
		t.Log(firing)
	})
}

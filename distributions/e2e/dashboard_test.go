//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/testkit/prometheus"
)

const dashboardFile = root + "/distributions/observability/grafana/phoenix.json"

// grafana stands for what Grafana puts into a query when everything is chosen,
// for a Prometheus that scrapes every second.
var grafana = strings.NewReplacer("$job", ".*", "$instance", ".*", "$point", ".*", "$__rate_interval", "10s")

// notProvoked are metrics that this test cannot bring about, and why.
var notProvoked = map[string]string{
	"otelcol_phoenix_control_tap_offered":           "nobody looks at metrics before there are experiments; the tests of control/tap see it",
	"otelcol_processor_cardinality_tap_points":      "nobody looks at metrics before there are experiments; the tests of the processor see it",
	"otelcol_processor_cardinality_tap_points_lost": "nobody looks at metrics before there are experiments; the tests of the processor see it",
}

// dashboardQuery is one query of the dashboard.
type dashboardQuery struct{ panel, expr string }

func readDashboardQueries(t *testing.T) []dashboardQuery {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	type query struct{ Expr string }
	var d struct {
		Panels []struct {
			Title   string
			Targets []query
		}
		Annotations struct {
			List []struct{ Name, Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &d))
	var queries []dashboardQuery
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries = append(queries, dashboardQuery{p.Title, grafana.Replace(target.Expr)})
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			queries = append(queries, dashboardQuery{a.Name, grafana.Replace(a.Expr)})
		}
	}
	require.Greater(t, len(queries), 130)
	for _, q := range queries {
		assert.NotContains(t, q.expr, "$", "a variable that this test does not know: %s", q.panel)
		_, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
		assert.NoError(t, err, q.panel)
	}
	return queries
}

// startScraper starts a Prometheus that scrapes a collector and evaluates the
// alerts each second.
func startScraper(t *testing.T, telemetryPort int) *prometheus.Server {
	t.Helper()
	server, err := prometheus.Binary(t.Context(), nil)
	require.NoError(t, err)
	alerts, err := filepath.Abs(alertsFile)
	require.NoError(t, err)
	port, dir := freePort(t), t.TempDir()
	config := filepath.Join(dir, "prometheus.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: phoenix
    static_configs: [{targets: ["localhost:%d"]}]
`, alerts, telemetryPort), 0o600))
	start(t, exec.Command(server, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port)))
	s := &prometheus.Server{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	poll(t, patience, func(ctx context.Context) error {
		_, err := s.Query(ctx, "vector(1)", time.Now())
		return err
	})
	return s
}

// Every query of the dashboard has an answer, every alert is evaluated, and
// those fire whose trouble there is, with the real metrics of a real collector.
func TestDashboardAndAlertsOfARunningCollector(t *testing.T) {
	t.Parallel()
	queries := readDashboardQueries(t)
	began := time.Now()
	c := startTroubled(t)
	server := startScraper(t, c.telemetryPort)
	c.liveThroughTrouble(t)

	poll(t, 2*patience, func(ctx context.Context) error { // costs are told once a minute
		var errs []error
		for _, q := range queries {
			errs = append(errs, q.check(ctx, server, began))
		}
		return errors.Join(errs...)
	})
	assertAlerts(t, server, map[string]string{
		"PhoenixKillSwitchEngaged":     "active",
		"PhoenixSeriesLimitExceeded":   "active",
		"PhoenixMeasurementOverflow":   "active",
		"PhoenixConsolidationOverflow": "active",
		"PhoenixPointsDropped":         "active",
		"PhoenixEmitFailed":            "active",
		"PhoenixPointsRefused":         "active",
		"PhoenixExportFails":           "active",
		"PhoenixExportQueueFull":       "active",
		"PhoenixLostInputs":            "active",
		"PhoenixStateErrors":           "active",
		"PhoenixAuditGap":              "active",
		"PhoenixMetricsMixed":          "active",
		"PhoenixBudgetFloorReached":    "active",
		"PhoenixIrregularTraceState":   "active",
		"PhoenixSamplerKeysEvicted":    "active",
		"PhoenixDeadBandsFull":         "active",
		"PhoenixSamplerStorageErrors":  "active",
		"PhoenixCandidateBreached":     "active",
		"PhoenixCandidateFails":        "active",
		"PhoenixMirrorLosesPoints":     "active",
		"PhoenixRoutesRefused":         "inactive",
		"PhoenixStoreUnavailable":      "inactive",
		"PhoenixStoreErrors":           "inactive",
		"PhoenixPublishFails":          "inactive",
		"PhoenixPoliciesLeftOut":       "inactive",
		"PhoenixAPIErrors":             "inactive",
		"PhoenixNoPoints":              "inactive",
		"PhoenixHistoryFails":          "inactive",
	})
}

// check wants an answer, unless the query asks for what this test cannot bring
// about.
func (q dashboardQuery) check(ctx context.Context, server *prometheus.Server, began time.Time) error {
	answered, err := hasAnswer(ctx, server, q.expr, began)
	if err != nil {
		return fmt.Errorf("%s: %w", q.panel, err)
	}
	for metric, reason := range notProvoked {
		if strings.Contains(q.expr, metric+"{") {
			if answered {
				return fmt.Errorf("%s: %s has an answer: strike it out of notProvoked (%s)", q.panel, metric, reason)
			}
			return nil
		}
	}
	// The first sample of the history comes at the next whole five minutes. The
	// tests of control see it.
	if !answered && !strings.Contains(q.expr, "otelcol_phoenix_control_history_samples{") {
		return fmt.Errorf("%s has no answer to %s", q.panel, q.expr)
	}
	return nil
}

// hasAnswer says whether there was a number at any time since began.
func hasAnswer(ctx context.Context, server *prometheus.Server, expr string, began time.Time) (bool, error) {
	matrix, err := server.QueryRange(ctx, expr, prometheus.Range{Start: began, End: time.Now(), Step: time.Second})
	if err != nil {
		return false, err
	}
	for _, series := range matrix {
		for _, pair := range series.Values {
			if !math.IsNaN(float64(pair.Value)) {
				return true, nil
			}
		}
	}
	return false, nil
}

// assertAlerts waits until alerts are active (they fire, or will if it goes on)
// or inactive as is wanted, of which no rule may have failed.
func assertAlerts(t *testing.T, server *prometheus.Server, want map[string]string) {
	t.Helper()
	poll(t, patience, func(ctx context.Context) error {
		rules, err := ruleStates(ctx, server)
		if err != nil {
			return err
		}
		var errs []error
		states := map[string]string{}
		for _, rule := range rules {
			states[rule.Name] = rule.State
			if rule.Health != "ok" {
				errs = append(errs, fmt.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError))
			}
		}
		for name, state := range want {
			active := states[name] == "pending" || states[name] == "firing"
			if active != (state == "active") {
				errs = append(errs, fmt.Errorf("%s is %q, not %s", name, states[name], state))
			}
		}
		return errors.Join(errs...)
	})
}

type ruleState struct{ Name, State, Health, LastError string }

func ruleStates(ctx context.Context, server *prometheus.Server) ([]ruleState, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1/rules?type=alert", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Groups []struct{ Rules []ruleState }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %w", response.Status, err)
	}
	var states []ruleState
	for _, group := range answer.Data.Groups {
		states = append(states, group.Rules...)
	}
	return states, nil
}

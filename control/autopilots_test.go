package control_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/autopilot"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
)

// TestAutopilotBeginsAnExperiment lets a recommendation become an experiment,
// through the service that people's requests reach, with the audit log.
func TestAutopilotBeginsAnExperiment(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(rules, []byte("groups: [{name: a, rules: [{alert: Slow, expr: 'sum(rate(requests_total[5m])) > 1'}]}]\n"), 0o600))
	auto := autopilot.DefaultConfig()
	auto.Enabled, auto.Groups, auto.RuleFiles = true, []string{"cart"}, []string{rules}
	plane := controltest.Open(t, control.Settings{Directory: t.TempDir(), AutoOptimize: auto})
	_, err := plane.RegisterCardinality(report.CardinalityRegistration{Component: "cardinality", Point: "ingest", Source: &controltest.Source{Answer: report.Cardinality{
		Point: "ingest", Component: "cardinality", Backend: "prometheus", GroupBy: "service.name", Window: time.Hour, From: time.Now().Add(-time.Hour), To: time.Now(),
		Metrics: []report.MetricCardinality{{
			Name: "requests", BackendName: "requests_total", Group: "cart", Type: "sum", Series: 20000,
			Best: &report.Saving{Attributes: []string{"pod"}, SeriesWithout: 2000, Series: 18000},
		}},
	}}})
	require.NoError(t, err)
	require.NoError(t, plane.FlyAutopilot(t.Context()))
	require.NoError(t, plane.FlyAutopilot(t.Context()), "one runs, and no second one may")

	var list struct {
		Experiments []struct {
			Name      string
			CreatedBy string `json:"created_by"`
			Status    struct{ Phase string }
			Spec      struct {
				Scope    map[string]string
				Fidelity struct {
					LongestRange string `json:"longest_range"`
				}
			}
		}
	}
	answer := send(t, plane.Handler(), http.MethodGet, "/api/v1/experiments", "")
	require.Equal(t, http.StatusOK, answer.status, answer.body)
	require.NoError(t, json.Unmarshal([]byte(answer.body), &list))
	require.Len(t, list.Experiments, 1, answer.body)
	e := list.Experiments[0]
	assert.Regexp(t, `^auto-requests-[0-9a-f]{8}$`, e.Name)
	assert.Equal(t, "system:autopilot", e.CreatedBy)
	assert.Equal(t, "Running", e.Status.Phase)
	assert.Equal(t, map[string]string{"resource.service.name": "cart"}, e.Spec.Scope)
	assert.Equal(t, "5m0s", e.Spec.Fidelity.LongestRange, "the service has read the queries")

	answer = send(t, plane.Handler(), http.MethodGet, "/api/v1/audit", "")
	assert.Contains(t, answer.body, "experiments.create")
	assert.Contains(t, answer.body, "experiments.start")
}

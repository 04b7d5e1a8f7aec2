//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/metricsource"
	"github.com/phoenix-platform/phoenix/internal/testkit/prometheus"
)

// A real Prometheus answers the queries of guardrails.
func TestGuardrailsAreAskedOfPrometheus(t *testing.T) {
	t.Parallel()
	server := prometheus.Start(t, prometheus.Options{})
	source, err := metricsource.New(metricsource.Settings{URL: server.URL})
	require.NoError(t, err)
	for query, want := range map[string]experiment.Answer{
		`scalar(vector(2))`:                         {Baseline: 2, Candidate: 2},
		`sum(vector(3)) and vector(1)`:              {Baseline: 3, Candidate: 3},
		`up{arm="$arm",experiment="$experiment"}`:   {NoData: true},
		`vector(1) unless (vector("$arm" == bool))`: {Error: "baseline: bad_data: "},
	} {
		got := source.Ask(t.Context(), "default/x", experiment.Guardrail{Name: "g", Query: query}, time.Now())
		if want.Error != "" {
			assert.Contains(t, got.Error, want.Error)
			continue
		}
		want.Guardrail = "g"
		assert.Equal(t, want, got, query)
	}
}

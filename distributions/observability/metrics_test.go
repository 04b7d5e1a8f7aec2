package observability

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	alertsFile = "prometheus/phoenix-alerts.yaml"
	root       = "../.."
)

// documented are the files that mdatagen writes for what has metrics.
var documented = []string{
	"connector/abrouterconnector/documentation.md",
	"control/documentation.md",
	"processor/adaptivesamplerprocessor/documentation.md",
	"processor/cardinalityprocessor/documentation.md",
	"processor/tagconsolidationprocessor/documentation.md",
}

// ofTheCollector are the metrics of the Collector that are used here. The
// end-to-end tests find each of them.
var ofTheCollector = []string{
	"otelcol_exporter_enqueue_failed_metric_points",
	"otelcol_exporter_queue_capacity",
	"otelcol_exporter_queue_size",
	"otelcol_exporter_send_failed_log_records",
	"otelcol_exporter_send_failed_metric_points",
	"otelcol_exporter_send_failed_spans",
	"otelcol_exporter_sent_log_records",
	"otelcol_exporter_sent_metric_points",
	"otelcol_exporter_sent_spans",
	"otelcol_process_cpu_seconds",
	"otelcol_process_memory_rss",
	"otelcol_process_runtime_heap_alloc_bytes",
	"otelcol_process_uptime",
	"otelcol_processor_incoming_items",
	"otelcol_processor_memory_limiter_refused_metric_points",
	"otelcol_processor_outgoing_items",
	"otelcol_receiver_accepted_log_records",
	"otelcol_receiver_accepted_metric_points",
	"otelcol_receiver_accepted_spans",
	"otelcol_receiver_failed_metric_points",
	"otelcol_receiver_refused_log_records",
	"otelcol_receiver_refused_metric_points",
	"otelcol_receiver_refused_spans",
}

// notShown are metrics that the dashboard leaves out, and why.
var notShown = map[string]string{
	"otelcol_phoenix_control_experiment_changes":       "the report of an experiment and the audit log have each change",
	"otelcol_phoenix_control_experiment_looks":         "experiments without looks pause; the phase is shown",
	"otelcol_phoenix_control_experiment_look_duration": "there is none without experiments",
	"otelcol_phoenix_control_experiment_save_duration": "there is none without experiments; what is not stored is shown",
	"otelcol_phoenix_control_webhooks":                 "there are none unless configured",
	"otelcol_processor_tag_consolidation_ended_series": "one for each series when a rule begins",
}

// metrics returns the metrics that our components document, by name; the value
// is the type.
func metrics(t *testing.T) map[string]string {
	t.Helper()
	section := regexp.MustCompile(`(?m)^### (otelcol_\w+)\n(?:.*\n)+?\| .* \| (Gauge|Sum|Histogram) \|`)
	found := map[string]string{}
	for _, file := range documented {
		text, err := os.ReadFile(root + "/" + file)
		require.NoError(t, err)
		all := section.FindAllStringSubmatch(string(text), -1)
		require.Len(t, all, strings.Count(string(text), "\n### otelcol_"), file)
		for _, m := range all {
			found[m[1]] = m[2]
		}
	}
	return found
}

// named returns the metrics that a text names, those of histograms without
// their suffix.
func named(text string, known map[string]string) []string {
	var names []string
	for _, name := range regexp.MustCompile(`\botelcol_\w+`).FindAllString(text, -1) {
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && known[base] == "Histogram" {
				name = base
			}
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Nothing here asks for a metric that there is not.
func TestMetricsThatAreUsedExist(t *testing.T) {
	known := metrics(t)
	for _, name := range ofTheCollector {
		require.NotContains(t, known, name, "it is ours")
		known[name] = "of the Collector"
	}
	var used []string
	for _, file := range []string{dashboardFile, alertsFile, "prometheus/phoenix-alerts.test.yaml", "README.md"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		names := named(string(text), known)
		require.NotEmpty(t, names, file)
		for _, name := range names {
			assert.Contains(t, known, name, "%s names a metric that no documentation.md has", file)
		}
		used = append(used, names...)
	}
	for _, name := range ofTheCollector {
		assert.Contains(t, used, name, "is used nowhere")
	}
}

// A histogram has no series of its own name, and nothing else has one with a
// suffix.
func TestHistogramsAreAskedAsSuch(t *testing.T) {
	known := metrics(t)
	for _, file := range []string{dashboardFile, alertsFile} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for name, kind := range known {
			if kind == "Histogram" {
				assert.NotRegexp(t, `\b`+name+`(\{|\[| unless|\)| offset)`, string(text), file)
			}
		}
	}
}

// Whoever adds a metric shows it, or says why not.
func TestMetricsAreShown(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	known := metrics(t)
	shown := named(string(text), known)
	for name := range known {
		if reason, excused := notShown[name]; excused {
			assert.NotEmpty(t, reason, name)
			assert.NotContains(t, shown, name, "is shown and excused")
			continue
		}
		assert.Contains(t, shown, name, "is in no panel of the dashboard: add one, or excuse it in notShown")
	}
	for name := range notShown {
		assert.Contains(t, known, name, "is excused and does not exist")
	}
}

// Each metric that counts what should not happen has an alert.
func TestTroubleHasAnAlert(t *testing.T) {
	text, err := os.ReadFile(alertsFile)
	require.NoError(t, err)
	known := metrics(t)
	alerted := named(string(text), known)
	trouble := regexp.MustCompile(`(error|failed|lost|dropped|overflow|exceeded|growing|left_out|lag|kill_switch|available|not_audited|conflicts|mismatches|irregular|evicted|breaches|floor_reached|refused_routes)`)
	covered := map[string]string{
		"otelcol_processor_adaptive_sampler_budget_error":   "a budget may be missed for a while; otelcol_processor_adaptive_sampler_budget_floor_reached has the alert",
		"otelcol_processor_adaptive_sampler_left_out_items": "to leave out is what the processor is for",
		"otelcol_processor_cardinality_limit_exceeded":      "otelcol_processor_cardinality_limits_exceeded has the alert, and counts also what the option top leaves out",
		"otelcol_processor_cardinality_tap_points_lost":     "otelcol_phoenix_control_tap_offered has the alert",
	}
	for name := range known {
		if trouble.MatchString(name) && covered[name] == "" {
			assert.Contains(t, alerted, name)
		}
	}
}

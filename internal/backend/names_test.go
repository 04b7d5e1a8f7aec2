package backend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/backend"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
)

const (
	gauge       = cardinality.Gauge
	sum         = cardinality.Sum
	histogram   = cardinality.Histogram
	exponential = cardinality.ExponentialHistogram
	summary     = cardinality.Summary
)

// "If the metric name for monotonic Sum metric points does not end in a suffix
// of _total a suffix of _total SHOULD be added by default." "A suffix to the
// metric name SHOULD be added unless the metric name already ends with the
// unit." "Portions of the Unit within brackets (e.g. {packet}) MUST be dropped."
// "Units defined as rates over time (e.g. m/s) MUST be converted to words".
func TestMetricNames(t *testing.T) {
	counter := func(name, unit string) cardinality.Descriptor {
		return cardinality.Descriptor{Name: name, Unit: unit, Type: sum, Monotonic: true}
	}
	of := func(kind cardinality.Type, name, unit string) cardinality.Descriptor {
		return cardinality.Descriptor{Name: name, Unit: unit, Type: kind}
	}
	for _, tt := range []struct {
		metric cardinality.Descriptor
		want   string
	}{
		{of(histogram, "http.server.request.duration", "s"), "http_server_request_duration_seconds"},
		{of(histogram, "http.server.request.duration_seconds", "s"), "http_server_request_duration_seconds"},
		{of(exponential, "rpc.duration", "ms"), "rpc_duration_milliseconds"},
		{of(summary, "rpc.size", "By"), "rpc_size_bytes"},
		{of(gauge, "memory.usage", "By"), "memory_usage_bytes"},
		{of(gauge, "memory.usage", ""), "memory_usage"},
		{of(gauge, "speed", "m/s"), "speed_meters_per_second"},
		{of(gauge, "cpu.utilization", "1"), "cpu_utilization_ratio"},
		{of(gauge, "cpu.ratio", "1"), "cpu_ratio"},
		{of(gauge, "queue.length", "{item}"), "queue_length"},
		{of(gauge, "1st.metric", ""), "_1st_metric"},
		{of(gauge, "a..b__c", ""), "a_b_c"},
		{of(gauge, "ns:a.b", ""), "ns:a_b"},
		{counter("http.requests", "{request}"), "http_requests_total"},
		{counter("http.requests", "1"), "http_requests_total"},
		{counter("http.requests.total", ""), "http_requests_total"},
		{counter("total.http.requests", ""), "http_requests_total"},
		{counter("network.io", "By"), "network_io_bytes_total"},
		{counter("network.io_bytes_total", "By"), "network_io_bytes_total"},
		{of(sum, "active.requests", "{request}"), "active_requests"},
		{of(sum, "active.requests", "1"), "active_requests"},
		{of(0, "unknown.type", "s"), "unknown_type_seconds"},
	} {
		t.Run(tt.metric.Name+" "+tt.metric.Unit, func(t *testing.T) {
			require.Equal(t, tt.want, prometheus(t, backend.PrometheusSettings{}).MetricName(tt.metric))
		})
	}
}

func TestMetricNamesByTranslation(t *testing.T) {
	bytes := cardinality.Descriptor{Name: "network.io", Unit: "By", Type: sum, Monotonic: true}
	digit := cardinality.Descriptor{Name: "5xx.rate", Unit: "1", Type: gauge}
	for translation, want := range map[string][2]string{
		"UnderscoreEscapingWithSuffixes":    {"network_io_bytes_total", "_5xx_rate_ratio"},
		"UnderscoreEscapingWithoutSuffixes": {"network_io", "_5xx_rate"},
		"NoUTF8EscapingWithSuffixes":        {"network.io_bytes_total", "5xx.rate_ratio"},
		"NoTranslation":                     {"network.io", "5xx.rate"},
	} {
		t.Run(translation, func(t *testing.T) {
			p := prometheus(t, backend.PrometheusSettings{Translation: translation})
			require.Equal(t, want, [2]string{p.MetricName(bytes), p.MetricName(digit)})
		})
	}
}

// A name of which nothing is left is shown as it came.
func TestAMetricNameThatCannotBeTranslatedStays(t *testing.T) {
	for _, name := range []string{"...", "日本", ""} {
		got := prometheus(t, backend.PrometheusSettings{}).MetricName(cardinality.Descriptor{Name: name, Type: gauge})
		require.Equal(t, name, got)
	}
}

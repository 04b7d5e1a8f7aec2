package controltest

import (
	"time"

	"github.com/phoenix-platform/phoenix/control/report"
)

// sampleTime is when the samples end.
var sampleTime = time.Date(2026, time.March, 14, 15, 9, 26, 0, time.UTC)

// Ingest is a measuring point before Prometheus with metrics of every kind: a
// large estimated one over its limit, a growing one, one with a slash in its
// name, and one that cannot be made smaller. Some is past the bounds.
func Ingest() report.Cardinality {
	return report.Cardinality{
		Point:            "ingest",
		Component:        "cardinality/ingest",
		Backend:          "prometheus",
		From:             sampleTime.Add(-10 * time.Minute),
		To:               sampleTime,
		Window:           10 * time.Minute,
		SubWindow:        time.Minute,
		Metrics:          []report.MetricCardinality{up(), runtimeMetric(), calls(), duration()},
		MetricsTracked:   4,
		Series:           1_262_519,
		Streams:          102_519,
		Points:           73_400_123,
		Refused:          map[string]uint64{"unsupported_type": 3, "limit": 1_200},
		MemoryBytes:      13_000_000,
		MemoryLimitBytes: 64 << 20,
		Overflow: &report.CardinalityOverflow{
			Metrics:    12,
			Series:     3_400,
			Points:     9_000,
			Attributes: 1,
			Reasons:    []string{"max_attributes_per_metric", "max_metrics"},
		},
	}
}

// Export is a measuring point before an OTLP backend with metrics divided by
// service.name.
func Export() report.Cardinality {
	checkout, cart := calls(), calls()
	checkout.Group, checkout.Estimated = "checkout", false
	checkout.Series, checkout.Streams = 1_500, 1_500
	checkout.Growth = report.Growth{NewPerMinute: 0.25, NewInWindow: 2}
	cart.Group, cart.Estimated = "cart", false
	cart.Series, cart.Streams, cart.Best, cart.Limit = 19, 19, nil, nil
	cart.Growth = report.Growth{}
	cart.Attributes, cart.Groups = nil, nil
	return report.Cardinality{
		Point:            "export",
		Component:        "cardinality/export",
		Backend:          "otlp",
		GroupBy:          "service.name",
		From:             sampleTime.Add(-5 * time.Minute),
		To:               sampleTime,
		Window:           5 * time.Minute,
		SubWindow:        30 * time.Second,
		Metrics:          []report.MetricCardinality{checkout, cart},
		MetricsTracked:   2,
		Series:           1_519,
		Streams:          1_519,
		Points:           88_000,
		MemoryBytes:      400_000,
		MemoryLimitBytes: 64 << 20,
	}
}

func up() report.MetricCardinality {
	return report.MetricCardinality{
		Name: "up", BackendName: "up", Type: "gauge",
		Series: 3, Streams: 3, Points: 900,
		Attributes: []report.AttributeCardinality{
			{Key: "service.name", Level: report.LevelResource, Label: "job", Distinct: 3, SeriesWithout: 3},
		},
	}
}

func runtimeMetric() report.MetricCardinality {
	return report.MetricCardinality{
		Name: "process.runtime/heap", BackendName: "process_runtime_heap_bytes", Type: "gauge", Unit: "By",
		Series: 16, Streams: 16, Points: 1_600,
		Best: &report.Saving{Attributes: []string{"pool"}, SeriesWithout: 4, Series: 12},
		Attributes: []report.AttributeCardinality{
			{Key: "pool", Level: report.LevelDataPoint, Label: "pool", Distinct: 4, SeriesWithout: 4, Saving: 12},
			{Key: "name", Level: report.LevelScope, Label: "otel_scope_name", Distinct: 1, SeriesWithout: 16},
		},
	}
}

func calls() report.MetricCardinality {
	return report.MetricCardinality{
		Name: "db.client.calls", BackendName: "db_client_calls_total", Type: "sum", Unit: "1",
		Series: 2_500, Streams: 2_500, Points: 400_000,
		Estimated: true, RelativeError: 0.0081,
		Growth: report.Growth{NewPerMinute: 120.4, NewInWindow: 1_204, Growing: true},
		Limit:  &report.SeriesLimit{Match: "db.*", MaxSeries: 20_000},
		Best:   &report.Saving{Attributes: []string{"db.statement"}, SeriesWithout: 100, Series: 1_400},
		Attributes: []report.AttributeCardinality{
			{Key: "db.operation", Level: report.LevelDataPoint, Label: "db_operation", Distinct: 4, SeriesWithout: 1_450, Saving: 50},
			{Key: "db.statement", Level: report.LevelDataPoint, Label: "db_statement", Distinct: 900, SeriesWithout: 100, Saving: 1_400},
		},
	}
}

func duration() report.MetricCardinality {
	pods := []string{"resource.k8s.pod.name", "resource.k8s.pod.uid"}
	return report.MetricCardinality{
		Name: "http.server.request.duration", BackendName: "http_server_request_duration_seconds", Type: "histogram", Unit: "s",
		Series: 1_260_000, Streams: 100_000, Points: 72_997_623,
		Estimated: true, RelativeError: 0.0057,
		Growth: report.Growth{NewPerMinute: 5_230.7, NewInWindow: 52_307, Growing: true, Accelerating: true},
		Limit:  &report.SeriesLimit{Match: "http.*", MaxSeries: 50_000, Exceeded: true},
		Best:   &report.Saving{Attributes: pods, SeriesWithout: 25_200, Series: 1_234_800},
		Attributes: []report.AttributeCardinality{
			{Key: "k8s.pod.uid", Level: report.LevelResource, Distinct: 500, SeriesWithout: 1_260_000},
			{Key: "k8s.pod.name", Level: report.LevelResource, Label: "k8s_pod_name", Distinct: 500, SeriesWithout: 1_259_000, Saving: 1_000},
			{Key: "http.route", Level: report.LevelDataPoint, Label: "http_route", Distinct: 210, SeriesWithout: 600_000, Saving: 660_000},
			{Key: "otel.overflow", Distinct: 40, SeriesWithout: 1_200_000, Saving: 60_000, Overflow: true},
		},
		Groups: []report.AttributeGroup{
			{Attributes: pods, SeriesWithout: 25_200, Saving: 1_234_800, Since: sampleTime.Add(-3 * time.Minute)},
		},
	}
}

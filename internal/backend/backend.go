// Package backend says what an OTLP stream costs in the database that is paid
// for: which attributes become labels there, under which names, and how many
// series one point makes.
//
// Sources: "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry
// specification (resource attributes, instrumentation scope, histograms,
// summaries), and prometheus/otlptranslator for names.
package backend

import (
	"fmt"
	"slices"

	"github.com/prometheus/otlptranslator"

	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// Kinds of backends.
const (
	// KindPrometheus bills label sets: a classic histogram is many series.
	KindPrometheus = "prometheus"
	// KindOTLP bills OTLP streams.
	KindOTLP = "otlp"
)

// Attributes of the resource that every Prometheus-like backend keeps, as the
// labels job and instance.
const (
	serviceName      = "service.name"
	serviceNamespace = "service.namespace"
	serviceInstance  = "service.instance.id"
)

// Streams is the backend that keeps OTLP as it is.
type Streams struct{}

var _ cardinality.Backend = Streams{}

// Streams is true: every attribute is identity.
func (Streams) Streams() bool { return true }

// Label returns the key: every attribute counts.
func (Streams) Label(_ series.Domain, key string) (cardinality.Label, bool) {
	return cardinality.Label{Name: key, Identity: key}, true
}

// MetricName returns the name unchanged.
func (Streams) MetricName(d cardinality.Descriptor) string { return d.Name }

// PrometheusSettings configure a Prometheus backend.
type PrometheusSettings struct {
	// ResourceAttributes are promoted to labels; AllResourceAttributes
	// promotes every one.
	ResourceAttributes    []string
	AllResourceAttributes bool
	// ScopeLabels adds otel_scope_name, otel_scope_version and the attributes
	// of the scope.
	ScopeLabels bool
	// Translation is how names are made: one of Translations.
	Translation string
}

// Translations are the names of otlptranslator's strategies; the first is the
// default of Prometheus.
func Translations() []string {
	return []string{
		string(otlptranslator.UnderscoreEscapingWithSuffixes),
		string(otlptranslator.UnderscoreEscapingWithoutSuffixes),
		string(otlptranslator.NoUTF8EscapingWithSuffixes),
		string(otlptranslator.NoTranslation),
	}
}

// Prometheus is a backend with labels.
type Prometheus struct {
	settings PrometheusSettings
	labels   otlptranslator.LabelNamer
	metrics  otlptranslator.MetricNamer
}

var _ cardinality.Backend = (*Prometheus)(nil)

// NewPrometheus returns the backend. Translation must be one of Translations.
func NewPrometheus(settings PrometheusSettings) (*Prometheus, error) {
	if !slices.Contains(Translations(), settings.Translation) {
		return nil, fmt.Errorf("unknown translation %q", settings.Translation)
	}
	strategy := otlptranslator.TranslationStrategyOption(settings.Translation)
	return &Prometheus{
		settings: settings,
		labels:   otlptranslator.LabelNamer{UTF8Allowed: !strategy.ShouldEscape()},
		metrics:  otlptranslator.NewMetricNamer("", strategy),
	}, nil
}

// Streams is false: labels are what counts.
func (*Prometheus) Streams() bool { return false }

// Label returns the label that an attribute becomes, false if it is dropped on
// the way.
func (p *Prometheus) Label(d series.Domain, key string) (cardinality.Label, bool) {
	switch d {
	case series.Resource:
		return p.resourceLabel(key)
	case series.Scope:
		if !p.settings.ScopeLabels {
			return cardinality.Label{}, false
		}
		return p.label("otel_scope_" + key)
	case series.Point:
		return p.label(key)
	case series.Metric:
	}
	return cardinality.Label{}, false
}

func (p *Prometheus) resourceLabel(key string) (cardinality.Label, bool) {
	switch key {
	case serviceName:
		return cardinality.Label{Name: "job", Identity: "job"}, true
	case serviceNamespace: // job is namespace/name; the parts must not be exchangeable
		return cardinality.Label{Name: "job", Identity: "job/namespace"}, true
	case serviceInstance:
		return cardinality.Label{Name: "instance", Identity: "instance"}, true
	}
	if p.settings.AllResourceAttributes || slices.Contains(p.settings.ResourceAttributes, key) {
		return p.label(key)
	}
	return cardinality.Label{}, false
}

func (p *Prometheus) label(key string) (cardinality.Label, bool) {
	name, err := p.labels.Build(key)
	if err != nil { // a name that no database takes; the attribute is lost there
		return cardinality.Label{}, false
	}
	return cardinality.Label{Name: name, Identity: name}, true
}

// MetricName returns the name of the metric's family, without _bucket and the
// like.
func (p *Prometheus) MetricName(d cardinality.Descriptor) string {
	name, err := p.metrics.Build(otlptranslator.Metric{Name: d.Name, Unit: d.Unit, Type: metricType(d)})
	if err != nil {
		return d.Name
	}
	return name
}

func metricType(d cardinality.Descriptor) otlptranslator.MetricType {
	switch d.Type {
	case cardinality.Gauge:
		return otlptranslator.MetricTypeGauge
	case cardinality.Sum:
		if d.Monotonic {
			return otlptranslator.MetricTypeMonotonicCounter
		}
		return otlptranslator.MetricTypeNonMonotonicCounter
	case cardinality.Histogram:
		return otlptranslator.MetricTypeHistogram
	case cardinality.ExponentialHistogram:
		return otlptranslator.MetricTypeExponentialHistogram
	case cardinality.Summary:
		return otlptranslator.MetricTypeSummary
	}
	return otlptranslator.MetricTypeUnknown
}

// Identifying reports whether a resource attribute is part of job or instance.
// target_info exists for a resource that has one of these and one other.
func Identifying(key string) bool {
	return key == serviceName || key == serviceNamespace || key == serviceInstance
}

// Parts of a point in a Prometheus-like backend, as hashes.
const (
	partOnly = iota + 1
	partSum
	partCount
	partInf
	partBound // and the bits of the bound
)

// AppendNumber appends the one part of a number or a native histogram.
func AppendNumber(parts []uint64) []uint64 { return append(parts, partOnly) }

// AppendHistogram appends the parts of a classic histogram: its bounds, +Inf,
// the count and, if it has one, the sum.
func AppendHistogram(parts []uint64, bounds []float64, hasSum bool) []uint64 {
	parts = appendBounds(parts, bounds)
	parts = append(parts, partInf, partCount)
	if hasSum {
		parts = append(parts, partSum)
	}
	return parts
}

// AppendSummary appends the parts of a summary: its quantiles, count and sum.
func AppendSummary(parts []uint64, quantiles []float64) []uint64 {
	return append(appendBounds(parts, quantiles), partCount, partSum)
}

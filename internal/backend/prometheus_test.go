package backend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/backend"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// The sentences in quotes are those of "Prometheus and OpenMetrics
// Compatibility" in the OpenTelemetry specification, section "OTLP Metric
// points to Prometheus".

// prometheus returns a backend with the default translation unless the settings
// name another one.
func prometheus(t *testing.T, settings backend.PrometheusSettings) *backend.Prometheus {
	t.Helper()
	if settings.Translation == "" {
		settings.Translation = backend.Translations()[0]
	}
	p, err := backend.NewPrometheus(settings)
	require.NoError(t, err)
	return p
}

func label(name string) cardinality.Label { return cardinality.Label{Name: name, Identity: name} }

// attribute is an attribute and the label that it becomes, none if it is lost.
type attribute struct {
	domain series.Domain
	key    string
	want   cardinality.Label
}

func checkLabels(t *testing.T, p cardinality.Backend, list []attribute) {
	t.Helper()
	for _, a := range list {
		got, ok := p.Label(a.domain, a.key)
		require.Equal(t, a.want, got, "%d %q", a.domain, a.key)
		require.Equal(t, a.want.Name != "", ok, "%d %q", a.domain, a.key)
	}
}

// "The service.name and service.namespace attributes MUST be combined as
// <service.namespace>/<service.name> ... to form the job metric label. The
// service.instance.id attribute, if present, MUST be converted to the instance
// label." And: "Resource attributes MAY be copied to labels ... if required by
// the exporter configuration, or MUST be dropped".
func TestResourceAttributes(t *testing.T) {
	none := cardinality.Label{}
	for name, tt := range map[string]struct {
		settings  backend.PrometheusSettings
		pod, zone cardinality.Label
	}{
		"none are promoted": {backend.PrometheusSettings{}, none, none},
		"all are":           {backend.PrometheusSettings{AllResourceAttributes: true}, label("k8s_pod_name"), label("cloud_zone")},
		"those of a list": {
			backend.PrometheusSettings{ResourceAttributes: []string{"k8s.pod.name", "host.name"}}, label("k8s_pod_name"), none,
		},
		"a list has the names of attributes, not of labels": {
			backend.PrometheusSettings{ResourceAttributes: []string{"k8s_pod_name"}}, none, none,
		},
		"identity is not promoted twice": {
			backend.PrometheusSettings{ResourceAttributes: []string{"service.name", "service.instance.id"}}, none, none,
		},
	} {
		t.Run(name, func(t *testing.T) {
			checkLabels(t, prometheus(t, tt.settings), []attribute{
				{series.Resource, "service.name", label("job")},
				{series.Resource, "service.namespace", cardinality.Label{Name: "job", Identity: "job/namespace"}},
				{series.Resource, "service.instance.id", label("instance")},
				{series.Resource, "k8s.pod.name", tt.pod},
				{series.Resource, "cloud.zone", tt.zone},
			})
		})
	}
}

// Name a in namespace b is not name b in namespace a, though both are parts of
// one label.
func TestThePartsOfJobAreNotExchangeable(t *testing.T) {
	p := prometheus(t, backend.PrometheusSettings{})
	h := series.NewHasher(series.Secret{})
	job := func(name, namespace string) uint64 {
		a, _ := p.Label(series.Resource, "service.name")
		b, _ := p.Label(series.Resource, "service.namespace")
		return h.String(series.Point, a.Identity, name) + h.String(series.Point, b.Identity, namespace)
	}
	require.NotEqual(t, job("a", "b"), job("b", "a"))
}

// Only the resource identifies: a point may have such attributes too.
func TestIdentityOnAPointIsAnOrdinaryLabel(t *testing.T) {
	checkLabels(t, prometheus(t, backend.PrometheusSettings{ScopeLabels: true}), []attribute{
		{series.Point, "service.name", label("service_name")},
		{series.Point, "service.instance.id", label("service_instance_id")},
		{series.Point, "job", label("job")},
		{series.Scope, "service.name", label("otel_scope_service_name")},
	})
}

func TestIdentifyingAttributes(t *testing.T) {
	for key, want := range map[string]bool{
		"service.name": true, "service.namespace": true, "service.instance.id": true,
		"service.version": false, "service": false, "service.names": false, "Service.Name": false, "job": false, "": false,
	} {
		require.Equal(t, want, backend.Identifying(key), "%q", key)
	}
}

// "... the scope name as the otel_scope_name label, the scope version as the
// otel_scope_version label, the scope schema URL as the otel_scope_schema_url
// label, the scope attributes as labels with otel_scope_ prefix".
func TestScopeLabels(t *testing.T) {
	checkLabels(t, prometheus(t, backend.PrometheusSettings{ScopeLabels: true}), []attribute{
		{series.Scope, "name", label("otel_scope_name")},
		{series.Scope, "version", label("otel_scope_version")},
		{series.Scope, "schema_url", label("otel_scope_schema_url")},
		{series.Scope, "library.language", label("otel_scope_library_language")},
		{series.Scope, "1st", label("otel_scope_1st")},
	})
	none := cardinality.Label{}
	checkLabels(t, prometheus(t, backend.PrometheusSettings{AllResourceAttributes: true}), []attribute{
		{series.Scope, "name", none}, {series.Scope, "version", none}, {series.Scope, "library.language", none},
	})
}

func TestTheMetricIsNoLabel(t *testing.T) {
	for _, p := range []*backend.Prometheus{
		prometheus(t, backend.PrometheusSettings{}),
		prometheus(t, backend.PrometheusSettings{AllResourceAttributes: true, ScopeLabels: true}),
	} {
		checkLabels(t, p, []attribute{{series.Metric, "name", cardinality.Label{}}, {series.Metric, "", cardinality.Label{}}})
		require.False(t, p.Streams())
	}
}

// "Discouraged characters SHOULD be replaced with the _ character. Multiple
// consecutive _ characters SHOULD be replaced with a single _ character".
func TestLabelNames(t *testing.T) {
	for _, tt := range []struct{ key, escaped, kept string }{
		{"method", "method", "method"},
		{"http.method", "http_method", "http.method"},
		{"http_method", "http_method", "http_method"},
		{"http.method.", "http_method_", "http.method."},
		{"a..b", "a_b", "a..b"},
		{"a.-/b", "a_b", "a.-/b"},
		{"a__b", "a_b", "a__b"},
		{"1st", "key_1st", "1st"},
		{".x", "_x", ".x"},
		{"_x", "_x", "_x"},
		{"Übergröße", "_bergr_e", "Übergröße"},
		{"a:b", "a_b", "a:b"},
		{"", "", ""},
		{"_", "", ""},
		{"___", "", ""},
		{"...", "", "..."},
		{"日本", "", "日本"},
	} {
		t.Run(tt.key, func(t *testing.T) {
			for translation, want := range map[string]string{
				"UnderscoreEscapingWithSuffixes": tt.escaped, "UnderscoreEscapingWithoutSuffixes": tt.escaped,
				"NoUTF8EscapingWithSuffixes": tt.kept, "NoTranslation": tt.kept,
			} {
				p := prometheus(t, backend.PrometheusSettings{Translation: translation, AllResourceAttributes: true})
				checkLabels(t, p, []attribute{{series.Point, tt.key, label(want)}, {series.Resource, tt.key, label(want)}})
			}
		})
	}
}

// "This conversion ... may cause different OpenTelemetry keys to map to the same
// Prometheus key": one label, one identity.
func TestKeysThatBecomeOneLabelAreOne(t *testing.T) {
	p := prometheus(t, backend.PrometheusSettings{})
	want, _ := p.Label(series.Point, "http.method")
	for _, key := range []string{"http_method", "http-method", "http..method", "http/method"} {
		got, ok := p.Label(series.Point, key)
		require.True(t, ok)
		require.Equal(t, want, got, key)
	}
}

func TestTranslationsAreThoseOfPrometheus(t *testing.T) {
	require.Equal(t, []string{
		"UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes", "NoUTF8EscapingWithSuffixes", "NoTranslation",
	}, backend.Translations())
	for _, translation := range backend.Translations() {
		_, err := backend.NewPrometheus(backend.PrometheusSettings{Translation: translation})
		require.NoError(t, err)
	}
}

func TestAnUnknownTranslationIsRefused(t *testing.T) {
	for _, translation := range []string{"", "underscoreescapingwithsuffixes", "None", "NoTranslation "} {
		p, err := backend.NewPrometheus(backend.PrometheusSettings{Translation: translation})
		require.EqualError(t, err, `unknown translation "`+translation+`"`)
		require.Nil(t, p)
	}
}

func TestAStreamKeepsEveryAttributeAsItIs(t *testing.T) {
	var list []attribute
	for _, d := range []series.Domain{series.Resource, series.Scope, series.Point} {
		for _, key := range []string{"service.name", "http.method", "1st", "___", "日本", "\xff"} {
			list = append(list, attribute{d, key, label(key)})
		}
	}
	checkLabels(t, backend.Streams{}, list)
	_, ok := backend.Streams{}.Label(series.Point, "")
	require.True(t, ok, "an empty key is identity too")
	require.True(t, backend.Streams{}.Streams())
	require.Equal(t, "http.server.duration",
		backend.Streams{}.MetricName(cardinality.Descriptor{Name: "http.server.duration", Unit: "s", Type: cardinality.Histogram}))
}

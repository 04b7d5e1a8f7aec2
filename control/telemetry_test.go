package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/conductor/conductortest"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/tap"
	"github.com/phoenix-platform/phoenix/control/webhook"
)

// emitted collects the metrics by name.
func emitted(t *testing.T, telemetry *componenttest.Telemetry) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, telemetry.Reader.Collect(t.Context(), &all))
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// declared are the names in metadata.yaml.
func declared(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("metadata.yaml")
	require.NoError(t, err)
	var file struct {
		Telemetry struct {
			Metrics map[string]any `yaml:"metrics"`
		} `yaml:"telemetry"`
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	var names []string
	for name := range file.Telemetry.Metrics {
		names = append(names, name)
	}
	require.NotEmpty(t, names)
	return names
}

const prices = `{"currency":"EUR","effective":"2026-03-01","components":[{"name":"series","kind":"active_series","price":"8","per":1000}]}`

// TestEveryMetricIsEmitted lives twenty minutes.
func TestEveryMetricIsEmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		telemetry := componenttest.NewTelemetry()
		plane, err := control.Open(t.Context(), control.Settings{
			Telemetry: telemetry.NewTelemetrySettings(), Directory: t.TempDir(),
			// Nobody listens there: every event is given up in the end.
			Experiments: control.ExperimentSettings{Webhooks: []webhook.Hook{{URL: "http://127.0.0.1:1", Secret: "a secret of some length"}}},
		})
		require.NoError(t, err)
		live(t, plane)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		found := emitted(t, telemetry)
		for _, name := range declared(t) {
			assert.Contains(t, found, "otelcol_"+name)
		}
		value := func(name string, attributes ...attribute.KeyValue) float64 {
			return valueOf(t, found["otelcol_"+name], attributes...)
		}
		assert.InDelta(t, 1, value("phoenix_control_kill_switch"), 0)
		assert.InDelta(t, 1, value("phoenix_control_experiments", attribute.String("phase", "paused")), 0)
		assert.InDelta(t, 1, value("phoenix_control_experiment_changes", attribute.String("phase", "paused"), attribute.String("reason", "command")), 0)
		assert.InDelta(t, 1, value("phoenix_control_experiment_conductor"), 0)
		assert.GreaterOrEqual(t, value("phoenix_control_experiment_looks"), 3.0)
		assert.InDelta(t, 0, value("phoenix_control_experiments_unstored"), 1)
		assert.InDelta(t, 1, value("phoenix_control_webhooks", attribute.String("outcome", "given_up")), 0, "the next one waits for it")
		assert.InDelta(t, 1, value("phoenix_control_store_available"), 0)
		assert.Positive(t, value("phoenix_control_store_size"))
		assert.InDelta(t, 1, value("phoenix_control_policies", attribute.String("state", "preview")), 0)
		assert.InDelta(t, 0, value("phoenix_control_policies", attribute.String("state", "enforced")), 0)
		assert.InDelta(t, float64(plane.Policy().Version), value("phoenix_control_policy_version"), 0)
		assert.InDelta(t, float64(plane.Policy().Version-1), value("phoenix_control_policy_lag"), 0)
		assert.InDelta(t, 10+5, value("phoenix_control_refusals_not_audited"), 0)
		assert.InDelta(t, 1265.919*8, value("phoenix_control_cost_month",
			attribute.String("price_model", "mine"), attribute.String("currency", "EUR")), 1)
		assert.InDelta(t, 1, value("phoenix_control_tap_offered", attribute.String("outcome", "offered")), 0)
		assert.InDelta(t, 1, value("phoenix_control_tap_offered", attribute.String("outcome", "lost")), 0)
		require.NoError(t, plane.Shutdown(t.Context()))
		require.NoError(t, telemetry.Shutdown(t.Context()))
	})
}

// live does what a plane is there for.
func live(t *testing.T, plane *control.Plane) {
	t.Helper()
	do := func(method, path, body string, want int, header ...string) answer {
		t.Helper()
		a := send(t, plane.Handler(), method, path, body, header...)
		require.Equal(t, want, a.status, a.body)
		return a
	}
	controltest.Register(t, plane, controltest.Ingest())
	lagging := &applying{}
	lagging.version.Store(1)
	_, err := plane.RegisterConsolidation(report.ConsolidationRegistration{Component: "tag_consolidation", Role: "common", Source: lagging})
	require.NoError(t, err)
	do(http.MethodPut, "/api/v1/priceModels/mine", prices, http.StatusOK)
	do(http.MethodPost, "/api/v1/priceModels/mine:activate", "{}", http.StatusOK)
	do(http.MethodPost, "/api/v1/policies?preview=true", dropPod, http.StatusCreated)
	path := conductortest.New()
	path.Policies = plane
	unregister, err := path.Register(plane)
	require.NoError(t, err)
	t.Cleanup(unregister)
	do(http.MethodPost, "/api/v1/experiments", dropPodMirror, http.StatusCreated)
	do(http.MethodPost, "/api/v1/experiments/shop/try:start", "{}", http.StatusOK)
	time.Sleep(2 * time.Minute) // some looks
	do(http.MethodPost, "/api/v1/killSwitch:engage", `{"reason":"a test"}`, http.StatusOK)
	key := do(http.MethodPost, "/api/v1/apiKeys", `{"name":"x","grants":["viewer:*"]}`, http.StatusCreated).field(t, "secret").(string)
	for range 30 { // 20 may be audited at once
		do(http.MethodPost, "/api/v1/killSwitch:release", "{}", http.StatusForbidden, "Authorization", "Bearer "+key)
	}
	for range 5 { // of the same address, and refused before a service saw them
		do(http.MethodGet, "/api/v1/system", "", http.StatusTooManyRequests, "Authorization", "Bearer phx_nonsense")
	}
	wanting, err := plane.TapHub().Want(tap.Selection{Point: "ingest", MaxBytes: 1})
	require.NoError(t, err)
	t.Cleanup(wanting.Close)
	assert.False(t, plane.Tap("ingest").Offer(report.TapBatch{Point: "ingest", OTLP: []byte("too much")}))
}

// valueOf is the number of a metric, of the point with these attributes.
func valueOf(t *testing.T, m metricdata.Metrics, attributes ...attribute.KeyValue) float64 {
	t.Helper()
	want := attribute.NewSet(attributes...)
	switch data := m.Data.(type) {
	case metricdata.Gauge[int64]:
		return pointOf(t, m.Name, data.DataPoints, want)
	case metricdata.Gauge[float64]:
		return pointOf(t, m.Name, data.DataPoints, want)
	case metricdata.Sum[int64]:
		return pointOf(t, m.Name, data.DataPoints, want)
	}
	require.FailNow(t, "no number", m.Name)
	return 0
}

func pointOf[N int64 | float64](t *testing.T, name string, points []metricdata.DataPoint[N], want attribute.Set) float64 {
	t.Helper()
	for _, p := range points {
		if p.Attributes.Equals(&want) {
			return float64(p.Value)
		}
	}
	require.FailNow(t, "no point", "%s %v", name, want)
	return 0
}

func TestMetricsThatBeginToGrowAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane, err := control.Open(t.Context(), control.Settings{Directory: t.TempDir(), NamespaceAttribute: "service.name"})
		require.NoError(t, err)
		var state atomic.Pointer[controltest.Source]
		state.Store(&controltest.Source{Answer: controltest.Export()})
		_, err = plane.RegisterCardinality(registration("cardinality/export", "export",
			sourceFunc(func(ctx context.Context, q report.CardinalityQuery) (report.Cardinality, error) {
				return state.Load().Cardinality(ctx, q)
			})))
		require.NoError(t, err)
		watch, stop := context.WithCancel(t.Context())
		events := make(chan string, 100)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			watchEvents(watch, plane, events)
		}()
		grow := func(growing, exceeded bool) {
			fresh := controltest.Export()
			fresh.Metrics[0].Growth.Growing = growing
			fresh.Metrics[0].Limit = &report.SeriesLimit{Match: "*", MaxSeries: 7, Exceeded: exceeded}
			state.Store(&controltest.Source{Answer: fresh})
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		synctest.Wait()
		grow(false, false)
		assert.Empty(t, events)
		grow(true, true)
		grow(true, true)
		assert.Len(t, events, 2)
		assert.Equal(t, "cardinality.limit_exceeded checkout db.client.calls has 1500 series at export, more than its limit of 7", <-events)
		assert.Equal(t, "cardinality.growing checkout db.client.calls grows by 0 series a minute at export and has 1500", <-events)
		grow(false, true)
		grow(true, true)
		assert.Len(t, events, 1)
		stop()
		<-ended
		require.NoError(t, plane.Shutdown(context.WithoutCancel(t.Context())))
	})
}

// watchEvents reads server-sent events into a channel, as type, namespace and
// message, until ctx ends.
func watchEvents(ctx context.Context, plane *control.Plane, events chan<- string) {
	reader, writer := io.Pipe()
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/api/v1/events", nil)
	go func() {
		plane.Handler().ServeHTTP(&pipeWriter{header: http.Header{}, to: writer}, req)
		_ = writer.Close() // it never fails
	}()
	for lines := bufio.NewScanner(reader); lines.Scan(); {
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		var event struct{ Type, Namespace, Message string }
		if json.Unmarshal([]byte(data), &event) == nil {
			events <- event.Type + " " + event.Namespace + " " + event.Message
		}
	}
}

// pipeWriter writes an answer into a pipe as it comes.
type pipeWriter struct {
	header http.Header
	to     *io.PipeWriter
}

func (p *pipeWriter) Header() http.Header            { return p.header }
func (p *pipeWriter) WriteHeader(int)                {}
func (p *pipeWriter) Write(text []byte) (int, error) { return p.to.Write(text) }
func (p *pipeWriter) Flush()                         {}

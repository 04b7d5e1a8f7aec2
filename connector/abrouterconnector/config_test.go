package abrouterconnector

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pipeline"
	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/connector/abrouterconnector/internal/metadata"
)

// configOf reads a configuration over the defaults.
func configOf(tb testing.TB, text string) (*Config, error) {
	tb.Helper()
	var raw map[string]any
	require.NoError(tb, yaml.Unmarshal([]byte(text), &raw))
	cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
	if err := confmap.NewFromStringMap(raw).Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

const arms = "baseline: [metrics/a]\ncandidate: [metrics/b]\n"

func TestConfigOfAllOptions(t *testing.T) {
	cfg, err := configOf(t, arms+`
control: phoenix_control
experiments:
  - {id: a, mode: split, scope: {service.name: shop, point.route: /cart}, metrics: [requests], unit: attribute, attribute: point.user, weight: 5, max_error_ratio: 0.5}
  - {id: b, signal: traces, mode: split, unit: trace, weight: 100}
  - {id: c, mode: mirror, scope: {resource.service.name: cart}}
on_error: fail
candidate_timeout: 0s
input_interval: 15s
max_moved_streams: 10
promotion_hold: 30s
mirror: {queue_bytes: 1MiB, mark: false}
breaker: {window: 1m, min_batches: 1, max_error_ratio: 1}
`)
	require.NoError(t, err)
	require.Equal(t, Bytes(1<<20), cfg.Mirror.QueueBytes)
	require.Equal(t, time.Minute, cfg.Breaker.Window)
	require.Equal(t, ExperimentConfig{ID: "b", Signal: "traces", Mode: "split", Unit: "trace", Weight: 100}, cfg.Experiments[1])
	require.Len(t, cfg.routes(signalMetrics), 2)
	require.Len(t, cfg.routes(signalTraces), 3)
	require.Len(t, cfg.routes(signalLogs), 2)
}

func TestConfigErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := configOf(t, text)
		require.ErrorContains(t, err, want)
	}
	control := arms + "control: phoenix_control\n"
	split := arms + "experiments: [{id: a, mode: split, unit: resource, "
	f("control: x\ncandidate: [metrics/b]", "baseline: must name a pipeline")
	f("control: x\nbaseline: [metrics/b]", "candidate: must name a pipeline")
	f("control: x\nbaseline: [metrics/a, metrics/a]\ncandidate: [metrics/b]", "baseline[1]: metrics/a is named twice")
	f("control: x\nbaseline: [metrics/a, logs]\ncandidate: [logs, metrics/b]", "candidate[0]: logs is in the baseline too; the arms must not share a pipeline")
	f("control: x\nbaseline: [metrics/a, profiles/a]\ncandidate: [metrics/b]", "baseline[1]: profiles/a carries neither metrics, traces nor logs")
	f("control: x\nbaseline: [metrics/a]\ncandidate: [things/b]", "things")
	f(arms, "control: must name an extension, or experiments must be given: otherwise nothing ever reaches the candidate")
	f(control+"on_error: retry", `on_error: must be baseline or fail, got "retry"`)
	f(control+"candidate_timeout: -1s", "candidate_timeout: must not be negative, got -1s")
	f(control+"input_interval: 10ms", "input_interval: must be at least 1s, got 10ms")
	f(control+"max_moved_streams: -1", "max_moved_streams: must not be negative, got -1")
	f(control+"promotion_hold: -1s", "promotion_hold: must not be negative, got -1s")
	f(control+"mirror: {queue_bytes: 0}", "mirror.queue_bytes: must be positive, got 0")
	f(control+"mirror: {queue_bytes: 5MB}", `must be a number of bytes such as 67108864 or 64MiB, got "5MB"`)
	f(control+"mirror: {queue_bytes: 99999999GiB}", "must be a number of bytes")
	f(control+"breaker: {window: 1ms}", "breaker.window: must be at least 1s, got 1ms")
	f(control+"breaker: {min_batches: 0}", "breaker.min_batches: must be positive, got 0")
	f(control+"breaker: {max_error_ratio: 0}", "breaker.max_error_ratio: must be above 0 and at most 1, got 0")
	f(control+"unknown: 1", "unknown")
	f(arms+"experiments: [{mode: mirror}]", "experiments[0].id: must not be empty")
	f(arms+"experiments: [{id: a, mode: mirror}, {id: a, mode: mirror}]", `experiments[1].id: "a" is the id of experiments[0] already`)
	f(arms+"experiments: [{id: a, mode: both}]", `experiments[0].mode: must be mirror or split, got "both"`)
	f(arms+"experiments: [{id: a, mode: mirror, weight: 5}]", "experiments[0].mode: mirror has neither unit, attribute nor weight")
	f(arms+"experiments: [{id: a, mode: mirror, signal: profiles}]", `experiments[0].signal: must be metrics, traces or logs, got "profiles"`)
	f(arms+"experiments: [{id: a, mode: mirror, signal: logs, metrics: [x]}]", "experiments[0].metrics: must not be given with signal: logs")
	f(arms+"experiments: [{id: a, mode: mirror, scope: {scope.x: y}}]", `experiments[0].scope["scope.x"]: must name one attribute of the resource or the point`)
	f(arms+"experiments: [{id: a, mode: mirror, scope: {service.*: y}}]", `experiments[0].scope["service.*"]: must name one attribute`)
	f(split+"weight: 101}]", "experiments[0].weight: must be between 0 and 100 percent, got 101")
	f(split+"weight: -1}]", "experiments[0].weight: must be between 0 and 100 percent, got -1")
	f(split+"attribute: x}]", "experiments[0].attribute: must be given with unit: attribute, and only with it")
	f(split+"max_error_ratio: 2}]", "experiments[0].max_error_ratio: must be between 0 and 1, got 2")
	f(arms+"experiments: [{id: a, mode: split, unit: attribute, attribute: 'x*'}]", "experiments[0].attribute: must name one attribute, such as resource.x")
	f(arms+"experiments: [{id: a, mode: split, unit: attribute}]", "experiments[0].attribute: must be given with unit: attribute, and only with it")
	f(arms+"experiments: [{id: a, mode: split, unit: pod}]", `experiments[0].unit: must be one of [resource series attribute trace], got "pod"`)
	f(arms+"experiments: [{id: a, mode: split, unit: trace, signal: metrics}]", `experiments[0].unit: must be one of [resource series attribute], got "trace"`)
	f(arms+"experiments: [{id: a, mode: split, unit: series, signal: logs}]", `experiments[0].unit: must be one of [resource trace attribute], got "series"`)
}

func TestConfigReportsAllErrors(t *testing.T) {
	_, err := configOf(t, "on_error: x\ninput_interval: 0s\nexperiments: [{mode: x}, {id: b, mode: split, unit: resource, weight: 200}]")
	require.Error(t, err)
	for _, key := range []string{"baseline:", "candidate:", "on_error:", "input_interval:", "experiments[0].id:", "experiments[0].mode:", "experiments[1].weight:"} {
		assert.Contains(t, err.Error(), key)
	}
}

func TestBytes(t *testing.T) {
	f := func(text string, want Bytes, again string) {
		t.Helper()
		var b Bytes
		require.NoError(t, b.UnmarshalText([]byte(text)))
		require.Equal(t, want, b)
		back, err := b.MarshalText()
		require.NoError(t, err)
		require.Equal(t, again, string(back))
	}
	f("64MiB", 64<<20, "64MiB")
	f("1000", 1000, "1000")
	f("2048 KiB", 2<<20, "2MiB")
	f("3GiB", 3<<30, "3GiB")
	f("0", 0, "0")
	for _, wrong := range []string{"", "-1", "1.5MiB", "MiB", "1 MB", "9999999999GiB"} {
		require.Error(t, new(Bytes).UnmarshalText([]byte(wrong)), wrong)
	}
}

// Pipelines that the connector does not feed are found when it is made.
func TestUnknownPipelines(t *testing.T) {
	routes := connector.NewMetricsRouter(map[pipeline.ID]consumer.Metrics{
		pipeline.NewIDWithName(pipeline.SignalMetrics, "a"): consumertest.NewNop(),
		pipeline.NewIDWithName(pipeline.SignalMetrics, "b"): consumertest.NewNop(),
		pipeline.NewIDWithName(pipeline.SignalMetrics, "c"): consumertest.NewNop(),
	})
	f := func(text string, want ...string) {
		t.Helper()
		cfg, err := configOf(t, "control: x\n"+text)
		require.NoError(t, err)
		_, err = NewFactory().CreateMetricsToMetrics(t.Context(), connectortest.NewNopSettings(metadata.Type), cfg, routes)
		for _, part := range want {
			require.ErrorContains(t, err, part)
		}
	}
	f("baseline: [metrics/x, metrics/a]\ncandidate: [metrics/b]", `baseline: missing consumer: "metrics/x"`, "must be a receiver of each pipeline")
	f("baseline: [metrics/a]\ncandidate: [metrics/y]", `candidate: missing consumer: "metrics/y"`)
	f("baseline: [traces/a]\ncandidate: [metrics/b]", "baseline: names no pipeline of metrics, and the connector is in one")
	f("baseline: [metrics/a]\ncandidate: [metrics/b]", "metrics/c", "neither in baseline nor in candidate")
	_, err := NewFactory().CreateMetricsToMetrics(t.Context(), connectortest.NewNopSettings(metadata.Type), testConfig(nil), consumertest.NewNop())
	require.ErrorIs(t, err, errNoRouter)
	_, err = NewFactory().CreateTracesToTraces(t.Context(), connectortest.NewNopSettings(metadata.Type), testConfig(nil), consumertest.NewNop())
	require.ErrorIs(t, err, errNoRouter)
	_, err = NewFactory().CreateLogsToLogs(t.Context(), connectortest.NewNopSettings(metadata.Type), testConfig(nil), consumertest.NewNop())
	require.ErrorIs(t, err, errNoRouter)
}

func TestControlThatIsMissing(t *testing.T) {
	f := func(h host, want string) {
		t.Helper()
		r := newRig(t)
		c, err := NewFactory().CreateMetricsToMetrics(t.Context(), r.settings(), testConfig(nil), metricsRoutes(r))
		require.NoError(t, err)
		require.ErrorContains(t, c.Start(t.Context(), h), want)
		require.NoError(t, c.Shutdown(context.Background()))
	}
	f(nil, "control: there is no extension phoenix_control")
	f(host{controlID: &struct {
		component.StartFunc
		component.ShutdownFunc
	}{}}, "control: phoenix_control is no control plane")
}

func TestDefaultsAreValid(t *testing.T) {
	require.NoError(t, testConfig(nil).Validate())
}

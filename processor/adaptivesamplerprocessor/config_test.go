package adaptivesamplerprocessor

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

// configSection reads a configuration of testdata/config.yaml as the Collector does.
func configSection(tb testing.TB, name string) (*Config, error) {
	tb.Helper()
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(tb, err)
	key := component.NewIDWithName(metadata.Type, name).String()
	require.True(tb, conf.IsSet(key), key)
	sub, err := conf.Sub(key)
	require.NoError(tb, err)
	return readConfig(sub)
}

func readConfig(conf *confmap.Conf) (*Config, error) {
	cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

// readYAML reads a configuration written in a test as the Collector does, and
// validates it.
func readYAML(tb testing.TB, yaml string) (*Config, error) {
	tb.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(tb, err, yaml)
	conf, err := retrieved.AsConf()
	require.NoError(tb, err, yaml)
	return readConfig(conf)
}

func TestConfig(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
	cfg, err := configSection(t, "")
	require.NoError(t, err)
	assert.Equal(t, createDefaultConfig(), cfg)
	cfg, err = configSection(t, "everything")
	require.NoError(t, err)
	assert.Equal(t, everything(), *cfg)
}

// everything has no option at its default.
func everything() Config {
	control, storage := component.MustNewIDWithName("phoenix_control", "other"), component.MustNewIDWithName("file_storage", "state")
	yes, no := true, false
	return Config{
		Interval: 10 * time.Second, TargetScope: ScopeFleet, Replicas: 4, Control: &control, Storage: &storage, Checkpoint: 10 * time.Second,
		Traces: TracesConfig{
			Key: []string{
				"resource.service.name", "resource.k8s.namespace.name", "trace.state.vendor", "span.name", "span.kind", "span.status", "span.http.route",
			},
			IncompleteTraces: "allow", MinProbability: 0.001, MaxKeys: 100,
			Target: TracesTarget{SpansPerSecond: 1000, PerService: 100, Services: map[string]float64{"checkout": 500}},
			Keep: []KeepSpans{
				{Status: "error"},
				{Latency: &KeepLatency{Over: 2 * time.Second}},
				{Latency: &KeepLatency{Quantile: 0.99}},
				{Attribute: &policy.Condition{Attribute: "http.response.status_code", Value: "5*"}},
				{Attribute: &policy.Condition{Attribute: "resource.debug", Present: &yes}},
			},
		},
		Logs: LogsConfig{
			Target:     LogsTarget{RecordsPerSecond: 200, PerService: 20, Services: map[string]float64{"checkout": 50.5}},
			Floor:      map[string]float64{"trace": 0, "warn": 0.1, "error": 0.5, "fatal": 1},
			WithTraces: WithTracesFlag, Randomness: "session.id", Summary: SummaryConfig{Enabled: true, Interval: 30 * time.Second}, MaxKeys: 200,
		},
		Metrics: MetricsConfig{MaxSeries: 1000, Idle: 5 * time.Minute, Window: 2 * time.Minute},
		Rules: []policy.SamplingRule{
			{Name: "cpu", Mode: policy.ModePreview, DeadBand: &policy.DeadBand{
				Match: policy.Match{
					Metric: "system.cpu.*", Types: []policy.MetricType{policy.TypeGauge, policy.TypeSum},
					Resource: []policy.Condition{{Attribute: "env", Value: "prod"}}, Point: []policy.Condition{{Attribute: "state", Present: &yes}},
				},
				Tolerance: policy.Tolerance{Relative: 0.01, Absolute: 0.5}, Heartbeat: policy.Duration(30 * time.Second),
				Predictor: policy.PredictorLinear, Range: policy.Duration(5 * time.Minute), Corners: &no,
			}},
			{Name: "pods", Series: &policy.SeriesSample{
				Match: policy.Match{Metric: "/container_.*/"}, Ratio: 0.1, Weigh: policy.WeighMultiply, Attribute: "count", Seed: 7,
			}},
			{Name: "bill", Budget: &policy.Budget{
				Signal: policy.SignalMetrics, Match: policy.BudgetMatch{Metric: "app.*", Resource: []policy.Condition{{Attribute: "team", Value: "shop"}}},
				BytesPerSecond: 1000, Floor: 0.2, Ceiling: 2,
			}},
		},
	}
}

// All errors come at once, each with its key first.
func TestEverythingWrong(t *testing.T) {
	_, err := configSection(t, "everything_wrong")
	require.Error(t, err)
	const part = "want resource.x, trace.state.x, span.name, span.kind, span.status or span.x"
	assert.Equal(t, []string{
		"interval: must be between 1s and 1h0m0s, got -1s",
		`target_scope: must be collector or fleet, got "galaxy"`,
		`traces.incomplete_traces: must be allow or left out, got "no"`,
		`traces.key[0]: ` + part + `, got "service.name"`,
		`traces.key[1]: ` + part + `, got "resource."`,
		`traces.key[4]: "trace.state.a" is there twice`,
		"traces.target.per_service: must be positive, got -1; leave it out for no bound",
		"traces.target.spans_per_second: must be positive, got 0; leave it out for no bound",
		"traces.target.services.a: must be positive, got 0",
		"traces.target.services.b: must be positive, got +Inf",
		"traces.min_probability: must be between 0 and 1, got 1.5",
		"traces.keep[0]: exactly one of status, latency and attribute must be given, got 0",
		`traces.keep[1].status: must be error, ok or unset, got "bad"`,
		"traces.keep[2]: exactly one of status, latency and attribute must be given, got 2",
		"traces.keep[3].latency: exactly one of over and quantile must be given",
		"traces.keep[4].latency.over: must be positive, got -1s",
		"traces.keep[5].latency.quantile: must be above 0 and below 1, got 1",
		"traces.keep[6].attribute.attribute: must not be empty",
		"traces.keep[7].attribute: value or present must be given",
		"traces.keep[8].attribute: value and present must not be given together: a value must be present",
		"traces.keep[9].attribute.value: pattern \"/(/\": error parsing regexp: missing closing ): `(`",
		"traces.max_keys: must be between 1 and 10000000, got 0",
		"logs.target.per_service: must be positive, got 0; leave it out for no bound",
		"logs.target.records_per_second: must be positive, got NaN; leave it out for no bound",
		`logs.floor: must have trace, debug, info, warn, error, fatal as keys, got "fatality"`,
		"logs.floor.warn: must be between 0 and 1, got -0.1",
		`logs.with_traces: must be sampled, flag or none, got "maybe"`,
		"logs.summary.interval: must be at least 1s, got 0s",
		"logs.max_keys: must be between 1 and 10000000, got -1",
		"metrics.max_series: must be between 1 and 100000000, got 0",
		"metrics.idle: must be at least 1s, got 0s",
		"metrics.window: must be at least 1s, got 1ms",
		"rules[0].name: must not be empty",
		"rules[0]: exactly one of dead_band, series and budget must be given, got 0",
		"rules[1].dead_band.match.metric: must not be empty",
		"rules[1].dead_band.tolerance.relative: must be at least 0 and below 1, 0.01 for 1 %, got -1",
		"rules[2].series.ratio: must be above 0 (at least 2^-56) and at most 1, got 0",
		`rules[2].name: "a" is the name of rules[1] already`,
		"checkpoint: must be at least 1s, got 1ms",
	}, strings.Split(err.Error(), "\n"))
}

func TestValidate(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		_, err := readYAML(t, yaml)
		if want == "" {
			require.NoError(t, err, yaml)
			return
		}
		require.EqualError(t, err, want, yaml)
	}
	f("interval: 0s", "interval: must be between 1s and 1h0m0s, got 0s")
	f("interval: 2h", "interval: must be between 1s and 1h0m0s, got 2h0m0s")
	f("replicas: 3", "replicas: has no effect without `target_scope: fleet`, got 3")
	const replicas = "replicas: must say among how many collectors targets are divided, between 1 and 100000, with `target_scope: fleet`, got "
	f("target_scope: fleet", replicas+"0")
	f("{target_scope: fleet, replicas: -1}", replicas+"-1")
	f("{target_scope: fleet, replicas: 1}", "")
	f("traces: {key: []}", "")
	f("traces: {key: [span.name]}", `traces.key[0]: "span.name" is of spans: those of one trace would be kept with different probabilities, `+
		"and of a trace a part may be missing. Write `incomplete_traces: allow` if only counts matter, or use resource.… and trace.state.…")
	f("traces: {key: [span.name], incomplete_traces: allow}", "")
	f("traces: {target: {spans_per_second: 0}}", "traces.target.spans_per_second: must be positive, got 0; leave it out for no bound")
	f("traces: {target: {}}", "")
	f("traces: {keep: [{latency: {over: 1s, quantile: 0.5}}]}", "traces.keep[0].latency: exactly one of over and quantile must be given")
	f("traces: {keep: [{latency: {quantile: .nan}}]}", "traces.keep[0].latency.quantile: must be above 0 and below 1, got NaN")
	f("traces: {keep: [{attribute: {attribute: resource., present: true}}]}", "traces.keep[0].attribute.attribute: must not be empty")
	f("traces: {min_probability: .nan}", "traces.min_probability: must be between 0 and 1, got NaN")
	f("logs: {floor: {error: 0}}", "")
	f("logs: {with_traces: sampled}", "")
	f("{logs: {with_traces: sampled}, traces: {key: [trace.state.x]}}",
		`logs.with_traces: sampled needs a traces.key of nothing but resource.…, got "trace.state.x": a record does not know what its span has`)
	f("rules: [{name: r, budget: {signal: traces}}]",
		"rules[0].budget: exactly one of points_per_second, bytes_per_second and, in a policy of the control plane, monthly_cost must be given and positive, got 0")
	f("rules: [{name: r, budget: {signal: traces, points_per_second: 5}}]", "")
}

// What cannot be decoded is refused, too, with its key.
func TestUnreadableConfig(t *testing.T) {
	f := func(yaml string, want ...string) {
		t.Helper()
		_, err := readYAML(t, yaml)
		for _, text := range want {
			require.ErrorContains(t, err, text, yaml)
		}
	}
	f("intervall: 15s", "intervall")
	f("interval: fast", "'interval'", "invalid duration")
	f("traces: {target: {spans_per_minute: 5}}", "'traces.target'", "spans_per_minute")
	f("traces: {target: {spans_per_second: many}}", "spans_per_second")
	f("logs: {target: {spans_per_second: 5}}", "'logs.target'", "spans_per_second")
	f("rules: [{name: r, budget: {signal: metrics, monthly_cost: 100}}]", "'rules[0].budget'", "monthly_cost")
	f("rules: [{name: r, dead_band: {match: {metrik: x}}}]", "'rules[0].dead_band.match'", "metrik")
	f("rules: [{name: r, dead_band: {match: {metric: x}, heartbeat: often}}]", "rules[0].dead_band.heartbeat: must be a duration such as 60s or 5m")
	f("storage: '!'", "'storage'")
}

// With target_scope: fleet each collector takes its share.
func TestFleet(t *testing.T) {
	cfg, err := configSection(t, "everything")
	require.NoError(t, err)
	own := cfg.shared()
	assert.Equal(t, TracesTarget{SpansPerSecond: 250, PerService: 25, Services: map[string]float64{"checkout": 125}}, own.Traces.Target)
	assert.Equal(t, LogsTarget{RecordsPerSecond: 50, PerService: 5, Services: map[string]float64{"checkout": 12.625}}, own.Logs.Target)
	assert.InDelta(t, 250, cfg.share(cfg.Rules[2].WithDefaults()).Budget.BytesPerSecond, 1e-9)
	assert.Equal(t, everything(), *cfg, "what is configured is not written to")
	cfg.TargetScope = ScopeCollector
	assert.Equal(t, cfg.Traces.Target, cfg.shared().Traces.Target)
}

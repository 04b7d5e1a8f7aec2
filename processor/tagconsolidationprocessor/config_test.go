package tagconsolidationprocessor

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
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
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
	cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
	if err := sub.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfig(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
	valid := func(name string, change func(*Config)) {
		t.Helper()
		want := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
		change(want)
		cfg, err := configSection(t, name)
		require.NoError(t, err, name)
		assert.Equal(t, want, cfg, name)
	}
	rule := func(change func(*policy.Rule)) func(*Config) {
		r := policy.Rule{Name: "r", Match: policy.Match{Metric: "x"}}
		change(&r)
		return func(c *Config) { c.Rules = []policy.Rule{r} }
	}
	valid("", func(*Config) {})
	valid("everything", func(c *Config) { *c = everything() })
	valid("writer_none", func(c *Config) { c.Writer = WriterConfig{None: true} })
	valid("keep_none", rule(func(r *policy.Rule) { r.Attributes.Keep = []string{} }))
	valid("no_keep", rule(func(*policy.Rule) {}))
	valid("fold_auto", rule(func(r *policy.Rule) { r.Limit = &policy.Limit{MaxSeries: 1, Fold: policy.Fold{"auto"}} }))
	valid("drop_and_keep_of_other_levels", rule(func(r *policy.Rule) {
		r.Attributes = policy.Attributes{Keep: []string{"a"}, Drop: []string{"resource.b", "scope.c"}}
	}))
}

// everything has no option at its default.
func everything() Config {
	control, storage := component.MustNewIDWithName("phoenix_control", "other"), component.MustNewIDWithName("file_storage", "state")
	no, hundred := false, 100.0
	return Config{
		Role: policy.RoleCandidate, Control: &control, Storage: &storage,
		Interval: 30 * time.Second, Staleness: 10 * time.Minute, Heartbeat: time.Minute, Checkpoint: 10 * time.Second,
		MaxStreams: 5, MaxBatchPoints: 100,
		Writer:     WriterConfig{Attribute: "collector", ID: "c1"},
		NeverTouch: NeverTouchConfig{Metrics: []string{"billing.*", "/slo_.*/"}, Attributes: []string{"tenant", "resource.cloud.*"}},
		Rules: []policy.Rule{{
			Name: "everything", Role: policy.RoleCandidate, Mode: policy.ModePreview,
			Match: policy.Match{
				Metric: "/http_.*|grpc_.*/", Types: []policy.MetricType{"sum", "gauge", "histogram", "exponential_histogram", "summary"},
				Resource: []policy.Condition{{Attribute: "env", Value: "prod*"}},
				Point:    []policy.Condition{{Attribute: "code", Value: "/2../"}, {Attribute: "debug", Present: &no}},
			},
			Attributes: policy.Attributes{
				Drop: []string{"resource.k8s.pod.name", "scope.build"}, Keep: []string{"code", "route", "size", "user", "zone"},
				Map: []policy.ValueMap{
					{Attribute: "point.code", Regex: "([1-5])..", Template: "${1}xx", Other: "unknown"},
					{Attribute: "point.size", Ranges: []policy.Range{{To: &hundred, As: "small"}, {From: &hundred, As: "large"}}},
					{Attribute: "point.route", Paths: []string{"/users/{id}"}},
				},
				HashBuckets: []policy.HashBuckets{{Attribute: "point.user", Buckets: 16}},
				TopK:        &policy.TopK{Attribute: "point.zone", K: 10, Other: "elsewhere"},
			},
			Limit:   &policy.Limit{MaxSeries: 1000, Fold: policy.Fold{"point.user", "point.zone"}},
			Buckets: &policy.Buckets{KeepBounds: []float64{0.1, 1, 10}},
			Scope:   policy.ScopeDrop, Gauge: policy.GaugeMean, Summary: policy.SummaryMergeCountSum,
			Experiment: &policy.Experiment{ID: "e1", Scope: map[string]string{"resource.env": "prod"}},
		}},
	}
}

// What is valid can be begun.
func TestValidConfigsBegin(t *testing.T) {
	for _, name := range []string{"", "writer_none", "keep_none", "no_keep", "fold_auto", "drop_and_keep_of_other_levels"} {
		cfg, err := configSection(t, name)
		require.NoError(t, err)
		newRigOf(t, cfg, componenttest.NewNopHost(), epoch).end()
	}
	cfg, err := configSection(t, "everything")
	require.NoError(t, err)
	cfg.Control, cfg.Storage = nil, nil
	newRigOf(t, cfg, componenttest.NewNopHost(), epoch).end()
}

// All errors come at once, each with its key first.
func TestEverythingWrong(t *testing.T) {
	_, err := configSection(t, "everything_wrong")
	require.Error(t, err)
	const expression = "expressions are not read here; write resource.x, scope.x, point.x or x"
	assert.Equal(t, []string{
		`role: must be common or candidate, got "boss"`,
		"interval: must be at least 1s, got -1s",
		"staleness: must not be less than interval (-1s), got -5m0s",
		"heartbeat: must not be less than interval (-1s), got 0s",
		"checkpoint: must be at least 1s, got -1m0s",
		"max_streams: must be positive, got 0",
		"max_batch_points: must be between 1 and 1048576, got 0",
		"writer.attribute: must not be empty; write `writer: none` for no attribute",
		"never_touch.metrics[0]: pattern \"/(/\": error parsing regexp: missing closing ): `(`",
		"never_touch.metrics[1]: a pattern must not be empty",
		`never_touch.attributes[0]: "resource.": the name is missing after the dot`,
		`never_touch.attributes[1]: "attributes[\"pod\"]": ` + expression,
		"rules[0].match.metric: \"/(/\": error parsing regexp: missing closing ): `(`",
		"rules[0].attributes.drop[0]: drop and keep must not both govern point attributes: beside keep, drop takes resource.… and scope.…, got \"pod\"",
		"rules[1].match.metric: must not be empty",
		`rules[1].name: "both" is the name of rules[0] already`,
		`rules[2].match.types[0]: must be gauge, sum, histogram, exponential_histogram or summary, got "counter"`,
		"rules[2].match.resource[0]: value or present must be given",
		"rules[2].match.point[0].attribute: must not be empty",
		"rules[2].match.point[0].value: \"/[/\": error parsing regexp: missing closing ]: `[`",
		"rules[2].match.point[1]: value and present must not be given together: a value must be present",
		`rules[2].attributes.drop[0]: "resource.attributes[\"pod\"]": ` + expression,
		`rules[2].attributes.drop[1]: "datapoint.pod": write point.pod, or point.datapoint.pod if that is the key`,
		`rules[2].attributes.drop[2]: "/pod.*/": must be a name or a glob (* and ?), not a regular expression`,
		`rules[2].attributes.drop[3]: "resource.": the name is missing after the dot`,
		`rules[2].attributes.drop[5]: "a" is there twice`,
		`rules[2].attributes.map[0].attribute: must name one attribute, got the glob "x*"`,
		"rules[2].attributes.map[0].regex: error parsing regexp: missing closing ): `(`",
		"rules[2].attributes.map[1]: exactly one of regex, ranges and paths must be given, got 0",
		"rules[2].attributes.map[2]: exactly one of regex, ranges and paths must be given, got 2",
		"rules[2].attributes.map[2].template: group $2 is not in the expression, which has 0",
		"rules[2].attributes.map[2].ranges[0].as: must not be empty",
		"rules[2].attributes.map[2].ranges[0]: from must be less than to, got 2 and 1",
		"rules[2].attributes.map[3].attribute: a goes by attributes.drop[4]",
		`rules[2].attributes.map[3].paths[0]: must begin with a slash, got "users/{id}"`,
		"rules[2].attributes.hash_buckets[0].buckets: must be positive, got 0",
		"rules[2].attributes.top_k.k: must be positive, got 0",
		"rules[3].limit.max_series: must be positive, got 0",
		`rules[3].limit.fold[1]: must name one attribute, got the glob "y*"`,
		"rules[3].buckets.keep_bounds: must not be empty",
		`rules[3].scope: must be keep or drop, got "maybe"`,
		`rules[3].gauge: must be sum, mean, min, max, last or count, got "median"`,
		`rules[3].summary: must be pass or merge_count_sum, got "quantiles"`,
		`rules[3].mode: must be enforce or preview, got "dry"`,
		`rules[3].role: must be common or candidate, got "boss"`,
		"rules[4].name: must not be empty",
		`rules[4].attributes.keep[0]: keep governs point attributes only: those of the resource stay unless drop names them, got "resource.pod"`,
		"rules[4].limit.max_series: must be positive, got -1",
		"rules[4].limit.fold[0]: never goes in part by attributes.keep, which does not name it; write resource.never for what stays",
		"rules[4].buckets.keep_bounds[1]: must be greater than the bound before it, 2, got 1",
		"rules[5].role: is candidate, and the processor's boss",
	}, strings.Split(err.Error(), "\n"))
}

func TestValidate(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		_, err := loadConfig(t, yaml)
		require.EqualError(t, err, want, yaml)
	}
	f("interval: 0s", "interval: must be at least 1s, got 0s")
	f("interval: 1ms", "interval: must be at least 1s, got 1ms")
	f("interval: 1500ms", "interval: must be whole seconds, got 1.5s")
	f("staleness: 14s", "staleness: must not be less than interval (15s), got 14s")
	f("heartbeat: 14s", "heartbeat: must not be less than interval (15s), got 14s")
	f("checkpoint: 999ms", "checkpoint: must be at least 1s, got 999ms")
	f("max_streams: -1", "max_streams: must be positive, got -1")
	f("max_batch_points: 1048577", "max_batch_points: must be between 1 and 1048576, got 1048577")
	f(`writer: {attribute: ""}`, "writer.attribute: must not be empty; write `writer: none` for no attribute")
	f("rules: [{name: r, match: {metric: x}, role: candidate}]", "rules[0].role: is candidate, and the processor's common")
	f("{role: candidate, rules: [{name: r, match: {metric: x}, role: common}]}", "rules[0].role: is common, and the processor's candidate")
	f("rules: [{name: r, match: {metric: x}, role: candidate}, {name: s, match: {metric: ''}}]",
		"rules[1].match.metric: must not be empty\nrules[0].role: is candidate, and the processor's common")
	f("rules: [{name: r, match: {metric: x}, attributes: {top_k: {attribute: x, k: -1}}}]", "rules[0].attributes.top_k.k: must be positive, got -1")
	f("rules: [{name: r, match: {metric: x}, attributes: {hash_buckets: [{attribute: x, buckets: 2}], top_k: {attribute: x, k: 1}}}]",
		"rules[0].attributes.top_k.attribute: x has hash_buckets already")
	f("rules: [{name: r, match: {metric: x, types: [sum]}, gauge: sum}]", "rules[0].gauge: has no effect: match.types has no gauge")
	f("rules: [{name: r, match: {metric: x}, limit: {max_series: 0}}]", "rules[0].limit.max_series: must be positive, got 0")
}

// What cannot be decoded is refused, too, with its key.
func TestUnreadableConfig(t *testing.T) {
	f := func(yaml string, want ...string) {
		t.Helper()
		_, err := loadConfig(t, yaml)
		for _, text := range want {
			require.ErrorContains(t, err, text, yaml)
		}
	}
	f("writer: nobody", "'writer'", `must be none, or a map with attribute and id, got "nobody"`)
	f("writer: {attribute: x, name: y}", "'writer'", "name")
	f("intervall: 15s", "intervall")
	f("interval: fast", "'interval'", "invalid duration")
	f("storage: '!'", "'storage'")
	f("rules: {name: a}", "'rules'")
	f("rules: [{name: a, match: {metric: x}, labels: {drop: [a]}}]", "'rules[0]'", "labels")
	f("rules: [{name: a, match: {metric: x}, limit: {max_series: many}}]", "'rules[0].limit.max_series'")
	f("rules: [{name: a, match: {metrik: x}}]", "'rules[0].match'", "metrik")
}

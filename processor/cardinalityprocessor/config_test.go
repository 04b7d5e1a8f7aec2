package cardinalityprocessor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
)

func TestConfig(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
	valid := func(name string, change func(*Config)) {
		t.Helper()
		want := createDefaultConfig().(*Config)
		if change != nil {
			change(want)
		}
		cfg, err := loadConf(section(t, "testdata/config.yaml", component.MustNewIDWithName("cardinality", name).String()))
		require.NoError(t, err, name)
		assert.Equal(t, want, cfg, name)
		_, err = cfg.Backend.build()
		require.NoError(t, err, name)
	}
	valid("", nil)
	valid("everything", func(c *Config) {
		control := component.MustNewIDWithName("phoenix_control", "other")
		*c = Config{
			Point: "after", Control: &control, Arm: "candidate", Window: time.Hour, SubWindows: 60, GroupBy: "service.name",
			Limits: []LimitConfig{{"http.*", 10_000}, {"/.*_bucket|x/", 1}, {"*", 50_000}},
			Backend: BackendConfig{
				Kind: "prometheus", ResourceAttributes: []string{"k8s.pod.name", "k8s.namespace.name"},
				ScopeLabels: true, TargetInfo: false, Translation: "NoTranslation",
			},
			Precision: 12, MaxMetrics: 1, MaxAttributesPerMetric: 1, MaxMemoryMiB: 1, Top: 0,
		}
	})
	promote := func(attributes ...string) func(*Config) {
		return func(c *Config) { c.Backend.ResourceAttributes = attributes }
	}
	valid("all_as_a_word", promote("all"))
	valid("all_in_a_list", promote("all"))
	valid("none_as_a_word", promote("none"))
	valid("two_with_a_comma", promote("k8s.pod.name", "k8s.node.name"))
	valid("otlp", func(c *Config) { c.Backend.Kind = "otlp"; promote("none")(c) })
	valid("shortest_window", func(c *Config) { c.Window, c.SubWindows = 2*time.Second, 2 })
}

func TestUnreadableConfig(t *testing.T) {
	refused := func(name, want string) {
		t.Helper()
		_, err := loadConf(section(t, "testdata/config.yaml", "cardinality/"+name))
		require.ErrorContains(t, err, want)
	}
	refused("unknown_option", "windwo")
	refused("unknown_option_of_the_backend", "resource_attribute")
	refused("unknown_option_of_a_limit", "max_serie")
	refused("no_duration", "window")
	refused("no_id", "control")
}

// All errors come at once, each with its key first.
func TestEverythingWrong(t *testing.T) {
	_, err := loadConf(section(t, "testdata/config.yaml", "cardinality/everything_wrong"))
	require.Error(t, err)
	assert.Equal(t, []string{
		"window: must be positive, got -1s",
		"sub_windows: must be between 2 and 60, got 1",
		"precision: must be between 12 and 18, got 19",
		"max_metrics: must be positive, got 0",
		"max_attributes_per_metric: must be positive, got 0",
		"max_memory_mib: must be positive, got 0",
		"top: must be between 0 and 100, got 101",
		`arm: must be baseline or candidate, got "left"`,
		"limits[0].match: a pattern must not be empty",
		"limits[0].max_series: must be positive, got 0",
		"limits[1].match: pattern \"/(/\": error parsing regexp: missing closing ): `(`",
		`limits[3].match: "a" has a limit already, in limits[2]`,
		"limits[3].max_series: must be positive, got -1",
		`backend.kind: must be prometheus or otlp, got "influx"`,
		`backend.resource_attributes: "all" must stand alone, got all, `,
		"backend.resource_attributes[1]: must not be empty",
		"backend.translation: must be one of UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, " +
			`NoUTF8EscapingWithSuffixes, NoTranslation, got "Klingon"`,
	}, strings.Split(err.Error(), "\n"))
}

func TestValidate(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		_, err := loadYAML(t, yaml)
		require.EqualError(t, err, want, yaml)
	}
	f("window: 0s", "window: must be positive, got 0s")
	f("window: 1s", "window: must be at least 1s for each of the 4 sub_windows, got 1s")
	f("sub_windows: 0", "sub_windows: must be between 2 and 60, got 0")
	f("sub_windows: 61", "sub_windows: must be between 2 and 60, got 61")
	f("precision: 11", "precision: must be between 12 and 18, got 11")
	f("max_metrics: -1", "max_metrics: must be positive, got -1")
	f("max_attributes_per_metric: -1", "max_attributes_per_metric: must be positive, got -1")
	f("max_memory_mib: -1", "max_memory_mib: must be positive, got -1")
	f("top: -1", "top: must be between 0 and 100, got -1")
	f("limits: [{match: a, max_series: 1}, {match: a, max_series: 2}]", `limits[1].match: "a" has a limit already, in limits[0]`)
	f("limits: [{max_series: 1}]", "limits[0].match: a pattern must not be empty")
	f("limits: [{match: a}]", "limits[0].max_series: must be positive, got 0")
	f("backend: {kind: OTLP}", `backend.kind: must be prometheus or otlp, got "OTLP"`)
	f("backend: {resource_attributes: [none, a]}", `backend.resource_attributes: "none" must stand alone, got none, a`)
	f("backend: {kind: otlp, resource_attributes: all}", "backend.resource_attributes: has no meaning with kind otlp, where every attribute counts")
	f("backend: {kind: otlp, scope_labels: true}", "backend.scope_labels: has no meaning with kind otlp, where every attribute counts")
	f("backend: {translation: ''}", "backend.translation: must be one of UnderscoreEscapingWithSuffixes, "+
		`UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes, NoTranslation, got ""`)
	require.NoError(t, errors.Join(createDefaultConfig().(*Config).Validate()))
}

package cardinalityprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/backend"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// Config is the configuration of a cardinality processor.
type Config struct {
	// Point names the place in the pipeline that is measured. Default: the name
	// in the component's id (`cardinality/ingest` → `ingest`), else `default`.
	Point string `mapstructure:"point"`
	// Control is the id of a control plane extension that is told what was
	// counted, and that may look at metrics. Default: none, the processor works
	// alone.
	Control *component.ID `mapstructure:"control"`
	// Arm says of which arm of experiments this is the end: baseline or candidate.
	// What leaves it is told the control plane for each experiment. Needs Control.
	// Default: of none.
	Arm string `mapstructure:"arm"`
	// Window is after how long a series that sends nothing is forgotten.
	// Default: 10m.
	Window time.Duration `mapstructure:"window"`
	// SubWindows is in how many steps the window moves. Default: 4.
	SubWindows int `mapstructure:"sub_windows"`
	// GroupBy names an attribute of the resource, or else of the point, whose
	// values give every metric budgets of their own. Default: none.
	GroupBy string `mapstructure:"group_by"`
	// Limits are budgets; the first whose pattern matches a metric's name
	// applies. Default: none.
	Limits []LimitConfig `mapstructure:"limits"`
	// Backend says what the database counts as a series.
	Backend BackendConfig `mapstructure:"backend"`
	// Precision is that of the HyperLogLog sketches of metrics with more than
	// 8,192 series: 2^precision bytes each, 1.04/√2^precision standard error.
	// Default: 15.
	Precision int `mapstructure:"precision"`
	// MaxMetrics bounds the metrics (with group_by: metrics × groups) that have
	// an entry of their own. Default: 10000.
	MaxMetrics int `mapstructure:"max_metrics"`
	// MaxAttributesPerMetric bounds the attributes that have numbers of their
	// own; the rest is counted as one. Default: 64.
	MaxAttributesPerMetric int `mapstructure:"max_attributes_per_metric"`
	// MaxMemoryMiB bounds the memory of the state, of which half is for experiments
	// if there is an Arm. Default: 512.
	MaxMemoryMiB int `mapstructure:"max_memory_mib"`
	// Top is how many metrics the processor's own telemetry names. Default: 10.
	Top int `mapstructure:"top"`
}

// LimitConfig is a budget: a report when it is exceeded, nothing is dropped.
type LimitConfig struct {
	// Match is a glob (* and ?) or a /regular expression/ for the whole OTLP
	// name of a metric.
	Match string `mapstructure:"match"`
	// MaxSeries is the budget in series of the backend, for each budget group.
	MaxSeries int64 `mapstructure:"max_series"`
}

// BackendConfig describes the database whose series are paid for.
type BackendConfig struct {
	// Kind is prometheus (labels are series, a classic histogram is its buckets
	// and two more) or otlp (a stream is a series). Default: prometheus.
	Kind string `mapstructure:"kind"`
	// ResourceAttributes are the resource attributes that become labels: none,
	// all or a list. service.name, service.namespace and service.instance.id
	// always do, as job and instance. Default: none.
	ResourceAttributes []string `mapstructure:"resource_attributes"`
	// ScopeLabels adds labels for the instrumentation scope. Default: false.
	ScopeLabels bool `mapstructure:"scope_labels"`
	// TargetInfo counts the series of target_info, one a resource. Default:
	// true.
	TargetInfo bool `mapstructure:"target_info"`
	// Translation is the strategy by which names are translated. Default:
	// UnderscoreEscapingWithSuffixes.
	Translation string `mapstructure:"translation"`
}

var _ component.Config = (*Config)(nil)

const (
	maxSubWindows = 60
	maxTop        = 100
)

// Validate reports all errors at once, each with its key first.
func (c *Config) Validate() error {
	var errs error
	add := func(format string, args ...any) { errs = errors.Join(errs, fmt.Errorf(format, args...)) }
	if c.Window <= 0 {
		add("window: must be positive, got %s", c.Window)
	}
	if c.SubWindows < 2 || c.SubWindows > maxSubWindows {
		add("sub_windows: must be between 2 and %d, got %d", maxSubWindows, c.SubWindows)
	} else if c.Window > 0 && c.Window/time.Duration(c.SubWindows) < time.Second {
		add("window: must be at least 1s for each of the %d sub_windows, got %s", c.SubWindows, c.Window)
	}
	if c.Precision < cardinality.MinPrecision || c.Precision > cardinality.MaxPrecision {
		add("precision: must be between %d and %d, got %d", cardinality.MinPrecision, cardinality.MaxPrecision, c.Precision)
	}
	if c.MaxMetrics < 1 {
		add("max_metrics: must be positive, got %d", c.MaxMetrics)
	}
	if c.MaxAttributesPerMetric < 1 {
		add("max_attributes_per_metric: must be positive, got %d", c.MaxAttributesPerMetric)
	}
	if c.MaxMemoryMiB < 1 {
		add("max_memory_mib: must be positive, got %d", c.MaxMemoryMiB)
	}
	if c.Top < 0 || c.Top > maxTop {
		add("top: must be between 0 and %d, got %d", maxTop, c.Top)
	}
	if c.Arm != "" && c.Arm != string(policy.ArmBaseline) && c.Arm != string(policy.ArmCandidate) {
		add("arm: must be %s or %s, got %q", policy.ArmBaseline, policy.ArmCandidate, c.Arm)
	} else if c.Arm != "" && c.Control == nil {
		add("arm: needs control, which knows the experiments")
	}
	return errors.Join(errs, c.validateLimits(), c.Backend.validate())
}

func (c *Config) validateLimits() error {
	var errs error
	seen := map[string]int{}
	for i, l := range c.Limits {
		if _, err := match.Compile(l.Match); err != nil {
			errs = errors.Join(errs, fmt.Errorf("limits[%d].match: %w", i, err))
		} else if first, twice := seen[l.Match]; twice {
			errs = errors.Join(errs, fmt.Errorf("limits[%d].match: %q has a limit already, in limits[%d]", i, l.Match, first))
		} else {
			seen[l.Match] = i
		}
		if l.MaxSeries < 1 {
			errs = errors.Join(errs, fmt.Errorf("limits[%d].max_series: must be positive, got %d", i, l.MaxSeries))
		}
	}
	return errs
}

const (
	none = "none"
	all  = "all"
)

func (b *BackendConfig) validate() error {
	var errs error
	add := func(format string, args ...any) { errs = errors.Join(errs, fmt.Errorf(format, args...)) }
	if b.Kind != backend.KindPrometheus && b.Kind != backend.KindOTLP {
		add("backend.kind: must be %s or %s, got %q", backend.KindPrometheus, backend.KindOTLP, b.Kind)
	}
	for i, key := range b.ResourceAttributes {
		if key == "" {
			add("backend.resource_attributes[%d]: must not be empty", i)
		}
		if (key == none || key == all) && len(b.ResourceAttributes) > 1 {
			add("backend.resource_attributes: %q must stand alone, got %s", key, strings.Join(b.ResourceAttributes, ", "))
		}
	}
	if b.Kind == backend.KindOTLP && len(b.ResourceAttributes) > 0 && !slices.Equal(b.ResourceAttributes, []string{none}) {
		add("backend.resource_attributes: has no meaning with kind %s, where every attribute counts", backend.KindOTLP)
	}
	if b.Kind == backend.KindOTLP && b.ScopeLabels {
		add("backend.scope_labels: has no meaning with kind %s, where every attribute counts", backend.KindOTLP)
	}
	if !slices.Contains(backend.Translations(), b.Translation) {
		add("backend.translation: must be one of %s, got %q", strings.Join(backend.Translations(), ", "), b.Translation)
	}
	return errs
}

// build makes the backend of a valid configuration.
func (b *BackendConfig) build() (cardinality.Backend, error) {
	if b.Kind == backend.KindOTLP {
		return backend.Streams{}, nil
	}
	return backend.NewPrometheus(b.prometheus())
}

// prometheus are the settings of a backend with labels.
func (b *BackendConfig) prometheus() backend.PrometheusSettings {
	settings := backend.PrometheusSettings{ScopeLabels: b.ScopeLabels, Translation: b.Translation}
	switch {
	case slices.Equal(b.ResourceAttributes, []string{all}):
		settings.AllResourceAttributes = true
	case !slices.Equal(b.ResourceAttributes, []string{none}):
		settings.ResourceAttributes = b.ResourceAttributes
	}
	return settings
}

func createDefaultConfig() component.Config {
	return &Config{
		Window:                 10 * time.Minute,
		SubWindows:             4,
		Backend:                BackendConfig{Kind: backend.KindPrometheus, TargetInfo: true, Translation: backend.Translations()[0]},
		Precision:              cardinality.DefaultPrecision,
		MaxMetrics:             10_000,
		MaxAttributesPerMetric: 64,
		MaxMemoryMiB:           512,
		Top:                    10,
	}
}

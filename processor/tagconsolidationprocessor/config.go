package tagconsolidationprocessor

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// Config is the configuration of a tag_consolidation processor.
type Config struct {
	// Rules say which metrics are consolidated and how; of those that match a
	// point the first applies. Default: none, everything passes.
	Rules []policy.Rule `mapstructure:"rules"`
	// NeverTouch lists what no rule may change, static or hot. Default: nothing.
	NeverTouch NeverTouchConfig `mapstructure:"never_touch"`
	// Role says which rules of control apply: common or candidate. Default:
	// common.
	Role policy.Role `mapstructure:"role"`
	// Control is the id of a control plane extension that sends more rules.
	// They come after the static ones. Default: none.
	Control *component.ID `mapstructure:"control"`
	// Interval is how often outputs are emitted, at whole multiples of it.
	// Default: 15s.
	Interval time.Duration `mapstructure:"interval"`
	// Staleness is how long an input counts, and is remembered, after its last
	// point. Default: 5m.
	Staleness time.Duration `mapstructure:"staleness"`
	// Heartbeat is after what time an output is emitted again though none of its
	// inputs sent anything. Default: 2m.
	Heartbeat time.Duration `mapstructure:"heartbeat"`
	// MaxStreams bounds the inputs that are remembered. Default: 1,000,000.
	MaxStreams int `mapstructure:"max_streams"`
	// MaxBatchPoints bounds the points that are handed on at once. Default: 4096.
	MaxBatchPoints int `mapstructure:"max_batch_points"`
	// Writer tells the outputs of several collectors apart.
	Writer WriterConfig `mapstructure:"writer"`
	// Storage is the id of a storage extension that keeps the state over
	// restarts. Default: none, outputs begin anew with a new start time.
	Storage *component.ID `mapstructure:"storage"`
	// Checkpoint is how often the whole state is written; it bounds what a crash
	// loses. Default: 1m.
	Checkpoint time.Duration `mapstructure:"checkpoint"`
}

// NeverTouchConfig lists what stays as it is.
type NeverTouchConfig struct {
	// Metrics are globs (* and ?) or /regular expressions/ for whole OTLP names.
	Metrics []string `mapstructure:"metrics"`
	// Attributes are named as in rules: resource.x, scope.x, point.x, or x for
	// point and resource; the key may be a glob.
	Attributes []string `mapstructure:"attributes"`
}

// WriterConfig is the point attribute that says which collector wrote an
// output. In YAML it is a map, or the word none.
type WriterConfig struct {
	// Attribute is the attribute's key. Default: phoenix.writer.
	Attribute string `mapstructure:"attribute"`
	// ID is its value. Default: random and kept in storage; without storage the
	// host name.
	ID string `mapstructure:"id"`
	// None is set by the word none: no attribute. Right only if no other
	// collector sees inputs of the same outputs.
	None bool `mapstructure:"-"`
}

// DefaultWriterAttribute is the default of WriterConfig.Attribute.
const DefaultWriterAttribute = "phoenix.writer"

const writerNone = "none"

// UnmarshalText reads the one word that may stand in place of the map.
func (w *WriterConfig) UnmarshalText(text []byte) error {
	if string(text) != writerNone {
		return fmt.Errorf("must be %s, or a map with attribute and id, got %q", writerNone, text)
	}
	*w = WriterConfig{None: true}
	return nil
}

var _ component.Config = (*Config)(nil)

const (
	minInterval    = time.Second
	maxBatchPoints = 1 << 20
)

// Validate reports all errors at once, each with its key first.
func (c *Config) Validate() error {
	var errs error
	add := func(format string, args ...any) { errs = errors.Join(errs, fmt.Errorf(format, args...)) }
	if c.Role != policy.RoleCommon && c.Role != policy.RoleCandidate {
		add("role: must be %s or %s, got %q", policy.RoleCommon, policy.RoleCandidate, c.Role)
	}
	if c.Interval < minInterval {
		add("interval: must be at least %s, got %s", minInterval, c.Interval)
	} else if c.Interval%time.Second != 0 {
		add("interval: must be whole seconds, got %s", c.Interval)
	}
	if c.Staleness < c.Interval || c.Staleness < time.Second {
		add("staleness: must not be less than interval (%s), got %s", c.Interval, c.Staleness)
	}
	if c.Heartbeat < c.Interval || c.Heartbeat < time.Second {
		add("heartbeat: must not be less than interval (%s), got %s", c.Interval, c.Heartbeat)
	}
	if c.Checkpoint < time.Second {
		add("checkpoint: must be at least 1s, got %s", c.Checkpoint)
	}
	if c.MaxStreams < 1 {
		add("max_streams: must be positive, got %d", c.MaxStreams)
	}
	if c.MaxBatchPoints < 1 || c.MaxBatchPoints > maxBatchPoints {
		add("max_batch_points: must be between 1 and %d, got %d", maxBatchPoints, c.MaxBatchPoints)
	}
	if !c.Writer.None && c.Writer.Attribute == "" {
		add("writer.attribute: must not be empty; write `writer: none` for no attribute")
	}
	for i, text := range c.NeverTouch.Attributes {
		ref, err := policy.ParseAttributeRef(text)
		if err == nil && !c.Writer.None && ref.Matches(policy.LevelPoint, c.Writer.Attribute) {
			add("never_touch.attributes[%d]: names the writer attribute %s, which every output gets anew", i, c.Writer.Attribute)
		}
	}
	return errors.Join(errs, c.NeverTouch.validate(), c.validateRules())
}

func (n *NeverTouchConfig) validate() error {
	var errs error
	for i, text := range n.Metrics {
		if _, err := match.Compile(text); err != nil {
			errs = errors.Join(errs, fmt.Errorf("never_touch.metrics[%d]: %w", i, err))
		}
	}
	for i, text := range n.Attributes {
		if _, err := policy.ParseAttributeRef(text); err != nil {
			errs = errors.Join(errs, fmt.Errorf("never_touch.attributes[%d]: %w", i, err))
		}
	}
	return errs
}

// validateRules reports what policy finds wrong, and then what only shows when
// a rule is compiled.
func (c *Config) validateRules() error {
	invalid := policy.ValidateRules(c.Rules)
	errs := invalid
	for i := range c.Rules {
		r := &c.Rules[i]
		if (r.Role == policy.RoleCommon || r.Role == policy.RoleCandidate) && r.Role != c.Role {
			errs = errors.Join(errs, fmt.Errorf("rules[%d].role: is %s, and the processor's %s", i, r.Role, c.Role))
		}
		if invalid != nil {
			continue
		}
		if _, err := compileRule(*r, &compileSettings{staleness: max(c.Staleness, time.Second)}); err != nil {
			errs = errors.Join(errs, fmt.Errorf("rules[%d].%w", i, err))
		}
	}
	return errs
}

func createDefaultConfig() component.Config {
	return &Config{
		Role:           policy.RoleCommon,
		Interval:       15 * time.Second,
		Staleness:      consolidation.DefaultStaleness,
		Heartbeat:      consolidation.DefaultHeartbeat,
		MaxStreams:     consolidation.DefaultMaxStreams,
		MaxBatchPoints: 4096,
		Writer:         WriterConfig{Attribute: DefaultWriterAttribute},
		Checkpoint:     time.Minute,
	}
}

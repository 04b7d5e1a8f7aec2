package abrouterconnector

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pipeline"
)

// Config is the configuration of an ab_router connector.
type Config struct {
	// Baseline and Candidate are the pipelines of the arms. Those of a signal are
	// used where the connector is in pipelines of that signal. Required.
	Baseline  []pipeline.ID `mapstructure:"baseline"`
	Candidate []pipeline.ID `mapstructure:"candidate"`
	// Control is the id of a control plane extension that sends experiments. They
	// come after the static ones. Default: none.
	Control *component.ID `mapstructure:"control"`
	// Experiments are static ones. Default: none.
	Experiments []ExperimentConfig `mapstructure:"experiments"`
	// OnError says where data of a split goes that the candidate did not take:
	// baseline, or fail for an error to the caller. Default: baseline.
	OnError OnError `mapstructure:"on_error"`
	// CandidateTimeout is how long the candidate may take for a batch. Default: 5s,
	// half of what OTLP clients wait. 0: for ever.
	CandidateTimeout time.Duration `mapstructure:"candidate_timeout"`
	// InputInterval is how often inputs send. Streams that change the arm are seen
	// off for two of them. Default: 60s.
	InputInterval time.Duration `mapstructure:"input_interval"`
	// MaxMovedStreams bounds the streams of an experiment that are remembered
	// while they change the arm. Default: 100,000.
	MaxMovedStreams int `mapstructure:"max_moved_streams"`
	// PromotionHold is how long the data of a promoted experiment goes where it
	// went, so that tag_consolidation takes over at an edge of its interval.
	// Default: 60s.
	PromotionHold time.Duration `mapstructure:"promotion_hold"`
	// Mirror is what candidates get beside the baseline.
	Mirror MirrorConfig `mapstructure:"mirror"`
	// Breaker says when the router itself takes a candidate's weight away.
	Breaker BreakerConfig `mapstructure:"breaker"`
}

// ExperimentConfig is a static experiment: it is in force as long as the
// configuration says so.
type ExperimentConfig struct {
	// ID identifies it, and salts the assignment of units. Required.
	ID string `mapstructure:"id"`
	// Signal is metrics, traces or logs. Default: all that the connector carries.
	Signal string `mapstructure:"signal"`
	// Mode is mirror or split. Required.
	Mode string `mapstructure:"mode"`
	// Scope are attributes, resource.x or point.x, and their values. A bare x is
	// resource.x. All must hold. Default: everything.
	Scope map[string]string `mapstructure:"scope"`
	// Metrics are the OTLP names of the metrics that take part. Default: all.
	Metrics []string `mapstructure:"metrics"`
	// Unit is resource, series (metrics), attribute or trace (traces, logs).
	// Required with split.
	Unit string `mapstructure:"unit"`
	// Attribute is the attribute whose values are the units: resource.x, scope.x,
	// point.x, or x for the point's or else the resource's. Required with attribute.
	Attribute string `mapstructure:"attribute"`
	// Weight is the candidate's share of units in percent. Only with split.
	Weight int `mapstructure:"weight"`
	// MaxErrorRatio replaces that of the breaker. Default: the breaker's.
	MaxErrorRatio float64 `mapstructure:"max_error_ratio"`
}

// OnError is a choice.
type OnError string

// The choices.
const (
	OnErrorBaseline OnError = "baseline"
	OnErrorFail     OnError = "fail"
)

// MirrorConfig is the part of mirroring.
type MirrorConfig struct {
	// QueueBytes bounds, as OTLP, what waits for the candidate. Default: 64MiB.
	QueueBytes Bytes `mapstructure:"queue_bytes"`
	// Mark adds the attribute phoenix_arm to the candidate's copies of metric
	// points. Default: true.
	Mark bool `mapstructure:"mark"`
}

// BreakerConfig is the part of breaches.
type BreakerConfig struct {
	// Window is how far the breaker looks back. Default: 10s.
	Window time.Duration `mapstructure:"window"`
	// MinBatches is how many batches it wants to see in a window before it judges
	// their ratio. Default: 20.
	MinBatches int `mapstructure:"min_batches"`
	// MaxErrorRatio is the part of the batches of a window that may fail.
	// Default: 0.1.
	MaxErrorRatio float64 `mapstructure:"max_error_ratio"`
}

// Bytes is a number of bytes. As text it may have a unit: KiB, MiB or GiB.
type Bytes int64

var byteUnits = []struct {
	name string
	size Bytes
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// UnmarshalText reads a number with or without a unit.
func (b *Bytes) UnmarshalText(text []byte) error {
	for _, unit := range byteUnits {
		number, ok := strings.CutSuffix(string(text), unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || Bytes(n) > maxBytes/unit.size {
			break
		}
		*b = Bytes(n) * unit.size
		return nil
	}
	return fmt.Errorf("must be a number of bytes such as 67108864 or 64MiB, got %q", text)
}

// MarshalText writes the largest unit without a remainder.
func (b Bytes) MarshalText() ([]byte, error) {
	for _, unit := range byteUnits {
		if b%unit.size == 0 && b != 0 {
			return []byte(strconv.FormatInt(int64(b/unit.size), 10) + unit.name), nil
		}
	}
	return []byte("0"), nil
}

var _ component.Config = (*Config)(nil)

const (
	minInputInterval = time.Second
	maxBytes         = 1 << 50
)

// Validate reports all errors at once, each with its key first.
func (c *Config) Validate() error {
	var errs error
	add := func(format string, args ...any) { errs = errors.Join(errs, fmt.Errorf(format, args...)) }
	c.validateArms(add)
	if c.OnError != OnErrorBaseline && c.OnError != OnErrorFail {
		add("on_error: must be %s or %s, got %q", OnErrorBaseline, OnErrorFail, c.OnError)
	}
	if c.CandidateTimeout < 0 {
		add("candidate_timeout: must not be negative, got %s", c.CandidateTimeout)
	}
	if c.InputInterval < minInputInterval {
		add("input_interval: must be at least %s, got %s", minInputInterval, c.InputInterval)
	}
	if c.MaxMovedStreams < 0 {
		add("max_moved_streams: must not be negative, got %d", c.MaxMovedStreams)
	}
	if c.PromotionHold < 0 {
		add("promotion_hold: must not be negative, got %s", c.PromotionHold)
	}
	if c.Mirror.QueueBytes <= 0 || c.Mirror.QueueBytes > maxBytes {
		add("mirror.queue_bytes: must be positive, got %d", c.Mirror.QueueBytes)
	}
	if c.Breaker.Window < time.Second {
		add("breaker.window: must be at least 1s, got %s", c.Breaker.Window)
	}
	if c.Breaker.MinBatches < 1 {
		add("breaker.min_batches: must be positive, got %d", c.Breaker.MinBatches)
	}
	if !isRatio(c.Breaker.MaxErrorRatio) || c.Breaker.MaxErrorRatio == 0 {
		add("breaker.max_error_ratio: must be above 0 and at most 1, got %v", c.Breaker.MaxErrorRatio)
	}
	return errors.Join(errs, c.validateExperiments())
}

func (c *Config) validateArms(add func(string, ...any)) {
	for name, arm := range map[string][]pipeline.ID{"baseline": c.Baseline, "candidate": c.Candidate} {
		if len(arm) == 0 {
			add("%s: must name a pipeline", name)
		}
		for i, id := range arm {
			if slices.Contains(arm[:i], id) {
				add("%s[%d]: %s is named twice", name, i, id)
			}
			if _, known := signals[id.Signal().String()]; !known {
				add("%s[%d]: %s carries neither metrics, traces nor logs", name, i, id)
			}
		}
	}
	for i, id := range c.Candidate {
		if slices.Contains(c.Baseline, id) {
			add("candidate[%d]: %s is in the baseline too; the arms must not share a pipeline", i, id)
		}
	}
}

func (c *Config) validateExperiments() error {
	var errs error
	first := map[string]int{}
	for i := range c.Experiments {
		e := &c.Experiments[i]
		if earlier, twice := first[e.ID]; twice && e.ID != "" {
			errs = errors.Join(errs, fmt.Errorf("experiments[%d].id: %q is the id of experiments[%d] already", i, e.ID, earlier))
		}
		first[e.ID] = i
		for _, err := range e.check() {
			errs = errors.Join(errs, fmt.Errorf("experiments[%d].%w", i, err))
		}
	}
	if c.Control == nil && len(c.Experiments) == 0 {
		errs = errors.Join(errs, errors.New("control: must name an extension, or experiments must be given: otherwise nothing ever reaches the candidate"))
	}
	return errs
}

func createDefaultConfig() component.Config {
	return &Config{
		OnError:          OnErrorBaseline,
		CandidateTimeout: 5 * time.Second,
		InputInterval:    time.Minute,
		MaxMovedStreams:  100_000,
		PromotionHold:    time.Minute,
		Mirror:           MirrorConfig{QueueBytes: 64 << 20, Mark: true},
		Breaker:          BreakerConfig{Window: 10 * time.Second, MinBatches: 20, MaxErrorRatio: 0.1},
	}
}

func isRatio(x float64) bool { return x >= 0 && x <= 1 }

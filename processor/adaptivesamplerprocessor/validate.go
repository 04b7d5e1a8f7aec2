package adaptivesamplerprocessor

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// The bounds of options.
const (
	minInterval  = time.Second
	maxInterval  = time.Hour
	maxRemember  = 10_000_000 // keys
	maxSeries    = 100_000_000
	maxReplicas  = 100_000
	maxServices  = 1_000
	allowPartial = "allow"
)

var (
	_ confmap.Unmarshaler = (*TracesTarget)(nil)
	_ confmap.Unmarshaler = (*LogsTarget)(nil)
)

// Unmarshal notes which targets are 0 because they are written so.
func (t *TracesTarget) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(t); err != nil {
		return err
	}
	t.zero = zeros(conf, map[string]float64{"spans_per_second": t.SpansPerSecond, "per_service": t.PerService})
	return nil
}

// Unmarshal notes which targets are 0 because they are written so.
func (t *LogsTarget) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(t); err != nil {
		return err
	}
	t.zero = zeros(conf, map[string]float64{"records_per_second": t.RecordsPerSecond, "per_service": t.PerService})
	return nil
}

func zeros(conf *confmap.Conf, targets map[string]float64) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(targets)) {
		if targets[key] == 0 && conf.IsSet(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// severityNames are the ranges of OTLP severities, in rising order.
var severityNames = []string{"trace", "debug", "info", "warn", "error", "fatal"}

// faults collects what is wrong.
type faults struct{ errs []error }

func (f *faults) add(format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf(format, args...))
}

// Validate reports everything that is wrong, each with its key first.
func (c *Config) Validate() error {
	f := &faults{}
	if c.Interval < minInterval || c.Interval > maxInterval {
		f.add("interval: must be between %s and %s, got %s", minInterval, maxInterval, c.Interval)
	}
	switch c.TargetScope {
	case ScopeCollector:
		if c.Replicas != 0 {
			f.add("replicas: has no effect without `target_scope: %s`, got %d", ScopeFleet, c.Replicas)
		}
	case ScopeFleet:
		if c.Replicas < 1 || c.Replicas > maxReplicas {
			f.add("replicas: must say among how many collectors targets are divided, between 1 and %d, with `target_scope: %s`, got %d",
				maxReplicas, ScopeFleet, c.Replicas)
		}
	default:
		f.add("target_scope: must be %s or %s, got %q", ScopeCollector, ScopeFleet, c.TargetScope)
	}
	c.Traces.validate(f)
	c.Logs.validate(f, c.Traces.Key)
	c.Metrics.validate(f)
	if err := policy.ValidateSamplingRules(c.Rules); err != nil {
		f.errs = append(f.errs, err)
	}
	for i, r := range c.Rules {
		if r.Budget != nil && r.Budget.MonthlyCost != 0 {
			f.add("rules[%d].%w", i, errMoney)
		}
	}
	if c.Checkpoint < time.Second {
		f.add("checkpoint: must be at least 1s, got %s", c.Checkpoint)
	}
	return errors.Join(f.errs...)
}

func (c *TracesConfig) validate(f *faults) {
	switch c.IncompleteTraces {
	case "", allowPartial:
	default:
		f.add("traces.incomplete_traces: must be %s or left out, got %q", allowPartial, c.IncompleteTraces)
	}
	for i, text := range c.Key {
		part, err := parseKeyPart(text)
		switch {
		case err != nil:
			f.add("traces.key[%d]: %w", i, err)
		case slices.Contains(c.Key[:i], text):
			f.add("traces.key[%d]: %q is there twice", i, text)
		case part.kind >= kindName && c.IncompleteTraces == "":
			f.add("traces.key[%d]: %q is of spans: those of one trace would be kept with different probabilities, and of a trace a part may be missing. "+
				"Write `incomplete_traces: %s` if only counts matter, or use resource.… and trace.state.…", i, text, allowPartial)
		}
	}
	f.targets("traces.target", c.Target.zero, map[string]float64{"spans_per_second": c.Target.SpansPerSecond, "per_service": c.Target.PerService}, c.Target.Services)
	f.share("traces.min_probability", c.MinProbability)
	for i := range c.Keep {
		c.Keep[i].validate(f, fmt.Sprintf("traces.keep[%d]", i))
	}
	f.count("traces.max_keys", c.MaxKeys, maxRemember)
}

func (k *KeepSpans) validate(f *faults, key string) {
	given := 0
	if k.Status != "" {
		given++
		if !slices.Contains([]string{statusError, statusOK, statusUnset}, k.Status) {
			f.add("%s.status: must be %s, %s or %s, got %q", key, statusError, statusOK, statusUnset, k.Status)
		}
	}
	if l := k.Latency; l != nil {
		given++
		switch {
		case (l.Over != 0) == (l.Quantile != 0):
			f.add("%s.latency: exactly one of over and quantile must be given", key)
		case l.Over < 0:
			f.add("%s.latency.over: must be positive, got %s", key, l.Over)
		case l.Quantile != 0 && !(l.Quantile > 0 && l.Quantile < 1):
			f.add("%s.latency.quantile: must be above 0 and below 1, got %g", key, l.Quantile)
		}
	}
	if c := k.Attribute; c != nil {
		given++
		f.condition(key+".attribute", c)
	}
	if given != 1 {
		f.add("%s: exactly one of status, latency and attribute must be given, got %d", key, given)
	}
}

func (c *LogsConfig) validate(f *faults, traceKey []string) {
	f.targets("logs.target", c.Target.zero, map[string]float64{"records_per_second": c.Target.RecordsPerSecond, "per_service": c.Target.PerService}, c.Target.Services)
	for _, severity := range slices.Sorted(maps.Keys(c.Floor)) {
		if !slices.Contains(severityNames, severity) {
			f.add("logs.floor: must have %s as keys, got %q", strings.Join(severityNames, ", "), severity)
			continue
		}
		f.share("logs.floor."+severity, c.Floor[severity])
	}
	switch c.WithTraces {
	case "", WithTracesFlag, WithTracesNone:
	case WithTracesSampled:
		if i := slices.IndexFunc(traceKey, func(text string) bool { return !strings.HasPrefix(text, keyOfResource) }); i >= 0 {
			f.add("logs.with_traces: %s needs a traces.key of nothing but resource.…, got %q: a record does not know what its span has", WithTracesSampled, traceKey[i])
		}
	default:
		f.add("logs.with_traces: must be %s, %s or %s, got %q", WithTracesSampled, WithTracesFlag, WithTracesNone, c.WithTraces)
	}
	if c.Summary.Interval < minInterval {
		f.add("logs.summary.interval: must be at least %s, got %s", minInterval, c.Summary.Interval)
	}
	f.count("logs.max_keys", c.MaxKeys, maxRemember)
}

func (c *MetricsConfig) validate(f *faults) {
	f.count("metrics.max_series", c.MaxSeries, maxSeries)
	if c.Idle < minInterval {
		f.add("metrics.idle: must be at least %s, got %s", minInterval, c.Idle)
	}
	if c.Window < minInterval {
		f.add("metrics.window: must be at least %s, got %s", minInterval, c.Window)
	}
}

// targets checks targets; zero lists those that are written as 0.
func (f *faults) targets(key string, zero []string, targets, services map[string]float64) {
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		if v := targets[name]; v != 0 && !(v > 0 && v <= math.MaxFloat64) || slices.Contains(zero, name) {
			f.add("%s.%s: must be positive, got %g; leave it out for no bound", key, name, v)
		}
	}
	if len(services) > maxServices {
		f.add("%s.services: must not have more than %d entries, got %d", key, maxServices, len(services))
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if v := services[name]; !(v > 0 && v <= math.MaxFloat64) {
			f.add("%s.services.%s: must be positive, got %g", key, name, v)
		}
	}
}

// share checks a probability.
func (f *faults) share(key string, v float64) {
	if !(v >= 0 && v <= 1) {
		f.add("%s: must be between 0 and 1, got %g", key, v)
	}
}

func (f *faults) count(key string, n, most int) {
	if n < 1 || n > most {
		f.add("%s: must be between 1 and %d, got %d", key, most, n)
	}
}

func (f *faults) condition(key string, c *policy.Condition) {
	if strings.TrimPrefix(c.Attribute, keyOfResource) == "" {
		f.add("%s.attribute: must not be empty", key)
	}
	switch {
	case c.Value == "" && c.Present == nil:
		f.add("%s: value or present must be given", key)
	case c.Value != "" && c.Present != nil:
		f.add("%s: value and present must not be given together: a value must be present", key)
	case c.Value != "":
		if _, err := match.Compile(c.Value); err != nil {
			f.add("%s.value: %w", key, err)
		}
	}
}

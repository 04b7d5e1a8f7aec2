package keyrate

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Settings say how much goes on, and bound what is remembered.
type Settings struct {
	// MaxKeys is how many keys are remembered. Default: 10,000.
	MaxKeys int
	// Total is how many items a second go on of all keys together, PerGroup of
	// each group, and Groups replaces it for some. 0: no target.
	Total    float64
	PerGroup float64
	Groups   map[string]float64
	// MinProbability bounds probabilities from below. It comes before targets.
	MinProbability float64
	// Quantile is the one of a key's latencies beyond which an item is slow. 0:
	// none is.
	Quantile float64
	// Interval is how often Adjust is called. Default: 5s.
	Interval time.Duration
}

const (
	defaultMaxKeys  = 10_000
	defaultInterval = 5 * time.Second
)

func (s *Settings) withDefaults() Settings {
	d := *s
	if d.MaxKeys == 0 {
		d.MaxKeys = defaultMaxKeys
	}
	if d.Interval == 0 {
		d.Interval = defaultInterval
	}
	d.Groups = maps.Clone(d.Groups)
	return d
}

// Validate reports everything that is wrong with s.
func (s *Settings) Validate() error {
	var errs error
	if s.MaxKeys < 0 {
		errs = errors.Join(errs, fmt.Errorf("max keys: must not be negative, got %d", s.MaxKeys))
	}
	if s.Interval < 0 || s.Interval > 0 && s.Interval < time.Millisecond {
		errs = errors.Join(errs, fmt.Errorf("interval: must be at least 1ms, got %s", s.Interval))
	}
	if !(s.MinProbability >= 0 && s.MinProbability <= 1) {
		errs = errors.Join(errs, fmt.Errorf("minimum probability: must be between 0 and 1, got %g", s.MinProbability))
	}
	if !(s.Quantile >= 0 && s.Quantile < 1) {
		errs = errors.Join(errs, fmt.Errorf("quantile: must be at least 0 and below 1, got %g", s.Quantile))
	}
	return errors.Join(errs, validTargets(s.Total, s.PerGroup, s.Groups))
}

func validTargets(total, perGroup float64, groups map[string]float64) error {
	var errs error
	check := func(what string, target float64) {
		if !(target >= 0 && target <= math.MaxFloat64) {
			errs = errors.Join(errs, fmt.Errorf("%s: must be a number that is not negative, got %g", what, target))
		}
	}
	check("total", total)
	check("per group", perGroup)
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		check(fmt.Sprintf("group %q", name), groups[name])
	}
	return errs
}

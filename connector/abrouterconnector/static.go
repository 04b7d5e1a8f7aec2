package abrouterconnector

import (
	"fmt"
	"maps"
	"slices"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

// The signals that the connector carries.
const (
	signalMetrics = "metrics"
	signalTraces  = "traces"
	signalLogs    = "logs"
)

// signals are the units that each signal has.
var signals = map[string][]routing.Unit{
	signalMetrics: {routing.UnitResource, routing.UnitSeries, routing.UnitAttribute},
	signalTraces:  {routing.UnitResource, routing.UnitTrace, routing.UnitAttribute},
	signalLogs:    {routing.UnitResource, routing.UnitTrace, routing.UnitAttribute},
}

// check says what is wrong with a static experiment, the key first.
func (e *ExperimentConfig) check() (list []error) {
	add := func(format string, args ...any) { list = append(list, fmt.Errorf(format, args...)) }
	if e.ID == "" {
		add("id: must not be empty")
	}
	units, known := signals[e.Signal]
	if !known && e.Signal != "" {
		add("signal: must be %s, %s or %s, got %q", signalMetrics, signalTraces, signalLogs, e.Signal)
	}
	if len(e.Metrics) > 0 && e.Signal != "" && e.Signal != signalMetrics {
		add("metrics: must not be given with signal: %s", e.Signal)
	}
	for _, key := range slices.Sorted(maps.Keys(e.Scope)) {
		if _, err := scopeRef(key); err != nil {
			add("scope[%q]: %w", key, err)
		}
	}
	switch e.Mode {
	case modeMirror:
		if e.Unit != "" || e.Attribute != "" || e.Weight != 0 {
			add("mode: %s has neither unit, attribute nor weight", modeMirror)
		}
	case modeSplit:
		e.checkSplit(units, known, add)
	default:
		add("mode: must be %s or %s, got %q", modeMirror, modeSplit, e.Mode)
	}
	if !isRatio(e.MaxErrorRatio) {
		add("max_error_ratio: must be between 0 and 1, got %v", e.MaxErrorRatio)
	}
	return list
}

func (e *ExperimentConfig) checkSplit(units []routing.Unit, known bool, add func(string, ...any)) {
	if !known {
		units = []routing.Unit{routing.UnitResource, routing.UnitSeries, routing.UnitAttribute, routing.UnitTrace}
	}
	if !slices.Contains(units, routing.Unit(e.Unit)) {
		add("unit: must be one of %v, got %q", units, e.Unit)
	}
	if e.Weight < 0 || e.Weight > 100 {
		add("weight: must be between 0 and 100 percent, got %d", e.Weight)
	}
	switch {
	case (e.Unit == string(routing.UnitAttribute)) != (e.Attribute != ""):
		add("attribute: must be given with unit: %s, and only with it", routing.UnitAttribute)
	case e.Attribute != "":
		if ref, err := policy.ParseAttributeRef(e.Attribute); err != nil || ref.IsGlob() {
			add("attribute: must name one attribute, such as resource.x, got %q", e.Attribute)
		}
	}
}

// routes are the routes of the static experiments for a signal.
func (c *Config) routes(signal string) []policy.Route {
	var list []policy.Route
	for _, e := range c.Experiments {
		if e.Signal != "" && e.Signal != signal || !slices.Contains(signals[signal], routing.Unit(e.Unit)) && e.Mode == modeSplit {
			continue
		}
		list = append(list, policy.Route{
			Experiment: e.ID, Signal: signal, Mode: e.Mode, Scope: e.Scope, Metrics: e.Metrics, Unit: e.Unit, Attribute: e.Attribute,
			Weight: e.Weight, Mirror: e.Mode == modeMirror, MaxErrorRatio: e.MaxErrorRatio,
		})
	}
	return list
}

// scopeRef reads a key of a scope: a bare one is of the resource, as control has
// it.
func scopeRef(key string) (policy.AttributeRef, error) {
	ref, err := policy.ParseAttributeRef(key)
	if err == nil && (ref.IsGlob() || ref.Level == policy.LevelScope) {
		err = fmt.Errorf("must name one attribute of the resource or the point, got %q", key)
	}
	if ref.Level == policy.LevelAny {
		ref.Level = policy.LevelResource
	}
	return ref, err
}

// experimentOf is what routing has to know of a route.
func experimentOf(r *policy.Route) (routing.Experiment, error) {
	e := routing.Experiment{ID: r.Experiment, Metrics: r.Metrics}
	for key, value := range r.Scope {
		ref, err := scopeRef(key)
		if err != nil {
			return e, fmt.Errorf("scope: %w", err)
		}
		condition := routing.Attribute{Key: ref.Key, Value: value}
		if ref.Level == policy.LevelPoint {
			e.Point = append(e.Point, condition)
		} else {
			e.Resource = append(e.Resource, condition)
		}
	}
	switch r.Mode {
	case modeMirror:
		return e, nil
	case modeSplit:
	default:
		return e, fmt.Errorf("mode: there is no %q", r.Mode)
	}
	if !validWeight(r) {
		return e, fmt.Errorf("weight: must be between 0 and 100, got %d", r.Weight)
	}
	if e.Unit = routing.Unit(r.Unit); !slices.Contains(signals[r.Signal], e.Unit) {
		return e, fmt.Errorf("unit: %s have no unit %q", r.Signal, r.Unit)
	}
	if e.Unit == routing.UnitAttribute {
		ref, err := policy.ParseAttributeRef(r.Attribute)
		if err != nil {
			return e, fmt.Errorf("attribute: %w", err)
		}
		e.UnitAttribute = routing.AttributeRef{Level: routing.Level(ref.Level), Key: ref.Key}
	}
	return e, nil
}

func validWeight(r *policy.Route) bool { return r.Weight >= 0 && r.Weight <= 100 }

package experiment

import (
	"fmt"
	"slices"
	"strings"
)

// Active is an experiment that runs or is paused, and so holds its scope.
type Active struct {
	ID   string
	Spec Spec
}

// Overlap says whether two experiments could take the same data, and what they
// share. They cannot if their signals differ, if one attribute of both scopes has
// different values, or if both name their metrics and have none in common.
func Overlap(a, b Spec) (overlap bool, why string) {
	a.Signal, b.Signal = or(a.Signal, SignalMetrics), or(b.Signal, SignalMetrics)
	if a.Signal != b.Signal {
		return false, ""
	}
	scopeOfB := b.scope()
	var shared []string
	for ref, value := range a.scope() {
		other, both := scopeOfB[ref]
		switch {
		case both && other != value:
			return false, ""
		case both:
			shared = append(shared, ref.String()+"="+value)
		}
	}
	slices.Sort(shared)
	metrics, meet := metricsMeet(a.Metrics, b.Metrics)
	if !meet {
		return false, ""
	}
	where := "their scopes have no attribute in common that tells them apart"
	if len(shared) > 0 {
		where = "both are on " + strings.Join(shared, " and ")
	}
	if a.Signal != SignalMetrics {
		return true, where
	}
	return true, where + ", with " + metrics
}

func metricsMeet(a, b []string) (what string, meet bool) {
	switch {
	case len(a) == 0 && len(b) == 0:
		return "all metrics", true
	case len(a) == 0:
		return firstOf(b), true
	case len(b) == 0:
		return firstOf(a), true
	}
	both := slices.DeleteFunc(slices.Clone(a), func(name string) bool { return !slices.Contains(b, name) })
	return firstOf(both), len(both) > 0
}

// firstOf names some metrics in a bounded text.
func firstOf(metrics []string) string {
	const few = 3
	if len(metrics) <= few {
		return "metrics " + strings.Join(metrics, ", ")
	}
	return fmt.Sprintf("metrics %s and %d more", strings.Join(metrics[:few], ", "), len(metrics)-few)
}

// conflict names the first experiment that holds what the specification wants.
func conflict(spec Spec, active []Active) (Reason, bool) {
	for _, other := range active {
		if other.ID == spec.ID {
			continue
		}
		if overlap, why := Overlap(spec, other.Spec); overlap {
			return reason(ReasonConflict, other.ID, fmt.Sprintf("experiment %q holds the scope: %s", other.ID, why)), true
		}
	}
	return Reason{}, false
}

func or[T ~string](value, otherwise T) T {
	if value == "" {
		return otherwise
	}
	return value
}

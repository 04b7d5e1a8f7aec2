package policy

import (
	"math"
	"slices"
	"time"
)

const (
	// maxHeartbeat bounds heartbeats and ranges: what sends once a day is no
	// series that a dashboard shows.
	maxHeartbeat = 24 * time.Hour
	// minRatio is the smallest ratio: thresholds have 56 bits.
	minRatio = 0x1p-56
	// maxSeed is the largest seed that JSON and the API hold exactly.
	maxSeed = math.MaxUint32
)

// ValidateSamplingRules reports all mistakes in a list of sampling rules at once,
// each with its key first, such as rules[0].dead_band.heartbeat. The error, if
// any, is an Errors.
func ValidateSamplingRules(rules []SamplingRule) error {
	if list := SamplingMistakes("rules", rules); len(list) > 0 {
		return list
	}
	return nil
}

// SamplingMistakes is ValidateSamplingRules for a list of another key than rules.
func SamplingMistakes(key string, rules []SamplingRule) Errors {
	var list Errors
	f := faults{list: &list}
	first := map[string]int{}
	for i := range rules {
		at := f.at("%s[%d]", key, i)
		rules[i].check(at)
		if earlier, twice := first[rules[i].Name]; twice && rules[i].Name != "" {
			at.at("name").add("%q is the name of %s[%d] already", rules[i].Name, key, earlier)
		} else {
			first[rules[i].Name] = i
		}
	}
	return list
}

func (r *SamplingRule) check(f faults) {
	checkName(f.at("name"), r.Name)
	word(f.at("mode"), r.Mode, ModeEnforce, ModePreview)
	kinds := 0
	if r.DeadBand != nil {
		kinds++
		r.DeadBand.check(f.at("dead_band"))
	}
	if r.Series != nil {
		kinds++
		r.Series.check(f.at("series"))
	}
	if r.Budget != nil {
		kinds++
		r.Budget.check(f.at("budget"))
	}
	if kinds != 1 {
		f.add("exactly one of dead_band, series and budget must be given, got %d", kinds)
	}
}

func (b *DeadBand) check(f faults) {
	b.Match.check(f.at("match"))
	t := f.at("tolerance")
	if v := b.Tolerance.Relative; !(v >= 0 && v < 1) {
		t.at("relative").add("must be at least 0 and below 1, 0.01 for 1 %%, got %g", v)
	}
	if v := b.Tolerance.Absolute; !(v >= 0 && v <= math.MaxFloat64) {
		t.at("absolute").add("must be a number of at least 0, got %g", v)
	}
	checkSpan(f.at("heartbeat"), b.Heartbeat)
	checkSpan(f.at("range"), b.Range)
	word(f.at("predictor"), b.Predictor, PredictorHold, PredictorLinear)
	if types := b.Match.Types; len(types) > 0 && !slices.ContainsFunc(types, func(t MetricType) bool { return t != TypeSummary }) {
		f.add("has no effect: match.types has only %s, of which every point passes", TypeSummary)
	}
}

// checkSpan checks a duration whose zero value is the default.
func checkSpan(f faults, d Duration) {
	switch {
	case !d.Readable():
		f.add("must be a duration such as 60s or 5m")
	case d < 0:
		f.add("must be positive, got %s", d)
	case d.Std() > maxHeartbeat:
		f.add("must not be longer than %s, got %s", maxHeartbeat, d)
	}
}

func (s *SeriesSample) check(f faults) {
	s.Match.check(f.at("match"))
	if !(s.Ratio >= minRatio && s.Ratio <= 1) {
		f.at("ratio").add("must be above 0 (at least 2^-56) and at most 1, got %g", s.Ratio)
	}
	word(f.at("weigh"), s.Weigh, WeighAttribute, WeighMultiply)
	if s.Attribute != "" {
		if err := checkKey(s.Attribute); err != nil {
			f.at("attribute").add("%s", err)
		}
	}
	if s.Seed > maxSeed {
		f.at("seed").add("must be at most %d, got %d", uint64(maxSeed), s.Seed)
	}
	if types := s.Match.Types; s.Weigh == WeighMultiply && len(types) > 0 && !slices.Contains(types, TypeSum) {
		f.at("weigh").add("%s has no effect: match.types has no %s", WeighMultiply, TypeSum)
	}
}

func (b *Budget) check(f faults) {
	if b.Signal == "" {
		f.at("signal").add("must be %s", oneOf([]string{SignalMetrics, SignalTraces, SignalLogs}))
	}
	word(f.at("signal"), b.Signal, SignalMetrics, SignalTraces, SignalLogs)
	if m := b.Match.Metric; m != "" {
		at := f.at("match").at("metric")
		if b.Signal == SignalTraces || b.Signal == SignalLogs {
			at.add("must not be given: %s have no metric", b.Signal)
		} else if _, err := parsePattern(m); err != nil {
			at.add("%s", err)
		}
	}
	checkConditions(f.at("match").at("resource"), b.Match.Resource)
	b.checkAmount(f)
	b.checkBounds(f)
}

func (b *Budget) checkAmount(f faults) {
	given := 0
	for _, a := range []struct {
		key   string
		value float64
	}{{"points_per_second", b.PointsPerSecond}, {"bytes_per_second", b.BytesPerSecond}, {"monthly_cost", b.MonthlyCost}} {
		if a.value == 0 {
			continue
		}
		given++
		if !(a.value > 0 && a.value <= math.MaxFloat64) {
			f.at("%s", a.key).add("must be positive, got %g", a.value)
		}
	}
	if given != 1 {
		f.add("exactly one of points_per_second, bytes_per_second and, in a policy of the control plane, monthly_cost must be given and positive, got %d", given)
	}
}

// checkBounds checks the bounds that hold: those given or their defaults.
func (b *Budget) checkBounds(f faults) {
	floor, ceiling := b.Floor, b.Ceiling
	if floor == 0 {
		floor = DefaultFloor
	}
	if ceiling == 0 {
		ceiling = DefaultCeiling
	}
	sound := true
	for _, bound := range []struct {
		key   string
		value float64
	}{{"floor", floor}, {"ceiling", ceiling}} {
		if !(bound.value > 0 && bound.value <= math.MaxFloat64) {
			sound = false
			f.at("%s", bound.key).add("must be positive, got %g", bound.value)
		}
	}
	if sound && floor > ceiling {
		f.at("floor").add("must not be above the ceiling: floor %g, ceiling %g", floor, ceiling)
	}
}

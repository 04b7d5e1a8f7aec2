package experiment

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// Bounds of what a specification may hold.
const (
	maxDescription = 4096
	maxScope       = 16
	maxValue       = 1024
	maxMetrics     = 100
	maxMetricName  = 255
	maxRules       = 100
	maxSteps       = 20
	maxGuardrails  = 32
	maxDocuments   = 100
	maxQueries     = 1000
	maxAlerts      = 100
	maxQueryBytes  = 16 << 10

	shortestInterval = time.Second
	longestInterval  = time.Hour
	longestRun       = 90 * 24 * time.Hour
)

// Validate reports all mistakes in the specification at once, each with its key
// first. The error, if any, is a policy.Errors. Queries are not parsed here.
func (s Spec) Validate() error {
	var list policy.Errors
	f := faults{list: &list}
	if !policy.ValidName(s.ID) {
		f.at("id").add("must consist of letters, digits and ._:/-, begin with a letter or digit and not be longer than 128 bytes, got %q", s.ID)
	}
	f.at("description").text(s.Description, maxDescription, false)
	if s.Signal != "" {
		word(f.at("signal"), s.Signal, signals)
	}
	d := s.WithDefaults()
	knownMode := word(f.at("mode"), s.Mode, modes)
	s.checkScope(f.at("scope"))
	d.checkMetrics(f.at("metrics"))
	d.checkRules(f.at("rules"))
	if knownMode {
		d.checkUnit(f.at("unit"))
		s.checkSteps(f.at("steps"))
		d.checkFidelity(f.at("fidelity"))
	}
	if !s.Schedule.NotAfter.IsZero() && !s.Schedule.NotAfter.After(s.Schedule.NotBefore) {
		f.at("schedule.not_after").add("must be later than schedule.not_before")
	}
	d.checkTimes(f)
	s.checkGuardrails(f.at("guardrails"))
	d.checkSuccess(f.at("success"))
	if len(list) == 0 {
		return nil
	}
	return list
}

func (s Spec) checkScope(f faults) {
	if !f.length(len(s.Scope), 1, maxScope) {
		return
	}
	first := map[policy.AttributeRef]string{}
	for _, key := range slices.Sorted(maps.Keys(s.Scope)) {
		at := f.at("[%q]", key)
		at.text(s.Scope[key], maxValue, true)
		ref, err := scopeRef(key)
		switch {
		case err != nil:
			at.add("%s", err)
		case ref.IsGlob():
			at.add("must name one attribute, got the glob %q", key)
		case ref.Level == policy.LevelScope:
			at.add("must be an attribute of the resource or the point: rules have no conditions on those of the scope")
		case first[ref] != "":
			at.add("is %s, as %q is", ref, first[ref])
		default:
			first[ref] = key
		}
	}
}

func (s Spec) checkMetrics(f faults) {
	if len(s.Metrics) > 0 && s.Signal != SignalMetrics {
		f.add("must not be given with signal: %s", s.Signal)
		return
	}
	if !f.length(len(s.Metrics), 0, maxMetrics) {
		return
	}
	first := map[string]int{}
	for i, name := range s.Metrics {
		at := f.at("[%d]", i)
		at.text(name, maxMetricName, true)
		if strings.ContainsAny(name, "*?") {
			at.add("must be a metric's whole name, without * and ?, got %q", name)
		}
		once(at, first, name, "metrics", i)
	}
}

func (s Spec) checkRules(f faults) {
	if s.Signal != SignalMetrics {
		if len(s.Rules) > 0 {
			f.add("must not be given with signal: %s, for which the arms' pipelines are compared as they are configured", s.Signal)
		}
		return
	}
	if !f.length(len(s.Rules), 1, maxRules) {
		return
	}
	for i, r := range s.Rules {
		at := f.at("[%d]", i)
		if r.Role != "" && r.Role != policy.RoleCandidate {
			at.at("role").add("must be %s or left out, got %q", policy.RoleCandidate, r.Role)
		}
		if r.Mode != "" {
			at.at("mode").add("must be left out: the state of the experiment says whether the rule acts")
		}
		if r.Experiment != nil {
			at.at("experiment").add("must be left out: it is filled in")
		}
		if len(s.Metrics) > 0 && len(s.matched(r.Match.Metric)) == 0 {
			at.at("match.metric").add("matches none of the experiment's metrics: %q", r.Match.Metric)
		}
	}
	if !slices.ContainsFunc(s.Rules, changes) {
		f.add("no rule changes anything: the candidate equals the baseline")
	}
	// Both forms are checked: that of the candidate knows the scope, that of the
	// promotion has more conditions.
	seen := map[policy.FieldError]bool{}
	for _, rules := range [][]policy.Rule{s.CandidateRules(), s.PromotedRules()} {
		for _, e := range policy.AsErrors(policy.ValidateRules(rules)) {
			if !seen[e] {
				*f.list = append(*f.list, e)
			}
			seen[e] = true
		}
	}
}

// changes says whether a rule can change anything.
func changes(r policy.Rule) bool {
	a := r.Attributes
	return len(a.Drop) > 0 || a.Keep != nil || len(a.Map) > 0 || len(a.HashBuckets) > 0 || a.TopK != nil ||
		r.Limit != nil || r.Buckets != nil || r.Scope == policy.ScopeDrop || r.Gauge != "" || r.Summary == policy.SummaryMergeCountSum
}

func (s Spec) checkUnit(f faults) {
	u := s.Unit
	if s.Mode != ModeSplit {
		if u != (Unit{}) {
			f.add("must not be given with mode: %s, where both arms see every point", s.Mode)
		}
		return
	}
	if !word(f.at("kind"), u.Kind, unitKinds) {
		return
	}
	if u.Kind == UnitSeries && s.Signal != SignalMetrics {
		f.at("kind").add("must not be %s with signal: %s", u.Kind, s.Signal)
	}
	if u.Kind == UnitTrace && s.Signal == SignalMetrics {
		f.at("kind").add("must not be %s with signal: %s", u.Kind, s.Signal)
	}
	ref, err := policy.ParseAttributeRef(u.Attribute)
	switch {
	case u.Kind != UnitAttribute && u.Attribute != "":
		f.at("attribute").add("has no effect: only for kind: %s", UnitAttribute)
	case u.Kind != UnitAttribute:
	case err != nil:
		f.at("attribute").add("%s", err)
	case ref.IsGlob():
		f.at("attribute").add("must name one attribute, got the glob %q", u.Attribute)
	}
	if by := s.divides(); by != "" && !u.WriterByArm {
		f.add("units of both arms can be inputs of one output, because %s; set writer_by_arm when the arms write under different identities", by)
	}
}

func (s Spec) checkSteps(f faults) {
	if s.Mode != ModeSplit {
		if len(s.Steps) > 0 {
			f.add("must not be given with mode: %s, where both arms see every point", s.Mode)
		}
		return
	}
	if !f.length(len(s.Steps), 0, maxSteps) {
		return
	}
	d := s.WithDefaults()
	for i, step := range s.Steps {
		at := f.at("[%d]", i)
		switch {
		case step.Weight < 1 || step.Weight > 100:
			at.at("weight").add("must be between 1 and 100, got %d", step.Weight)
		case i > 0 && step.Weight <= s.Steps[i-1].Weight:
			at.at("weight").add("must be more than that of the step before, %d, got %d", s.Steps[i-1].Weight, step.Weight)
		}
		dwell := d.Steps[i].Dwell
		if at.at("dwell").span(dwell, 0, longestRun) && d.Interval > 0 && dwell < plus(d.Interval, d.Interval) {
			at.at("dwell").add("must not be shorter than two intervals, %s, got %s", plus(d.Interval, d.Interval), dwell)
		}
	}
}

func (s Spec) checkTimes(f faults) {
	known := f.at("interval").span(s.Interval, shortestInterval, longestInterval)
	known = f.at("min_duration").span(s.MinDuration, 0, longestRun) && known
	known = f.at("max_duration").span(s.MaxDuration, shortestInterval, longestRun) && known
	f.at("max_pause").span(s.MaxPause, shortestInterval, longestRun)
	if !known {
		return
	}
	if run := s.MinimumRun(); s.MaxDuration < run {
		f.at("max_duration").add("must not be shorter than the minimum run, %s, got %s", run, s.MaxDuration)
	}
	var dwell Duration
	for _, step := range s.Steps {
		dwell = plus(dwell, max(step.Dwell, 0))
	}
	if s.MaxDuration < dwell {
		f.at("max_duration").add("must not be shorter than the dwells of all steps, %s, got %s", dwell, s.MaxDuration)
	}
}

package insight

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
)

// applied is what the processors say of the policies' rules, added up by rule.
type applied struct {
	policies map[store.PolicyKey]map[string]*appliedRule
	// processors are the ids of those that answered.
	processors []string
	// interval and staleness are the longest of them.
	interval, staleness time.Duration
	// silent marks that some did not answer.
	silent bool
}

// appliedRule is one rule at all processors.
type appliedRule struct {
	mode string
	// since is when the last of them began to measure it, and waiting that one of
	// them does not apply it yet.
	since   time.Time
	waiting bool
	// points counts since different times and is for readers.
	points             uint64
	streams, remaining uint64
	metrics            map[string]counted
	components         []string
}

// counted is what a rule does to one metric, in backend series.
type counted struct {
	series, after uint64
	// variance is that of series less after, and of series alone.
	variance, seriesVariance float64
}

// saved is how many series go. Estimates may say that more come out than went in.
func (c counted) saved() uint64 { return c.series - min(c.after, c.series) }

func (c counted) plus(d counted) counted {
	return counted{c.series + d.series, c.after + d.after, c.variance + d.variance, c.seriesVariance + d.seriesVariance}
}

// current asks the processors, at most as often as reports are made.
func (in *insight) current(ctx context.Context) (*applied, error) {
	return in.applied.get(ctx, in.work, func(ctx context.Context) (*applied, error) {
		answers, err := in.Consolidation(ctx)
		if err != nil {
			if len(answers) == 0 {
				return nil, err
			}
			in.Core.Logger.Warn("A processor did not say what its rules save", zap.Error(err))
		}
		a := addUp(answers)
		a.silent = err != nil
		return a, nil
	})
}

func addUp(answers []report.Consolidation) *applied {
	a := &applied{policies: map[store.PolicyKey]map[string]*appliedRule{}}
	for _, answer := range answers {
		if !slices.Contains(a.processors, answer.Component) {
			a.processors = append(a.processors, answer.Component)
		}
		a.interval, a.staleness = max(a.interval, answer.Interval), max(a.staleness, answer.Staleness)
		previews := inPreview(answer.Rules)
		for i := range answer.Rules {
			r := &answer.Rules[i]
			if r.Static || r.Mode != string(policy.ModePreview) && previews[r.Name] {
				continue // it acts until the next edge, but its successor measures already
			}
			a.add(answer.Component, r)
		}
	}
	return a
}

// inPreview are the names of the rules in preview. One that was enforced until
// now is there twice.
func inPreview(rules []report.RuleReport) map[string]bool {
	names := map[string]bool{}
	for i := range rules {
		if r := &rules[i]; !r.Static && r.Mode == string(policy.ModePreview) {
			names[r.Name] = true
		}
	}
	return names
}

// add adds the report of one rule. Rules of policies are called
// namespace/policy/rule, and only the last part may have slashes.
func (a *applied) add(component string, r *report.RuleReport) {
	parts := strings.SplitN(r.Name, "/", 3)
	if len(parts) < 3 {
		return
	}
	key := store.PolicyKey{Namespace: parts[0], Name: parts[1]}
	if a.policies[key] == nil {
		a.policies[key] = map[string]*appliedRule{}
	}
	rule := a.policies[key][parts[2]]
	if rule == nil {
		rule = &appliedRule{mode: r.Mode, metrics: map[string]counted{}}
		a.policies[key][parts[2]] = rule
	}
	if rule.mode != r.Mode { // they do not switch at the same time
		rule.waiting = true
	}
	if r.Since.After(rule.since) {
		rule.since = r.Since
	}
	rule.waiting = rule.waiting || r.Waiting
	rule.points += r.Points
	rule.streams += r.Streams
	rule.remaining += r.StreamsAfter
	if !slices.Contains(rule.components, component) {
		rule.components = append(rule.components, component)
	}
	for _, m := range r.Metrics {
		in, out := m.RelativeError*float64(m.Series), m.RelativeError*float64(m.SeriesAfter)
		rule.metrics[m.Metric] = rule.metrics[m.Metric].plus(counted{
			series: m.Series, after: m.SeriesAfter, variance: in*in + out*out, seriesVariance: in * in,
		})
	}
}

// total is what the rule does to all its metrics.
func (r *appliedRule) total() counted {
	var sum counted
	var saved uint64
	for _, m := range r.metrics {
		sum = sum.plus(m)
		saved += m.saved()
	}
	sum.after = sum.series - saved
	return sum
}

// measured are the rules of one policy, added up by metric.
type measured struct {
	rules map[string]*appliedRule
	// metrics by name; the empty name is what processors had no room for.
	metrics            map[string]counted
	streams, remaining uint64
	since              time.Time
	waiting            bool
	components         []string
}

// of returns what is measured of a policy, nil if nothing is.
func (a *applied) of(key store.PolicyKey) *measured {
	rules := a.policies[key]
	if len(rules) == 0 {
		return nil
	}
	m := &measured{rules: rules, metrics: map[string]counted{}}
	for _, r := range rules {
		for name, c := range r.metrics {
			m.metrics[name] = m.metrics[name].plus(c)
		}
		m.streams += r.streams
		m.remaining += r.remaining
		m.waiting = m.waiting || r.waiting
		if r.since.After(m.since) {
			m.since = r.since
		}
		m.components = append(m.components, r.components...)
	}
	slices.Sort(m.components)
	m.components = slices.Compact(m.components)
	return m
}

// within95 is how many series went, with 95 % confidence, of what was counted with this
// variance. No more than the whole goes, and no less than nothing.
func within95(saved, whole uint64, variance float64) (low, expected, high float64) {
	const deviations = 1.96
	margin := deviations * math.Sqrt(variance)
	expected = float64(saved)
	return max(0, expected-margin), expected, max(expected, min(expected+margin, float64(whole)+margin))
}

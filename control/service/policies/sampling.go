package policies

import (
	"cmp"
	"fmt"
	"time"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// samplingRule reads a sampling rule. What is wrong with it is for policy to say.
func samplingRule(r *phoenixv1.SamplingRule) policy.SamplingRule {
	rule := policy.SamplingRule{Name: r.GetName()}
	if b := r.GetDeadBand(); b != nil {
		rule.DeadBand = &policy.DeadBand{
			Match:     matchOf(b.GetMatch()),
			Tolerance: policy.Tolerance{Relative: b.GetTolerance().GetRelative(), Absolute: b.GetTolerance().GetAbsolute()},
			Heartbeat: span(b.GetHeartbeat()), Predictor: policy.Predictor(b.GetPredictor()), Range: span(b.GetRange()), Corners: b.Corners,
		}
	}
	if s := r.GetSeries(); s != nil {
		rule.Series = &policy.SeriesSample{
			Match: matchOf(s.GetMatch()), Ratio: s.GetRatio(), Weigh: policy.Weigh(s.GetWeigh()),
			Attribute: s.GetAttribute(), Seed: uint64(s.GetSeed()),
		}
	}
	if b := r.GetBudget(); b != nil {
		rule.Budget = &policy.Budget{
			Signal: b.GetSignal(), Match: policy.BudgetMatch{Metric: b.GetMatch().GetMetric(), Resource: conditions(b.GetMatch().GetResource())},
			PointsPerSecond: b.GetPointsPerSecond(), BytesPerSecond: b.GetBytesPerSecond(), MonthlyCost: b.GetMonthlyCost(),
			Floor: b.GetFloor(), Ceiling: b.GetCeiling(),
		}
	}
	return rule
}

func matchOf(m *phoenixv1.Match) policy.Match {
	return policy.Match{
		Metric: m.GetMetric(), Types: words[policy.MetricType](m.GetTypes()),
		Resource: conditions(m.GetResource()), Point: conditions(m.GetPoint()),
	}
}

// span reads a time span; none is the default. What is no time span becomes a
// value that validation refuses.
func span(text string) (d policy.Duration) {
	if text != "" {
		_ = d.UnmarshalText([]byte(text)) // never fails
	}
	return d
}

// checkSampling finds what policy finds wrong with the sampling rules. It says
// whether their names fit.
func checkSampling(m *mistakes, d draft) (named bool) {
	rules := make([]policy.SamplingRule, len(d.spec.Sampling))
	named = true
	for i, r := range d.spec.Sampling {
		r.Name = cmp.Or(r.Name, publish.DefaultSamplingName(i))
		rules[i] = r
		if full := publish.RuleName(d.key, r.Name); len(full) > maxRuleName && len(r.Name) <= maxRuleName {
			m.add(fmt.Sprintf("policy.spec.sampling[%d].name", i), "must not be longer than %d bytes together with namespace and policy, got %q",
				maxRuleName, full)
			named = false
		}
	}
	for _, e := range policy.SamplingMistakes("sampling", rules) {
		m.add("policy.spec."+e.Path, "%s", e.Problem)
	}
	return named
}

// sampled adds up what the processors say of one sampling rule.
type sampled struct {
	*phoenixv1.SamplingStatus
	// metric is the pattern that the rule matches, signal what it samples.
	metric, signal string
	since          time.Time
	seen           bool
}

// sampling says what each sampling rule of a policy leaves out. Rules that no
// processor reports are missing.
func (v *view) sampling(p store.Policy) []*phoenixv1.SamplingStatus {
	if !inForce(p.State) || len(v.samples) == 0 {
		return nil
	}
	spec, err := publish.DecodeSpec(p.Spec)
	if err != nil || len(spec.Sampling) == 0 {
		return nil
	}
	mode := policy.ModePreview
	if p.State == store.StateEnforced {
		mode = policy.ModeEnforce
	}
	var list []*phoenixv1.SamplingStatus
	for i, r := range spec.Sampling {
		r.Name = cmp.Or(r.Name, publish.DefaultSamplingName(i))
		one := sampled{SamplingStatus: &phoenixv1.SamplingStatus{Rule: r.Name, Kind: r.Kind()}}
		one.metric, one.signal = r.Selection().Match.Metric, policy.SignalMetrics
		if r.Budget != nil {
			one.signal = r.Budget.Signal
		}
		name := publish.RuleName(p.PolicyKey, r.Name)
		for j := range v.samples {
			one.addRules(v, j, name, string(mode))
			one.addBudgets(v, j, name)
		}
		if !one.seen {
			continue
		}
		one.price(v)
		list = append(list, one.SamplingStatus)
	}
	return list
}

// addRules adds what a processor counted of a dead band or a series rule; what
// another mode of it counted is not the answer.
func (s *sampled) addRules(v *view, processor int, name, mode string) {
	of := &v.samples[processor]
	for i := range of.Rules {
		r := &of.Rules[i]
		if r.Name != name || r.Static || r.Mode != mode {
			continue
		}
		s.seen = true
		s.In, s.Kept = s.In+float64(r.In), s.Kept+float64(r.Kept)
		if s.since.IsZero() || r.Since.Before(s.since) {
			s.since, s.Since = r.Since, timestamp(r.Since)
		}
		if seconds := of.At.Sub(r.Since).Seconds(); seconds > 0 && r.In > r.Kept {
			s.LeftOutPerSecond += float64(r.In-r.Kept) / seconds
		}
	}
}

// addBudgets adds up the shares of the processors in a budget; the level is the
// lowest.
func (s *sampled) addBudgets(v *view, processor int, name string) {
	for _, b := range v.samples[processor].Budgets {
		if b.Name != name || b.Static {
			continue
		}
		if !s.seen || b.Level < s.Level {
			s.Level = b.Level
		}
		s.seen, s.Unit = true, b.Unit
		s.TargetPerSecond += b.Target
		s.LeftOutPerSecond += max(0, b.In-b.Out)
		s.FloorReached = s.FloorReached || b.FloorReached
	}
}

// price says what the points that are left out would cost.
func (s *sampled) price(v *view) {
	prices := v.publisher.Prices()
	if prices == nil || !prices.Priced() || s.signal != policy.SignalMetrics || s.Unit != "" && s.Unit != "points" {
		return
	}
	if saved, err := prices.Saving(s.metric, s.LeftOutPerSecond); err == nil {
		s.MonthSaved, s.Currency = saved.String(), prices.Currency()
	}
}

// advice says what is likely not meant in sampling rules.
func advice(rules []policy.SamplingRule) []string {
	var list []string
	for i, r := range rules {
		r.Name = cmp.Or(r.Name, publish.DefaultSamplingName(i))
		list = append(list, r.Advice()...)
	}
	return list
}

package policy

import (
	"fmt"
	"time"
)

// prometheusStaleness is after how long without a sample an instant query of
// Prometheus finds nothing, unless it is told otherwise
// (--query.lookback-delta).
const prometheusStaleness = 5 * time.Minute

// Kind is which of the three a sampling rule is: dead_band, series or budget.
func (r SamplingRule) Kind() string {
	switch {
	case r.DeadBand != nil:
		return "dead_band"
	case r.Series != nil:
		return "series"
	default:
		return "budget"
	}
}

// Advice says what is allowed in a valid rule and likely not meant, a sentence
// each.
func (r SamplingRule) Advice() []string {
	b := r.WithDefaults().DeadBand
	if b == nil {
		return nil
	}
	var list []string
	if beat := b.Heartbeat.Std(); beat >= prometheusStaleness {
		list = append(list, fmt.Sprintf("rule %q: a heartbeat of %s is not below %s, after which Prometheus takes a silent series for gone: instant queries find gaps",
			r.Name, beat, prometheusStaleness))
	}
	if beat := b.Heartbeat.Std(); beat > b.Range.Std()/4 {
		list = append(list, fmt.Sprintf("rule %q: a heartbeat of %s is more than a quarter of the range %s: rates over that range rest on less than four points",
			r.Name, beat, b.Range.Std()))
	}
	return list
}

// Selection is a rule that matches the same data, for Overlaps: sampling rules
// compete with those of their kind, budgets with those of their signal. Nothing
// else in it means anything.
func (r SamplingRule) Selection() Rule {
	s := Rule{Name: r.Name, Mode: r.Mode, Role: Role("sampling." + r.Kind())}
	switch {
	case r.DeadBand != nil:
		s.Match = r.DeadBand.Match
	case r.Series != nil:
		s.Match = r.Series.Match
	case r.Budget != nil:
		s.Role += Role("." + r.Budget.Signal)
		s.Match = Match{Metric: or(r.Budget.Match.Metric, "*"), Resource: r.Budget.Match.Resource}
	}
	return s
}

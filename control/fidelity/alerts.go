package fidelity

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

// ledger remembers when an alert fired on each arm, as long as the other arm may
// still follow.
type ledger struct {
	// fired are the instants, in order, by arm and labels.
	fired [2]map[string][]time.Time
	// text shows labels.
	text map[string]string
	// mismatch says what fired on one arm only. It stays.
	mismatch string
}

// The arms, as indexes.
const (
	base = iota
	cand
)

var armNames = [2]string{"baseline", "candidate"}

// note takes down what fires on an arm at an instant. Labels that show a value
// are left out.
func (l *ledger) note(arm int, r *rules.AlertingRule, volatile []string, at time.Time) {
	for _, a := range r.ActiveAlerts() {
		if a.State == rules.StateFiring {
			l.fires(arm, labels.NewBuilder(a.Labels).Del(volatile...).Labels(), at)
		}
	}
}

func (l *ledger) fires(arm int, ls labels.Labels, at time.Time) {
	key := string(ls.Bytes(nil))
	if l.fired[arm] == nil {
		l.fired[arm] = map[string][]time.Time{}
	}
	if l.text == nil {
		l.text = map[string]string{}
	}
	l.fired[arm][key] = append(l.fired[arm][key], at)
	l.text[key] = show(ls)
}

// settle compares the arms at an instant that lies a slack back, so that what
// follows it is known: what fires on one must fire on the other within the slack
// before or after. complete says whether the alert's whole range and its for were
// seen at that instant.
func (l *ledger) settle(due time.Time, slack time.Duration, complete bool) {
	for arm := range l.fired {
		for key, instants := range l.fired[arm] {
			if complete && l.mismatch == "" && slices.ContainsFunc(instants, due.Equal) && !near(l.fired[1-arm][key], due, slack) {
				l.mismatch = fmt.Sprintf("%s fired on the %s at %s, and not on the %s within %s",
					l.text[key], armNames[arm], due.Format(time.RFC3339), armNames[1-arm], slack)
			}
		}
	}
	l.prune(due.Add(-slack))
}

func near(instants []time.Time, at time.Time, slack time.Duration) bool {
	return slices.ContainsFunc(instants, func(t time.Time) bool {
		return !t.Before(at.Add(-slack)) && !t.After(at.Add(slack))
	})
}

func (l *ledger) prune(before time.Time) {
	for arm := range l.fired {
		for key, instants := range l.fired[arm] {
			instants = slices.DeleteFunc(instants, before.After)
			if l.fired[arm][key] = instants; len(instants) == 0 {
				delete(l.fired[arm], key)
			}
		}
	}
	for key := range l.text {
		if len(l.fired[base][key])+len(l.fired[cand][key]) == 0 {
			delete(l.text, key)
		}
	}
}

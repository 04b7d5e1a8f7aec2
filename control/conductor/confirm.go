package conductor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// confirmEvery is how often processors are asked whether they have the rules of
// experiments of which that is not known yet.
const confirmEvery = 2 * time.Second

// confirmRules finds experiments whose rules a processor has refused: they fail.
func (c *Conductor) confirmRules(ctx context.Context) {
	now := time.Now()
	if now.Sub(c.confirmTried) < confirmEvery {
		return
	}
	c.confirmTried = now
	present := c.settings.Publisher.Policy()
	if c.settings.Publisher.Status().Kill.Engaged || present.Urgent {
		return // nobody has any rules
	}
	c.mu.Lock()
	var open []*run
	for _, r := range c.sorted {
		if r.state.Phase.Holds() && !r.confirmed && r.route.version > 0 && r.route.version <= present.Version && len(r.rules) > 0 {
			open = append(open, r)
		}
	}
	c.mu.Unlock()
	if len(open) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	all := c.askCandidates(ctx)
	had := map[*run]int{}
	for _, said := range all {
		if said.PolicyVersion >= present.Version { // otherwise it may have one without the rules
			c.compareRules(open, said, had)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for r, times := range had {
		r.confirmed = r.confirmed || times == len(all)
	}
}

// askCandidates asks the processors of candidates' pipelines what they do.
func (c *Conductor) askCandidates(ctx context.Context) []report.Consolidation {
	var list []report.Consolidation
	for _, r := range c.settings.Sources.Candidates() {
		if r.Role != string(policy.RoleCandidate) {
			continue
		}
		said, err := r.Source.Consolidation(ctx)
		if err != nil {
			c.logger.Debug("A processor of candidate rules could not be asked", zap.String("component", r.Component), zap.Error(err))
			continue
		}
		said.Component = r.Component
		list = append(list, said)
	}
	return list
}

// compareRules finds the rules of experiments among those of a processor that
// has taken over the snapshot, and counts those that are there.
func (c *Conductor) compareRules(open []*run, said report.Consolidation, had map[*run]int) {
	has := make(map[string]bool, len(said.Rules))
	for _, r := range said.Rules {
		has[r.Name] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range open {
		if r.route.version == 0 || r.confirmed || !r.state.Phase.Holds() {
			continue // it changed meanwhile
		}
		missing := slices.IndexFunc(r.rules, func(rule policy.Rule) bool { return !has[rule.Name] })
		if missing < 0 {
			had[r]++
			continue
		}
		if name := r.rules[missing].Name; r.failure == "" {
			r.failure = fmt.Sprintf("%s refuses the rule %s%s", said.Component, name, why(said.Problems, name))
		}
	}
}

// why is what a processor says of a rule.
func why(problems []string, rule string) string {
	for _, p := range problems {
		if strings.Contains(p, rule) {
			return ": " + p
		}
	}
	return ""
}

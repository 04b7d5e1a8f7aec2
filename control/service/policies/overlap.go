package policies

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

const (
	// maxOverlaps bounds the overlaps that an answer lists, maxCompared the pairs
	// of rules that are compared for it: to compare takes some microseconds, and
	// somebody waits.
	maxOverlaps = 5
	maxCompared = 1000
)

// overlaps warns of rules in force that match the same points as those of a
// policy: the first takes them. A rule in preview is taken for one that is
// enforced, for that is what the author wants to know. Of policies that the
// caller does not see nothing is said.
func (s *Service) overlaps(ctx context.Context, d draft) []string {
	compiled, err := s.compiler().Compile(d.key, store.StateEnforced, d.spec)
	if err != nil {
		return nil // it is told otherwise
	}
	own, err := policy.Assemble(0, []policy.Checked{compiled.Checked})
	if err != nil {
		return nil
	}
	visible := s.core.Guard.Visible(call.From(ctx).Principal, access.List, access.Policies)
	mine := withSelections(own.Rules, own.Sampling)
	others := withSelections(s.settings.Publisher.Rules(), s.settings.Publisher.Sampling())
	prefix := publish.RuleName(d.key, "")
	warnings := advice(d.spec.Sampling)
	compared, told := 0, len(warnings)
	for i := range mine {
		for j := range others {
			if !mayMeet(mine[i], others[j]) || strings.HasPrefix(others[j].Name, prefix) || !seen(visible, others[j].Name) {
				continue
			}
			if compared++; compared > maxCompared || len(warnings)-told == maxOverlaps {
				return append(warnings, "more rules overlap, or may, than are listed")
			}
			if o, found := overlap(mine[i], others[j]); found {
				warnings = append(warnings, o)
			}
		}
	}
	return warnings
}

// withSelections adds rules that match what sampling rules do.
func withSelections(rules []policy.Rule, sampling []policy.SamplingRule) []policy.Rule {
	if len(sampling) == 0 {
		return rules
	}
	all := slices.Grow(slices.Clone(rules), len(sampling))
	for _, r := range sampling {
		all = append(all, r.Selection())
	}
	return all
}

func seen(visible access.Namespaces, rule string) bool {
	namespace, _, _ := strings.Cut(rule, "/")
	return visible.Contains(namespace)
}

// overlap compares two rules as if both were enforced.
func overlap(own, other policy.Rule) (string, bool) {
	other.Mode = own.Mode
	found, _ := policy.Overlaps([]policy.Rule{other, own}, 1)
	if len(found) == 0 {
		return "", false
	}
	switch found[0].Kind {
	case policy.Shadowed:
		return fmt.Sprintf("rule %q matches no points but those of %q, which is in force: it never applies, unless its policy has the higher priority",
			own.Name, other.Name), true
	case policy.Overlapping:
		return fmt.Sprintf("rules %q and %q, which is in force, match the same points: the policy with the higher priority takes them",
			own.Name, other.Name), true
	case policy.PerhapsOverlapping:
	}
	return fmt.Sprintf("rules %q and %q, which is in force, may match the same points, which the policy with the higher priority would take",
		own.Name, other.Name), true
}

// mayMeet is a quick look at the names of metrics: those that match a pattern
// begin with what stands before its first wildcard.
func mayMeet(a, b policy.Rule) bool {
	begin, other := literalBegin(a.Match.Metric), literalBegin(b.Match.Metric)
	return a.Role == b.Role && (strings.HasPrefix(begin, other) || strings.HasPrefix(other, begin))
}

func literalBegin(pattern string) string {
	if len(pattern) > 2 && pattern[0] == '/' && pattern[len(pattern)-1] == '/' {
		return ""
	}
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// withOverlaps makes a change of the state and warns of overlaps.
func (s *Service) withOverlaps(ctx context.Context, c change) (*phoenixv1.Policy, error) {
	answer, err := s.change(ctx, c)
	if err != nil {
		return nil, err
	}
	d := draft{key: c.key}
	var m mistakes
	for _, r := range answer.GetSpec().GetRules() {
		d.spec.Rules = append(d.spec.Rules, m.rule("", r))
	}
	for _, r := range answer.GetSpec().GetSampling() {
		d.spec.Sampling = append(d.spec.Sampling, samplingRule(r))
	}
	answer.Status.Warnings = append(answer.Status.Warnings, s.overlaps(ctx, d)...)
	return answer, nil
}

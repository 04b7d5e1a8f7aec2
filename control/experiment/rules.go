package experiment

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// CandidateRules returns the rules as the processors of the candidate's pipeline
// get them: with the experiment's id in their names, their role and their scope,
// and kept to the experiment's metrics.
func (s Spec) CandidateRules() []policy.Rule {
	rules := s.named(policy.RoleCandidate)
	for i := range rules {
		rules[i].Experiment = &policy.Experiment{ID: s.ID, Scope: map[string]string{}}
		for ref, value := range s.scope() {
			rules[i].Experiment.Scope[ref.String()] = value
		}
	}
	return rules
}

// PromotedRules returns the rules as the common processors get them when the
// candidate is promoted: with the same names, and kept to the experiment's
// metrics, and to its scope by conditions.
func (s Spec) PromotedRules() []policy.Rule {
	var resource, point []policy.Condition
	scope := s.scope()
	for _, ref := range slices.SortedFunc(maps.Keys(scope), func(a, b policy.AttributeRef) int { return strings.Compare(a.String(), b.String()) }) {
		c := policy.Condition{Attribute: ref.Key, Value: match.Literal(scope[ref])}
		if ref.Level == policy.LevelPoint {
			point = append(point, c)
		} else {
			resource = append(resource, c)
		}
	}
	rules := s.named(policy.RoleCommon)
	for i := range rules {
		m := &rules[i].Match
		m.Resource = slices.Concat(m.Resource, resource)
		m.Point = slices.Concat(m.Point, point)
	}
	return rules
}

func (s Spec) named(role policy.Role) []policy.Rule {
	list := slices.Clone(s.Rules)
	for i := range list {
		r := &list[i]
		r.Name = s.ID + "/" + cmp.Or(r.Name, "rule-"+strconv.Itoa(i+1))
		r.Role, r.Mode, r.Experiment = role, policy.ModeEnforce, nil
		if metrics := s.matched(r.Match.Metric); len(s.Metrics) > 0 && len(metrics) > 0 {
			r.Match.Metric = alternatives(metrics)
		}
	}
	return list
}

// matched are the experiment's metrics that a pattern matches.
func (s Spec) matched(pattern string) []string {
	p, err := match.Compile(pattern)
	if err != nil {
		return nil
	}
	var list []string
	for _, name := range s.Metrics {
		if p.Match(name) {
			list = append(list, name)
		}
	}
	return list
}

// alternatives is a pattern that matches these names only.
func alternatives(names []string) string {
	if len(names) == 1 {
		return match.Literal(names[0])
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	return "/" + strings.Join(quoted, "|") + "/"
}

// scope is Scope with its keys read. A key that cannot be read is left out;
// Validate reports it.
func (s Spec) scope() map[policy.AttributeRef]string {
	scope := make(map[policy.AttributeRef]string, len(s.Scope))
	for key, value := range s.Scope {
		if ref, err := scopeRef(key); err == nil {
			scope[ref] = value
		}
	}
	return scope
}

func scopeRef(key string) (policy.AttributeRef, error) {
	ref, err := policy.ParseAttributeRef(key)
	ref.Level = cmp.Or(ref.Level, policy.LevelResource)
	return ref, err
}

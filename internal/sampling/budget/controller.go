package budget

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Controller steps the groups of a set of policies. It is not safe for use by
// several goroutines: one steps it, at the end of each interval.
type Controller struct {
	max      int
	policies map[string]Policy
	groups   map[string]State
}

// New returns a controller of at most so many groups.
func New(maxGroups int) (*Controller, error) {
	if maxGroups < 1 {
		return nil, fmt.Errorf("max_groups: must be positive, got %d", maxGroups)
	}
	return &Controller{max: maxGroups, policies: map[string]Policy{}, groups: map[string]State{}}, nil
}

// SetPolicies replaces all policies. Groups that go on keep their state, also if
// their budget is another one; groups without a policy are forgotten. If
// anything is wrong with one policy, none is replaced.
func (c *Controller) SetPolicies(policies map[string]Policy) error {
	var errs error
	if len(policies) > c.max {
		errs = fmt.Errorf("%d groups, the bound is %d", len(policies), c.max)
	}
	for _, group := range slices.Sorted(maps.Keys(policies)) {
		if err := policies[group].Validate(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("group %q: %w", group, err))
		}
	}
	if errs != nil {
		return errs
	}
	before := c.policies
	c.policies = maps.Clone(policies)
	maps.DeleteFunc(c.groups, func(group string, _ State) bool {
		_, kept := policies[group]
		return !kept
	})
	for group, p := range policies {
		s, known := c.groups[group]
		if !known {
			s = begin(p)
		}
		s = s.sound(p)
		if known && before[group] != p {
			s.Avoid = 0 // what was too much for one budget need not be for another
		}
		c.groups[group] = s
	}
	return nil
}

// Level is what holds for a group now; false without a policy.
func (c *Controller) Level(group string) (float64, bool) {
	s, ok := c.groups[group]
	return s.Level, ok
}

// Step ends an interval of a group. A group without a policy has no decision.
func (c *Controller) Step(group string, r Reading) (Decision, bool) {
	p, ok := c.policies[group]
	if !ok {
		return Decision{}, false
	}
	s, d := Step(p, c.groups[group], r)
	c.groups[group] = s
	return d, true
}

// States returns what is remembered, to be kept over a restart.
func (c *Controller) States() map[string]State { return maps.Clone(c.groups) }

// Restore takes up the states of the groups that have a policy. What makes no
// sense begins anew.
func (c *Controller) Restore(states map[string]State) {
	for group, p := range c.policies {
		if s, ok := states[group]; ok {
			c.groups[group] = s.sound(p)
		}
	}
}

package cost

import (
	"slices"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// verdict is an answer that may not be known.
type verdict int

const (
	no verdict = iota
	perhaps
	yes
)

// matches says whether the rule applies to all points of the metric, to none, or
// perhaps to some.
func (c *compiledRule) matches(s *subject, groupBy string) verdict {
	if !c.pattern.Match(s.Name) {
		return no
	}
	answer := yes
	if types := c.Match.Types; len(types) > 0 {
		switch {
		case s.Type == typeMixed:
			answer = perhaps
		case !slices.Contains(types, policy.MetricType(s.Type)):
			return no
		}
	}
	for _, condition := range c.Match.Resource {
		answer = min(answer, s.meets(condition, report.LevelResource, groupBy))
	}
	for _, condition := range c.Match.Point {
		answer = min(answer, s.meets(condition, report.LevelDataPoint, groupBy))
	}
	return answer
}

// meets says whether the points meet a condition. The report knows which
// attributes there are, and of one the value: that of group_by, which is looked
// for on the resource first.
func (s *subject) meets(c policy.Condition, level report.Level, groupBy string) verdict {
	present := slices.ContainsFunc(s.Attributes, func(a report.AttributeCardinality) bool {
		return a.Level == level && a.Key == c.Attribute
	})
	other := slices.ContainsFunc(s.Attributes, func(a report.AttributeCardinality) bool {
		return a.Level != level && a.Key == c.Attribute || a.Overflow
	})
	byGroup := groupBy != "" && c.Attribute == groupBy && s.Group != "" && !other
	switch {
	case !present && !byGroup:
		if slices.ContainsFunc(s.Attributes, func(a report.AttributeCardinality) bool { return a.Overflow }) {
			return perhaps // it may be one of those that have no entry
		}
		return decided(c.Present != nil && !*c.Present)
	case !byGroup:
		return perhaps
	case c.Present != nil:
		return decided(*c.Present)
	}
	pattern, err := match.Compile(c.Value)
	if err != nil {
		return perhaps
	}
	return decided(pattern.Match(s.Group))
}

func decided(b bool) verdict {
	if b {
		return yes
	}
	return no
}

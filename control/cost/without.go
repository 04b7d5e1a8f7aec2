package cost

import (
	"cmp"
	"math"
	"slices"

	"github.com/phoenix-platform/phoenix/control/report"
)

// subject is one metric of a report, prepared for questions about its
// attributes. Attributes that are no labels in the backend tell no series apart
// there and are left out; the entry for those beyond the bound is none of them.
type subject struct {
	report.MetricCardinality
	labels []report.AttributeCardinality
	groups [][]int // as indexes into labels, beside Groups
	err    float64 // one standard error of a count, as a fraction
}

func newSubject(m report.MetricCardinality, a Assumptions) subject {
	s := subject{MetricCardinality: m, err: a.errorOf(m)}
	for _, attribute := range m.Attributes {
		if attribute.Label != "" && !attribute.Overflow {
			s.labels = append(s.labels, attribute)
		}
	}
	for _, g := range m.Groups {
		members := make([]int, 0, len(g.Attributes))
		for _, name := range g.Attributes {
			is := func(l report.AttributeCardinality) bool { return qualified(l) == name }
			if i := slices.IndexFunc(s.labels, is); i >= 0 { // else it is no label and does not matter
				members = append(members, i)
			}
		}
		s.groups = append(s.groups, members)
	}
	return s
}

// qualified is the name of an attribute with its level, as rules write it.
func qualified(a report.AttributeCardinality) string {
	if a.Level == report.LevelDataPoint {
		return a.Key
	}
	return string(a.Level) + "." + a.Key
}

// without is the number of series that stay if the labels go. One label, and a
// group that the report lists, were counted; for any other set bounds follow:
//
//   - No more stay than without a part of the set.
//   - At least as many stay as without a group that holds the set, as the values
//     of any label that stays, and as a part of the set leaves divided by the
//     number of combinations that the values of the rest can make.
//
// In between the parts of the set are taken for independent, each leaving the
// same share of what the others leave. For what was counted, both bounds are the
// count.
func (s *subject) without(set []int) Estimate {
	if len(set) == 0 {
		return Exactly(s.Series)
	}
	least, most := s.bounds(set)
	guess := float64(s.Series)
	for _, without := range s.parts(set) {
		guess *= float64(without) / float64(max(s.Series, 1))
	}
	return Estimate{
		Value: max(least, min(most, toUint(guess))), Min: least, Max: most,
		StandardError: s.err * float64(most),
	}
}

func (s *subject) bounds(set []int) (least, most uint64) {
	least, most = min(s.Series, 1), s.Series
	for i, label := range s.labels {
		if !slices.Contains(set, i) {
			least = max(least, label.Distinct)
			continue
		}
		most = min(most, label.SeriesWithout)
		least = max(least, toUint(math.Ceil(float64(label.SeriesWithout)/s.combinations(set, []int{i}))))
	}
	for i, members := range s.groups {
		switch without := s.Groups[i].SeriesWithout; {
		case contains(set, members):
			most = min(most, without)
			least = max(least, toUint(math.Ceil(float64(without)/s.combinations(set, members))))
		case contains(members, set):
			least = max(least, without)
		}
	}
	return min(least, most), most
}

// combinations is how many a series can have of the values of the labels in the
// set, apart from some. Not to have the label counts as a value.
func (s *subject) combinations(set, apart []int) float64 {
	product := 1.0
	for _, i := range set {
		if !slices.Contains(apart, i) {
			product *= float64(s.labels[i].Distinct) + 1
		}
	}
	return product
}

// parts divides the set into groups that were counted, those that save most
// first, and single labels, and returns the series without each.
func (s *subject) parts(set []int) []uint64 {
	left := slices.Clone(set)
	order := make([]int, len(s.groups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(s.Groups[a].SeriesWithout, s.Groups[b].SeriesWithout)
	})
	var parts []uint64
	for _, i := range order {
		if members := s.groups[i]; len(members) > 0 && contains(left, members) {
			parts = append(parts, s.Groups[i].SeriesWithout)
			left = slices.DeleteFunc(left, func(l int) bool { return slices.Contains(members, l) })
		}
	}
	for _, l := range left {
		parts = append(parts, s.labels[l].SeriesWithout)
	}
	return parts
}

func contains(set, members []int) bool {
	return !slices.ContainsFunc(members, func(i int) bool { return !slices.Contains(set, i) })
}

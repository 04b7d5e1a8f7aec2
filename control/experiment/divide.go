package experiment

import (
	"fmt"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// divides says which rule can give units of both arms one output: one that takes
// away or changes what the units are told apart by. Empty: none does.
func (s Spec) divides() string {
	for i, r := range s.Rules {
		for _, text := range touched(r) {
			ref, err := policy.ParseAttributeRef(text)
			if err == nil && s.Unit.partOf(ref) {
				return fmt.Sprintf("rules[%d] changes %s, by which units of kind %s differ", i, text, s.Unit.Kind)
			}
		}
		if r.Attributes.Keep != nil && s.Unit.losesBy(r.Attributes.Keep) {
			return fmt.Sprintf("rules[%d] keeps some attributes only, and units of kind %s differ by others", i, s.Unit.Kind)
		}
		if r.Limit != nil && r.Limit.Fold.Auto() {
			return fmt.Sprintf("rules[%d] may fold any attribute", i)
		}
		if r.Scope == policy.ScopeDrop && s.Unit.Kind == UnitSeries {
			return fmt.Sprintf("rules[%d] drops the scope, by which units of kind %s differ", i, s.Unit.Kind)
		}
	}
	return ""
}

// touched lists the attributes that the rule drops or whose values it changes or
// may fold.
func touched(r policy.Rule) []string {
	list := append([]string(nil), r.Attributes.Drop...)
	for _, m := range r.Attributes.Map {
		list = append(list, m.Attribute)
	}
	for _, h := range r.Attributes.HashBuckets {
		list = append(list, h.Attribute)
	}
	if r.Attributes.TopK != nil {
		list = append(list, r.Attributes.TopK.Attribute)
	}
	if r.Limit != nil && !r.Limit.Fold.Auto() {
		list = append(list, r.Limit.Fold...)
	}
	return list
}

// partOf says whether units differ by the attribute.
func (u Unit) partOf(ref policy.AttributeRef) bool {
	switch u.Kind {
	case UnitSeries:
		return true
	case UnitResource:
		return ref.Level == policy.LevelResource || ref.Level == policy.LevelAny
	case UnitAttribute:
		own, err := policy.ParseAttributeRef(u.Attribute)
		if err != nil {
			return false
		}
		for _, level := range levelsOf(own) {
			if ref.Matches(level, own.Key) {
				return true
			}
		}
	case UnitTrace:
	}
	return false
}

// losesBy says whether units differ by point attributes that the list does not
// keep.
func (u Unit) losesBy(keep []string) bool {
	switch u.Kind {
	case UnitSeries:
		return true
	case UnitAttribute:
		own, err := policy.ParseAttributeRef(u.Attribute)
		if err != nil || own.Level == policy.LevelResource || own.Level == policy.LevelScope {
			return false
		}
		for _, text := range keep {
			if ref, err := policy.ParseAttributeRef(text); err == nil && ref.Matches(policy.LevelPoint, own.Key) {
				return false
			}
		}
		return true
	case UnitResource, UnitTrace:
	}
	return false
}

// levelsOf lists where an attribute may stand.
func levelsOf(ref policy.AttributeRef) []policy.Level {
	if ref.Level == policy.LevelAny {
		return []policy.Level{policy.LevelPoint, policy.LevelResource}
	}
	return []policy.Level{ref.Level}
}

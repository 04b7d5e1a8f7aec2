package policy

import (
	"maps"
	"slices"
)

func (r *Rule) checkExperiment(f faults) {
	e := r.Experiment
	if e == nil {
		return
	}
	f = f.at("experiment")
	if r.Role != RoleCandidate {
		f.add("needs role: %s, got %q", RoleCandidate, r.Role)
	}
	if e.ID == "" {
		f.at("id").add("must not be empty")
	}
	if len(e.Scope) == 0 {
		f.at("scope").add("must name at least one attribute and its value")
	}
	if !f.at("scope").length(len(e.Scope)) {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(e.Scope)) {
		at := f.at("scope[%q]", key)
		if ref, ok := literalRef(at, key); ok {
			r.checkOwnScope(at, ref)
		}
	}
}

// checkOwnScope refuses a candidate rule that drops or changes an attribute by
// which its experiment is found.
func (r *Rule) checkOwnScope(f faults, ref AttributeRef) {
	for _, level := range ref.levels() {
		if by := r.Attributes.gone(level, ref.Key); by != "" {
			f.add("the rule must not drop an attribute of its experiment's scope: the %s attribute %s goes by attributes.%s", level, ref.Key, by)
		}
	}
	if ref.Level == LevelScope && r.Scope == ScopeDrop {
		f.add("the rule must not drop an attribute of its experiment's scope: scope is %s", ScopeDrop)
	}
	for _, text := range r.changed() {
		if other, err := ParseAttributeRef(text); err == nil && ref.meets(other) {
			f.add("the rule must not change an attribute of its experiment's scope, and changes %s", text)
		}
	}
}

// changed lists the attributes whose values the rule changes or may fold.
func (r *Rule) changed() []string {
	var list []string
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

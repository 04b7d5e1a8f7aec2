package policy

import (
	"fmt"
	"slices"
)

func (a *Attributes) check(f faults) {
	a.checkDrop(f.at("drop"))
	a.checkKeep(f.at("keep"))
	if f.at("map").length(len(a.Map)) {
		for i := range a.Map {
			a.Map[i].check(f.at("map[%d]", i), a)
		}
	}
	var taken []AttributeRef // one attribute goes into buckets or into a top, once
	take := func(f faults, text string) {
		ref, ok := literalRef(f, text)
		if !ok {
			return
		}
		a.checkStays(f, ref)
		if slices.ContainsFunc(taken, ref.meets) {
			f.add("%s has hash_buckets already", text)
		}
		taken = append(taken, ref)
	}
	if f.at("hash_buckets").length(len(a.HashBuckets)) {
		for i, h := range a.HashBuckets {
			at := f.at("hash_buckets[%d]", i)
			take(at.at("attribute"), h.Attribute)
			if h.Buckets < 1 {
				at.at("buckets").add("must be positive, got %d", h.Buckets)
			}
		}
	}
	if a.TopK != nil {
		at := f.at("top_k")
		take(at.at("attribute"), a.TopK.Attribute)
		if a.TopK.K < 1 {
			at.at("k").add("must be positive, got %d", a.TopK.K)
		}
	}
}

func (a *Attributes) checkDrop(f faults) {
	if !f.length(len(a.Drop)) {
		return
	}
	for i, text := range a.Drop {
		at := f.at("[%d]", i)
		ref, err := ParseAttributeRef(text)
		if err != nil {
			at.add("%s", err)
			continue
		}
		if a.Keep != nil && slices.Contains(ref.levels(), LevelPoint) {
			at.add("drop and keep must not both govern point attributes: beside keep, drop takes resource.… and scope.…, got %q", text)
		}
		if slices.Contains(a.Drop[:i], text) {
			at.add("%q is there twice", text)
		}
	}
}

func (a *Attributes) checkKeep(f faults) {
	if !f.length(len(a.Keep)) {
		return
	}
	for i, text := range a.Keep {
		at := f.at("[%d]", i)
		ref, err := ParseAttributeRef(text)
		if err != nil {
			at.add("%s", err)
			continue
		}
		if ref.Level == LevelResource || ref.Level == LevelScope {
			at.add("keep governs point attributes only: those of the %s stay unless drop names them, got %q", ref.Level, text)
		}
		if slices.Contains(a.Keep[:i], text) {
			at.add("%q is there twice", text)
		}
	}
}

// literalRef reads the name of one attribute.
func literalRef(f faults, text string) (AttributeRef, bool) {
	ref, err := ParseAttributeRef(text)
	if err != nil {
		f.add("%s", err)
		return ref, false
	}
	if ref.IsGlob() {
		f.add("must name one attribute, got the glob %q", text)
		return ref, false
	}
	return ref, true
}

// gone says by which key of the rule the attribute goes at a level, if it does.
// References that are wrong are reported where they stand.
func (a *Attributes) gone(level Level, key string) string {
	for i, text := range a.Drop {
		if ref, err := ParseAttributeRef(text); err == nil && ref.Matches(level, key) {
			return fmt.Sprintf("drop[%d]", i)
		}
	}
	if level != LevelPoint || a.Keep == nil {
		return ""
	}
	for _, text := range a.Keep {
		if ref, err := ParseAttributeRef(text); err == nil && ref.Matches(level, key) {
			return ""
		}
	}
	return "keep, which does not name it"
}

// checkStays refuses to change what goes anyway.
func (a *Attributes) checkStays(f faults, ref AttributeRef) {
	var stays []Level
	reason := ""
	for _, level := range ref.levels() {
		if by := a.gone(level, ref.Key); by != "" {
			reason = by
		} else {
			stays = append(stays, level)
		}
	}
	switch {
	case reason == "":
	case len(stays) == 0:
		f.add("%s goes by attributes.%s", ref, reason)
	default:
		f.add("%s goes in part by attributes.%s; write %s.%s for what stays", ref, reason, stays[0], ref.Key)
	}
}

package policies

import (
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/policy"
)

// rule reads a rule. Only what the types of the proto allow and those of a rule
// do not is a mistake here; the rest is for policy to say.
func (m *mistakes) rule(path string, r *phoenixv1.Rule) policy.Rule {
	rule := policy.Rule{
		Name:       r.GetName(),
		Match:      matchOf(r.GetMatch()),
		Attributes: m.attributes(path+".attributes", r.GetAttributes()),
		Scope:      policy.ScopeAction(r.GetScope()), Gauge: policy.GaugeMerge(r.GetGauge()), Summary: policy.SummaryMerge(r.GetSummary()),
		Role: policy.Role(r.GetRole()),
	}
	if l := r.GetLimit(); l != nil {
		rule.Limit = &policy.Limit{MaxSeries: int64(l.GetMaxSeries()), Fold: m.fold(path+".limit.fold", l.GetFold())}
	}
	if b := r.GetBuckets(); b != nil {
		rule.Buckets = &policy.Buckets{KeepBounds: b.GetKeepBounds()}
	}
	if e := r.GetExperiment(); e != nil {
		rule.Experiment = &policy.Experiment{ID: e.GetId(), Scope: e.GetScope()}
	}
	return rule
}

func words[T ~string](list []string) []T {
	var out []T
	for _, w := range list {
		out = append(out, T(w))
	}
	return out
}

func conditions(list []*phoenixv1.Condition) []policy.Condition {
	var out []policy.Condition
	for _, c := range list {
		out = append(out, policy.Condition{Attribute: c.GetAttribute(), Value: c.GetValue(), Present: c.Present})
	}
	return out
}

func (m *mistakes) attributes(path string, a *phoenixv1.Attributes) policy.Attributes {
	out := policy.Attributes{Drop: a.GetDrop()}
	if a.GetKeep() != nil {
		out.Keep = m.texts(path+".keep", a.GetKeep())
	}
	for _, v := range a.GetMap() {
		out.Map = append(out.Map, valueMap(v))
	}
	for _, h := range a.GetHashBuckets() {
		out.HashBuckets = append(out.HashBuckets, policy.HashBuckets{Attribute: h.GetAttribute(), Buckets: int(h.GetBuckets())})
	}
	if t := a.GetTopK(); t != nil {
		out.TopK = &policy.TopK{Attribute: t.GetAttribute(), K: int(t.GetK()), Other: t.GetOther()}
	}
	return out
}

func valueMap(v *phoenixv1.ValueMap) policy.ValueMap {
	out := policy.ValueMap{
		Attribute: v.GetAttribute(), Regex: v.GetRegex(), Template: v.GetTemplate(), Paths: v.GetPaths(), Other: v.GetOther(),
	}
	for _, r := range v.GetRanges() {
		out.Ranges = append(out.Ranges, policy.Range{From: r.From, To: r.To, As: r.GetAs()})
	}
	return out
}

// texts reads a list of texts. It is not nil.
func (m *mistakes) texts(path string, list *structpb.ListValue) []string {
	out := []string{}
	for i, v := range list.GetValues() {
		text, ok := v.GetKind().(*structpb.Value_StringValue)
		if !ok {
			m.add(fmt.Sprintf("%s[%d]", path, i), "must be a text")
			continue
		}
		out = append(out, text.StringValue)
	}
	return out
}

// fold reads the word auto or a list of attributes.
func (m *mistakes) fold(path string, v *structpb.Value) policy.Fold {
	switch kind := v.GetKind().(type) {
	case nil, *structpb.Value_NullValue:
		return nil
	case *structpb.Value_StringValue:
		return policy.Fold{kind.StringValue}
	case *structpb.Value_ListValue:
		return m.texts(path, kind.ListValue)
	}
	m.add(path, "must be %s or a list of attributes", policy.FoldAuto)
	return nil
}

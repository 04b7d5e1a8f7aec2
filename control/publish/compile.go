package publish

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
)

// DefaultNamespace is that of policies that belong to nobody in particular: they
// are for the telemetry of all.
const DefaultNamespace = "default"

// LeftOut is a policy that is in force and cannot be published.
type LeftOut struct {
	store.PolicyKey
	Revision store.Revision
	// Problem says why.
	Problem string
}

// RuleName is how a rule of a policy is called in snapshots and reports.
func RuleName(key store.PolicyKey, rule string) string {
	return key.Namespace + "/" + key.Name + "/" + rule
}

// DefaultRuleName is that of a rule without a name, by its place in the list.
func DefaultRuleName(index int) string { return "rule-" + strconv.Itoa(index+1) }

// Compile returns the rules of all policies of a set as snapshots have them: by
// priority, the highest first, then by namespace, name and place in the list. A
// policy whose rules this version refuses, because another one wrote it, is left
// out and keeps no other from being published. With a namespace attribute the
// rules of a namespace apply to the telemetry of that namespace only.
func Compile(set store.PolicySet, namespaceAttribute string) ([]policy.Rule, []LeftOut, error) {
	c := catalogue{namespaceAttribute: namespaceAttribute}
	c.replace(set.Policies)
	return c.assemble()
}

// CompileSpec returns the checked rules of one policy as snapshots have them. The
// error is a policy.Errors whose paths begin with the place in the list, such as
// rules[0].match.metric.
func CompileSpec(key store.PolicyKey, state store.PolicyState, spec Spec, namespaceAttribute string) (policy.Checked, error) {
	mode := policy.ModePreview
	if state == store.StateEnforced {
		mode = policy.ModeEnforce
	}
	rules := make([]policy.Rule, len(spec.Rules))
	for i, r := range spec.Rules {
		r.Name = RuleName(key, cmp.Or(r.Name, DefaultRuleName(i)))
		r.Mode = mode
		r.Role = cmp.Or(r.Role, policy.RoleCommon)
		if namespaceAttribute != "" && key.Namespace != DefaultNamespace {
			own := policy.Condition{Attribute: namespaceAttribute, Value: literal(key.Namespace)}
			r.Match.Resource = append(slices.Clip(r.Match.Resource), own)
		}
		rules[i] = r
	}
	return policy.Check(rules)
}

// literal returns a pattern that matches this text only.
func literal(text string) string {
	if strings.ContainsAny(text, "*?") || strings.HasPrefix(text, "/") && strings.HasSuffix(text, "/") {
		return "/" + regexp.QuoteMeta(text) + "/"
	}
	return text
}

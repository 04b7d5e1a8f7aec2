package publish

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenix-platform/phoenix/control/cost"
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

// DefaultSamplingName is that of a sampling rule without a name.
func DefaultSamplingName(index int) string { return "sampling-" + strconv.Itoa(index+1) }

// Compile returns the rules of all policies of a set as snapshots have them: by
// priority, the highest first, then by namespace, name and place in the list. A
// policy whose rules this version refuses, because another one wrote it, is left
// out and keeps no other from being published. With a namespace attribute the
// rules of a namespace apply to the telemetry of that namespace only.
func Compile(set store.PolicySet, namespaceAttribute string) ([]policy.Rule, []LeftOut, error) {
	c := catalogue{compiler: Compiler{NamespaceAttribute: namespaceAttribute}}
	c.replace(set.Policies)
	s, leftOut, err := c.assemble()
	if err != nil {
		return nil, leftOut, err
	}
	return s.Rules, leftOut, nil
}

// CompileSpec returns the checked rules of one policy as snapshots have them,
// without budgets that are money. The error is a policy.Errors whose paths begin
// with the place in the list, such as rules[0].match.metric.
func CompileSpec(key store.PolicyKey, state store.PolicyState, spec Spec, namespaceAttribute string) (policy.Checked, error) {
	compiled, err := Compiler{NamespaceAttribute: namespaceAttribute}.Compile(key, state, spec)
	return compiled.Checked, err
}

// Compiler makes of specifications what snapshots have.
type Compiler struct {
	// NamespaceAttribute is the resource attribute that ties the rules of a
	// namespace to its telemetry. Default: rules apply to all telemetry.
	NamespaceAttribute string
	// Prices turn budgets that are money into points a second. Default: there are
	// none.
	Prices *cost.PointPrices
}

// Compiled are the rules of one policy.
type Compiled struct {
	policy.Checked
	// Unpriced are the budgets that are money and have no price, with paths such as
	// sampling[0].budget.monthly_cost. They are not among the rules.
	Unpriced policy.Errors
	// amounts are the points a second that money became.
	amounts []float64
}

var errNoPrices = errors.New("the prices are not known yet")

// Compile is CompileSpec with prices.
func (c Compiler) Compile(key store.PolicyKey, state store.PolicyState, spec Spec) (Compiled, error) {
	mode := policy.ModePreview
	if state == store.StateEnforced {
		mode = policy.ModeEnforce
	}
	rules := make([]policy.Rule, len(spec.Rules))
	for i, r := range spec.Rules {
		r.Name = RuleName(key, cmp.Or(r.Name, DefaultRuleName(i)))
		r.Mode = mode
		r.Role = cmp.Or(r.Role, policy.RoleCommon)
		r.Match.Resource = c.within(key, r.Match.Resource)
		rules[i] = r
	}
	sampling := make([]policy.SamplingRule, len(spec.Sampling))
	for i, r := range spec.Sampling {
		r.Name = RuleName(key, cmp.Or(r.Name, DefaultSamplingName(i)))
		r.Mode = mode
		sampling[i] = c.samplingWithin(key, r)
	}
	var compiled Compiled
	if policy.ValidateSamplingRules(sampling) == nil { // otherwise it is said next
		sampling = compiled.price(c.Prices, sampling)
	}
	var err error
	compiled.Checked, err = policy.CheckAll(rules, sampling)
	return compiled, err
}

// price replaces the money of budgets, which nobody else has, and leaves out
// those that have no price.
func (c *Compiled) price(prices *cost.PointPrices, rules []policy.SamplingRule) []policy.SamplingRule {
	priced := make([]policy.SamplingRule, 0, len(rules))
	for i, r := range rules {
		if r.Budget != nil && r.Budget.MonthlyCost != 0 {
			points, err := 0.0, errNoPrices
			if prices != nil {
				points, err = prices.PointsPerSecond(*r.Budget)
			}
			if err != nil {
				c.Unpriced = append(c.Unpriced, policy.FieldError{
					Path: fmt.Sprintf("sampling[%d].budget.monthly_cost", i), Problem: err.Error(),
				})
				continue
			}
			r.Budget.MonthlyCost, r.Budget.PointsPerSecond = 0, points
			c.amounts = append(c.amounts, points)
		}
		priced = append(priced, r)
	}
	return priced
}

// within adds the condition that telemetry is of the policy's namespace.
func (c Compiler) within(key store.PolicyKey, conditions []policy.Condition) []policy.Condition {
	if c.NamespaceAttribute == "" || key.Namespace == DefaultNamespace {
		return conditions
	}
	return append(slices.Clip(conditions), policy.Condition{Attribute: c.NamespaceAttribute, Value: literal(key.Namespace)})
}

// samplingWithin is within for a sampling rule. What it returns shares no struct
// that it changed.
func (c Compiler) samplingWithin(key store.PolicyKey, r policy.SamplingRule) policy.SamplingRule {
	if r.DeadBand != nil {
		r.DeadBand = new(*r.DeadBand)
		r.DeadBand.Match.Resource = c.within(key, r.DeadBand.Match.Resource)
	}
	if r.Series != nil {
		r.Series = new(*r.Series)
		r.Series.Match.Resource = c.within(key, r.Series.Match.Resource)
	}
	if r.Budget != nil {
		r.Budget = new(*r.Budget)
		r.Budget.Match.Resource = c.within(key, r.Budget.Match.Resource)
	}
	return r
}

// literal returns a pattern that matches this text only.
func literal(text string) string {
	if strings.ContainsAny(text, "*?") || strings.HasPrefix(text, "/") && strings.HasSuffix(text, "/") {
		return "/" + regexp.QuoteMeta(text) + "/"
	}
	return text
}

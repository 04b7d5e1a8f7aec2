package policy

import (
	"maps"
	"slices"
)

// Snapshot is a version of the rules that control wants in force, complete: what
// it does not hold is not in force. It is not written to after it was made, so
// that it may be read without a lock; components keep the pointer and compare
// versions.
type Snapshot struct {
	// Version rises with every change while a control plane lives. 0 is the empty
	// snapshot that stands until control knows which rules there are. Versions of
	// two lives do not compare: a component that keeps a snapshot over a restart
	// takes over the first that is not of version 0, whatever that is.
	Version uint64 `json:"version"`
	// Rules are the rules of all roles, in the order in which they are tried.
	Rules []Rule `json:"rules"`
	// Routes are the experiments that routers divide data for, sorted by id. The
	// rules of their candidates are among Rules. None of them is in force after a
	// restart before control says so again.
	Routes []Route `json:"-"`
	// Sampling are the rules for adaptive_sampler processors, in the order in
	// which they are tried.
	Sampling []SamplingRule `json:"sampling,omitempty"`
	// Urgent asks processors to end their interval now instead of waiting for its
	// edge: the kill switch was turned.
	Urgent bool `json:"urgent,omitempty"`
}

// NewSnapshot makes a snapshot of a copy of the rules. Besides ValidateRules, it
// demands that every rule says its role.
func NewSnapshot(version uint64, rules []Rule) (*Snapshot, error) {
	c, err := Check(rules)
	if err != nil {
		return nil, err
	}
	return &Snapshot{Version: version, Rules: c.rules}, nil
}

// Checked are rules that were checked and copied. Snapshots may share them, so
// that of thousands of rules only those that changed are checked again.
type Checked struct {
	rules    []Rule
	sampling []SamplingRule
}

// Len is how many rules there are of both kinds.
func (c Checked) Len() int { return len(c.rules) + len(c.sampling) }

// Check checks and copies rules for snapshots, as NewSnapshot does.
func Check(rules []Rule) (Checked, error) { return CheckAll(rules, nil) }

// CheckAll is Check for rules of both kinds. Sampling rules are checked as
// ValidateSamplingRules does, with paths that begin with sampling; in a snapshot
// no budget is money.
func CheckAll(rules []Rule, sampling []SamplingRule) (Checked, error) {
	list := AsErrors(ValidateRules(rules))
	f := faults{list: &list}
	copied := make([]Rule, 0, len(rules))
	for i, r := range rules {
		if r.Role == "" {
			f.at("rules[%d].role", i).add("must be %s or %s in a snapshot", RoleCommon, RoleCandidate)
		}
		copied = append(copied, r.clone())
	}
	list = append(list, SamplingMistakes("sampling", sampling)...)
	var samples []SamplingRule
	for i, r := range sampling {
		if r.Budget != nil && r.Budget.MonthlyCost != 0 && len(list) == 0 {
			f.at("sampling[%d].budget.monthly_cost", i).add("must be points or bytes a second in a snapshot: only a control plane knows prices")
		}
		samples = append(samples, r.clone())
	}
	if len(list) > 0 {
		return Checked{}, list
	}
	return Checked{copied, samples}, nil
}

// Assemble makes a snapshot of parts, in their order. Of what CheckAll demands only
// this remains to be checked: that no name is in two parts.
func Assemble(version uint64, parts []Checked) (*Snapshot, error) {
	rules, samples := 0, 0
	for _, part := range parts {
		rules, samples = rules+len(part.rules), samples+len(part.sampling)
	}
	s := &Snapshot{Version: version, Rules: make([]Rule, 0, rules)}
	if samples > 0 {
		s.Sampling = make([]SamplingRule, 0, samples)
	}
	var list Errors
	ruleNames := uniqueNames{list: &list, key: "rules", first: make(map[string]int, rules)}
	sampleNames := uniqueNames{list: &list, key: "sampling", first: make(map[string]int, samples)}
	for _, part := range parts {
		for i := range part.rules {
			ruleNames.take(part.rules[i].Name)
		}
		for i := range part.sampling {
			sampleNames.take(part.sampling[i].Name)
		}
		s.Rules, s.Sampling = append(s.Rules, part.rules...), append(s.Sampling, part.sampling...)
	}
	if len(list) > 0 {
		return nil, list
	}
	return s, nil
}

// uniqueNames finds a name that comes twice in a list that grows.
type uniqueNames struct {
	list  *Errors
	key   string
	first map[string]int
	count int
}

func (n *uniqueNames) take(name string) {
	if earlier, twice := n.first[name]; twice {
		faults{list: n.list}.at("%s[%d].name", n.key, n.count).add("%q is the name of %s[%d] already", name, n.key, earlier)
	}
	n.first[name] = n.count
	n.count++
}

// For returns the rules for processors of a role, in order. The caller owns the
// slice, not what the rules refer to.
func (s *Snapshot) For(role Role) []Rule {
	var rules []Rule
	for _, r := range s.Rules {
		if r.Role == role {
			rules = append(rules, r)
		}
	}
	return rules
}

// Source gives components the policy in force. The control plane implements it;
// a component with a `control` option looks for it among the host's extensions
// at Start.
type Source interface {
	// Policy returns the snapshot in force. It is never nil, costs an atomic load
	// and never blocks, so that it may be called for every batch. A component
	// that works on after the source is gone keeps the last one.
	Policy() *Snapshot
}

// clone returns a rule that shares nothing with r.
func (r Rule) clone() Rule {
	r.Match = r.Match.clone()
	a := &r.Attributes
	a.Drop, a.Keep = slices.Clone(a.Drop), slices.Clone(a.Keep)
	a.HashBuckets = slices.Clone(a.HashBuckets)
	a.TopK = cloned(a.TopK)
	a.Map = slices.Clone(a.Map)
	for i := range a.Map {
		m := &a.Map[i]
		m.Paths, m.Ranges = slices.Clone(m.Paths), slices.Clone(m.Ranges)
		for j := range m.Ranges {
			m.Ranges[j].From, m.Ranges[j].To = cloned(m.Ranges[j].From), cloned(m.Ranges[j].To)
		}
	}
	if r.Limit = cloned(r.Limit); r.Limit != nil {
		r.Limit.Fold = slices.Clone(r.Limit.Fold)
	}
	if r.Buckets = cloned(r.Buckets); r.Buckets != nil {
		r.Buckets.KeepBounds = slices.Clone(r.Buckets.KeepBounds)
	}
	if r.Experiment = cloned(r.Experiment); r.Experiment != nil {
		r.Experiment.Scope = maps.Clone(r.Experiment.Scope)
	}
	return r
}

func cloneConditions(list []Condition) []Condition {
	list = slices.Clone(list)
	for i := range list {
		list[i].Present = cloned(list[i].Present)
	}
	return list
}

func cloned[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

package publish

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
)

// catalogue holds the policies in force, compiled and in order. What did not
// change is not compiled again.
type catalogue struct {
	compiler Compiler
	items    []*item
	byKey    map[store.PolicyKey]*item
}

// item is a compiled policy. It is not written to once it is in a catalogue.
type item struct {
	key      store.PolicyKey
	revision store.Revision
	state    store.PolicyState
	spec     store.Digest // of the text
	priority int
	digest   store.Digest // of the rules
	text     []byte       // the specification, of one that depends on prices
	rules    Compiled
	problem  string // why there are no rules
}

func inForce(s store.PolicyState) bool {
	return s == store.StatePreview || s == store.StateEnforced
}

func order(a, b *item) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
}

// does says whether two items are the same to the data path.
func (i *item) does(other *item) bool {
	return i != nil && other != nil && i.key == other.key && i.state == other.state && i.priority == other.priority &&
		i.digest == other.digest && i.problem == other.problem && slices.Equal(i.rules.amounts, other.rules.amounts) &&
		slices.Equal(i.rules.Unpriced, other.rules.Unpriced)
}

// money says whether the policy has budgets that depend on prices.
func (i *item) money() bool { return len(i.rules.amounts)+len(i.rules.Unpriced) > 0 }

// item returns the compiled policy, as far as possible the one that is there.
func (c *catalogue) item(p store.Policy) *item {
	old := c.byKey[p.PolicyKey]
	if old != nil && old.spec == p.SpecSHA256 && old.state == p.State {
		if old.revision == p.Revision {
			return old
		}
		same := *old
		same.revision = p.Revision
		return &same
	}
	return c.compile(p)
}

func (c *catalogue) compile(p store.Policy) *item {
	i := &item{key: p.PolicyKey, revision: p.Revision, state: p.State, spec: p.SpecSHA256}
	spec, err := DecodeSpec(p.Spec)
	if err == nil {
		i.priority, i.digest = spec.Priority, spec.RulesDigest()
		i.rules, err = c.compiler.Compile(p.PolicyKey, p.State, spec)
	}
	if err != nil {
		i.rules, i.problem = Compiled{}, err.Error()
	}
	if i.money() {
		i.text = p.Spec
	}
	return i
}

// reprice takes over prices and compiles again what depends on them. It says
// whether that makes a difference to the data path.
func (c *catalogue) reprice(prices *cost.PointPrices) (changed bool) {
	c.compiler.Prices = prices
	for at, old := range c.items {
		if !old.money() {
			continue
		}
		i := c.compile(store.Policy{PolicyKey: old.key, Revision: old.revision, State: old.state, SpecSHA256: old.spec, Spec: old.text})
		changed = changed || !i.does(old)
		c.items[at], c.byKey[old.key] = i, i
	}
	return changed
}

// replace takes over all policies in force. It says whether that makes a
// difference to the data path.
func (c *catalogue) replace(list []store.Policy) (changed bool) {
	changed = c.byKey == nil || len(list) != len(c.items)
	items, byKey := make([]*item, 0, len(list)), make(map[store.PolicyKey]*item, len(list))
	for _, p := range list {
		i := c.item(p)
		changed = changed || !i.does(c.byKey[p.PolicyKey])
		items, byKey[i.key] = append(items, i), i
	}
	slices.SortFunc(items, order)
	c.items, c.byKey = items, byKey
	return changed
}

// set takes over one policy, which is not in force any more unless its state
// says so.
func (c *catalogue) set(p store.Policy) (changed bool) {
	old := c.byKey[p.PolicyKey]
	var present *item
	if inForce(p.State) {
		present = c.item(p)
	}
	if old == nil && present == nil {
		return false
	}
	if old != nil {
		at, _ := slices.BinarySearchFunc(c.items, old, order)
		c.items = slices.Delete(c.items, at, at+1)
		delete(c.byKey, old.key)
	}
	if present != nil {
		at, _ := slices.BinarySearchFunc(c.items, present, order)
		c.items = slices.Insert(c.items, at, present)
		c.byKey[present.key] = present
	}
	return !present.does(old)
}

// assemble returns all rules and what is not among them.
func (c *catalogue) assemble() (*policy.Snapshot, []LeftOut, error) {
	parts := make([]policy.Checked, 0, len(c.items))
	var leftOut []LeftOut
	for _, i := range c.items {
		if i.problem != "" {
			leftOut = append(leftOut, LeftOut{PolicyKey: i.key, Revision: i.revision, Problem: i.problem})
			continue
		}
		parts = append(parts, i.rules.Checked)
	}
	s, err := policy.Assemble(0, parts)
	if err != nil { // names of policies are unique and have no slash
		return nil, leftOut, fmt.Errorf("assemble the rules of all policies: %w", err)
	}
	return s, leftOut, nil
}

// unpriced are the policies of which budgets are not published because they have
// no price.
func (c *catalogue) unpriced() []LeftOut {
	var list []LeftOut
	for _, i := range c.items {
		if len(i.rules.Unpriced) > 0 {
			list = append(list, LeftOut{PolicyKey: i.key, Revision: i.revision, Problem: i.rules.Unpriced.Error()})
		}
	}
	return list
}

// ids are namespace and name of the policies that are published.
func (c *catalogue) ids() map[string]bool {
	ids := make(map[string]bool, len(c.items))
	for _, i := range c.items {
		if i.problem == "" {
			ids[i.key.Namespace+"/"+i.key.Name] = true
		}
	}
	return ids
}

// count counts the policies that are published, by state.
func (c *catalogue) count() (preview, enforced int) {
	for _, i := range c.items {
		switch {
		case i.problem != "":
		case i.state == store.StateEnforced:
			enforced++
		default:
			preview++
		}
	}
	return preview, enforced
}

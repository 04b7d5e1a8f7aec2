package access

import "slices"

// Resource is a kind of object, as paths and the audit log call it.
type Resource string

// The resources.
const (
	Policies    Resource = "policies"
	Cardinality Resource = "cardinality"
	Costs       Resource = "costs"
	Savings     Resource = "savings"
	PriceModels Resource = "priceModels"
	APIKeys     Resource = "apiKeys"
	Audit       Resource = "audit"
	Events      Resource = "events"
	System      Resource = "system"
	KillSwitch  Resource = "killSwitch"
	Backup      Resource = "backup"
	Experiments Resource = "experiments"
	Samplers    Resource = "samplers"
)

// Verb is what is done to a resource.
type Verb string

// The verbs.
const (
	Get      Verb = "get"
	List     Verb = "list"
	Watch    Verb = "watch"
	Create   Verb = "create"
	Update   Verb = "update"
	Delete   Verb = "delete"
	Preview  Verb = "preview"
	Enforce  Verb = "enforce"
	Force    Verb = "force" // goes past a safeguard, such as enforcing what was not previewed
	Disable  Verb = "disable"
	Rollback Verb = "rollback"
	Revoke   Verb = "revoke"
	Verify   Verb = "verify"
	Engage   Verb = "engage"
	Release  Verb = "release"
	Restore  Verb = "restore"
	Start    Verb = "start"
	Pause    Verb = "pause"
	Promote  Verb = "promote"
)

// ReadOnly says whether the verb changes nothing.
func (v Verb) ReadOnly() bool {
	return v == Get || v == List || v == Watch || v == Verify
}

// Reach says in which namespaces a role must be held.
type Reach string

// The reaches.
const (
	// ReachOwn: in the namespace of the object; if it has none, in all.
	ReachOwn Reach = "own"
	// ReachAny: in any namespace. The object is everybody's.
	ReachAny Reach = "any"
	// ReachAll: in all namespaces. The object concerns everybody.
	ReachAll Reach = "all"
)

// Permission says what is needed to do something.
type Permission struct {
	Resource Resource
	Verb     Verb
	// Role is the least that may, Reach where it must be held.
	Role  Role
	Reach Reach
}

// Action is how the audit log calls it, such as policies.enforce.
func (p Permission) Action() string { return Action(p.Resource, p.Verb) }

// Action is how the audit log calls doing something to a resource.
func Action(r Resource, v Verb) string { return string(r) + "." + string(v) }

// Permissions returns the whole table. What is not in it nobody may do.
func Permissions() []Permission { return slices.Clone(permissions) }

// testdata/permissions.txt shows the table by role.
var permissions = slices.Concat(
	needs(Policies, RoleViewer, ReachOwn, Get, List),
	needs(Policies, RoleEditor, ReachOwn, Create, Update, Delete, Preview),
	needs(Policies, RoleOperator, ReachOwn, Enforce, Disable, Rollback),
	needs(Policies, RoleAdmin, ReachOwn, Force),

	needs(Cardinality, RoleViewer, ReachOwn, Get, List),
	needs(Costs, RoleViewer, ReachOwn, Get, List),
	needs(Savings, RoleViewer, ReachOwn, Get, List),

	// Every saving is computed with them, so whoever sees one may see why. To
	// change one changes what everybody reads.
	needs(PriceModels, RoleViewer, ReachAny, Get, List),
	needs(PriceModels, RoleAdmin, ReachAll, Create, Update, Delete),

	needs(APIKeys, RoleAdmin, ReachOwn, Get, List, Create, Revoke),

	needs(Audit, RoleOperator, ReachOwn, Get, List),
	needs(Audit, RoleOperator, ReachAll, Verify), // a chain is verified as a whole

	needs(Events, RoleViewer, ReachOwn, Watch),
	needs(System, RoleViewer, ReachAny, Get),

	// That it is on explains why one's own policies do nothing.
	needs(KillSwitch, RoleViewer, ReachAny, Get),
	needs(KillSwitch, RoleOperator, ReachAll, Engage, Release),

	needs(Backup, RoleAdmin, ReachAll, Create, Restore),

	needs(Experiments, RoleViewer, ReachOwn, Get, List),
	needs(Experiments, RoleEditor, ReachOwn, Create, Update, Delete),
	needs(Experiments, RoleOperator, ReachOwn, Start, Pause, Promote, Rollback),
	needs(Experiments, RoleAdmin, ReachOwn, Force),

	needs(Samplers, RoleViewer, ReachOwn, List),
)

func needs(resource Resource, role Role, reach Reach, verbs ...Verb) []Permission {
	list := make([]Permission, 0, len(verbs))
	for _, v := range verbs {
		list = append(list, Permission{Resource: resource, Verb: v, Role: role, Reach: reach})
	}
	return list
}

type action struct {
	resource Resource
	verb     Verb
}

var permissionOf = func() map[action]Permission {
	table := make(map[action]Permission, len(permissions))
	for _, p := range permissions {
		table[action{p.Resource, p.Verb}] = p
	}
	return table
}()

// PolicyChange is something to be done to a policy. What it takes depends on
// what the data path does before and after: otherwise an editor could change
// what is in force by updating it.
type PolicyChange struct {
	// Verb is what was asked for.
	Verb Verb
	// WasEnforced and WillBeEnforced are the state before and after.
	WasEnforced, WillBeEnforced bool
	// Forced goes past the safeguard that a policy is previewed first.
	Forced bool
}

// Verbs returns all that somebody must be allowed to do.
func (c PolicyChange) Verbs() []Verb {
	verbs := []Verb{c.Verb}
	also := func(needed bool, v Verb) {
		if needed && v != c.Verb {
			verbs = append(verbs, v)
		}
	}
	also(c.WillBeEnforced, Enforce)
	also(c.WasEnforced && !c.WillBeEnforced, Disable)
	also(c.Forced, Force)
	return verbs
}

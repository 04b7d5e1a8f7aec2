package store

import (
	"context"
	"time"
)

// PolicyReader reads policies.
type PolicyReader interface {
	GetPolicy(context.Context, PolicyKey) (Policy, error)
	// ListPolicies is sorted by namespace, then name.
	ListPolicies(context.Context, PolicyQuery) (Page[Policy], error)
	// PoliciesInForce returns all that collectors have to know.
	PoliciesInForce(context.Context) (PolicySet, error)
	// PolicyVersion returns the version that PoliciesInForce would have, which
	// costs little.
	PolicyVersion(context.Context) (uint64, error)
	// GetPolicyRevision returns a state that a policy had, also of a policy
	// that was deleted.
	GetPolicyRevision(context.Context, PolicyKey, Revision) (PolicyRevision, error)
	// ListPolicyRevisions has the newest first.
	ListPolicyRevisions(context.Context, PolicyKey, PageRequest) (Page[PolicyRevision], error)
	GetKillSwitch(context.Context) (KillSwitch, error)
}

// PolicyWriter changes policies. A change that changes nothing makes no
// revision and no version; it leaves its audit entry.
type PolicyWriter interface {
	// CreatePolicy fails with ErrExists if there is one. A policy of a name that
	// was deleted goes on with its revision numbers.
	CreatePolicy(context.Context, NewPolicy, Entry) (Policy, error)
	UpdatePolicy(context.Context, PolicyUpdate, Entry) (Policy, error)
	// RollbackPolicy makes a new revision of the content of an old one.
	RollbackPolicy(context.Context, PolicyRollback, Entry) (Policy, error)
	// DeletePolicy leaves the revisions and adds one of state deleted.
	DeletePolicy(context.Context, PolicyKey, Revision, Entry) error
	// SetKillSwitch turns all policies off or on again.
	SetKillSwitch(context.Context, KillSwitchUpdate, Entry) (KillSwitch, error)
}

// PolicyKey names a policy.
type PolicyKey struct {
	// Namespace and Name have 1 to 253 bytes and no slash.
	Namespace, Name string
}

// Resource is how the audit log and errors call the policy.
func (k PolicyKey) Resource() string { return "policies/" + k.Namespace + "/" + k.Name }

// PolicyState says whether a policy is in force. Any state may follow any other.
type PolicyState string

// The states of a policy.
const (
	StateDraft    PolicyState = "draft"    // nobody looks at it
	StatePreview  PolicyState = "preview"  // its saving is measured
	StateEnforced PolicyState = "enforced" // it is applied
	StateDisabled PolicyState = "disabled" // it was turned off
	StateDeleted  PolicyState = "deleted"  // only as the state of a revision
)

// Policy is a policy as it is now.
type Policy struct {
	PolicyKey
	// Spec is what the caller gave, at most 1 MiB; SpecSHA256 its hash. The
	// store does not look into it.
	Spec       []byte
	SpecSHA256 Digest
	State      PolicyState
	// Revision counts the states of this policy from 1; Version is that of all
	// policies since this revision.
	Revision Revision
	Version  uint64
	// CreatedAt and CreatedBy are of the first revision since the policy was
	// created or created again, UpdatedAt and UpdatedBy of the present one.
	CreatedAt, UpdatedAt time.Time
	CreatedBy, UpdatedBy string
}

// Digest is the hash by which the audit log knows this state of the policy.
func (p Policy) Digest() Digest {
	return digestOf(object{
		"kind": "policy", "namespace": p.Namespace, "name": p.Name, "state": string(p.State),
		"revision": int64(p.Revision), "spec_sha256": p.SpecSHA256.String(),
	})
}

// PolicyRevision is a state that a policy had.
type PolicyRevision struct {
	PolicyKey
	Revision   Revision
	Spec       []byte
	SpecSHA256 Digest
	State      PolicyState
	Version    uint64
	// At and By are when and by whom it was made.
	At time.Time
	By string
	// RolledBackTo is the revision whose content this one has, if it was made
	// by RollbackPolicy.
	RolledBackTo Revision
}

// NewPolicy is a policy to be created.
type NewPolicy struct {
	PolicyKey
	Spec []byte
	// State default: draft.
	State PolicyState
	// RolledBackTo is the revision of a deleted policy whose content this one
	// has, or 0. The store does not compare them.
	RolledBackTo Revision
}

// PolicyUpdate changes a policy.
type PolicyUpdate struct {
	PolicyKey
	// If is the revision that the policy must have, or Any.
	If Revision
	// Spec default: stays.
	Spec []byte
	// State default: stays.
	State PolicyState
}

// PolicyRollback goes back to an old revision.
type PolicyRollback struct {
	PolicyKey
	// If is the revision that the policy must have, or Any.
	If Revision
	// To is the revision whose content comes back. One of state deleted has
	// none.
	To Revision
	// State default: that of the old revision.
	State PolicyState
}

// PolicyQuery selects policies. Everything that is given must hold.
type PolicyQuery struct {
	// Namespaces are the only ones looked at. Default: all. An empty list that
	// is not nil selects none.
	Namespaces []string
	// States default: all. An empty list that is not nil selects none.
	States []PolicyState
	// NamePrefix is the beginning of the name.
	NamePrefix string
	PageRequest
}

// PolicySet is all that is in preview or enforced at one moment.
type PolicySet struct {
	// Version rises with every change of a policy and of the kill switch.
	Version    uint64
	KillSwitch KillSwitch
	// Policies are sorted by namespace, then name. They are there also while the
	// kill switch is on.
	Policies []Policy
}

// KillSwitch says whether all policies are off.
type KillSwitch struct {
	On     bool
	Reason string
	// At and By are when and by whom it was last turned. Never: zero.
	At time.Time
	By string
	// Version is that of all policies since then.
	Version uint64
}

// Digest is the hash by which the audit log knows this state.
func (k KillSwitch) Digest() Digest {
	return digestOf(object{"kind": "kill_switch", "on": k.On, "reason": k.Reason})
}

// KillSwitchResource is how the audit log calls the kill switch.
const KillSwitchResource = "killSwitch"

// KillSwitchUpdate turns the kill switch.
type KillSwitchUpdate struct {
	On     bool
	Reason string
	// At is when it was turned, if that was before it could be stored. Default:
	// now.
	At time.Time
}

package access

import "slices"

// Role is what somebody may do, in steps: each role may do all that the one
// before may.
type Role string

// The roles, the least first.
const (
	RoleViewer   Role = "viewer"   // looks
	RoleEditor   Role = "editor"   // writes what is not in force
	RoleOperator Role = "operator" // decides what is in force
	RoleAdmin    Role = "admin"    // decides who may, and goes past safeguards
)

var roles = []Role{RoleViewer, RoleEditor, RoleOperator, RoleAdmin}

// Roles returns all roles, the least first.
func Roles() []Role { return slices.Clone(roles) }

// AtLeast says whether r may do all that other may. An unknown role may nothing,
// and nothing that asks for an unknown role is allowed.
func (r Role) AtLeast(other Role) bool {
	mine, needed := slices.Index(roles, r), slices.Index(roles, other)
	return needed >= 0 && mine >= needed
}

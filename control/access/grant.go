package access

import (
	"fmt"
	"slices"
	"strings"
)

// AllNamespaces is the namespace of a grant that holds everywhere. No namespace
// has this name.
const AllNamespaces = "*"

// maxNamespace is the longest name of a namespace, in bytes.
const maxNamespace = 253

// CheckNamespace says why there can be no namespace of this name.
func CheckNamespace(name string) error {
	switch {
	case name == AllNamespaces:
		return fmt.Errorf("%q stands for all namespaces and names none", name)
	case strings.Contains(name, "/"):
		return fmt.Errorf("must not have a slash, got %q", name)
	}
	return checkIdentity(name, maxNamespace)
}

// Grant is a role in one namespace or in all. As text it is the role, a colon
// and the namespace: editor:shop, viewer:*.
type Grant struct {
	Role      Role
	Namespace string
	// Source says where it comes from, for the audit log. It is not in the text.
	Source string
}

// String is the text of the grant.
func (g Grant) String() string { return string(g.Role) + ":" + g.Namespace }

// ParseGrant reads the text of a grant.
func ParseGrant(text string) (Grant, error) {
	role, namespace, found := strings.Cut(text, ":")
	if !found {
		return Grant{}, fmt.Errorf("must be a role, a colon and a namespace or *, such as editor:shop, got %q", text)
	}
	g := Grant{Role: Role(role), Namespace: namespace}
	return g, g.check()
}

func (g Grant) check() error {
	if !slices.Contains(roles, g.Role) {
		return fmt.Errorf("the role must be %s, got %q", oneOf(roles), string(g.Role))
	}
	if g.Namespace == AllNamespaces {
		return nil
	}
	if err := CheckNamespace(g.Namespace); err != nil {
		return fmt.Errorf("the namespace %w", err)
	}
	return nil
}

// Grants are all roles that somebody holds.
type Grants []Grant

// in returns the highest grant that holds in a namespace. The name of a
// namespace may be empty, for what has none: only grants of all namespaces hold
// there.
func (gs Grants) in(namespace string) Grant {
	return gs.highest(func(g Grant) bool {
		return g.Namespace == AllNamespaces || namespace != "" && g.Namespace == namespace
	})
}

// anywhere returns the highest grant of any namespace.
func (gs Grants) anywhere() Grant {
	return gs.highest(func(Grant) bool { return true })
}

func (gs Grants) highest(holds func(Grant) bool) Grant {
	var best Grant
	for _, g := range gs {
		if holds(g) && g.Role.AtLeast(RoleViewer) && (best.Role == "" || !best.Role.AtLeast(g.Role)) {
			best = g
		}
	}
	return best
}

// namespaces returns where the role is held.
func (gs Grants) namespaces(role Role) Namespaces {
	var ns Namespaces
	for _, g := range gs {
		switch {
		case !g.Role.AtLeast(role):
		case g.Namespace == AllNamespaces:
			ns.all = true
		case g.Namespace != "":
			ns.names = append(ns.names, g.Namespace)
		}
	}
	slices.Sort(ns.names)
	ns.names = slices.Compact(ns.names)
	return ns
}

// Namespaces are those in which somebody may do something. The zero value is
// none.
type Namespaces struct {
	all   bool
	names []string // sorted
}

// All says whether it is every namespace, and what has none.
func (n Namespaces) All() bool { return n.all }

// Empty says whether it is no namespace.
func (n Namespaces) Empty() bool { return !n.all && len(n.names) == 0 }

// Contains says whether the namespace is one of them. What has no namespace,
// the empty name, is in all only.
func (n Namespaces) Contains(namespace string) bool {
	if n.all {
		return true
	}
	_, found := slices.BinarySearch(n.names, namespace)
	return found && namespace != ""
}

// Filter is for queries of the store: nil means all, a list that is empty and
// not nil means none. The caller owns it.
func (n Namespaces) Filter() []string {
	if n.all {
		return nil
	}
	return append([]string{}, n.names...)
}

// Only returns those that are in the list too. An empty list means no
// restriction. A namespace that is not visible drops out without a word, as one
// that does not exist would.
func (n Namespaces) Only(list []string) Namespaces {
	if len(list) == 0 {
		return n
	}
	var only Namespaces
	for _, name := range list {
		if name != "" && name != AllNamespaces && n.Contains(name) {
			only.names = append(only.names, name)
		}
	}
	slices.Sort(only.names)
	only.names = slices.Compact(only.names)
	return only
}

// oneOf writes a, b or c.
func oneOf[T ~string](words []T) string {
	var text strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			text.WriteString(" or ")
		case i > 0:
			text.WriteString(", ")
		}
		text.WriteString(string(w))
	}
	return text.String()
}

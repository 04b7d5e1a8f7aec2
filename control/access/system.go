package access

// SystemPrincipal is the control plane itself, when it does what a person would have
// asked for by a request: it is decided on, audited and undone alike. The audit
// log calls it system:id.
func SystemPrincipal(id string, g Grants) Principal {
	return Principal{Kind: KindSystem, ID: id, grants: g}
}

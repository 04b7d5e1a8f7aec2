package access

import (
	"fmt"
	"slices"
	"strings"
)

// Binding gives a role in some namespaces to some principals.
type Binding struct {
	// Name is for the audit log. Default: bindings[0], its place in the list.
	Name string `mapstructure:"name"`
	// Role is viewer, editor, operator or admin.
	Role Role `mapstructure:"role"`
	// Namespaces are exact names, or * for all and what has none.
	Namespaces []string `mapstructure:"namespaces"`
	// Subjects are who has the role: whoever fits one of them.
	Subjects []Subject `mapstructure:"subjects"`
}

// Subject describes principals. All that is given must fit.
type Subject struct {
	// Kind is token, certificate, shared, local or anonymous. API keys carry
	// their own grants.
	Kind Kind `mapstructure:"kind"`
	// ID is the subject of the token, the name in the certificate, or the id of
	// the authentication extension (shared); * is any.
	ID string `mapstructure:"id"`
	// Issuer is that of the token. Default: any; give it if the authentication
	// extension trusts more than one.
	Issuer string `mapstructure:"issuer"`
	// Group is one of the groups of the token, or an organization of the
	// certificate.
	Group string `mapstructure:"group"`
	// Claim is a claim of the token, such as department or realm_access.roles,
	// that must be Value or hold it in a list.
	Claim string `mapstructure:"claim"`
	Value string `mapstructure:"value"`
}

// anyID stands for every ID.
const anyID = "*"

func (b Binding) matches(p Principal) bool {
	return slices.ContainsFunc(b.Subjects, func(s Subject) bool { return s.matches(p) })
}

func (s Subject) matches(p Principal) bool {
	return s.Kind == p.Kind &&
		(s.ID == "" || s.ID == anyID || s.ID == p.ID) &&
		(s.Issuer == "" || s.Issuer == p.Issuer) &&
		(s.Group == "" || slices.Contains(p.Groups, s.Group)) &&
		(s.Claim == "" || slices.Contains(p.Claims[s.Claim], s.Value))
}

// withDefaults names bindings and adds those for whoever does not say who they
// are, unless a binding does.
func withDefaults(bindings []Binding) []Binding {
	all := slices.Clone(bindings)
	for i := range all {
		if all[i].Name == "" {
			all[i].Name = fmt.Sprintf("bindings[%d]", i)
		}
	}
	for _, d := range []struct {
		kind Kind
		role Role
	}{{KindLocal, RoleAdmin}, {KindAnonymous, RoleViewer}} {
		if !names(bindings, d.kind) {
			all = append(all, Binding{
				Name: "default", Role: d.role, Namespaces: []string{AllNamespaces}, Subjects: []Subject{{Kind: d.kind}},
			})
		}
	}
	return all
}

func names(bindings []Binding, kind Kind) bool {
	return slices.ContainsFunc(bindings, func(b Binding) bool {
		return slices.ContainsFunc(b.Subjects, func(s Subject) bool { return s.Kind == kind })
	})
}

// claimsOf lists the claims that bindings ask for: a principal carries no other,
// for tokens say much about people that is nobody's business here.
func claimsOf(bindings []Binding) []string {
	var claims []string
	for _, b := range bindings {
		for _, s := range b.Subjects {
			if s.Claim != "" {
				claims = append(claims, s.Claim)
			}
		}
	}
	slices.Sort(claims)
	return slices.Compact(claims)
}

func checkBindings(f faults, bindings []Binding) {
	f.atMost(len(bindings), maxList)
	first := map[string]int{}
	for i, b := range bindings {
		at := f.at("[%d]", i)
		b.check(at)
		if b.Name == "" {
			continue
		}
		if earlier, twice := first[b.Name]; twice {
			at.at("name").add("%q is the name of bindings[%d] already", b.Name, earlier)
		} else {
			first[b.Name] = i
		}
	}
}

func (b Binding) check(f faults) {
	if b.Name != "" {
		f.at("name").text(b.Name, maxLabel)
	}
	if !slices.Contains(roles, b.Role) {
		f.at("role").add("must be %s, got %q", oneOf(roles), string(b.Role))
	}
	checkNamespaces(f.at("namespaces"), b.Namespaces)
	at := f.at("subjects")
	if len(b.Subjects) == 0 {
		at.add("must have at least one entry")
	}
	at.atMost(len(b.Subjects), maxList)
	for i, s := range b.Subjects {
		s.check(at.at("[%d]", i))
	}
}

func checkNamespaces(f faults, list []string) {
	if len(list) == 0 {
		f.add("must have at least one entry; * is all namespaces")
	}
	f.atMost(len(list), maxNamespaces)
	for i, name := range list {
		at := f.at("[%d]", i)
		switch {
		case name == AllNamespaces:
		case strings.ContainsAny(name, "*?"):
			at.add("must be a name or *, not a pattern, got %q", name)
		default:
			if err := CheckNamespace(name); err != nil {
				at.add("%s", err)
			}
		}
		if slices.Contains(list[:i], name) {
			at.add("%q is there twice", name)
		}
	}
}

func (s Subject) check(f faults) {
	if s.Kind == KindAPIKey {
		f.at("kind").add("must not be %s: an API key carries its own roles", s.Kind)
		return
	}
	if !slices.Contains(kinds, s.Kind) {
		f.at("kind").add("must be %s, got %q", oneOf(kinds), string(s.Kind))
		return
	}
	for _, option := range []struct {
		key, value string
		of         []Kind
	}{
		{"id", s.ID, []Kind{KindToken, KindCertificate, KindShared}},
		{"issuer", s.Issuer, []Kind{KindToken}},
		{"group", s.Group, []Kind{KindToken, KindCertificate}},
		{"claim", s.Claim, []Kind{KindToken}},
		{"value", s.Value, []Kind{KindToken}},
	} {
		if option.value == "" {
			continue
		}
		if !slices.Contains(option.of, s.Kind) {
			f.at("%s", option.key).add("has no effect: only for %s", oneOf(option.of))
		}
		f.at("%s", option.key).text(option.value, maxPrincipal)
	}
	switch {
	case s.Claim != "" && s.Value == "":
		f.at("value").add("must be given with claim")
	case s.Claim == "" && s.Value != "":
		f.at("claim").add("must be given with value")
	}
	if s.ID+s.Group+s.Claim != "" {
		return
	}
	switch s.Kind {
	case KindToken:
		f.add("must have id, group or claim; id: \"*\" is everybody with a token")
	case KindCertificate:
		f.add("must have id or group; id: \"*\" is everybody with a certificate")
	case KindShared:
		f.at("id").add("must be the id of the authentication extension, or *")
	case KindAPIKey, KindLocal, KindAnonymous, KindSystem:
	}
}

func (f faults) text(value string, limit int) {
	if err := checkIdentity(value, limit); err != nil {
		f.add("%s", err)
	}
}

package access

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The parts of which properties are drawn.
var (
	someNamespaces = []string{"shop", "bank", "api", "Shop", "shop2"}
	someGroups     = []string{"devs", "ops"}
	drawRole       = rapid.SampledFrom(roles)
	drawNamespaces = rapid.SliceOfNDistinct(rapid.SampledFrom(append([]string{"*"}, someNamespaces...)), 1, 3, rapid.ID[string])
	drawSubject    = rapid.SampledFrom([]Subject{
		{Kind: KindToken, ID: "alice"},
		{Kind: KindToken, ID: "*"},
		{Kind: KindToken, Group: "devs"},
		{Kind: KindToken, Group: "ops"},
		{Kind: KindToken, ID: "alice", Group: "ops"},
		{Kind: KindToken, ID: "alice", Issuer: "https://b"},
		{Kind: KindToken, Claim: "team", Value: "red"},
		{Kind: KindCertificate, ID: "alice"},
		{Kind: KindCertificate, Group: "devs"},
		{Kind: KindLocal},
		{Kind: KindAnonymous},
		{Kind: KindShared, ID: "*"},
	})
)

func drawBindings(t *rapid.T) []Binding {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Binding {
		return Binding{
			Role: drawRole.Draw(t, "role"), Namespaces: drawNamespaces.Draw(t, "namespaces"),
			Subjects: rapid.SliceOfN(drawSubject, 1, 3).Draw(t, "subjects"),
		}
	}), 0, 5).Draw(t, "bindings")
}

func drawPrincipal(t *rapid.T) Principal {
	p := Principal{Kind: rapid.SampledFrom(append([]Kind{KindAPIKey, ""}, kinds...)).Draw(t, "kind")}
	switch p.Kind {
	case KindAPIKey:
		for _, namespace := range drawNamespaces.Draw(t, "namespaces") {
			p.grants = append(p.grants, Grant{Role: drawRole.Draw(t, "role"), Namespace: namespace})
		}
		fallthrough
	case KindToken, KindCertificate, KindShared:
		p.ID = rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "id")
	}
	if p.Kind == KindToken {
		p.Issuer = rapid.SampledFrom([]string{"", "https://a", "https://b"}).Draw(t, "issuer")
		p.Claims = map[string][]string{"team": rapid.SampledFrom([][]string{nil, {"red"}, {"blue", "red"}}).Draw(t, "team")}
	}
	if p.Kind == KindToken || p.Kind == KindCertificate {
		p.Groups = rapid.SliceOfDistinct(rapid.SampledFrom(someGroups), rapid.ID[string]).Draw(t, "groups")
	}
	return p
}

// naive says, with loops and nothing else, which steps of the roles somebody has
// in a namespace. "" stands for what has none.
func naive(bindings []Binding, p Principal, namespace string) int {
	step := map[Role]int{"viewer": 1, "editor": 2, "operator": 3, "admin": 4}
	most := 0
	hold := func(role Role, in string) {
		if in == "*" || in == namespace && in != "" {
			most = max(most, step[role])
		}
	}
	for _, grant := range p.grants {
		hold(grant.Role, grant.Namespace)
	}
	named := map[Kind]bool{}
	for _, b := range bindings {
		for _, s := range b.Subjects {
			named[s.Kind] = true
			fits := s.Kind == p.Kind
			if s.ID != "" && s.ID != "*" && s.ID != p.ID {
				fits = false
			}
			if s.Issuer != "" && s.Issuer != p.Issuer {
				fits = false
			}
			if s.Group != "" && !slices.Contains(p.Groups, s.Group) {
				fits = false
			}
			if s.Claim != "" && !slices.Contains(p.Claims[s.Claim], s.Value) {
				fits = false
			}
			for _, in := range b.Namespaces {
				if fits {
					hold(b.Role, in)
				}
			}
		}
	}
	if p.Kind == KindLocal && !named[KindLocal] {
		most = 4
	}
	if p.Kind == KindAnonymous && !named[KindAnonymous] {
		most = 1
	}
	return most
}

// TestNobodyReachesAnotherNamespace compares every decision and every list with
// the naive model, over random bindings and principals.
func TestNobodyReachesAnotherNamespace(t *testing.T) {
	step := map[Role]int{"viewer": 1, "editor": 2, "operator": 3, "admin": 4}
	property := func(t *rapid.T) {
		bindings, p := drawBindings(t), drawPrincipal(t)
		g := newGuard(t, bindings...)
		anywhere := naive(bindings, p, "")
		for _, namespace := range someNamespaces {
			anywhere = max(anywhere, naive(bindings, p, namespace))
		}
		for _, need := range permissions {
			visible := g.Visible(p, need.Verb, need.Resource)
			for _, namespace := range append([]string{"", "*", "unheard-of"}, someNamespaces...) {
				d := g.Authorize(p, need.Verb, need.Resource, namespace)
				here, everywhere := naive(bindings, p, namespace), naive(bindings, p, "")
				if need.Reach == ReachOwn {
					sees := here >= step[need.Role]
					require.Equal(t, sees, visible.Contains(namespace), "%s in %q", need.Action(), namespace)
					if namespace != "" {
						require.Equal(t, sees, d.Allowed(), "%s in %q: %s", need.Action(), namespace, d.Audit)
						require.Equal(t, p.Kind != "" && here == 0 && anywhere > 0, d.Outcome == NotFound, d.Audit)
						continue
					}
				}
				switch collection := need.Verb == List || need.Verb == Watch; {
				case need.Reach == ReachAny, need.Reach == ReachOwn && collection:
					require.Equal(t, anywhere >= step[need.Role], d.Allowed(), "%s: %s", need.Action(), d.Audit)
					require.Equal(t, visible.Empty(), !d.Allowed())
				default:
					require.Equal(t, everywhere >= step[need.Role], d.Allowed(), "%s: %s", need.Action(), d.Audit)
				}
			}
			for _, namespace := range visible.Only(someNamespaces).Filter() {
				require.GreaterOrEqual(t, max(naive(bindings, p, namespace), reachAny(need, anywhere)), step[need.Role])
			}
		}
	}
	for range 4 { // of 100 tries each
		rapid.Check(t, property)
	}
}

func reachAny(need Permission, anywhere int) int {
	if need.Reach == ReachAny {
		return anywhere
	}
	return 0
}

// TestAKeyNeverHoldsMoreThanItsMaker lets random principals, half of them
// administrators of something, create random keys.
func TestAKeyNeverHoldsMoreThanItsMaker(t *testing.T) {
	created := 0
	rapid.Check(t, func(t *rapid.T) {
		g := newGuard(t, drawBindings(t)...)
		maker := drawPrincipal(t)
		if rapid.Bool().Draw(t, "administrator") {
			maker = Principal{Kind: KindAPIKey, ID: "administrator"}
			for _, namespace := range drawNamespaces.Draw(t, "administers") {
				maker.grants = append(maker.grants, Grant{Role: RoleAdmin, Namespace: namespace})
			}
		}
		key := Principal{Kind: KindAPIKey, ID: "new"}
		for _, namespace := range drawNamespaces.Draw(t, "key") {
			key.grants = append(key.grants, Grant{Role: drawRole.Draw(t, "role"), Namespace: namespace})
		}
		if !g.AuthorizeGrants(maker, Create, key.grants).Allowed() {
			return
		}
		created++
		for _, need := range permissions {
			for _, namespace := range append([]string{""}, someNamespaces...) {
				if g.Authorize(key, need.Verb, need.Resource, namespace).Allowed() {
					require.True(t, g.Authorize(maker, need.Verb, need.Resource, namespace).Allowed(), "%s in %q", need.Action(), namespace)
				}
			}
		}
	})
	t.Logf("%d keys were created", created)
}

func TestNamesAreUnique(t *testing.T) {
	part := rapid.StringOfN(rapid.SampledFrom([]rune("a%#:2350")), 0, 6, -1)
	draw := func(t *rapid.T, label string) Principal {
		return Principal{
			Kind: rapid.SampledFrom(kinds[:3]).Draw(t, label+" kind"),
			ID:   part.Draw(t, label+" id") + "x", Issuer: part.Draw(t, label+" issuer"),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		same := a.Kind == b.Kind && a.ID == b.ID && a.Issuer == b.Issuer
		require.Equal(t, same, a.Name() == b.Name(), "%q %q", a.Name(), b.Name())
	})
	assert.Equal(t, "nobody", Principal{}.String())
	assert.Equal(t, "local", fmt.Sprint(Principal{Kind: KindLocal}))
	assert.Equal(t, "token:https://idp.example#alice", Principal{Kind: KindToken, Issuer: "https://idp.example", ID: "alice"}.Name())
	assert.NotEqual(t, Principal{Kind: KindToken, ID: "a#b"}.Name(), Principal{Kind: KindToken, Issuer: "a", ID: "b"}.Name())
}

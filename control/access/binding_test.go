package access

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestSubjects changes one thing at a time: all that a subject says must fit.
func TestSubjects(t *testing.T) {
	f := func(s Subject, p Principal, want bool) {
		t.Helper()
		g := newGuard(t, Binding{Role: RoleViewer, Namespaces: []string{"shop"}, Subjects: []Subject{s}})
		assert.Equal(t, want, g.Authorize(p, Get, Policies, "shop").Allowed(), "%+v %+v", s, p)
	}
	alice := Principal{
		Kind: KindToken, ID: "alice", Issuer: "https://a", Groups: []string{"devs", "ops"},
		Claims: map[string][]string{"team": {"red", "blue"}},
	}
	f(Subject{Kind: KindToken, ID: "alice"}, alice, true)
	f(Subject{Kind: KindToken, ID: "*"}, alice, true)
	f(Subject{Kind: KindToken, ID: "Alice"}, alice, false)
	f(Subject{Kind: KindToken, ID: "ali*"}, alice, false)
	f(Subject{Kind: KindCertificate, ID: "alice"}, alice, false)
	f(Subject{Kind: KindShared, ID: "*"}, alice, false)
	f(Subject{Kind: KindToken, ID: "alice", Issuer: "https://a"}, alice, true)
	f(Subject{Kind: KindToken, ID: "alice", Issuer: "https://b"}, alice, false)
	f(Subject{Kind: KindToken, ID: "*", Issuer: "https://b"}, alice, false)
	f(Subject{Kind: KindToken, Group: "ops"}, alice, true)
	f(Subject{Kind: KindToken, Group: "op"}, alice, false)
	f(Subject{Kind: KindToken, ID: "alice", Group: "admins"}, alice, false)
	f(Subject{Kind: KindToken, ID: "bob", Group: "ops"}, alice, false)
	f(Subject{Kind: KindToken, Group: "ops", Issuer: "https://b"}, alice, false)
	f(Subject{Kind: KindToken, Claim: "team", Value: "blue"}, alice, true)
	f(Subject{Kind: KindToken, Claim: "team", Value: "green"}, alice, false)
	f(Subject{Kind: KindToken, Claim: "other", Value: "red"}, alice, false)
	f(Subject{Kind: KindToken, ID: "bob", Claim: "team", Value: "red"}, alice, false)
	f(Subject{Kind: KindToken, ID: "*"}, Principal{Kind: KindAPIKey, ID: "alice"}, false)
	f(Subject{Kind: KindLocal}, Principal{Kind: KindLocal}, true)
	f(Subject{Kind: KindLocal}, Principal{Kind: KindAnonymous, ID: "x"}, true) // by the default of anonymous
	f(Subject{Kind: KindAnonymous}, Principal{}, false)
}

// TestDefaultsGiveWayToBindings lowers what this machine may do.
func TestDefaultsGiveWayToBindings(t *testing.T) {
	local := Principal{Kind: KindLocal}
	assert.True(t, newGuard(t).Authorize(local, Enforce, Policies, "shop").Allowed())
	g := newGuard(t, Binding{Role: RoleViewer, Namespaces: []string{"shop"}, Subjects: []Subject{{Kind: KindToken, ID: "alice"}, {Kind: KindLocal}}})
	assert.False(t, g.Authorize(local, Enforce, Policies, "shop").Allowed())
	assert.Equal(t, NotFound, g.Authorize(local, Get, Policies, "bank").Outcome)
	assert.True(t, g.Authorize(Principal{Kind: KindAnonymous}, Get, Policies, "bank").Allowed())
}

package access

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReasons(t *testing.T) {
	g := newGuard(t,
		Binding{Name: "shop-editors", Role: RoleEditor, Namespaces: []string{"shop"}, Subjects: []Subject{{Kind: KindToken, Group: "devs"}}},
		Binding{Role: RoleOperator, Namespaces: []string{"*"}, Subjects: []Subject{{Kind: KindToken, ID: "root"}}},
	)
	alice := Principal{Kind: KindToken, ID: "alice", Groups: []string{"devs"}}
	root := Principal{Kind: KindToken, ID: "root"}
	f := func(d Decision, outcome Outcome, caller, audit string) {
		t.Helper()
		assert.Equal(t, Decision{Outcome: outcome, Caller: caller, Audit: audit}, d)
	}
	f(g.Authorize(alice, Update, Policies, "shop"), Allowed, "",
		"token:alice may policies.update: it holds editor:shop by shop-editors")
	f(g.Authorize(root, Engage, KillSwitch, ""), Allowed, "",
		"token:root may killSwitch.engage: it holds operator:* by bindings[1]")
	f(g.Authorize(alice, Enforce, Policies, "shop"), Forbidden,
		`policies.enforce: the role operator in namespace "shop" is needed`,
		`token:alice may not policies.enforce in namespace "shop": the role operator in namespace "shop" is needed, it holds editor:shop by shop-editors`)
	f(g.Authorize(alice, Get, Policies, "bank"), NotFound, "not found",
		`token:alice may not policies.get in namespace "bank": it has no role in that namespace`)
	f(g.Authorize(alice, Engage, KillSwitch, ""), Forbidden,
		"killSwitch.engage: the role operator in all namespaces is needed",
		"token:alice may not killSwitch.engage: the role operator in all namespaces is needed, it holds none")
	f(g.Authorize(alice, List, APIKeys, ""), Forbidden,
		"apiKeys.list: the role admin in any namespace is needed",
		"token:alice may not apiKeys.list: the role admin in any namespace is needed, it holds editor:shop by shop-editors")
	f(g.Authorize(Principal{Kind: KindToken, ID: "eve"}, Get, System, ""), Forbidden,
		"system.get: token:eve has no role: ask an administrator to bind one",
		"token:eve may not system.get: it has no role")
	f(g.Authorize(root, Pause, Backup, ""), Forbidden, "backup.pause: nobody may",
		"token:root may not backup.pause: there is no such permission")
	f(g.Authorize(Principal{}, Get, System, ""), Unauthenticated, noCredentials, noCredentials)
	f(g.AuthorizeEach(alice, []Verb{Update, Enforce, Force}, Policies, "shop"), Forbidden,
		`policies.enforce: the role operator in namespace "shop" is needed`,
		`token:alice may not policies.enforce in namespace "shop": the role operator in namespace "shop" is needed, it holds editor:shop by shop-editors`)
	assert.True(t, g.AuthorizeEach(alice, []Verb{Update, Preview}, Policies, "shop").Allowed())
	assert.False(t, g.AuthorizeEach(root, nil, Policies, "shop").Allowed())
	assert.False(t, Decision{}.Allowed())
	require.ErrorIs(t, Decision{}.Err(), ErrForbidden)
}

func TestRefusalsAreErrors(t *testing.T) {
	f := func(outcome Outcome, want error) {
		t.Helper()
		err := Decision{Outcome: outcome, Caller: "for the caller", Audit: "for the audit log"}.Err()
		require.ErrorIs(t, err, want)
		require.EqualError(t, err, "for the caller")
		var r *Refusal
		require.ErrorAs(t, err, &r)
		assert.Equal(t, "for the audit log", r.Audit)
	}
	f(Forbidden, ErrForbidden)
	f(NotFound, ErrNotFound)
	f(Unauthenticated, ErrUnauthenticated)
	assert.NoError(t, Decision{Outcome: Allowed}.Err())
}

// TestReasonsFitTheAuditLog repeats long names of a stranger.
func TestReasonsFitTheAuditLog(t *testing.T) {
	g := newGuard(t)
	for _, namespace := range []string{strings.Repeat("n", 5000), strings.Repeat("\xff", 5000), strings.Repeat("ä", 5000), "a\nb"} {
		for _, p := range []Principal{holder("viewer:shop"), holder("viewer:*"), {Kind: KindToken, ID: strings.Repeat("é", 250)}} {
			for _, d := range []Decision{
				g.Authorize(p, Enforce, Policies, namespace),
				g.AuthorizeGrants(p, Create, Grants{{Role: RoleAdmin, Namespace: strings.Repeat("n", 5000)}}),
			} {
				assert.LessOrEqual(t, len(d.Audit), maxReason)
				assert.LessOrEqual(t, len(d.Caller), maxReason)
				assert.NoError(t, checkIdentity(d.Audit, maxReason))
				assert.NoError(t, checkIdentity(d.Caller, maxReason))
			}
		}
	}
}

// TestNothingTellsThatAnObjectExists compares the answer about the namespace of
// others with that about one which does not exist.
func TestNothingTellsThatAnObjectExists(t *testing.T) {
	bound := Binding{Role: RoleAdmin, Namespaces: []string{"bank"}, Subjects: []Subject{{Kind: KindToken, ID: "bob"}}}
	g := newGuard(t, bound)
	for _, p := range permissions {
		bank := g.Authorize(holder("admin:shop"), p.Verb, p.Resource, "bank")
		none := g.Authorize(holder("admin:shop"), p.Verb, p.Resource, "none")
		assert.Equal(t, bank.Caller, none.Caller, p.Action())
		assert.Equal(t, bank.Outcome, none.Outcome, p.Action())
		assert.NotContains(t, bank.Caller, "bank")
	}
	visible := g.Visible(holder("viewer:shop"), List, Policies)
	assert.Equal(t, visible.Only([]string{"bank"}), visible.Only([]string{"none"}))
}

func TestVisible(t *testing.T) {
	g := newGuard(t)
	f := func(p Principal, v Verb, r Resource, want []string) {
		t.Helper()
		assert.Equal(t, want, g.Visible(p, v, r).Filter())
	}
	f(holder("viewer:shop", "editor:bank", "viewer:shop"), List, Policies, []string{"bank", "shop"})
	f(holder("viewer:shop", "editor:bank"), Update, Policies, []string{"bank"})
	f(holder("viewer:shop", "viewer:*"), List, Policies, nil)
	f(holder("viewer:*", "admin:shop"), List, APIKeys, []string{"shop"})
	f(holder("viewer:shop"), Get, System, nil)
	f(holder("operator:shop"), Verify, Audit, []string{})
	f(holder("operator:*"), Verify, Audit, nil)
	f(holder("viewer:shop"), List, APIKeys, []string{})
	f(holder("admin:*"), Pause, Backup, []string{})
	f(Principal{}, List, Policies, []string{})
}

func TestNamespaces(t *testing.T) {
	some := holder("viewer:shop", "viewer:bank").grants.namespaces(RoleViewer)
	all := holder("viewer:*").grants.namespaces(RoleViewer)
	assert.True(t, some.Contains("shop"))
	assert.False(t, some.Contains(""))
	assert.False(t, some.Contains("*"))
	assert.True(t, all.Contains(""))
	assert.True(t, all.All())
	assert.True(t, Namespaces{}.Empty())
	assert.Equal(t, []string{}, Namespaces{}.Filter())
	assert.Equal(t, []string{"bank"}, some.Only([]string{"bank", "other", "bank", "", "*"}).Filter())
	assert.Equal(t, []string{"bank", "shop"}, some.Only(nil).Filter())
	assert.Equal(t, []string{"a", "b"}, all.Only([]string{"b", "a", "*", ""}).Filter())
	some.Filter()[0] = "mine"
	assert.Equal(t, []string{"bank", "shop"}, some.Filter())
}

func TestPolicyChanges(t *testing.T) {
	f := func(c PolicyChange, want ...Verb) {
		t.Helper()
		assert.Equal(t, want, c.Verbs())
	}
	f(PolicyChange{Verb: Update}, Update)
	f(PolicyChange{Verb: Create, WillBeEnforced: true}, Create, Enforce)
	f(PolicyChange{Verb: Update, WasEnforced: true, WillBeEnforced: true}, Update, Enforce)
	f(PolicyChange{Verb: Delete, WasEnforced: true}, Delete, Disable)
	f(PolicyChange{Verb: Preview, WasEnforced: true}, Preview, Disable)
	f(PolicyChange{Verb: Disable, WasEnforced: true}, Disable)
	f(PolicyChange{Verb: Enforce, WillBeEnforced: true, Forced: true}, Enforce, Force)
	f(PolicyChange{Verb: Rollback, WillBeEnforced: true}, Rollback, Enforce)
	g := newGuard(t)
	for _, c := range []PolicyChange{
		{Verb: Update, WasEnforced: true, WillBeEnforced: true},
		{Verb: Delete, WasEnforced: true},
		{Verb: Preview, WasEnforced: true},
		{Verb: Create, WillBeEnforced: true},
	} {
		assert.False(t, g.AuthorizeEach(holder("editor:shop"), c.Verbs(), Policies, "shop").Allowed(), "%+v", c)
		assert.True(t, g.AuthorizeEach(holder("operator:shop"), c.Verbs(), Policies, "shop").Allowed(), "%+v", c)
	}
}

func TestAPIKeysAreHandedOutByThoseWhoHoldAll(t *testing.T) {
	g := newGuard(t)
	f := func(p Principal, v Verb, grants string, want Outcome) {
		t.Helper()
		key, err := ParseGrants(strings.Fields(grants))
		require.NoError(t, err)
		assert.Equal(t, want, g.AuthorizeGrants(p, v, key).Outcome)
	}
	shop := holder("admin:shop", "viewer:bank")
	f(shop, Create, "editor:shop", Allowed)
	f(shop, Create, "admin:shop viewer:shop", Allowed)
	f(shop, Create, "viewer:bank", Forbidden)
	f(shop, Create, "editor:shop viewer:bank", Forbidden)
	f(shop, Create, "viewer:other", Forbidden)
	f(shop, Create, "viewer:*", Forbidden)
	f(shop, Revoke, "editor:shop", Allowed)
	f(shop, Revoke, "editor:shop viewer:*", NotFound)
	f(shop, Get, "viewer:bank", NotFound)
	f(shop, Get, "", Forbidden)
	f(holder("editor:*"), Create, "viewer:shop", Forbidden)
	f(holder("admin:*"), Create, "admin:* editor:shop", Allowed)
	f(holder("admin:*"), Get, "", Allowed)
	f(Principal{}, Create, "viewer:shop", Unauthenticated)
	d := g.AuthorizeGrants(shop, Create, Grants{{Role: RoleViewer, Namespace: "bank"}})
	assert.Equal(t, "you may not hand out viewer:bank: create keys only for what you administer", d.Caller)
	assert.Equal(t, `api_key:holder may not create a key that holds viewer:bank: it holds ["admin:shop" "viewer:bank"]`, d.Audit)
	require.ErrorIs(t, d.Err(), ErrForbidden)
}

func TestGrantsAsText(t *testing.T) {
	grants, err := ParseGrants([]string{"editor:shop", "viewer:*", "admin:a:b"})
	require.NoError(t, err)
	assert.Equal(t, Grants{{Role: RoleEditor, Namespace: "shop"}, {Role: RoleViewer, Namespace: "*"}, {Role: RoleAdmin, Namespace: "a:b"}}, grants)
	assert.Equal(t, []string{"editor:shop", "viewer:*", "admin:a:b"}, grants.Texts())
	assert.Equal(t, []string{"*", "a:b", "shop"}, grants.Names())
	_, err = ParseGrants([]string{"viewer:shop", "editor", "owner:shop", "viewer:", "viewer:a/b", "viewer:a\x00b"})
	require.EqualError(t, err, strings.Join([]string{
		`grants[1]: must be a role, a colon and a namespace or *, such as editor:shop, got "editor"`,
		`grants[2]: the role must be viewer, editor, operator or admin, got "owner"`,
		`grants[3]: the namespace must not be empty`,
		`grants[4]: the namespace must not have a slash, got "a/b"`,
		`grants[5]: the namespace must have printable characters only, got "a\x00b"`,
	}, "\n"))
	require.ErrorContains(t, CheckNamespace("*"), "stands for all namespaces")
	require.NoError(t, errors.Join(CheckNamespace("shop"), CheckNamespace(strings.Repeat("n", 253))))
	require.Error(t, CheckNamespace(strings.Repeat("n", 254)))
	assert.False(t, Role("owner").AtLeast(RoleViewer))
	assert.False(t, RoleAdmin.AtLeast("owner"))
}

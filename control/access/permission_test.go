package access

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const tableHead = `# Who may do what. own: in the namespaces of the role. any: in all of them, if the role is held in one.
# all: if the role is held in all namespaces. -: never. What is not here nobody may do.

`

// TestPermissionTable compares the table in the code with the one that people
// read.
func TestPermissionTable(t *testing.T) {
	var text strings.Builder
	text.WriteString(tableHead)
	line := func(resource, verb string, cells ...string) {
		var row strings.Builder
		fmt.Fprintf(&row, "%-12s %-9s", resource, verb)
		for _, c := range cells {
			fmt.Fprintf(&row, " %-9s", c)
		}
		text.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
	line("resource", "verb", "viewer", "editor", "operator", "admin")
	var last Resource
	for _, p := range Permissions() {
		if p.Resource != last {
			text.WriteString("\n")
		}
		last = p.Resource
		var cells []string
		for _, r := range Roles() {
			cell := "-"
			if r.AtLeast(p.Role) {
				cell = string(p.Reach)
			}
			cells = append(cells, cell)
		}
		line(string(p.Resource), string(p.Verb), cells...)
	}
	requireGolden(t, "permissions.txt", text.String())
}

// readTable reads the golden table, so that decisions are compared with what
// people read and not with the code that makes them.
func readTable(t *testing.T) map[action]map[Role]string {
	t.Helper()
	text, err := os.ReadFile("testdata/permissions.txt")
	require.NoError(t, err)
	table := map[action]map[Role]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Fields(line)
		if len(cells) != 6 || cells[0] == "#" || cells[0] == "resource" {
			continue
		}
		row := map[Role]string{}
		for i, r := range []Role{"viewer", "editor", "operator", "admin"} {
			row[r] = cells[2+i]
		}
		table[action{Resource(cells[0]), Verb(cells[1])}] = row
	}
	require.Len(t, table, len(permissions))
	return table
}

// TestEveryRoleWithEveryPermission asks for each verb of each resource, by each
// role held in one namespace or in all, in that namespace, another one and none.
func TestEveryRoleWithEveryPermission(t *testing.T) {
	table := readTable(t)
	g := newGuard(t)
	resources, verbs := vocabulary(t)
	asked := 0
	for _, resource := range resources {
		for _, verb := range verbs {
			row := table[action{resource, verb}]
			for _, role := range roles {
				for _, held := range []string{"shop", AllNamespaces} {
					p := holder(string(role) + ":" + held)
					for _, namespace := range []string{"shop", "bank", ""} {
						want := expected(row, role, verb, held, namespace)
						got := g.Authorize(p, verb, resource, namespace)
						assert.Equal(t, want, got.Outcome, "%s %s in %q as %s:%s", verb, resource, namespace, role, held)
						asked++
					}
				}
			}
		}
	}
	assert.Equal(t, len(resources)*len(verbs)*4*2*3, asked)
	assert.Len(t, resources, 13)
	assert.Len(t, verbs, 19)
}

// expected is the golden table in words.
func expected(row map[Role]string, role Role, verb Verb, held, namespace string) Outcome {
	reach := row[RoleAdmin] // who may do everything may do this, if anybody may
	inside := held == AllNamespaces || held == namespace
	switch collection := verb == List || verb == Watch; {
	case reach == "own" && namespace != "" && !inside:
		return NotFound
	case row[role] == "any",
		row[role] == "all" && held == AllNamespaces,
		row[role] == "own" && inside,
		row[role] == "own" && namespace == "" && collection:
		return Allowed
	}
	return Forbidden
}

// vocabulary reads the constants of the package, so that none is forgotten.
func vocabulary(t *testing.T) ([]Resource, []Verb) {
	t.Helper()
	source, err := os.ReadFile("permission.go")
	require.NoError(t, err)
	var resources []Resource
	var verbs []Verb
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +(Resource|Verb) += "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		if m[1] == "Resource" {
			resources = append(resources, Resource(m[2]))
		} else {
			verbs = append(verbs, Verb(m[2]))
		}
	}
	for _, p := range permissions {
		assert.Contains(t, resources, p.Resource)
		assert.Contains(t, verbs, p.Verb)
	}
	for _, v := range verbs {
		assert.True(t, slices.ContainsFunc(permissions, func(p Permission) bool { return p.Verb == v }), "nobody needs %s", v)
	}
	return resources, verbs
}

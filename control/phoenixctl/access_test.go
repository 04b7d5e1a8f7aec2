package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKeysAndContexts(t *testing.T) {
	r := newRig(t)
	config := filepath.Join(r.dir, "config.yaml")
	t.Setenv("PHOENIX_CONFIG", config)
	key := strings.TrimSpace(r.run("keys", "create", "ci", "--grant", "editor:shop", "--lifetime", "720h"))
	ci := strings.TrimSpace(r.run("keys", "list", "-o", "name"))
	r.text.Reset()
	r.run("keys", "list") // before the last use is noted, which takes a while
	r.run("keys", "get", ci)
	admin := strings.TrimSpace(quietly(r, "keys", "create", "root", "--grant", "admin:*"))
	ids := strings.Fields(quietly(r, "keys", "list", "-o", "name"))
	require.Len(t, ids, 2)
	r.secrets = ids

	r.run("context", "list")
	r.pipe(key+"\n", "login", "shop", "-n", "shop")
	r.run("--context", "shop", "whoami")
	r.pipe(callsPolicy, "--context", "shop", "policies", "apply", "-f", "-")
	r.pipe(callsPolicy, "--context", "shop", "policies", "apply", "-f", "-", "-n", "other")
	r.run("--context", "shop", "policies", "enforce", "calls")
	r.run("--context", "shop", "policies", "list")
	r.run("--context", "shop", "keys", "list")
	r.pipe(admin, "login", "root")
	r.run("context", "set", "far", "--address", "https://phoenix.example:8620", "-n", "far")
	r.run("context", "set", "far", "--ca", "missing.pem")
	r.run("context", "set", "new")
	r.run("context", "list")
	r.run("context", "use", "shop")
	r.run("context", "use", "nowhere")
	r.run("context", "list", "-o", "name")
	r.run("--context", "nowhere", "whoami")
	r.run("--context", "root", "--address", "localhost:1", "whoami")
	r.run("--context", "root", "keys", "revoke", ci, ci+"x")
	r.run("--context", "shop", "whoami")
	r.run("--context", "root", "keys", "create", "x")
	r.run("--context", "root", "keys", "create", "x", "--grant", "king:*", "--lifetime", "soon")
	r.run("--context", "root", "keys", "create", "x", "--grant", "viewer:*", "--lifetime", "24h")
	r.run("--context", "root", "audit", "list", "--filter", `action = "apiKeys.revoke"`)
	r.run("--context", "root", "keys", "get", "missing")
	r.pipe("phx_nonsense", "login", "bad")
	r.pipe("", "login", "bad")
	r.pipe("two words", "login", "bad")
	r.run("context", "delete", "shop")
	r.run("context", "delete", "shop")
	text := r.text.String()
	for _, secret := range []string{key, admin} {
		assert.NotContains(t, text, secret, "a secret is shown once")
	}
	r.golden("access.txt")
	info, err := os.Stat(config)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, os.Chmod(config, 0o644))
	r.text.Reset()
	r.run("--context", "root", "whoami")
	assert.Contains(t, r.text.String(), "holds credentials and others can read it: chmod 600 "+config)
}

// The credential of a context goes to its own address only.
func TestACredentialStaysWithItsAddress(t *testing.T) {
	r := newRig(t)
	t.Setenv("PHOENIX_CONFIG", filepath.Join(t.TempDir(), "config.yaml"))
	key := strings.TrimSpace(r.run("keys", "create", "ci", "--grant", "viewer:*"))
	r.pipe(key, "login", "here")
	r.text.Reset()
	who := func(args ...string) string {
		t.Helper()
		r.text.Reset()
		return r.run(append([]string{"--context", ""}, args...)...)
	}
	assert.Contains(t, who("whoami"), "ci", "the current context")
	assert.Contains(t, who("whoami", "--address", r.server.URL), "ci", "its address, named")
	elsewhere := strings.Replace(r.server.URL, "127.0.0.1", "localhost", 1)
	assert.Contains(t, who("whoami", "--address", elsewhere), "local")
	t.Setenv(addressVariable, elsewhere)
	assert.Contains(t, who("whoami"), "local")
	t.Setenv(keyVariable, key)
	assert.Contains(t, who("whoami"), "ci")
	t.Setenv(addressVariable, "")
	t.Setenv(keyVariable, "phx_nonsense")
	assert.Empty(t, who("whoami"))
	assert.Contains(t, r.text.String(), "[exit 4]")
	assert.Contains(t, r.run("--context", "here", "whoami"), "ci", "a context that is named goes before the environment")
	file := write(t, "token", key+"\n")
	assert.Contains(t, who("whoami", "--token-file", file), "ci")
	r.text.Reset()
	assert.Contains(t, r.pipe(key, "--context", "", "whoami", "--token-file", "-"), "ci")
	assert.Empty(t, who("whoami", "--token-file", file+"x"))
	assert.Empty(t, who("whoami", "--request-timeout", "-1s"))
	assert.Contains(t, r.text.String(), "[exit 2]")
}

// Whoever has roles in one namespace only is led there.
func TestTheUserOfANamespace(t *testing.T) {
	r := newRigOf(t, "k8s.namespace.name")
	t.Setenv("PHOENIX_CONFIG", filepath.Join(r.dir, "config.yaml"))
	key := func(grants ...string) string {
		t.Helper()
		args := []string{"keys", "create", "k"}
		for _, g := range grants {
			args = append(args, "--grant", g)
		}
		return quietly(r, args...)
	}
	shop, two, all := key("editor:shop", "viewer:shop"), key("editor:shop", "viewer:web"), key("viewer:*")
	const said = "Its namespace is shop, the only one of the key or token."
	namespace := func(credential string, args ...string) string {
		t.Helper()
		r.text.Reset()
		r.pipe(credential, append([]string{"login"}, args...)...)
		_, file, err := loadContexts()
		require.NoError(t, err)
		return file.Contexts[file.Current].Namespace
	}
	assert.Equal(t, "shop", namespace(shop, "one"))
	assert.Contains(t, r.text.String(), said)
	for _, many := range []string{two, all} {
		assert.Empty(t, namespace(many, "many"))
		assert.NotContains(t, r.text.String(), "Its namespace")
	}
	assert.Equal(t, "web", namespace(shop, "one", "-n", "web"))
	assert.NotContains(t, r.text.String(), "Its namespace", "what is given goes before")
	assert.Equal(t, "shop", namespace(shop, "one"), "a namespace that the key does not have is of no use")

	// A list of another namespace, which is not found
	for _, command := range [][]string{{"policies", "list"}, {"savings"}} {
		r.text.Reset()
		r.run(append([]string{"--context", "one"}, command...)...)
		assert.Contains(t, r.text.String(), "! No polic")
		r.text.Reset()
		r.run(slices.Concat([]string{"--context", "one"}, command, []string{"-n", "default"})...)
		assert.Contains(t, r.text.String(), "[exit 3]")
		assert.Contains(t, r.text.String(), "! You have no role in the namespace default: give -n NAMESPACE, or -A for all that you see; phoenixctl whoami shows yours.")
		r.text.Reset()
		r.run(slices.Concat([]string{"--context", "one"}, command, []string{"-A"})...)
		assert.NotContains(t, r.text.String(), "[exit")
	}

	// The measuring point is not grouped by the namespace
	assert.Contains(t, r.run("--context", "one", "top"), "Who does not see all namespaces sees only points whose group_by is the namespace_attribute")
	assert.NotContains(t, r.run("--context", "many", "top"), "Nothing is measured yet")
}

func TestEventsAreFollowed(t *testing.T) {
	r := newRig(t)
	out := &announced{written: make(chan struct{})}
	code := make(chan int)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	go func() {
		_, c := execute(ctx, out, "--address", r.server.URL, "events", "-f", "--type", "policy.*", "-o", "json")
		code <- c
	}()
	r.pipe(callsPolicy, "policies", "apply", "-f", "-")
	<-out.written
	r.run("policies", "delete", "calls")
	<-out.written
	interrupt()
	assert.Equal(t, exitOK, <-code)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2, out.String())
	assert.Contains(t, lines[0], `"type":"policy.created"`)
	assert.Contains(t, lines[1], `"type":"policy.deleted"`)

	r.text.Reset()
	assert.Contains(t, r.run("events", "--after", idOf(lines[0]), "-o", "yaml", "--type", "policy.*"), "type: policy.deleted")
	assert.NotContains(t, r.text.String(), "policy.created")
}

func idOf(event string) string {
	_, rest, _ := strings.Cut(event, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// quietly runs a command and forgets what it printed.
func quietly(r *rig, args ...string) string {
	before := r.text.String()
	out := r.run(args...)
	r.text.Reset()
	r.text.WriteString(before)
	return out
}

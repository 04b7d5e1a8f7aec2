package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// completed is what the shell gets to offer.
func completed(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	_, code := execute(t.Context(), &out, append([]string{"__complete"}, args...)...)
	assert.Equal(t, exitOK, code)
	offered, _, _ := strings.Cut(out.String(), ":")
	return offered
}

func TestCompletionOfWhatIsThere(t *testing.T) {
	r := newRig(t)
	t.Setenv("PHOENIX_CONFIG", filepath.Join(t.TempDir(), "config.yaml"))
	t.Setenv(addressVariable, r.server.URL)
	r.pipe(callsPolicy, "policies", "apply", "-f", "-")
	r.pipe(strings.Replace(callsPolicy, "name: calls", "name: other", 1), "policies", "apply", "-f", "-")
	r.pipe(callsPolicy, "policies", "apply", "-f", "-", "-n", "shop")
	secret := strings.TrimSpace(r.run("keys", "create", "ci", "--grant", "viewer:*"))
	id := strings.TrimSpace(r.run("keys", "list", "-o", "name"))
	f := func(want string, args ...string) {
		t.Helper()
		assert.Equal(t, want, completed(t, args...), args)
	}
	f("calls\nother\n", "policies", "get", "")
	f("other\n", "policies", "enforce", "calls", "ot")
	f("shop/calls\n", "policies", "preview", "shop/")
	f("calls\n", "policies", "history", "-n", "shop", "c")
	f("", "policies", "rollback", "calls", "")
	f("calls\n", "savings", "ca")
	f("db.client.calls\n", "top", "db")
	f("alibaba-cloud-prometheus-by-volume\ncustom\n", "costs", "models", "use", "")
	f("alibaba-cloud-prometheus-by-volume\ncustom\n", "costs", "--price-model", "")
	f(id+"\tci\n", "keys", "revoke", "")
	f("table\nwide\njson\nyaml\nname\n", "policies", "list", "-o", "")
	f("yaml\nyml\njson\n", "policies", "apply", "-f", "")
	assert.Contains(t, completed(t, "costs", "history", ""), "policy_saving_month\n")
	r.pipe(secret, "login", "there")
	f("there\n", "context", "use", "")
	f("there\n", "whoami", "--context", "")
	f("there\n", "login", "")

	// Nobody answers: nothing is offered, and nothing is said in the way of the shell
	t.Setenv(addressVariable, "http://127.0.0.1:1")
	f("", "policies", "get", "")
	f("", "top", "")
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var out bytes.Buffer
		_, code := execute(t.Context(), &out, "completion", shell)
		assert.Equal(t, exitOK, code)
		assert.Contains(t, out.String(), "phoenixctl", shell)
	}
}

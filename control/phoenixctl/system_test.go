package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
)

func TestSystem(t *testing.T) {
	r := newRig(t)
	r.consolidate()
	r.run("system")
	r.run("whoami")
	r.run("whoami", "-o", "json")
	r.run("kill", "status")
	r.run("kill", "engage")
	r.run("kill", "engage", "--reason", "sums look wrong")
	r.run("kill", "status", "-o", "yaml")
	r.run("system")
	r.run("kill", "release", "--reason", "they were right")
	r.run("audit", "list", "--filter", `action = "killSwitch.engage"`, "-o", "wide")
	r.run("audit", "list", "--from", "2026-03-15", "--limit", "1")
	r.run("audit", "list", "--from", "soon")
	r.run("audit", "verify", "-o", "json")
	r.run("events", "--type", "killswitch.engaged")
	r.run("kill", "engaged")
	r.golden("system.txt")
}

// A release does not go past the file, and says so.
func TestKillReleaseWhileTheFileHoldsIt(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(r.dir, "kill-switch")
	require.NoError(t, os.WriteFile(file, []byte("incident 4711\n"), 0o600))
	source := func() string { return r.run("kill", "status") }
	require.Eventually(t, func() bool { return strings.Contains(source(), "ENGAGED by file") }, 10*time.Second, 10*time.Millisecond)
	r.run("kill", "engage", "--reason", "both")
	r.text.Reset()
	r.run("kill", "release", "--reason", "over")
	assert.Contains(t, r.text.String(), "kill switch: ENGAGED by file")
	assert.Contains(t, r.text.String(), "! Error: the kill switch is still engaged by its file\n! Remove the file on the host of the collector: kill_switch_file of phoenix_control")
	assert.Contains(t, r.text.String(), "[exit 5]")

	require.NoError(t, os.Remove(file))
	require.Eventually(t, func() bool { return strings.Contains(source(), "released") }, 10*time.Second, 10*time.Millisecond)
	r.text.Reset()
	r.run("kill", "release", "--reason", "over")
	assert.NotContains(t, r.text.String(), "[exit")
}

func TestBackupAndRestore(t *testing.T) {
	r := newRig(t)
	r.pipe(callsPolicy, "policies", "apply", "-f", "-", "--preview", "--wait=false")
	work := t.TempDir()
	t.Chdir(work)
	r.text.Reset()
	r.run("backup", "phoenix.backup")
	piped := r.run("backup", "-")
	r.text.Reset()
	r.run("backup", filepath.Join("missing", "phoenix.backup"))
	r.run("backup")
	r.run("restore", "phoenix.backup")
	r.run("restore", "phoenix.backup", "--directory", "a", "--dsn", "b")
	r.run("restore", "missing.backup", "--directory", "new")
	r.run("restore", "phoenix.backup", "--directory", "new")
	r.run("restore", "phoenix.backup", "--directory", "new")
	r.pipe(piped, "restore", "-", "--directory", "piped")
	r.pipe(piped[:len(piped)/2], "restore", "-", "--directory", "cut")
	r.pipe("no backup", "restore", "-", "--directory", "none")
	r.golden("restore.txt")

	info, err := os.Stat("phoenix.backup")
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := filepath.Glob(".phoenix-backup-*")
	require.NoError(t, err)
	assert.Empty(t, entries, "no temporary file must stay")

	// What was restored is what was there
	server, _ := controltest.ServePlane(t, control.Settings{Directory: filepath.Join(work, "new"), Now: r.clock.Now})
	var out bytes.Buffer
	_, code := execute(t.Context(), &out, "--address", server.URL, "policies", "list")
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out.String(), "calls   preview")
}

func TestRestoreIntoPostgres(t *testing.T) {
	r := newRig(t)
	r.pipe(callsPolicy, "policies", "apply", "-f", "-")
	file := filepath.Join(t.TempDir(), "backup")
	r.run("backup", file)
	dsn := postgrestest.Shared(t).NewDatabase(t)
	t.Setenv(dsnVariable, dsn)
	r.text.Reset()
	assert.Contains(t, r.run("restore", file), "restored into the PostgreSQL database (postgres")
	assert.Empty(t, r.run("restore", file), "never into a store that holds something")
	assert.NotContains(t, r.text.String(), dsn)
	server, _ := controltest.ServePlane(t, control.Settings{Postgres: dsn})
	var out bytes.Buffer
	_, code := execute(t.Context(), &out, "--address", server.URL, "audit", "verify")
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out.String(), "are as they were written.")
}

// An edit of the audit log behind the plane's back is found.
func TestAuditVerifyFindsAnEdit(t *testing.T) {
	r := newRig(t)
	r.pipe(callsPolicy, "policies", "apply", "-f", "-")
	require.NoError(t, r.plane.Shutdown(t.Context()))
	before, after := []byte("policies/default/calls"), []byte("policies/default/other")
	edits := 0
	for _, suffix := range []string{"", "-wal"} {
		file := filepath.Join(r.dir, databaseFile+suffix)
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		edits += bytes.Count(text, before)
		require.NoError(t, os.WriteFile(file, bytes.ReplaceAll(text, before, after), 0o600))
	}
	require.Positive(t, edits)
	server, _ := controltest.ServePlane(t, control.Settings{Directory: r.dir, Now: r.clock.Now})
	stderr, code := execute(t.Context(), io.Discard, "--address", server.URL, "audit", "verify")
	assert.Equal(t, exitError, code)
	assert.Contains(t, stderr, "Error: the audit log was edited: record 1: ")
}

func TestTheStoreIsGone(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.plane.Shutdown(t.Context()))
	stderr, code := execute(t.Context(), io.Discard, "--address", r.server.URL, "policies", "list")
	assert.Equal(t, exitUnavailable, code)
	assert.Contains(t, stderr, "shutting down")
}

package control_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
)

// outage takes a store away and brings it back.
type outage struct {
	settings   control.Settings
	take, back func(t *testing.T)
}

func TestWithoutItsStore(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		directory := t.TempDir()
		database, away := filepath.Join(directory, "phoenix.db"), filepath.Join(directory, "away.db")
		testOutage(t, outage{
			settings: control.Settings{Directory: directory},
			take:     func(t *testing.T) { t.Helper(); require.NoError(t, os.Rename(database, away)) },
			back:     func(t *testing.T) { t.Helper(); require.NoError(t, os.Rename(away, database)) },
		})
	})
	t.Run("postgres", func(t *testing.T) {
		server := postgrestest.Start(t)
		testOutage(t, outage{
			settings: control.Settings{Postgres: server.NewDatabase(t)},
			take:     func(t *testing.T) { t.Helper(); require.NoError(t, server.Crash()) },
			back:     func(t *testing.T) { t.Helper(); require.NoError(t, server.Restart()) },
		})
	})
}

// testOutage: without the store the API says so, the data path keeps its
// policies, and what needs no store is still answered; then all goes on.
func testOutage(t *testing.T, o outage) {
	t.Helper()
	kill := filepath.Join(t.TempDir(), "stop")
	o.settings.KillSwitchFile = kill
	o.settings.Access = unlimited()
	plane := controltest.Open(t, o.settings)
	controltest.Register(t, plane, controltest.Ingest())
	ask := func(method, path, body string, header ...string) answer {
		t.Helper()
		return send(t, plane.Handler(), method, path, body, header...)
	}
	require.Equal(t, http.StatusCreated, ask(http.MethodPost, "/api/v1/policies?preview=true", dropPod).status)
	key, _ := ask(http.MethodPost, "/api/v1/apiKeys", `{"name":"x","grants":["admin:*"]}`).field(t, "secret").(string)
	before := plane.Policy()
	require.Len(t, before.Rules, 1)

	o.take(t)
	for _, request := range []struct{ method, path, body string }{
		{http.MethodGet, "/api/v1/policies", ""},
		{http.MethodGet, "/api/v1/policies/shop/drop-pod", ""},
		{http.MethodPost, "/api/v1/policies/shop/drop-pod:enforce", `{"force":true}`},
		{http.MethodPost, "/api/v1/policies", `{"namespace":"shop","name":"other","spec":{"rules":[{"match":{"metric":"x"},"attributes":{"drop":["y"]}}]}}`},
		{http.MethodPost, "/api/v1/killSwitch:engage", `{"reason":"a test"}`},
		{http.MethodGet, "/api/v1/audit", ""},
		{http.MethodGet, "/api/v1/apiKeys", ""},
		{http.MethodGet, "/api/v1/backup", ""},
	} {
		a := ask(request.method, request.path, request.body)
		assert.Equal(t, http.StatusServiceUnavailable, a.status, "%s %s: %s", request.method, request.path, a.body)
		assert.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	}
	assert.Same(t, before, plane.Policy(), "the data path keeps what it has")
	assert.Equal(t, http.StatusOK, ask(http.MethodGet, "/healthz", "").status)
	assert.Equal(t, http.StatusOK, ask(http.MethodGet, "/api/v1/cardinality", "").status)
	system := ask(http.MethodGet, "/api/v1/system", "")
	assert.Equal(t, http.StatusOK, system.status)
	assert.Contains(t, system.body, `"available":false`)
	assert.Equal(t, http.StatusUnauthorized, ask(http.MethodGet, "/api/v1/system", "", "Authorization", "Bearer "+key+"x").status)
	_, err := plane.RegisterConsolidation(report.ConsolidationRegistration{Component: "late", Role: "common", Source: &applying{}})
	require.NoError(t, err, "components start")

	// The file still turns everything off.
	require.NoError(t, os.WriteFile(kill, nil, 0o600))
	require.Eventually(t, func() bool { return len(plane.Policy().Rules) == 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, os.Remove(kill))
	require.Eventually(t, func() bool { return len(plane.Policy().Rules) == 1 }, 10*time.Second, time.Millisecond)

	o.back(t)
	require.Eventually(t, func() bool {
		return ask(http.MethodGet, "/api/v1/policies", "").status == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, http.StatusOK, ask(http.MethodPost, "/api/v1/policies/shop/drop-pod:disable", "{}").status)
	assert.Empty(t, plane.Policy().Rules)
	assert.Equal(t, http.StatusOK, ask(http.MethodGet, "/api/v1/system", "", "Authorization", "Bearer "+key).status)
	assert.Contains(t, ask(http.MethodGet, "/api/v1/audit:verify", "").body, `"intact":true`)
}

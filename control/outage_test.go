package control_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	settings control.Settings
	// hangs says that it does not answer and does not refuse.
	hangs      bool
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
	server := postgrestest.Start(t)
	t.Run("a postgres that hangs", func(t *testing.T) {
		network := newNetwork(t, server.NewDatabase(t))
		testOutage(t, outage{
			settings: control.Settings{Postgres: network.dsn, RequestTimeout: time.Second},
			hangs:    true,
			take:     func(t *testing.T) { t.Helper(); network.flow.Lock() },
			back:     func(t *testing.T) { t.Helper(); network.flow.Unlock() },
		})
	})
	t.Run("postgres", func(t *testing.T) {
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
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/api/v1/system", "", "Authorization", "Bearer "+key).status)
	before := plane.Policy()
	require.Len(t, before.Rules, 1)

	o.take(t)
	for i, request := range []struct{ method, path, body string }{
		{http.MethodGet, "/api/v1/policies", ""},
		{http.MethodGet, "/api/v1/policies/shop/drop-pod", ""},
		{http.MethodPost, "/api/v1/policies/shop/drop-pod:enforce", `{"force":true}`},
		{http.MethodPost, "/api/v1/policies", `{"namespace":"shop","name":"other","spec":{"rules":[{"match":{"metric":"x"},"attributes":{"drop":["y"]}}]}}`},
		{http.MethodGet, "/api/v1/audit", ""},
		{http.MethodGet, "/api/v1/apiKeys", ""},
		{http.MethodGet, "/api/v1/backup", ""},
	} {
		if o.hangs && i > 1 {
			break // each takes as long as a request may
		}
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
	if !o.hangs { // it waits for the audit log
		assert.Equal(t, http.StatusUnauthorized, ask(http.MethodGet, "/api/v1/system", "", "Authorization", "Bearer "+key+"x").status)
	}
	_, err := plane.RegisterConsolidation(report.ConsolidationRegistration{Component: "late", Role: "common", Source: &applying{}})
	require.NoError(t, err, "components start")

	// The file still turns everything off.
	require.NoError(t, os.WriteFile(kill, nil, 0o600))
	require.Eventually(t, func() bool { return len(plane.Policy().Rules) == 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, os.Remove(kill))
	require.Eventually(t, func() bool { return len(plane.Policy().Rules) == 1 }, 10*time.Second, time.Millisecond)

	testKill(t, plane, key, o)
	require.Eventually(t, func() bool {
		return ask(http.MethodGet, "/api/v1/policies", "").status == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool { return len(plane.Policy().Rules) == 1 }, 10*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, ask(http.MethodPost, "/api/v1/policies/shop/drop-pod:disable", "{}").status)
	assert.Empty(t, plane.Policy().Rules)
	assert.Equal(t, http.StatusOK, ask(http.MethodGet, "/api/v1/system", "", "Authorization", "Bearer "+key).status)
	assert.Contains(t, ask(http.MethodGet, "/api/v1/audit:verify", "").body, `"intact":true`)
}

// testKill: the kill switch works through the API all the same. The store and
// the audit log get it when they are there again.
func testKill(t *testing.T, plane *control.Plane, key string, o outage) {
	t.Helper()
	turn := func(what, reason string) answer {
		t.Helper()
		return send(t, plane.Handler(), http.MethodPost, "/api/v1/killSwitch:"+what, `{"reason":"`+reason+`"}`, "Authorization", "Bearer "+key)
	}
	answered := make(chan answer, 1)
	began := time.Now()
	go func() { answered <- turn("engage", "the bill is wrong") }()
	require.Eventually(t, func() bool { return len(plane.Policy().Rules) == 0 }, time.Second, time.Millisecond)
	off := time.Since(began)
	assert.True(t, plane.Policy().Urgent)
	engaged := <-answered
	t.Logf("all policies off after %s, answered after %s", off, time.Since(began))
	require.Equal(t, http.StatusOK, engaged.status, engaged.body)
	assert.Equal(t, true, engaged.field(t, "engaged"))
	assert.Contains(t, engaged.body, "the store has not taken it yet")
	released := turn("release", "a mistake")
	require.Equal(t, http.StatusOK, released.status, released.body)
	assert.Equal(t, false, released.field(t, "engaged"))
	assert.Len(t, plane.Policy().Rules, 1)
	require.Equal(t, http.StatusOK, turn("engage", "it is wrong").status)

	o.back(t)
	log := func() string {
		return send(t, plane.Handler(), http.MethodGet, "/api/v1/audit?filter="+url.QueryEscape(`resource = "killSwitch"`), "").body
	}
	require.Eventually(t, func() bool { return strings.Contains(log(), "it is wrong") }, 20*time.Second, 20*time.Millisecond)
	for _, reason := range []string{"the bill is wrong", "a mistake", "it is wrong"} {
		assert.Equal(t, 1, strings.Count(log(), reason), reason)
	}
	assert.Contains(t, log(), `"principal":"api_key:`)
	assert.Empty(t, plane.Policy().Rules)
	require.Eventually(t, func() bool {
		return !strings.Contains(send(t, plane.Handler(), http.MethodGet, "/api/v1/killSwitch", "").body, "not taken it yet")
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, turn("release", "it is right").status)
}

// network is between a plane and its database. While flow is locked nothing gets
// through, and nobody is told.
type network struct {
	dsn  string
	flow sync.RWMutex
}

func newNetwork(t *testing.T, dsn string) *network {
	t.Helper()
	directory, err := os.MkdirTemp("", "pg") //nolint:usetesting // its path may be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(directory)) })
	const socket = ".s.PGSQL.5432"
	host, rest, found := strings.Cut(strings.TrimPrefix(dsn, "host="), " ")
	require.True(t, found, dsn)
	n := &network{dsn: "host=" + directory + " " + rest}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(directory, socket))
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := (&net.Dialer{}).DialContext(context.Background(), "unix", filepath.Join(host, socket))
			if err != nil {
				_ = near.Close()
				continue
			}
			running.Go(func() { n.carry(near, far) })
			running.Go(func() { n.carry(far, near) })
		}
	})
	t.Cleanup(func() { require.NoError(t, listener.Close()); running.Wait() })
	return n
}

// carry carries bytes one way until an end is closed.
func (n *network) carry(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		size, err := from.Read(buffer)
		if err != nil {
			return
		}
		n.flow.RLock()
		_, err = to.Write(buffer[:size])
		n.flow.RUnlock()
		if err != nil {
			return
		}
	}
}

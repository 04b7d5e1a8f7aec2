package client

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newTestClient asks a server that misbehaves as the real one cannot be made to.
// What the real one answers is tested where there is one: in phoenixctl.
func newTestClient(t *testing.T, o Options, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o.Address = server.URL
	return newClient(t, o)
}

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	c.conn.pause = time.Millisecond
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func answer(w http.ResponseWriter, status int, kind, body string) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func problem(w http.ResponseWriter, status int, reason string) {
	answer(w, status, mediaProblem, `{"type": "urn:phoenix:problem:`+reason+`", "title": "T", "detail": "D", "request_id": "r1",
		"errors": [{"field": "f", "detail": "must be"}], "suggestions": ["s"], "new": 1}`)
}

func TestRetries(t *testing.T) {
	get := func(ctx context.Context, c *Client) error {
		_, err := c.GetKillSwitch(ctx, &phoenixv1.GetKillSwitchRequest{})
		return err
	}
	create := func(ctx context.Context, c *Client) error {
		_, err := c.CreatePolicy(ctx, &phoenixv1.CreatePolicyRequest{Policy: &phoenixv1.Policy{Name: "n"}})
		return err
	}
	put := func(ctx context.Context, c *Client) error {
		_, err := c.PutPriceModel(ctx, &phoenixv1.PutPriceModelRequest{PriceModel: &phoenixv1.PriceModel{Name: "n"}})
		return err
	}
	guarded := func(ctx context.Context, c *Client) error {
		_, err := c.UpdatePolicy(ctx, &phoenixv1.UpdatePolicyRequest{Policy: &phoenixv1.Policy{Namespace: "a", Name: "n"}}, IfMatch(`"3"`))
		return err
	}
	rollback := func(ctx context.Context, c *Client) error {
		_, err := c.RollbackPolicy(ctx, &phoenixv1.RollbackPolicyRequest{Namespace: "a", Name: "n", Revision: 1})
		return err
	}
	f := func(name string, ask func(context.Context, *Client) error, statuses []int, retryAfter string, wantRequests, wantStatus int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			keys := make(chan string, 10)
			c := newTestClient(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				n := int(requests.Add(1)) - 1
				keys <- r.Header.Get("Idempotency-Key")
				if status := statuses[min(n, len(statuses)-1)]; status != http.StatusOK {
					if retryAfter != "" {
						w.Header().Set("Retry-After", retryAfter)
					}
					problem(w, status, "x")
					return
				}
				answer(w, http.StatusOK, "application/json; charset=utf-8", `{"not_known_here": 1}`)
			})
			err := ask(t.Context(), c)
			if wantStatus == http.StatusOK {
				require.NoError(t, err)
			} else {
				var p *Problem
				require.ErrorAs(t, err, &p)
				assert.Equal(t, wantStatus, p.Status)
			}
			assert.Equal(t, wantRequests, int(requests.Load()))
			close(keys)
			first := <-keys
			for key := range keys {
				assert.Equal(t, first, key, "every attempt must have the key of the first")
			}
			assert.Equal(t, strings.HasPrefix(name, "create"), first != "")
		})
	}
	const ok, busy, away = http.StatusOK, http.StatusTooManyRequests, http.StatusServiceUnavailable
	f("get", get, []int{away, busy, away, ok}, "", 4, ok)
	f("get that stays away", get, []int{away}, "", maxAttempts, away)
	f("get told to come back in hours", get, []int{busy, ok}, "7200", 1, busy)
	f("get told when", get, []int{away, ok}, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 2, ok)
	f("get refused", get, []int{http.StatusForbidden, ok}, "", 1, http.StatusForbidden)
	f("create", create, []int{away, busy, ok}, "", 3, ok)
	f("put", put, []int{away, ok}, "", 2, ok)
	// The first attempt may have been a success, which the second would contradict.
	f("put with a condition", guarded, []int{away, ok}, "", 1, away)
	f("rollback", rollback, []int{away, ok}, "", 1, away)
	f("rollback while busy", rollback, []int{busy, ok}, "", 2, ok) // nothing was done
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	var requests atomic.Int32
	begun := time.Now()
	c := newTestClient(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			problem(w, http.StatusServiceUnavailable, "unavailable")
			return
		}
		answer(w, http.StatusOK, mediaJSON, `{}`)
	})
	_, err := c.GetSystem(t.Context(), &phoenixv1.GetSystemRequest{})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(begun), time.Second)

	// But not beyond the time that the call has.
	requests.Store(0)
	c.conn.timeout = 500 * time.Millisecond
	_, err = c.GetSystem(t.Context(), &phoenixv1.GetSystemRequest{})
	var p *Problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, time.Second, p.RetryAfter)
}

func TestProblem(t *testing.T) {
	c := newTestClient(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { problem(w, http.StatusConflict, "not-previewed") })
	_, err := c.EnforcePolicy(t.Context(), &phoenixv1.EnforcePolicyRequest{Namespace: "a", Name: "b"})
	var p *Problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, &Problem{
		Type: "urn:phoenix:problem:not-previewed", Title: "T", Status: http.StatusConflict, Detail: "D", RequestID: "r1",
		Errors: []FieldError{{"f", "must be"}}, Suggestions: []string{"s"},
	}, p)
	assert.Equal(t, "not-previewed", p.Reason())
	assert.Equal(t, "D; f: must be", p.Error())
	assert.Equal(t, "418 I am", (&Problem{Status: http.StatusTeapot, Title: "I am"}).Error())
}

func TestAnswersThatAreNone(t *testing.T) {
	f := func(want string, handler http.HandlerFunc) {
		t.Helper()
		c := newTestClient(t, Options{}, handler)
		_, err := c.ListPolicies(t.Context(), &phoenixv1.ListPoliciesRequest{})
		require.ErrorContains(t, err, want)
		assert.Contains(t, err.Error(), c.Address())
	}
	f("decode the answer", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, mediaJSON, `{"policies": [{]}`) })
	f("decode the answer", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, mediaJSON, `{"policies": 3}`) })
	f("decode the problem", func(w http.ResponseWriter, _ *http.Request) { answer(w, 400, mediaProblem, `{`) })
	f("is not the Phoenix API", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "text/html", `<html>`) })
	f("is not the Phoenix API", func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, "text/plain", `404`) })
	f("is not the Phoenix API", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://other.example/", http.StatusFound)
	})
	f("was cut off", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		answer(w, 200, mediaJSON, `{"policies": [`)
	})
	f("EOF", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			_ = conn.Close()
		}
	})
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c := newClient(t, Options{Address: server.URL})
	_, err := c.GetSystem(t.Context(), &phoenixv1.GetSystemRequest{})
	var unreachable *UnreachableError
	require.ErrorAs(t, err, &unreachable)
	assert.Equal(t, server.URL, unreachable.Address)
	var refused *net.OpError
	require.ErrorAs(t, err, &refused)
	require.ErrorAs(t, c.Ready(t.Context()), &unreachable)
	require.ErrorAs(t, c.Backup(t.Context(), io.Discard), &unreachable)
}

func TestTheCallersContextEndsACall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newTestClient(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := c.GetSystem(ctx, &phoenixv1.GetSystemRequest{})
	require.ErrorIs(t, err, context.Canceled)

	slow := newTestClient(t, Options{Timeout: 10 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err = slow.GetSystem(t.Context(), &phoenixv1.GetSystemRequest{})
	var unreachable *UnreachableError
	require.ErrorAs(t, err, &unreachable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestBackupThatIsCutIsNoBackup(t *testing.T) {
	c := newTestClient(t, Options{Timeout: time.Nanosecond}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		answer(w, 200, "application/octet-stream", "begun")
	})
	var out bytes.Buffer
	require.ErrorIs(t, c.Backup(t.Context(), &out), io.ErrUnexpectedEOF) // not the timeout, which is for calls
	assert.Equal(t, "begun", out.String())

	refused := newTestClient(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { problem(w, 403, "forbidden") })
	var p *Problem
	require.ErrorAs(t, refused.Backup(t.Context(), io.Discard), &p)
}

func TestStreamsHaveTheirOwnMethods(t *testing.T) {
	c := newClient(t, Options{Address: "localhost:1"})
	_, err := phoenixv1.NewEventsClient(c.conn).WatchEvents(t.Context(), &phoenixv1.WatchEventsRequest{})
	require.ErrorIs(t, err, errStream)
}

func TestUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer(w, 200, mediaJSON, `{"principal": "`+r.Host+r.Header.Get("Authorization")+`"}`)
		}),
	}}
	server.Start()
	defer server.Close()
	c := newClient(t, Options{Address: "unix://" + socket, Credential: "k"})
	who, err := c.WhoAmI(t.Context(), &phoenixv1.WhoAmIRequest{})
	require.NoError(t, err)
	assert.Equal(t, "localhostBearer k", who.GetPrincipal())
	assert.Equal(t, "unix://"+socket, c.Address())
}

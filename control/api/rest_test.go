package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/fault"
)

func TestGetOverBothVersionsOfHTTP(t *testing.T) {
	w := newWorld(t).start()
	for _, version := range []int{1, 2} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			got := w.sendBy(w.client(version), http.MethodGet, "/api/v1/policies/shop/drop-pod", "")
			require.Equal(t, http.StatusOK, got.StatusCode, got.body)
			assert.Equal(t, version, got.ProtoMajor)
			assert.Equal(t, `"7"`, got.Header.Get("ETag"))
			assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
			assert.True(t, strings.HasPrefix(got.body, `{"namespace":"shop","name":"drop-pod","spec":{"description":"","priority":0,"rules":[{"name":"rule-1","match":{"metric":"http_*"`), got.body)
			assert.True(t, strings.HasSuffix(got.body, "}\n"))
		})
	}
	assert.Equal(t, request{"Policies/GetPolicy", api.DoorREST, http.StatusOK}, w.seen.last(t, 1))
}

func TestHeadersReachTheService(t *testing.T) {
	w := newWorld(t).start()
	got := w.send(http.MethodDelete, "/api/v1/policies/shop/a", "", "If-Match", `"7"`, "Idempotency-Key", "k-1", "Last-Event-ID", "4",
		"X-Request-Id", "mine-1")
	require.Equal(t, http.StatusOK, got.StatusCode, got.body)
	assert.Equal(t, "{}\n", got.body)
	assert.Equal(t, "mine-1", got.Header.Get("X-Request-Id"))
	call := w.policies.lastCall()
	assert.Equal(t, []string{`"7"`, "k-1", "4", "mine-1"}, []string{call.IfMatch, call.IdempotencyKey, call.LastEventID, call.RequestID})
	assert.Equal(t, "local", call.Principal.Name())
	assert.Equal(t, "127.0.0.1", call.From.String())
	assert.Regexp(t, `^127\.0\.0\.1:\d+$`, call.Origin)
}

func TestRequestIDsThatCannotGoEverywhereAreReplaced(t *testing.T) {
	w := newWorld(t).start()
	for _, id := range []string{"with space", strings.Repeat("x", 129), `"quoted"`, "phx_8Vn3kQ0xTb2L_" + strings.Repeat("a", 36)} {
		got := w.send(http.MethodGet, "/healthz", "", "X-Request-Id", id)
		assert.Regexp(t, `^[A-Z2-7]{26}$`, got.Header.Get("X-Request-Id"), id)
	}
}

func TestCreateAnswersWithTheLocation(t *testing.T) {
	w := newWorld(t).start()
	got := w.send(http.MethodPost, "/api/v1/policies?preview=true", `{"namespace":"shop","name":"b"}`)
	require.Equal(t, http.StatusCreated, got.StatusCode, got.body)
	assert.Equal(t, "/api/v1/policies/shop/b", got.Header.Get("Location"))
	assert.Equal(t, `"1"`, got.Header.Get("ETag"))
	assert.Contains(t, got.body, `"state":"preview"`)

	got = w.send(http.MethodPost, "/api/v1/policies?validate_only=true", `{"name":"b"}`)
	assert.Equal(t, http.StatusOK, got.StatusCode)
	assert.Empty(t, got.Header.Get("Location"))

	got = w.send(http.MethodPost, "/api/v1/apiKeys", `{"name":"ci","grants":["viewer:*"]}`)
	assert.Equal(t, http.StatusCreated, got.StatusCode)
	assert.Equal(t, "/api/v1/apiKeys/abc%2F..%2Fx", got.Header.Get("Location"))
}

func TestQueryAndPathBecomeTheRequest(t *testing.T) {
	w := newWorld(t).start()
	got := w.send(http.MethodGet, "/api/v1/policies?namespace=shop&page_size=7&filter="+`state+%3D+%22enforced%22`, "")
	require.Equal(t, http.StatusOK, got.StatusCode, got.body)
	assert.Equal(t, `state = "enforced"`, w.policies.list.GetFilter())
	assert.EqualValues(t, 7, w.policies.list.GetPageSize())

	got = w.send(http.MethodGet, "/api/v1/audit?from=2026-03-11T12:00:00Z", "")
	require.Equal(t, http.StatusOK, got.StatusCode, got.body)
	assert.Contains(t, got.body, `"seq":9007199254740991,"time":"2026-03-11T12:00:00Z"`)

	got = w.send(http.MethodPut, "/api/v1/policies/shop/b?force=true", `{"spec":{"rules":[{"match":{"metric":"x"},"attributes":{"keep":["a"]},"limit":{"max_series":5,"fold":["b"]}}]}}`)
	require.Equal(t, http.StatusOK, got.StatusCode, got.body)
	assert.Equal(t, "shop", w.policies.update.GetPolicy().GetNamespace())
	assert.True(t, w.policies.update.GetForce())
	assert.Contains(t, got.body, `"keep":["a"]`)
	assert.Contains(t, got.body, `"fold":["b"]`)
}

func TestNamesInPathsAreDecodedOnce(t *testing.T) {
	w := newWorld(t).start()
	for path, want := range map[string]string{
		"/api/v1/cardinality/http.server.duration": "http.server.duration",
		"/api/v1/cardinality/a/b":                  "a/b",
		"/api/v1/cardinality/a%2Fb":                "a/b",
		"/api/v1/cardinality/a%252Fb":              "a%2Fb",
		"/api/v1/cardinality/job:rate5m:sum":       "job:rate5m:sum",
		"/api/v1/cardinality/a%20b":                "a b",
		"/api/v1/cardinality/a+b":                  "a+b",
	} {
		got := w.send(http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, got.StatusCode, path)
		var m struct{ Metric string }
		require.NoError(t, json.Unmarshal([]byte(got.body), &m))
		assert.Equal(t, want, m.Metric, path)
	}
	got := w.send(http.MethodGet, "/api/v1/policies/shop/a%2Fb", "")
	assert.Contains(t, got.body, `"name":"a/b"`, "an escaped slash ends no segment")
}

func TestHeadIsGetWithoutTheBody(t *testing.T) {
	w := newWorld(t).start()
	get := w.send(http.MethodGet, "/api/v1/policies/shop/a", "")
	head := w.send(http.MethodHead, "/api/v1/policies/shop/a", "")
	assert.Equal(t, http.StatusOK, head.StatusCode)
	assert.Equal(t, get.ContentLength, head.ContentLength)
	assert.Equal(t, get.Header.Get("ETag"), head.Header.Get("ETag"))
	assert.Empty(t, head.body)
	assert.Equal(t, http.StatusOK, w.send(http.MethodHead, "/readyz", "").StatusCode)
}

func TestRoutes(t *testing.T) {
	w := newWorld(t).start()
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{http.MethodPost, "/healthz", 405, "GET, HEAD"},
		{http.MethodDelete, "/api/v1/openapi.json", 405, "GET, HEAD"},
		{http.MethodPatch, "/api/v1/policies", 405, "GET, POST, HEAD"},
		{http.MethodPost, "/api/v1/policies/shop/a", 405, "GET, PUT, DELETE, HEAD"},
		{http.MethodOptions, "/api/v1/system", 405, "GET, HEAD"},
		{http.MethodDelete, "/api/v1/killSwitch:engage", 405, "POST"},
		{http.MethodHead, "/api/v1/events", 405, "GET"},
		{http.MethodHead, "/api/v1/backup", 405, "GET"},
		{http.MethodGet, "/", 404, ""},
		{http.MethodGet, "/api/v1", 404, ""},
		{http.MethodGet, "/api/v1/nothing", 404, ""},
		{http.MethodGet, "/api/v1/policies/", 404, ""},
		{http.MethodGet, "/api/v1/policies//a", 404, ""},
		{http.MethodGet, "/api/v1/policies/../apiKeys", 404, ""},
		{http.MethodGet, "/api/v1/policies/%2e%2e/apiKeys", 404, ""},
		{http.MethodGet, "/api/v1/policies/..%2fx/apiKeys/a", 404, ""},
		{http.MethodGet, "/api/v1//policies", 404, ""},
		{http.MethodGet, "//api/v1/policies", 404, ""},
		{http.MethodGet, "/api/v1/cardinality/", 404, ""},
		{http.MethodGet, "/API/v1/policies", 404, ""},
		{http.MethodGet, "/phoenix.v1.Policies/GetPolicy", 404, ""},
	} {
		got := w.send(c.method, c.path, "")
		assert.Equal(t, c.status, got.StatusCode, "%s %s", c.method, c.path)
		assert.Equal(t, c.allow, got.Header.Get("Allow"), "%s %s", c.method, c.path)
		if c.method != http.MethodHead {
			got.problem(t)
		}
	}
}

func TestFaultsAreProblems(t *testing.T) {
	w := newWorld(t).start()
	w.policies.set(func(context.Context) error {
		return fmt.Errorf("wrapped: %w", &fault.Fault{
			Reason: fault.NotPreviewed, Detail: "preview it first", RetryAfter: 1500 * time.Millisecond, Suggestions: []string{"b"},
			Violations: []fault.Violation{{Field: "policy.name", Description: "bad"}}, Cause: errors.New("hunter2"),
		})
	})
	got := w.send(http.MethodPost, "/api/v1/policies/shop/a:enforce", `{"force":true}`, "X-Request-Id", "r-1")
	assert.Equal(t, http.StatusConflict, got.StatusCode)
	assert.Equal(t, "2", got.Header.Get("Retry-After"))
	assert.JSONEq(t, `{"type":"urn:phoenix:problem:not-previewed","title":"Conflict","status":409,"detail":"preview it first",
		"instance":"/api/v1/policies/shop/a:enforce","request_id":"r-1","errors":[{"field":"policy.name","detail":"bad"}],"suggestions":["b"]}`, got.body)
	assert.Equal(t, request{"Policies/EnforcePolicy", api.DoorREST, http.StatusConflict}, w.seen.last(t, 1))
	assert.Equal(t, []fault.Reason{fault.NotPreviewed}, w.seen.refused)
}

func TestDefectsAreLoggedAndNotTold(t *testing.T) {
	w := newWorld(t).start()
	w.policies.set(func(context.Context) error { return errors.New("password is hunter2") })
	got := w.send(http.MethodGet, "/api/v1/policies", "", "X-Request-Id", "r-2")
	assert.Equal(t, http.StatusInternalServerError, got.StatusCode)
	assert.NotContains(t, got.body, "hunter2")
	logged := w.logs.FilterMessage("Request could not be answered").All()
	require.Len(t, logged, 1)
	assert.Equal(t, "r-2", logged[0].ContextMap()["request_id"])
	assert.Equal(t, "password is hunter2", logged[0].ContextMap()["error"])
}

func TestAPanicIsAnsweredAndTheConnectionLives(t *testing.T) {
	w := newWorld(t).start()
	client := w.client(1)
	w.policies.set(func(context.Context) error { panic("boom") })
	got := w.sendBy(client, http.MethodGet, "/api/v1/policies", "")
	assert.Equal(t, http.StatusInternalServerError, got.StatusCode)
	assert.False(t, got.Close)
	logged := w.logs.FilterMessage("Request could not be answered").All()
	require.Len(t, logged, 1)
	assert.Contains(t, logged[0].ContextMap()["error"], "panic: boom")
	assert.Contains(t, logged[0].ContextMap()["error"], "services_test.go", "the stack")

	w.policies.set(nil)
	assert.Equal(t, http.StatusOK, w.sendBy(client, http.MethodGet, "/api/v1/policies", "").StatusCode)
}

func TestAnAnswerTakesNoLongerThanItMay(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Timeout = 50 * time.Millisecond }).start()
	w.policies.set(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	got := w.send(http.MethodGet, "/api/v1/policies", "")
	assert.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	assert.Equal(t, "urn:phoenix:problem:timeout", got.problem(t).Type)
}

func TestTheTimeToReadARequestIsNotThatToAnswerIt(t *testing.T) {
	w := newWorld(t).start(func(s *http.Server) { s.ReadTimeout = 50 * time.Millisecond })
	w.policies.set(func(ctx context.Context) error {
		select {
		case <-time.After(200 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	for _, version := range []int{1, 2} {
		got := w.sendBy(w.client(version), http.MethodGet, "/api/v1/policies", "")
		assert.Equal(t, http.StatusOK, got.StatusCode, got.body)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	var ready atomic.Bool
	w := newWorld(t, func(s *api.Settings) { s.Ready = ready.Load }).start()
	assert.JSONEq(t, `{"status":"ok"}`, w.send(http.MethodGet, "/healthz", "").body)
	assert.Equal(t, http.StatusServiceUnavailable, w.send(http.MethodGet, "/readyz", "").StatusCode)
	ready.Store(true)
	assert.JSONEq(t, `{"status":"ready"}`, w.send(http.MethodGet, "/readyz", "").body)
	assert.Equal(t, http.StatusBadRequest, w.send(http.MethodGet, "/readyz?verbose", "").StatusCode)
	assert.Equal(t, string(api.OpenAPI()), w.send(http.MethodGet, "/api/v1/openapi.json", "").body)
}

func TestShutdownRefusesNewRequestsAndCancelsRunningOnes(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Grace = 100 * time.Millisecond }).start()
	running := make(chan struct{})
	w.policies.set(func(ctx context.Context) error {
		close(running)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	done := make(chan answer, 1)
	go func() { done <- w.send(http.MethodGet, "/api/v1/policies", "") }()
	<-running
	require.NoError(t, w.server.Shutdown(t.Context()))
	got := <-done
	assert.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	assert.Contains(t, got.body, "shutting down")
	got = w.send(http.MethodGet, "/healthz", "")
	assert.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.NoError(t, w.server.Shutdown(t.Context()), "again")
}

func TestSettingsSayWhatIsMissing(t *testing.T) {
	_, err := api.New(api.Settings{})
	require.ErrorContains(t, err, "Settings.Policies is required")
	require.ErrorContains(t, err, "Settings.Exposure is required")
	_, err = api.New(newWorld(t).settings)
	require.NoError(t, err)
	bad := newWorld(t).settings
	bad.Origins = []string{"not an origin"}
	_, err = api.New(bad)
	require.ErrorContains(t, err, `origin "not an origin"`)
}

func TestEachRequestIsLogged(t *testing.T) {
	w := newWorld(t).start()
	w.send(http.MethodGet, "/api/v1/policies/phx_8Vn3kQ0xTb2L_"+strings.Repeat("a", 36)+"/a", "", "X-Request-Id", "r-3")
	w.seen.last(t, 1)
	require.Eventually(t, func() bool { return w.logs.FilterMessage("Request answered").Len() == 1 }, 5*time.Second, time.Millisecond)
	fields := w.logs.FilterMessage("Request answered").All()[0].ContextMap()
	assert.Equal(t, []any{"r-3", "Policies/GetPolicy", "rest", "local", int64(200)},
		[]any{fields["request_id"], fields["method"], fields["door"], fields["principal"], fields["status"]})
	assert.NotContains(t, fields["path"], "aaaa", "a key in a path is hidden")
}

func TestAClientThatWentAwayIsNoFailureOfOurs(t *testing.T) {
	w := newWorld(t).start()
	arrived := make(chan struct{}, 2)
	w.policies.set(func(ctx context.Context) error {
		arrived <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url("/api/v1/policies"), nil)
	require.NoError(t, err)
	_, err = w.client(1).Do(r) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, request{"Policies/ListPolicies", api.DoorREST, api.StatusClientGone}, w.seen.last(t, 1))

	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err = policiesClient(w).ListPolicies(ctx, nil)
	require.Error(t, err)
	assert.Equal(t, request{"Policies/ListPolicies", api.DoorGRPC, api.StatusClientGone}, w.seen.last(t, 2))
}

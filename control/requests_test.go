package control_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/apitest"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/controltest"
)

// TestRequestsFromTheDescription sends the whole plane what the OpenAPI
// description allows, and what it does not, as an administrator: 1,500 requests,
// 30,000 in the long form. No answer is 5xx, each status is one that the
// description has, and the audit log holds in the end.
func TestRequestsFromTheDescription(t *testing.T) {
	many := "1500"
	if os.Getenv("PHOENIX_LONG") != "" {
		many = "30000"
	}
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	require.NoError(t, checks.Value.Set(many))
	defer func() { require.NoError(t, checks.Value.Set(before)) }()

	requests, err := apitest.Requests(api.OpenAPI(), "WatchEvents", "WatchExperiment")
	require.NoError(t, err)
	documented := documentedStatuses(t)
	plane := controltest.Open(t, control.Settings{Access: unlimited()})
	plane.SetReady(true)
	controltest.Register(t, plane, controltest.Ingest(), controltest.Export())
	statuses := map[int]int{}
	rapid.Check(t, func(t *rapid.T) {
		r := requests.Draw(t, "request")
		answer := askAs(plane.Handler(), r)
		statuses[answer.Code]++
		known := documented[r.Operation]
		switch {
		case answer.Code >= http.StatusInternalServerError:
			t.Fatalf("%s %s %s: %d %s", r.Method, r.Path, r.Body, answer.Code, answer.Body)
		case answer.Code >= http.StatusBadRequest && (!known[problem] || !isProblem(answer)):
			t.Fatalf("%s %s: %d is no problem: %s", r.Method, r.Path, answer.Code, answer.Body)
		case answer.Code < http.StatusBadRequest && !known[answer.Code]:
			t.Fatalf("%s %s: %d is not among the answers of %s", r.Method, r.Path, answer.Code, r.Operation)
		}
	})
	t.Log(statuses)
	for _, status := range []int{http.StatusOK, http.StatusCreated, http.StatusBadRequest, http.StatusNotFound} {
		assert.Positive(t, statuses[status], "%d: %v", status, statuses)
	}
	verified := send(t, plane.Handler(), http.MethodGet, "/api/v1/audit:verify", "")
	assert.Contains(t, verified.body, `"intact":true`)
}

// problem stands for every status of a problem, which the description has as the
// default answer.
const problem = 0

// isProblem says whether an answer is a problem as the description has it.
func isProblem(answer *httptest.ResponseRecorder) bool {
	var p fault.Problem
	return answer.Header().Get("Content-Type") == fault.ProblemMedia && json.Unmarshal(answer.Body.Bytes(), &p) == nil &&
		p.Status == answer.Code && strings.HasPrefix(p.Type, "urn:phoenix:problem:") && p.Detail != "" && p.RequestID != ""
}

// documentedStatuses are the answers of each operation in the description.
func documentedStatuses(t *testing.T) map[string]map[int]bool {
	t.Helper()
	var d struct {
		Paths map[string]map[string]struct {
			ID        string                     `json:"operationId"`
			Responses map[string]json.RawMessage `json:"responses"`
		} `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(api.OpenAPI(), &d))
	found := map[string]map[int]bool{}
	for _, operations := range d.Paths {
		for _, o := range operations {
			found[o.ID] = map[int]bool{}
			for status := range o.Responses {
				n, err := strconv.Atoi(status)
				if err != nil {
					require.Equal(t, "default", status)
					n = problem
				}
				found[o.ID][n] = true
			}
		}
	}
	require.NotEmpty(t, found)
	return found
}

// askAs sends a request over loopback, its path as it is.
func askAs(handler http.Handler, r apitest.Request) *httptest.ResponseRecorder {
	path, query, _ := strings.Cut(r.Path, "?")
	request := httptest.NewRequest(r.Method, "http://localhost/", strings.NewReader(r.Body))
	request.URL.Path, request.URL.RawPath, request.URL.RawQuery = "", path, query
	if plain, err := url.PathUnescape(path); err == nil {
		request.URL.Path = plain
	}
	request.RemoteAddr = "127.0.0.1:4711"
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
)

// ask sends one request and checks what every answer has to have.
func ask(t *testing.T, server *httptest.Server, method, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
	require.NoError(t, err)
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	assert.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	if method != http.MethodHead {
		assert.True(t, json.Valid(body), "%s", body)
	}
	return resp, string(body)
}

func indented(t *testing.T, body string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, []byte(strings.TrimSpace(body)), "", "  "))
	return out.String() + "\n"
}

func TestAnswers(t *testing.T) {
	server := controltest.Serve(t, controltest.Ingest(), controltest.Export())
	f := func(path, golden string) {
		t.Helper()
		resp, body := ask(t, server, http.MethodGet, path)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		requireGolden(t, golden, indented(t, body))
	}
	// Everything, in the default order
	f("/api/v1/cardinality", "list.json")
	// Filters, an order and a limit that cuts
	f("/api/v1/cardinality?point=ingest&metric=*.*&sort=saving&limit=2&since=5m", "list_filtered.json")
	// An exact name needs no pattern, a group may be one
	f("/api/v1/cardinality?metric=db.client.calls&group=ch?ck*", "list_group.json")
	// One metric at one point
	f("/api/v1/cardinality/http.server.request.duration", "metric.json")
	// One metric in groups of two points
	f("/api/v1/cardinality/db.client.calls?since=2m", "metric_groups.json")
	// Alive, and ready
	f("/healthz", "healthz.json")
	f("/readyz", "readyz.json")
}

func TestNothingIsMeasured(t *testing.T) {
	server := controltest.Serve(t)
	resp, body := ask(t, server, http.MethodGet, "/api/v1/cardinality")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.JSONEq(t, `{"points":[],"metrics":[],"total":0,"truncated":false}`, body)
	resp, body = ask(t, server, http.MethodGet, "/api/v1/cardinality/up")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
	assert.Contains(t, body, "give a cardinality processor the option control")
}

// TestProblems keeps every way to ask wrongly, and what is answered, in one
// file that can be read aloud.
func TestProblems(t *testing.T) {
	server := controltest.Serve(t, controltest.Ingest(), controltest.Export())
	var transcript strings.Builder
	f := func(method, path string) {
		t.Helper()
		resp, body := ask(t, server, method, path)
		assert.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
		fmt.Fprintf(&transcript, "%s %s\n", method, path)
		if allow := resp.Header.Get("Allow"); allow != "" {
			fmt.Fprintf(&transcript, "Allow: %s\n", allow)
		}
		fmt.Fprintf(&transcript, "%s\n", indented(t, body))
	}
	const list, one = "/api/v1/cardinality", "/api/v1/cardinality/up"
	// Several bad parameters at once
	f("GET", list+"?limit=0&sort=size&since=-5m&metrc=up&point=a&point=b")
	// Each bound of each parameter
	f("GET", list+"?limit=10001")
	f("GET", list+"?limit=many")
	f("GET", list+"?since=5")
	f("GET", list+"?metric="+strings.Repeat("a", 1025))
	f("GET", list+"?"+strings.Repeat("x", 200)+"=1")
	f("GET", list+"?point=%zz&a;b")
	// What the window does not hold
	f("GET", list+"?since=6m")
	f("GET", list+"?since=11m&point=ingest")
	// Unknown things
	f("GET", list+"?point=egress")
	f("GET", one+"?limit=3")
	f("GET", one+"?point=egress")
	f("GET", one+"?point=export")
	f("GET", "/api/v1/cardinality/db.client.calls?group=payment")
	f("GET", "/api/v1/cardinality/")
	f("GET", "/api/v1/cardinality/"+strings.Repeat("a", 1025)+"?sort=name")
	f("GET", "/healthz?verbose=1")
	f("GET", "/readyz?verbose=1")
	f("GET", "/api/v2/cardinality")
	f("GET", "/")
	// Near names: the backend's, a typo, a sibling, none
	f("GET", "/api/v1/cardinality/http_server_request_duration_seconds_bucket")
	f("GET", "/api/v1/cardinality/http.server.request.duratoin")
	f("GET", "/api/v1/cardinality/db.client.errors")
	f("GET", "/api/v1/cardinality/zzz")
	// Wrong methods
	f("POST", list)
	f("DELETE", one)
	f("PUT", "/healthz")
	requireGolden(t, "problems.txt", transcript.String())
}

func TestNotReadyIsAProblem(t *testing.T) {
	server := httptest.NewServer(control.New(control.Settings{}).Handler())
	defer server.Close()
	resp, body := ask(t, server, http.MethodGet, "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Contains(t, body, "not ready")
	resp, _ = ask(t, server, http.MethodGet, "/healthz")
	assert.Equal(t, http.StatusOK, resp.StatusCode, "alive all the same")
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	server := controltest.Serve(t, controltest.Ingest())
	resp, body := ask(t, server, http.MethodHead, "/api/v1/cardinality")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Empty(t, body)
}

// failing is a source that cannot answer.
type failing struct{ err error }

func (s *failing) Cardinality(context.Context, report.CardinalityQuery) (report.Cardinality, error) {
	return report.Cardinality{}, s.err
}

func TestInternalFailureIsLoggedAndNotTold(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	plane := control.New(control.Settings{Logger: zap.New(core)})
	_, err := plane.RegisterCardinality(report.CardinalityRegistration{
		Component: "cardinality", Point: "ingest", Source: &failing{errors.New("password is hunter2")},
	})
	require.NoError(t, err)
	server := httptest.NewServer(plane.Handler())
	defer server.Close()
	for _, path := range []string{"/api/v1/cardinality", "/api/v1/cardinality/up"} {
		resp, body := ask(t, server, http.MethodGet, path)
		assert.Equal(t, http.StatusInternalServerError, resp.StatusCode)
		assert.NotContains(t, body, "hunter2")
		assert.Contains(t, body, "the log of the collector says why")
	}
	require.Equal(t, 2, logs.Len())
	assert.Equal(t, `point "ingest": password is hunter2`, logs.All()[0].ContextMap()["error"])
}

func TestStrangeNumbersAndNames(t *testing.T) {
	odd := report.Cardinality{
		Point: "p\xff", Component: "c", Backend: "otlp",
		Metrics: []report.MetricCardinality{{
			Name: "bad\xff\x00name", Group: "\"<script>\u2028", RelativeError: math.NaN(),
			Growth: report.Growth{NewPerMinute: math.Inf(1)},
			Attributes: []report.AttributeCardinality{
				{Key: "\xfe", Level: report.LevelScope}, {Key: "bare"},
			},
			Best: &report.Saving{},
		}},
	}
	server := controltest.Serve(t, odd)
	resp, body := ask(t, server, http.MethodGet, "/api/v1/cardinality")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	var list api.CardinalityList
	require.NoError(t, json.Unmarshal([]byte(body), &list))
	assert.Equal(t, "bad\uFFFD\x00name", list.Metrics[0].Metric)
	assert.Zero(t, list.Metrics[0].RelativeError)
	assert.Zero(t, list.Metrics[0].Growth.NewSeriesPerMinute)

	// The bytes of the name still find it.
	resp, body = ask(t, server, http.MethodGet, "/api/v1/cardinality/bad%FF%00name")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	resp, _ = ask(t, server, http.MethodGet, "/api/v1/cardinality/unknown%FF")
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestNamesWithSlashesAndDots(t *testing.T) {
	names := []string{
		"a/b", "/leading", "trailing/", "a//b", "..", ".", "a/../b", "with space", "percent%2F", "ünïcode", "a?b#c", "+plus&and=",
	}
	c := report.Cardinality{Point: "p", Component: "c"}
	for _, name := range names {
		c.Metrics = append(c.Metrics, report.MetricCardinality{Name: name, Series: 1})
	}
	server := controltest.Serve(t, c)
	client, err := api.NewClient(server.URL, server.Client())
	require.NoError(t, err)
	for _, name := range names {
		answer, err := client.MetricCardinality(t.Context(), name, api.MetricQuery{})
		require.NoError(t, err, name)
		assert.Equal(t, name, answer.Metric)
		require.Len(t, answer.Entries, 1, name)
		assert.Equal(t, name, answer.Entries[0].Metric.Metric)
	}
	// A slash may stand as it is.
	resp, body := ask(t, server, http.MethodGet, "/api/v1/cardinality/a/b")
	assert.Equal(t, http.StatusOK, resp.StatusCode, body)
}

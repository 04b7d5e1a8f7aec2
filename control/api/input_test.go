package api_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/fault"
)

const times = "a time such as 2026-03-11T12:00:00Z"

// TestBadInput has the exact status and the exact violations of each mistake.
func TestBadInput(t *testing.T) {
	w := newWorld(t).start()
	client := w.client(1)
	ruleFields := "there are: name, match, attributes, limit, buckets, scope, gauge, summary, role, experiment"
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		errors             []fault.FieldError
	}{
		"malformed": {"POST", "/api/v1/policies", `{"name": }`, nil, 400, []fault.FieldError{
			{Field: "body", Detail: "must be JSON: line 1, column 10: invalid character '}' looking for beginning of value"},
		}},
		"truncated": {"POST", "/api/v1/policies", "{\n\"name\": \"a", nil, 400, []fault.FieldError{
			{Field: "body", Detail: "must be JSON: line 2, column 10: unexpected end of JSON input"},
		}},
		"trailing data": {"POST", "/api/v1/policies", `{} {}`, nil, 400, []fault.FieldError{
			{Field: "body", Detail: "must be JSON: line 1, column 4: invalid character '{' after top-level value"},
		}},
		"a list":                {"POST", "/api/v1/policies", `[]`, nil, 400, []fault.FieldError{{Field: "policy", Detail: "must be an object"}}},
		"a list for all fields": {"POST", "/api/v1/apiKeys", `[]`, nil, 400, []fault.FieldError{{Field: "body", Detail: "must be an object"}}},
		"no body":               {"POST", "/api/v1/policies", ``, nil, 400, []fault.FieldError{{Field: "policy", Detail: "is required: send it as the body"}}},
		"many mistakes": {
			"POST", "/api/v1/policies?preview=perhaps&typo=1&preview_=2",
			`{"name": 5, "nme": "a", "revision": "x", "created_at": "yesterday",
			"spec": {"priority": 1e99, "rules": [{"match": {"metric": ["a"]}}, 7, {"matsch": {}, "limit": {"max_series": -1}, "attributes": {"keep": "a", "drop": ["a", 1]}}]}}`,
			nil, 400,
			[]fault.FieldError{
				{Field: "policy.name", Detail: "must be a string of valid Unicode"},
				{Field: "policy.nme", Detail: "is no field; there are: namespace, name, spec, state, revision, etag, spec_sha256, previewed_since, created_at, created_by, updated_at, updated_by, status"},
				{Field: "policy.revision", Detail: "must be a whole number from 0 to 4294967295"},
				{Field: "policy.created_at", Detail: "must be " + times},
				{Field: "policy.spec.priority", Detail: "must be a whole number from -2147483648 to 2147483647"},
				{Field: "policy.spec.rules[0].match.metric", Detail: "must be a string of valid Unicode"},
				{Field: "policy.spec.rules[1]", Detail: "must be an object"},
				{Field: "policy.spec.rules[2].matsch", Detail: "is no field; " + ruleFields},
				{Field: "policy.spec.rules[2].limit.max_series", Detail: "must be a whole number from 0 to 4294967295"},
				{Field: "policy.spec.rules[2].attributes.keep", Detail: "must be a list"},
				{Field: "policy.spec.rules[2].attributes.drop[1]", Detail: "must be a string of valid Unicode"},
				{Field: "preview", Detail: "must be true or false"},
				{Field: "preview_", Detail: "is no parameter here; there are: preview, validate_only"},
				{Field: "typo", Detail: "is no parameter here; there are: preview, validate_only"},
			},
		},
		"duplicate key": {"POST", "/api/v1/policies", `{"name": "a", "spec": {}, "name": "b"}`, nil, 400, []fault.FieldError{
			{Field: "policy.name", Detail: "is given more than once"},
		}},
		"duplicate key by both names": {"POST", "/api/v1/policies", `{"created_by": "a", "createdBy": "b"}`, nil, 400, []fault.FieldError{
			{Field: "policy.createdBy", Detail: "is given more than once"},
		}},
		"invalid UTF-8": {"POST", "/api/v1/policies", "{\"name\": \"a\xff\"}", nil, 400, []fault.FieldError{
			{Field: "body", Detail: "must be UTF-8: byte 11 is not"},
		}},
		"half a surrogate": {"POST", "/api/v1/policies", `{"name": "\ud800"}`, nil, 400, []fault.FieldError{
			{Field: "policy.name", Detail: "must be a string of valid Unicode"},
		}},
		"byte order mark": {"POST", "/api/v1/policies", "\xef\xbb\xbf{}", nil, 400, []fault.FieldError{
			{Field: "body", Detail: "must be JSON: line 1, column 1: invalid character 'ï' looking for beginning of value"},
		}},
		"deep nesting": {"POST", "/api/v1/policies", strings.Repeat("[", 100_000), nil, 400, []fault.FieldError{
			{Field: "body", Detail: "must be JSON: line 1, column 10001: invalid character '[' exceeded max depth"},
		}},
		"deep nesting of what is known": {
			"POST", "/api/v1/policies",
			`{"spec":{"rules":[{"limit":{"fold":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}]}}`, nil, 400,
			[]fault.FieldError{{Field: "policy.spec.rules[0].limit.fold", Detail: "must be a value of Value"}},
		},
		"another namespace in the body": {"PUT", "/api/v1/policies/shop/a", `{"namespace": "bank", "name": "a"}`, nil, 400, []fault.FieldError{
			{Field: "policy.namespace", Detail: "must be the one in the path, or be left out"},
		}},
		"another name in a body of all fields": {"POST", "/api/v1/policies/shop/a:enforce", `{"name": "b"}`, nil, 400, []fault.FieldError{
			{Field: "name", Detail: "must be the one in the path, or be left out"},
		}},
		"a body of a method without": {"DELETE", "/api/v1/policies/shop/a", `{}`, nil, 400, []fault.FieldError{
			{Field: "body", Detail: "must be empty: this method takes no body"},
		}},
		"parameters of a method without": {"POST", "/api/v1/policies/shop/a:enforce?force=true", `{}`, nil, 400, []fault.FieldError{
			{Field: "force", Detail: "is no parameter here; there are none"},
		}},
		"a number in the path": {"GET", "/api/v1/policies/shop/a/revisions/last", "", nil, 400, []fault.FieldError{
			{Field: "revision", Detail: "must be a whole number from 0 to 4294967295"},
		}},
		"a parameter twice": {"GET", "/api/v1/policies?page_size=1&page_size=2", "", nil, 400, []fault.FieldError{
			{Field: "page_size", Detail: "is given more than once"},
		}},
		"a parameter of another type": {"GET", "/api/v1/policies?page_size=ten", "", nil, 400, []fault.FieldError{
			{Field: "page_size", Detail: "must be a whole number from 0 to 4294967295"},
		}},
		"a time": {"GET", "/api/v1/audit?from=yesterday", "", nil, 400, []fault.FieldError{{Field: "from", Detail: "must be " + times}}},
		"a query that is none": {"GET", "/api/v1/policies?filter=%zz", "", nil, 400, []fault.FieldError{
			{Field: "query", Detail: "is not well formed: separate parameters by &, and escape what is no letter or digit"},
		}},
		"semicolons": {"GET", "/api/v1/policies?a=1;b=2", "", nil, 400, []fault.FieldError{
			{Field: "query", Detail: "is not well formed: separate parameters by &, and escape what is no letter or digit"},
		}},
		"a query that is not UTF-8":        {"GET", "/api/v1/policies?filter=%ff", "", nil, 400, []fault.FieldError{{Field: "filter", Detail: "must be UTF-8"}}},
		"a parameter that is not UTF-8":    {"GET", "/api/v1/policies?%ff=1", "", nil, 400, []fault.FieldError{{Field: "\uFFFD", Detail: "is no parameter here; there are: filter, namespace, page_size, page_token"}}},
		"a path that is not UTF-8":         {"GET", "/api/v1/policies/%ff/a", "", nil, 400, []fault.FieldError{{Field: "namespace", Detail: "must be UTF-8"}}},
		"a parameter of the path":          {"GET", "/api/v1/policies/shop/a?name=b", "", nil, 400, []fault.FieldError{{Field: "name", Detail: "is no parameter here; there are none"}}},
		"a field of a field":               {"GET", "/api/v1/policies?namespace.x=b", "", nil, 400, []fault.FieldError{{Field: "namespace.x", Detail: "is no parameter here; there are: filter, namespace, page_size, page_token"}}},
		"no media type":                    {"POST", "/api/v1/policies", `{}`, []string{"Content-Type", ""}, 415, nil},
		"another media type":               {"POST", "/api/v1/policies", `{}`, []string{"Content-Type", "text/plain"}, 415, nil},
		"a form":                           {"POST", "/api/v1/policies", `a=b`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, nil},
		"a form that would be another one": {"POST", "/api/v1/policies/shop/a", `a=b`, []string{"Content-Type", "application/x-www-form-urlencoded", "X-HTTP-Method-Override", "DELETE"}, 405, nil},
		"another character set":            {"POST", "/api/v1/policies", `{}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, nil},
		"an encoding":                      {"POST", "/api/v1/policies", `{}`, []string{"Content-Encoding", "br"}, 415, nil},
		"10 MB":                            {"POST", "/api/v1/policies", `{"name":"` + strings.Repeat("x", 10<<20) + `"}`, nil, 413, nil},
		"If-Match twice":                   {"DELETE", "/api/v1/policies/shop/a", "", []string{"If-Match", "1", "If-Match", "2"}, 400, []fault.FieldError{{Field: "If-Match", Detail: "is given more than once"}}},
		"two who ask":                      {"GET", "/api/v1/policies", "", []string{"Authorization", "a", "Authorization", "b"}, 400, []fault.FieldError{{Field: "Authorization", Detail: "is given more than once"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.t = t
			got := w.sendBy(client, c.method, c.path, c.body, c.headers...)
			require.Equal(t, c.status, got.StatusCode, got.body)
			assert.Equal(t, c.errors, got.problem(t).Errors)
		})
	}
}

// conversation sends raw bytes and returns the status and the body of the answer.
func (w *world) conversation(request string) (int, string) {
	w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", w.address)
	require.NoError(w.t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(w.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(w.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	return resp.StatusCode, string(body)
}

func TestRawRequests(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Timeout = 300 * time.Millisecond }).start(func(s *http.Server) { s.MaxHeaderBytes = 64 << 10 })
	head := "Host: localhost\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct {
		request string
		status  int
		problem string
	}{
		"header injection":              {"GET /api/v1/policies HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\rInjected: b\r\n\r\n", 400, ""},
		"header injection in a value":   {"GET /api/v1/policies HTTP/1.1\r\nHost: localhost\r\nIf-Match: a\x00b\r\n\r\n", 400, ""},
		"huge headers":                  {"GET /api/v1/policies HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n", 431, ""},
		"path without slash":            {"GET api/v1/policies HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		"asterisk":                      {"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, ""},
		"encoded line breaks":           {"GET /api/v1/nothing%0d%0aInjected:%20b HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "not-found"},
		"no host":                       {"GET /api/v1/policies HTTP/1.1\r\n\r\n", 400, ""},
		"another host":                  {"GET /api/v1/policies HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "misdirected-request"},
		"another host in the request":   {"GET http://evil.example/api/v1/policies HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, "misdirected-request"},
		"a body that does not come":     {"POST /api/v1/policies HTTP/1.1\r\n" + head + "Content-Length: 10\r\n\r\n{", 408, "slow-request"},
		"a chunk that does not come":    {"POST /api/v1/policies HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{", 408, "slow-request"},
		"a chunk that is none":          {"POST /api/v1/policies HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{", 400, "invalid"},
		"chunks without end":            {"POST /api/v1/policies HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n180000\r\n" + strings.Repeat(" ", 0x180000) + "\r\n", 413, "too-large"},
		"a body that is said to be big": {"POST /api/v1/policies HTTP/1.1\r\n" + head + "Content-Length: 99999999999\r\n\r\n{", 413, "too-large"},
		"two lengths":                   {"POST /api/v1/policies HTTP/1.1\r\n" + head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400, ""},
		"a body for GET":                {"GET /api/v1/policies HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400, "invalid"},
		"an unknown method":             {"BREW /api/v1/policies HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "method-not-allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := *w
			w.t = t
			status, body := w.conversation(c.request)
			require.Equal(t, c.status, status, body)
			if c.problem != "" {
				assert.Contains(t, body, `"type":"urn:phoenix:problem:`+c.problem+`"`)
			}
		})
	}
}

func TestASlowBodyHoldsUpNobodyElse(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Timeout = 300 * time.Millisecond }).start()
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url("/api/v1/policies"), reader)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := w.client(2).Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	assert.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
	assert.Less(t, time.Since(began), 5*time.Second)
	require.NoError(t, writer.Close())
}

func TestTheServersOwnTimeoutIsKept(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Timeout = time.Minute }).start(func(s *http.Server) { s.ReadTimeout = 200 * time.Millisecond })
	status, _ := w.conversation("POST /api/v1/policies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
	assert.Equal(t, http.StatusRequestTimeout, status)
}

func TestLinesOfHTTP1StayTheirOwn(t *testing.T) {
	w := newWorld(t).start()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", w.address)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	var both bytes.Buffer
	for _, name := range []string{"a", "b"} {
		fmt.Fprintf(&both, "GET /api/v1/policies/shop/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", name)
	}
	_, err = conn.Write(both.Bytes())
	require.NoError(t, err)
	answers := bufio.NewReader(conn)
	for _, name := range []string{"a", "b"} {
		resp, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Contains(t, string(body), `"name":"`+name+`"`)
	}
}

func TestWriteProblemIsForOthersToo(t *testing.T) {
	w := newWorld(t)
	outer := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		api.WriteProblem(rw, r, "cannot be decompressed", http.StatusBadRequest)
	})
	w.start(func(s *http.Server) { s.Handler = outer })
	got := w.send(http.MethodPost, "/api/v1/policies", "{}")
	assert.Equal(t, "urn:phoenix:problem:invalid", got.problem(t).Type)
	_, err := phoenixPolicies(t.Context(), w)
	assert.ErrorContains(t, err, "cannot be decompressed")
}

func phoenixPolicies(ctx context.Context, w *world) (any, error) {
	return policiesClient(w).ListPolicies(ctx, nil)
}

package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/apitest"
	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// description is what the tests read of the OpenAPI document. That it is valid
// is checked when it is made, by internal/tools/proto.
type description struct {
	OpenAPI    string                          `json:"openapi"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	OperationID string `json:"operationId"`
	Parameters  []struct {
		Name     string `json:"name"`
		In       string `json:"in"`
		Required bool   `json:"required"`
	} `json:"parameters"`
	RequestBody json.RawMessage            `json:"requestBody"`
	Responses   map[string]json.RawMessage `json:"responses"`
	Security    *[]map[string][]string     `json:"security"`
}

func (o operation) names(in string) []string {
	var names []string
	for _, p := range o.Parameters {
		if p.In == in {
			names = append(names, p.Name)
		}
	}
	return names
}

func readDescription(tb testing.TB) description {
	tb.Helper()
	var d description
	require.NoError(tb, json.Unmarshal(api.OpenAPI(), &d))
	require.Equal(tb, "3.0.3", d.OpenAPI)
	return d
}

// fillPath puts values in the place of the parameters of a path.
func fillPath(path string) string {
	for name, value := range map[string]string{"namespace": "shop", "name": "a", "revision": "3", "metric": "m", "id": "k", "dimension": "metrics", "kind": "series"} {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return path
}

func TestEveryRouteOfTheDescriptionIsServed(t *testing.T) {
	w := newWorld(t).start()
	client := w.client(1)
	for path, operations := range readDescription(t).Paths {
		filled := fillPath(path)
		require.NotContains(t, filled, "{", "no value for a parameter of %s", path)
		for method, o := range operations {
			body := ""
			if o.RequestBody != nil {
				body = "{}"
			}
			if path == "/api/v1/events" {
				resp := w.watch(t.Context(), 1, filled)
				assert.Equal(t, http.StatusOK, resp.StatusCode, path)
				require.NoError(t, resp.Body.Close())
				continue
			}
			got := w.sendBy(client, strings.ToUpper(method), filled, body)
			assert.Contains(t, o.Responses, strconv.Itoa(got.StatusCode), "%s %s: %s", method, path, got.body)
			assert.Less(t, got.StatusCode, 300, "%s %s: %s", method, path, got.body)
		}
	}
}

func TestCredentialsAreNeededWhereTheDescriptionSaysSo(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Exposure = access.ExposureAuthenticated }).start()
	client := w.client(1)
	for path, operations := range readDescription(t).Paths {
		for method, o := range operations {
			want := http.StatusUnauthorized
			if o.Security != nil && len(*o.Security) == 0 {
				want = http.StatusOK
			}
			got := w.sendBy(client, strings.ToUpper(method), fillPath(path), "")
			assert.Equal(t, want, got.StatusCode, "%s %s", method, path)
		}
	}
}

func TestEveryRPCIsInTheDescription(t *testing.T) {
	d := readDescription(t)
	ids := map[string]operation{}
	for _, operations := range d.Paths {
		for method, o := range operations {
			require.NotContains(t, ids, o.OperationID)
			require.Contains(t, o.Responses, "default", "%s %s", method, o.OperationID)
			ids[o.OperationID] = o
		}
	}
	rpcs := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("phoenix.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				rpcs++
				assert.Contains(t, ids, string(methods.Get(j).Name()))
				assertParameters(t, methods.Get(j), ids[string(methods.Get(j).Name())])
			}
		}
		return true
	})
	assert.Equal(t, len(ids), rpcs+3, "and health, readiness and the description")
	assert.Contains(t, string(d.Components.Schemas["Limit"]), `"auto"`)
	assert.Contains(t, d.Components.Schemas, "Problem")
	assert.Contains(t, d.Components.Schemas, "Event")
}

// assertParameters checks that each field of a request is in the path, the query
// or the body.
func assertParameters(t *testing.T, m protoreflect.MethodDescriptor, o operation) {
	t.Helper()
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	require.NotNil(t, rule, m.FullName())
	fields := m.Input().Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		known := name == rule.GetBody() || rule.GetBody() == "*" && o.RequestBody != nil ||
			slices.Contains(o.names("query"), name) || slices.Contains(o.names("path"), name)
		assert.True(t, known, "%s: %s is neither in the path nor the query nor the body", m.FullName(), name)
	}
	assert.Contains(t, o.names("header"), "X-Request-Id")
}

// TestRequestsFromTheDescription sends what the description allows, and what it
// does not. No answer is 5xx, and each is as the description has it.
func TestRequestsFromTheDescription(t *testing.T) {
	requests, err := apitest.Requests(api.OpenAPI(), "WatchEvents", "WatchExperiment")
	require.NoError(t, err)
	handler := newWorld(t, func(s *api.Settings) { s.Logger, s.Observer = nil, nil }).server.Handler()
	statuses := map[int]int{}
	rapid.Check(t, func(t *rapid.T) {
		r := requests.Draw(t, "request")
		answer := ask(handler, r)
		statuses[answer.Code]++
		if answer.Code >= 500 {
			t.Fatalf("%s %s %s: %d %s", r.Method, r.Path, r.Body, answer.Code, answer.Body)
		}
		if answer.Code >= 400 && answer.Header().Get("Content-Type") != fault.ProblemMedia {
			t.Fatalf("%s %s: %d is no problem: %s", r.Method, r.Path, answer.Code, answer.Body)
		}
	})
	assert.Positive(t, statuses[200], statuses)
	assert.Positive(t, statuses[400], statuses)
}

func ask(handler http.Handler, r apitest.Request) *httptest.ResponseRecorder {
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

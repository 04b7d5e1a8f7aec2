package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// FuzzREST: no request is answered by 5xx, and every refusal is a problem.
func FuzzREST(f *testing.F) {
	for path, operations := range readDescription(f).Paths {
		for method, o := range operations {
			f.Add(strings.ToUpper(method), fillPath(path), strings.Join(o.names("query"), "=1&"), "application/json", `"7"`, `{"name":"a"}`)
		}
	}
	f.Add("POST", "/api/v1/policies", "preview=true", "application/json", "*",
		`{"name":"a","spec":{"rules":[{"match":{"metric":"m","point":[{"attribute":"a","present":true}]},"attributes":{"keep":["a"]},"limit":{"max_series":1,"fold":["x"]}}]}}`)
	f.Add("PUT", "/api/v1/priceModels/a", "", "application/json", "", `{"name":"a","components":[{"kind":"samples","price":"1","aggregations":{"gauge":1}}]}`)
	f.Add("GET", "/api/v1/policies/%2e%2e/a%2Fb", "filter=%ff", "text/plain", "\x7f", "\xff")
	w := newWorld(f, func(s *api.Settings) { s.Logger = nil; s.Observer = nil })
	w.events.set(func(_ *phoenixv1.WatchEventsRequest, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
		return stream.Send(event("1"))
	})
	handler := w.server.Handler()
	f.Fuzz(func(t *testing.T, method, path, query, media, header, body string) {
		target, err := url.Parse("http://localhost" + path)
		if err != nil || target.Host != "localhost" {
			return
		}
		target.RawQuery = query
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", strings.NewReader(body))
		r.Method, r.URL, r.RequestURI = method, target, target.RequestURI()
		r.RemoteAddr = "127.0.0.1:4711"
		r.Header.Set("Content-Type", media)
		r.Header.Set("If-Match", header)
		r.Header.Set("X-Request-Id", header)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		require.Less(t, answer.Code, 500, "%s %s: %s", method, target, answer.Body)
		require.NotEmpty(t, answer.Header().Get("X-Request-Id"))
		if answer.Code >= 400 {
			require.Equal(t, fault.ProblemMedia, answer.Header().Get("Content-Type"))
			var p fault.Problem
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &p))
			require.Equal(t, answer.Code, p.Status)
			require.NotEmpty(t, p.Detail)
			if p.Type == "urn:phoenix:problem:invalid" {
				require.NotEmpty(t, p.Errors)
			}
		} else if answer.Header().Get("Content-Type") == "application/json" {
			require.True(t, json.Valid(answer.Body.Bytes()))
		}
	})
}

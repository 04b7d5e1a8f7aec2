package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// BenchmarkGet is what the transport costs a small GET: handler alone, and over
// a connection of each door with its client.
func BenchmarkGet(b *testing.B) {
	quiet := func(s *api.Settings) { s.Logger, s.Observer = nil, nil }
	b.Run("handler", func(b *testing.B) {
		handler := newWorld(b, quiet).server.Handler()
		b.ReportAllocs()
		for b.Loop() {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "http://localhost/api/v1/system/whoami", http.NoBody)
			r.RemoteAddr = "127.0.0.1:4711"
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, r)
			if answer.Code != http.StatusOK {
				b.Fatal(answer.Body)
			}
		}
	})
	for _, version := range []int{1, 2} {
		b.Run([]string{1: "REST over HTTP 1", 2: "REST over HTTP 2"}[version], func(b *testing.B) {
			w := newWorld(b, quiet).start()
			client, url := w.client(version), w.url("/api/v1/system/whoami")
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Get(url)
				require.NoError(b, err)
				_, err = io.Copy(io.Discard, resp.Body)
				require.NoError(b, err)
				require.NoError(b, resp.Body.Close())
			}
		})
	}
	b.Run("gRPC", func(b *testing.B) {
		client := phoenixv1.NewSystemClient(newWorld(b, quiet).start().dial())
		b.ReportAllocs()
		for b.Loop() {
			_, err := client.WhoAmI(b.Context(), &phoenixv1.WhoAmIRequest{})
			require.NoError(b, err)
		}
	})
}

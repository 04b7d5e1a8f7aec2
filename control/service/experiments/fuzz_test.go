package experiments_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/experiments"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

// handler is the REST door of a service whose conductor runs nothing.
func handler(tb testing.TB) http.Handler {
	tb.Helper()
	opened, err := sqlite.Open(tb.Context(), sqlite.Settings{Path: tb.TempDir() + "/phoenix.db"})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = opened.Close() })
	config := access.DefaultConfig()
	config.RateLimits = access.RateLimitsConfig{MaxPrincipals: 10}
	guard, err := access.New(config)
	require.NoError(tb, err)
	limiter, err := access.NewLimiter(config.RateLimits)
	require.NoError(tb, err)
	core := newCore(tb, opened, zap.NewNop())
	core.Guard, core.Limiter = guard, limiter
	server, err := api.New(api.Settings{
		Experiments: experimentsOver(tb, core),
		Policies:    phoenixv1.UnimplementedPoliciesServer{}, Cardinality: phoenixv1.UnimplementedCardinalityServer{},
		Costs: phoenixv1.UnimplementedCostsServer{}, Savings: phoenixv1.UnimplementedSavingsServer{},
		PriceModels: phoenixv1.UnimplementedPriceModelsServer{}, Samplers: phoenixv1.UnimplementedSamplersServer{}, APIKeys: phoenixv1.UnimplementedAPIKeysServer{},
		Audit: phoenixv1.UnimplementedAuditServer{}, Events: phoenixv1.UnimplementedEventsServer{}, System: phoenixv1.UnimplementedSystemServer{},
		Guard: guard, Limiter: limiter, Keys: noKeys{}, Exposure: access.ExposureLoopback,
	})
	require.NoError(tb, err)
	return server.Handler()
}

// FuzzSpecification: whatever is sent as an experiment is accepted or refused as a
// mistake; what is accepted is accepted again as it comes back, and is the same.
func FuzzSpecification(f *testing.F) {
	f.Add(`{"name":"a","spec":{"fidelity":{"queries":[{"name":"q","expr":"sum("}],"tolerance":-1,"min_judged":"NaN"},"schedule":{"not_after":"0001-01-01T00:00:00Z"}}}`)
	f.Add(`{"name":"a","spec":{"rules":[{"limit":{"fold":[1]},"attributes":{"keep":[null]}}],"steps":[{"weight":4294967295,"dwell":"-1s"}]}}`)
	h := handler(f)
	send := func(tb testing.TB, body string) *httptest.ResponseRecorder {
		tb.Helper()
		r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "http://localhost/api/v1/experiments?validate_only=true", strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:4711"
		r.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		return answer
	}
	for _, name := range []string{"mirror.json", "split.json", "traces.json"} {
		text, err := os.ReadFile("testdata/" + name)
		require.NoError(f, err)
		f.Add(string(text))
		require.Equal(f, http.StatusOK, send(f, string(text)).Code, "%s: %s", name, send(f, string(text)).Body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		answer := send(t, body)
		if answer.Code != http.StatusOK {
			var p fault.Problem
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &p))
			require.Equal(t, http.StatusBadRequest, answer.Code, "%s: %s", body, answer.Body)
			require.NotEmpty(t, p.Errors, "%s: %s", body, answer.Body)
			return
		}
		var first, second phoenixv1.Experiment
		require.NoError(t, protojson.Unmarshal(answer.Body.Bytes(), &first))
		again := send(t, answer.Body.String())
		require.Equal(t, http.StatusOK, again.Code, "%s: %s", answer.Body, again.Body)
		require.NoError(t, protojson.Unmarshal(again.Body.Bytes(), &second))
		require.Equal(t, first.GetSpecSha256(), second.GetSpecSha256(), answer.Body)
	})
}

func experimentsOver(tb testing.TB, core *service.Core) *experiments.Service {
	tb.Helper()
	r := &rig{store: core.Store, core: core}
	r.conduct(tb)
	s, err := experiments.New(experiments.Settings{Core: core, Conductor: r.conductor})
	require.NoError(tb, err)
	return s
}

package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/controltest"
)

func TestClientAsksWhatItIsTold(t *testing.T) {
	server := controltest.Serve(t, controltest.Ingest(), controltest.Export())
	client, err := api.NewClient(server.URL, server.Client())
	require.NoError(t, err)

	list, err := client.Cardinality(t.Context(), api.CardinalityQuery{
		Point: "ingest", Metric: "*.*", Sort: api.OrderName, Limit: 1, Since: 5 * time.Minute,
	})
	require.NoError(t, err)
	assert.Equal(t, 3, list.Total)
	assert.True(t, list.Truncated)
	assert.Equal(t, "db.client.calls", list.Metrics[0].Metric)
	assert.Equal(t, 5*time.Minute, list.Points[0].To.Sub(list.Points[0].From))

	detail, err := client.MetricCardinality(t.Context(), "process.runtime/heap", api.MetricQuery{Point: "ingest"})
	require.NoError(t, err)
	assert.Equal(t, []string{"pool", "scope.name"}, []string{detail.Entries[0].Attributes[0].Attribute, detail.Entries[0].Attributes[1].Attribute})

	require.NoError(t, client.Ready(t.Context()))
}

func TestClientReturnsProblems(t *testing.T) {
	server := controltest.Serve(t, controltest.Ingest())
	client, err := api.NewClient(server.URL, server.Client())
	require.NoError(t, err)
	_, err = client.Cardinality(t.Context(), api.CardinalityQuery{Limit: -1, Sort: "size"})
	var problem *api.Problem
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, http.StatusBadRequest, problem.Status)
	require.EqualError(t, err, `2 parameters are not accepted; limit: must be a whole number from 1 to 10000, got "-1"; `+
		`sort: must be one of series, saving, growth, points, streams, name, got "size"`)
	assert.EqualError(t, &api.Problem{Status: 418, Title: "I'm a teapot"}, "418 I'm a teapot")
}

func TestClientBehindAPath(t *testing.T) {
	inner := controltest.Serve(t, controltest.Ingest())
	outer := httptest.NewServer(http.StripPrefix("/phoenix", inner.Config.Handler))
	defer outer.Close()
	for _, address := range []string{outer.URL + "/phoenix", outer.URL + "/phoenix/"} {
		client, err := api.NewClient(address, outer.Client())
		require.NoError(t, err)
		_, err = client.MetricCardinality(t.Context(), "process.runtime/heap", api.MetricQuery{})
		require.NoError(t, err)
	}
}

func TestClientRefusesAddresses(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		_, err := api.NewClient(address, nil)
		require.ErrorContains(t, err, want)
	}
	f("ftp://localhost", "must begin with http:// or https://")
	f("http://", "has no host")
	f("http://a b", "address")
}

func TestClientTellsWhatAnswersInstead(t *testing.T) {
	f := func(h http.HandlerFunc, want string) {
		t.Helper()
		server := httptest.NewServer(h)
		defer server.Close()
		client, err := api.NewClient(server.URL, server.Client())
		require.NoError(t, err)
		_, err = client.Cardinality(t.Context(), api.CardinalityQuery{})
		require.ErrorContains(t, err, want)
	}
	f(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>"))
	}, `answered 200 OK with "text/html", which is not the Phoenix API`)
	f(http.NotFound, "404 Not Found")
	f(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		_, _ = w.Write([]byte("{"))
	}, "read the problem")
	f(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("[]"))
	}, "decode the answer")
	f(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("{"))
	}, "read the answer")
}

func TestClientWithoutServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	client, err := api.NewClient(address, nil)
	require.NoError(t, err)
	_, err = client.Cardinality(t.Context(), api.CardinalityQuery{})
	var unreachable *api.UnreachableError
	require.ErrorAs(t, err, &unreachable)
	assert.Equal(t, address, unreachable.Address)
	require.ErrorContains(t, err, "connection refused")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = client.Cardinality(ended, api.CardinalityQuery{})
	require.ErrorIs(t, err, context.Canceled)
}

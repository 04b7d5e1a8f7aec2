package metricsource_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/metricsource"
)

// asked is a question that reached the server.
type asked struct{ query, time, tenant string }

// server answers by the API of Prometheus; distributions/e2e asks a real one.
func server(t *testing.T, results map[string]string) (string, *[]asked) {
	t.Helper()
	var seen []asked
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !assert.NoError(t, r.ParseForm()) {
			return
		}
		query := r.Form.Get("query")
		seen = append(seen, asked{query, r.Form.Get("time"), r.Header.Get("X-Scope-OrgID")})
		result, known := results[query]
		if !known {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": "bad_data", "error": "no such metric"})
			return
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":%s}`, result)
	}))
	t.Cleanup(s.Close)
	return s.URL, &seen
}

func vector(values ...string) string {
	var list []string
	for i, v := range values {
		list = append(list, fmt.Sprintf(`{"metric":{"i":"%d"},"value":[1,%q]}`, i, v))
	}
	return `{"resultType":"vector","result":[` + strings.Join(list, ",") + "]}"
}

func TestBothArmsAreAsked(t *testing.T) {
	url, seen := server(t, map[string]string{
		`sum(errors{arm="baseline",exp="shop/a"})`:  vector("2"),
		`sum(errors{arm="candidate",exp="shop/a"})`: vector("3.5"),
	})
	s, err := metricsource.New(metricsource.Settings{URL: url, Headers: map[string]string{"X-Scope-OrgID": "one"}})
	require.NoError(t, err)
	g := experiment.Guardrail{Name: "errors", Query: `sum(errors{arm="$arm",exp="$experiment"})`}
	got := s.Ask(t.Context(), "shop/a", g, time.Unix(100, 0))
	assert.Equal(t, experiment.Answer{Guardrail: "errors", Baseline: 2, Candidate: 3.5}, got)
	assert.Equal(t, []asked{
		{`sum(errors{arm="baseline",exp="shop/a"})`, "100", "one"},
		{`sum(errors{arm="candidate",exp="shop/a"})`, "100", "one"},
	}, *seen)
}

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		baseline, candidate string
		want                experiment.Answer
	}{
		"a scalar":             {`{"resultType":"scalar","result":[1,"7"]}`, vector("8"), experiment.Answer{Baseline: 7, Candidate: 8}},
		"nothing on one side":  {vector(), vector("8"), experiment.Answer{Candidate: 8, NoData: true}},
		"nothing on the other": {vector("8"), vector(), experiment.Answer{Baseline: 8, NoData: true}},
		"not a number":         {vector("1"), vector("NaN"), experiment.Answer{Baseline: 1, NoData: true}},
		"two series": {vector("1", "2"), vector("8"), experiment.Answer{
			Error: `baseline: 2 series answer to "baseline", one is needed: aggregate them, say by sum()`,
		}},
		"a range": {vector("1"), `{"resultType":"matrix","result":[]}`, experiment.Answer{
			Baseline: 1, Error: `candidate: a matrix answers to "candidate", a scalar or an instant vector is needed`,
		}},
		"a histogram": {`{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"1","buckets":[]}]}]}`, vector("1"), experiment.Answer{
			Error: `baseline: a histogram answers to "baseline", a number is needed`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := server(t, map[string]string{"baseline": c.baseline, "candidate": c.candidate})
			s, err := metricsource.New(metricsource.Settings{URL: url})
			require.NoError(t, err)
			c.want.Guardrail = "g"
			assert.Equal(t, c.want, s.Ask(t.Context(), "x", experiment.Guardrail{Name: "g", Query: "$arm"}, time.Unix(1, 0)))
		})
	}
}

func TestErrorsSayWhoseTheyAre(t *testing.T) {
	url, _ := server(t, map[string]string{"baseline": vector("1")})
	s, err := metricsource.New(metricsource.Settings{URL: url})
	require.NoError(t, err)
	g := experiment.Guardrail{Name: "g", Query: "$arm"}
	assert.Equal(t, "candidate: bad_data: no such metric", s.Ask(t.Context(), "x", g, time.Unix(1, 0)).Error)

	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // a server sees the client go only once the body is read
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	s, err = metricsource.New(metricsource.Settings{URL: slow.URL, Timeout: 10 * time.Millisecond})
	require.NoError(t, err)
	assert.Contains(t, s.Ask(t.Context(), "x", g, time.Unix(1, 0)).Error, "deadline exceeded")
}

func TestSettingsThatAreNone(t *testing.T) {
	_, err := metricsource.New(metricsource.Settings{URL: "prometheus:9090", Timeout: -1})
	require.EqualError(t, err, "url: must be http:// or https:// and a host, got \"prometheus:9090\"\ntimeout: must be positive, got -1ns")
	_, err = metricsource.New(metricsource.Settings{URL: "http://me:secret@prometheus:9090"})
	require.EqualError(t, err, "url: must hold no password: use headers")
}

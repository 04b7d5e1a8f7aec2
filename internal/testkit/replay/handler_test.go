package replay_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
	"github.com/phoenix-platform/phoenix/internal/testkit/replay"
)

var threeRounds = []capture.Round{
	{Name: "a", Text: []byte("up 0\n")},
	{Name: "b", Text: []byte("up 1\n")},
	{Name: "c", Text: []byte("up 2\n")},
}

func newHandler(t *testing.T, s replay.Settings) *replay.Handler {
	t.Helper()
	s.Rounds = threeRounds
	h, err := replay.New(s)
	require.NoError(t, err)
	return h
}

func get(h http.Handler, acceptEncoding string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, replay.Path, http.NoBody)
	r.Header.Set("Accept-Encoding", acceptEncoding)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	response := get(h, "")
	defer response.Body.Close()
	return body(t, response.Body)
}

func TestARoundAScrapeAndTheLastOneStays(t *testing.T) {
	h := newHandler(t, replay.Settings{})
	for _, want := range []string{"up 0\n", "up 1\n", "up 2\n", "up 2\n", "up 2\n"} {
		assert.Equal(t, want, scrape(t, h))
	}
	assert.Equal(t, 5, h.Scrapes())
}

func TestALoopStartsOver(t *testing.T) {
	var served []replay.Scrape
	h := newHandler(t, replay.Settings{Loop: true, Served: func(s replay.Scrape) { served = append(served, s) }})
	for _, want := range []string{"up 0\n", "up 1\n", "up 2\n", "up 0\n"} {
		assert.Equal(t, want, scrape(t, h))
	}
	assert.Equal(t, []replay.Scrape{
		{Number: 1, Round: 0, Name: "a"},
		{Number: 2, Round: 1, Name: "b"},
		{Number: 3, Round: 2, Name: "c"},
		{Number: 4, Round: 0, Name: "a"},
	}, served)
}

func TestAnIntervalCountsFromTheFirstScrape(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	h := newHandler(t, replay.Settings{Interval: 10 * time.Second, Now: func() time.Time { return now }})
	now = now.Add(time.Hour) // nobody scrapes yet
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "up 0\n"},
		{9 * time.Second, "up 0\n"},
		{time.Second, "up 1\n"},
		{0, "up 1\n"},
		{10 * time.Second, "up 2\n"},
		{time.Hour, "up 2\n"},
	} {
		now = now.Add(step.after)
		assert.Equal(t, step.want, scrape(t, h))
	}
}

func TestHeadersAreThoseOfATarget(t *testing.T) {
	response := get(newHandler(t, replay.Settings{}), "")
	defer response.Body.Close()
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, "text/plain; version=0.0.4; charset=utf-8", response.Header.Get("Content-Type"))
	assert.Empty(t, response.Header.Get("Content-Encoding"))
	assert.Equal(t, strconv.Itoa(len("up 0\n")), response.Header.Get("Content-Length"))
}

func TestGzipIfAccepted(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                     false,
		"identity":             false,
		"gzip":                 true,
		"GZIP":                 true,
		"deflate, gzip;q=1.0":  true,
		"gzip;q=0":             false,
		"gzip; q=0.0":          false,
		"br, gzip ; q=0.5, *":  true,
		"gzipped":              false,
		"gzip;quality=unknown": true,
	} {
		t.Run(accept, func(t *testing.T) {
			response := get(newHandler(t, replay.Settings{}), accept)
			defer response.Body.Close()
			if !want {
				assert.Empty(t, response.Header.Get("Content-Encoding"))
				assert.Equal(t, "up 0\n", body(t, response.Body))
				return
			}
			assert.Equal(t, "gzip", response.Header.Get("Content-Encoding"))
			r, err := gzip.NewReader(response.Body)
			require.NoError(t, err)
			assert.Equal(t, "up 0\n", body(t, r))
		})
	}
}

func TestOnlyGetAndOnlyMetrics(t *testing.T) {
	h := newHandler(t, replay.Settings{})
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, "/metrics/", http.StatusNotFound},
		{http.MethodPost, "/metrics", http.StatusMethodNotAllowed},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, http.NoBody))
		assert.Equal(t, tc.want, w.Code, "%s %s", tc.method, tc.path)
	}
	assert.Zero(t, h.Scrapes(), "a refused request is no scrape")
}

func TestSettingsAreChecked(t *testing.T) {
	_, err := replay.New(replay.Settings{})
	require.EqualError(t, err, "rounds: nothing to replay")
	_, err = replay.New(replay.Settings{Rounds: threeRounds, Interval: -time.Second})
	require.ErrorContains(t, err, "interval: ")
}

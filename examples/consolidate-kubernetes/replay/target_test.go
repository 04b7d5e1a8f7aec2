package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/examples/consolidate-kubernetes/playlist"
	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
	"github.com/phoenix-platform/phoenix/internal/testkit/replay"
)

// threeSteps are a and b, and a once more.
var threeSteps = []playlist.Step{
	{Round: capture.Round{Name: "a", Text: []byte("up 1\n")}, Pass: 1},
	{Round: capture.Round{Name: "b", Text: []byte("up 2\n")}, Pass: 1},
	{Round: capture.Round{Name: "a", Text: []byte("up 1\n")}, Pass: 2},
}

func newTestTarget(t *testing.T, out *bytes.Buffer, scrapes int, holds ...string) *target {
	t.Helper()
	target, err := newTarget(threeSteps, scrapes, holds, out)
	require.NoError(t, err)
	return target
}

func ask(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
	return w
}

func scrape(target *target, times int) []string {
	var texts []string
	for range times {
		texts = append(texts, strings.TrimSpace(ask(target, http.MethodGet, replay.Path).Body.String()))
	}
	return texts
}

func TestEachRoundIsServedSeveralTimesAndTheLastOneStays(t *testing.T) {
	var out bytes.Buffer
	assert.Equal(t, []string{"up 1", "up 1", "up 2", "up 2", "up 1", "up 1", "up 1"}, scrape(newTestTarget(t, &out, 2), 7))
	a1, b1, a2 := "Played a, pass 1\n", "Played b, pass 1\n", "Played a, pass 2\n"
	assert.Equal(t, a1+a1+b1+b1+a2+a2+"Done\n"+a2, out.String())
}

func TestAHeldRoundStaysUntilItIsReleased(t *testing.T) {
	var out bytes.Buffer
	target := newTestTarget(t, &out, 2, "a")
	assert.Equal(t, []string{"up 1"}, scrape(target, 1))
	assert.Equal(t, http.StatusConflict, ask(target, http.MethodPost, releasePath).Code, "too early")
	assert.Equal(t, []string{"up 1", "up 1"}, scrape(target, 2))
	assert.Equal(t, http.StatusMethodNotAllowed, ask(target, http.MethodGet, releasePath).Code)
	assert.Equal(t, http.StatusOK, ask(target, http.MethodPost, releasePath).Code)
	assert.Equal(t, []string{"up 2", "up 2", "up 1", "up 1"}, scrape(target, 4), "the second pass is not held")
	assert.Equal(t, http.StatusConflict, ask(target, http.MethodPost, releasePath).Code, "nothing is held")
	assert.Equal(t, "Played a, pass 1\nPlayed a, pass 1\nWaiting at a\nPlayed a, pass 1\nReleased\n"+
		"Played b, pass 1\nPlayed b, pass 1\nPlayed a, pass 2\nPlayed a, pass 2\nDone\n", out.String())
}

func TestOtherRequestsAreNoScrapes(t *testing.T) {
	var out bytes.Buffer
	target := newTestTarget(t, &out, 1)
	assert.Equal(t, http.StatusNotFound, ask(target, http.MethodGet, "/").Code)
	assert.Equal(t, http.StatusMethodNotAllowed, ask(target, http.MethodPost, replay.Path).Code)
	assert.Empty(t, out.String())
	assert.Equal(t, []string{"up 1"}, scrape(target, 1))
}

// brokenWriter is a scraper that went away.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestAnAnswerThatWasCutIsNotPlayed(t *testing.T) {
	var out bytes.Buffer
	target := newTestTarget(t, &out, 2)
	target.ServeHTTP(brokenWriter{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, replay.Path, http.NoBody))
	assert.Equal(t, []string{"up 1"}, scrape(target, 1))
	assert.Equal(t, "Lost a\nPlayed a, pass 1\n", out.String())
}

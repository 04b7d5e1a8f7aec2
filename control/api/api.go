package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/report"
)

const (
	// defaultTimeout bounds how long one answer may take.
	defaultTimeout = 10 * time.Second
	// maxBodyBytes bounds the body of a request. No path reads one yet.
	maxBodyBytes = 64 << 10
)

// Paths of the API.
const (
	pathCardinality = "/api/v1/cardinality"
	pathHealth      = "/healthz"
	pathReady       = "/readyz"
)

// Reporter answers what the measuring points saw.
type Reporter interface {
	// Cardinality asks the measuring point of this name, or all of them if it
	// is empty, and returns the answers sorted by point. It wraps
	// ErrUnknownPoint if a named point does not exist.
	Cardinality(ctx context.Context, point string, q report.CardinalityQuery) ([]report.Cardinality, error)
}

// Settings is what New needs.
type Settings struct {
	// Reporter answers the questions. Required.
	Reporter Reporter
	// Ready says whether pipelines run. Required.
	Ready func() bool
	// Logger takes what went wrong inside. Default: nothing is logged.
	Logger *zap.Logger
	// Timeout bounds how long one answer may take. Default: 10s.
	Timeout time.Duration
}

type api struct {
	Settings
}

// New returns the handler of the whole API. It holds no goroutine.
func New(s Settings) http.Handler {
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	a := &api{Settings: s}
	mux := http.NewServeMux()
	a.get(mux, pathCardinality, a.listCardinality)
	a.get(mux, pathCardinality+"/{metric...}", a.getCardinality)
	a.get(mux, pathHealth, a.health)
	a.get(mux, pathReady, a.ready)
	mux.Handle("/", a.handle(func(_ http.ResponseWriter, r *http.Request) error {
		return fmt.Errorf("%w %q; the API begins at %s", errUnknownPath, abbreviate(r.URL.Path), pathCardinality)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header()) // here, so that the redirects of the mux have them too
		mux.ServeHTTP(w, r)
	})
}

// handler answers a request, or returns why it cannot. It writes nothing if it
// returns an error.
type handler func(http.ResponseWriter, *http.Request) error

// get routes GET and HEAD of a path to h and refuses every other method.
func (a *api) get(mux *http.ServeMux, path string, h handler) {
	const allow = "GET, HEAD"
	mux.Handle("GET "+path, a.handle(h))
	mux.Handle(path, a.handle(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allow)
		return &methodError{method: r.Method, allow: allow}
	}))
}

// handle bounds the request and turns the error of h into a problem.
func (a *api) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		err := h(w, r)
		if err == nil {
			return
		}
		if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && cause != nil {
			err = cause // ErrShuttingDown, if that is why
		}
		p := problemOf(err)
		if p.Status == http.StatusInternalServerError {
			a.Logger.Error("Request could not be answered", zap.String("path", r.URL.Path), zap.Error(err))
		}
		writeProblem(w, r, p)
	})
}

// secure sets the headers of every answer: it is data, and of this moment.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// writeJSON encodes before it writes, so that a value that cannot be encoded is
// an error and not half an answer.
func writeJSON(w http.ResponseWriter, v any) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // the type is JSON and nosniff holds browsers to it
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body.Bytes()) // a client that has gone away cannot be told so
	return nil
}

// health says that the process is alive.
func (a *api) health(w http.ResponseWriter, r *http.Request) error {
	if err := decodeNothing(r.URL.RawQuery); err != nil {
		return err
	}
	return writeJSON(w, Status{Status: "ok"})
}

// ready says whether the pipelines run.
func (a *api) ready(w http.ResponseWriter, r *http.Request) error {
	if err := decodeNothing(r.URL.RawQuery); err != nil {
		return err
	}
	if !a.Ready() {
		return fmt.Errorf("%w: the pipelines of the collector do not run yet, or are about to stop", errNotReady)
	}
	return writeJSON(w, Status{Status: "ready"})
}

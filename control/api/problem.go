package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/phoenix-platform/phoenix/control/report"
)

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// Problem is an answer that is not 2xx, as RFC 9457 has it. The client returns
// it as an error.
type Problem struct {
	// Type is about:blank: the status says what kind of problem it is.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what is wrong with this request and what to do about it.
	Detail string `json:"detail"`
	// Instance is the path of the request.
	Instance string `json:"instance"`
	// Errors names each parameter that is at fault.
	Errors []ParameterFault `json:"errors,omitempty"`
	// Suggestions are names near an unknown one.
	Suggestions []string `json:"suggestions,omitempty"`
}

// ParameterFault is what is wrong with one parameter.
type ParameterFault struct {
	Parameter string `json:"parameter"`
	Detail    string `json:"detail"`
}

// Error gives the detail and each parameter on one line.
func (p *Problem) Error() string {
	parts := []string{p.Detail}
	if p.Detail == "" {
		parts[0] = fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	for _, f := range p.Errors {
		parts = append(parts, f.Parameter+": "+f.Detail)
	}
	return strings.Join(parts, "; ")
}

// ErrUnknownPoint is wrapped by the error of a Reporter that does not know the
// measuring point that it was asked for.
var ErrUnknownPoint = errors.New("unknown measuring point")

// ErrShuttingDown is wrapped by errors of requests that come while the control
// plane ends.
var ErrShuttingDown = errors.New("the control plane is shutting down")

var (
	errUnknownPath = errors.New("unknown path")
	errNotReady    = errors.New("not ready")
)

// parameterErrors is a request with bad parameters.
type parameterErrors struct{ faults []ParameterFault }

func (e *parameterErrors) Error() string {
	if len(e.faults) == 1 {
		return fmt.Sprintf("the parameter %q is not accepted", e.faults[0].Parameter)
	}
	return fmt.Sprintf("%d parameters are not accepted", len(e.faults))
}

// unknownMetricError is a question about a metric that no point has seen.
type unknownMetricError struct {
	detail      string
	suggestions []string
}

func (e *unknownMetricError) Error() string { return e.detail }

// methodError is a request with a method that the path does not take.
type methodError struct{ method, allow string }

func (e *methodError) Error() string {
	return fmt.Sprintf("the method %s is not allowed here; use %s", abbreviate(e.method), e.allow)
}

// problemOf is the one place that chooses the status of an error.
func problemOf(err error) *Problem {
	var (
		badParameters *parameterErrors
		unknownMetric *unknownMetricError
		badMethod     *methodError
		tooLarge      *http.MaxBytesError
	)
	p := &Problem{Detail: err.Error()}
	switch {
	case errors.As(err, &badParameters):
		p.Status, p.Errors = http.StatusBadRequest, badParameters.faults
	case errors.Is(err, report.ErrSinceTooLong):
		p.Status = http.StatusBadRequest
		p.Errors = []ParameterFault{{Parameter: "since", Detail: err.Error()}}
		p.Detail = (&parameterErrors{faults: p.Errors}).Error()
	case errors.As(err, &unknownMetric):
		p.Status, p.Suggestions = http.StatusNotFound, unknownMetric.suggestions
	case errors.Is(err, ErrUnknownPoint), errors.Is(err, errUnknownPath):
		p.Status = http.StatusNotFound
	case errors.As(err, &badMethod):
		p.Status = http.StatusMethodNotAllowed
	case errors.As(err, &tooLarge):
		p.Status = http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrShuttingDown), errors.Is(err, errNotReady):
		p.Status = http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		p.Status = http.StatusServiceUnavailable
		p.Detail = "the answer took too long; ask for one point or one metric, or try again"
	case errors.Is(err, context.Canceled):
		p.Status = http.StatusServiceUnavailable
		p.Detail = "the request was cancelled before it was answered"
	default:
		// What went wrong inside is for the log, not for whoever asks.
		p.Status = http.StatusInternalServerError
		p.Detail = "the question could not be answered; the log of the collector says why"
	}
	return p
}

// WriteProblem writes a problem with the security headers of every answer. It
// has the signature of confighttp's error handler, for errors that arise before
// a request reaches this package, such as a failed authentication.
func WriteProblem(w http.ResponseWriter, r *http.Request, detail string, status int) {
	secure(w.Header())
	writeProblem(w, r, &Problem{Status: status, Detail: detail})
}

func writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	p.Instance = abbreviate(r.URL.EscapedPath())
	// Strings and integers cannot fail to encode, and a client that has gone
	// away cannot be told so.
	body, _ := json.Marshal(p)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

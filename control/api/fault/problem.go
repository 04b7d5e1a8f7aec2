package fault

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// ProblemMedia is the media type of RFC 9457.
const ProblemMedia = "application/problem+json"

// typePrefix begins the type of every problem; the reason follows.
const typePrefix = "urn:phoenix:problem:"

// Problem is a fault as RFC 9457 has it.
type Problem struct {
	// Type is urn:phoenix:problem: and the reason in lower case: not-previewed.
	Type  string `json:"type"`
	Title string `json:"title"`
	// Status is that of HTTP.
	Status int `json:"status"`
	// Detail says what is wrong and what to do about it.
	Detail string `json:"detail"`
	// Instance is the path of the request.
	Instance string `json:"instance,omitempty"`
	// RequestID finds the request in logs, traces and the audit log.
	RequestID string `json:"request_id,omitempty"`
	// Errors are all mistakes in the request.
	Errors []FieldError `json:"errors,omitempty"`
	// Suggestions are names near an unknown one.
	Suggestions []string `json:"suggestions,omitempty"`
}

// FieldError is a Violation in a Problem.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// ToProblem returns a fault as a problem.
func ToProblem(f *Fault, instance, requestID string) *Problem {
	p := &Problem{
		Type: typePrefix + strings.ReplaceAll(strings.ToLower(string(f.Reason)), "_", "-"), Title: http.StatusText(f.HTTPStatus()),
		Status: f.HTTPStatus(), Detail: text(f.Detail), Instance: text(instance), RequestID: text(requestID), Suggestions: f.Suggestions,
	}
	for _, v := range f.Violations {
		p.Errors = append(p.Errors, FieldError{Field: text(v.Field), Detail: text(v.Description)})
	}
	return p
}

// JSON is the problem on one line.
func (p *Problem) JSON() []byte {
	raw, _ := json.Marshal(p) // texts and numbers can be encoded
	return raw
}

// RetryAfterSeconds is the value of a Retry-After header, rounded up: 0 if asking
// again does not help.
func (f *Fault) RetryAfterSeconds() int64 {
	if f.RetryAfter <= 0 {
		return 0
	}
	return max(1, int64((f.RetryAfter+time.Second-1)/time.Second))
}

// text makes UTF-8 of what may quote a request.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

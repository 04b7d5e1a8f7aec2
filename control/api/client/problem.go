package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// typePrefix begins the Type of every problem of the API.
const typePrefix = "urn:phoenix:problem:"

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
)

// Problem is a refusal of the API, as RFC 9457 has it.
type Problem struct {
	// Type is urn:phoenix:problem: and the reason.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what is wrong and what to do about it.
	Detail string `json:"detail"`
	// Instance is the path of the request.
	Instance string `json:"instance"`
	// RequestID finds the request in logs, traces and the audit log.
	RequestID string `json:"request_id"`
	// Errors are all mistakes in the request.
	Errors []FieldError `json:"errors"`
	// Suggestions are names near an unknown one.
	Suggestions []string `json:"suggestions"`
	// RetryAfter is the header of that name, 0 if there was none.
	RetryAfter time.Duration `json:"-"`
}

// FieldError is one mistake in a request.
type FieldError struct {
	// Field is its path in the request's JSON, or the name of a parameter.
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error gives the detail and each mistake on one line.
func (p *Problem) Error() string {
	parts := []string{p.Detail}
	if p.Detail == "" {
		parts[0] = strings.TrimSpace(fmt.Sprintf("%d %s", p.Status, p.Title))
	}
	for _, e := range p.Errors {
		parts = append(parts, e.Field+": "+e.Detail)
	}
	return strings.Join(parts, "; ")
}

// Reason is what kind of problem it is, such as not-previewed.
func (p *Problem) Reason() string { return strings.TrimPrefix(p.Type, typePrefix) }

// UnreachableError is returned if nothing answers at the client's address.
type UnreachableError struct {
	// Address is the client's address.
	Address string
	// Err is why the request did not get through.
	Err error
}

// Error names the address and the cause.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("reach the control plane at %s: %v", e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// StrangerError is returned if what answers is not the Phoenix API.
type StrangerError struct {
	Address string
	// Status is the status line, MediaType what the answer says it is.
	Status, MediaType string
}

// Error says what answered and what to check.
func (e *StrangerError) Error() string {
	return fmt.Sprintf("%s answered %s with %q, which is not the Phoenix API; is it the address of a phoenix_control extension?",
		e.Address, e.Status, e.MediaType)
}

// refusal makes an error of an answer that is not the one asked for.
func (c *conn) refusal(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != mediaProblem {
		return &StrangerError{Address: c.address, Status: resp.Status, MediaType: kind}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return fmt.Errorf("read the problem that %s answered: %w", c.address, innermost(err))
	}
	p := &Problem{}
	if err := json.Unmarshal(body, p); err != nil {
		return fmt.Errorf("decode the problem that %s answered: %w", c.address, err)
	}
	// The status line is what proxies look at.
	p.Status = resp.StatusCode
	p.RetryAfter = retryAfter(resp.Header, time.Now())
	return p
}

// retryAfter reads the header in both of its forms.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// innermost drops the method and address that url.Error puts in front, for our
// errors name the address themselves.
func innermost(err error) error {
	if inURL, ok := errors.AsType[*url.Error](err); ok {
		return inURL.Err
	}
	return err
}

// streamProblem is the problem that ends a stream which had begun well.
func (c *conn) streamProblem(data []byte) error {
	p := &Problem{}
	if err := json.Unmarshal(data, p); err != nil {
		return fmt.Errorf("decode the problem that %s sent: %w", c.address, err)
	}
	return p
}

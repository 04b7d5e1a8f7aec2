package api

import (
	"errors"
	"fmt"
	"strings"
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

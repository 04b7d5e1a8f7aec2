// Package apitest makes requests from the OpenAPI description of the API: what it
// allows, and what it does not. Tests send them and look at what comes back.
package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// Request is one REST request.
type Request struct {
	// Operation is the id in the description.
	Operation string
	Method    string
	// Path is escaped and has the query.
	Path string
	// Header has one value by name.
	Header map[string]string
	// Body is empty if there is none.
	Body string
}

// document is what is read of the description.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID         string `json:"operationId"`
	Parameters []struct {
		Name   string  `json:"name"`
		In     string  `json:"in"`
		Schema *schema `json:"schema"`
	} `json:"parameters"`
	RequestBody struct {
		Content map[string]struct {
			Schema *schema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
}

type schema struct {
	Ref        string             `json:"$ref"`
	Text       string             `json:"description"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Enum       []any              `json:"enum"`
	AllOf      []*schema          `json:"allOf"`
	OneOf      []*schema          `json:"oneOf"`
	Items      *schema            `json:"items"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Additional *schema            `json:"additionalProperties"`
}

// endpoint is an operation at its path.
type endpoint struct {
	method, path string
	operation
}

// generator makes requests of one description.
type generator struct {
	document
	endpoints []endpoint
}

// Requests generates requests for every operation but those left out by id, such
// as streams. Most are as the description has them; in others one thing or
// another is not.
func Requests(description []byte, leftOut ...string) (*rapid.Generator[Request], error) {
	g := &generator{}
	if err := json.Unmarshal(description, &g.document); err != nil {
		return nil, fmt.Errorf("read the OpenAPI description: %w", err)
	}
	for _, path := range slices.Sorted(maps.Keys(g.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(g.Paths[path])) {
			if op := g.Paths[path][method]; !slices.Contains(leftOut, op.ID) {
				g.endpoints = append(g.endpoints, endpoint{strings.ToUpper(method), path, op})
			}
		}
	}
	return rapid.Custom(g.request), nil
}

func (g *generator) request(t *rapid.T) Request {
	e := rapid.SampledFrom(g.endpoints).Draw(t, "endpoint")
	r := Request{Operation: e.ID, Method: e.method, Path: e.path, Header: map[string]string{}}
	query := url.Values{}
	for _, p := range e.Parameters {
		switch p.In {
		case "path":
			r.Path = strings.ReplaceAll(r.Path, "{"+p.Name+"}", url.PathEscape(text(g.value(t, p.Name, p.Schema, 0))))
		case "query":
			if rapid.IntRange(0, 3).Draw(t, p.Name+" given") == 0 {
				query.Set(p.Name, text(g.value(t, p.Name, p.Schema, 0)))
			}
		case "header":
			if rapid.IntRange(0, 3).Draw(t, p.Name+" given") == 0 {
				r.Header[p.Name] = rapid.StringMatching(`[ -~]{0,20}`).Draw(t, p.Name)
			}
		}
	}
	if oddly(t) {
		query.Set(rapid.StringMatching(`[a-z_.\[\]]{1,8}`).Draw(t, "unknown parameter"), "1")
	}
	if len(query) > 0 {
		r.Path += "?" + query.Encode()
	}
	if body, takes := e.RequestBody.Content["application/json"]; takes {
		r.Header["Content-Type"] = "application/json"
		raw, _ := json.Marshal(g.value(t, "", body.Schema, 0)) // of what JSON has
		r.Body = string(raw)
		if oddly(t) {
			r.Body = r.Body[:rapid.IntRange(0, len(r.Body)).Draw(t, "cut off")]
		}
	}
	return r
}

// oddly decides whether something is not as it should be.
func oddly(t *rapid.T) bool { return rapid.IntRange(0, 99).Draw(t, "odd") == 99 }

// maxDepth bounds recursion of schemas.
const maxDepth = 12

// odd are values that fit few schemas.
var odd = []any{
	nil, true, -1, 0, 1.5, 1e300, 1 << 40, "", "*", "..", "a/b", "\x00", "\u202e", "'; DROP TABLE policies; --", strings.Repeat("x", 5000),
	[]any{},
	[]any{[]any{}},
	map[string]any{},
	map[string]any{"": nil},
	"/(/", "2026-13-45T99:00:00Z",
}

// words are texts that mean something to the API, by the name of the field, so
// that more than the first check is reached.
var words = map[string][]string{
	"namespace": {"default", "shop"}, "name": {"a", "drop-pod"}, "metric": {"http_*", "up", "/(a|b)_total/"},
	"types": {"sum", "gauge"}, "scope": {"keep", "drop"}, "gauge": {"sum", "last"}, "summary": {"pass", "merge_count_sum"},
	"role": {"common"}, "attribute": {"pod", "path"}, "drop": {"pod", "resource.k8s.*"}, "keep": {"path", "code"}, "regex": {"a(.*)"},
	"template": {"$1"}, "paths": {"/users/{id}"}, "grants": {"viewer:*", "editor:shop"}, "lifetime": {"720h"},
	"kind": {"active_series", "samples", "resource", "fee", "series", "cost_month"}, "dimension": {"metrics", "labels"}, "price": {"0.5", "12"},
	"currency": {"USD"}, "effective": {"2026-03-11"}, "tier_mode": {"volume"}, "since": {"5m"}, "sort": {"name", "series"},
	"filter": {`state = "enforced"`, `name = "a*" AND namespace = "shop"`}, "reason": {"a drill"}, "description": {"for readers"},
	"mode": {"mirror", "split"}, "signal": {"metrics", "traces"}, "measure": {"series", "points", "latency", "cost"}, "query": {"up"},
	"expr": {"sum(up)", "rate(x[5m])"}, "interval": {"5s", "30s"}, "dwell": {"10m"}, "max_duration": {"24h"}, "min_duration": {"1m"},
	"direction": {"increase"}, "metrics": {"http.requests"}, "page_token": {""}, "price_model": {""}, "point": {""}, "group": {""}, "backend": {"prometheus"},
}

// value makes a value of the schema of a field, as JSON has it.
func (g *generator) value(t *rapid.T, field string, s *schema, depth int) any {
	switch {
	case s == nil || depth > maxDepth:
		return nil
	case oddly(t):
		return rapid.SampledFrom(odd).Draw(t, "odd value")
	case s.Ref != "":
		return g.value(t, field, g.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]], depth+1)
	case len(s.AllOf) > 0:
		return g.value(t, field, s.AllOf[0], depth+1)
	case len(s.OneOf) > 0:
		return g.value(t, field, rapid.SampledFrom(s.OneOf).Draw(t, "one of"), depth+1)
	case len(s.Enum) > 0:
		return rapid.SampledFrom(s.Enum).Draw(t, "enum")
	}
	switch s.Type {
	case "object":
		return g.object(t, s, depth)
	case "array":
		list := make([]any, rapid.IntRange(1, 2).Draw(t, "length"))
		for i := range list {
			list[i] = g.value(t, field, s.Items, depth+1)
		}
		return list
	case "boolean":
		return rapid.Bool().Draw(t, "boolean")
	case "integer":
		return rapid.Int32Range(1, 1000).Draw(t, "integer")
	case "number":
		return rapid.IntRange(0, 1000).Draw(t, "number")
	}
	if known := words[field]; known != nil {
		return rapid.SampledFrom(known).Draw(t, field)
	}
	if s.Format == "date-time" {
		return "2026-03-11T12:00:00Z"
	}
	return rapid.String().Draw(t, "text")
}

func (g *generator) object(t *rapid.T, s *schema, depth int) map[string]any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property, given := s.Properties[name], rapid.IntRange(0, 3).Draw(t, name+" given") == 0
		switch {
		case strings.Contains(property.Text, "Set by the server."):
			given = oddly(t)
		case slices.Contains(s.Required, name), name == "spec", name == "rules":
			given = true
		}
		if given {
			object[name] = g.value(t, name, property, depth+1)
		}
	}
	if s.Additional != nil {
		object[rapid.StringMatching(`[a-z]{1,5}`).Draw(t, "key")] = g.value(t, "", s.Additional, depth+1)
	}
	if oddly(t) {
		object[rapid.String().Draw(t, "unknown field")] = 1
	}
	return object
}

// text is how a value is written into a path or a query.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return ""
	}
	raw, _ := json.Marshal(v) // of what JSON has
	return string(raw)
}
